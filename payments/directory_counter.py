"""What every decision of the directory's counter shares: who asks, whose objects, what is answered.

The operations themselves are beside it: `directory_desk.py`, `directory_accounts.py`.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from payments.directory_access import acting_merchant, reachable, require
from payments.directory_view import page, view
from payments.errors import InvalidField, NotFound, Unauthorized
from payments.ids import Entropy, IdMint
from payments.reference import (
    Key,
    Merchant,
    Plate,
    Receiver,
    Record,
    SettlementAccount,
    SplitRule,
    Store,
    Terminal,
)
from payments.register import Register, is_revoked

PLATFORM_PARTITION: Final = 0
"""Keys of platforms and operators belong to no merchant; their ids carry this partition."""


Kind = TypeVar(
    "Kind", Merchant, Store, Terminal, Key, Plate, Receiver, SplitRule, SettlementAccount
)


class Question(Struct, frozen=True):
    """A request: `caller` is the id of the key that asks, already verified."""

    op: str
    caller: str
    merchant: str | None
    target: str | None
    body: bytes = b""
    query: Mapping[str, str] = {}


class Decision(Struct, frozen=True):
    """The answer, true once `records` are durable. `object_id`: for a replay of the request."""

    status: int
    body: dict[str, Any]
    records: tuple[Record, ...] = ()
    object_id: str | None = None


class Counter:
    """Looks things up in the register it was given, for the caller that asks; changes nothing."""

    def __init__(
        self, register: Register, mint: IdMint, entropy: Entropy, *, livemode: bool
    ) -> None:
        self._register = register
        self._mint = mint
        self._entropy = entropy
        self._livemode = livemode
        self._now_ms = 0
        self._real_ms = 0

    def admit(self, key_id: str, scope: str, real_ms: int) -> Key:
        """The key that asks, if it may. Unauthorized when it ended on its way here."""
        caller = self._register.key(key_id)
        if caller is None or is_revoked(caller):
            raise Unauthorized("the key is not valid")
        if caller.not_after and caller.not_after <= real_ms:
            raise Unauthorized("the key is not valid")
        require(caller, scope)
        return caller

    def show(self, record: Record) -> dict[str, Any]:
        """The JSON of a record."""
        return view(record, livemode=self._livemode, real_ms=self._real_ms)

    def _merchant(self, caller: Key, question: Question) -> Merchant:
        merchant = acting_merchant(self._register, caller, question.merchant)
        if merchant is None:
            raise InvalidField(
                "say for which merchant: Tillway-Merchant: mch_…", param="tillway-merchant"
            )
        return merchant

    def _target(self, caller: Key, question: Question, kind: type[Kind]) -> Kind:
        record = reachable(self._register, caller, self._register.get(question.target or ""))
        if not isinstance(record, kind):
            raise NotFound("no such object for this key; check the id and whose key this is")
        return record

    def _members(self, owner: str, kind: type[Record]) -> list[Record]:
        """Newest first."""
        found = [self._register.get(each) for each in self._register.members_of(owner)]
        return [each for each in reversed(found) if isinstance(each, kind)]

    def _created(self, record: Record, secret: str | None = None) -> Decision:
        body = self.show(record)
        if isinstance(record, Key):
            body["secret"] = secret
        return Decision(201, body, (record,), record.id)

    def _changed(self, record: Record) -> Decision:
        return Decision(200, self.show(record), (record,), record.id)

    def _found(self, record: Record) -> Decision:
        return Decision(200, self.show(record))

    def _listed(self, records: list[Record], url: str, query: Mapping[str, str]) -> Decision:
        body = page(records, url, query, livemode=self._livemode, real_ms=self._real_ms)
        return Decision(200, body)


def filtered(records: list[Record], query: Mapping[str, str], *names: str) -> list[Record]:
    """Those whose fields say what the query says of them."""
    asked = [name for name in names if name in query]
    return [r for r in records if all(getattr(r, name) == query[name] for name in asked)]


def refuse_filters(query: Mapping[str, str], known: set[str]) -> None:
    """A filter that is silently ignored shows more than was asked for."""
    wrong = sorted(set(query) - known - {"limit", "starting_after", "ending_before"})
    if wrong:
        raise InvalidField(f"this list has no filter {wrong[0]!r}", param=wrong[0][:40])
