"""The two steps of a transit between shards, each in a commit of its own.

The first step's shard keeps a *carry* until it has heard that the second one is durable, and says
it to the custody box again and again until then. The second step's shard books it once by its
entry's id, however often it is said.

    carrying.send(source, ARRIVED, partition, receiver, amount)  # in the first step's commit
    carrying.arrivals.append(self.arrived)                       # called with each Carried
"""

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from actors.home import HomeDesk
from actors.home_messages import Carry, Land, Landed
from actors.link import Link
from actors.parties import CURRENCY, Parties
from actors.record_kinds import CARRY
from actors.records import Kept
from actors.slices import Turns
from payments.ids import BODY_LENGTH
from payments.settlement import entries
from payments.settlement.carried import Carried
from payments.settlement.entries import ARRIVED, MONEY_ARRIVED, home_of

AGAIN_MS: Final = 5_000
AGAIN_MAX_MS: Final = 600_000
"""How soon a carry is said again: at first, and at the most."""

LANDS_MAX: Final = 10_000
"""Second steps that wait for their turn. One more is not heard; it is said again."""


class Carrying:
    """Both ends of a transit. `arrivals`: told when a second step is durable somewhere."""

    def __init__(self, desk: HomeDesk, parties: Parties) -> None:
        self._desk = desk
        self._parties = parties
        self.arrivals: list[Callable[[Carried], None]] = []
        self._lands: Turns[tuple[Link, Land]] = Turns(desk.slices, self._land, LANDS_MAX)
        desk.hears(Land, self._hear)
        desk.keeps_time(lambda now: None, lambda: 0 if self._lands else None)
        desk.hears(Landed, self._landed)
        desk.does(CARRY, self._due)

    def send(
        self, source: str, step: str, origin: int, receiver: str, amount: int, custody: str = ""
    ) -> None:
        """The first step is in this commit: have the second one booked at the receiver's home.

        `source`: what the second step's entry is about. `origin`: the partition of the first.
        """
        carried = Carried(source, step, origin, receiver, amount, custody)
        self._say(carried, self._desk.core.clock.now_ms())

    def is_landed(self, source: str) -> bool:
        """Whether a second step that was sent from here is known to be durable."""
        known = self._desk.core.records.get(_carry_id(source), Carried)
        return known is not None and known.is_landed

    def _say(self, carried: Carried, now: int) -> None:
        desk = self._desk
        wait = min(AGAIN_MS << min(carried.said, 12), AGAIN_MAX_MS)
        carried = replace(carried, said=carried.said + 1)
        self._keep(carried, now + wait)
        desk.tell_custody(
            Carry(
                0,
                carried.source,
                carried.step,
                carried.origin,
                carried.receiver,
                carried.amount,
                CURRENCY,
                carried.custody,
            )
        )

    def _keep(self, carried: Carried, due_ms: int | None) -> None:
        core = self._desk.core
        identifier, owner = _carry_id(carried.source), carried.receiver
        core.records.put(CARRY, identifier, owner, carried.origin, carried, due_ms)
        core.wake.set()

    def _due(self, kept: Kept, now: int) -> None:
        self._say(kept.value, now)

    def _landed(self, link: Link, message: Landed) -> None:
        known = self._desk.core.records.get(_carry_id(message.source), Carried)
        if known is None or known.is_landed:
            return
        known = replace(known, is_landed=True)
        self._keep(known, None)
        for arrived in self.arrivals:
            arrived(known)

    def _hear(self, link: Link, message: Land) -> None:
        """A credit sends hundreds at a time: they take turns with everything else."""
        if not self._lands.put((link, message)):
            self._desk.core.count("landings_refused")

    def _land(self, one: tuple[Link, Land]) -> bool:
        """Book a second step. Money waits for its share, which is on its way itself: then nothing
        is answered, and it is said again."""
        link, message = one
        core, parties = self._desk.core, self._parties
        receiver, amount = message.receiver, message.amount
        if not parties.is_booked(message.source, message.step):
            if message.step == ARRIVED:
                postings = entries.arrived(receiver, message.origin, amount)
            else:
                assert message.step == MONEY_ARRIVED, message
                if parties.pending(receiver, home_of(receiver)) < amount:
                    core.count("landings_waiting")
                    return True
                postings = entries.money_arrived(message.custody, receiver, message.origin, amount)
            now = core.clock.now_ms()
            parties.book(message.source, message.step, now, postings)
            if message.step == MONEY_ARRIVED:
                parties.tell_covered(receiver, now)
        core.answer(link, Landed(message.ref, message.source))
        return True


def _carry_id(source: str) -> str:
    return f"car_{source[-BODY_LENGTH:]}"
