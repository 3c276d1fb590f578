"""Ray: starts, places and watches the boxes. The only file that knows it.

Ray is the control plane alone: one long `run` call a box, never a call a payment. Actors are
never restarted by Ray (`max_restarts=0`: a restart would run the constructor alone); the supervisor
starts the next incarnation. Nothing secret is an argument.
"""

import asyncio
import logging
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, Final

from actors import agent_stand_in, worker_start
from actors.box_logs import BoxLogs
from actors.net import SocketNetwork
from actors.process import Boxed, Spec
from payments.clock import SystemClock
from payments.storage.base import StoreRefused

RAY_SWITCHES: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_DISABLE_WORKER_LOG_PREFIX": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_open_telemetry": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
    # Read on every system: 0 binds a single node to loopback instead of the machine's address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # It takes SIGTERM for a crash.
}
"""Set before Ray starts; niceness 15, Ray's default, costs a fifth of the throughput."""

START_TOGETHER: Final = 8
"""Worker processes that Ray may start at once; our actors need no CPU in Ray's books."""

SOCKET_PATH_MAX: Final = 107
SESSION: Final = "/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store"
FOLDER_PATH_MAX: Final = SOCKET_PATH_MAX - len(SESSION)
"""Bytes of Ray's folder, so that the path of its longest Unix socket fits."""

ORPHAN_POLL_S: Final = 0.25
ORPHANED_S: Final = 3.0
"""A box that has no link to its supervisor for so long ends: nobody would stop it."""

PYTHON_FOR: Final = "_build_python_executable_command_memory_profileable"
AGENT_PORTS: Final = {
    "dashboard_agent": ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port"),
    "runtime_env_agent": ("runtime_env_agent_port",),
}
"""Ray's agents of a node, and the ports that its raylet waits for."""

NURSED_BY: Final = "runtime_env_agent"
"""Beside whose stand-in the nursery lives."""

RAY_MODULES: Final = ("ray._private.workers.default_worker", "uvloop", "actors.system")
"""What every worker imports."""

RAY_LOGS: Final = ("gcs_server.err", "raylet.err")
VITAL: Final = ("raylet", "gcs_server")
WATCH_S: Final = 0.25
"""How often Ray's own processes are looked at. With its raylet all boxes end, so that every moment
until somebody starts us anew is one without payments."""

LOG_TAIL_BYTES: Final = 2_000
MIB: Final = 1024 * 1024
EXIT_FATAL: Final = 70


def _to_stderr(lines: str) -> None:
    sys.stderr.write(lines)  # As it is now: the demo sends it into a file.
    sys.stderr.flush()


class RayFailed(RuntimeError):
    """Ray did not start. The text says what to do."""


class BoxRefused(RuntimeError):
    """A box may not start on its data: said with words, because an exit code has none."""


class RayProcess:
    """The Ray actor around boxes: builds them in its process and runs them on one loop."""

    def __init__(self) -> None:
        import uvloop

        self._loop = uvloop.new_event_loop()
        Thread(target=self._serve, name="boxes", daemon=True).start()

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            exit_process("the loop of the boxes ended")  # Who waits for them would wait for ever.

    def pid(self) -> int:
        return os.getpid()

    def run(self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec) -> str:
        """Blocks for the life of a box. Returns after a stop; a failure ends the process."""
        asyncio.run_coroutine_threadsafe(_live(build, place, spec), self._loop).result()
        return spec.name


async def _live(
    build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
) -> None:  # No method: with one of these, Ray would run the actor on a loop of its own.
    network = SocketNetwork()
    try:
        box = build(spec, place(network, spec, SystemClock(), exit_process))
        watch = asyncio.get_running_loop().create_task(_end_when_orphaned(box))
        try:
            await box.run()
        finally:
            watch.cancel()
            network.cut()  # The loop goes on; a closed store must not be asked.
    except StoreRefused as error:
        raise BoxRefused(str(error)) from None
    except BaseException as error:
        # Whatever it is: the others in this process are started anew with it.
        traceback.print_exception(error)
        exit_process(f"{spec.name}: {type(error).__name__}: {error}")


async def _end_when_orphaned(box: Boxed) -> None:
    """End the process when its supervisor is gone: at once if its parent is, too, else later."""
    parent = os.getppid()
    missed_s = 0.0
    while missed_s < ORPHANED_S:
        await asyncio.sleep(ORPHAN_POLL_S)
        missed_s = 0.0 if box.is_supervised else missed_s + ORPHAN_POLL_S
        if missed_s and os.getppid() != parent:
            break
    exit_process(f"{box.name}: the supervisor is gone")


