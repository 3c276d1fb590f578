"""What a party's available money did, told backward and slice by slice, for its bank-style day.

Balances are folded some commits later than entries are booked: the first slice says the balance in
the store and the entry up to which it is folded, and from these any earlier day can be computed.
"""

from typing import Final

from msgspec.json import Encoder

from actors.core import Core
from actors.home import HomeDesk, Said
from actors.home_messages import HomeAsk
from payments.ids import partition_of
from payments.ledger import unpack_postings
from payments.money import Currency
from payments.reports.homeward import DATE_SPREAD_MS
from payments.settlement.entries import accounts_of, home_of

SLICE_ROWS: Final = 1_000
"""Entries that one question walks over, as for other papers."""

_encode: Final = Encoder().encode


class PartyDays:
    """The question, registered at the desk."""

    def __init__(self, desk: HomeDesk) -> None:
        self._core: Core = desk.core
        desk.takes("party_day.get", self.moved)

    def moved(self, ask: HomeAsk) -> Said:
        """{rows: [[no, entry, source, at_ms, minor]], next, minor, folded}: newest first.

        Back to before `since` (ms) and to the entry `folded`: `minor` is the balance with all
        entries up to that one. Minor units of the currency in which merchants are paid.
        """
        query, store, party = ask.query, self._core.store, ask.party
        account, currency = accounts_of(party, home_of(party)).available, Currency.CNY.value
        kept = store.balance(account, currency)
        minor, folded = (0, 0) if kept is None else (-kept[2], kept[3])
        folded = int(query.get("folded", folded))
        before = int(query.get("from", 0)) or self._core.books.entry_no + 1
        after = max(0, before - 1 - SLICE_ROWS)
        rows = store.entries_after(after, before - 1 - after)
        holding, partition = account.encode(), partition_of(party)
        found = []
        for row in reversed(rows):
            if row[0] >= before or row[1] != partition or holding not in row[7]:
                continue
            moved = -sum(each for name, each in unpack_postings(row[7]) if name == account)
            if moved and row[6] == currency:
                found.append((row[0], row[3], row[4], row[5], moved))
        is_past = bool(rows) and rows[0][5] < int(query["since"]) - DATE_SPREAD_MS
        is_last = after == 0 or (is_past and after <= folded)
        answer = {"rows": found, "next": 0 if is_last else after + 1, "minor": minor}
        return Said(200, _encode(answer | {"folded": folded}))
