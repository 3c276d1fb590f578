"""The custody box's own store: orders as bytes, what the bank said, credits and their division.

A write is a list of statements by name, in the order in which they were decided, as the courier's.
"""

from itertools import groupby
from operator import itemgetter
from typing import Final

import apsw

from payments.storage.side import SideStore, Step
from payments.storage.sql import load

FILE_NAME: Final = "custody.db"

_statement: Final = itemgetter(0)

ItemRow = tuple[str, str, int, int, str, str, str, int, int | None, int | None, int, int]
"""number, instruction, message, amount, state, reference, reason, tries, unknown_ms, due_ms,
version, taken"""

CreditRow = tuple[int, str, int, int, str, int, str, int]
"""no, reference, amount, at_ms, account, bill_date, state, short"""

ShareRow = tuple[str, int, int]
"""claim, fee, is_below"""


class CustodyStore(SideStore[list[Step]]):
    """One owner; the steps of a commit are written in their order."""

    KIND = "custody"
    SQL = load("custody")
    LAST = "last_message"

    def _write(self, writer: apsw.Connection, write: list[Step]) -> None:
        for name, group in groupby(write, _statement):
            writer.executemany(self.SQL[name], [values for _, values in group])

    # --- reading ------------------------------------------------------------------------------

    def message(self, no: int) -> bytes:
        """The bytes of an order that was kept."""
        body: bytes = self._one("message", no)[0]
        return body

    def item(self, number: str) -> ItemRow | None:
        """A payment by its EndToEndId."""
        rows: list[ItemRow] = self._all("item", number)
        return rows[0] if rows else None

    def open_items(self) -> list[ItemRow]:
        """Those that the bank is still asked about, or whose shard has not taken the news."""
        return self._all("open_items")

    def open_credits(self) -> list[CreditRow]:
        """Those that are not matched to the last share, in the order of the account."""
        return self._all("open_credits")

    def credit_state(self, no: int) -> str | None:
        """Of the credit that is movement `no`; None if there is none."""
        rows = self._all("credit", no)
        return rows[0][0] if rows else None

    def credit_counts(self) -> dict[str, int]:
        """State -> how many credits are in it."""
        return dict(self._all("count_credits"))

    def open_shares(self, credit: int) -> list[ShareRow]:
        """Shares of a divided credit that no shard has matched yet, in their order."""
        return self._all("open_shares", credit)

    def is_divided(self, claim: str) -> bool:
        """Whether a credit was divided among others and this claim."""
        return bool(self._all("share", claim))

    def mark(self, name: str) -> int:
        """A number that was kept under a name; 0 for none."""
        rows = self._all("mark", name)
        return rows[0][0] if rows else 0
