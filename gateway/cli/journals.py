"""What `tillway ledger` and `tillway report` share: shards' files, times, and files to write."""

import hashlib
import heapq
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.cli.options import data_files, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, Step, complain, note
from payments.calendar import CHINA_OFFSET_MINUTES, parse_rfc3339

if TYPE_CHECKING:
    from payments.ledger import Row
    from payments.storage.journal import Journal

STEP_ROWS: Final = 2_000
"""Rows between two reports of progress."""
STANDARD_OUTPUT: Final = Path("-")

From = Annotated[
    str | None,
    typer.Option("--from", help="An instant, or a date (its midnight in China); included."),
]
To = Annotated[
    str | None,
    typer.Option("--to", help="An instant, or a date (its midnight in China); not included."),
]


def instant_of(text: str | None, flag: str) -> int | None:
    """Milliseconds of `2026-11-22T08:00:00Z`, `2026-11-22` or `20261122`. Exit with usage."""
    if text is None:
        return None
    if "T" in text.upper():
        try:
            return parse_rfc3339(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=flag) from error
    return midnight_ms(text.replace("-", ""), flag)


def midnight_ms(date: str, flag: str) -> int:
    """Milliseconds of the midnight in China with which a date, yyyymmdd, begins."""
    try:
        day = datetime.strptime(date, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError as error:
        says = f"{date[:40]!r} is neither a date such as 20261122 nor an instant"
        raise typer.BadParameter(says, param_hint=flag) from error
    since = day - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1) - CHINA_OFFSET_MINUTES * 60_000


def book_files(config: Path | None, data: Path | None) -> list[Path]:
    """The shards' files to read. Exit with usage when there are none.

    Where nobody said where, and nothing lies in the usual place, they are the demo's, as for the
    commands that ask a gateway; that is told, because books are not to be taken for others.
    """
    from gateway.settings import default_data_dir

    usual = settings_from(config, {"data_dir": data}).data_path
    found = sorted(default_data_dir("demo").glob("shard-*.db"))
    if found and usual == default_data_dir("data") and not any(usual.glob("shard-*.db")):
        note(f"reading the demo's books in {found[0].parent}")
        return found
    return data_files(config, data)


@contextmanager
def open_journals(config: Path | None, data: Path | None) -> "Iterator[list[Journal]]":
    """The shards' files, opened to read; what they hold now is what will be read."""
    from payments.storage.journal import Journal

    with ExitStack() as stack:
        yield [stack.enter_context(Journal(path)) for path in book_files(config, data)]


def merged(
    journals: "list[Journal]",
    from_ms: int | None = None,
    to_ms: int | None = None,
    holding: str = "",
) -> "Iterator[tuple[Row, Journal]]":
    """Entries of all files by the time of their booking, each with the file it comes from."""
    streams = [_with(journal, journal.entries(from_ms, to_ms, holding)) for journal in journals]
    return heapq.merge(*streams, key=lambda pair: pair[0][5])


def rows_of(pairs: "Iterable[tuple[Row, Journal]]") -> "Iterator[Row]":
    return map(itemgetter(0), pairs)


def _with(journal: "Journal", rows: "Iterator[Row]") -> "Iterator[tuple[Row, Journal]]":
    for row in rows:
        yield row, journal


def counted(rows: Iterable[Any], step: Step, count: list[int]) -> Iterator[Any]:
    """The rows; `step` is told now and then how many went by, and `count[0]` is kept."""
    for row in rows:
        count[0] += 1
        if count[0] % STEP_ROWS == 0:
            step(count[0])
        yield row
    step(count[0])


# --- files --------------------------------------------------------------------------------


def print_text(pieces: Iterable[str]) -> None:
    """Text to standard output, as it comes."""
    sys.stdout.writelines(pieces)
    sys.stdout.flush()


def write_text(path: Path, pieces: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)


def write_sealed(
    path: Path, write: Callable[[Path], None], manifest: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Write a file beside its name, then its checksum and manifest, then give it its name.

    Whoever sees the file sees all of it. The checksum is as `sha256sum --check` reads it. Return
    the manifest. An error leaves nothing behind; exit with usage where no file can be, with 1 when
    the disk takes no more.
    """
    if path.is_dir() or not path.parent.is_dir():
        says = "is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise typer.BadParameter(f"{path}: {says}", param_hint="--out")
    try:
        return _write_sealed(path, write, manifest)
    except OSError as error:
        complain(f"{path} was not written: {error.strerror or error}; say another place with --out")
        raise typer.Exit(EXIT_CHECK_FAILED) from error


def _write_sealed(
    path: Path, write: Callable[[Path], None], manifest: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    unfinished = path.with_name(path.name + ".part")
    try:
        write(unfinished)
        with unfinished.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sealed = {
            "file": path.name,
            **manifest(),
            "bytes": unfinished.stat().st_size,
            "sha256": digest,
        }
        path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n", "utf-8")
        text = json.dumps(sealed, ensure_ascii=False, indent=2) + "\n"
        path.with_name(path.name + ".manifest.json").write_text(text, "utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return sealed


def places(journals: "list[Journal]") -> dict[str, int]:
    """How far each file was read: the number of its last entry. For the manifest."""
    return {journal.path.name: journal.entries_max for journal in journals}
