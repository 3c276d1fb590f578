"""Fair queueing: deficit round robin by key (a merchant), with caps, each step in constant time.

Whoever floods waits behind itself. Every key with something to take has its turn in each round
and may take `quantum` worth of cost in it; what a turn leaves over is kept while the key has
more waiting.
"""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class _Turn(Generic[T]):
    """One key: what waits, what it may still take in this turn, and what of it is being served."""

    __slots__ = ("deficit", "in_ring", "items", "key", "running")

    def __init__(self, key: str) -> None:
        self.key = key
        self.items: deque[tuple[int, T]] = deque()
        self.deficit = 0
        self.running = 0
        self.in_ring = False


class FairQueue(Generic[T]):
    """A bounded queue of items with keys and costs.

    `total_max`: items in all; `key_max`: items waiting of one key; `running_max`: items of one key
    taken and not yet `done` (0: no limit, `done` need not be called). `quantum`: the cost that a
    key may take in a turn; no single item may cost more, so that no step searches.
    """

    __slots__ = ("_len", "_ring", "_turns", "key_max", "quantum", "running_max", "total_max")

    def __init__(
        self, *, total_max: int, key_max: int, running_max: int = 0, quantum: int = 1
    ) -> None:
        assert total_max >= 1
        assert key_max >= 1
        assert running_max >= 0
        assert quantum >= 1
        self.total_max = total_max
        self.key_max = key_max
        self.running_max = running_max
        self.quantum = quantum
        self._turns: dict[str, _Turn[T]] = {}
        self._ring: deque[_Turn[T]] = deque()
        self._len = 0

    def __len__(self) -> int:
        """Items waiting."""
        return self._len

    def waiting(self, key: str) -> int:
        """Items of this key that wait."""
        turn = self._turns.get(key)
        return 0 if turn is None else len(turn.items)

    def running(self, key: str) -> int:
        """Items of this key that were taken and are not done; 0 without `running_max`."""
        turn = self._turns.get(key)
        return 0 if turn is None else turn.running

    @property
    def keys(self) -> int:
        """Keys with something waiting or running: what this queue remembers."""
        return len(self._turns)

    def put(self, key: str, item: T, cost: int = 1) -> bool:
        """Queue an item at the end of its key's line. False: a cap is reached, nothing changed."""
        assert 1 <= cost <= self.quantum, (cost, self.quantum)
        if self._len >= self.total_max:
            return False
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = _Turn(key)
        elif len(turn.items) >= self.key_max:
            return False
        turn.items.append((cost, item))
        self._len += 1
        self._join(turn)
        return True

    def get(self) -> tuple[str, T] | None:
        """The next item and its key; None when nothing may be taken now."""
        ring = self._ring
        if not ring:
            return None
        turn = ring[0]
        cost, _ = turn.items[0]
        if turn.deficit < cost:
            # The turn of this key is over: it keeps what it saved and goes to the end; the next
            # one begins its turn. Its head costs at most a quantum, so it can be served.
            ring.rotate(-1)
            turn = ring[0]
            turn.deficit += self.quantum
            cost, _ = turn.items[0]
        _, item = turn.items.popleft()
        turn.deficit -= cost
        self._len -= 1
        if self.running_max:
            turn.running += 1
        if not turn.items or self._is_full(turn):
            self._leave(turn)
        return turn.key, item

    def done(self, key: str) -> None:
        """An item of this key is finished: with `running_max`, another one may be taken."""
        turn = self._turns[key]
        assert turn.running > 0, key
        turn.running -= 1
        if turn.items:
            self._join(turn)
        elif turn.running == 0:
            del self._turns[key]

    def clear(self) -> list[tuple[str, T]]:
        """Take everything that waits, as it stands, line by line."""
        left = [(turn.key, item) for turn in self._turns.values() for _, item in turn.items]
        for turn in list(self._turns.values()):
            turn.items.clear()
            if turn.in_ring:
                turn.in_ring = False
                turn.deficit = 0
            if turn.running == 0:
                del self._turns[turn.key]
        self._ring.clear()
        self._len = 0
        return left

    def _is_full(self, turn: _Turn[T]) -> bool:
        return 0 < self.running_max <= turn.running

    def _join(self, turn: _Turn[T]) -> None:
        """At the end of the ring, unless it stands there or runs all it may."""
        if not turn.in_ring and not self._is_full(turn):
            turn.in_ring = True
            # The first in an empty ring begins its turn now; others when they come to the head.
            turn.deficit = 0 if self._ring else self.quantum
            self._ring.append(turn)

    def _leave(self, turn: _Turn[T]) -> None:
        """Out of the ring, from its head; whoever is next begins its turn."""
        assert self._ring[0] is turn
        self._ring.popleft()
        turn.in_ring = False
        turn.deficit = 0
        if not turn.items and turn.running == 0:
            del self._turns[turn.key]
        if self._ring:
            self._ring[0].deficit += self.quantum
