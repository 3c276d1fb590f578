"""The bill of UnionPay's sandbox: an invented layout, for no public description shows a real one.

UTF-8, lines that end with LF, cells parted by |, amounts in fen, instants as the wire has them
(yyyyMMddHHmmss in China). One line of head (H), lines of payments (P), refunds (R) and reversals
(V), one of foot (T) with counts, sums and the SHA-256 of every byte before it.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import BinaryIO, Final

from msgspec import Struct

from payments.bills.lines import (
    LINES_MAX,
    BillKind,
    BillLine,
    BillRefused,
    BillState,
    BillTotals,
)
from payments.bills.text import Decimals, Instants, blocks, china_text

CHANNEL: Final = "unionpay"
LAYOUT: Final = "tillway sandbox bill 1"
CNY_NUMBER: Final = "156"
_COLUMNS: Final = 15
_FOOT_COLUMNS: Final = 10
_MARKS: Final = {
    "P": (BillKind.PAYMENT, BillState.SUCCEEDED),
    "R": (BillKind.REFUND, BillState.SUCCEEDED),
    "V": (BillKind.REFUND, BillState.REVERSED),
}
_REMEDY: Final = "fetch the file again; only bills of the sandbox have this layout"


class Head(Struct, frozen=True):
    """Whose bill, and of which day (yyyymmdd). `account`: serProvId."""

    account: str
    bill_date: int


def write(head: Head, lines: Iterable[BillLine]) -> Iterator[bytes]:
    """The file's parts, in order."""
    totals, digest = BillTotals(), sha256()
    cells: tuple[object, ...] = ("H", LAYOUT, head.account, head.bill_date, CNY_NUMBER)
    part = _line_of(cells)
    digest.update(part)
    yield part
    for line in lines:
        totals.add(line)
        part = _line_of(_cells(line))
        digest.update(part)
        yield part
    yield _line_of(("T", *_sums(totals), digest.hexdigest()))


def _line_of(cells: Iterable[object]) -> bytes:
    return ("|".join(map(str, cells)) + "\n").encode()


def _cells(line: BillLine) -> tuple[object, ...]:
    mark = "P" if line.kind is BillKind.PAYMENT else "R"
    at = china_text(line.at_ms)
    return (
        "V" if line.state is BillState.REVERSED else mark,
        line.merchant,
        line.out_trade_no,
        line.out_refund_no,
        line.channel_trade_no,
        line.channel_refund_no,
        at.translate(_NOTHING_BETWEEN),
        line.amount,
        line.settle_amount,
        line.payer_amount,
        line.discount_channel,
        line.discount_merchant,
        line.fee,
        line.currency,
        line.bill_date,
    )


def _sums(totals: BillTotals) -> tuple[int, ...]:
    return (
        totals.payments,
        totals.refunds,
        totals.amount,
        totals.settle_amount,
        totals.fee,
        totals.refunded,
        totals.settle_returned,
        totals.fee_returned,
    )


def read(file: BinaryIO, bill_date: int | None = None) -> Iterator[BillLine]:
    """The lines of a bill. Raise BillRefused.

    `bill_date`: the day it was asked for; the file must be about it. Believe nothing before the
    iterator has ended.
    """
    yield from _Reader(bill_date).lines(blocks(file, "utf-8"))


class _Reader:
    """One reading. The foot is checked against what was read."""

    def __init__(self, bill_date: int | None) -> None:
        self._asked = bill_date
        self._head = Head("", 0)
        self._totals = BillTotals()
        self._digest = sha256()
        self._fen = Decimals(0)
        self._instants = Instants()

    def lines(self, text: Iterator[tuple[int, list[str]]]) -> Iterator[BillLine]:
        foot: list[str] = []
        last = 0
        for first, block in text:
            rows, last = block, first + len(block) - 1
            if first == 1:
                self._read_head(block[0])
                first, rows = 2, block[1:]
            if not foot:
                made = self._rows(first, rows)
                yield from made
                self._digest.update("".join(f"{row}\n" for row in rows[: len(made)]).encode())
                rows = rows[len(made) :]
            foot += rows
            if len(foot) > 1:
                raise BillRefused("lines after the foot", last)
        self._check_foot(foot[0] if foot else "", last)

    def _read_head(self, text: str) -> None:
        cells = text.split("|")
        if len(cells) != 5 or (cells[0], cells[1], cells[4]) != ("H", LAYOUT, CNY_NUMBER):
            raise BillRefused("not the head of a bill of UnionPay's sandbox", 1, _REMEDY)
        try:
            self._head = Head(cells[2], self._fen[cells[3]])
        except ValueError:
            raise BillRefused("the day is no number", 1) from None
        if self._asked not in (None, self._head.bill_date):
            raise BillRefused("the bill of another day than was asked for", 1)
        self._digest.update(f"{text}\n".encode())

    def _rows(self, first: int, texts: list[str]) -> list[BillLine]:
        made: list[BillLine] = []
        try:
            for row, text in enumerate(texts, first):
                if text.startswith("T"):
                    break
                made.append(self._line(row, text.split("|")))
        except ValueError as error:
            raise BillRefused(str(error), first + len(made)) from None
        if self._totals.payments + self._totals.refunds > LINES_MAX:
            raise BillRefused(f"more than {LINES_MAX} lines", first)
        return made

    def _line(self, row: int, cells: list[str]) -> BillLine:
        """Raise ValueError for a cell that is none."""
        if len(cells) != _COLUMNS:
            raise ValueError("a line with another number of cells")
        (
            mark, merchant, number, refund_no, trade_no, refund_trade_no, at, amount_text,
            settle_text, payer_text, channel_text, own_text, fee_text, currency, day,
        ) = cells  # fmt: skip
        if mark not in _MARKS:
            raise ValueError("neither a payment, a refund nor a reversal")
        kind, state = _MARKS[mark]
        fen, head = self._fen, self._head
        amount, settle, payer = fen[amount_text], fen[settle_text], fen[payer_text]
        channel, own = fen[channel_text], fen[own_text]
        if amount != settle + own or settle != payer + channel:
            raise ValueError("amounts that contradict each other")
        if fen[day] != head.bill_date or currency != "cny" or len(at) != len("yyyyMMddHHmmss"):
            raise ValueError("a line of another day or currency")
        if not number or not trade_no or (mark == "R") != bool(refund_no):
            raise ValueError("a line without its numbers")
        spelled = f"{at[:4]}-{at[4:6]}-{at[6:8]} {at[8:10]}:{at[10:12]}:{at[12:]}"
        at_ms, _ = self._instants.read(spelled)
        line = BillLine(
            CHANNEL, head.account, kind, number, refund_no, trade_no, refund_trade_no, at_ms,
            head.bill_date, state, currency, amount, settle, payer, channel, own, fen[fee_text],
            merchant, row,
        )  # fmt: skip
        self._totals.add(line)
        return line

    def _check_foot(self, text: str, last: int) -> None:
        """Raise BillRefused unless there is a foot, and it says what was read."""
        cells = text.split("|")
        if len(cells) != _FOOT_COLUMNS or cells[0] != "T":
            raise BillRefused("the foot is missing: the file is cut", last)
        if cells[1:-1] != [str(number) for number in _sums(self._totals)]:
            raise BillRefused("a count or sum is not what the lines add up to", last)
        if cells[-1] != self._digest.hexdigest():
            raise BillRefused("the SHA-256 is of other bytes", last)


_NOTHING_BETWEEN: Final = str.maketrans("", "", "- :")
