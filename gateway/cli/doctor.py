"""`tillway doctor`: what on this machine would keep the gateway from working, and the fix."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, say

OPEN_FILES_MIN: Final = 4_096
SHARED_MEMORY_MIN: Final = 128 * 1024 * 1024
FSYNC_ROUNDS: Final = 20
FSYNC_MAX_MS: Final = 20.0
FREE_BYTES_MIN: Final = 1 << 30

Check = tuple[str, bool, str, str]
"""name, whether it is well, what was found, what to do"""


def doctor(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Check Python, Ray, limits, ports, disk and stores. Exit code 1 when something is wrong.

    Example: tillway doctor
    """
    settings = settings_from(config, {"data_dir": data})
    checks = [check for look in LOOKS for check in look(settings)]
    report = {
        "ok": all(ok for _, ok, _, _ in checks),
        "checks": [
            {"name": name, "ok": ok, "found": found, "fix": "" if ok else fix}
            for name, ok, found, fix in checks
        ],
    }
    lines = [
        f"{'ok ' if ok else 'NOT'}  {name:<16}  {found}" + ("" if ok else f"\n     fix: {fix}")
        for name, ok, found, fix in checks
    ]
    say(report, as_json=as_json, text="\n".join(lines))
    if not report["ok"]:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _python(_: Any) -> Iterator[Check]:
    import platform
    import sys

    version = sys.version_info >= (3, 11)
    yield "python", version, platform.python_version(), "use Python 3.11 or newer"
    yield "asserts", __debug__, "on" if __debug__ else "off", "run without -O: asserts guard money"


def _libraries(settings: Any) -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    from payments.storage.base import StoreRefused
    from payments.storage.connect import guard_version

    try:
        guard_version()
        yield "sqlite", True, "recent enough", ""
    except StoreRefused as error:
        yield "sqlite", False, str(error), "install apsw from its wheel"
    if settings.runtime == "ray":
        try:
            yield "ray", True, version("ray"), ""
        except PackageNotFoundError:
            yield "ray", False, "not installed", "install it, or use --runtime local"


def _limits(settings: Any) -> Iterator[Check]:
    import resource
    import shutil

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield "open files", soft >= OPEN_FILES_MIN, str(soft), f"ulimit -n {OPEN_FILES_MIN}"
    shared = Path("/dev/shm")  # noqa: S108 - where Ray keeps its object store
    if settings.runtime == "ray" and shared.exists():
        free = shutil.disk_usage(shared).free
        yield (
            "shared memory",
            free >= SHARED_MEMORY_MIN,
            f"{free >> 20} MiB free",
            "give the container more: --shm-size=512m",
        )


def _ports(settings: Any) -> Iterator[Check]:
    from actors.net import reserve_tcp

    for name, port in (("port", settings.http.port), ("admin port", settings.http.admin_port)):
        try:
            reserve_tcp(settings.http.host, port).close()
            yield name, True, f"{port} is free", ""
        except OSError as error:
            yield name, False, f"{port}: {error.strerror}", "stop who has it, or take another"


def _disk(settings: Any) -> Iterator[Check]:
    import shutil

    place = settings.data_path
    while not place.exists():
        place = place.parent
    try:
        took_ms = _fsync_ms(place)
    except OSError as error:
        yield "data directory", False, f"{place}: {error.strerror}", "make it writable"
        return
    yield "data directory", True, f"{settings.data_path} can be written", ""
    fix = "use a local disk: every commit waits for it"
    yield "disk sync", took_ms <= FSYNC_MAX_MS, f"{took_ms:.2f} ms (median)", fix
    free = shutil.disk_usage(place).free
    yield "disk space", free >= FREE_BYTES_MIN, f"{free >> 20} MiB free", "make room"


def _fsync_ms(place: Path) -> float:
    """Median time of a small durable write."""
    import os
    import tempfile

    from payments.clock import SystemClock

    clock = SystemClock()
    took = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(FSYNC_ROUNDS):
            began = clock.monotonic()
            file.write(b"\0" * 4_096)
            file.flush()
            os.fsync(file.fileno())
            took.append(clock.monotonic() - began)
    return sorted(took)[FSYNC_ROUNDS // 2] * 1_000


def _stores(settings: Any) -> Iterator[Check]:
    from payments.storage.check import full

    for path in sorted(settings.data_path.glob("*.db")):
        complaints = full(path)
        found = "whole" if not complaints else "; ".join(complaints[:3])
        fix = "keep a copy with its -wal file and restore the last backup"
        yield path.name, not complaints, found, fix


LOOKS: Final[tuple[Callable[[Any], Iterator[Check]], ...]] = (
    _python,
    _libraries,
    _limits,
    _ports,
    _disk,
    _stores,
)
