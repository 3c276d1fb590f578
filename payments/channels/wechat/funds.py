"""WeChat Pay's bill of an account's movements (资金账单): written by the sandbox, read strictly.

Source: WeChat Pay API v3, "bills": laid out as the bill of payments, with a line for each change of
the balance and a foot of counts and sums. Each line's balance must follow from the one before.
"""

import gzip
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

from msgspec import Struct

from payments.bills.lines import LINES_MAX, BillRefused
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

HEAD: Final = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),"
    "资金变更提交申请人,备注,业务凭证号"
)
FOOT: Final = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"
INCOME: Final = "收入"
EXPENSE: Final = "支出"
_COLUMNS: Final = 11


class FundLine(Struct, frozen=True, gc=False):
    """One change of an account's balance. Amounts in fen; `change` below 0 is an expense.

    `trade_no`: WeChat Pay's number of the payment or refund; `flow_no`: of this movement.
    """

    at_ms: int
    trade_no: str
    flow_no: str
    name: str
    kind: str
    change: int
    balance: int
    applicant: str = ""
    remark: str = ""
    voucher: str = ""
    row: int = 0


def write(lines: Iterable[FundLine]) -> Iterator[bytes]:
    """The file's parts, in order."""
    sums = _Sums()
    yield f"{BOM}{HEAD}\r\n".encode()
    for line in lines:
        sums.add(line.change)
        cells = (
            china_text(line.at_ms),
            line.trade_no,
            line.flow_no,
            plain(line.name),
            plain(line.kind),
            INCOME if line.change >= 0 else EXPENSE,
            decimal(abs(line.change)),
            decimal(line.balance),
            plain(line.applicant),
            plain(line.remark),
            line.voucher,
        )
        yield f"`{',`'.join(cells)}\r\n".encode()
    yield f"{FOOT}\r\n`{',`'.join(sums.cells())}\r\n".encode()


def read(file: BinaryIO) -> Iterator[FundLine]:
    """The lines of a bill, plain or gzip, from a seekable file. Raise BillRefused.

    Believe nothing before the iterator has ended.
    """
    if not is_gzip(file):
        yield from _read(blocks(file, "utf-8"))
        return
    with gzip.GzipFile(fileobj=file) as unpacked:
        yield from _read(blocks(unpacked, "utf-8", file.tell))  # type: ignore[arg-type]


class _Sums:
    def __init__(self) -> None:
        self.incomes = self.income = self.expenses = self.expense = 0

    def add(self, change: int) -> None:
        if change >= 0:
            self.incomes += 1
            self.income += change
        else:
            self.expenses += 1
            self.expense -= change

    def cells(self) -> tuple[str, ...]:
        return (
            str(self.incomes + self.expenses),
            str(self.incomes),
            decimal(self.income),
            str(self.expenses),
            decimal(self.expense),
        )


def _read(text: Iterator[tuple[int, list[str]]]) -> Iterator[FundLine]:
    money, instants, sums = Decimals(2, signed=True), Instants(), _Sums()
    balance: int | None = None
    foot: list[str] = []
    last = 0
    for first, block in text:
        for row, line in enumerate(block, first):
            last = row
            if row == 1:
                if line.removeprefix(BOM) != HEAD:
                    raise BillRefused("the columns are not those of a bill of movements", 1)
                continue
            if foot or not line.startswith("`"):
                if line:
                    foot.append(line)
                if len(foot) > 2:
                    raise BillRefused("lines after the foot", row)
                continue
            try:
                made = _line(row, line[1:].split(",`"), money, instants)
            except ValueError as error:
                raise BillRefused(str(error), row) from None
            if balance is not None and balance + made.change != made.balance:
                raise BillRefused("the balance does not follow from the line before", row)
            balance = made.balance
            sums.add(made.change)
            if row > LINES_MAX:
                raise BillRefused(f"more than {LINES_MAX} lines", row)
            yield made
    if len(foot) != 2 or foot[0] != FOOT:
        raise BillRefused("the foot is missing, or is another: the file is cut", last)
    _check(foot[1], sums.cells(), money, last)


def _line(row: int, cells: list[str], money: Decimals, instants: Instants) -> FundLine:
    """Raise ValueError for a cell that is none."""
    if len(cells) != _COLUMNS:
        raise ValueError("a line with another number of cells")
    at, trade_no, flow_no, name, kind, direction, amount, balance, applicant, remark, voucher = (
        cells
    )
    change = money[amount]
    if change < 0 or direction not in (INCOME, EXPENSE) or not flow_no:
        raise ValueError("an amount or a direction that contradicts itself")
    at_ms, _ = instants.read(at)
    change = change if direction == INCOME else -change
    return FundLine(
        at_ms, trade_no, flow_no, name, kind, change, money[balance], applicant, remark, voucher,
        row,
    )  # fmt: skip


def _check(foot: str, said: tuple[str, ...], money: Decimals, row: int) -> None:
    """Raise BillRefused unless the foot says what was read."""
    cells = foot.removeprefix("`").split(",`")
    if not foot.startswith("`") or len(cells) != len(said):
        raise BillRefused("the sums have another number of cells", row)
    for name, cell, computed in zip(FOOT.split(","), cells, said, strict=True):
        try:
            same = money[cell] == money[computed]
        except ValueError:
            raise BillRefused(f"{name} is no number", row) from None
        if not same:
            raise BillRefused(f"{name} is not what the lines add up to", row)