def exit_process(reason: str) -> None:
    """End this process at once: later decisions stood on what just failed."""
    sys.stderr.write(f"tillway: {reason}\n")
    sys.stderr.flush()
    os._exit(EXIT_FATAL)


def how_ended(code: int) -> str:
    """The end of a child in words; `code` as subprocess has it, negative for a signal.

    >>> how_ended(-9)
    'was killed by SIGKILL'
    >>> how_ended(1)
    'ended with code 1'
    """
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"  # Real-time signals have no names.


class _Process:
    """A process that Ray runs, with the boxes in it."""

    def __init__(self, name: str, generation: int, boxes: int) -> None:
        import ray

        # Ray writes the class's name into the process's title: `ray::shard-0.run` in ps and top.
        named = type(name, (RayProcess,), {})
        actor: Any = (
            ray.remote(named)
            .options(
                name=f"{name}.{generation}",
                num_cpus=0,
                max_restarts=0,
                max_task_retries=0,
                # One call at a time runs in the main thread, which then does nothing else. Left
                # to itself it wakes a hundred times a second to look for signals, each time with
                # the interpreter's lock. Several lives need a thread each.
                max_concurrency=boxes,
            )
            .remote()
        )
        self.actor = actor
        self.pid = actor.pid.remote()  # Before the first life, which may block all others.
        self.is_gone = False
        self._boxes = boxes

    def run(
        self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
    ) -> "asyncio.Future[str]":
        """Have a box live here. Ends with it."""
        ended = asyncio.wrap_future(self.actor.run.remote(build, place, spec).future())
        ended.add_done_callback(self._heard)
        return ended

    def _heard(self, ended: "asyncio.Future[str]") -> None:
        """A box ended: with the process, unless it said why. Whoever asks next needs a new one."""
        import ray

        if ended.cancelled():
            return  # One that never came up is killed and not asked for its end.
        error = ended.exception()
        if error is not None and not isinstance(error, ray.exceptions.RayTaskError):
            self.is_gone = True

    def refused(self) -> None:
        """A box said why it may not live; a process that was its alone ends."""
        if self._boxes == 1:
            self.kill()

    def kill(self) -> None:
        import ray

        self.is_gone = True
        ray.kill(self.actor, no_restart=True)


class RayHandle:
    """A box that Ray runs."""

    def __init__(self, name: str, process: _Process, ended: "asyncio.Future[str]") -> None:
        self.name = name
        self.pid = 0
        self._process = process
        self._ended = ended

    async def started(self) -> int:
        """Wait for the process. Its pid."""
        self.pid = int(await self._process.pid)
        return self.pid

    async def ended(self) -> str | None:
        """Wait for the end: None after a stop, else the reason."""
        import ray

        try:
            await self._ended
        except ray.exceptions.RayTaskError as error:
            self._process.refused()
            return str(error.cause)
        except ray.exceptions.RayError as error:
            return str(error).splitlines()[0]
        return None

    def kill(self) -> None:
        """End its process, and with it whoever else lives there."""
        self._process.kill()


