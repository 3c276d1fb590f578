"""Wires that take their time, in order: what overtakes what is drawn from a seed."""

from collections.abc import Callable
from random import Random
from typing import Any

from actors.local import LocalNetwork, LocalWire
from actors.net import Wire
from virtual_loop import VirtualLoop

DELAY_MAX_S = 0.4


class SlowWire(LocalWire):
    """A frame arrives after a drawn delay, never before the one sent before it."""

    __slots__ = ("_arrives", "_draw")

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self._draw = draw
        self._arrives = 0.0

    def send(self, frame: bytes) -> None:
        other = self._other
        if other is not None and not self._lost:
            now = self._loop.time()
            self._arrives = max(self._arrives, now + self._draw())
            self._loop.call_at(self._arrives, other._deliver, frame)


class SlowNetwork(LocalNetwork):
    """`seed` decides every delay: mostly short, now and then long."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._random = Random(seed)

    def _draw(self) -> float:
        return self._random.random() ** 4 * DELAY_MAX_S

    async def dial(self, address: str) -> Wire:
        accept: Any = self._listeners.get(address)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        near, far = SlowWire(self._draw), SlowWire(self._draw)
        near._other, far._other = far, near
        accept(far)
        return near


def slow(seed: int) -> Callable[[VirtualLoop], LocalNetwork]:
    return lambda _: SlowNetwork(seed)
