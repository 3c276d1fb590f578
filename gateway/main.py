"""`tillway serve` and `tillway demo`: read settings, start the system, stay, drain on SIGTERM."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from actors.link import Identity
from actors.local import LocalNetwork, LocalSystem
from actors.net import Network, SocketNetwork, reserve_tcp
from actors.placement import (
    DIRECTORY,
    SUPERVISOR,
    LocalAddresses,
    UnixAddresses,
    front_door_name,
    lane_name,
    shard_name,
)
from actors.process import Spec
from actors.supervision import Supervisor, System
from gateway.admin import AdminServer
from gateway.logs import get_logger, setup_logging
from gateway.planting import Planted, plant
from gateway.processes import BUILDERS, Place, place_in_process
from gateway.settings import load_secrets, make_data_dir, write_private, write_ready
from gateway.settings_shape import Settings
from gateway.trickle import Trickle
from payments.clock import SystemClock
from payments.ids import Entropy

READY_TIMEOUT_S: Final = 20.0
RUN_DIR: Final = "run"
SETTINGS_FILE: Final = "settings.json"
SOCKET_PATH_MAX: Final = 100
"""A Unix socket's path may have 107 bytes; ours end with a name of the box."""

log = get_logger(__name__)


def run(
    settings: Settings,
    *,
    json_ready: bool = False,
    demo: bool = False,
    rate: float = 0.0,
    seed: int | None = None,
    table: dict[str, Any] | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C. The exit code: 0 after a clean drain."""
    if not __debug__:
        sys.stderr.write("tillway: assertions are switched off; start Python without -O\n")
        return 2
    gateway = Gateway(settings, json_ready=json_ready, table=table, rate=rate, seed=seed)
    return uvloop.run(gateway.live())


class Gateway:
    """One deployment on this machine."""

    def __init__(
        self,
        settings: Settings,
        *,
        json_ready: bool,
        table: dict[str, Any] | None = None,
        rate: float = 0.0,
        seed: int | None = None,
    ) -> None:
        self.settings = settings
        self._json_ready = json_ready
        self._table = table
        self._rate = rate
        self._seed = seed
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._signals = 0

    async def live(self) -> int:
        """Start everything, say so, wait for the signal, drain."""
        directory = make_data_dir(self.settings)
        secrets = load_secrets(self.settings, Entropy())
        setup_logging(None, hash_key=secrets.digest[:64])
        self.settings = settings = self._with_ports()
        planted = plant(settings, self._clock, Entropy(), self._table)
        run_dir = self._run_dir(directory)
        settings_path = directory / SETTINGS_FILE
        write_private(settings_path, msgspec.json.encode(settings))
        system, network, place, address = self._system(run_dir)
        supervisor = Supervisor(
            system,
            network,
            address(SUPERVISOR),
            Identity("supervisor", SUPERVISOR, secrets.cluster),
            self._clock,
            place,
            BUILDERS,
            log.warning,
        )
        admin = AdminServer(settings, supervisor)
        await admin.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        await supervisor.start(self._specs(settings_path, run_dir))
        if not await supervisor.wait_ready(READY_TIMEOUT_S):
            missing = [name for name, ready in supervisor.checks().items() if not ready]
            log.error("not ready in time: " + ", ".join(missing))
        self._announce(planted, admin.port)
        crowd = self._crowd(planted)
        await self._stop.wait()
        if crowd is not None:
            crowd.cancel()
        admin.draining = True
        await asyncio.sleep(settings.drain.grace_s if not self._json_ready else 0)
        await supervisor.drain(settings.drain.timeout_s)
        await admin.close()
        self._end(system)
        return 0

    def _crowd(self, planted: Planted) -> "asyncio.Task[None] | None":
        """The demo's background payments, where some were asked for."""
        if self._rate <= 0 or planted.api_key is None:
            return None
        http = self.settings.http
        tag = f"{self._clock.real_ms():x}"
        url = f"http://{http.host}:{http.port}"
        trickle = Trickle(url, planted.api_key, self._rate, self._seed, tag)
        return asyncio.create_task(trickle.run(), name="background payments")

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(1)  # A second signal means now; whatever was acknowledged is durable.
        self._stop.set()

    def _with_ports(self) -> Settings:
        """Take the ports: refuse one that another deployment has, choose for 0."""
        http = self.settings.http
        self._reserved = reserve_tcp(http.host, http.port)
        port = self._reserved.getsockname()[1]
        url = self.settings.public_url or f"http://{http.host}:{port}"
        return msgspec.structs.replace(
            self.settings, http=msgspec.structs.replace(http, port=port), public_url=url
        )

    def _run_dir(self, directory: Path) -> str:
        run_dir = directory / RUN_DIR
        run_dir.mkdir(mode=0o700, exist_ok=True)
        for left in run_dir.iterdir():
            left.unlink()
        return str(run_dir)

    def _system(self, run_dir: str) -> tuple[System, Network, Any, Any]:
        if self.settings.runtime == "local":
            local = LocalNetwork()
            return LocalSystem(local, self._clock), local, place_on_loop, LocalAddresses().of
        from actors.system import RaySystem

        system = RaySystem(self.settings.ray.object_store_mb)
        system.start()
        return system, SocketNetwork(), place_in_process, UnixAddresses(run_dir).of

    def _end(self, system: System) -> None:
        stop = getattr(system, "stop", None)
        if stop is not None:
            stop()

    def _specs(self, settings_path: Path, run_dir: str) -> list[Spec]:
        settings = self.settings

        def spec(role: str, name: str, number: int, account: str = "") -> Spec:
            return Spec(role, name, number, 1, str(settings_path), run_dir, account)

        specs = [spec("directory", DIRECTORY, 0)]
        for account in settings.channels:
            for lane in range(account.lanes):
                name = lane_name(account.account, lane)
                specs.append(spec("lane", name, lane, account.account))
        for number in range(settings.shards.count):
            specs.append(spec("shard", shard_name(number), number))
        for number in range(settings.http.front_doors):
            specs.append(spec("front_door", front_door_name(number), number))
        return specs

    def _announce(self, planted: Planted, admin_port: int) -> None:
        http = self.settings.http
        line = {
            "ready": True,
            "api": f"http://{http.host}:{http.port}",
            "admin": f"http://{http.host}:{admin_port}",
            "api_key": planted.api_key,
            "merchant": planted.merchant,
            "pid": os.getpid(),
        }
        write_ready(self.settings, line)
        if self._json_ready:
            sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        else:
            sys.stdout.writelines(f"  {name:10} {value}\n" for name, value in line.items())
        sys.stdout.flush()


def place_on_loop(network: Network, spec: Spec, clock: SystemClock, exit_process: Any) -> Place:
    """The place of a box on this loop: names as addresses, the deployment's one clock."""
    return Place(network, LocalAddresses().of, clock, exit_process)
