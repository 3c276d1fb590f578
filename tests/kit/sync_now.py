"""A disk that is waited for in place: a loop that leaps over time waits for no real one."""

import os
from pathlib import Path


class SyncNow:
    """`LogSync` that blocks."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    async def sync(self) -> None:
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)
