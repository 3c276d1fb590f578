"""`tillway serve` and `tillway demo`: read settings, start the system, stay, drain on SIGTERM."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from actors.link import Identity
from actors.local import LocalNetwork, LocalSystem
from actors.net import Network, SocketNetwork, reserve_tcp
from actors.placement import (
    COURIER,
    CUSTODY,
    DIRECTORY,
    RECONCILER,
    SUPERVISOR,
    LocalAddresses,
    UnixAddresses,
    front_door_name,
    lane_name,
    shard_name,
)
from actors.process import Shared, Spec
from actors.shared_processes import processes_for, processors, shared
from actors.supervision import Supervisor, System
from gateway.admin import AdminServer
from gateway.channels import check
from gateway.folders import folder_for, leave
from gateway.logs import get_logger, setup_logging
from gateway.lost_files import refuse_lost_shards
from gateway.metrics import Metrics
from gateway.modules import CUSTODY as CUSTODY_MODULE
from gateway.modules import in_order
from gateway.planting import Planted, plant
from gateway.processes import BUILDERS, Place, digests_of, place_in_process
from gateway.sandboxes import Sandboxes
from gateway.screen import Ready, Screen, read
from gateway.settings import (
    SettingsError,
    load_secrets,
    make_data_dir,
    write_private,
    write_ready,
)
from gateway.settings_shape import Settings
from gateway.trickle import Trickle, shop_of, show_code
from payments.clock import SystemClock
from payments.ids import Entropy
from payments.storage.owner import OwnerLock

READY_WARN_S: Final = 20.0
"""A start that takes longer says so, each time, with what is missing."""

PORT_HERE: Final = "{port}"
"""In `public_url`: the port that was taken, for the demo on the local network."""

RUN_DIR: Final = "run"
RAY_DIR: Final = "ray"
RAY_TOKEN_FILE: Final = "ray.token"  # noqa: S105 - where it is, not what it is
TOKEN_BYTES: Final = 32
LOCK: Final = "deployment"
SETTINGS_FILE: Final = "settings.json"
SOCKET_NAME_REST: Final = len("/.sock.4194304")
"""What a socket's path has besides its folder and its box: the pid while it is being bound."""

RAY_SOCKET_REST: Final = 68
"""The same for Ray's own, with the name of its session."""

IMPORTED_ONCE: Final = (
    "gateway.processes",
    "gateway.front_door",
    "gateway.routing_table",
    "gateway.courier_box",
    "gateway.custody_box",
    "gateway.reconciler_box",
    "gateway.channels",
)
"""What boxes under Ray are forked with. Nothing here may start a thread when it is imported."""

START_ANEW: Final = "the gateway ends to be started anew; what was acknowledged is durable"

EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what it is reached by
"""Hosts to listen on that are no addresses to ask."""

