"""Alipay's bill (业务明细): a zip of two GBK texts, written by the sandbox, read strictly.

Source: `alipay.data.dataservice.bill.downloadurl.query`, bill_type trade: the details and the
summary, head and foot in lines that begin with #, a TAB behind each text, refunds negative. What
the documents leave open is said in docs/BILLS.md.
"""

import io
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, BinaryIO, Final

from msgspec import Struct

from payments.bills.lines import LINES_MAX, BillKind, BillLine, BillRefused, BillState
from payments.bills.text import (
    DAMAGE,
    Decimals,
    Instants,
    blocks,
    china_text,
    decimal,
    next_date,
    plain,
)

CHANNEL: Final = "alipay"
ENCODING: Final = "gbk"
ACCOUNT_SUFFIX: Final = "0156"
"""The account's number in a bill: the PID and the number of its account in yuan."""

MEMBERS_MAX: Final = 8
"""Files in the zip; there are two."""

DETAILS: Final = "_业务明细.csv"
SUMMARY: Final = "_业务明细(汇总).csv"
_UNREADABLE: Final = (*DAMAGE, ValueError, OverflowError, struct.error)
"""What opening raises for a table of contents that is changed: it is read before any checksum."""

_PACKED: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

COLUMNS: Final = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,"
    "对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,"
    "商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,"
    "退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SUMMARY_COLUMNS: Final = (
    "门店编号,门店名称,交易订单总笔数,退款订单总笔数,订单金额（元）,商家实收（元）,"
    "支付宝优惠（元）,商家优惠（元）,卡消费金额（元）,服务费（元）,分润（元）,实收净额（元）"
)
PAYMENT: Final = "交易"
REFUND: Final = "退款"
TOTAL: Final = "合计"
_COLUMNS: Final = 25
_TEXTS: Final = 11
"""The first columns, each with a TAB behind its text."""

_RULE: Final = "-" * 40
_REMEDY: Final = "fetch the file again; if it stays so, its layout is not the documented one"

_ACCOUNT: Final = re.compile(r"#账号：\[([0-9]{1,32})\]")
_PERIOD: Final = re.compile(
    r"#起始日期：\[([0-9]{4})年([0-9]{2})月([0-9]{2})日 00:00:00\]\s+"
    r"终止日期：\[([0-9]{4})年([0-9]{2})月([0-9]{2})日 00:00:00\]"
)
_PAID: Final = re.compile(
    r"#交易合计：([0-9]+)笔，商家实收共(-?[0-9.]+)元，商家优惠共(-?[0-9.]+)元"
)
_BACK: Final = re.compile(
    r"#退款合计：([0-9]+)笔，商家实收退款共(-?[0-9.]+)元，商家优惠退款共(-?[0-9.]+)元"
)


class Details(Struct, frozen=True):
    """What the file says besides, and no reader needs."""

    subject: str = ""
    created_ms: int = 0
    store: str = ""
    terminal: str = ""
    buyer: str = ""


class Sums:
    """What foot and summary say, refunds negative, in fen."""

    def __init__(self) -> None:
        self.payments = self.refunds = 0
        self.paid = self.paid_discount = self.back = self.back_discount = 0
        self.amount = self.discount_channel = self.fee = 0

    def add(
        self, is_payment: bool, amount: int, settle: int, channel: int, own: int, fee: int
    ) -> None:
        """Count a line as the file has it: what a refund gives back is below zero."""
        self.amount += amount
        self.discount_channel += channel
        self.fee += fee
        if is_payment:
            self.payments += 1
            self.paid += settle
            self.paid_discount += own
        else:
            self.refunds += 1
            self.back += settle
            self.back_discount += own

    def summary(self) -> tuple[str, ...]:
        """The cells of the summary's last line, behind its name."""
        settle = self.paid + self.back
        return (
            str(self.payments),
            str(self.refunds),
            decimal(self.amount),
            decimal(settle),
            decimal(self.discount_channel),
            decimal(self.paid_discount + self.back_discount),
            decimal(0),
            decimal(self.fee),
            decimal(0),
            decimal(settle + self.fee),
        )


# --- writing -------------------------------------------------------------------------------------


