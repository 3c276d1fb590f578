"""Orders in files: `in/NAME.xml` and its signature, `out/NAME.pain.002.xml` and the bank's.

An order is taken when both its files are there, and carried out before they are moved to `done/`:
after a crash in between it is read again, and its message id says that it was taken.
"""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from payments.channels.bank import endings, wire
from payments.channels.bank.desk import Desk, Reply
from payments.channels.bank.endings import Answer
from payments.channels.bank.identity import Identity
from payments.channels.sandbox.app import spoiled
from payments.iso20022 import pain001, pain002
from payments.iso20022.trees import MESSAGE_MAX_BYTES

IN: Final = "in"
OUT: Final = "out"
DONE: Final = "done"
SUFFIX: Final = ".xml"
SIGNATURE_SUFFIX: Final = ".sig"
SIGNATURE_BYTES_MAX: Final = 4_096

FILES_MAX: Final = 100
"""Orders that are taken at one look; the others at the next."""

_UNANSWERED: Final = (Answer.NEVER, Answer.NOT_TAKEN, Answer.CUT)

log = logging.getLogger(__name__)


class Files:
    """The folders of one customer. `flush`: the books are written before anything is told."""

    def __init__(
        self, folder: Path, desk: Desk, identity: Identity, flush: Callable[[], None]
    ) -> None:
        self._in, self._out, self._done = folder / IN, folder / OUT, folder / DONE
        self._desk = desk
        self._identity = identity
        self._flush = flush
        for each in (self._in, self._out, self._done):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)

    def look(self) -> int:
        """Take what is there; return how many orders it was. Raise OSError."""
        there = sorted(path for path in self._in.glob(f"*{SUFFIX}") if path.is_file())
        ready = [path for path in there if _signature_of(path).is_file()]
        for path in ready[:FILES_MAX]:
            self._take(path)
        return len(ready[:FILES_MAX])

    def _take(self, path: Path) -> None:
        signature = _signature_of(path)
        message = _head(path, MESSAGE_MAX_BYTES + 1)
        said = _head(signature, SIGNATURE_BYTES_MAX).decode("ascii", "replace").strip()
        self._desk.wake()
        if self._identity.is_customers(message, wire.from_base64(said)):
            reply = self._desk.take(message)
        else:
            number = pain001.message_id_of(message)
            text = "the signature beside the file is not the customer's"
            reply = Reply(self._desk.refused(number, endings.NARRATIVE, text))
        self._flush()
        if reply.answer not in _UNANSWERED:
            self._tell(path, reply)
        path.replace(self._done / path.name)
        signature.replace(self._done / signature.name)
        log.info("an order came in a file: %s", path.name)

    def _tell(self, path: Path, reply: Reply) -> None:
        """The signature first, so that an answer that is there can be checked."""
        message = pain002.encode(reply.report)
        seal = self._identity.sign(message)
        if reply.answer is Answer.UNSIGNED:
            seal = spoiled(seal)
        name = f"{path.stem}.pain.002{SUFFIX}"
        _write(self._out / (name + SIGNATURE_SUFFIX), wire.to_base64(seal).encode() + b"\n")
        _write(self._out / name, message)


def _signature_of(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)


def _head(path: Path, bytes_max: int) -> bytes:
    with path.open("rb") as file:
        return file.read(bytes_max)


def _write(path: Path, content: bytes) -> None:
    """A file that is whole or absent."""
    new = path.with_name(path.name + ".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as opened:
        opened.write(content)
    new.replace(path)
