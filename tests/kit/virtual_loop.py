"""An event loop whose time is not the machine's: it jumps to the next timer when nothing is ready.

A minute of timers takes milliseconds, and the same program takes the same steps every time. Nothing
on it may wait for a thread or a socket.
"""

import asyncio
import selectors
from concurrent.futures import Executor, Future
from typing import Any


class _Jump(selectors.SelectSelector):
    """Waiting costs no time: it moves the loop's clock."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits for something that nobody will do")
        if timeout > 0:
            self.loop.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time starts at zero. `failures`: exceptions that nobody caught, but for a test's crashes."""

    def __init__(self, selector: Any = None) -> None:
        selector = selector or _Jump()
        selector.loop = self
        self.now_s = 0.0
        self.failures: list[str] = []
        super().__init__(selector)
        self.set_exception_handler(self._failed)

    def time(self) -> float:
        return self.now_s

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if error is None or not is_only(error, Crashed, asyncio.CancelledError):
            self.failures.append(f"{context.get('message')}: {error!r}")

    def finish(self) -> None:
        """Cancel what still runs and close."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            task.cancel()
        if tasks:
            self.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.close()


class Crashed(BaseException):
    """The box that runs this code died here."""


def is_only(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether an error, or everything in a group of them, is of these kinds."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_only(each, *kinds) for each in error.exceptions)
    return isinstance(error, kinds)


class LoopClock:
    """Real and business time of a virtual loop, moved together; `offset_ms` as the test clock."""

    def __init__(self, loop: VirtualLoop, start_ms: int) -> None:
        self._loop = loop
        self._start_ms = start_ms
        self.offset_ms = 0

    def now_ms(self) -> int:
        return self.real_ms() + self.offset_ms

    def real_ms(self) -> int:
        return self._start_ms + round(self._loop.now_s * 1000)

    def monotonic(self) -> float:
        return self._loop.now_s


class Inline(Executor):
    """Threads would wait in real time: do the work at once."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            # As an executor does: the caller meets it in the future.
            future.set_exception(error)
        return future