def write(
    account: str,
    bill_date: int,
    lines: Iterable[tuple[BillLine, Details]],
    exported_ms: int,
) -> bytes:
    """The zip. `account`: the PID. `exported_ms`: when the file was made, told in its foot."""
    sums = Sums()
    packed = io.BytesIO()
    stem = f"{account}{ACCOUNT_SUFFIX}_{bill_date}"
    with zipfile.ZipFile(packed, "w") as archive:
        with archive.open(_member(stem + DETAILS), "w") as file:
            for part in _details(account, bill_date, lines, sums, exported_ms):
                file.write(part.encode(ENCODING, "replace"))
        with archive.open(_member(stem + SUMMARY), "w") as file:
            text = "".join(_summary(account, bill_date, sums, exported_ms))
            file.write(text.encode(ENCODING))
    return packed.getvalue()


class _Named(zipfile.ZipInfo):
    """A member whose name is written as the channel writes it: in GBK, without saying so.

    Should a newer zipfile not ask, names come in UTF-8 and say so, which readers take as well.
    """

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode(ENCODING), self.flag_bits


def _member(name: str) -> zipfile.ZipInfo:
    member = _Named(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    return member


def _head(title: str, account: str, bill_date: int) -> str:
    first, after = (
        f"{day // 10_000:04d}年{day // 100 % 100:02d}月{day % 100:02d}日 00:00:00"
        for day in (bill_date, next_date(bill_date))
    )
    return (
        f"#支付宝{title}查询\r\n#账号：[{account}{ACCOUNT_SUFFIX}]\r\n"
        f"#起始日期：[{first}]   终止日期：[{after}]\r\n#{_RULE}{title}列表{_RULE}\r\n"
    )


def _details(
    account: str,
    bill_date: int,
    lines: Iterable[tuple[BillLine, Details]],
    sums: Sums,
    exported_ms: int,
) -> Iterator[str]:
    yield _head("业务明细", account, bill_date) + COLUMNS + "\r\n"
    for line, details in lines:
        yield _row(line, details, sums)
    yield (
        f"#{_RULE}业务明细列表结束{_RULE}\r\n"
        f"#交易合计：{sums.payments}笔，商家实收共{decimal(sums.paid)}元，"
        f"商家优惠共{decimal(sums.paid_discount)}元\r\n"
        f"#退款合计：{sums.refunds}笔，商家实收退款共{decimal(sums.back)}元，"
        f"商家优惠退款共{decimal(sums.back_discount)}元\r\n"
        f"#导出时间：[{china_text(exported_ms)}]\r\n"
    )


def _row(line: BillLine, details: Details, sums: Sums) -> str:
    is_payment = line.kind is BillKind.PAYMENT
    sign = 1 if is_payment else -1
    amount, settle = sign * line.amount, sign * line.settle_amount
    channel, own = sign * line.discount_channel, sign * line.discount_merchant
    fee = -sign * line.fee
    sums.add(is_payment, amount, settle, channel, own, fee)
    at = china_text(line.at_ms)
    texts = (
        line.channel_trade_no,
        line.out_trade_no,
        PAYMENT if is_payment else REFUND,
        plain(details.subject),
        china_text(details.created_ms) if details.created_ms else at,
        at,
        plain(details.store),
        "",
        "",
        plain(details.terminal),
        details.buyer,
    )
    amounts = (amount, settle, 0, 0, channel, own, 0)
    cells = (
        *(f"{text}\t" for text in texts),
        *map(decimal, amounts),
        "\t",
        decimal(0),
        decimal(0),
        f"{line.out_refund_no}\t",
        decimal(fee),
        decimal(0),
        "\t",
    )
    return ",".join(cells) + "\r\n"


def _summary(account: str, bill_date: int, sums: Sums, exported_ms: int) -> Iterator[str]:
    yield _head("业务汇总", account, bill_date) + SUMMARY_COLUMNS + "\r\n"
    yield f"{TOTAL}\t,\t,{','.join(sums.summary())}\r\n"
    yield f"#{_RULE}业务汇总列表结束{_RULE}\r\n#导出时间：[{china_text(exported_ms)}]\r\n"


# --- reading -------------------------------------------------------------------------------------


def read(file: BinaryIO, bill_date: int | None = None) -> Iterator[BillLine]:
    """The lines of a bill from a seekable zip. Raise BillRefused.

    `bill_date`: the day it was asked for; the file must be about it. Believe nothing before the
    iterator has ended.
    """
    try:
        with zipfile.ZipFile(file, metadata_encoding=ENCODING) as archive:
            details, summary = _members(archive)
            reader = _Reader(bill_date, details.filename)
            with archive.open(details) as text:
                yield from reader.lines(_blocks(text, details))
            with archive.open(summary) as text:
                reader.check_summary(_blocks(text, summary))
    except _UNREADABLE:
        raise BillRefused("not a zip, or one that is cut or damaged") from None


def damage(content: bytes) -> str:
    """What is wrong with a zip's bytes, or nothing: its texts are read to the end, for their
    checksums, and not understood.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content), metadata_encoding=ENCODING) as archive:
            for member in _members(archive):
                with archive.open(member) as text:
                    for _ in _blocks(text, member):
                        continue
    except BillRefused as refused:
        return refused.why
    except _UNREADABLE:
        return "not a zip, or one that is cut or damaged"
    return ""


def _members(archive: zipfile.ZipFile) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo]:
    members = archive.infolist()
    if len(members) > MEMBERS_MAX:
        raise BillRefused(f"more than {MEMBERS_MAX} files in the zip")
    details = [member for member in members if member.filename.endswith(DETAILS)]
    summary = [member for member in members if member.filename.endswith(SUMMARY)]
    if len(details) != 1 or len(summary) != 1:
        raise BillRefused("the zip does not hold one file of details and one summary", 0, _REMEDY)
    if any(member.compress_type not in _PACKED for member in (*details, *summary)):
        raise BillRefused("the zip is packed in a way that bills are not")
    return details[0], summary[0]


def _blocks(text: IO[bytes], member: zipfile.ZipInfo) -> Iterator[tuple[int, list[str]]]:
    return blocks(text, ENCODING, lambda: member.compress_size)  # type: ignore[arg-type]


class _Reader:
    """One reading: head, lines, foot, then the summary, in this order."""

    def __init__(self, bill_date: int | None, name: str) -> None:
        self._asked = bill_date
        self._name = name
        self._date = 0
        self._account = ""
        self._sums = Sums()
        self._money = Decimals(2, signed=True)
        self._instants = Instants()

    def lines(self, text: Iterator[tuple[int, list[str]]]) -> Iterator[BillLine]:
        head: list[str] = []
        foot: list[str] = []
        last = 0
        for first, block in text:
            rows, last = block, first + len(block) - 1
            if not head:
                head, rows, first = block[:5], block[5:], first + 5
                self._head(head, "业务明细", COLUMNS)
            if not foot:
                made = self._rows(first, rows)
                yield from made
                rows = rows[len(made) :]
            foot += [row for row in rows if row]
            if len(foot) > 4:
                raise BillRefused("lines after the foot", last)
        self._foot(foot, last)

    def _head(self, head: list[str], title: str, columns: str) -> None:
        """Raise BillRefused. Whose bill it is, and of which day."""
        if len(head) < 5 or head[0] != f"#支付宝{title}查询" or f"{title}列表" not in head[3]:
            raise BillRefused(f"not the head of an Alipay bill ({title})", 1, _REMEDY)
        if head[4] != columns:
            raise BillRefused("the columns are not the documented ones", 5, _REMEDY)
        account, period = _ACCOUNT.fullmatch(head[1]), _PERIOD.fullmatch(head[2])
        if account is None or period is None:
            raise BillRefused("no account, or no day of the bill", 2 if account is None else 3)
        first = int("".join(period.groups()[:3]))
        after = int("".join(period.groups()[3:]))
        try:
            is_day = after == next_date(first)
        except ValueError:
            is_day = False
        if not is_day or self._asked not in (None, first):
            raise BillRefused(
                "not the bill of the one day that was asked for", 3, "ask for it by its day"
            )
        number = account[1].removesuffix(ACCOUNT_SUFFIX)
        if self._date and (first, number) != (self._date, self._account):
            raise BillRefused("the summary is of another account or day", 2)
        if not self._name.endswith(f"{account[1]}_{first}{DETAILS}"):
            raise BillRefused("the file's name says another account or day", 2)
        self._date, self._account = first, number

    def _rows(self, first: int, texts: list[str]) -> list[BillLine]:
        made: list[BillLine] = []
        line_of = self._line
        try:
            for row, text in enumerate(texts, first):
                if text.startswith("#") or not text:
                    break
                made.append(line_of(row, text.split("\t,", _TEXTS)))
        except ValueError as error:
            raise BillRefused(str(error), first + len(made)) from None
        if self._sums.payments + self._sums.refunds > LINES_MAX:
            raise BillRefused(f"more than {LINES_MAX} lines", first)
        return made

    def _line(self, row: int, cells: list[str]) -> BillLine:
        """Raise ValueError for a cell that is none."""
        rest = cells[-1].split(",")
        if len(cells) != _TEXTS + 1 or len(rest) != _COLUMNS - _TEXTS:
            raise ValueError("a line with another number of cells")
        trade_no, number, kind, _, _, at, _, _, _, _, _, _ = cells
        (
            amount_text, settle_text, red, points, channel_text, own_text, _, _, own_red, _,
            refund_no, fee_text, _, _,
        ) = rest  # fmt: skip
        money = self._money
        at_ms, _ = self._instants.read(at)
        amount, settle, fee = money[amount_text], money[settle_text], money[fee_text]
        channel, own = money[channel_text], money[own_text]
        is_payment = kind == PAYMENT
        self._sums.add(is_payment, amount, settle, channel, own, fee)
        if red != "0.00" or points != "0.00":
            channel += money[red] + money[points]
        if own_red != "0.00":
            own += money[own_red]
        state, refund_no = _SUCCEEDED, refund_no.rstrip("\t")
        if is_payment:
            line_kind, fee, refund_no = _PAYMENT, -fee, ""
        elif kind == REFUND:
            line_kind = BillKind.REFUND
            amount, settle, channel, own = -amount, -settle, -channel, -own
            state = _SUCCEEDED if refund_no else BillState.REVERSED
        else:
            raise ValueError("neither a payment nor a refund")
        payer = amount - channel - own
        if min(amount, settle, channel, own, payer, fee) < 0 or settle > amount:
            raise ValueError("amounts that contradict each other")
        if not number or not trade_no:
            raise ValueError("a line without its numbers")
        return BillLine(
            CHANNEL, self._account, line_kind, number, refund_no, trade_no, "", at_ms, self._date,
            state, "cny", amount, settle, payer, channel, own, fee, "", row,
        )  # fmt: skip

    def _foot(self, foot: list[str], last: int) -> None:
        """Raise BillRefused unless there is a foot, and it says what was read."""
        if (
            len(foot) != 4
            or "业务明细列表结束" not in foot[0]
            or not foot[3].startswith("#导出时间")
        ):
            raise BillRefused("the foot is missing, or is another: the file is cut", last)
        sums = self._sums
        for text, form, computed in (
            (foot[1], _PAID, (sums.payments, sums.paid, sums.paid_discount)),
            (foot[2], _BACK, (sums.refunds, sums.back, sums.back_discount)),
        ):
            found = form.fullmatch(text)
            if found is None:
                raise BillRefused("sums of another form", last)
            self._compare((str(computed[0]), *map(decimal, computed[1:])), found.groups(), last)

    def check_summary(self, text: Iterator[tuple[int, list[str]]]) -> None:
        """Raise BillRefused unless the summary says what was read."""
        rows = [row for _, block in text for row in block if row]
        self._head(rows[:5], "业务汇总", SUMMARY_COLUMNS)
        if len(rows) < 8 or not rows[-1].startswith("#导出时间"):
            raise BillRefused("the summary is cut", len(rows))
        total = rows[-3].split(",")
        if total[0].rstrip("\t") != TOTAL or "业务汇总列表结束" not in rows[-2]:
            raise BillRefused("the summary has no total", len(rows) - 2)
        self._compare(self._sums.summary(), tuple(total[2:]), len(rows) - 2)

    def _compare(self, computed: tuple[str, ...], said: tuple[str, ...], row: int) -> None:
        money = self._money
        try:
            same = [money[text] for text in computed] == [money[text] for text in said]
        except ValueError:
            raise BillRefused("a sum is no number", row) from None
        if not same:
            raise BillRefused("a count or sum is not what the lines add up to", row)


# Looked up once: they are needed a million times.
_PAYMENT, _SUCCEEDED = BillKind.PAYMENT, BillState.SUCCEEDED
