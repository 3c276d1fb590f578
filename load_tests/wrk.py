"""Run wrk and read what it prints."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 256
SCRIPT: Final = Path(__file__).with_name("replay.lua")
GRACE_S: Final = 60
"""wrk reads the request file before it starts and answers late at the end: time for both."""

_TIME_US: Final = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 60e6, "h": 3600e6}
_LATENCY = re.compile(r"^\s+(\d+(?:\.\d+)?)%\s+([\d.]+)(us|ms|s|m|h)\s*$", re.MULTILINE)
_TOTAL = re.compile(r"^\s*(\d+) requests in ([\d.]+)(us|ms|s|m|h)", re.MULTILINE)
_RATE = re.compile(r"^Requests/sec:\s+([\d.]+)", re.MULTILINE)
_REFUSED = re.compile(r"^\s*Non-2xx or 3xx responses: (\d+)", re.MULTILINE)
_SOCKET = re.compile(
    r"^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", re.MULTILINE
)
_USED_UP: Final = "the request file is used up"


class WrkFailed(RuntimeError):
    """wrk ended badly or printed something that is not a result."""


class RequestsUsedUp(WrkFailed):
    """The request file was too short for the run."""


@dataclass(frozen=True, slots=True)
class WrkResult:
    """One run of wrk. Latencies in milliseconds, measured from sending (closed loop)."""

    requests: int
    seconds: float
    per_second: float
    latency_ms: dict[str, float]
    refused: int
    connect_errors: int
    read_errors: int
    write_errors: int
    timeouts: int

    @property
    def acknowledged(self) -> int:
        """Answers with a 2xx status."""
        return self.requests - self.refused

    @property
    def errors(self) -> int:
        """Answers that are not 2xx and everything that went wrong on a socket."""
        socket_errors = self.connect_errors + self.read_errors + self.write_errors
        return self.refused + socket_errors + self.timeouts


def parse(text: str) -> WrkResult:
    """Read the output of `wrk --latency`. Raise WrkFailed if it is not a result."""
    total, rate = _TOTAL.search(text), _RATE.search(text)
    if _USED_UP in text:
        raise RequestsUsedUp(text)
    if total is None or rate is None:
        raise WrkFailed(text)
    refused, sockets = _REFUSED.search(text), _SOCKET.search(text)
    connect, read, write, timeout = map(int, sockets.groups()) if sockets else (0, 0, 0, 0)
    return WrkResult(
        requests=int(total[1]),
        seconds=float(total[2]) * _TIME_US[total[3]] / 1e6,
        per_second=float(rate[1]),
        latency_ms={
            f"p{float(percent):g}": float(value) * _TIME_US[unit] / 1e3
            for percent, value, unit in _LATENCY.findall(text)
        },
        refused=int(refused[1]) if refused else 0,
        connect_errors=connect,
        read_errors=read,
        write_errors=write,
        timeouts=timeout,
    )


def run(url: str, requests: Path, duration_s: int, *, connections: int = CONNECTIONS) -> WrkResult:
    """Replay `requests` against `url` for `duration_s` seconds on one thread."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "--latency", "--timeout", "10s"]
    argv += ["-s", str(SCRIPT), url, "--", str(requests)]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=duration_s + GRACE_S, check=False
        )
    except FileNotFoundError as missing:
        raise WrkFailed("wrk is not on the path; on Debian: apt install wrk") from missing
    output = done.stdout + done.stderr
    if done.returncode != 0 and _USED_UP not in output:
        raise WrkFailed(output)
    return parse(output)
