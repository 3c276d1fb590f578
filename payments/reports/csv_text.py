"""A table as CSV (RFC 4180): commas, quotes where needed, CRLF, one header line.

Spreadsheets take a cell that begins like a formula for one, whoever wrote it: a payment's subject
could so send a reader's other cells away. Such text gets an apostrophe in front (OWASP, "CSV
Injection"); amounts are numbers that we made, and keep their minus.
"""

import csv
from collections.abc import Iterator
from typing import Final

from payments.reports.tables import Kind, Table, Tally, Texts

BOM: Final = "\ufeff"
"""Tells Excel that the text is UTF-8."""
FORMULA_STARTS: Final = tuple("=+-@\t\r\n＝＋－＠")
GUARD: Final = "'"


def guarded(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return GUARD + text if text.startswith(FORMULA_STARTS) else text


def csv_text(table: Table, tally: Tally, amount_format: str, *, bom: bool) -> Iterator[str]:
    """The table's lines; after them, when it has totals, an empty line and the totals."""
    sink = _Sink()
    writer = csv.writer(sink)
    is_text = [column.kind is Kind.TEXT for column in table.columns]
    texts = Texts(table, amount_format)
    writer.writerow([guarded(name) for name in table.names])
    yield (BOM if bom else "") + sink.line
    for row in tally.passing():
        writer.writerow(_guarded(texts.of(row), is_text))
        yield sink.line
    totals = tally.total_rows() if table.totals else []
    if totals:
        yield "\r\n"
    for row in totals:
        writer.writerow(_guarded(texts.of(row), is_text))
        yield sink.line


def _guarded(cells: list[str], is_text: list[bool]) -> list[str]:
    return [guarded(cell) if text else cell for cell, text in zip(cells, is_text, strict=True)]


class _Sink:
    """What the csv module writes to: it keeps the last line."""

    line = ""

    def write(self, text: str) -> int:
        self.line = text
        return len(text)
