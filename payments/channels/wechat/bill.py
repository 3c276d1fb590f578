"""WeChat Pay's bill of payments and refunds: its own file, written by the sandbox, read strictly.

Source: WeChat Pay API v3, "bills": UTF-8 with or without a BOM, lines that end with LF or CRLF,
each cell behind a backtick, amounts in yuan, a head of two lines and a foot of two. Three types:
ALL, SUCCESS (payments) and REFUND. What the documents leave open is said in docs/BILLS.md.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import BinaryIO, Final

from msgspec import Struct

from payments.bills.lines import LINES_MAX, BillKind, BillLine, BillRefused, BillState
from payments.bills.text import (
    BOM,
    Decimals,
    Instants,
    blocks,
    china_text,
    decimal,
    is_gzip,
    plain,
)

CHANNEL: Final = "wechat"


class BillType(StrEnum):
    ALL = "ALL"
    SUCCESS = "SUCCESS"
    REFUND = "REFUND"


_FRONT: Final = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,"
    "交易状态,付款银行,货币种类,应结订单金额,代金券金额"
)
_REFUND: Final = "微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态"
_BACK: Final = "商品名称,商户数据包,手续费,费率,订单金额"

HEADS: Final = {
    BillType.ALL: f"{_FRONT},{_REFUND},{_BACK},申请退款金额,费率备注",
    BillType.SUCCESS: f"{_FRONT},{_BACK},费率备注",
    BillType.REFUND: (
        f"{_FRONT},退款申请时间,退款成功时间,{_REFUND},{_BACK},申请退款金额,费率备注"
    ),
}
FOOT: Final = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
FEE_PLACES: Final = 5
FEE_PER_FEN: Final = 1_000
"""Fees are shown to a thousandth of a fen, and charged in whole fen."""

_COLUMNS: Final = 27
"""Of ALL, to which lines of the other types are brought."""

_TIMES: Final = slice(14, 16)
"""Of REFUND, before the refund's numbers."""

_ASKED: Final = 25
"""Of ALL: what was asked to be refunded."""

# Members of enumerations are looked up once: they are needed a million times.
_ALL, _SUCCESS, _REFUNDS = BillType.ALL, BillType.SUCCESS, BillType.REFUND
_PAYMENT, _SUCCEEDED = BillKind.PAYMENT, BillState.SUCCEEDED
_NOTHING: Final = ("0", "0", "0.00", "0.00", "", "")
_REFUND_STATES: Final = {
    "SUCCESS": BillState.SUCCEEDED,
    "PROCESSING": BillState.PROCESSING,
    "CHANGE": BillState.PROCESSING,
    "FAIL": BillState.FAILED,
}
_STATE_TEXTS: Final = {
    BillState.SUCCEEDED: "SUCCESS",
    BillState.REVERSED: "SUCCESS",
    BillState.PROCESSING: "PROCESSING",
    BillState.FAILED: "FAIL",
}


class _Currencies(dict[str, str]):
    def __missing__(self, text: str) -> str:
        raise ValueError("a currency whose units nobody here knows")


_CURRENCIES: Final = _Currencies(CNY="cny")
_REMEDY: Final = "fetch the file again; if it stays so, its layout is not the documented one"


class Details(Struct, frozen=True):
    """What the file says besides, and no reader needs. `paid_ms`: of a refund's payment."""

    appid: str = ""
    device: str = ""
    payer: str = ""
    trade_type: str = "MICROPAY"
    bank: str = "OTHERS"
    goods: str = ""
    attach: str = ""
    rate_ppm: int = 0
    paid_ms: int = 0


# --- writing -------------------------------------------------------------------------------------


class Sums:
    """What the foot says: a count, and sums of the columns as they stand."""

    def __init__(self) -> None:
        self.count = self.settle = self.refund = self.coupon = 0
        self.fee = self.amount = self.asked = 0

    def add_refund(self, settle: int, coupon: int, asked: int) -> None:
        self.refund += settle
        self.coupon += coupon
        self.asked += asked

    def cells(self) -> tuple[str, ...]:
        return (
            str(self.count),
            decimal(self.settle),
            decimal(self.refund),
            decimal(self.coupon),
            decimal(self.fee, FEE_PLACES),
            decimal(self.amount),
            decimal(self.asked),
        )


