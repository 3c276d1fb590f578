"""A party's available money as a bank would tell it: camt.053, a day that opens, moves and closes.

The account of the statement is the party's id; its balance is what may be paid out. Movements come
from the ledger's postings to that account, and their codes from the step that each entry books
(`payments/settlement/entries.py`). The day is China's, midnight to midnight.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from payments.calendar import business_date
from payments.iso20022.camt053 import Statement
from payments.iso20022.entries import Entry, Kind
from payments.iso20022.trees import ITEMS_MAX
from payments.ledger import Row, unpack_postings
from payments.money import Currency
from payments.settlement import entries
from payments.settlement.entries import accounts_of, home_of

RETURN_REASON: Final = "NARR"
"""ISO 20022's code for a reason that is told in words: the instruction has them."""

_OUT: Final = frozenset({entries.SENT, entries.HELD})
_IN: Final = frozenset({entries.COVERED, entries.MONEY_ARRIVED, entries.ADVANCED})
WORDS: Final = {
    entries.COVERED: "the channel's settlement has arrived",
    entries.MONEY_ARRIVED: "a share of the channel's settlement has arrived",
    entries.ADVANCED: "advanced before the channel's settlement",
    entries.SENT: "payout",
    entries.HELD: "withdrawal",
    entries.REJECTED: "payout not carried out",
    entries.LET_GO: "withdrawal refused",
    entries.RETURNED: "payout returned by the bank",
    entries.FROZEN: "held back",
    entries.THAWED: "no longer held back",
    "R": "given back with a refund",
}


class Moved(Struct, frozen=True, array_like=True):
    """What one entry did to a party's available money. `no`: of the entry in its shard."""

    no: int
    id: str
    source: str
    at_ms: int
    minor: int


class TooManyMovements(ValueError):
    """More movements on a day than one message holds."""


def bank_statement(
    party: str, day: int, rows: Iterable[Row], created_ms: int, currency: Currency
) -> Statement:
    """The party's statement of a day (yyyymmdd), from all its entries up to the day's end, by time.

    Raise TooManyMovements for a day of more than ITEMS_MAX.
    """
    account = accounts_of(party, home_of(party)).available
    balance = opening = sequence = 0
    moved: list[Entry] = []
    for row in rows:
        if row[6].lower() != currency:
            continue
        date = business_date(row[5])
        minor = -sum(minor for name, minor in unpack_postings(row[7]) if name == account)
        if minor == 0 or date > day:
            continue
        sequence += 1
        balance += minor
        if date < day:
            opening = balance
            continue
        if len(moved) == ITEMS_MAX:
            raise TooManyMovements(f"{party} has more than {ITEMS_MAX} movements on {day}")
        change = Moved(row[0], row[3], row[4], row[5], minor)
        moved.append(_movement(change, sequence, day, currency))
    return _statement(party, day, moved, opening, balance, created_ms, currency)


def day_statement(
    party: str,
    day: int,
    rows: Iterable[Moved],
    minor: int,
    folded: int,
    created_ms: int,
    currency: Currency,
) -> Statement:
    """The same from the other end: `rows` are the newest movements, back to before the day.

    `minor`: the balance with all entries up to the number `folded`. Movements are numbered within
    the day. Raise TooManyMovements for a day of more than ITEMS_MAX.
    """
    closing, on_day = minor, list[Moved]()
    for row in rows:
        date = business_date(row.at_ms)
        if date > day and row.no <= folded:
            closing -= row.minor
        elif date <= day and row.no > folded:
            closing += row.minor
        if date == day:
            on_day.append(row)
    if len(on_day) > ITEMS_MAX:
        raise TooManyMovements(f"{party} has more than {ITEMS_MAX} movements on {day}")
    on_day.sort(key=lambda row: row.no)
    moved = [_movement(row, at, day, currency) for at, row in enumerate(on_day, 1)]
    opening = closing - sum(row.minor for row in on_day)
    return _statement(party, day, moved, opening, closing, created_ms, currency)


def _statement(
    party: str,
    day: int,
    moved: list[Entry],
    opening: int,
    closing: int,
    created_ms: int,
    currency: Currency,
) -> Statement:
    name = f"{day}{party[-24:]}"
    return Statement(
        message_id=name,
        created_ms=created_ms,
        statement_id=name,
        account=party,
        day=day,
        opening_minor=opening,
        closing_minor=closing,
        count=len(moved),
        entries=tuple(moved),
        currency=currency,
    )


def _movement(row: Moved, sequence: int, day: int, currency: Currency) -> Entry:
    identifier, source, at_ms, minor = row.id, row.source, row.at_ms, row.minor
    step = identifier[-1]
    is_return = step == entries.RETURNED and minor > 0
    kind = Kind.RETURN if is_return else Kind.CREDIT if minor > 0 else Kind.PAYOUT
    words = WORDS.get(step, "adjusted")
    return Entry(
        sequence=sequence,
        kind=kind,
        amount_minor=abs(minor),
        booked_ms=at_ms,
        value_on=day,
        reference=identifier,
        end_to_end_id=source,
        counterparty_name=words,
        remittance=f"{words}: {source}",
        return_reason=RETURN_REASON if is_return else "",
        currency=currency,
        is_internal=not is_return and step not in (_IN if minor > 0 else _OUT),
    )
