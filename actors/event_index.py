"""Which events a merchant had lately, by number: what lists go by, without a database index.

An index over all events would cost every payment a page of the log; this costs a few bytes. It is
filled from the shard's events as they are read and lost with the process, for the shard has them.
"""

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

from payments.storage.base import EventStub

LISTED_MAX: Final = 250_000
"""Events of a shard, at least, that lists go back; at most twice as many are remembered."""

Place = tuple[int, int, str]
"""no, at_ms, type"""


class _Story:
    """The events of one merchant in one generation, the oldest first."""

    __slots__ = ("at", "kinds", "numbers")

    def __init__(self) -> None:
        self.numbers = array("q")
        self.at = array("q")
        self.kinds = bytearray()


class EventIndex:
    """One shard's. Two generations: when the newer one is full, the older one is forgotten."""

    def __init__(self, listed_max: int = LISTED_MAX) -> None:
        self._listed_max = listed_max
        self._older: dict[int, _Story] = {}
        self._newer: dict[int, _Story] = {}
        self._count = 0
        self._codes: dict[str, int] = {}
        self._kinds: list[str] = []

    def add(self, rows: Iterable[EventStub]) -> None:
        """Remember events, in the order of their numbers."""
        for no, merchant_no, kind, at_ms in rows:
            if self._count >= self._listed_max:
                self._older, self._newer, self._count = self._newer, {}, 0
            story = self._newer.get(merchant_no)
            if story is None:
                story = self._newer[merchant_no] = _Story()
            code = self._codes.get(kind)
            if code is None:
                code = self._codes[kind] = len(self._kinds)
                self._kinds.append(kind)
            story.numbers.append(no)
            story.at.append(at_ms)
            story.kinds.append(code)
            self._count += 1

    def newest_first(self, merchant_no: int) -> Iterator[Place]:
        """The events of a merchant."""
        for generation in (self._newer, self._older):
            story = generation.get(merchant_no)
            if story is not None:
                for at in range(len(story.numbers) - 1, -1, -1):
                    yield story.numbers[at], story.at[at], self._kinds[story.kinds[at]]

    def oldest_first(self, merchant_no: int) -> Iterator[Place]:
        """The same, the other way round."""
        for generation in (self._older, self._newer):
            story = generation.get(merchant_no)
            if story is not None:
                for at in range(len(story.numbers)):
                    yield story.numbers[at], story.at[at], self._kinds[story.kinds[at]]