def write(kind: BillType, lines: Iterable[tuple[BillLine, Details]]) -> Iterator[bytes]:
    """The file's parts, in order. Lines of the other kind are left out of SUCCESS and REFUND."""
    sums = Sums()
    yield f"{BOM}{HEADS[kind]}\r\n".encode()
    for line, details in lines:
        is_payment = line.kind is BillKind.PAYMENT
        if kind is (BillType.REFUND if is_payment else BillType.SUCCESS):
            continue
        sums.count += 1
        fee = line.fee * FEE_PER_FEN
        if is_payment:
            sums.settle += line.settle_amount
            sums.amount += line.amount
            sums.fee += fee
        else:
            sums.add_refund(line.settle_amount, line.discount_channel, line.amount)
            sums.fee -= fee
        yield _row(kind, line, details)
    yield f"{FOOT}\r\n`{',`'.join(sums.cells())}\r\n".encode()


def _row(kind: BillType, line: BillLine, details: Details) -> bytes:
    is_payment = line.kind is BillKind.PAYMENT
    is_undone = line.state is BillState.REVERSED
    at = china_text(line.at_ms)
    refund: Sequence[str] = _NOTHING
    if not is_payment:
        refund = (
            line.channel_refund_no or "0",
            line.out_refund_no or "0",
            decimal(line.settle_amount),
            decimal(line.discount_channel),
            "ORIGINAL",
            _STATE_TEXTS[line.state],
        )
    state = "SUCCESS" if is_payment else ("REVOKED" if is_undone else "REFUND")
    fee = line.fee * FEE_PER_FEN
    cells = [
        china_text(details.paid_ms) if kind is BillType.REFUND else at,
        details.appid,
        line.account,
        line.merchant or "0",
        details.device,
        line.channel_trade_no,
        line.out_trade_no,
        details.payer,
        details.trade_type,
        state,
        details.bank,
        line.currency.upper(),
        decimal(line.settle_amount if is_payment else 0),
        decimal(line.discount_channel if is_payment else 0),
        *((at, at) if kind is BillType.REFUND else ()),
        *(() if kind is BillType.SUCCESS else refund),
        plain(details.goods),
        plain(details.attach),
        decimal(fee if is_payment else -fee, FEE_PLACES),
        f"{decimal(details.rate_ppm // 100)}%",
        decimal(line.amount if is_payment else 0),
        *(() if kind is BillType.SUCCESS else (decimal(0 if is_payment else line.amount),)),
        "",
    ]
    return f"`{',`'.join(cells)}\r\n".encode()


# --- reading -------------------------------------------------------------------------------------


def read(file: BinaryIO, bill_date: int | None = None) -> Iterator[BillLine]:
    """The lines of a bill, plain or gzip, from a seekable file. Raise BillRefused.

    `bill_date`: the day it was asked for, yyyymmdd, which the file does not say; without it each
    line has the day of its own time. Believe nothing before the iterator has ended.
    """
    if not is_gzip(file):
        yield from _Reader(bill_date).lines(blocks(file, "utf-8"))
        return
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield from _Reader(bill_date).lines(blocks(unpacked, "utf-8", file.tell))  # type: ignore[arg-type]


