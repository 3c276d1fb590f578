"""Rows of the ledger and of reports, made by hand."""

import pytest

from by_hand import Books
from payments.reports.tables import Column, Kind, Table


@pytest.fixture
def books():
    return Books()


COLUMNS = (
    Column("id"),
    Column("word"),
    Column("currency"),
    Column("count", Kind.COUNT),
    Column("gross", Kind.AMOUNT),
    Column("fee", Kind.AMOUNT),
    Column("net", Kind.AMOUNT),
)


@pytest.fixture
def table():
    """A table of (word, gross, fee) rows, with a grouping, an extract and totals."""

    def make(*lines, **changes):
        rows = [
            (str(no), word, "cny", 1, gross, fee, gross - fee)
            for no, (word, gross, fee) in enumerate(lines, 1)
        ]
        asked = {
            "type": "test.1",
            "columns": COLUMNS,
            "rows": iter(rows),
            "key": "id",
            "groupings": {"Words": ("word", "currency")},
            "extracts": {"Backs": ("word", "back")},
            "nets": ("gross", "fee", "net"),
            "totals": True,
        }
        return Table(**(asked | changes))

    return make
