"""A table as a workbook for Excel and its like (ECMA-376), with formulas that show their sums.

Sheets: one for each grouping (Summary, Fees), Items with every row, one for each extract (Refunds),
and Check, where the sums by formula stand beside those that we counted while writing. Each formula
is stored with the value that we say it has, so a reader that computes nothing shows the same.

Text is written as text: what begins like a formula is none. Rows leave memory as they come
(XlsxWriter's constant memory), to files beside the workbook.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from payments.reports.amounts import MINOR, amount_text
from payments.reports.tables import Cell, Column, Kind, Row, Table, Tally

ROWS_MAX: Final = 1_000_000
"""Rows of Items; the format ends at 1 048 576."""
COLUMN_WIDTH: Final = 16
ITEMS: Final = "Items"
CHECK: Final = "Check"
BATCHES: Final = "Batches"
MADE_AT: Final = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
"""The same rows make the same file, so it does not say when it was made; its manifest does."""


class TooManyRows(ValueError):
    """More rows than a sheet has."""


def write_workbook(path: Path, table: Table, tally: Tally, amount_format: str) -> None:
    """Write the table to `path`. Raise TooManyRows, TooManyGroups."""
    book = xlsxwriter.Workbook(
        str(path), {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True}
    )
    book.set_properties({"title": table.type, "created": MADE_AT})
    try:
        _Book(book, table, tally, amount_format).write()
    finally:
        book.close()  # Also when it failed: the rows that left memory are in files of the library.


class _Sheet:
    """A sheet that is written from top to bottom."""

    def __init__(self, book: "_Book", name: str, columns: Sequence[Column]) -> None:
        self.sheet = book.book.add_worksheet(name)
        self.row = 0
        self._book = book
        self._kinds = [column.kind for column in columns]
        self.sheet.freeze_panes(1, 0)
        self.sheet.set_column(0, len(columns) - 1, COLUMN_WIDTH)
        self.texts([column.name for column in columns], book.bold)

    def texts(self, cells: Sequence[str], style: Any = None) -> None:
        for at, cell in enumerate(cells):
            self.sheet.write_string(self.row, at, cell, style)
        self.row += 1

    def cells(self, row: Row, currency: str) -> None:
        """A line of values, each in the shape of its column."""
        for at, (cell, kind) in enumerate(zip(row, self._kinds, strict=True)):
            if isinstance(cell, str):
                self.sheet.write_string(self.row, at, cell)
            elif cell is not None and kind is Kind.AMOUNT:
                self.sheet.write_number(self.row, at, *self._book.amount(cell, currency))
            elif cell is not None:
                self.sheet.write_number(self.row, at, cell)
        self.row += 1

    def formula(self, at: int, formula: str, value: Cell | Decimal, style: Any = None) -> None:
        self.sheet.write_formula(self.row, at, formula, style, value)


class _Book:
    def __init__(self, book: Any, table: Table, tally: Tally, amount_format: str) -> None:
        self.book = book
        self.bold = book.add_format({"bold": True})
        self._table = table
        self._tally = tally
        self._amount_format = amount_format
        self._styles: dict[int, Any] = {}

    def amount(self, minor: int, currency: str) -> tuple[int | Decimal, Any]:
        """An amount as a number of the sheet, and the style that shows its digits."""
        if self._amount_format == MINOR:
            return minor, None
        text = amount_text(minor, currency, self._amount_format)
        digits = len(text.partition(".")[2])
        if digits not in self._styles:
            shape = "0." + "0" * digits if digits else "0"
            self._styles[digits] = self.book.add_format({"num_format": shape})
        return Decimal(text), self._styles[digits]

    def write(self) -> None:
        table = self._table
        groupings = {
            name: _Sheet(self, name, self._group_columns(keys))
            for name, keys in table.groupings.items()
        }
        items = _Sheet(self, ITEMS, table.columns)
        extracts = {name: _Sheet(self, name, table.columns) for name in table.extracts}
        batches = _Sheet(self, BATCHES, _BATCH_COLUMNS) if table.batches else None
        check = _Sheet(self, CHECK, [Column(name) for name in _CHECKED])
        taken: dict[str, Tally] = {
            name: Tally(Table(type=name, columns=table.columns, rows=(), key=table.key))
            for name in extracts
        }
        currency_at = table.at("currency")
        for row in self._tally.passing():
            if self._tally.rows > ROWS_MAX:
                raise TooManyRows(f"a sheet has room for {ROWS_MAX} rows; ask for less, or for csv")
            currency = str(row[currency_at])
            items.cells(row, currency)
            for name, sheet in extracts.items():
                column, value = table.extracts[name]
                if row[table.at(column)] == value:
                    sheet.cells(row, currency)
                    taken[name].add(row)
        for name, sheet in groupings.items():
            self._write_grouping(name, sheet)
        self._write_check(check, {name: (extracts[name], taken[name]) for name in extracts})
        if batches is not None:
            self._write_batches(batches, check)

    # --- sums by formula --------------------------------------------------------------------

    def _range(self, column: str, sheet: str = ITEMS, rows: int | None = None) -> str:
        """All cells of a column of Items, or of another sheet of `rows` rows."""
        letter = xl_col_to_name(self._table.at(column))
        last = max((self._tally.rows if rows is None else rows) + 1, 2)
        return f"{sheet}!${letter}$2:${letter}${last}"

    def _matches(
        self, criteria: dict[str, str], sheet: str = ITEMS, rows: int | None = None
    ) -> str:
        """A product that is 1 in the rows in which each column equals a cell, else 0.

        Not SUMIFS, whose criteria take `*` and `>` in a name for more than text; and not `=`, which
        takes small letters for capitals.
        """
        return "*".join(
            ["1", *(f"EXACT({self._range(name, sheet, rows)},{c})" for name, c in criteria.items())]
        )

    def _group_columns(self, keys: tuple[str, ...]) -> list[Column]:
        summed = [self._table.columns[self._table.at(name)] for name in self._table.summed]
        return [*(Column(key) for key in keys), Column("rows", Kind.COUNT), *summed]

    def _write_grouping(self, name: str, sheet: _Sheet) -> None:
        """A line for each key: its rows and its sums, counted from Items by formula."""
        keys = self._table.groupings[name]
        for key, sums in self._tally.sorted_groups(name):
            currency = str(key[keys.index("currency")])
            line = sheet.row + 1
            for at, cell in enumerate(key):
                sheet.sheet.write_string(sheet.row, at, str(cell or ""))
            found = self._matches(
                {column: f"${xl_col_to_name(at)}{line}" for at, column in enumerate(keys)}
            )
            sheet.formula(len(keys), f"=SUMPRODUCT({found})", sums.rows)
            for at, (column, value) in enumerate(
                zip(self._table.summed, sums.values, strict=True), len(keys) + 1
            ):
                shown, style = self._value(column, value, currency)
                formula = f"=SUMPRODUCT({found},{self._range(column)})"
                sheet.formula(at, formula, shown, style)
            sheet.row += 1

    def _value(self, column: str, value: int, currency: str) -> tuple[int | Decimal, Any]:
        if self._table.columns[self._table.at(column)].kind is Kind.AMOUNT:
            return self.amount(value, currency)
        return value, None

    # --- what finance looks at first --------------------------------------------------------

    def _write_check(self, check: _Sheet, extracts: dict[str, tuple[_Sheet, Tally]]) -> None:
        """Rows and sums: by formula over a sheet, as counted by us, and whether they are equal."""
        rows = self._tally.rows
        count = f'=SUMPRODUCT(--({self._range(self._table.key)}<>""))'
        self._check(check, f"{ITEMS}: rows", "", count, (rows, None))
        for currency, sums in self._tally.sums().items():
            found = self._matches({"currency": f'"{currency}"'})
            for column, value in sums.items():
                formula = f"=SUMPRODUCT({found},{self._range(column)})"
                says = f"{ITEMS}: {column}"
                self._check(check, says, currency, formula, self._value(column, value, currency))
            for name in self._table.groupings:
                self._check_grouping(check, name, currency, sums)
            if self._table.nets is not None:
                first, second, third = (self._range(column) for column in self._table.nets)
                formula = f"=SUMPRODUCT({found},{first}-{second}-{third})"
                says = " - ".join(self._table.nets)
                self._check(check, f"{ITEMS}: {says}", currency, formula, (0, None))
        for name, (sheet, tally) in extracts.items():
            for currency, sums in tally.sums().items():
                found = self._matches({"currency": f'"{currency}"'}, name, sheet.row - 1)
                for column, value in sums.items():
                    reach = self._range(column, name, sheet.row - 1)
                    shown = self._value(column, value, currency)
                    says = f"{name}: {column}"
                    self._check(check, says, currency, f"=SUMPRODUCT({found},{reach})", shown)

    def _write_batches(self, sheet: _Sheet, check: _Sheet) -> None:
        """Each batch as it was filed, with its sum; and in Check, that its rows come to it."""
        for each in self._table.batches:
            line = sheet.row + 1
            amounts = (each.gross, each.refunds, each.discounts, each.fees, each.splits, each.net)
            sheet.cells(
                (each.batch, each.business_date, each.currency, each.items, *amounts, None),
                each.currency,
            )
            sheet.row -= 1
            sheet.formula(10, f"=E{line}-F{line}-G{line}-H{line}-I{line}-J{line}", 0)
            sheet.row += 1
            found = self._matches({"batch_id": f'"{each.batch}"'})
            for says, column, minor in (
                ("gross - refunds - discounts - splits", "gross", each.net + each.fees),
                ("fees", "fee", each.fees),
                ("net", "net", each.net),
            ):
                formula = f"=SUMPRODUCT({found},{self._range(column)})"
                shown = self.amount(minor, each.currency)
                self._check(check, f"{each.batch}: {says}", each.currency, formula, shown)

    def _check_grouping(
        self, check: _Sheet, name: str, currency: str, sums: dict[str, int]
    ) -> None:
        """The lines of a grouping add up to what Items add up to."""
        keys = self._table.groupings[name]
        last = max(len(self._tally.groups[name]) + 1, 2)
        where = xl_col_to_name(keys.index("currency"))
        found = f'1*EXACT({name}!${where}$2:${where}${last},"{currency}")'
        for at, (column, value) in enumerate(sums.items(), len(keys) + 1):
            letter = xl_col_to_name(at)
            formula = f"=SUMPRODUCT({found},{name}!${letter}$2:${letter}${last})"
            shown = self._value(column, value, currency)
            self._check(check, f"{name}: {column}", currency, formula, shown)

    def _check(
        self,
        check: _Sheet,
        says: str,
        currency: str,
        formula: str,
        shown: tuple[int | Decimal, Any],
    ) -> None:
        value, style = shown
        line = check.row + 1
        check.sheet.write_string(check.row, 0, says)
        check.sheet.write_string(check.row, 1, currency)
        check.formula(2, formula, value, style)
        check.sheet.write_number(check.row, 3, value, style)
        check.formula(4, f'=IF(ROUND(C{line}-D{line},4)=0,"ok","DIFFERS")', "ok")
        check.row += 1


_CHECKED: Final = ("what", "currency", "by formula", "as counted", "verdict")
_BATCH_COLUMNS: Final = (
    Column("batch_id"),
    Column("business_date"),
    Column("currency"),
    Column("items", Kind.COUNT),
    *(
        Column(name, Kind.AMOUNT)
        for name in ("gross", "refunds", "discounts", "fees", "splits", "net", "what is left: 0")
    ),
)