class _Reader:
    """One reading. The foot is checked against what was read."""

    def __init__(self, bill_date: int | None) -> None:
        self._bill_date = bill_date
        self._sums = Sums()
        self._kind = BillType.ALL
        self._account = ""
        self._money = Decimals(2)
        self._fees = Decimals(FEE_PLACES, signed=True)
        self._instants = Instants()

    def lines(self, text: Iterator[tuple[int, list[str]]]) -> Iterator[BillLine]:
        foot: list[str] = []
        last = 0
        for first, block in text:
            rows = block
            if first == 1:
                self._head(block[0])
                first, rows = 2, block[1:]
            if not foot:
                made = self._rows(first, rows)
                yield from made
                first, rows = first + len(made), rows[len(made) :]
            foot += rows
            last = first + len(rows) - 1
            if len(foot) > 3:
                raise BillRefused("lines after the foot", last - len(foot) + 3)
        self._foot(foot, last)

    def _head(self, text: str) -> None:
        for kind, head in HEADS.items():
            if text.removeprefix(BOM) == head:
                self._kind = kind
                return
        raise BillRefused("the columns are not those of a bill of payments", 1, _REMEDY)

    def _rows(self, first: int, texts: list[str]) -> list[BillLine]:
        """The lines up to the foot, or to the end of the block."""
        made: list[BillLine] = []
        cells_of, line_of = self._cells, self._line
        try:
            for row, text in enumerate(texts, first):
                if not text.startswith("`"):
                    break
                made.append(line_of(row, cells_of(text[1:].split(",`"))))
        except ValueError as error:
            raise BillRefused(str(error), first + len(made)) from None
        self._sums.count += len(made)
        if self._sums.count > LINES_MAX:
            raise BillRefused(f"more than {LINES_MAX} lines", first)
        return made

    def _cells(self, cells: list[str]) -> list[str]:
        """The cells as ALL has them. Raise ValueError for another number of them."""
        kind = self._kind
        if kind is _SUCCESS and len(cells) == _COLUMNS - 7:
            cells[_TIMES.start : _TIMES.start] = _NOTHING
            cells.insert(_ASKED, "0.00")
        elif kind is _REFUNDS and len(cells) == _COLUMNS + 2:
            asked_at, done_at = cells[_TIMES]
            cells[0] = done_at or asked_at
            del cells[_TIMES]
        elif kind is not _ALL:
            raise ValueError("a line with another number of cells")
        if len(cells) != _COLUMNS:
            raise ValueError("a line with another number of cells")
        return cells

    def _line(self, row: int, cells: list[str]) -> BillLine:
        """Raise ValueError for a cell that is none."""
        (
            at, _, account, merchant, _, trade_no, number, _, _, state, _, currency, settle, coupon,
            refund_trade_no, refund_no, settle_back, coupon_back, _, refund_state, _, _, fee_text,
            _, amount_text, asked_text, _,
        ) = cells  # fmt: skip
        money, sums = self._money, self._sums
        at_ms, day = self._instants.read(at)
        fee = self._fees[fee_text]
        amount, owed, given = money[amount_text], money[settle], money[coupon]
        sums.settle += owed
        sums.fee += fee
        sums.amount += amount
        if account != self._account:
            self._account = self._only(account)
        if state == "SUCCESS":
            if day != self._bill_date and self._bill_date is not None:
                raise ValueError("a payment of another day than the bill was asked for")
            kind, line_state = _PAYMENT, _SUCCEEDED
            refund_no = refund_trade_no = ""
            if settle_back != "0.00" or asked_text != "0.00" or coupon_back != "0.00":
                sums.add_refund(money[settle_back], money[coupon_back], money[asked_text])
        else:
            kind, amount, fee = BillKind.REFUND, money[asked_text], -fee
            owed, given = money[settle_back], money[coupon_back]
            sums.add_refund(owed, given, amount)
            line_state = _refund_state(state, refund_state, refund_no)
            if line_state is BillState.REVERSED:
                refund_no = ""
            refund_trade_no = "" if refund_trade_no == "0" else refund_trade_no
        if not 0 <= given <= owed <= amount or fee < 0 or not number or not trade_no:
            raise ValueError("amounts or numbers that contradict each other")
        # Shown finer than it is charged: half up to the fen, as it is charged.
        return BillLine(
            CHANNEL, account, kind, number, refund_no, trade_no, refund_trade_no, at_ms,
            self._bill_date or day, line_state, _CURRENCIES[currency], amount, owed, owed - given,
            given, amount - owed, (fee + FEE_PER_FEN // 2) // FEE_PER_FEN,
            "" if merchant == "0" else merchant, row,
        )  # fmt: skip

    def _only(self, account: str) -> str:
        if self._account or not account:
            raise ValueError("a line of another merchant number, or of none")
        return account

    def _foot(self, foot: list[str], last: int) -> None:
        """Raise BillRefused unless there is a foot, and it says what was read."""
        while foot and not foot[-1]:
            foot.pop()
            last -= 1
        if not foot or foot[0] != FOOT or len(foot) != 2:
            raise BillRefused("the foot is missing, or is another: the file is cut", last)
        cells = foot[1].removeprefix("`").split(",`")
        said = self._sums.cells()
        if not foot[1].startswith("`") or len(cells) != len(said):
            raise BillRefused("the sums have another number of cells", last)
        names = FOOT.split(",")
        for name, cell, computed in zip(names, cells, said, strict=True):
            try:
                same = self._fees[cell] == self._fees[computed]
            except ValueError:
                raise BillRefused(f"{name} is no number", last) from None
            if not same:
                raise BillRefused(f"{name} is not what the lines add up to", last)


def _refund_state(state: str, refund_state: str, refund_no: str) -> BillState:
    """Raise ValueError for a state that nobody documented."""
    if state == "REVOKED":
        return BillState.REVERSED
    known = _REFUND_STATES.get(refund_state)
    if state != "REFUND" or known is None:
        raise ValueError("a state that is not documented")
    if refund_no in ("", "0"):
        raise ValueError("a refund without a number")
    return known
