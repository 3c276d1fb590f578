"""Comparisons and their differences, kept: one small file beside the shards'.

A comparison is written in several commits and seen only after the last, which also tells the other
days' comparisons what this bill explains. Begun and not finished, it is as if it had never been.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import apsw
from msgspec import Struct
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import replace

from payments.bills.lines import BillKind
from payments.reconciliation.differences import Difference
from payments.reconciliation.match import Crossed, Found
from payments.reconciliation.resolving import Event, apply, awaited, reconsider
from payments.reconciliation.runs import Run, RunStatus, item_id
from payments.storage import connect
from payments.storage.base import StoreError, StoreRefused
from payments.storage.side import NONCE_KEPT_S, SideStore
from payments.storage.sql import load

FILE_NAME: Final = "reconciliation.db"
PAGE_ITEMS: Final = 1_000
"""Differences read at a time."""

SQL: Final = load("reconciliation")
_encode: Final = Encoder().encode
_run: Final = Decoder(Run).decode
_difference: Final = Decoder(Difference).decode


class Begin(Struct, frozen=True):
    """A comparison begins. What was begun before and never finished is removed."""

    run: Run


class Add(Struct, frozen=True):
    """Some of what it found."""

    run: Run
    found: Sequence[Found]


class Finish(Struct, frozen=True):
    """It is complete: from this commit on it is the current one of its account and day."""

    run: Run
    before: Run | None


class Set(Struct, frozen=True):
    """A difference as it now is."""

    id: str
    difference: Difference


class Stand(Struct, frozen=True):
    """How days stand at the bank now. `runs`: as they are to be kept, new ones too.

    `added`: (comparison, difference) that are new; `changed`: (id, difference) as they now are.
    """

    runs: Sequence[Run]
    added: Sequence[tuple[Run, Difference]]
    changed: Sequence[tuple[str, Difference]]


class Spend(Struct, frozen=True):
    """A signature counts once. `created`: seconds; what is older than `before` is forgotten."""

    caller: str
    digest: int
    created: int
    before: int


class Told(Struct, frozen=True):
    """What was told of: (id, how it stood)."""

    marks: Sequence[tuple[str, str]]


Write = Begin | Add | Finish | Set | Stand | Spend | Told


class NonceSpent(Exception):
    """The nonce of a signed request was used before."""


class Reads:
    """What can be asked, of an owner's store or of a file that somebody else owns."""

    def _all(self, name: str, *values: object) -> list[Any]:
        raise StoreError(f"nothing is open to read {name}")

    def run(self, identifier: str) -> Run | None:
        """A comparison by its id, running ones too."""
        rows = self._all("run", identifier)
        return _run(rows[0][0]) if rows else None

    def current(self, account: str, bill_date: int) -> Run | None:
        """The one that counts for an account and a day."""
        rows = self._all("current", account, bill_date)
        return _run(rows[0][0]) if rows else None

    def runs(self, limit: int) -> list[Run]:
        """The latest that finished, superseded ones too, the newest first."""
        return [_run(body) for (body,) in self._all("runs", limit)]

    def items(self, run: str) -> Iterator[tuple[str, Difference]]:
        """(id, difference) of a finished comparison, in the order they were found."""
        last = 0
        while rows := self._all("items_after", run, last, PAGE_ITEMS):
            for _, identifier, body in rows:
                yield identifier, _difference(body)
            last = rows[-1][0]

    def item(self, identifier: str) -> tuple[Difference, Run] | None:
        """A difference and the comparison that found it."""
        rows = self._all("item", identifier)
        return (_difference(rows[0][0]), _run(rows[0][1])) if rows else None

    def runs_page(
        self, account: str, bill_date: int, status: str, after: str, limit: int
    ) -> list[Run]:
        """Comparisons that finished, newest first; empty texts and 0 ask for any."""
        rows = self._all("runs_page", account, bill_date, status, after, limit)
        return [_run(body) for (body,) in rows]

    def items_page(
        self, run: str, kind: str, standing: str, owner: str, after: str, limit: int
    ) -> list[tuple[str, Difference, Run]]:
        """(id, difference, comparison), newest first; empty texts ask for any.

        Without a `run`, those of the comparisons that count.
        """
        rows = self._all("items_page", run, kind, standing, owner, after, limit)
        return [(identifier, _difference(one), _run(of)) for identifier, one, of in rows]

    def about(self, run: str, number: str) -> list[tuple[str, Difference]]:
        """(id, difference) of a comparison about a number."""
        rows = self._all("same_item", run, number)
        return [(identifier, _difference(body)) for identifier, body in rows]

    def open_ages(self) -> list[tuple[str, str, int, int]]:
        """(account, kind, bill date, how many) of the differences that are open."""
        return self._all("open_ages")

    def open_counts(self, run: str) -> dict[str, int]:
        """Kind -> differences that are not resolved."""
        return dict(self._all("open_counts", run))

    def untold_runs(self, limit: int) -> list[Run]:
        """Comparisons that count and that nobody was told of, the oldest first."""
        return [_run(body) for (body,) in self._all("untold_runs", limit)]

    def untold_items(self, limit: int) -> list[tuple[str, Difference, Run, str | None]]:
        """(id, difference, comparison, how it stood when it was told) that stand elsewhere now."""
        return [
            (identifier, _difference(one), _run(of), told)
            for identifier, one, of, told in self._all("untold_items", limit)
        ]

    def has_untold(self) -> bool:
        """Whether there may be anything that nobody was told of."""
        if not self._all("has_told"):
            return True
        return bool(self.untold_runs(1) or self.untold_items(1))


