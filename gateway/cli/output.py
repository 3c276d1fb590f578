"""How commands speak: answers on standard output, complaints on standard error."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

EXIT_CHECK_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 3
COLUMN_MAX: Final = 40


def complain(text: str) -> None:
    """One line to standard error."""
    print(f"tillway: {text}", file=sys.stderr)


def say(value: Any, *, as_json: bool, text: str | None = None) -> None:
    """An answer: one line of JSON, or for people `text` (default: one line a field)."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False))
    elif text is not None:
        print(text)
    else:
        print(fields(value))


def fields(value: Mapping[str, Any]) -> str:
    """`name  value`, one a line; what is empty is left out."""
    shown = {key: one for key, one in value.items() if one not in (None, "", [], {}, ())}
    width = max(map(len, shown), default=0)
    return "\n".join(f"{key:<{width}}  {_plain(one)}" for key, one in shown.items())


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Rows as text, a column as wide as its widest value."""
    if not rows:
        return "none"
    cells = [list(columns)] + [
        [_plain(row.get(name))[:COLUMN_MAX] for name in columns] for row in rows
    ]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
