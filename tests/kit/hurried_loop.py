"""A loop with real sockets whose time jumps when nobody has anything to say.

A minute of waiting takes milliseconds, as on `VirtualLoop`, but what is sent on loopback really is
sent. The kernel delivers that before the sender's call returns, as a rule: so time jumps only when
no socket is readable, and, while somebody waits for an answer (`awaited()` is true), not before the
kernel had a moment more. Nothing on it may wait for a thread.
"""

import selectors
from collections.abc import Callable
from typing import Any

from virtual_loop import VirtualLoop

GRACE_S = 0.002
"""Real time for the kernel, before time jumps in the middle of an exchange."""


class _Hurry(selectors.EpollSelector):
    """Looks at the sockets; where there is nothing to read, waiting moves the loop's clock."""

    loop: "HurriedLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.awaited():
            ready = super().select(GRACE_S)
            if ready:
                return ready
        if timeout is None:
            raise RuntimeError("every task waits for something that nobody will do")
        self.loop.now_s += max(timeout, 0)
        return []


class HurriedLoop(VirtualLoop):
    """`awaited`: whether an answer may be on its way."""

    def __init__(self) -> None:
        self.awaited: Callable[[], bool] = lambda: False
        super().__init__(_Hurry())
