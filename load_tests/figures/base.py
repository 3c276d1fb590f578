"""What the figures share: where they work, what they return, the bars they must meet."""

import errno
import random
import shutil
import socket
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from load_tests.audit import Audit
from load_tests.console import Progress
from load_tests.gateway import Options, seed_file_of

PORTS: Final = (20_000, 32_000)
PORTS_TRIED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """A named value and the limit that it has to keep."""

    name: str
    value: float
    limit: float
    at_least: bool
    unit: str = ""
    aim: float | None = None

    @property
    def met(self) -> bool:
        """Whether the limit is kept; a value that is not a number is not."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{self.name} {self.value:.4g}{self.unit} ({sign} {self.limit:g}{self.unit})"

    def as_json(self) -> dict[str, Any]:
        """For the history and the report."""
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "limit": self.limit,
            "at_least": self.at_least,
            "unit": self.unit,
            "aim": self.aim,
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Figure:
    """The outcome of one figure. `values` is plain JSON; `summary` goes to the last line."""

    name: str
    title: str
    bars: tuple[Bar, ...]
    values: dict[str, Any]
    audit: Audit
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether every bar was met and the audit passed."""
        return self.audit.passed and all(bar.met for bar in self.bars)

    def as_json(self) -> dict[str, Any]:
        """For the history and the report."""
        return {
            "name": self.name,
            "title": self.title,
            "met": self.met,
            "bars": [bar.as_json() for bar in self.bars],
            "values": self.values,
            "audit": {**self.audit.as_json(), "passed": self.audit.passed},
        }


@dataclass(slots=True)
class Lab:
    """Where and how figures are measured. `peak_per_second` is filled by the closed figure."""

    out: Path
    work: Path
    options: Options
    runs: int
    duration_s: int
    progress: Progress
    expected_per_second: float = 15_000.0
    """How many requests to sign beforehand; follows what was measured last on fresh data."""
    peak_per_second: float | None = None
    payments: int | None = None
    """How many payments the day of a figure has; None: as many as the figure is about."""
    stores: Path | None = None
    """Where stores made in bulk are kept from run to run; None: they are made and removed."""
    serial: int = 0

    def fresh(self, name: str) -> Path:
        """A path of the work folder that no run used before."""
        self.serial += 1
        return self.work / f"{name}-{self.serial}"

    def discard(self, data: Path) -> None:
        """Remove a data directory and its seed file: a full bench would fill the disk."""
        shutil.rmtree(data, ignore_errors=True)
        seed_file_of(data).unlink(missing_ok=True)


def free_port() -> int:
    """A loopback port that nobody listens on now.

    From below those that the kernel gives to outgoing connections: a server that is started on it
    for a second time would find one of those there.
    """
    for _ in range(PORTS_TRIED_MAX):
        port = random.randrange(*PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        return port
    raise RuntimeError(f"no free port between {PORTS[0]} and {PORTS[1]}; stop some servers")


def median(values: Sequence[float]) -> float:
    """The middle of the runs; not a number if there are none."""
    return statistics.median(values) if values else float("nan")
