"""Is the file whole? A bounded look at every open, and the full one for `tillway doctor`."""

from pathlib import Path
from typing import Final

import apsw

from payments.clock import Clock
from payments.storage import connect
from payments.storage.base import StoreRefused
from payments.storage.sql import ADMIN

OPEN_CHECK_MS: Final = 1_000
"""How long the check at open may take; a large file is checked as far as that goes."""
STEPS_PER_LOOK: Final = 20_000


def quick(connection: apsw.Connection, clock: Clock, budget_ms: int = OPEN_CHECK_MS) -> bool:
    """Check the structure for at most `budget_ms`. True: all of it. Raise StoreRefused."""
    ends = clock.monotonic() + budget_ms / 1000
    connection.set_progress_handler(lambda: clock.monotonic() >= ends, STEPS_PER_LOOK)
    try:
        complaints = [str(line) for (line,) in connection.execute(ADMIN["quick_check"])]
    except apsw.InterruptError:
        return False
    except (apsw.CorruptError, apsw.NotADBError) as error:
        complaints = [str(error)]
    finally:
        connection.set_progress_handler(None)
    if complaints != ["ok"]:
        raise StoreRefused(damaged(connection.filename, complaints))
    return True


def full(path: Path) -> list[str]:
    """Every page and every index of a store file, however long it takes: complaints, or none.

    Works beside a running owner. For `tillway doctor` and `tillway ledger verify`.
    """
    connect.guard_version()
    try:
        connection = connect.reader(path)
    except apsw.Error as error:
        return [str(error)]
    try:
        lines = [str(line) for (line,) in connection.execute(ADMIN["integrity_check"])]
    except (apsw.CorruptError, apsw.NotADBError) as error:
        lines = [str(error)]
    finally:
        connection.close()
    return [] if lines == ["ok"] else lines


def damaged(name: str, complaints: list[str]) -> str:
    """What to tell the operator about a damaged file."""
    return (
        f"{name} is damaged ({'; '.join(complaints[:3])}): do not write to it; keep a copy of it "
        "with its -wal file, restore the last backup, and let reconciliation bring in the rest"
    )
