"""Where fetched bills are kept: the bytes as they came, for as long as somebody may ask.

`<folder>/<channel>/<account>/<yyyymmdd>.<kind>.<16 hex of the SHA-256><extension>`, and beside it
the whole hash in a file that `sha256sum --check` reads. The name follows from the content, so other
bytes never take its place: a channel that tells two stories about a day leaves two files.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

HASH_IN_NAME: Final = 16
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
"""Bills name payers: nobody else's to read."""

SUM_SUFFIX: Final = ".sha256"
_PART: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_EXTENSION: Final = re.compile(r"(?:\.[0-9a-z]{1,8}){1,3}")
_DATE: Final = re.compile(r"[0-9]{8}")


class ArchiveDamaged(Exception):
    """A kept file does not have the bytes that its name says. Restore it before going on."""


class Kept(Struct, frozen=True):
    """A file of the archive. `is_new`: it was not there before."""

    path: Path
    sha256: str
    is_new: bool


class Archive:
    """`folder` is made when the first file is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self, channel: str, account: str, date: int, kind: str, content: bytes, extension: str
    ) -> Kept:
        """Keep a file; when this returns it survives a crash. The same bytes again change nothing.

        Raise ValueError for names that are none, ArchiveDamaged, OSError.
        """
        digest = hashlib.sha256(content).hexdigest()
        folder = self._folder_of(channel, account)
        _check(_DATE, f"{date:08d}")
        _check(_PART, kind)
        _check(_EXTENSION, extension)
        path = folder / f"{date}.{kind}.{digest[:HASH_IN_NAME]}{extension}"
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        is_new = _put(path, content)
        _put(path.with_name(path.name + SUM_SUFFIX), f"{digest}  {path.name}\n".encode())
        # New folders' names are entries of the folders above them.
        for above in (folder, *list(folder.parents)[:3]):
            _sync(above)
        return Kept(path, digest, is_new)

    def of_day(self, channel: str, account: str, date: int, kind: str) -> list[Kept]:
        """What is kept about a day, each file's bytes checked against its hash, by name. Raise
        ValueError, ArchiveDamaged, OSError.
        """
        folder = self._folder_of(channel, account)
        _check(_PART, kind)
        found = folder.glob(f"{date:08d}.{kind}.*") if folder.is_dir() else ()
        paths = sorted(p for p in found if p.suffix not in (SUM_SUFFIX, _NEW))
        return [Kept(path, _checked(path), is_new=False) for path in paths]

    def _folder_of(self, channel: str, account: str) -> Path:
        for part in (channel, account):
            _check(_PART, part)
        return self._folder / channel / account


_NEW: Final = ".new"


def _check(form: re.Pattern[str], text: str) -> None:
    if form.fullmatch(text) is None:
        raise ValueError("not a name that files of the archive have")


def _put(path: Path, content: bytes) -> bool:
    """Whole or not at all, and never over another file. Whether it is new."""
    new = path.with_name(f"{path.name}.{os.getpid()}{_NEW}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        # Unlike a rename, a link fails where something is already.
        os.link(new, path)
    except FileExistsError:
        if path.read_bytes() != content:
            raise ArchiveDamaged(f"{path} holds other bytes than its name says") from None
        return False
    finally:
        new.unlink()
    return True


def _checked(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.name.split(".")[2] != digest[:HASH_IN_NAME]:
        raise ArchiveDamaged(f"{path} holds other bytes than its name says")
    return digest


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
