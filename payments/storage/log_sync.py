"""Syncing a log while the loop goes on: the kernel does it and wakes the loop when it is done.

Linux asynchronous I/O (`io_submit(2)`, IOCB_CMD_FDSYNC, Linux 4.18 and later). A thread of ours
would do the same, but needs the interpreter's lock twice for each sync, from a loop that has just
got something else to do. docs/adr/0017.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

log = logging.getLogger(__name__)

CLOSING_MAX_S: Final = 5
"""How long `close` waits for a sync that is under way."""


class LogSync(Protocol):
    """Makes what was written to one file durable."""

    async def sync(self) -> None:
        """Return when all that was written before is on the disk; raise when that is not sure.

        One at a time.
        """
        ...

    def close(self) -> None: ...


OpenLogSync = Callable[[Path], LogSync | None]
"""Opens that of a file; None where the caller has to wait for the disk itself."""


def kernel_sync(path: Path) -> LogSync | None:
    """None where the kernel does not do it for us: an old one, or a sandbox that forbids it."""
    try:
        return KernelSync(path)
    except (ImportError, SystemError) as error:
        log.warning(
            "no asynchronous syncs here, a thread waits for the disk instead: "
            "payments take about a millisecond longer (%s)",
            error,
        )
        return None


class KernelSync:
    """`LogSync` by the kernel. Errors of a sync are OSError, SystemError or ValueError."""

    def __init__(self, path: Path) -> None:
        """ImportError or SystemError where the kernel has none for us; OSError without the file."""
        from caio import linux_aio

        self._context = linux_aio.Context(max_requests=1)
        self._operation = linux_aio.Operation
        # Errors of the disk are told to each descriptor once: this one stays open for all of them.
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_under_way = False

    async def sync(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            loop.add_reader(self._context.fileno, self._look)
            self._loop = loop
        assert not self._is_under_way, "one sync at a time"
        self._waiter = waiter = loop.create_future()
        operation = self._operation.fdsync(self._file)
        operation.set_callback(self._ended)
        if self._context.submit(operation) != 1:
            raise OSError("the kernel did not take the sync")
        self._is_under_way = True
        await waiter
        operation.get_value()  # Raises what the sync failed with.

    def _look(self) -> None:
        """The kernel has something to say."""
        # Woken without cause: whatever has ended is looked at nevertheless.
        with contextlib.suppress(BlockingIOError):
            self._context.poll()
        try:
            self._context.process_events()
        except Exception as error:
            waiter = self._waiter
            if waiter is None or waiter.done():
                raise
            waiter.set_exception(error)

    def _ended(self, _: int) -> None:
        self._is_under_way = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Let go. A sync under way is waited for: it holds what the kernel lent us."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._context.fileno)
        if self._is_under_way:
            self._context.process_events(1, 1, CLOSING_MAX_S)
        del self._context
        os.close(self._file)
