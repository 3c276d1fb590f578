"""Logs: one JSON object a line on stderr, pretty on a terminal, everything through one redaction.

    log = get_logger("gateway.front_door")
    log.info("payment answered", payment_id=payment_id, duration_s=0.004)

Names carry their units (`_s`, `_b`). What libraries log by the standard module takes the same way
out. A level that is off costs one call of an empty method.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

from msgspec.json import Encoder

from gateway.lean_structlog import structlog
from gateway.redaction import Redactor
from payments.clock import Clock, SystemClock
from payments.ids import Entropy

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

ORDER: Final = (
    "timestamp",
    "level",
    "event",
    "logger",
    "request_id",
    "trace_id",
    "span_id",
    "merchant_id",
    "payment_id",
    "duration_s",
)
"""The fields that every line has first, in this order, where they are known."""

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
QUIET: Final = {"aiohttp.access": logging.WARNING, "asyncio": logging.WARNING}
"""Libraries that say at a lower level what we say ourselves, or nobody needs."""

_encode: Final = Encoder(enc_hook=str).encode


def get_logger(name: str) -> "FilteringBoundLogger":
    """A logger that says where it stands. Cheap to make; made once a module."""
    logger: FilteringBoundLogger = structlog.get_logger(log_name=name)
    return logger


def setup_logging(
    json: bool | None = None,
    level: str = "info",
    *,
    clock: Clock | None = None,
    hash_key: bytes = b"",
    stream: TextIO | None = None,
) -> None:
    """Send all logs of this process to `stream` (stderr).

    `json`: lines for machines; None decides by whether the stream is a terminal. `hash_key`: keys
    the hashes of codes, so that lines of several processes compare; without it each has its own.
    """
    out = SteadyStream(stream or sys.stderr)
    clock = clock or SystemClock()
    number = LEVELS[level]
    redactor = Redactor(hash_key or Entropy().bytes(32))
    as_lines = not out.isatty() if json is None else json
    finish: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _stamp(clock),
        structlog.processors.format_exc_info,
        redactor,
        _ordered,
        _line if as_lines else structlog.dev.ConsoleRenderer(colors=out.isatty()),
    ]
    structlog.configure(
        processors=[structlog.processors.add_log_level, *finish],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, out)),
        cache_logger_on_first_use=True,
    )
    handler = _Foreign(finish, out)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _Foreign)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name, lowest in QUIET.items():
        logging.getLogger(name).setLevel(max(lowest, number))


class SteadyStream:
    """A log's stream that a full disk does not turn into an error of whoever says something.

    A line that cannot be written is counted; the first that can be again says how many were lost.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost = 0

    def write(self, text: str) -> int:
        if not self.lost:
            return self._try(text)
        line = _encode(
            {"level": "error", "event": "log lines could not be written", "lines": self.lost}
        )
        return self._try(f"{line.decode()}\n{text}")

    def _try(self, text: str) -> int:
        try:
            written = self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.lost += 1
            return 0
        self.lost = 0
        return written

    def flush(self) -> None:
        """Each write was flushed, or counted as lost."""

    def isatty(self) -> bool:
        return self._stream.isatty()


class _Foreign(logging.Handler):
    """What others log by the standard module, through the same processors."""

    def __init__(self, processors: "list[Processor]", stream: SteadyStream) -> None:
        super().__init__()
        self._processors = processors
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event: Any = {
                "event": record.getMessage(),
                "level": record.levelname.lower(),
                "logger": record.name,
            }
            if record.exc_info:
                event["exc_info"] = record.exc_info
            for process in self._processors:
                event = process(None, record.levelname.lower(), event)
            self._stream.write(f"{event}\n")
            self._stream.flush()
        except Exception:
            self.handleError(record)


def _stamp(clock: Clock) -> "Processor":
    """Add the real time, RFC 3339 in UTC with milliseconds."""

    def stamp(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        now_ms = clock.real_ms()
        instant = datetime.fromtimestamp(now_ms // 1000, UTC)
        if "log_name" in event:  # structlog keeps the name `logger` for itself.
            event["logger"] = event.pop("log_name")
        event["timestamp"] = f"{instant:%Y-%m-%dT%H:%M:%S}.{now_ms % 1000:03d}Z"
        return event

    return stamp


def _ordered(_: Any, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    first = {name: event[name] for name in ORDER if name in event}
    return {**first, **event}


def _line(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _encode(event).decode("utf-8", "replace")
