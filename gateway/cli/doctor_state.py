"""The doctor's look at a deployment: ports, disk, secrets, stores, what a kill left behind."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gateway.cli.findings import Finding, Level, finding
from payments.clock import SystemClock
from payments.storage.owner import owner_of

FSYNC_ROUNDS: Final = 20
FSYNC_BYTES: Final = 4_096
FSYNC_MAX_MS: Final = 20.0
FREE_BYTES_MIN: Final = 1 << 30
UNFINISHED: Final = ("*.making", ".*.new")
SECRETS: Final = ("*.secret", "*.token", "seed-keys.json")
NAMES_MAX: Final = 5


def running(settings: Any) -> Iterator[Finding]:
    owner = _owner(settings.data_path)
    if owner is not None:
        yield Finding("deployment", Level.OK, f"runs as process {owner} on this data directory")


def _owner(data: Path) -> str | None:
    from gateway.main import LOCK

    return owner_of(data / LOCK)


def ports(settings: Any) -> Iterator[Finding]:
    from actors.net import reserve_tcp

    if _owner(settings.data_path) is not None:
        return  # They are its own.
    http = settings.http
    asked = (
        ("port", http.host, http.port, "--port"),
        ("admin port", http.admin_host or http.host, http.admin_port, "--admin-port"),
    )
    for name, host, port, flag in asked:
        try:
            reserve_tcp(host, port).close()
            yield Finding(name, Level.OK, f"{port} is free" if port else "any free one")
        except OSError as error:
            fix = f"stop who has it (ss -ltnp 'sport = :{port}'), or take another with {flag}"
            yield Finding(name, Level.WRONG, f"{port}: {error.strerror}", fix)


def disk(settings: Any) -> Iterator[Finding]:
    path = settings.data_path
    place = path
    while not place.exists():
        place = place.parent
    try:
        took_ms = _fsync_ms(place)
    except OSError as error:
        fix = f"make it writable for user {os.getuid()}, or choose another with --data"
        yield Finding("data directory", Level.WRONG, f"{place}: {error.strerror}", fix)
        return
    yield Finding("data directory", Level.OK, f"{path} can be written")
    if path.exists():
        facts = path.stat()
        is_ours = facts.st_uid == os.getuid() and not facts.st_mode & 0o077
        fix = f"chmod 700 {path}; chown it to who runs the gateway"
        found = f"mode {facts.st_mode & 0o777:04o}, of user {facts.st_uid}"
        yield finding("its mode", is_ours, found, fix, is_mild=not settings.livemode)
    fix = "use a local disk: every commit waits for it"
    yield finding("disk sync", took_ms <= FSYNC_MAX_MS, f"{took_ms:.2f} ms (median)", fix)
    free = shutil.disk_usage(place).free
    yield finding("disk space", free >= FREE_BYTES_MIN, f"{free >> 20} MiB free", "make room")


def _fsync_ms(place: Path) -> float:
    """Median time of a small durable write."""
    clock = SystemClock()
    took = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(FSYNC_ROUNDS):
            began = clock.monotonic()
            file.write(b"\0" * FSYNC_BYTES)
            file.flush()
            os.fsync(file.fileno())
            took.append(clock.monotonic() - began)
    return sorted(took)[FSYNC_ROUNDS // 2] * 1_000


def sockets(settings: Any) -> Iterator[Finding]:
    """The kernel takes 107 bytes for a socket's path."""
    from gateway.folders import SOCKET_PATH_MAX, place_for
    from gateway.main import RUN_DIR, SOCKET_NAME_REST

    if settings.runtime != "ray":
        return
    longest = max((len(each.account) for each in settings.channels), default=0) + len("lane--000")
    place = place_for(settings.data_path, RUN_DIR, longest + SOCKET_NAME_REST)
    if place is None:
        fix = "choose a shorter --data, or a shorter TMPDIR"
        found = f"{settings.data_path} and the temporary folder are too long for {SOCKET_PATH_MAX}"
        yield Finding("socket paths", Level.WRONG, found, fix)
    else:
        yield Finding("socket paths", Level.OK, f"fit in {place}")


def secrets(settings: Any) -> Iterator[Finding]:
    """Nobody else reads what proves who we are."""
    for pattern in SECRETS:
        for path in sorted(settings.data_path.glob(pattern)):
            is_private = not path.stat().st_mode & 0o077
            fix = f"chmod 600 {path}"
            is_mild = not settings.livemode
            if not is_private:
                yield finding(path.name, False, "can be read by others", fix, is_mild=is_mild)
    if settings.livemode and (settings.data_path / "seed-keys.json").exists():
        fix = "move it to a safe, then delete it"
        yield Finding("seed-keys.json", Level.WARNING, "lies beside the data", fix)


def leftovers(settings: Any) -> Iterator[Finding]:
    """What an earlier start left that was killed."""
    path = settings.data_path
    if _owner(path) is not None:
        return
    processes = _processes_of(path)
    fix = "they end by themselves within 5 s; else: kill " + " ".join(map(str, processes))
    found = f"processes {', '.join(map(str, processes[:NAMES_MAX]))} still run on {path}"
    yield finding("leftovers", not processes, found if processes else "none", fix)
    files = [each for pattern in UNFINISHED for each in path.glob(pattern)]
    if files:
        names = ", ".join(each.name for each in files[:NAMES_MAX])
        fix = "delete them; they were never finished: rm " + " ".join(map(str, files[:NAMES_MAX]))
        yield Finding("half-made files", Level.WARNING, names, fix)


def _processes_of(path: Path) -> list[int]:
    """Processes of ours that name the data directory, and are not this one or its parents."""
    wanted = os.fsencode(path.resolve())
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        number = int(entry.name)
        if number in (os.getpid(), os.getppid()):
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended, or is not ours to look at.
        is_tillway = any(b"gateway.cli" in word or b"ray" in word for word in words[:6])
        if is_tillway and any(_is_below(word, wanted) for word in words):
            found.append(number)
    return sorted(found)


def _is_below(word: bytes, folder: bytes) -> bool:
    value = word.rpartition(b"=")[2]
    return value == folder or value.startswith(folder + b"/")


def stores(settings: Any) -> Iterator[Finding]:
    from gateway.cli.output import progress
    from payments.storage.check import full

    paths = sorted(settings.data_path.glob("*.db"))
    if not paths:
        return
    with progress("checking stores", len(paths), quiet=True) as step:
        for number, path in enumerate(paths, 1):
            complaints = full(path)
            found = "whole" if not complaints else "; ".join(complaints[:3])
            fix = "keep a copy with its -wal file and restore the last backup"
            yield finding(path.name, not complaints, found, fix)
            step(number)
