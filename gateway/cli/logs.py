"""`tillway logs tail`: the deployment's log, JSON lines, filtered and readable."""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from gateway.cli.options import AsJson
from gateway.cli.output import EXIT_USAGE, complain, is_terminal

app: Final = typer.Typer(no_args_is_help=True)
DEMO_LOG: Final = "demo.log"
POLL_S: Final = 0.2
LINES_MAX: Final = 100_000
STANDARD_INPUT: Final = "-"
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""As gateway.logs has them; that file brings what writes logs, which a reader need not load."""

LEVEL_COLORS: Final = {"warning": "yellow", "error": "red", "critical": "bold red"}
FIRST: Final = ("request_id", "merchant_id", "payment_id", "duration_s")
"""Fields that come before the others, where a line has them."""

NOT_REPEATED: Final = frozenset({"timestamp", "level", "event", "exception", "stack"})

File = Annotated[
    str | None,
    typer.Argument(
        help="The log's file, or - for standard input; else the demo's.", metavar="FILE"
    ),
]
Level = Annotated[str, typer.Option("--level", help=f"At least: {', '.join(LEVELS)}.")]
Text = Annotated[str | None, typer.Option("--grep", help="Lines that hold this text.")]
Lines = Annotated[int, typer.Option("--lines", "-n", min=0, max=LINES_MAX, help="0: all.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]


class _Wanted:
    """Which lines are shown."""

    def __init__(self, level: str, fields: dict[str, str], text: str | None) -> None:
        self._level = LEVELS[level]
        self._fields = fields
        self._text = text
        self._is_open = self._level <= LEVELS["debug"] and not fields

    def takes(self, line: str, told: dict[str, Any] | None) -> bool:
        """`told`: the line's object; None for a line that is none, kept unless fields are asked."""
        if self._text is not None and self._text not in line:
            return False
        if told is None:
            return self._is_open
        if LEVELS.get(str(told.get("level")), LEVELS["info"]) < self._level:
            return False
        return all(str(told.get(name)) == value for name, value in self._fields.items())


@app.command()
def tail(
    file: File = None,
    level: Level = "debug",
    request_id: Annotated[str | None, typer.Option("--request-id", help="req_…")] = None,
    payment: Annotated[str | None, typer.Option("--payment", help="pay_…")] = None,
    merchant: Annotated[str | None, typer.Option("--merchant", help="mch_…")] = None,
    text: Text = None,
    lines: Lines = 20,
    follow: Follow = False,
    data: Annotated[
        Path | None, typer.Option("--data", help="The demo's data directory.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """The last lines of a log that match; with --follow also those to come.

    Example: tillway logs tail --level warning --follow

    Example: journalctl -o cat -u tillway | tillway logs tail - --payment pay_…
    """
    if level not in LEVELS:
        raise typer.BadParameter(f"{level!r} is none of {', '.join(LEVELS)}", param_hint="--level")
    asked = {"request_id": request_id, "payment_id": payment, "merchant_id": merchant}
    fields = {name: value for name, value in asked.items() if value is not None}
    wanted = _Wanted(level, fields, text)
    try:
        _tail(_path(file, data), wanted, lines, follow=follow, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None  # That is how it ends.


def _path(file: str | None, data: Path | None) -> Path | None:
    """The file, or None for standard input. Exit with usage when it is not there."""
    from gateway.settings import default_data_dir

    if file == STANDARD_INPUT:
        return None
    path = Path(file) if file else (data or default_data_dir("demo")) / DEMO_LOG
    if not path.is_file():
        complain(
            f"{path} is not there; say which file, or - for standard input. `tillway serve` logs "
            "to standard error, `tillway demo` to this file unless --json sends it there, too"
        )
        raise typer.Exit(EXIT_USAGE)
    return path


def _tail(path: Path | None, wanted: _Wanted, lines: int, *, follow: bool, as_json: bool) -> None:
    with (
        nullcontext(sys.stdin)
        if path is None
        else path.open(encoding="utf-8", errors="replace") as file
    ):
        if path is None and follow:
            for line in file:
                _show(line, wanted, as_json)
            return
        last: deque[str] = deque(maxlen=lines or None)
        last.extend(line for line in file if wanted.takes(line, _told(line)))
        for line in last:
            _show(line, wanted, as_json)
        if path is not None and follow:
            for line in _more(path, file):
                _show(line, wanted, as_json)


def _more(path: Path, file: TextIO) -> Iterator[str]:
    """Lines as they come. A file that was replaced or cut is begun anew."""
    pending = ""
    while True:
        piece = file.readline()
        if piece:
            pending += piece
            if pending.endswith("\n"):
                yield pending
                pending = ""
            continue
        now = path.stat() if path.exists() else None
        mine = os.fstat(file.fileno())
        if now is not None and now.st_ino != mine.st_ino:
            file.close()
            file = path.open(encoding="utf-8", errors="replace")
        elif mine.st_size < file.tell():
            file.seek(0)
        else:
            asyncio.run(asyncio.sleep(POLL_S))


def _told(line: str) -> dict[str, Any] | None:
    """The object of a line, also behind the name of its process (as Ray puts it)."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        told = json.loads(line[start:])
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _show(line: str, wanted: _Wanted, as_json: bool) -> None:
    told = _told(line)
    if not wanted.takes(line, told):
        return
    if told is None or as_json:
        print(
            line.rstrip("\n") if told is None else json.dumps(told, ensure_ascii=False), flush=True
        )
        return
    level = str(told.get("level", ""))
    first = f"{told.get('timestamp', ''):<24}  {level:<8}  {told.get('event', '')}"
    names = [name for name in FIRST if name in told] + [name for name in told if name not in FIRST]
    rest = "  ".join(f"{name}={told[name]}" for name in names if name not in NOT_REPEATED)
    trace = told.get("exception") or told.get("stack")
    text = f"{first}  {rest}".rstrip() + (f"\n{trace}" if trace else "")
    if is_terminal() and level in LEVEL_COLORS:
        from rich.console import Console

        Console(soft_wrap=True).print(
            text, style=LEVEL_COLORS[level], markup=False, highlight=False
        )
    else:
        print(text, flush=True)
