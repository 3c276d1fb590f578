"""A table as one page to print: no script, nothing fetched, every text escaped."""

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Final

from payments.reports.tables import Column, Kind, Row, Table, Tally, Texts

STYLE: Final = """
body { font: 13px/1.4 system-ui, sans-serif; margin: 2rem; color: #111; }
table { border-collapse: collapse; margin: 0 0 2rem; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { padding: .15rem .5rem; border-bottom: 1px solid #ccc; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
tfoot td { font-weight: bold; border-top: 2px solid #111; }
@media print {
  body { margin: 0; font-size: 9px; }
  thead { display: table-header-group; }
  tr { break-inside: avoid; }
}
"""
HEAD: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
)


def html_page(
    table: Table, tally: Tally, amount_format: str, *, title: str, about: Mapping[str, str]
) -> Iterator[str]:
    """The page, a piece at a time. `about`: what the report is of, above the table."""
    yield f"{HEAD}<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    yield f"<h1>{escape(title)}</h1>\n<p>"
    yield "<br>".join(f"{escape(name)}: {escape(value)}" for name, value in about.items())
    yield f"</p>\n<table>\n<caption>{escape(table.type)}</caption>\n"
    texts = Texts(table, amount_format)
    yield _line(table.columns, table.names, "th", "thead")
    yield "<tbody>\n"
    for row in tally.passing():
        yield _line(table.columns, texts.of(row), "td")
    yield "</tbody>\n<tfoot>\n"
    for row in tally.total_rows():
        yield _line(table.columns, texts.of(row), "td")
    yield "</tfoot>\n</table>\n"
    for name in table.groupings:
        yield from _grouping(table, tally, name, amount_format)
    yield "</body>\n</html>\n"


def _grouping(table: Table, tally: Tally, name: str, amount_format: str) -> Iterator[str]:
    """The sums by some columns, as a small table of their own."""
    keys = table.groupings[name]
    columns = (
        *(Column(key) for key in keys),
        Column("rows", Kind.COUNT),
        *(table.columns[table.at(column)] for column in table.summed),
    )
    lines: list[Row] = [(*key, sums.rows, *sums.values) for key, sums in tally.sorted_groups(name)]
    texts = Texts(Table(type=name, columns=columns, rows=(), key="rows"), amount_format)
    yield f"<table>\n<caption>{escape(name)}</caption>\n"
    yield _line(columns, [column.name for column in columns], "th", "thead")
    yield "<tbody>\n"
    for line in lines:
        yield _line(columns, texts.of(line), "td")
    yield "</tbody>\n</table>\n"


def _line(columns: Iterable[Column], cells: Iterable[str], tag: str, around: str = "") -> str:
    inner = "".join(
        f"<{tag}{'' if column.kind is Kind.TEXT else ' class=n'}>{escape(cell)}</{tag}>"
        for column, cell in zip(columns, cells, strict=True)
    )
    row = f"<tr>{inner}</tr>\n"
    return f"<{around}>\n{row}</{around}>\n" if around else row
