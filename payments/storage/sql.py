"""SQL lives in `.sql` files, each statement under a line `-- name --`. Read once, at import."""

import re
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
_NAME: Final = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_NOTE: Final = re.compile(r"^--.*\n", re.MULTILINE)


def load(name: str) -> dict[str, str]:
    """The statements of `queries/<name>.sql` by their names, without the comments above them."""
    pieces = _NAME.split((_FOLDER / "queries" / f"{name}.sql").read_text("utf-8"))
    statements = {}
    for title, text in zip(pieces[1::2], pieces[2::2], strict=True):
        assert title not in statements, f"{name}.sql names {title} twice"
        statements[title] = _NOTE.sub("", text.strip() + "\n").strip().removesuffix(";")
    return statements


def migrations() -> list[tuple[int, str, str]]:
    """(number, name, SQL of `-- migrate:up`) of each numbered file, in order."""
    found = []
    for path in sorted((_FOLDER / "migrations").glob("*.sql")):
        number, _, name = path.stem.partition("_")
        _, _, up = path.read_text("utf-8").partition("-- migrate:up")
        found.append((int(number), name, up.partition("-- migrate:down")[0].strip()))
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    return found


WRITE: Final = load("write")
READ: Final = load("read")
ADMIN: Final = load("admin")
SEEK: Final = load("seek")
