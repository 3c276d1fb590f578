"""A timer that is exact to some microseconds: the event loop's own count whole milliseconds.

Linux keeps it (timerfd); the standard library has it from Python 3.13 on, so it is called here
through the C library.
"""

import ctypes
import os
from types import TracebackType
from typing import Final, Self

CLOCK_MONOTONIC: Final = 1
NON_BLOCKING: Final = os.O_NONBLOCK | os.O_CLOEXEC
NS: Final = 1_000_000_000
SOONEST_NS: Final = 1
"""Zero would switch the timer off."""


class _Instant(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Instant), ("first", _Instant))


_libc: Final = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Timer:
    """A file that becomes readable once, when it was set to."""

    def __init__(self) -> None:
        self._file = _checked(_libc.timerfd_create(CLOCK_MONOTONIC, NON_BLOCKING))
        self._setting = _Setting()

    def fileno(self) -> int:
        """For the event loop to watch."""
        return self._file

    def set(self, delay_s: float) -> None:
        """Become readable after so many seconds; a delay that is over counts as now."""
        delay_ns = max(SOONEST_NS, int(delay_s * NS))
        first = self._setting.first
        first.seconds, first.nanoseconds = divmod(delay_ns, NS)
        _checked(_libc.timerfd_settime(self._file, 0, ctypes.byref(self._setting), None))

    def clear(self) -> None:
        """Take note that it went off: it is not readable until it is set again."""
        os.read(self._file, 8)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)
