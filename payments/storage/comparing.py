"""A bill against the shards' files, into the file of comparisons: what the reconciler and the
command line both do. Everything here waits for the disk: call it in a thread of its own.

The file of comparisons has one owner at a time, for as long as one comparison or one decision
takes, so that a bill can be imported by hand beside a running gateway.
"""

import asyncio
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from msgspec import Struct

from payments.bills.lines import BillLine
from payments.bills.shares import ShareLine
from payments.clock import Clock
from payments.fees import FeePlan
from payments.payment import Payment
from payments.reconciliation.bank_leg import Received
from payments.reconciliation.differences import Difference
from payments.reconciliation.importing import DayBooks, reconcile
from payments.reconciliation.lines import Ours
from payments.reconciliation.resolving import Event
from payments.reconciliation.runs import Run, RunStatus, run_id
from payments.reconciliation.shared import SUFFIX, is_sharing, reconcile_shares
from payments.refund import Refund
from payments.storage import bank_legs
from payments.storage.custody import FILE_NAME as CUSTODY_FILE
from payments.storage.expected import ShardBooks
from payments.storage.reconciliation import FILE_NAME, ReconciliationReader, ReconciliationStore
from payments.storage.reported import ReportedBooks
from payments.storage.shared import SharedRows
from payments.storage.sorting import SortedBill
from payments.storage.telling import Untold, untold

Read = Callable[[BinaryIO, int | None], Iterable[BillLine]]
ReadShares = Callable[[BinaryIO, int | None], Iterable[ShareLine]]


P = ParamSpec("P")
R = TypeVar("R")


