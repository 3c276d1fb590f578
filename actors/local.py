"""Actors without processes: wires in memory, everything on one event loop.

The same codec, bounds and at least one loop tick a hop as over sockets, so that what works here
works there, and a crash of one actor is a lost wire for the others.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from actors.net import FRAME_MAX, Listener, Wire, WireEvents
from actors.process import Boxed, Spec
from payments.clock import SystemClock


class LocalWire:
    """One end of a wire in memory; a frame arrives one loop tick after it was sent."""

    __slots__ = ("__weakref__", "_events", "_loop", "_lost", "_other", "_pending", "writable")

    def __init__(self) -> None:
        self.writable = True
        self._events: WireEvents | None = None
        self._other: LocalWire | None = None
        self._pending: list[bytes] = []
        self._lost = False
        self._loop = asyncio.get_running_loop()

    def bind(self, events: WireEvents) -> None:
        self._events = events
        pending, self._pending = self._pending, []
        for frame in pending:
            events.on_frame(frame)

    def send(self, frame: bytes) -> None:
        assert len(frame) <= FRAME_MAX, len(frame)
        other = self._other
        if other is not None and not self._lost:
            self._loop.call_soon(other._deliver, frame)

    def send_now(self, frame: bytes) -> None:
        self.send(frame)

    def _deliver(self, frame: bytes) -> None:
        if self._lost:
            return
        if self._events is None:
            self._pending.append(frame)
        else:
            self._events.on_frame(frame)

    def close(self) -> None:
        other = self._other
        self._lose("closed")
        if other is not None:
            self._loop.call_soon(other._lose, "closed by the other side")

    def cut(self) -> None:
        """This end is dead and hears nothing more; the other learns that the wire is lost."""
        self._events = None
        self.close()

    def _lose(self, reason: str) -> None:
        if self._lost:
            return
        self._lost = True
        self._other = None
        if self._events is not None:
            events, self._events = self._events, None
            events.on_lost(reason)


def wire_pair() -> tuple[LocalWire, LocalWire]:
    """Two ends of one wire."""
    one, two = LocalWire(), LocalWire()
    one._other, two._other = two, one
    return one, two


class _LocalListener:
    def __init__(
        self, network: "LocalNetwork", address: str, accept: Callable[[Wire], None]
    ) -> None:
        self._network = network
        self._address = address
        self._accept = accept

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        self._network.forget(self._address, self._accept)


class LocalNetwork:
    """Addresses are names in a dictionary."""

    def __init__(self) -> None:
        self._listeners: dict[str, Callable[[Wire], None]] = {}

    async def listen(self, address: str, accept: Callable[[Wire], None]) -> Listener:
        self._listeners[address] = accept
        return _LocalListener(self, address, accept)

    def forget(self, address: str, accept: Callable[[Wire], None]) -> None:
        """Nobody listens there any more, unless a following incarnation does already."""
        if self._listeners.get(address) is accept:
            del self._listeners[address]

    async def dial(self, address: str) -> Wire:
        accept = self._listeners.get(address)
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens at {address}")
        near, far = wire_pair()
        accept(far)
        return near


class LocalHost:
    """The network as one box sees it: remembers what has to be cut when the box dies."""

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network
        self._wires: WeakKeyDictionary[LocalWire, None] = WeakKeyDictionary()
        """In the order they were made, so that a run can be repeated."""
        self._listeners: list[tuple[str, Listener]] = []
        self._dead = False

    async def listen(self, address: str, accept: Callable[[Wire], None]) -> Listener:
        def accepted(wire: Wire) -> None:
            assert isinstance(wire, LocalWire)
            self._wires[wire] = None
            accept(wire)

        self._refuse_dead()
        listener = await self._network.listen(address, accepted)
        self._listeners.append((address, listener))
        return listener

    async def dial(self, address: str) -> Wire:
        self._refuse_dead()
        wire = await self._network.dial(address)
        assert isinstance(wire, LocalWire)
        self._wires[wire] = None
        return wire

    def _refuse_dead(self) -> None:
        if self._dead:
            raise ConnectionAbortedError("this box is dead")

    def crash(self) -> None:
        """Cut every wire and stop listening, without a word to our own side."""
        self._dead = True
        for _, listener in self._listeners:
            assert isinstance(listener, _LocalListener)
            listener.stop()
        for wire in list(self._wires):
            wire.cut()


class LocalHandle:
    """A box that runs as tasks of this loop."""

    def __init__(self, name: str, task: "asyncio.Task[None]", host: LocalHost) -> None:
        self.name = name
        self.pid = os.getpid()
        self._task = task
        self._host = host
        # However it ends, its peers learn of it as they would of a process that is gone.
        task.add_done_callback(lambda _: host.crash())

    async def started(self) -> int:
        return self.pid

    async def ended(self) -> str | None:
        await asyncio.wait([self._task])
        if self._task.cancelled():
            return "killed"
        error = self._task.exception()
        return None if error is None else f"{type(error).__name__}: {error}"

    def kill(self) -> None:
        """End it the way a crash does: nothing more is written or heard, links are lost."""
        self._host.crash()
        self._task.cancel()


class LocalSystem:
    """Boxes on one event loop, without Ray: tests, simulation, very small shops."""

    def __init__(self, network: LocalNetwork, clock: SystemClock) -> None:
        self._network = network
        self._clock = clock

    async def start(self) -> None:
        """There is nothing to start."""

    async def failed(self) -> str:
        """Waits for ever: a loop does not fail and live."""
        await asyncio.Event().wait()
        raise AssertionError

    async def stop(self) -> None:
        """There is nothing to end: boxes end with the loop."""

    def spawn(
        self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
    ) -> LocalHandle:
        """Build and start a box at once."""
        host = LocalHost(self._network)

        async def live() -> None:
            placed = place(host, spec, self._clock, _fatal)
            await build(spec, placed).run()

        task = asyncio.get_running_loop().create_task(live(), name=spec.name)
        return LocalHandle(spec.name, task, host)


def _fatal(reason: str) -> None:
    raise SystemError(reason)
