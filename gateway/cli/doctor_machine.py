"""The doctor's look at the machine: Python, libraries, limits, the clock."""

import asyncio
import ctypes
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from gateway.cli.findings import Finding, Level, finding
from payments.clock import SystemClock

OPEN_FILES_MIN: Final = 4_096
SHARED_MEMORY_SPARE: Final = 32 << 20
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where Ray keeps its object store
IMPORT_S: Final = 60
EARLIEST_MS: Final = 1_790_000_000_000
"""This program is younger: a clock before it is wrong."""

DISK_SKEW_MAX_MS: Final = 2_000
CHANNEL_SKEW_MAX_S: Final = 60
"""Channels refuse requests that are 5 minutes off; a fifth of that is a reason to look."""

ASK_S: Final = 5
UNSYNCHRONIZED: Final = 0x0040
"""STA_UNSYNC in the status of adjtimex(2)."""

STATUS_AT: Final = 40
"""Offset of `status` in the kernel's struct timex on 64 bits."""

TIMEX_BYTES: Final = 256


def python(_: Any) -> Iterator[Finding]:
    found = sys.version_info >= (3, 11)
    yield finding("python", found, platform.python_version(), "use Python 3.11 or newer")
    fix = "run without -O and PYTHONOPTIMIZE: asserts guard money"
    yield finding("asserts", __debug__, "on" if __debug__ else "off", fix)


def sqlite(_: Any) -> Iterator[Finding]:
    import apsw

    from payments.storage.base import StoreRefused
    from payments.storage.connect import guard_version

    try:
        guard_version()
        yield Finding("sqlite", Level.OK, apsw.sqlite_lib_version())
    except StoreRefused as error:
        yield Finding("sqlite", Level.WRONG, str(error), "install apsw from its wheel")


def ray(settings: Any) -> Iterator[Finding]:
    """Imported in a process of its own: it may hang or crash where its parts do not fit."""
    if settings.runtime != "ray":
        return
    fix = "pip install 'ray>=2.60,<2.62', or use --runtime local"
    try:
        number = version("ray")
    except PackageNotFoundError:
        yield Finding("ray", Level.WRONG, "not installed", fix)
        return
    try:
        subprocess.run(
            [sys.executable, "-c", "import ray"], check=True, capture_output=True, timeout=IMPORT_S
        )
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        yield Finding("ray", Level.WRONG, f"{number} cannot be imported: {''.join(last)}", fix)
    except subprocess.TimeoutExpired:
        yield Finding("ray", Level.WRONG, f"{number}: import took over {IMPORT_S} s", fix)
    else:
        yield Finding("ray", Level.OK, f"{number}, can be imported")


def limits(settings: Any) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fix = f"ulimit -n {OPEN_FILES_MIN}, or LimitNOFILE= in the unit"
    yield finding("open files", soft >= OPEN_FILES_MIN, f"{soft} (at most {hard})", fix)
    if settings.runtime == "ray" and SHARED_MEMORY.exists():
        free = shutil.disk_usage(SHARED_MEMORY).free
        wanted = (settings.ray.object_store_mb << 20) + SHARED_MEMORY_SPARE
        fix = f"give the container more: --shm-size=512m ({wanted >> 20} MiB are needed)"
        yield finding("shared memory", free >= wanted, f"{free >> 20} MiB free", fix)


def clock(settings: Any) -> Iterator[Finding]:
    """Signatures and webhooks live in windows of five minutes."""
    real_ms = SystemClock().real_ms()
    fix = "set the clock: timedatectl set-ntp true, or chronyd"
    if real_ms < EARLIEST_MS:
        yield Finding("clock", Level.WRONG, "before this program was written", fix)
        return
    with tempfile.NamedTemporaryFile(dir=_existing(settings.data_path)) as file:
        off_ms = abs(os.stat(file.name).st_mtime_ns // 1_000_000 - SystemClock().real_ms())
    if off_ms > DISK_SKEW_MAX_MS:
        yield Finding("clock", Level.WRONG, f"{off_ms} ms from the data disk's", fix)
        return
    synchronized = _is_synchronized()
    if synchronized is None:
        yield Finding("clock", Level.OK, "plausible; the kernel does not say if synchronized")
    else:
        found = "synchronized" if synchronized else "not synchronized, as far as the kernel knows"
        # Beside others in a container the host keeps the time, and the kernel may not say so.
        yield finding("clock", synchronized, found, fix, is_mild=not settings.livemode)


def _existing(path: Path) -> Path:
    """The nearest folder that is there and can be written; else the temporary one."""
    while not path.exists():
        path = path.parent
    return path if os.access(path, os.W_OK) else Path(tempfile.gettempdir())


def _is_synchronized() -> bool | None:
    """What the kernel knows of its clock (adjtimex, reading only)."""
    if sys.platform != "linux" or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    room = ctypes.create_string_buffer(TIMEX_BYTES)
    try:
        answer = ctypes.CDLL(None).adjtimex(room)
    except (AttributeError, OSError):
        return None
    if answer < 0:
        return None
    status = int.from_bytes(room.raw[STATUS_AT : STATUS_AT + 4], sys.byteorder)
    return not status & UNSYNCHRONIZED


def channels(settings: Any) -> Iterator[Finding]:
    """Each channel's clock, and the bank's, by the Date of an answer."""
    urls = sorted({each.base_url for each in settings.channels if each.base_url})
    if settings.bank is not None:
        urls.append(settings.bank.base_url)
    if not urls:
        yield Finding("channels", Level.OK, "none has an address of its own here")
    for url in urls:
        name = f"clock of {url}"
        try:
            skew_s = asyncio.run(_skew_s(url))
        except (OSError, TimeoutError, ValueError) as error:
            fix = "open the firewall for it, or mend base_url"
            yield Finding(name, Level.WRONG, f"no answer: {type(error).__name__}", fix)
            continue
        fix = "set this machine's clock: signatures would be refused"
        yield finding(name, abs(skew_s) <= CHANNEL_SKEW_MAX_S, f"{skew_s:+.0f} s from ours", fix)


async def _skew_s(url: str) -> float:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=ASK_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.head(url) as answer:
            told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except aiohttp.ClientError as error:
        raise OSError(str(error)) from error
    return told.timestamp() - SystemClock().real_ms() / 1_000
