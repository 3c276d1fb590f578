"""Second steps of transits, brought from shard to shard: shards do not know each other.

Nothing is kept: the shard where a transit began asks again until it has heard that it has landed,
and the shard where it lands books it once, by an id that is derived.
"""

from typing import Final

from actors.custody_shards import Shards
from actors.home_messages import Carry, Land, Landed
from actors.link import Link

CARRIES_MAX: Final = 20_000
"""Transits under way at one time; more are not taken, and asked for again."""


class Carries:
    """`under_way`: source -> (what is carried, the shard where it began)."""

    def __init__(self, shards: Shards) -> None:
        self.under_way: dict[str, tuple[Carry, int]] = {}
        self.landed = 0
        self.refused = 0
        self._shards = shards

    def carry(self, link: Link, asked: Carry) -> None:
        """Bring the second step to its shard, the same one too."""
        origin = self._shards.number(link)
        if origin is None:
            return
        if asked.source not in self.under_way and len(self.under_way) >= CARRIES_MAX:
            self.refused += 1
            return
        self.under_way[asked.source] = asked, origin
        self._land(asked)

    def _land(self, asked: Carry) -> None:
        link = self._shards.link(self._shards.number_of(asked.receiver))
        if link is not None:
            link.send(
                Land(
                    self._shards.next_ref(),
                    asked.source,
                    asked.step,
                    asked.origin,
                    asked.receiver,
                    asked.amount,
                    asked.currency,
                    asked.custody,
                )
            )

    def heard(self, message: Landed) -> None:
        """The second step is durable: the shard where it began may forget it."""
        known = self.under_way.pop(message.source, None)
        if known is None:
            return
        asked, origin = known
        self.landed += 1
        link = self._shards.link(origin)
        if link is not None:
            link.send(Landed(asked.ref, asked.source))

    def again(self, number: int | None = None) -> None:
        """Say to a shard (None: to all) what has to land there."""
        for asked, _ in list(self.under_way.values()):
            if number is None or self._shards.number_of(asked.receiver) == number:
                self._land(asked)
