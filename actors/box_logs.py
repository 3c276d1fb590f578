"""What the boxes write, brought to one stream: each is a process of Ray's with files of its own.

Ray has a process for that, which costs a second of processor time at the start and looks at the
files more often than anybody reads.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOOK_S: Final = 0.2
"""How often the files are looked at."""

READ_BYTES_MAX: Final = 1 << 20
"""Read from one file at one look; a longer line is broken there."""

FILES: Final = ("worker-*.err", "worker-*.out")
"""Of the boxes alone; Ray's own processes are quoted when they fail."""

MARKS: Final = (b":job_id:", b":actor_name:", b":task_name:")
"""How lines begin that Ray writes for its own reader."""


class BoxLogs:
    """Follows the log files of a session. `write` is given whole lines."""

    def __init__(self, folder: Path, write: Callable[[str], None]) -> None:
        """`folder`: Ray's, with the folders of its sessions."""
        self._folder = folder
        self._write = write
        self._read: dict[Path, int] = {}

    async def follow(self) -> None:
        """Until canceled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.bring()

    def finish(self) -> None:
        """Bring what was written, to the end."""
        while self.bring(is_last=True):
            pass

    def bring(self, *, is_last: bool = False) -> bool:
        """Write what is new; the beginning of a line waits for its end unless this is the last.

        Whether there was anything.
        """
        found = False
        for pattern in FILES:
            for path in sorted(self._folder.glob(f"session_2*/logs/{pattern}")):
                found |= self._bring(path, is_last)
        return found

    def _bring(self, path: Path, is_last: bool) -> bool:
        at = self._read.get(path, 0)
        if path.stat().st_size <= at:
            return False
        with path.open("rb") as file:
            file.seek(at)
            piece = file.read(READ_BYTES_MAX)
        end = piece.rfind(b"\n") + 1
        if end == 0 and (is_last or len(piece) == READ_BYTES_MAX):
            end = len(piece)
        self._read[path] = at + end
        lines = piece[:end].splitlines(keepends=True)
        kept = b"".join(line for line in lines if not line.startswith(MARKS))
        if kept:
            self._write(kept.decode("utf-8", "replace"))
        return end > 0
