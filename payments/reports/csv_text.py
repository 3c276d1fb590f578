"""A table as CSV (RFC 4180): commas, quotes where needed, CRLF, one header line.

Spreadsheets take a cell that begins like a formula for one, whoever wrote it: a payment's subject
could so send a reader's other cells away. Such text gets an apostrophe in front (OWASP, "CSV
Injection"); amounts are numbers that we made, and keep their minus.

Excel also takes digits for a number, and shows another: 000123 becomes 123, and a channel's number
of 28 digits keeps 15 of them. In a file that is meant for Excel (with a byte order mark) such text
has a TAB behind it, which makes it text there and is not seen, as in Alipay's own bills.
"""

import csv
import re
from collections.abc import Callable, Iterator
from typing import Final

from payments.reports.tables import Kind, Table, Tally, Texts

BOM: Final = "\ufeff"
"""Tells Excel that the text is UTF-8."""
FORMULA_STARTS: Final = tuple("=+-@\t\r\n＝＋－＠")
GUARD: Final = "'"
NO_NUMBER: Final = "\t"
_MONTH: Final = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_CHANGED_BY_EXCEL: Final = re.compile(
    r"0[0-9]+|[0-9]{16,}|[0-9]+\.?[0-9]*e[+-]?[0-9]+|true|false"
    rf"|{_MONTH}[-/. ]?[0-9]{{1,4}}|[0-9]{{1,2}}[-/. ]?{_MONTH}(?:[-/. ]?[0-9]{{1,4}})?"
    r"|(?![0-9]{4}-[0-9]{2}-[0-9]{2}$)[0-9]{1,4}(?:[-/:. ][0-9]{1,4}){1,2}",
    re.IGNORECASE | re.ASCII,
)
"""What Excel shows as another number, a date or a truth. A whole date stays one."""


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return GUARD + text if text.startswith(FORMULA_STARTS) else text


def kept(text: str) -> str:
    """Text that Excel shows as it is; `guarded` is within."""
    return text + NO_NUMBER if _CHANGED_BY_EXCEL.fullmatch(text) else guarded(text)


def csv_text(table: Table, tally: Tally, amount_format: str, *, bom: bool) -> Iterator[str]:
    """The table's lines; after them, when it has totals, an empty line and the totals."""
    sink = _Sink()
    writer = csv.writer(sink)
    is_text = [column.kind is Kind.TEXT for column in table.columns]
    texts = Texts(table, amount_format)
    guard = kept if bom else guarded
    writer.writerow([guard(name) for name in table.names])
    yield (BOM if bom else "") + sink.line
    for row in tally.passing():
        writer.writerow(_guarded(texts.of(row), is_text, guard))
        yield sink.line
    totals = tally.total_rows() if table.totals else []
    if totals:
        yield "\r\n"
    for row in totals:
        writer.writerow(_guarded(texts.of(row), is_text, guard))
        yield sink.line


def _guarded(cells: list[str], is_text: list[bool], guard: Callable[[str], str]) -> list[str]:
    return [guard(cell) if text else cell for cell, text in zip(cells, is_text, strict=True)]


class _Sink:
    """What the csv module writes to: it keeps the last line."""

    line = ""

    def write(self, text: str) -> int:
        self.line = text
        return len(text)
