"""The supervisor: owner of every box, and the only one that starts another incarnation.

It keeps one pending `run` an actor. When that ends without having been asked for, the box is
started anew under the next incarnation number; its peers dial the same address and find it. The
supervisor hears each box's numbers over a control link and says drain and stop over it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec.structs import replace

from actors.link import Identity, Link, serve
from actors.messages import Control, Controlled, Message, Stats
from actors.net import Listener, Network
from actors.process import Boxed, Spec
from payments.clock import Clock

RESTART_WAIT_S: Final = 0.05
RESTART_WAIT_MAX_S: Final = 5.0
QUICK_DEATH_S: Final = 5.0
"""A box that dies sooner than this after its start waits longer each time."""

SILENT_S: Final = 5.0
"""A box that has not reported for so long is not ready."""

STOP_PATIENCE_S: Final = 10.0
"""For a box to write its last and leave; then it is killed."""

START_PATIENCE_S: Final = 60.0
"""For a process to appear; then it is killed and another one tried."""

QUICK_DEATHS_MAX: Final = 8
"""A box that was never ready and died so often is given up, with the whole start: some eight
seconds, enough for what an earlier deployment left behind to end."""

POLL_S: Final = 0.05
ROLES: Final = (
    "front_door",
    "reconciler",
    "shard",
    "lane",
    "custody",
    "courier",
    "directory",
)
"""In the order of the drain: who asks goes before who is asked."""


class Handle(Protocol):
    """A running box as its system knows it."""

    name: str
    pid: int

    async def started(self) -> int: ...
    async def ended(self) -> str | None: ...
    def kill(self) -> None: ...


class Audience(Protocol):
    """Whoever wants the numbers of all boxes, as they come."""

    def take(self, box: str, role: str, incarnation: int, values: dict[str, float]) -> None: ...
    def gone(self, box: str) -> None: ...


class System(Protocol):
    """RaySystem or LocalSystem."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def failed(self) -> str:
        """Wait until no more boxes can be started. The reason."""
        ...

    def spawn(
        self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
    ) -> Handle: ...


class Report:
    """The last numbers of a box, and when they came (monotonic seconds)."""

    __slots__ = ("at", "values")

    def __init__(self, values: dict[str, float], at: float) -> None:
        self.values = values
        self.at = at


