"""Cover in the shard: which claims wait, and what a credit at the bank makes available.

The custody box divides a credit and says to each shard which of its claims to match, in which
order, as often as it takes. Each claim is covered in one commit with its entry; what goes to
receivers' homes is carried there. Funders have their advances back before anybody else is paid.
A credit may have hundreds of claims: they are read and covered a few at a time, and other work goes
on in between; the answer leaves with the last.
"""

from collections.abc import Iterator
from typing import Final

from actors.carrying import Carrying
from actors.crediting import Crediting
from actors.home import HomeDesk
from actors.home_messages import ClaimRows, CreditMatched, MatchCredit, ReadClaims
from actors.link import Link
from actors.parties import Parties
from actors.record_kinds import COVER
from actors.slices import Turns
from payments.errors import Conflict
from payments.settlement import cover, entries
from payments.settlement.cover import Cover, Credit, Waiting
from payments.settlement.credited import Covered
from payments.settlement.entries import home_of

ROWS_MAX: Final = 500
"""Claims in one ClaimRows: they must fit into a frame."""

MERCHANTS_A_SLICE: Final = 32
"""Merchants whose waiting claims are looked at in one slice: less than a millisecond."""

QUESTIONS_MAX: Final = 64
"""Questions of the custody box that wait. One more is not heard; it is asked again."""

_Question = Iterator[None]
"""What a question takes, slice by slice."""


class Covering:
    """The flow of credits."""

    def __init__(self, desk: HomeDesk, parties: Parties, carrying: Carrying) -> None:
        self._desk = desk
        self._parties = parties
        self._carrying = carrying
        self._crediting = Crediting(desk.core)
        self._merchant_of: dict[str, str] = {}
        """Claims that waited when somebody last looked, and whose they are."""
        self._questions: Turns[_Question] = Turns(desk.slices, _go_on, QUESTIONS_MAX)
        desk.hears(ReadClaims, lambda link, message: self._take(self._read(link, message)))
        desk.hears(MatchCredit, lambda link, message: self._take(self._match(link, message)))
        desk.keeps_time(lambda now: None, lambda: 0 if self._questions else None)
        parties.filed = self._without_credit

    def _take(self, question: _Question) -> None:
        if not self._questions.put(question):
            self._desk.core.count("questions_refused")

    def _read(self, link: Link, message: ReadClaims) -> _Question:
        if message.credit:
            yield from self._crediting.tell(link, message)
            return
        found: list[Waiting] = []
        for some in self._waiting():
            found += [
                each
                for each in some
                if each.claim.channel_account == message.channel_account
                and message.bill_date in (0, each.claim.bill_date)
            ]
            yield
        core = self._desk.core
        for at in range(0, max(1, len(found)), ROWS_MAX):
            rows = tuple(found[at : at + ROWS_MAX])
            core.answer(link, ClaimRows(message.ref, rows, at + ROWS_MAX >= len(found)))

    def _waiting(self) -> Iterator[list[Waiting]]:
        """Every claim that waits, of some merchants at a time."""
        merchant_of: dict[str, str] = {}
        no = 0
        while some := self._desk.core.records.after(COVER, no, MERCHANTS_A_SLICE):
            found: list[Waiting] = []
            for kept in some:
                assert isinstance(kept.value, Cover)
                found += kept.value.waiting
            merchant_of |= {each.id: each.merchant for each in found}
            no = some[-1].no
            yield found
        self._merchant_of = merchant_of

    def _match(self, link: Link, message: MatchCredit) -> _Question:
        """Cover what can be covered now, in the order given.

        After one that cannot be, the others wait: the credit is short by what it lacks.
        """
        core = self._desk.core
        if not {claim for claim, _ in message.shares} <= self._merchant_of.keys():
            for _ in self._waiting():
                yield
        matched: list[str] = []
        left: list[tuple[str, str]] = []
        for claim, fee in message.shares:
            if left:
                left.append((claim, f"waits for {left[0][0]}"))
                continue
            try:
                self._cover(message.credit, claim, fee)
            except Conflict as conflict:
                left.append((claim, conflict.detail))
            else:
                matched.append(claim)
                self._without_credit(self._merchant_of.get(claim, ""))
            yield
        core.answer(link, CreditMatched(message.ref, tuple(matched), tuple(left)))

    def _without_credit(self, merchant: str) -> None:
        """Cover what no channel owes: what was held and is released, a fee given back.

        Its money came with an earlier credit, or comes with a later one and is looked at then.
        """
        if not merchant:
            return
        now, custody = self._desk.core.clock.now_ms(), self._desk.core.options.home.custody
        for each in self._parties.cover(merchant).waiting:
            if each.claim.channel_account:
                continue
            self._merchant_of[each.id] = merchant
            try:
                self._cover(Credit(custody, "", "", 0, now), each.id, 0)
            except Conflict:
                self._desk.core.count("covers_waiting")

    def _cover(self, credit: Credit, claim: str, fee: int) -> None:
        """One claim. What waits no longer was matched before, and nothing happens."""
        merchant = self._merchant_of.get(claim)
        if merchant is None:
            return
        parties, now = self._parties, self._desk.core.clock.now_ms()
        known = parties.cover(merchant)
        partition = home_of(merchant)
        waiting = next((each for each in known.waiting if each.id == claim), None)
        if waiting is None:
            return
        involved = {merchant, *known.owed, *(party for party, _ in waiting.claim.parts)}
        pending = {party: parties.pending(party, partition) for party in involved}
        matched = parties.purse(merchant).matched
        backing = parties.get(merchant).backing
        event = cover.match(known, credit, claim, fee, pending, matched, backing, now)
        assert event is not None, claim
        postings = cover.booked(known, event)
        parties.put_cover(cover.apply(known, event))
        parties.book(claim, entries.COVERED, now, postings, merchant)
        if credit.reference:
            covered = Covered(claim, waiting.claim.receivable, fee)
            self._crediting.note(credit.reference, merchant, covered)
        for each in event.receivers:
            if each.arrival:
                self._carrying.send(
                    each.arrival,
                    entries.MONEY_ARRIVED,
                    partition,
                    each.receiver,
                    each.amount,
                    credit.custody,
                )
            else:
                parties.tell_covered(each.receiver, now)
        parties.tell_covered(merchant, now)


def _go_on(question: _Question) -> bool:
    """A slice of a question. Whether that was the last."""
    return next(question, question) is question
