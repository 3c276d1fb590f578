"""The workbook, read back by openpyxl; its formulas computed once more by what is here.

A formula of ours is a SUMPRODUCT of `EXACT(range, value)` and ranges, or a comparison. The
evaluator below takes cells from the file alone, so a range that is a row short is a wrong sum.
"""

import re
import tracemalloc
from decimal import Decimal

import pytest

from payments.reports.tables import Table, Tally
from payments.reports.workbook import TooManyRows, write_workbook
from workbooks import load_workbook

LINES = (("sale", 3800, 14), ("back", -947, -4), ("Sale", 500, 2), ("sale", 1000, 4))
EXACT = re.compile(r'EXACT\((\w+![$\w:]+),("[^"]*"|[$\w]+)\)')
RANGE = re.compile(r"(\w+)!\$([A-Z]+)\$(\d+):\$([A-Z]+)\$(\d+)")


class Book:
    """A workbook as it is shown (`values`) and as it is computed (`formulas`)."""

    def __init__(self, path):
        self.formulas = load_workbook(path)
        self.values = load_workbook(path, data_only=True)

    def rows(self, sheet):
        return [list(row) for row in self.values[sheet].iter_rows(values_only=True)]

    def cells(self):
        """(sheet, cell of a formula, shown value) for every formula of the file."""
        for sheet in self.formulas.worksheets:
            for row in sheet.iter_rows():
                for cell in row:
                    if cell.data_type == "f":
                        yield sheet, cell, self.values[sheet.title][cell.coordinate].value

    def column(self, text):
        sheet, first, top, last, bottom = RANGE.fullmatch(text).groups()
        assert first == last
        return [
            self.values[sheet][f"{first}{row}"].value for row in range(int(top), int(bottom) + 1)
        ]

    def computed(self, sheet, formula):
        if formula.startswith("=IF("):
            row = re.search(r"C(\d+)-D", formula).group(1)
            shown, counted = (self.values[sheet.title][f"{c}{row}"].value for c in "CD")
            return "ok" if round(shown - counted, 4) == 0 else "DIFFERS"
        inner = re.fullmatch(r"=SUMPRODUCT\((.*)\)", formula).group(1)
        if filled := re.fullmatch(r'--\((.*)<>""\)', inner):
            return sum(cell not in (None, "") for cell in self.column(filled.group(1)))
        criteria = EXACT.findall(inner)
        summed = [[Decimal(str(c or 0)) for c in self.column(r)] for r in self._summed(inner)]
        wanted = [(self.column(where), self._cell(sheet, value)) for where, value in criteria]
        total = Decimal(0)
        for at in range(len(wanted[0][0])):
            if all((column[at] or "") == (value or "") for column, value in wanted):
                total += summed[0][at] - sum(c[at] for c in summed[1:]) if summed else 1
        return total

    def _summed(self, inner):
        return [found.group() for found in RANGE.finditer(EXACT.sub("", inner))]

    def _cell(self, sheet, value):
        quoted = value.startswith('"')
        return (
            value.strip('"') if quoted else self.values[sheet.title][value.replace("$", "")].value
        )


@pytest.fixture
def made(tmp_path):
    def make(table, amount_format="minor"):
        tally = Tally(table)
        write_workbook(tmp_path / "report.xlsx", table, tally, amount_format)
        return Book(tmp_path / "report.xlsx")

    return make


@pytest.mark.parametrize("amount_format", ["minor", "decimal"])
@pytest.mark.parametrize("count", [0, 1, 4, 40])
def test_formulas_say_what_is_shown(table, made, amount_format, count):
    """Every formula, computed anew from the cells of the file, is the value stored with it."""
    book = made(table(*(LINES * 10)[:count]), amount_format)
    seen = 0
    for sheet, cell, shown in book.cells():
        computed = book.computed(sheet, cell.value)
        assert shown == (computed if isinstance(computed, str) else float(computed)), cell.value
        seen += 1
    assert seen >= 2
    assert {"ok"} == {row[4] for row in book.rows("Check")[1:]}


def test_every_range_covers_every_row(table, made):
    """From the first row under the heading to the last; on Items, and on the extracts."""
    book = made(table(*LINES))
    ends = set()
    for _, cell, _ in book.cells():
        ends |= {(found[1], found[3], found[5]) for found in RANGE.finditer(cell.value)}
    assert {("Items", "2", "5"), ("Backs", "2", "2"), ("Words", "2", "4")} == ends


def test_a_changed_cell_is_noticed(table, made, tmp_path):
    """Somebody makes a sale larger: the sums follow, and Check says that they differ."""
    book = made(table(*LINES))
    book.values["Items"]["E2"] = 9999
    differing = [
        book.rows("Check")[cell.row - 1][0]
        for sheet, cell, shown in book.cells()
        if sheet.title == "Check" and cell.column == 3
        if shown != float(book.computed(sheet, cell.value))
    ]
    assert ["Items: gross", "Items: gross - fee - net"] == differing


def test_text_that_looks_like_a_formula_is_text(table, made):
    """And a group of that name finds its rows all the same, wildcards and all."""
    words = ("=1+1", "@x", "*", ">0", "a?", "http://x.test", "")
    book = made(table(*((word, 10, 1) for word in words)))
    assert {"s"} == {cell.data_type for cell in book.formulas["Items"]["B"] if cell.value}
    for sheet, cell, shown in book.cells():
        computed = book.computed(sheet, cell.value)
        assert shown == (computed if isinstance(computed, str) else float(computed))
    assert not [cell for cell in book.formulas["Items"]["B"] if cell.hyperlink]


def test_decimals_are_numbers_with_their_digits(table, made):
    """So that a reader may go on adding them up."""
    book = made(table(("back", -947, -4)), "decimal")
    cell = book.formulas["Items"]["E2"]
    assert (-9.47, "0.00") == (cell.value, cell.number_format)


def test_sheets_stand_in_the_order_in_which_finance_reads(table, made):
    """Sums first; the extract holds its rows alone."""
    book = made(table(*LINES))
    assert ["Words", "Items", "Backs", "Check"] == book.values.sheetnames
    assert [["2", "back", "cny", 1, -947, -4, -943]] == book.rows("Backs")[1:]


def test_the_same_rows_make_the_same_file(table, tmp_path):
    """No clock goes into it: a checksum can be made again."""
    files = [tmp_path / name for name in ("a.xlsx", "b.xlsx")]
    for file in files:
        write_workbook(file, made_of := table(*LINES), Tally(made_of), "minor")
    assert files[0].read_bytes() == files[1].read_bytes()


def test_more_rows_than_a_sheet_has_are_refused(table, tmp_path, monkeypatch):
    """And none of the library's own files stay behind."""
    monkeypatch.setattr("payments.reports.workbook.ROWS_MAX", 3)
    made_of = table(*LINES)
    with pytest.raises(TooManyRows, match="3 rows"):
        write_workbook(tmp_path / "report.xlsx", made_of, Tally(made_of), "minor")
    assert ["report.xlsx"] == [file.name for file in tmp_path.iterdir()]


def test_rows_leave_memory_as_they_come(table, tmp_path):
    """Four times the rows, hardly any more memory."""
    peaks = []
    for count in (500, 500, 2_000):
        rows = ((f"{no:0200}", f"{no:0200}", "cny", 1, no, 1, no - 1) for no in range(count))
        made_of = Table(type="test.1", columns=table().columns, rows=rows, key="id")
        tracemalloc.start()
        try:
            write_workbook(tmp_path / "report.xlsx", made_of, Tally(made_of), "minor")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + 400_000  # The texts of 1 500 more rows alone would be 750 000.
