"""Ray: starts, places and watches the boxes. The only file that knows it.

Ray is the control plane alone: one long `run` call an actor, never a call a payment. Actors are
never restarted by Ray (`max_restarts=0`: a restart would run the constructor alone); the supervisor
starts the next incarnation. Nothing secret is an argument.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final

from actors.net import SocketNetwork
from actors.process import Boxed, Spec
from payments.clock import SystemClock

RAY_SWITCHES: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_open_telemetry": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
}
"""Set before Ray starts; niceness 15, Ray's default, costs a fifth of the throughput."""

START_TOGETHER: Final = 8
"""Worker processes that Ray may start at once; our actors need no CPU in Ray's books."""

MIB: Final = 1024 * 1024
COMM_MAX: Final = 15
"""Bytes of a process's name that Linux keeps."""

EXIT_FATAL: Final = 70


class RayBox:
    """The Ray actor around a box: builds it in its own process and runs it on a loop of its own."""

    def __init__(self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec) -> None:
        self._build = build
        self._place = place
        self._spec = spec

    def pid(self) -> int:
        return os.getpid()

    def run(self) -> str:
        """Blocks for the life of the box. Returns after a stop; a failure ends the process."""
        import uvloop

        name_process(self._spec.name)

        async def live() -> None:
            network = SocketNetwork()
            place = self._place(network, self._spec, SystemClock(), exit_process)
            await self._build(self._spec, place).run()

        try:
            uvloop.run(live())
        except BaseException as error:
            import traceback

            traceback.print_exception(error)
            exit_process(f"{self._spec.name}: {type(error).__name__}: {error}")
        return self._spec.name


def name_process(name: str) -> None:
    """Show the box's name where `ps` and `top` look; Ray shows its own in the command line."""
    if sys.platform == "linux":
        with open("/proc/self/comm", "w", encoding="utf-8") as comm:
            comm.write(name[:COMM_MAX])


def exit_process(reason: str) -> None:
    """End this process at once: later decisions stood on what just failed."""
    sys.stderr.write(f"tillway: {reason}\n")
    sys.stderr.flush()
    os._exit(EXIT_FATAL)


class RayHandle:
    """A box that Ray runs."""

    def __init__(self, name: str, actor: Any, ended: Any) -> None:
        self.name = name
        self.pid = 0
        self._actor = actor
        self._ended = ended

    async def started(self) -> int:
        """Wait for the process. Its pid."""
        self.pid = int(await self._actor.pid.remote())
        return self.pid

    async def ended(self) -> str | None:
        """Wait for the end: None after a stop, else the reason."""
        import ray

        try:
            await self._ended
        except ray.exceptions.RayError as error:
            return str(error).splitlines()[0]
        return None

    def kill(self) -> None:
        import ray

        ray.kill(self._actor, no_restart=True)


class RaySystem:
    """Boxes as Ray actors on this node."""

    def __init__(self, object_store_mb: int, temp_dir: str | None = None) -> None:
        self._object_store_mb = object_store_mb
        self._temp_dir = temp_dir

    def start(self) -> None:
        """Start Ray: loopback only, no dashboard, nothing reported to anybody."""
        os.environ.update(RAY_SWITCHES)
        import ray

        options: dict[str, Any] = {} if self._temp_dir is None else {"_temp_dir": self._temp_dir}
        ray.init(
            num_cpus=START_TOGETHER,
            object_store_memory=self._object_store_mb * MIB,
            include_dashboard=False,
            log_to_driver=True,
            logging_level=logging.ERROR,
            configure_logging=False,
            namespace="tillway",
            _node_ip_address="127.0.0.1",
            **options,
        )

    def spawn(
        self, build: Callable[..., Boxed], place: Callable[..., Any], spec: Spec
    ) -> RayHandle:
        """Start an incarnation of a box in a process of its own."""
        import ray

        actor: Any = (
            ray.remote(RayBox)
            .options(
                name=f"{spec.name}.{spec.incarnation}",
                num_cpus=0,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=2,
            )
            .remote(build, place, spec)
        )
        ended = asyncio.wrap_future(actor.run.remote().future())
        return RayHandle(spec.name, actor, ended)

    def stop(self) -> None:
        import ray

        ray.shutdown()