async def aside(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """Do what waits for the disk in a thread, so that whoever asked goes on answering others."""
    return await asyncio.to_thread(work, *args, **named)


class Bill(Struct, frozen=True):
    """A bill as it was kept. `file_name`: what people know it by; `sha256`: hex."""

    account: str
    channel: str
    bill_date: int
    file_name: str
    sha256: str


class Comparing:
    """One data directory. `paths`: the shards' files; `clock`: business time."""

    def __init__(
        self, folder: Path, paths: Sequence[Path], clock: Clock, *, livemode: bool
    ) -> None:
        self._folder = folder
        self._paths = paths
        self._clock = clock
        self._livemode = livemode
        self.changes = 0
        """How often something was written here. Grows."""

    def compare(
        self,
        bill: Bill,
        content: BinaryIO,
        read: Read,
        plan: FeePlan | None = None,
        step: Callable[[int], None] = lambda done: None,
        *,
        is_others: bool = False,
    ) -> Run:
        """Compare one bill; the same file again changes nothing. Raise BillRefused, StoreRefused.

        `is_others`: of somebody else's gateway, whose payments are told to us. StoreRefused also
        says that somebody else is comparing just now: try again.
        """
        asked = self._asked(bill)
        store = self._open()
        try:
            with (
                closing(ShardBooks(self._paths, bill.account, plan)) as shards,
                SortedBill(self._folder / f"{FILE_NAME}.sorting") as sorter,
            ):
                books: DayBooks = shards
                if is_others:
                    books = ReportedBooks(self._paths, bill.account, bill.bill_date, plan)
                lines = read(content, bill.bill_date)
                return reconcile(
                    asked, lines, books, sorter, store, self._clock, step, is_others=is_others
                )
        finally:
            store.close()

    def compare_shares(self, bill: Bill, content: BinaryIO, read: ReadShares) -> Run:
        """The same of a bill of divided money. `bill.account`: with the suffix of these.

        Raise BillRefused, StoreRefused.
        """
        asked = self._asked(bill)
        store = self._open()
        try:
            with closing(self._shared(bill.account)) as books:
                lines = read(content, bill.bill_date)
                return reconcile_shares(asked, lines, books, store, self._clock)
        finally:
            store.close()

    def _asked(self, bill: Bill) -> Run:
        return Run(
            run_id(bill.account, bill.bill_date, bill.sha256),
            bill.account,
            bill.channel,
            "",
            bill.bill_date,
            bill.file_name,
            bill.sha256,
            RunStatus.RUNNING,
            self._clock.now_ms(),
        )

    def _shared(self, account: str) -> SharedRows:
        return SharedRows(self._paths, account.removesuffix(SUFFIX))

    def stand_at_bank(
        self, settles: Mapping[str, bool], told: Sequence[Received] = (), account: str = ""
    ) -> bool:
        """Compare the days' bills with what the bank credited; return whether anything is new.

        `settles`: channel account that pays into custody -> whether it keeps its fees. `told`:
        credits of a statement that somebody has brought, beside those that the custody box knows.
        `account`: the custody account in our books, where money of nobody is proposed to be kept.
        Before the first bill there is nothing to compare. Raise StoreRefused: try again.
        """
        now, custody = self._clock.now_ms(), self._folder / CUSTODY_FILE
        received = list(told)
        if custody.exists():
            received += bank_legs.read_credits(custody, bank_legs.since_ms(now))
        reader = self.reader()
        if reader is None or not (received or custody.exists()):
            if reader is not None:
                reader.close()
            return False
        try:
            write = bank_legs.standing(reader, received, settles, now, account)
        finally:
            reader.close()
        if write is None:
            return False
        store = self._open()
        try:
            # Looked at again by its owner: another bill may have come since.
            write = bank_legs.standing(store, received, settles, now, account)
            if write is not None:
                store.stand(write)
        finally:
            store.close()
        return write is not None

    def compare_nothing(self, account: str, channel: str, bill_date: int) -> Run:
        """The channel says that nothing happened on a day: compare our rows with an empty bill."""
        empty = sha256(b"").hexdigest()
        bill = Bill(account, channel, bill_date, "no bill: nothing happened", empty)
        if is_sharing(account):
            return self.compare_shares(bill, io.BytesIO(), lambda file, date: ())
        return self.compare(bill, io.BytesIO(), lambda file, date: ())

    def untold(self) -> Untold | None:
        """What merchants were not told of yet; None when there is nothing. Raise StoreRefused."""
        reader = self.reader()
        if reader is None:
            return None
        # Only read, for as long as that does: whoever imports by hand must not find it in use.
        with closing(reader):
            if not reader.has_untold():
                return None
        before, store = self.changes, self._open()
        try:
            return untold(store, self._clock.now_ms())
        finally:
            self.changes = before
            store.close()

    def remember_told(self, marks: Sequence[tuple[str, str]]) -> None:
        """Keep what was told. Raise StoreRefused: it is told again, which is the same event."""
        before, store = self.changes, self._open()
        try:
            store.remember_told(marks)
        finally:
            self.changes = before
            store.close()

    def spend(self, caller: str, digest: int, created: int) -> None:
        """A signed request counts once. Raise NonceSpent, StoreRefused."""
        store = self._open()
        try:
            store.spend(caller, digest, created)
        finally:
            store.close()

    def decide(self, item: str, event: Event) -> Difference:
        """Keep what was decided of a difference. Raise StoreRefused: try again."""
        store = self._open()
        try:
            return store.decided(item, event)
        finally:
            store.close()

    def reader(self) -> ReconciliationReader | None:
        """Reads what is kept; None before the first comparison. Close it after use."""
        path = self._folder / FILE_NAME
        return ReconciliationReader(path) if path.exists() else None

    def charge(self, account: str, out_trade_no: str) -> Ours | None:
        """What our rows say of an attempt now."""
        books = ShardBooks(self._paths, account)
        try:
            return books.charge(out_trade_no)
        finally:
            books.close()

    def payment(self, out_trade_no: str) -> tuple[Payment, int] | None:
        """The payment and the number of the attempt that an order number names."""
        books = ShardBooks(self._paths, "")
        try:
            return books.payment(out_trade_no)
        finally:
            books.close()

    def refund(self, out_refund_no: str) -> tuple[Refund, Payment] | None:
        """The refund that a number names, with its payment."""
        books = ShardBooks(self._paths, "")
        try:
            return books.refunded(out_refund_no)
        finally:
            books.close()

    def has_rows(self, account: str, bill_date: int) -> bool:
        """Whether our rows expect anything in the bill of a day."""
        if is_sharing(account):
            with closing(self._shared(account)) as shared:
                return any(True for _ in shared.day(bill_date))
        books = ShardBooks(self._paths, account)
        try:
            for lines in (books.payments(bill_date), books.refunds(bill_date)):
                for _ in lines:
                    return True
            return False
        finally:
            books.close()

    def _open(self) -> ReconciliationStore:
        store = ReconciliationStore(
            self._folder / FILE_NAME, livemode=self._livemode, clock=self._clock
        )
        store.open()
        self.changes += 1
        return store