class OtherDays:
    """`Elsewhere` of one account, seen from one day: the current comparisons of all others."""

    def __init__(self, connection: apsw.Connection, account: str, bill_date: int) -> None:
        self._connection = connection
        self._account = account
        self._bill_date = bill_date
        self._done: dict[int, bool] = {}

    def crossed(self, kind: BillKind, number: str) -> bool:
        return self.run_of(kind, number) is not None

    def run_of(self, kind: BillKind, number: str) -> str | None:
        """The comparison whose bill has a line."""
        asked = (number, kind.value, self._account, self._bill_date)
        row: Any = self._connection.execute(SQL["crossed_in"], asked).fetchone()
        return None if row is None else str(row[0])

    def is_done(self, bill_date: int) -> bool:
        if bill_date not in self._done:
            asked = (self._account, bill_date)
            row = self._connection.execute(SQL["current"], asked).fetchone()
            self._done[bill_date] = row is not None
        return self._done[bill_date]


class ReconciliationStore(Reads, SideStore[Write]):
    """One owner; everything else reads."""

    KIND = "reconciliation"
    SQL = SQL
    LAST = "last_run"

    def _all(self, name: str, *values: object) -> list[Any]:
        return SideStore._all(self, name, *values)

    def other_days(self, account: str, bill_date: int) -> OtherDays:
        """What the other days' bills had, as committed."""
        if self._reader is None:
            raise StoreError("the store of comparisons is not open")
        return OtherDays(self._reader, account, bill_date)

    def begin(self, run: Run) -> None:
        """A comparison begins; whatever was begun before and never finished is removed."""
        self.commit_now(Begin(run))

    def add(self, run: Run, found: list[Found]) -> None:
        """Write some of what it found; not seen yet."""
        self.commit_now(Add(run, found))

    def finish(self, run: Run, before: Run | None) -> None:
        """Show it, in place of `before`, and tell the other days' differences."""
        self.commit_now(Finish(run, before))

    def decided(self, identifier: str, event: Event) -> Difference:
        """Write what a person decided of a difference; return it as it now is."""
        found = self.item(identifier)
        assert found is not None, identifier
        difference = apply(found[0], event)
        self.commit_now(Set(identifier, difference))
        return difference

    def stand(self, write: Stand) -> None:
        """Keep how days stand at the bank, with the differences that come of it, in one commit."""
        self.commit_now(write)

    def begin_telling(self) -> None:
        """Make room for what was told, in a file that is older than that."""
        self.remember_told(())

    def remember_told(self, marks: Sequence[tuple[str, str]]) -> None:
        """Keep what was told, in one commit."""
        self.commit_now(Told(marks))

    def spend(self, caller: str, digest: int, created: int) -> None:
        """Let a nonce count once, now and after a restart. Raise NonceSpent."""
        before = self._clock.real_ms() // 1_000 - NONCE_KEPT_S
        self.commit_now(Spend(caller, digest, created, before))

    def _write(self, writer: apsw.Connection, write: Write) -> None:
        match write:
            case Begin(run=run):
                self._begin(writer, run)
            case Add():
                self._add(writer, write)
            case Finish(run=run, before=before):
                self._finish(writer, run, before)
            case Set(id=identifier, difference=difference):
                writer.execute(SQL["set_item"], _changed(identifier, difference))
            case Stand():
                self._stand(writer, write)
            case Spend():
                writer.execute(SQL["nonces_table"])
                writer.execute(SQL["prune_nonces"], (write.before,))
                writer.execute(SQL["add_nonce"], (write.caller, write.digest, write.created))
                if not writer.changes():
                    raise NonceSpent
            case Told(marks=marks):
                writer.execute(SQL["told_table"])
                writer.executemany(SQL["set_told"], marks)
            case _:
                assert_never(write)

    def _begin(self, writer: apsw.Connection, run: Run) -> None:
        for (no,) in list(writer.execute(SQL["running"])):
            for name in ("drop_items", "drop_crossed", "drop_run"):
                writer.execute(SQL[name], (no,))
        row = (run.id, run.account, run.bill_date, run.status.value, _encode(run))
        writer.execute(SQL["add_run"], row)

    def _stand(self, writer: apsw.Connection, write: Stand) -> None:
        for run in write.runs:
            if not list(writer.execute(SQL["run"], (run.id,))):
                row = (run.id, run.account, run.bill_date, run.status.value, _encode(run))
                writer.execute(SQL["add_run"], row)
            writer.execute(SQL["set_run"], (run.id, run.status.value, _encode(run)))
        for run, difference in write.added:
            self._add(writer, Add(run, (difference,)))
        for identifier, difference in write.changed:
            writer.execute(SQL["set_item"], _changed(identifier, difference))

    def _add(self, writer: apsw.Connection, write: Add) -> None:
        run = write.run
        items = [
            (
                item_id(run, each),
                run.id,
                each.kind.value,
                each.line.value,
                each.number,
                each.standing.value,
                each.resolved_by,
                False,
                *each.until,
                _encode(each),
            )
            for each in write.found
            if isinstance(each, Difference)
        ]
        writer.executemany(SQL["add_item"], items)
        crossed = [
            (run.id, each.number, each.kind.value)
            for each in write.found
            if isinstance(each, Crossed)
        ]
        writer.executemany(SQL["add_crossed"], crossed)

    def _finish(self, writer: apsw.Connection, run: Run, before: Run | None) -> None:
        if before is not None:
            old = replace(before, status=RunStatus.SUPERSEDED)
            writer.execute(SQL["set_run"], (old.id, old.status.value, _encode(old)))
        writer.execute(SQL["set_run"], (run.id, run.status.value, _encode(run)))
        if before is not None:
            self._keep_decisions(writer, run, before)
        old_id = "" if before is None else before.id
        asked = (run.account, run.bill_date, run.id, old_id)
        for (identifier,) in list(writer.execute(SQL["touched"], asked)):
            self._tell(writer, identifier, run.finished_at)

    def _tell(self, writer: apsw.Connection, identifier: str, now: int) -> None:
        """What the bills that are compared by now say of another day's difference."""
        row: Any = writer.execute(SQL["item"], (identifier,)).fetchone()
        difference, run = _difference(row[0]), _run(row[1])
        line = awaited(difference)
        if line is None:
            return
        others = OtherDays(writer, run.account, run.bill_date)
        event = reconsider(difference, run.bill_date, others.run_of(*line), others, now)
        if event is not None:
            changed = _changed(identifier, apply(difference, event))
            writer.execute(SQL["set_item"], changed)

    def _keep_decisions(self, writer: apsw.Connection, run: Run, before: Run) -> None:
        """What people decided of a difference holds for the same one in the new bill."""
        for (body,) in list(writer.execute(SQL["decided"], (before.id,))):
            old = _difference(body)
            found: Any = writer.execute(SQL["same_item"], (run.id, old.number))
            for identifier, new_body in list(found):
                new = _difference(new_body)
                if (new.kind, new.line, new.ours, new.theirs) == (
                    old.kind,
                    old.line,
                    old.ours,
                    old.theirs,
                ):
                    kept = replace(old, rows=new.rows)
                    writer.execute(SQL["set_item"], _changed(identifier, kept))


class ReconciliationReader(Reads):
    """Reads a file beside its owner, or without one. Close it after use."""

    def __init__(self, path: Path) -> None:
        """Raise StoreRefused when there is no such file, or it is another one."""
        connect.guard_version()
        if not path.exists():
            raise StoreRefused(f"{path} does not exist: no bill was compared here yet")
        self._path = path
        self._connection = connect.reader(path)

    def _all(self, name: str, *values: object) -> list[Any]:
        try:
            return list(self._connection.execute(SQL[name], values))
        except apsw.Error as error:
            raise StoreRefused(f"{self._path}: {error}") from error

    def close(self) -> None:
        self._connection.close()


def _changed(identifier: str, difference: Difference) -> tuple[object, ...]:
    return (
        identifier,
        difference.kind.value,
        difference.standing.value,
        difference.resolved_by,
        bool(difference.maker or difference.checker),
        _encode(difference),
    )
