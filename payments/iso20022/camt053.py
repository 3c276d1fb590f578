"""camt.053.001.08, BankToCustomerStatement: an account's day that is over.

Source: ISO 20022 message definition report, bank-to-customer cash management. A day of many
movements comes on several pages (`StmtPgntn`); each of them says the balances and the number of
movements of the whole day, so a day is believed only when all its pages are there and add up.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.iso20022 import entries, fields
from payments.iso20022.camt054 import is_unbroken
from payments.iso20022.entries import CREDIT, DEBIT, Entry
from payments.iso20022.fields import ACCOUNT_MAX, must
from payments.iso20022.trees import (
    ITEMS_MAX,
    Element,
    MessageRefused,
    branch,
    leaf,
    many,
    nested,
    one,
    read,
    refuse,
    write,
)
from payments.money import Currency

NAME: Final = "camt.053.001.08"
NAMESPACE: Final = f"urn:iso:std:iso:20022:tech:xsd:{NAME}"
OPENING: Final = "OPBD"
CLOSING: Final = "CLBD"

BALANCES_MAX: Final = 16
"""Balances of a statement that are looked at; those of other kinds are passed over."""

PAGES_MAX: Final = 99_999
"""Highest number of a page: five digits."""


class Statement(Struct, frozen=True):
    """One page of a day, or (after `join`) the whole day as page 1, the last.

    `day`: yyyymmdd; `opening_minor`, `closing_minor` and `count` are the day's. Where one page is
    the whole day, opening + movements = closing, or it cannot be built.
    """

    message_id: str
    created_ms: int
    statement_id: str
    account: str
    day: int
    opening_minor: int
    closing_minor: int
    count: int
    entries: tuple[Entry, ...] = ()
    page: int = 1
    is_last: bool = True
    currency: Currency = Currency.CNY

    def __post_init__(self) -> None:
        must(fields.is_id(self.message_id), "this message id")
        must(fields.is_instant(self.created_ms), "this instant")
        must(fields.is_id(self.statement_id), "this statement id")
        must(fields.is_text(self.account, ACCOUNT_MAX), "this account")
        must(fields.is_day(self.day), "this day")
        must(1 <= self.page <= PAGES_MAX, "this page")
        must(len(self.entries) <= self.count, "more movements than the day has")
        must(is_unbroken(self.entries), "movements with a gap between them")
        if self.page == 1 and self.is_last:
            must(len(self.entries) == self.count, "another number of movements")
            moved = sum(entry.signed_minor for entry in self.entries)
            must(self.opening_minor + moved == self.closing_minor, "a day that does not add up")


def join(pages: Sequence[Statement]) -> Statement:
    """The whole day out of all its pages in order. Raise MessageRefused where they are not that."""
    if not pages or [page.page for page in pages] != list(range(1, len(pages) + 1)):
        raise MessageRefused("pages are missing or out of order")
    if [page.is_last for page in pages] != [False] * (len(pages) - 1) + [True]:
        raise MessageRefused("the last page is not there, or not at the end")
    first = pages[0]
    if any(_of_the_day(page) != _of_the_day(first) for page in pages):
        raise MessageRefused("pages of different days or accounts")
    movements = tuple(entry for page in pages for entry in page.entries)
    return replace(first, entries=movements, page=1, is_last=True)


def _of_the_day(page: Statement) -> tuple[object, ...]:
    """What all pages of one day have in common."""
    balances = (page.opening_minor, page.closing_minor)
    return (page.statement_id, page.account, page.day, *balances, page.count, page.currency)


def encode(page: Statement) -> bytes:
    """The message of one page. Assert that it holds at most 10 000 movements."""
    assert len(page.entries) <= ITEMS_MAX, len(page.entries)
    header = branch(
        "GrpHdr", leaf("MsgId", page.message_id), fields.instant("CreDtTm", page.created_ms)
    )
    last = leaf("LastPgInd", "true" if page.is_last else "false")
    statement = branch(
        "Stmt",
        leaf("Id", page.statement_id),
        branch("StmtPgntn", leaf("PgNb", str(page.page)), last),
        fields.instant("CreDtTm", page.created_ms),
        entries.account(page.account, page.currency),
        _balance(OPENING, page.opening_minor, page),
        _balance(CLOSING, page.closing_minor, page),
        nested("TxsSummry/TtlNtries", leaf("NbOfNtries", str(page.count))),
        *map(entries.encode, page.entries),
    )
    return write(branch("BkToCstmrStmt", header, statement), NAMESPACE)


def _balance(kind: str, minor: int, page: Statement) -> Element:
    return branch(
        "Bal",
        nested("Tp/CdOrPrtry", leaf("Cd", kind)),
        fields.amount("Amt", abs(minor), page.currency),
        leaf("CdtDbtInd", DEBIT if minor < 0 else CREDIT),
        nested("Dt", fields.day("Dt", page.day)),
    )


def decode(message: bytes) -> Statement:
    """The page in a message. Raise MessageRefused."""
    root = read(message, NAMESPACE)
    if root.name != "BkToCstmrStmt":
        refuse(root, "is not a statement")
    header, statement = one(root, "GrpHdr"), one(root, "Stmt")
    opening, day, currency = _read_balance(statement, OPENING)
    closing = _read_balance(statement, CLOSING)
    if closing[1:] != (day, currency):
        refuse(statement, "opens and closes on other days or in other currencies")
    movements = tuple(map(entries.decode, many(statement, "Ntry", count_min=0)))
    if any(entry.currency is not currency for entry in movements):
        refuse(statement, "holds movements in another currency")
    last = fields.text_at(statement, "StmtPgntn/LastPgInd", 5)
    if last not in ("true", "false"):
        refuse(statement, "does not say whether it is the last page")
    return Statement(
        message_id=fields.id_at(header, "MsgId"),
        created_ms=fields.instant_at(header, "CreDtTm"),
        statement_id=fields.id_at(statement, "Id"),
        account=entries.account_of(statement),
        day=day,
        opening_minor=opening,
        closing_minor=closing[0],
        count=fields.count_at(statement, "TxsSummry/TtlNtries/NbOfNtries"),
        entries=movements,
        page=fields.count_at(statement, "StmtPgntn/PgNb"),
        is_last=last == "true",
        currency=currency,
    )


def _read_balance(statement: Element, kind: str) -> tuple[int, int, Currency]:
    """The only balance of a kind: minor units, its day, its currency."""
    found = [
        balance
        for balance in many(statement, "Bal", BALANCES_MAX)
        if fields.maybe_text(balance, "Tp/CdOrPrtry/Cd", 4) == kind
    ]
    if len(found) != 1:
        refuse(statement, f"must have one balance {kind}")
    minor, currency = fields.amount_at(found[0], "Amt")
    said = fields.text_at(found[0], "CdtDbtInd", 4)
    if said not in (CREDIT, DEBIT):
        refuse(found[0], "is neither a credit nor a debit")
    return -minor if said == DEBIT else minor, fields.day_at(found[0], "Dt/Dt"), currency
