"""A report as a table: versioned type, columns, rows that come one at a time, and their sums.

A table does not know how it will be written. Whoever writes it hands each row to its `Tally`, so
that the sums below a file and in its manifest are those of the very rows that were written.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from payments.reports.amounts import amount_text

GROUPS_MAX: Final = 10_000
"""Different keys that one grouping of a table may have."""

Cell = str | int | None
Row = tuple[Cell, ...]
Key = TypeVar("Key", str, Row)


class Kind(StrEnum):
    TEXT = "text"
    COUNT = "count"
    AMOUNT = "amount"


class Column(Struct, frozen=True, gc=False):
    """`kind`: amounts are minor units of the row's currency."""

    name: str
    kind: Kind = Kind.TEXT


class Figures(Struct, frozen=True, gc=False):
    """A clearing batch as it was filed; minor units. `batch`: the value of the column `batch_id`.

    gross - refunds - discounts - fees - splits = net; `items`: entries.
    """

    batch: str
    business_date: str
    currency: str
    items: int
    gross: int
    refunds: int
    discounts: int
    fees: int
    splits: int
    net: int


class TooManyGroups(ValueError):
    """A grouping has more keys than anybody would read."""


class Table(Struct, kw_only=True):
    """`type`: name and version, as `trial_balance.1`; columns of a version never change.

    `groupings`: sums by the columns named, for sheets of that name. `extracts`: sheets with the
    rows in which a column has a value. `nets`: three amounts of which the first less the second is
    the third. `key`: a column that is never empty. `totals`: whether a file of text ends with a
    block of them. `batches`: those whose members are rows, all of them.
    """

    type: str
    columns: tuple[Column, ...]
    rows: Iterable[Row]
    key: str
    groupings: Mapping[str, tuple[str, ...]] = {}
    extracts: Mapping[str, tuple[str, str]] = {}
    nets: tuple[str, str, str] | None = None
    totals: bool = False
    batches: tuple[Figures, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        assert len(set(names)) == len(names), names
        assert "currency" in names, names
        assert self.key in names, self.key

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def at(self, name: str) -> int:
        """The place of a column."""
        return self.names.index(name)

    @property
    def summed(self) -> tuple[str, ...]:
        """The columns that are added up: amounts, and counts."""
        return tuple(column.name for column in self.columns if column.kind is not Kind.TEXT)


class Sums(Struct):
    """How many rows, and the sum of each summed column in the table's order."""

    rows: int
    values: list[int]

    def add(self, values: list[int]) -> None:
        self.rows += 1
        for at, value in enumerate(values):
            self.values[at] += value


class Tally:
    """The sums of a table, gathered while its rows go by."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows = 0
        self.currencies: dict[str, Sums] = {}
        self.groups: dict[str, dict[Row, Sums]] = {name: {} for name in table.groupings}
        self._summed = [table.at(name) for name in table.summed]
        self._currency = table.at("currency")
        self._keys = {
            name: [table.at(column) for column in columns]
            for name, columns in table.groupings.items()
        }

    def passing(self) -> Iterator[Row]:
        """The table's rows, each counted as it goes by. Raise TooManyGroups."""
        for row in self.table.rows:
            assert len(row) == len(self.table.columns), row
            self.add(row)
            yield row

    def add(self, row: Row) -> None:
        """Count one row. Raise TooManyGroups."""
        self.rows += 1
        values = [int(row[at] or 0) for at in self._summed]
        currency = row[self._currency]
        assert isinstance(currency, str), row
        self._sums(self.currencies, currency).add(values)
        for name, places in self._keys.items():
            groups = self.groups[name]
            key = tuple(row[at] for at in places)
            if key not in groups and len(groups) >= GROUPS_MAX:
                raise TooManyGroups(f"{name} has more than {GROUPS_MAX} lines; ask for less")
            self._sums(groups, key).add(values)

    def _sums(self, where: dict[Key, Sums], key: Key) -> Sums:
        found = where.get(key)
        if found is None:
            found = where[key] = Sums(0, [0] * len(self._summed))
        return found

    def sorted_groups(self, name: str) -> list[tuple[Row, Sums]]:
        """The groups of a grouping in the order of their keys; an empty cell comes first."""
        return sorted(self.groups[name].items(), key=lambda group: [str(c or "") for c in group[0]])

    def sums(self) -> dict[str, dict[str, int]]:
        """currency -> column -> sum, currencies in order of their names."""
        return {
            currency: dict(zip(self.table.summed, self.currencies[currency].values, strict=True))
            for currency in sorted(self.currencies)
        }

    def total_rows(self) -> list[Row]:
        """A row of totals for each currency: `total` in front, its sums in their columns."""
        rows = []
        for currency, sums in self.sums().items():
            cells: Mapping[str, Cell] = {"currency": currency, **sums}
            rows.append(("total", *(cells.get(name) for name in self.table.names[1:])))
        return rows


class Texts:
    """Cells as text. `amount_format`: how amounts are written."""

    def __init__(self, table: Table, amount_format: str) -> None:
        self._kinds = [column.kind for column in table.columns]
        self._currency = table.at("currency")
        self._format = amount_format

    def of(self, row: Row) -> list[str]:
        currency = str(row[self._currency])
        return [
            ""
            if cell is None
            else amount_text(cell, currency, self._format)
            if kind is Kind.AMOUNT and isinstance(cell, int)
            else str(cell)
            for kind, cell in zip(self._kinds, row, strict=True)
        ]
