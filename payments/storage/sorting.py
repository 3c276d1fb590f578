"""Sorting a bill by our numbers on the disk: a bill may have more lines than memory has room for.

The lines go into a throw-away SQLite file; its sorter holds what SCRATCH_CACHE_KIB has room for
and spills the rest. Nothing is synced: after a crash the file is made anew.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import apsw
from msgspec.msgpack import Decoder, Encoder

from payments.reconciliation.lines import Theirs
from payments.storage.sql import load

SORT_KIB: Final = 128 * 1024
"""Memory of the sorter; the rest of a bill is on the disk."""

SQL: Final = load("sorting")
_encode: Final = Encoder().encode
_decode: Final = Decoder(Theirs).decode


class SortedBill:
    """The lines of one bill: put in as they come, taken out by their numbers."""

    def __init__(self, path: Path) -> None:
        """`path`: a file that nobody needs; removed before and after."""
        self._path = path
        self._connection: apsw.Connection | None = None

    def __enter__(self) -> "SortedBill":
        self._path.unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = apsw.Connection(str(self._path))
        for setting, value in (("journal_mode", "off"), ("synchronous", "off")):
            connection.pragma(setting, value)
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("cache_size", -SORT_KIB)
        connection.execute(SQL["make_tables"])
        self._connection = connection
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        self._connection.close(True)
        self._connection = None
        self._path.unlink(missing_ok=True)

    def put(self, lines: Iterable[Theirs]) -> None:
        """Take all lines, in any order. An error of the reader ends it and comes out."""
        assert self._connection is not None
        self._connection.execute("BEGIN")
        self._connection.executemany(
            SQL["add_line"],
            ((line.is_refund, line.number, line.row, _encode(line)) for line in lines),
        )
        self._connection.execute("COMMIT")

    def payments(self) -> Iterator[Theirs]:
        """Payments and reversals, by out_trade_no, then by line."""
        return self._sorted(False)

    def refunds(self) -> Iterator[Theirs]:
        """Refunds, by out_refund_no, then by line."""
        return self._sorted(True)

    def _sorted(self, is_refund: bool) -> Iterator[Theirs]:
        assert self._connection is not None
        rows: Any = self._connection.execute(SQL["sorted"], (is_refund,))
        for (body,) in rows:
            yield _decode(body)