class Supervisor:
    """Starts, watches, restarts and drains. `log(event, **facts)` is how it speaks."""

    def __init__(
        self,
        system: System,
        network: Network,
        address: str,
        identity: Identity,
        clock: Clock,
        place: Callable[..., Any],
        builders: dict[str, Callable[..., Boxed]],
        log: Callable[..., None],
        audience: Audience | None = None,
        give_up: Callable[[str], None] | None = None,
    ) -> None:
        """`audience` hears all numbers; `give_up` is told why a box will never come up."""
        self._system = system
        self._network = network
        self._address = address
        self._identity = identity
        self._clock = clock
        self._place = place
        self._builders = builders
        self._log = log
        self._audience = audience
        self._give_up = give_up
        self._specs: dict[str, Spec] = {}
        self.handles: dict[str, Handle] = {}
        self.restarts: dict[str, int] = {}
        self.reports: dict[str, Report] = {}
        self._was_ready: set[str] = set()
        self._links: dict[str, Link] = {}
        self._controls: dict[int, tuple[Link, asyncio.Future[None]]] = {}
        self._ref = 0
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._listener: Listener | None = None
        self.stopping = False

    async def start(self, specs: list[Spec]) -> None:
        """Start every box; they find each other by their addresses, in any order."""
        self._listener = await serve(self._network, self._address, self, self._identity)
        for spec in specs:
            self._specs[spec.name] = spec
            self.restarts[spec.name] = 0
        for spec in specs:
            self.handles[spec.name] = self._spawn(spec)
            watch = self._watch(spec.name)
            self._watchers[spec.name] = asyncio.create_task(watch, name=f"watch {spec.name}")

    def _spawn(self, spec: Spec) -> Handle:
        return self._system.spawn(self._builders[spec.role], self._place, spec)

    async def _watch(self, name: str) -> None:
        """One pending call a box; its end starts the next incarnation."""
        wait_s = RESTART_WAIT_S
        while True:
            began = self._clock.monotonic()
            reason = await self._life(self.handles[name])
            if self.stopping:
                return
            spec = self._specs[name]
            following = replace(spec, incarnation=spec.incarnation + 1)
            self.restarts[name] += 1
            self.reports.pop(name, None)
            if self._audience is not None:
                self._audience.gone(name)
            self._log("box ended", actor=name, reason=reason, incarnation=spec.incarnation)
            is_hopeless = name not in self._was_ready and self.restarts[name] >= QUICK_DEATHS_MAX
            if is_hopeless and self._give_up is not None:
                self._give_up(f"{name} does not start: {reason}")
                return
            if self._clock.monotonic() - began < QUICK_DEATH_S:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, RESTART_WAIT_MAX_S)
            else:
                wait_s = RESTART_WAIT_S
            self._specs[name] = following
            self.handles[name] = self._spawn(following)

    def restarts_by_role(self) -> dict[str, int]:
        """How often boxes of each kind were started anew."""
        sums = dict.fromkeys(ROLES, 0)
        for name, count in self.restarts.items():
            role = self._specs[name].role
            sums[role] = sums.get(role, 0) + count
        return sums

    async def _life(self, handle: Handle) -> str | None:
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                await handle.started()
        except TimeoutError:
            handle.kill()
            return f"no process within {START_PATIENCE_S:.0f} s"
        except Exception as error:
            # It never came up; the caller logs the reason and starts the next incarnation.
            return f"did not start: {type(error).__name__}"
        return await handle.ended()

    # --- what the boxes say ----------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        self._links[link.peer_name] = link

    def on_link_lost(self, link: Link) -> None:
        if self._links.get(link.peer_name) is link:
            del self._links[link.peer_name]
        # Whoever went away will not say that it is done.
        for asked, done in self._controls.values():
            if asked is link and not done.done():
                done.set_result(None)

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Stats):
                self._heard(link, message)
            elif isinstance(message, Controlled):
                _, done = self._controls.get(message.ref, (None, None))
                if done is not None and not done.done():
                    done.set_result(None)

    def _heard(self, link: Link, message: Stats) -> None:
        spec = self._specs.get(message.name)
        incarnation = link.peer.incarnation if link.peer is not None else 0
        if spec is None or incarnation < spec.incarnation:
            return  # The last word of one that was replaced already.
        self.reports[message.name] = Report(message.values, self._clock.monotonic())
        if message.values.get("ready", 1.0) > 0:
            self._was_ready.add(message.name)
        if self._audience is not None:
            self._audience.take(message.name, spec.role, incarnation, message.values)

    def checks(self) -> dict[str, bool]:
        """Each box by name: heard of lately, and ready by its own word if it has one."""
        now = self._clock.monotonic()
        found = {}
        for name in self._specs:
            report = self.reports.get(name)
            found[name] = (
                report is not None
                and now - report.at < SILENT_S
                and report.values.get("ready", 1.0) > 0
            )
        return found

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait until every box is ready; False when that took too long."""
        deadline = self._clock.monotonic() + timeout_s
        while not all(self.checks().values()):
            if self._clock.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    # --- drain -----------------------------------------------------------------------------------

    async def control(self, names: list[str], verb: str, timeout_s: float) -> set[str]:
        """Say `verb` to boxes at once and wait for their word, their end or the end of the time.

        Returns who was told: a box that is only just starting cannot be.
        """
        told: dict[str, asyncio.Future[None]] = {}
        first = self._ref + 1
        for name in names:
            link = self._links.get(name)
            if link is None:
                continue
            self._ref += 1
            if link.send(Control(self._ref, verb, timeout_s)):
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._controls[self._ref] = (link, future)
                told[name] = future
        if told:
            await asyncio.wait(told.values(), timeout=timeout_s + STOP_PATIENCE_S)
        for ref in range(first, self._ref + 1):
            self._controls.pop(ref, None)
        return set(told)

    async def drain(self, timeout_s: float) -> None:
        """Front doors first, then shards, lanes and the directory; each finishes what it has."""
        self.stopping = True
        for role in ROLES:
            names = [name for name, spec in self._specs.items() if spec.role == role]
            await self.control(names, "drain", timeout_s)
        for role in ROLES:
            names = [name for name, spec in self._specs.items() if spec.role == role]
            told = await self.control(names, "stop", STOP_PATIENCE_S)
            await self._see_off(names, told)
        await self.end()

    async def _see_off(self, names: list[str], told: set[str]) -> None:
        """Wait for boxes that were told to stop; kill those that do not, or do not hear."""
        watchers = {name: watcher for name, watcher in self._watchers.items() if name in names}
        leaving = [watcher for name, watcher in watchers.items() if name in told]
        if leaving:
            await asyncio.wait(leaving, timeout=STOP_PATIENCE_S)
        for name, watcher in watchers.items():
            if not watcher.done():
                reason = "it did not stop in time" if name in told else "it had no link to be told"
                self._log("box killed", actor=name, reason=reason)
                self.handles[name].kill()

    async def end(self) -> None:
        """Start nothing more and hear nothing more, whatever the boxes do."""
        self.stopping = True
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        if self._listener is not None:
            await self._listener.close()
