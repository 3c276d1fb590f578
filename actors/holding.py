"""Freezes and advances in the shard: money that waits or hurries by somebody's decision."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from actors.home import HomeDesk, Said, body_of, page
from actors.home_access import allow, owner_of
from actors.home_messages import HomeAsk
from actors.parties import CURRENCY, Parties
from actors.record_kinds import ADVANCE, FREEZE
from payments.calendar import business_date
from payments.clearing import terms
from payments.directory import Metadata
from payments.errors import Conflict, InvalidField, NotFound, QuotaExceeded
from payments.money import AMOUNT_MAX
from payments.settlement import cover, holds
from payments.settlement.entries import home_of
from payments.settlement.holds import REASON_MAX, Advance, Freeze
from payments.settlement.view import advance_json, freeze_json

ADVANCES_OPEN_MAX: Final = 100
"""Advances of one party that are not repaid; and how far back an open one is looked for."""

FREEZES_URL: Final = "/v1/freezes"
ADVANCES_URL: Final = "/v1/advances"

Minor = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_MAX)]


class NewFreeze(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/freezes. `amount`: minor units. `receiver`: whose, else the merchant's own."""

    amount: Minor
    currency: Literal["cny"]
    reason: Reason
    receiver: str | None = None
    metadata: Metadata = {}


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/freezes/{id}/release"""

    reason: Reason


class NewAdvance(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/advances. `released`: what becomes available with it, if not said as much as is
    pending; the rest covers refunds that were more than sales."""

    funder: str
    amount: Minor
    currency: Literal["cny"]
    released: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    metadata: Metadata = {}


