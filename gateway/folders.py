"""Where sockets live. The path of a Unix socket may have 107 bytes, and data directories lie deep.

A folder is inside the data directory when the paths in it fit, else in the machine's temporary
folder, under a name of the data directory's own, for us alone.
"""

import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from gateway.settings import SettingsError

SOCKET_PATH_MAX: Final = 107


def folder_for(directory: Path, name: str, longest: int) -> Path:
    """An empty folder in which paths may be `longest` bytes longer than its own.

    Raise SettingsError when there is none, or when the one there is not ours alone.
    """
    place = place_for(directory, name, longest)
    if place is None:
        raise SettingsError(
            f"{directory} and the temporary folder have paths too long for sockets; "
            "choose a shorter --data"
        )
    home = place.parent
    if home == directory:
        place.mkdir(mode=0o700, exist_ok=True)
        empty(place)
        return place
    home.mkdir(mode=0o700, exist_ok=True)
    facts = home.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise SettingsError(f"{home} is not a folder of ours alone; remove it")
    place.mkdir(mode=0o700, exist_ok=True)
    empty(place)
    return place


def place_for(directory: Path, name: str, longest: int) -> Path | None:
    """Where that folder is or would be; None when every place has too long a path."""
    tag = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:8]
    home = Path(tempfile.gettempdir()) / f"tillway-{os.getuid()}-{tag}"
    places = (directory / name, home / name)
    return next((place for place in places if _fits(place, longest)), None)


def leave(folder: Path, directory: Path) -> None:
    """Empty a folder that was used, and remove it where it is not in the data directory."""
    empty(folder)
    if folder.parent != directory:
        folder.rmdir()
        if not any(folder.parent.iterdir()):
            folder.parent.rmdir()


def empty(folder: Path) -> None:
    """Remove what an earlier run left there."""
    for left in folder.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _fits(folder: Path, longest: int) -> bool:
    return len(os.fsencode(folder)) + longest <= SOCKET_PATH_MAX
