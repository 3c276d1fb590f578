"""How commands speak: answers on standard output, complaints and progress on standard error.

On a terminal tables and words have shape and color (unless `--no-color` or `NO_COLOR` says no);
everywhere else there are plain lines, and with `--json` one object, the same everywhere.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

EXIT_CHECK_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
EXIT_THRESHOLD_MISSED: Final = 4
COLUMN_MAX: Final = 40

COLORS: Final = {
    "succeeded": "green",
    "delivered": "green",
    "enabled": "green",
    "ready": "green",
    "processing": "yellow",
    "pending": "yellow",
    "requires_payer": "yellow",
    "advancing": "yellow",
    "failed": "red",
    "reversed": "red",
    "disabled": "red",
    "closed": "dim",
    "canceled": "dim",
}
"""Words of a status, on a terminal."""

Step = Callable[[int], None]
"""Told how much is done so far."""


def complain(text: str) -> None:
    """One line to standard error."""
    print(f"tillway: {text}", file=sys.stderr)


def note(text: str) -> None:
    """A line for people, beside what goes to programs."""
    print(text, file=sys.stderr, flush=True)


def say(value: Any, *, as_json: bool, text: str | None = None) -> None:
    """An answer: one line of JSON, or for people `text` (default: one line a field)."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
    elif text is not None:
        print(text, flush=True)
    else:
        print(fields(value), flush=True)


def say_rows(
    value: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """An answer that is a table: JSON of `value`, a table on a terminal, else aligned columns.

    Where a list goes on behind these rows, people are told; a program sees `has_more`.
    """
    if as_json or not is_terminal() or not rows:
        say(value, as_json=as_json, text=table(rows, columns))
    else:
        _show(rows, columns)
    if not as_json and rows and value.get("has_more"):
        note(f"there are more: --starting-after {rows[-1].get('id', '')}, or a larger --limit")


def _show(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table with shape and color, on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        is_number = all(isinstance(row.get(name), int | float) for row in rows)
        shown.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        cells = [_plain(row.get(name)) for name in columns]
        shown.add_row(*(Text(cell, style=COLORS.get(cell, "")) for cell in cells))
    Console().print(shown)


def is_terminal() -> bool:
    """Whether a person reads the answers."""
    return sys.stdout.isatty()


@contextmanager
def progress(what: str, total: int | None, *, quiet: bool = False) -> Iterator[Step]:
    """Show how far long work is, on standard error: a bar on a terminal, else two lines.

    `total`: None when nobody knows. `quiet`: only the bar (the answer goes to a program).
    """
    if not sys.stderr.isatty():
        if not quiet:
            note(f"{what} …")
        yield lambda done: None
        if not quiet:
            note(f"{what}: done")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def fields(value: Mapping[str, Any]) -> str:
    """`name  value`, one a line; what is empty is left out."""
    shown = {key: one for key, one in value.items() if one not in (None, "", [], {}, ())}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{key:<{width}}  {_plain(one)}" for key, one in shown.items())


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as text, a column as wide as its widest value; only the last may be of any width."""
    if not rows:
        return "none"
    cells = [list(columns)]
    for row in rows:
        texts = [_plain(row.get(name)) for name in columns]
        cells.append([*(text[:COLUMN_MAX] for text in texts[:-1]), texts[-1]])
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