class Holding:
    """The flows of freezes and advances."""

    def __init__(self, desk: HomeDesk, parties: Parties) -> None:
        self._desk = desk
        self._core = desk.core
        self._parties = parties
        desk.takes("freeze.create", self._freeze, is_new=True)
        desk.takes("freeze.release", self._release)
        desk.takes("freeze.get", self._get_freeze)
        desk.takes("freeze.list", self._list_freezes)
        desk.takes("advance.create", self._advance, is_new=True)
        desk.takes("advance.get", self._get_advance)
        desk.takes("advance.list", self._list_advances)
        desk.shows("frz", self._shown_freeze)
        desk.shows("adv", self._shown_advance)
        parties.covered.append(self._repay)

    # --- freezes -------------------------------------------------------------------------------

    def _freeze(self, ask: HomeAsk) -> Said:
        wish = body_of(ask, NewFreeze)
        party, now = self._party(ask, wish.receiver), self._core.clock.now_ms()
        known = self._core.records.get(ask.id, Freeze)
        wanted = Freeze(
            *(ask.id, party, CURRENCY, wish.amount, wish.reason, ask.caller, now),
            metadata=wish.metadata,
        )
        event = holds.freeze(wanted, self._parties.purse(party), known)
        if event is not None:
            self._keep_freeze(wanted, event, now)
        return Said(201, self._shown_freeze(ask.id), ask.id)

    def _party(self, ask: HomeAsk, named: str | None) -> str:
        """Whose money it is about: who is named, if this is that party's shard."""
        party = owner_of(ask)
        if not party or named not in (None, party):
            raise InvalidField("name one merchant or receiver", param="receiver")
        reference = self._core.reference
        if reference.merchant(party) is None and reference.receiver(party) is None:
            raise NotFound(f"no party {party[:40]!r}")
        return party

    def _release(self, ask: HomeAsk) -> Said:
        reason = body_of(ask, Release).reason
        now, known = self._core.clock.now_ms(), self._find_freeze(ask)
        event = holds.thaw(known, ask.caller, reason, now)
        if event is not None:
            self._keep_freeze(known, event, now)
            self._parties.tell_funded(known.party, now)
        return Said(200, self._shown_freeze(known.id), known.id)

    def _keep_freeze(self, known: Freeze, event: holds.Frozen | holds.Thawed, now: int) -> None:
        after = holds.apply(known, event)
        home = home_of(after.party)
        self._core.records.put(FREEZE, after.id, after.party, home, after, None)
        step, postings = holds.booked(known, event)
        self._parties.book(known.id, step, now, postings)
        self._core.wake.set()

    def _find_freeze(self, ask: HomeAsk) -> Freeze:
        target = ask.target or ""
        known = self._core.records.get(target, Freeze) if target.startswith("frz_") else None
        if known is None:
            raise NotFound(f"no freeze {target[:40]!r}")
        allow(self._core, ask, known.party)
        return known

    def _get_freeze(self, ask: HomeAsk) -> Said:
        return Said(200, self._shown_freeze(self._find_freeze(ask).id))

    def _list_freezes(self, ask: HomeAsk) -> Said:
        return page(self._desk, ask, FREEZES_URL, FREEZE, owner_of(ask), self._freeze_json)

    def _freeze_json(self, one: Freeze) -> bytes:
        return freeze_json(one, self._core.options.livemode)

    def _shown_freeze(self, identifier: str) -> bytes:
        one = self._core.records.get(identifier, Freeze)
        assert one is not None, identifier
        return self._freeze_json(one)

    # --- advances ------------------------------------------------------------------------------

    def _advance(self, ask: HomeAsk) -> Said:
        """A named funder puts money there for one merchant.

        Receivers' money comes with their merchants' credits; nobody advances it.
        """
        wish = body_of(ask, NewAdvance)
        party, now = self._party(ask, None), self._core.clock.now_ms()
        merchant = self._core.reference.merchant(party)
        if merchant is None:
            raise NotFound(f"no merchant {party[:40]!r}: only a merchant's money is advanced")
        options = self._core.options.home
        funder = options.funders.get(wish.funder)
        if funder is None or not options.custody:
            raise InvalidField("no such funder is agreed on", param="funder")
        known = self._core.records.get(ask.id, Advance)
        if known is None and len(self._open(party)) >= ADVANCES_OPEN_MAX:
            raise QuotaExceeded(f"{ADVANCES_OPEN_MAX} advances of {party} are outstanding")
        pending = max(0, self._parties.purse(party).pending)
        released = min(wish.amount, pending) if wish.released is None else wish.released
        wanted = Advance(
            *(ask.id, funder.name, party, CURRENCY, options.custody, wish.amount, released, now),
            metadata=wish.metadata,
        )
        event = holds.advance(
            wanted,
            funder,
            self._parties.outstanding(funder.name),
            pending,
            self._is_young(merchant.standing, now),
            known,
        )
        if event is not None:
            self._keep_advance(wanted, event, now)
            waits = cover.apply(
                self._parties.cover(party), cover.ReleasedEarly(now, party, released)
            )
            self._parties.put_cover(waits)
            self._parties.tell_funded(party, now)
        return Said(201, self._shown_advance(ask.id), ask.id)

    def _is_young(self, standing: terms.Standing, now: int) -> bool:
        day = business_date(now)
        try:
            rules = terms.rules_on(self._core.options.home.rules, day)
        except LookupError as missing:
            raise Conflict(str(missing)) from None
        return terms.is_young(standing, day, rules)

    def _keep_advance(self, known: Advance, event: holds.Advanced | holds.Repaid, now: int) -> None:
        after = holds.apply_advance(known, event)
        home = home_of(after.party)
        self._core.records.put(ADVANCE, after.id, after.party, home, after, None)
        step, postings = holds.advance_booked(known, event)
        self._parties.book(known.id, step, now, postings, known.party)
        self._core.wake.set()

    def _open(self, party: str) -> list[Advance]:
        """What is not repaid, oldest first."""
        records = self._core.records
        kept = records.of(ADVANCE, party, limit=ADVANCES_OPEN_MAX)[::-1]
        kept += [each for each in records.fresh(ADVANCE, party) if each not in kept]
        return [each.value for each in kept if each.value.repaid_at is None]

    def _repay(self, party: str, now: int) -> None:
        """Give funders back what the party's own credit covers by now, the oldest first.

        Not while refunds wait for what was advanced for them.
        """
        if any(each.claim.receivable < 0 for each in self._parties.cover(party).waiting):
            return
        for known in self._open(party):
            standing, purse = self._parties.get(party), self._parties.purse(party)
            spare = standing.backing - purse.matched
            if spare < known.amount:
                return
            event = holds.repay(known, spare, now)
            assert event is not None, known
            self._keep_advance(known, event, now)

    def _get_advance(self, ask: HomeAsk) -> Said:
        target = ask.target or ""
        known = self._core.records.get(target, Advance) if target.startswith("adv_") else None
        if known is None:
            raise NotFound(f"no advance {target[:40]!r}")
        allow(self._core, ask, known.party)
        return Said(200, self._shown_advance(known.id))

    def _list_advances(self, ask: HomeAsk) -> Said:
        return page(self._desk, ask, ADVANCES_URL, ADVANCE, owner_of(ask), self._advance_json)

    def _advance_json(self, one: Advance) -> bytes:
        return advance_json(one, self._core.options.livemode)

    def _shown_advance(self, identifier: str) -> bytes:
        one = self._core.records.get(identifier, Advance)
        assert one is not None, identifier
        return self._advance_json(one)
