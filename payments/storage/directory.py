"""The directory's own store: reference data with numbered changes, in one SQLite file.

Written by one owner (the DirectoryActor, or the command that plants a seed before it starts). The
file holds HMAC keys as they are, because both sides of an HMAC need them.
"""

from collections.abc import Iterable
from typing import Final

import apsw
from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder

from payments.reference import Record
from payments.storage.side import NONCE_KEPT_S, SideStore
from payments.storage.sql import load

FILE_NAME: Final = "directory.db"
_encode: Final = Encoder().encode
record_of: Final = Decoder(Record).decode
"""The record in a stored body."""

RecordRow = tuple[str, int, bytes]
"""id, change, body (msgpack of a Record)"""
AnswerRow = tuple[str, bytes, bytes, int, str]
"""scope, key_digest, fingerprint, status, object_id"""
NonceRow = tuple[str, int, int]
"""caller, digest, created in seconds"""


class Write(Struct, gc=False):
    """Everything of one database transaction."""

    records: list[RecordRow]
    answers: list[AnswerRow]
    nonces: list[NonceRow]
    marks: dict[str, str]

    @classmethod
    def empty(cls) -> "Write":
        return cls([], [], [], {})

    def __bool__(self) -> bool:
        return bool(self.records or self.answers or self.nonces or self.marks)


class DirectoryStore(SideStore[Write]):
    """One owner, one write at a time."""

    KIND = "directory"
    SQL = load("directory")
    LAST = "last_change"

    # --- writing ------------------------------------------------------------------------------

    def plant(self, records: Iterable[Record], marks: dict[str, str]) -> None:
        """Write the records of a seed and the marks that say so, all or nothing."""
        number = int(self._one(self.LAST)[0])
        rows = [
            (record.id, change, _encode(record))
            for change, record in enumerate(records, number + 1)
        ]
        self.commit_now(Write(rows, [], [], marks))

    def _write(self, writer: apsw.Connection, write: Write) -> None:
        sql = self.SQL
        if write.records:
            writer.executemany(sql["set_records"], write.records)
        if write.answers:
            writer.executemany(sql["add_answers"], write.answers)
        if write.nonces:
            writer.executemany(sql["add_nonces"], write.nonces)
            oldest = self._clock.real_ms() // 1_000 - NONCE_KEPT_S
            writer.execute(sql["prune_nonces"], (oldest,))
        if write.marks:
            writer.executemany(sql["set_marks"], list(write.marks.items()))

    # --- reading ------------------------------------------------------------------------------

    def records_after(self, change: int, limit: int) -> list[tuple[int, bytes]]:
        """(change, body) of records last changed after `change`, the oldest change first."""
        return self._all("records_after", change, limit)

    def has_record(self, identifier: str) -> bool:
        return bool(self._one("has_record", identifier)[0])

    def answered(self, scope: str, key_digest: bytes) -> tuple[bytes, int, str] | None:
        """(fingerprint, status, object id) of the request that used this key before."""
        rows: list[tuple[bytes, int, str]] = self._all("answered", scope, key_digest)
        return rows[0] if rows else None

    def recent_nonces(self) -> list[NonceRow]:
        """Those that still count."""
        return self._all("recent_nonces", self._clock.real_ms() // 1_000 - NONCE_KEPT_S)

    def mark(self, name: str) -> str | None:
        """A small fact that `Write.marks` has set."""
        rows = self._all("mark", name)
        return str(rows[0][0]) if rows else None
