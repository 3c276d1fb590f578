"""What every actor process is: links it serves, links it dials, tasks it runs, a way to drain.

A *box* is built by the composition root (`gateway.processes`) inside the process it lives in and is
run by a system: `RaySystem` (a process each) or `LocalSystem` (tasks on one loop). `run` returns
only after `stop`; anything else that ends it ends the process.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol

from msgspec import Struct

from actors.link import Dialer, Handler, Identity, Link, serve
from actors.messages import Control, Controlled, Message, Stats
from actors.net import Listener, Network
from actors.stats import process_numbers

REPORT_S: Final = 1.0
"""How often a box tells the supervisor its numbers."""

STARTING_REPORT_S: Final = 0.1
"""The same until it is ready, for somebody waits for that word."""

YOUNG_OBJECTS_MAX: Final = 20_000
"""Objects made before the cycle collector looks: nearly all die by counting, and early."""

SWITCH_S: Final = 0.0002
"""How long a thread may keep the interpreter while another waits for it. A store's commit comes
back from the disk to a busy loop: with Python's 5 ms each commit took that much longer."""

SETTLED_AFTER_REPORTS: Final = 8
"""By then the reference data is loaded: it is set aside, so that no collection walks it."""

STOP_LINGER_S: Final = 0.05
"""The last word of a drained box needs a moment to leave."""


class Shared(Struct, frozen=True):
    """A process that several boxes live in: they end together."""

    process: str
    boxes: int
    is_first: bool
    """One of them tells what the process uses."""


class Spec(Struct, frozen=True):
    """What a box is told at birth: no secrets, for a spec may be seen in Ray's state.

    `settings_path`: a 0600 file in the data directory with everything else. `shared`: the process
    it shares with others; None: it has one to itself.
    """

    role: str
    name: str
    number: int
    incarnation: int
    settings_path: str
    run_dir: str
    account: str = ""
    shared: Shared | None = None


class Box(Protocol):
    """An actor with its process around it."""

    name: str

    async def run(self) -> None: ...
    def stop(self) -> None: ...


class Boxed:
    """The common part of all boxes."""

    def __init__(
        self,
        spec: Spec,
        identity: Identity,
        network: Network,
        address: Callable[[str], str],
        handler: Handler,
        stats: Callable[[], dict[str, float]],
        drain: Callable[[float], Awaitable[None]],
    ) -> None:
        self.name = spec.name
        self.spec = spec
        self.identity = identity
        self.network = network
        self.address = address
        self.handler = handler
        self._stats = stats
        self._drain = drain
        self._stopping = asyncio.Event()
        self.dialers: list[Dialer] = []
        self.tasks: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.before: list[Callable[[], Awaitable[None]]] = []
        self.after: list[Callable[[], Awaitable[None]]] = []
        self.abandon: list[Callable[[], None]] = []
        """What the system takes back from a box that died: locks and handles, nothing written."""
        self.listens = True
        self._lag_s = 0.0
        self._control = Dialer(network, lambda: address("supervisor"), self, identity)

    async def run(self) -> None:
        """Open, serve and work until stopped. A failing task raises out of here."""
        try:
            await self._live()
        except BaseException:
            for abandon in self.abandon:
                abandon()
            raise

    async def _live(self) -> None:
        for step in self.before:
            await step()
        listener: Listener | None = None
        if self.listens:
            listener = await serve(
                self.network, self.address(self.name), self.handler, self.identity
            )
        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(task()) for task in self.tasks]
                running += [group.create_task(dialer.run()) for dialer in self.dialers]
                running.append(group.create_task(self._control.run()))
                running.append(group.create_task(self._report()))
                await self._stopping.wait()
                for dialer in (*self.dialers, self._control):
                    dialer.close()
                for task in running:
                    task.cancel()
        finally:
            if listener is not None:
                await listener.close()
        for step in self.after:
            await step()

    def stop(self) -> None:
        """Let `run` end."""
        self._stopping.set()

    @property
    def is_supervised(self) -> bool:
        """Whether the supervisor can be spoken to."""
        return self._control.link is not None

    def _numbers(self) -> dict[str, float]:
        numbers = {name: float(value) for name, value in self._stats().items()}
        if self.spec.shared is None or self.spec.shared.is_first:
            numbers.update(process_numbers(os.getpid()))
        numbers["loop_lag_seconds"] = self._lag_s
        return numbers

    async def _report(self) -> None:
        gc.set_threshold(YOUNG_OBJECTS_MAX, 20, 100)
        sys.setswitchinterval(SWITCH_S)
        reports = 0
        while True:
            numbers = self._numbers()
            is_ready = numbers.get("ready", 1.0) > 0
            link = self._control.link
            if link is not None:
                link.send(Stats(0, self.name, numbers))
            if is_ready and link is not None:
                reports += 1
            if reports == SETTLED_AFTER_REPORTS:
                gc.freeze()
            wait_s = REPORT_S if is_ready and link is not None else STARTING_REPORT_S
            loop = asyncio.get_running_loop()
            due_at = loop.time() + wait_s
            await asyncio.sleep(wait_s)
            self._lag_s = max(0.0, loop.time() - due_at)

    # --- the control link ------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        link.send(Stats(0, self.name, self._numbers()))

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Control):
                asyncio.get_running_loop().create_task(
                    self._controlled(link, message), name=f"{self.name} {message.verb}"
                )

    def on_link_lost(self, link: Link) -> None:
        """The supervisor is gone: our process ends soon; a local system never loses it."""

    async def _controlled(self, link: Link, message: Control) -> None:
        if message.verb == "drain":
            await self._drain(message.timeout_s)
        link.send(Stats(0, self.name, self._numbers()))
        link.send(Controlled(message.ref, self.name))
        if message.verb == "stop":
            await asyncio.sleep(STOP_LINGER_S)
            self.stop()
