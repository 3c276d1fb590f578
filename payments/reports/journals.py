"""The books as a journal of plain-text accounting, for a second opinion by somebody else's program.

Two formats: hledger's (its manual, "Journal") and Beancount's (its language syntax). An entry keeps
its id, source, instant, place in its partition's chain and hash as tags or metadata, so that each
line of the journal leads back to a row of ours. Dates are business dates that end at midnight in
China; amounts keep our signs, a debit positive, a credit negative, which both programs use too.

Accounts and currencies are declared just before their first use, which needs no second pass and no
more memory than there are accounts; both programs take declarations anywhere.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from payments.calendar import business_date, rfc3339
from payments.ledger import Row, unpack_postings
from payments.reports.amounts import decimal_text, exponent_of
from payments.reports.names import plain_name

OPENED_ON: Final = "1970-01-01"
"""Beancount wants a date from which an account is open; ours have none."""

Facts = dict[str, str | int]


def hledger(rows: Iterable[Row]) -> Iterator[str]:
    """Entries as text for hledger, each piece one or more whole lines."""
    yield "; The journal of a Tillway ledger. Debits are positive.\n"
    accounts = _Once(lambda account: f"account {plain_name(account)}\n")
    currencies = _Once(_hledger_commodity)
    for row in rows:
        currency, date, postings = row[6].upper(), _date(row[5]), unpack_postings(row[7])
        yield currencies.said(currency)
        for account, _ in postings:
            yield accounts.said(account)
        tags = ", ".join(f"{name}:{value}" for name, value in _facts(row).items())
        lines = [f"\n{date} * ({row[3]}) {row[4]}\n    ; {tags}\n"]
        for account, minor in postings:
            lines.append(f"    {plain_name(account)}  {_amount(minor, currency)}\n")
        yield "".join(lines)


def beancount(rows: Iterable[Row]) -> Iterator[str]:
    """Entries as text for Beancount, each piece one or more whole lines."""
    yield '; The journal of a Tillway ledger. Debits are positive.\noption "title" "Tillway"\n'
    accounts = _Once(lambda account: f"{OPENED_ON} open {plain_name(account)}\n")
    currencies = _Once(
        lambda currency: (
            f'option "operating_currency" "{currency}"\n{OPENED_ON} commodity {currency}\n'
        )
    )
    for row in rows:
        currency, date, postings = row[6].upper(), _date(row[5]), unpack_postings(row[7])
        yield currencies.said(currency)
        for account, _ in postings:
            yield accounts.said(account)
        lines = [f'\n{date} * "{row[4]}"\n']
        for name, value in _facts(row).items():
            lines.append(
                f'  {name}: "{value}"\n' if isinstance(value, str) else f"  {name}: {value}\n"
            )
        for account, minor in postings:
            lines.append(f"  {plain_name(account)}  {_amount(minor, currency)}\n")
        yield "".join(lines)


JOURNALS: Final[dict[str, Callable[[Iterable[Row]], Iterator[str]]]] = {
    "hledger": hledger,
    "beancount": beancount,
}


class _Once:
    """Says a thing the first time that it is asked, and after that nothing."""

    def __init__(self, say: Callable[[str], str]) -> None:
        self._say = say
        self._said: set[str] = set()

    def said(self, what: str) -> str:
        if what in self._said:
            return ""
        self._said.add(what)
        return self._say(what)


def _facts(row: Row) -> Facts:
    """What leads from a journal's entry back to the row: none of it holds a comma or a quote."""
    _, partition, seq, identifier, source, at_ms, _, _, chain = row
    return {
        "entry": identifier,
        "source": source,
        "at": rfc3339(at_ms),
        "partition": partition,
        "seq": seq,
        "hash": chain.hex(),
    }


def _date(at_ms: int) -> str:
    text = str(business_date(at_ms))
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _amount(minor: int, currency: str) -> str:
    return f"{decimal_text(minor, exponent_of(currency))} {currency}"


def _hledger_commodity(currency: str) -> str:
    """A sample tells hledger how many digits there are; the point is always written."""
    return f"commodity 1000.{'0' * exponent_of(currency)} {currency}\n"
