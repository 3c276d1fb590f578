"""Registered bank accounts: the only places to which a party's money may go.

An account counts once two different people have put their names to it. A change of account cools
down before it counts, because the first thing that a thief with a stolen password changes is where
the money goes; until then the account before it still counts. After an instruction came back, none
counts until it is confirmed anew, or another is registered.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.errors import Conflict, InvalidField

COOL_DOWN_MS: Final = 24 * 3_600_000
"""How long a changed account waits before money goes to it."""

ACCOUNTS_MAX: Final = 100
"""Accounts that a party may ever have registered."""

NAME_MAX: Final = 140
NUMBER_MAX: Final = 34
"""Characters, as ISO 20022 has them."""


class BankAccount(Struct, frozen=True, array_like=True, gc=False):
    """One registered account of a party. Instants are milliseconds since 1970.

    `confirmed_at`: when a second person last confirmed it; None before the first time.
    `first_confirmed_at`: from when its cool-down counts.
    """

    id: str
    party: str
    name: str
    number: str
    bank: str
    registered_at: int
    registered_by: str
    confirmed_at: int | None = None
    confirmed_by: str | None = None
    first_confirmed_at: int | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= NAME_MAX:
            raise InvalidField(f"a name of {len(self.name)} characters", param="name")
        well_formed = self.number.isascii() and self.number.isalnum()
        if not well_formed or len(self.number) > NUMBER_MAX:
            raise InvalidField("an account number is 1 to 34 letters and digits", param="number")
        if not self.bank:
            raise InvalidField("the bank is missing", param="bank")

    def __repr__(self) -> str:
        """Personal data stays out of logs: the id says which account it is."""
        return f"BankAccount({self.id}, …{self.number[-4:]})"


class Confirmed(Struct, frozen=True, array_like=True, gc=False):
    """A person has compared the account with its papers."""

    at: int
    account: str
    by: str


def confirm(account: BankAccount, by: str, at: int) -> Confirmed:
    """Confirm an account, at first or anew. Conflict for the person who registered it."""
    if not by:
        raise InvalidField("a person must confirm", param="by")
    if by == account.registered_by:
        raise Conflict(f"{by} registered {account.id}; another person must confirm it")
    return Confirmed(at, account.id, by)


def apply(account: BankAccount, event: Confirmed) -> BankAccount:
    """Fold a confirmation into the account."""
    first = account.first_confirmed_at
    return replace(
        account,
        confirmed_at=event.at,
        confirmed_by=event.by,
        first_confirmed_at=event.at if first is None else first,
    )


def account_at(
    accounts: Sequence[BankAccount], at: int, cool_down_ms: int = COOL_DOWN_MS
) -> BankAccount | None:
    """The account to which money goes at an instant, or None: the newest that counts by then.

    A party's very first account was looked at with its application and needs no cool-down.
    """
    assert len(accounts) <= ACCOUNTS_MAX, len(accounts)
    known = sorted(
        (each for each in accounts if each.first_confirmed_at is not None),
        key=lambda each: (each.first_confirmed_at, each.id),
    )
    found = None
    for index, account in enumerate(known):
        assert account.first_confirmed_at is not None
        wait = cool_down_ms if index else 0
        if account.first_confirmed_at + wait <= at:
            found = account
    return found


def is_blocked(account: BankAccount | None, blocked_at: int | None) -> bool:
    """Whether payouts wait: no account counts, or the last one failed and was not confirmed since.

    `blocked_at`: when an instruction of this party was last rejected or returned, or None.
    """
    if account is None:
        return True
    if blocked_at is None:
        return False
    assert account.confirmed_at is not None
    return account.confirmed_at <= blocked_at