class RaySystem:
    """Boxes as Ray actors on this node.

    `folder`: where Ray keeps sockets and logs of its session; ours alone, emptied at each start.
    `token_path`: a 0600 file whose content every client of this Ray must show. `modules`: what the
    boxes import, that they are forked with; without, each process imports for itself.
    """

    def __init__(
        self, object_store_mb: int, folder: Path, token_path: Path, modules: tuple[str, ...] = ()
    ) -> None:
        assert len(os.fsencode(folder)) <= FOLDER_PATH_MAX, folder
        self._object_store_mb = object_store_mb
        self._folder = folder
        self._token_path = token_path
        self._modules = modules
        # Linux ends Ray's processes with the *thread* that started them: this one stays.
        self._thread = ThreadPoolExecutor(1, "ray")
        self._logs = BoxLogs(folder, _to_stderr)
        self._following: asyncio.Task[None] | None = None
        self._processes: dict[str, _Process] = {}
        self._generation = 0

    async def start(self) -> None:
        """Start Ray: loopback only, nothing reported to anybody. Raise RayFailed."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._start)
        self._following = loop.create_task(self._logs.follow(), name="logs of the boxes")

    def _start(self) -> None:
        self._clean()
        os.environ.update(RAY_SWITCHES, RAY_AUTH_TOKEN_PATH=str(self._token_path))
        os.environ.pop("RAY_ADDRESS", None)  # It would make us a guest in a stranger's cluster.
        import ray

        # It would warn that it may set no handler of signals in this thread, which is the point.
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            with _lean(self._modules):
                ray.init(
                    num_cpus=START_TOGETHER,
                    object_store_memory=self._object_store_mb * MIB,
                    include_dashboard=False,
                    log_to_driver=False,  # BoxLogs does.
                    logging_level=logging.ERROR,
                    configure_logging=False,
                    namespace="tillway",
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(self._folder),
                )
        except Exception as error:
            # Ray raises bare Exceptions; half of it may run already.
            said = self._last_words()
            ray.shutdown()
            raise RayFailed(
                f"Ray did not start: {str(error).splitlines()[0]}\n{said}"
                "Ray needs 2 processors, 4 GB of memory and room in /dev/shm; try again when the "
                "machine is less busy, or start with --runtime local"
            ) from error

    def _last_words(self) -> str:
        """The ends of the logs that tell why Ray's own processes died."""
        lines: list[str] = []
        for name in RAY_LOGS:
            for path in self._folder.glob(f"session_2*/logs/{name}"):
                text = path.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
                lines += [f"{name}: {line}\n" for line in text.splitlines()[-3:]]
        return "".join(lines)

    def spawn(
        self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
    ) -> RayHandle:
        """Start an incarnation of a box in a process of its own, or in the one it shares."""
        name, boxes = spec.name, 1
        if spec.shared is not None:
            name, boxes = spec.shared.process, spec.shared.boxes
        process = self._processes.get(name)
        if process is None or process.is_gone:
            self._generation += 1
            process = self._processes[name] = _Process(name, self._generation, boxes)
        return RayHandle(spec.name, process, process.run(build, place, spec))

    async def failed(self) -> str:
        """Wait until Ray can start no more boxes. With the raylet go those there are."""
        import ray

        while True:
            await asyncio.sleep(WATCH_S)
            node = ray._private.worker._global_node
            dead: list[tuple[str, Any]] = [] if node is None else node.dead_processes()
            for kind, process in dead:
                if kind in VITAL:
                    return f"Ray's {kind} {how_ended(process.returncode)}"

    async def stop(self) -> None:
        """End all of Ray's processes and remove what their session left behind."""
        if self._following is not None:
            self._following.cancel()
        await asyncio.get_running_loop().run_in_executor(self._thread, self._stop)
        self._thread.shutdown()

    def _stop(self) -> None:
        import ray

        ray.shutdown()
        self._logs.finish()
        self._clean()

    def _clean(self) -> None:
        """Remove sessions that ended; whoever calls owns the data directory, so none runs."""
        for left in self._folder.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()


@contextmanager
def _lean(modules: tuple[str, ...]) -> Iterator[None]:
    """Fork workers where these modules were imported (none: do not fork), and leave out what
    a single node has no use for and Ray has no switch for.

    The autoscaler's monitor, the monitor of logs, the server behind the dashboard (started even
    with `include_dashboard=False`) and the two agents of the node, on whose ports every start
    waits: together 9 seconds of processor time at the start, and 500 MB. A Ray without these names
    starts whole.
    """
    from ray._private import node, parameter, services, worker

    def hear_nothing(_: Any, threads_stopped: Any) -> None:
        """Ray would print what its raylet says on standard output, which is not Ray's."""

    def serve_nothing(self: Any, **_: Any) -> None:
        self._webui_url = ""

    python_for = getattr(services, PYTHON_FOR, None)

    def python_or_stand_in(component: str, *rest: Any, **options: Any) -> list[str]:
        """The beginning of the command of one of Ray's programs in Python."""
        if component in AGENT_PORTS:
            stand_in = [sys.executable, "-I", "-S", agent_stand_in.__file__]
            beside = (
                ",".join((*RAY_MODULES, *modules)) if component == NURSED_BY and modules else ""
            )
            return [*stand_in, ",".join(AGENT_PORTS[component]), beside]
        assert python_for is not None
        command: list[str] = python_for(component, *rest, **options)
        return command

    few: Any = partial(parameter.RayParams, no_monitor=True, include_log_monitor="")
    if modules:
        few = partial(few, worker_path=worker_start.__file__)
    lean: list[tuple[Any, str, Any]] = [
        (node.Node, "start_api_server", serve_nothing),
        (parameter, "RayParams", few),
        (services, PYTHON_FOR, python_or_stand_in),
        (worker, "listen_error_messages", hear_nothing),
    ]
    lean = [each for each in lean if hasattr(each[0], each[1])]
    before = [(place, name, getattr(place, name)) for place, name, _ in lean]
    for place, name, ours in lean:
        setattr(place, name, ours)
    try:
        yield
    finally:
        for place, name, theirs in before:
            setattr(place, name, theirs)
