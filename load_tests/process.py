"""Start a server, wait for its ready line, stop it and everything it started, by id."""

import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from load_tests import cpu

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
LOG_TAIL_BYTES: Final = 4_000
READY_LINE_BYTES_MAX: Final = 65_536


class ServerFailed(RuntimeError):
    """The server did not become ready, or ended by itself."""


class Server:
    """A child process that prints one JSON line with `"ready": true` when it can serve."""

    def __init__(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        """Start `argv` and wait; standard error goes to the file `log`.

        `environment` is added to our own. Raise ServerFailed with the log's end.
        """
        self._log = log
        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                ["env", *settings, *argv] if settings else list(argv),
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
            )
        try:
            self.ready = self._wait_until_ready(time.monotonic() + ready_timeout_s)
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The process that we started; its descendants belong to it."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it takes payments."""
        return str(self.ready["api"])

    def _wait_until_ready(self, deadline: float) -> dict[str, Any]:
        stdout = self._process.stdout
        assert stdout is not None
        received = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline and len(received) < READY_LINE_BYTES_MAX:
                if not selector.select(timeout=deadline - time.monotonic()):
                    break
                chunk = os.read(stdout.fileno(), 4096)
                if not chunk:
                    break
                received += chunk
                for line in received.split(b"\n")[:-1]:
                    if line.startswith(b"{") and b'"ready"' in line:
                        ready: dict[str, Any] = json.loads(line)
                        return ready
        raise ServerFailed(f"{self._process.args!r} did not get ready\n{self.log_tail()}")

    def log_tail(self) -> str:
        """The end of what it wrote to standard error."""
        return self._log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def is_running(self) -> bool:
        """Whether the process that we started is still there."""
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask it to drain and end; end whatever is left of its tree. Return its exit code."""
        family = cpu.snapshot([self._process.pid])
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        _end_orphans(family)
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _end_orphans(family: cpu.Snapshot) -> None:
    """End what a server left behind: the same process ids with the same start times."""
    for pid, member in family.items():
        alive = cpu.sample(pid)
        if alive is None or alive.started != member.started:
            continue
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # It ended by itself in the meantime.