log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    json_ready: bool = False,
    demo: bool = False,
    rate: float = 0.0,
    seed: int | None = None,
    table: dict[str, Any] | None = None,
    has_sandboxes: bool = False,
    screen: Screen | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C. The exit code: 0 after a clean drain.

    `screen`: told of each step, instead of the line on standard output.
    """
    if not __debug__:
        sys.stderr.write("tillway: assertions are switched off; start Python without -O\n")
        return 2
    gateway = Gateway(
        settings,
        json_ready=json_ready,
        demo=demo,
        table=table,
        rate=rate,
        seed=seed,
        has_sandboxes=has_sandboxes,
        screen=screen,
    )
    try:
        return uvloop.run(gateway.live())
    except GatewayFailed as error:
        sys.stderr.write(f"tillway: {error}\n")
        return 1


class GatewayFailed(RuntimeError):
    """The deployment does not come up. The text says why and what to do."""


class Gateway:
    """One deployment on this machine."""

    def __init__(
        self,
        settings: Settings,
        *,
        json_ready: bool,
        demo: bool = False,
        table: dict[str, Any] | None = None,
        rate: float = 0.0,
        seed: int | None = None,
        has_sandboxes: bool = False,
        screen: Screen | None = None,
    ) -> None:
        self._screen = screen
        self._sandboxes = Sandboxes(Path(settings.data_dir)) if has_sandboxes else None
        self.settings = settings
        self._json_ready = json_ready
        self._demo = demo
        self._table = table
        self._rate = rate
        self._seed = seed
        self._clock = SystemClock()
        self._over = asyncio.Event()
        self._failure: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._signals = 0
        self._folders: list[Path] = []
        self._began = self._clock.monotonic()
        self._is_announced = False

    async def live(self) -> int:
        """Start everything, say so, wait for the signal, drain. One at a time a data directory."""
        directory = make_data_dir(self.settings)
        lock = OwnerLock(directory / LOCK)
        lock.take()
        try:
            return await self._live(directory)
        finally:
            if self._sandboxes is not None:
                await self._sandboxes.stop()
            lock.release()

    async def _live(self, directory: Path) -> int:
        self._listen_to_signals()
        secrets = load_secrets(self.settings, Entropy())
        setup_logging(None, hash_key=secrets.digest[:64])
        self.settings = settings = self._with_ports()
        if self._screen is not None:
            self._screen.began(settings)
        modules = ",".join(in_order(settings.modules))
        metrics = Metrics({"mode": settings.mode, "runtime": settings.runtime, "modules": modules})
        admin = AdminServer(settings.http, metrics)
        await self._open(admin)
        try:
            refuse_lost_shards(settings, self._clock)
            planted = plant(settings, self._clock, Entropy(), self._table)
            self._step("ledger", f"sqlite, {settings.shards.count} shard(s)", self._began)
            longest = self._longest_name() + SOCKET_NAME_REST
            run_dir = str(self._folder(directory, RUN_DIR, longest))
            system, network, place, address = self._system(directory, run_dir)
            supervisor = Supervisor(
                system,
                network,
                address(SUPERVISOR),
                Identity("supervisor", SUPERVISOR, secrets.cluster),
                self._clock,
                place,
                BUILDERS,
                log.warning,
                metrics,
                self._give_up,
            )
            admin.supervised = supervisor
            metrics.restarts, metrics.checks = supervisor.restarts_by_role, supervisor.checks
            start = self._start(system, supervisor, directory / SETTINGS_FILE, run_dir)
            try:
                await self._serve(system, supervisor, admin, start, planted, metrics)
            finally:
                await supervisor.end()
                if self._watching is not None:
                    self._watching.cancel()
                await system.stop()
                for folder in self._folders:
                    leave(folder, directory)
                if self._screen is not None and self._is_announced:
                    self._screen.ended(read(metrics), self.settings)
        finally:
            await admin.close()
        if self._failure is not None:
            raise GatewayFailed(self._failure)
        return 0

    async def _serve(
        self,
        system: System,
        supervisor: Supervisor,
        admin: AdminServer,
        starting: Coroutine[Any, Any, None],
        planted: Planted,
        metrics: Metrics,
    ) -> None:
        """From the start to the end of the drain; a signal or a failure ends a start, too."""
        over = asyncio.create_task(self._over.wait(), name="the end")
        start = asyncio.create_task(starting, name="the start")
        await asyncio.wait((start, over), return_when=asyncio.FIRST_COMPLETED)
        if not start.done():
            admin.draining = True
            start.cancel()
            await asyncio.wait((start,))
            return
        start.result()
        await self._announce(planted, admin.port)
        tasks: list[asyncio.Task[None]] = []
        if self._screen is not None:
            shown = self._screen.watch(lambda: read(metrics))
            tasks.append(asyncio.create_task(shown, name="screen"))
        tasks += self._crowd(planted)
        await over
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._screen is not None:
            self._screen.draining()
        admin.draining = True
        drain = self.settings.drain
        # Nobody balances a demo: it need not wait until it is no longer chosen. Nor does a
        # deployment that fails: each moment is one until it is started anew.
        await asyncio.sleep(0 if self._demo or self._failure else drain.grace_s)
        await supervisor.drain(drain.timeout_s)

    async def _start(
        self, system: System, supervisor: Supervisor, settings_path: Path, run_dir: str
    ) -> None:
        """The system and, beside it, the sandboxes; then the boxes, over the settings of both."""
        began = self._clock.monotonic()
        results = await asyncio.gather(
            self._start_system(system), self._start_sandboxes(), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        self._listen_to_signals()  # Again: whatever the system did with them.
        settings = self.settings
        check(settings, self._clock, digests_of(settings))
        names = ", ".join(account.account for account in settings.asked) or "none asked"
        self._step("channels", names, began)
        write_private(settings_path, msgspec.json.encode(settings))
        began = self._clock.monotonic()
        await supervisor.start(self._specs(settings_path, run_dir))
        while not await supervisor.wait_ready(READY_WARN_S):
            missing = [name for name, ready in supervisor.checks().items() if not ready]
            log.error("not ready yet", detail=", ".join(missing))
        http = settings.http
        where = f"{http.front_doors} x aiohttp on {http.host}:{http.port}"
        self._step("front doors", where, began)

    async def _start_system(self, system: System) -> None:
        began = self._clock.monotonic()
        await system.start()
        self._watching = asyncio.create_task(self._watch(system), name="watch the system")
        what = "local, one event loop"
        if self.settings.runtime != "local":
            what = f"ray, object store {self.settings.ray.object_store_mb} MB"
        self._step("runtime", what, began)

    async def _start_sandboxes(self) -> None:
        if self._sandboxes is not None:
            self.settings = await self._sandboxes.start(self.settings)

    async def _open(self, admin: AdminServer) -> None:
        try:
            await admin.start()
        except OSError as error:
            port = self.settings.http.admin_port
            raise SettingsError(_taken(port, "--admin-port", error)) from None

    async def _watch(self, system: System) -> None:
        """A system that can start nothing ends us in good order: whoever starts us starts anew."""
        reason = await system.failed()
        log.error("no box can be started any more", reason=reason)
        self._give_up(f"{reason}: {START_ANEW}")

    def _give_up(self, reason: str) -> None:
        self._failure = reason
        self._over.set()

    def _crowd(self, planted: Planted) -> "list[asyncio.Task[None]]":
        """The demo's background payments, where some were asked for."""
        if self._rate <= 0 or planted.api_key is None:
            return []
        start_s = self._clock.real_ms() // 1000
        trickle = Trickle(self._api, planted.api_key, self._rate, self._seed, start_s)
        return [asyncio.create_task(trickle.run(), name="background payments")]

    @property
    def _api(self) -> str:
        """The address that reaches us from this machine."""
        http = self.settings.http
        return f"http://{EVERYWHERE.get(http.host, http.host)}:{http.port}"

    def _step(self, name: str, detail: str, began: float) -> None:
        if self._screen is not None:
            self._screen.step(name, detail, self._clock.monotonic() - began)

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(1)  # A second signal means now; whatever was acknowledged is durable.
        self._over.set()

    def _with_ports(self) -> Settings:
        """Take the ports: refuse one that another deployment has, choose for 0."""
        http = self.settings.http
        try:
            self._reserved = reserve_tcp(http.host, http.port)
        except OSError as error:
            raise SettingsError(_taken(http.port, "--port", error)) from None
        port = self._reserved.getsockname()[1]
        given = self.settings
        self.settings = msgspec.structs.replace(
            given, http=msgspec.structs.replace(http, port=port)
        )
        url = given.public_url.replace(PORT_HERE, str(port)) or self._api
        # Channels on this machine call back on loopback, wherever people come from.
        back = given.callback_url or (self._api if PORT_HERE in given.public_url else "")
        return msgspec.structs.replace(self.settings, public_url=url, callback_url=back)

    def _folder(self, directory: Path, name: str, longest: int) -> Path:
        folder = folder_for(directory, name, longest)
        self._folders.append(folder)
        return folder

    def _longest_name(self) -> int:
        names = [lane_name(each.account, each.lanes) for each in self.settings.channels]
        names.append(front_door_name(self.settings.http.front_doors))
        return max(len(name.encode()) for name in names)

    def _system(self, directory: Path, run_dir: str) -> tuple[System, Network, Any, Any]:
        if self.settings.runtime == "local":
            local = LocalNetwork()
            return LocalSystem(local, self._clock), local, place_on_loop, LocalAddresses().of
        # Here, because it takes a second and a local deployment needs nothing of it.
        from actors.system import RaySystem

        token = directory / RAY_TOKEN_FILE
        if not token.exists():
            write_private(token, Entropy().bytes(TOKEN_BYTES).hex().encode())
        folder = self._folder(directory, RAY_DIR, RAY_SOCKET_REST)
        system = RaySystem(self.settings.ray.object_store_mb, folder, token, IMPORTED_ONCE)
        return system, SocketNetwork(), place_in_process, UnixAddresses(run_dir).of

    def _specs(self, settings_path: Path, run_dir: str) -> list[Spec]:
        settings = self.settings
        shards = settings.shards

        def spec(
            role: str, name: str, number: int, account: str = "", lives: Shared | None = None
        ) -> Spec:
            return Spec(role, name, number, 1, str(settings_path), run_dir, account, lives)

        processes = processes_for(shards.count, processors(), shards.processes)
        specs = [spec("directory", DIRECTORY, 0), spec("courier", COURIER, 0)]
        if CUSTODY_MODULE in settings.modules:
            specs.append(spec("reconciler", RECONCILER, 0))
        if settings.bank is not None and CUSTODY_MODULE in settings.modules:
            specs.append(spec("custody", CUSTODY, 0))
        for account in settings.asked:
            for lane in range(account.lanes):
                name = lane_name(account.account, lane)
                specs.append(spec("lane", name, lane, account.account))
        for number in range(shards.count):
            lives = shared(number, shards.count, processes)
            specs.append(spec("shard", shard_name(number), number, lives=lives))
        for number in range(settings.http.front_doors):
            specs.append(spec("front_door", front_door_name(number), number))
        return specs

    async def _announce(self, planted: Planted, admin_port: int) -> None:
        http = self.settings.http
        admin_host = http.admin_host or http.host
        line = {
            "ready": True,
            "api": self._api,
            "admin": f"http://{EVERYWHERE.get(admin_host, admin_host)}:{admin_port}",
            "api_key": planted.api_key,
            "merchant": planted.merchant,
            "pid": os.getpid(),
        }
        write_ready(self.settings, line)
        self._is_announced = True
        if self._screen is not None:
            code = await show_code(self._api, planted.api_key, self._clock.real_ms())
            shop = shop_of(self._table or {})
            self._screen.ready(Ready(line, *shop, code), self.settings)
            return
        if self._json_ready:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            sys.stdout.writelines(f"  {name:10} {value}\n" for name, value in line.items())
        sys.stdout.flush()


def place_on_loop(network: Network, spec: Spec, clock: SystemClock, exit_process: Any) -> Place:
    """The place of a box on this loop: names as addresses, the deployment's one clock."""
    return Place(network, LocalAddresses().of, clock, exit_process)


def _taken(port: int, flag: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; stop who has it, or choose another with {flag} (0: any)"
    return f"port {port} cannot be opened: {error.strerror}; choose another with {flag}"
