"""WeChat Pay's bill of divided money (分账账单): written by the sandbox, read strictly.

Source: WeChat Pay API v3, "profit sharing", the bill: laid out as the bill of payments, a line for
each part that was paid or taken back; what did not succeed is in no bill. The documents show no
columns. Those up to 处理状态 are as other people's programs read them, and so is 总条数 in the
foot; the rest is our reading: docs/BILLS.md says what.
"""

import gzip
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from payments.bills.lines import BillKind, BillRefused
from payments.bills.shares import SHARES_MAX, ShareLine
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
_FRONT: Final = (
    "分账时间,分账发起方,分账方,微信订单号,微信分账/回退单号,分账明细单号,商户分账/回退单号,"
    "订单金额,分账接收方,分账金额,业务类型,处理状态"
)
HEAD: Final = f"{_FRONT},分账描述,备注"
HEADS: Final = {HEAD: 14, f"{_FRONT},备注": 13}
"""The layouts that are read, with their columns. The first is written."""

FOOT: Final = "总条数,分账总金额,分账回退总金额"
PAID: Final = "分账"
TAKEN_BACK: Final = "分账回退"
DONE: Final = "成功"
_KINDS: Final = {
    PAID: BillKind.SHARE,
    TAKEN_BACK: BillKind.SHARE_RETURN,
    "回退": BillKind.SHARE_RETURN,
}
_DONE: Final = frozenset({DONE, "SUCCESS", "处理成功", "分账成功", "回退成功"})
_REMEDY: Final = "fetch the file again; if it stays so, its layout is another than the one we know"


class _Sums:
    """What the foot says: a count, and what was paid and taken back, in fen."""

    def __init__(self) -> None:
        self.count = self.paid = self.back = 0

    def add(self, line: ShareLine) -> None:
        self.count += 1
        if line.kind is BillKind.SHARE:
            self.paid += line.amount
        else:
            self.back += line.amount

    def cells(self) -> tuple[str, ...]:
        return str(self.count), decimal(self.paid), decimal(self.back)


def write(lines: Iterable[ShareLine]) -> Iterator[bytes]:
    """The file's parts, in order."""
    sums = _Sums()
    yield f"{BOM}{HEAD}\r\n".encode()
    for line in lines:
        sums.add(line)
        cells = (
            china_text(line.at_ms),
            line.account,
            line.merchant or line.account,
            line.channel_trade_no,
            line.channel_number,
            line.detail_number,
            line.number,
            decimal(line.order_amount),
            line.receiver,
            decimal(line.amount),
            PAID if line.kind is BillKind.SHARE else TAKEN_BACK,
            DONE,
            plain(line.text),
            "",
        )
        yield f"`{',`'.join(cells)}\r\n".encode()
    yield f"{FOOT}\r\n`{',`'.join(sums.cells())}\r\n".encode()


def read(file: BinaryIO, bill_date: int | None = None) -> Iterator[ShareLine]:
    """The lines of a bill, plain or gzip, from a seekable file. Raise BillRefused.

    `bill_date`: the day it was asked for, yyyymmdd: a line of another day is refused. Believe
    nothing before the iterator has ended.
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
        self._columns = 0
        self._account = ""
        self._sums = _Sums()
        self._money = Decimals(2)
        self._instants = Instants()

    def lines(self, text: Iterator[tuple[int, list[str]]]) -> Iterator[ShareLine]:
        foot: list[str] = []
        last = 0
        for first, block in text:
            for row, line in enumerate(block, first):
                last = row
                if row == 1:
                    self._head(line)
                elif foot or not line.startswith("`"):
                    if line:
                        foot.append(line)
                    if len(foot) > 2:
                        raise BillRefused("lines after the foot", row)
                else:
                    yield self._counted(row, line)
        self._foot(foot, last)

    def _head(self, line: str) -> None:
        self._columns = HEADS.get(line.removeprefix(BOM), 0)
        if not self._columns:
            raise BillRefused("the columns are not those of a bill of divided money", 1, _REMEDY)

    def _counted(self, row: int, line: str) -> ShareLine:
        try:
            made = self._line(row, line[1:].split(",`"))
        except ValueError as error:
            raise BillRefused(str(error), row, _REMEDY) from None
        self._sums.add(made)
        if self._sums.count > SHARES_MAX:
            raise BillRefused(f"more than {SHARES_MAX} lines", row)
        return made

    def _line(self, row: int, cells: list[str]) -> ShareLine:
        """Raise ValueError for a cell that is none."""
        if len(cells) != self._columns:
            raise ValueError("a line with another number of cells")
        (
            at, asker, owner, trade_no, channel_number, detail, number, order_amount, receiver,
            amount, kind, state, *rest,
        ) = cells  # fmt: skip
        if kind not in _KINDS or state not in _DONE:
            raise ValueError("a kind or a state that nobody documented")
        if not (asker and owner and trade_no and number and receiver):
            raise ValueError("a line without a party or a number")
        self._account = self._account or asker
        if asker != self._account:
            raise ValueError("lines of two accounts of the channel")
        minor = self._money[amount]
        if not 0 < minor <= self._money[order_amount]:
            raise ValueError("an amount that contradicts itself")
        at_ms, date = self._instants.read(at)
        if self._bill_date not in (None, date):
            raise ValueError("a line of another day than the bill's")
        return ShareLine(
            CHANNEL, asker, _KINDS[kind], number, channel_number, detail, trade_no, receiver,
            at_ms, date, minor, self._money[order_amount],
            "" if owner == asker else owner, rest[0], row,
        )  # fmt: skip

    def _foot(self, foot: list[str], last: int) -> None:
        """Raise BillRefused unless the foot says what was read."""
        if not self._columns or len(foot) != 2 or foot[0] != FOOT:
            raise BillRefused("the foot is missing, or is another: the file is cut", last)
        said, cells = self._sums.cells(), foot[1].removeprefix("`").split(",`")
        if not foot[1].startswith("`") or len(cells) != len(said):
            raise BillRefused("the sums have another number of cells", last)
        for name, cell, computed in zip(FOOT.split(","), cells, said, strict=True):
            try:
                same = self._money[cell] == self._money[computed]
            except ValueError:
                raise BillRefused(f"{name} is no number", last) from None
            if not same:
                raise BillRefused(f"{name} is not what the lines add up to", last)
