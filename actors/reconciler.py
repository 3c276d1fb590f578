"""The reconciler: fetches each channel account's bill once a day and compares it with our rows.

Each bill goes the same way: fetched from the channel by the account's own credentials, kept as it
came, read whole, compared with the shards' files, which are only read. A bill that is not there
yet is asked for again, later each time; one that is refused is an alarm with its reason. What
resolves by itself is carried out: a late success goes back by the shard's own refund.

The same bill again changes nothing, so a crash in the middle of anything costs only the work.
"""

import asyncio
import io
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Final

from msgspec import Struct

from actors.adjusting_messages import Adjusted, ToldNotices
from actors.home_messages import HomeAsk
from actors.link import Dialer, Link
from actors.messages import (
    Answer,
    Changes,
    ClockQuiet,
    ClockSet,
    Message,
    NoticeTaken,
    Ping,
    Pong,
    ReadStatus,
    Refusal,
    Stats,
    Subscribe,
)
from actors.reconciler_carrying import BillAccount, Carrying, NotBrought
from actors.reconciler_desk import Desk
from actors.reconciler_telling import Telling
from actors.test_clock import MovableClock
from payments.bills.archive import ArchiveDamaged, Kept
from payments.bills.lines import BillRefused
from payments.channels.base import Unknown
from payments.channels.fetching import BillFile, NoBill
from payments.errors import Internal, Overloaded, PaymentError
from payments.reconciliation import daily
from payments.reconciliation.differences import Kind, Standing
from payments.reconciliation.resolving import Explained
from payments.reconciliation.runs import Run, age_days
from payments.storage.base import StoreRefused
from payments.storage.comparing import Bill, Comparing, aside

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
"""How often the reconciler looks what is due."""
ASKS_MAX: Final = 64
"""Questions being answered at one time; more are refused as overloaded."""
BANK_S: Final = 10.0
"""How often it looks what the bank has credited since."""
LATE_MAX: Final = 1_000
"""Late successes that one comparison lets go back by themselves; the rest after the next."""
LISTED_RUNS: Final = 1_000
QUIET_PATIENCE_S: Final = 8.0
"""How long the test clock waits for bills; the rest is done after it has gone on."""

Keep = Callable[[BillAccount, int, BillFile], Kept]
"""Keeps a bill as it came. Raises ArchiveDamaged, OSError."""


class Missing(Struct):
    """A bill that was not to be had, or was refused. `again_at`: business ms."""

    tries: int
    again_at: int
    reason: str
    is_refused: bool = False


class Reconciler:
    """One a deployment. `open`, then `run` beside the links."""

    def __init__(
        self,
        name: str,
        accounts: Sequence[BillAccount],
        comparing: Comparing,
        keep: Keep,
        clock: MovableClock,
        shard_of: Callable[[int], int],
        settles: Mapping[str, bool] | None = None,
        custody: str = "",
    ) -> None:
        """`settles`: channel account that pays into custody -> whether it keeps its fees.

        `custody`: the name of that account in our books; empty where there is no bank.
        """
        self.accounts = {account.name: account for account in accounts}
        self.comparing = comparing
        self.clock = clock
        self.missing: dict[tuple[str, int], Missing] = {}
        self.disk = asyncio.Lock()
        """Who holds it may open the file of comparisons: it has one owner at a time."""
        self.carrying = Carrying(accounts, comparing, clock, shard_of)
        self._telling = Telling(comparing, self.carrying, clock, self.disk)
        self._name = name
        self._settles = settles or {}
        self.custody = custody
        self._bank_at = 0.0
        self._keep = keep
        self._done: set[tuple[str, int]] = set()
        self._working = asyncio.Lock()
        self._bringing: dict[tuple[str, int], asyncio.Task[Run | None]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._asks_running = 0
        self._draining = False
        self._bugs = 0
        self._heard_clock = False
        self._met = False
        self.counts = dict.fromkeys(("compared", "refused", "not_there", "given_back"), 0)
        self._desk = Desk(self)

    def open(self, shards: Sequence[Dialer]) -> None:
        """`shards`: dialers in the order of numbers."""
        self.carrying.shards = shards

    async def run(self) -> None:
        """Work and answer until canceled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            while not (self._heard_clock and self._has_met_shards()):  # noqa: ASYNC110 - once
                await asyncio.sleep(TICK_S / 20)
            while True:
                await self.work()
                await asyncio.sleep(TICK_S)

    def _has_met_shards(self) -> bool:
        """Whether every shard has opened its file once: before, nothing can be compared."""
        if not self._met:
            self._met = all(shard.link is not None for shard in self.carrying.shards)
        return self._met

    # --- the daily round -------------------------------------------------------------------------

    async def work(self) -> None:
        """Fetch and compare everything that is due, one bill after the other.

        A move of the test clock asks for it too, and may come before the shards do.
        """
        if not self._has_met_shards():
            return
        async with self._working:
            for account, date in self._due():
                if self._draining:
                    return
                try:
                    await self.bring(account, date)
                except NotBrought as error:
                    log.info("no bill of %s for %s: %s", account.name, date, error)
                except Exception:
                    # Counted and logged where it ended; the other accounts' bills go on.
                    log.info("the bill of %s for %s is tried again", account.name, date)
            await self._look_at_bank()
            if not self._draining:
                await self._telling.round()

    async def _look_at_bank(self) -> None:
        """What came into custody since, against the days that were compared."""
        now = self.clock.monotonic()
        if not self._settles or self._draining or now < self._bank_at:
            return
        self._bank_at = now + BANK_S
        async with self.disk:
            try:
                await aside(self.comparing.stand_at_bank, self._settles, (), self.custody)
            except StoreRefused as error:
                log.info("the bank's credits are compared later: %s", error)

    def _due(self) -> list[tuple[BillAccount, int]]:
        now = self.clock.now_ms()
        found = []
        for date in daily.days_before(now):
            for account in self.accounts.values():
                key = (account.name, date)
                if key in self._done or daily.ready_at(account.channel, date) > now:
                    continue
                waiting = self.missing.get(key)
                if waiting is None or waiting.again_at <= now:
                    found.append((account, date))
        return [pair for pair in found if not self._is_done(pair[0].name, pair[1])]

    def _is_done(self, account: str, date: int) -> bool:
        """Whether a comparison counts for the day already, as the file says."""
        reader = self.comparing.reader()
        if reader is None:
            return False
        try:
            is_done = reader.current(account, date) is not None
        finally:
            reader.close()
        if is_done:
            self._done.add((account, date))
        return is_done

    def next_due(self) -> int | None:
        """When there is something to do again, business ms."""
        now = self.clock.now_ms()
        channels = {account.channel for account in self.accounts.values()}
        first = daily.next_ready(channels, now)
        dues = [one.again_at for one in self.missing.values() if one.again_at > now]
        return min([*dues, *([] if first is None else [first])], default=None)

    # --- one bill --------------------------------------------------------------------------------

    async def bring(self, account: BillAccount, date: int, *, is_asked: bool = False) -> Run | None:
        """Fetch and compare one bill. None: nothing happened on that day, there or here.

        `is_asked`: by a person, who wants to see an empty comparison too. Whoever asks for what is
        under way waits for the same one. Raise NotBrought.
        """
        key = (account.name, date)
        task = self._bringing.get(key)
        if task is None:
            assert self._tasks is not None
            work = self._bring(account, date, is_asked=is_asked)
            task = asyncio.get_running_loop().create_task(work, name=f"bill {key}")
            self._bringing[key] = task
            task.add_done_callback(lambda done: self._brought(key, done))
        return await asyncio.shield(task)

    def _brought(self, key: tuple[str, int], task: "asyncio.Task[Run | None]") -> None:
        self._bringing.pop(key, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._done.add(key)
            self.missing.pop(key, None)
            return
        waited = self.missing.get(key)
        tries = 1 if waited is None else waited.tries + 1
        is_refused = isinstance(error, NotBrought) and error.is_refused
        if not isinstance(error, NotBrought):
            self._bugs += 1
            log.error("a bill could not be compared", exc_info=error)
        self.counts["refused" if is_refused else "not_there"] += 1
        again_at = self.clock.now_ms() + daily.again_after(tries)
        self.missing[key] = Missing(tries, again_at, str(error), is_refused)

    async def _bring(self, account: BillAccount, date: int, *, is_asked: bool) -> Run | None:
        fetched = await account.fetch(date)
        if isinstance(fetched, Unknown):
            raise NotBrought(f"the channel did not answer: {fetched.reason}")
        if isinstance(fetched, NoBill) and fetched.later:
            raise NotBrought(f"the channel has not made it yet: {fetched.reason}")
        async with self.disk:
            run = await aside(self._compare, account, date, fetched, is_asked)
        if run is not None:
            self.counts["compared"] += 1
            self._bank_at = 0.0
            await self._give_back()
        return run

    def _compare(
        self, account: BillAccount, date: int, fetched: BillFile | NoBill, is_asked: bool
    ) -> Run | None:
        """In a thread: keep and compare. Raise NotBrought."""
        try:
            if isinstance(fetched, NoBill):
                if not is_asked and not self._is_missed(account.name, date):
                    return None
                return self.comparing.compare_nothing(account.name, account.channel, date)
            kept = self._keep(account, date, fetched)
            bill = Bill(account.name, account.channel, date, kept.path.name, kept.sha256)
            with io.BytesIO(fetched.content) as content:
                if account.shares is not None:
                    return self.comparing.compare_shares(bill, content, account.shares)
                return self.comparing.compare(bill, content, account.read, account.plan)
        except BillRefused as error:
            raise NotBrought(f"the bill is refused: {error}", is_refused=True) from error
        except (StoreRefused, ArchiveDamaged, OSError) as error:
            raise NotBrought(f"it cannot be compared now: {error}") from error

    def _is_missed(self, account: str, date: int) -> bool:
        """Whether a day without a bill matters: we expect lines, or other days wait for it."""
        reader = self.comparing.reader()
        if reader is not None:
            try:
                if any(run.account == account for run in reader.runs(LISTED_RUNS)):
                    return True
            finally:
                reader.close()
        return self.comparing.has_rows(account, date)

    async def _give_back(self) -> None:
        """Late successes resolve themselves: the shard hears of them and gives the money back."""
        reader = self.comparing.reader()
        assert reader is not None
        try:
            found = reader.items_page(
                "", Kind.LATE_SUCCESS.value, Standing.OPEN.value, "", "", LATE_MAX
            )
        finally:
            reader.close()
        for item, difference, run in found:
            # A reversal that never came waits for people: another day's bill may bring it still.
            if difference.until != (0, 0) or difference.maker:
                continue
            try:
                await self.carrying.ask_channel(difference, run.account)
            except PaymentError as error:
                log.info("a late success stays open: %s", error.detail)
                continue
            await self._told_back(item, difference.number, run.account)

    async def _told_back(self, item: str, number: str, account: str) -> None:
        async with self.disk:
            line = await aside(self.comparing.charge, account, number)
            if line is not None and line.remedy:
                event = Explained(self.clock.now_ms(), line.remedy)
                await aside(self.comparing.decide, item, event)
                self.counts["given_back"] += 1

    # --- links -----------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self._name, 0))

    def on_link_lost(self, link: Link) -> None:
        self.carrying.asks.lost(link)

    def on_messages(self, link: Link, messages: Sequence[Message]) -> None:
        """Take a frame. Never waits: questions get a task each."""
        for message in messages:
            match message:
                case Adjusted() | NoticeTaken() | ToldNotices():
                    self.carrying.asks.answered(message)
                case ClockSet():
                    self._start(self._clock_set(link, message))
                case HomeAsk():
                    self._asked(link, message)
                case Changes():
                    self._heard_clock = True  # Of what the directory tells, time alone matters.
                case ReadStatus(ref=ref):
                    link.send(Stats(ref, self._name, self.stats()))
                case Ping(ref=ref):
                    link.send(Pong(ref))
                case _:
                    self._bugs += 1

    def _start(self, work: Coroutine[None, None, None]) -> None:
        assert self._tasks is not None
        self._tasks.create_task(work)

    def _asked(self, link: Link, ask: HomeAsk) -> None:
        if self._asks_running >= ASKS_MAX or self._draining:
            link.send(Refusal(ask.ref, Overloaded.code, "try again in a second", None, 1))
            return
        self._asks_running += 1
        self._start(self._answer(link, ask))

    async def _answer(self, link: Link, ask: HomeAsk) -> None:
        try:
            answer: Answer = await self._desk.answer(ask)
            answer.ref = ask.ref
            link.send(answer)
        except PaymentError as error:
            link.send(_refusal(ask.ref, error))
        except StoreRefused as error:
            log.info("the file of comparisons is in use: %s", error)
            link.send(_refusal(ask.ref, Overloaded("another comparison runs", retry_after_s=1)))
        except Exception as error:
            # A bug in one answer must not take the comparisons with it.
            self._bugs += 1
            log.error("an answer about reconciliation failed", exc_info=error)
            link.send(_refusal(ask.ref, Internal()))
        finally:
            self._asks_running -= 1

    async def _clock_set(self, link: Link, message: ClockSet) -> None:
        """Everybody else is quiet: bills that are due now are compared before time goes on."""
        self.clock.offset_ms = message.offset_ms
        self._heard_clock = True
        self._bank_at = 0.0
        try:
            async with asyncio.timeout(QUIET_PATIENCE_S):
                await self.work()
        except TimeoutError:
            log.info("the test clock goes on while a bill is being compared")
        link.send(ClockQuiet(message.step, self.next_due() if self.accounts else None))

    async def drain(self, timeout_s: float) -> None:
        """Begin nothing new; what is under way is begun anew at the next start."""
        self._draining = True
        running = list(self._bringing.values())
        if running:
            await asyncio.wait(running, timeout=timeout_s)

    # --- numbers ---------------------------------------------------------------------------------

    def stats(self) -> dict[str, float]:
        """Plain numbers for metrics. Ages are whole days since a bill's day ended, 7 the most."""
        numbers: dict[str, float] = {"ready": 1.0, "bugs_total": self._bugs}
        # Where no channel has bills there is nothing to be missed.
        for name, count in self.counts.items() if self.accounts else ():
            numbers[f'reconciliations_total{{outcome="{name}"}}'] = count
        for (account, date), missing in self.missing.items():
            if missing.is_refused:
                why = missing.reason.replace('"', "'").replace("\\", "/")[:120]
                label = f'channel="{account}",bill_date="{date}",reason="{why}"'
                numbers[f"bill_refused{{{label}}}"] = 1.0
        return numbers | self._open()

    def _open(self) -> dict[str, float]:
        reader = self.comparing.reader()
        if reader is None:
            return {}
        numbers: dict[str, float] = {}
        now = self.clock.now_ms()
        try:
            for _, kind, date, count in reader.open_ages():
                age = min(age_days(date, now), daily.DAYS_BACK_MAX)
                label = f'type="{kind}",age_days="{age}"'
                name = f"reconciliation_open{{{label}}}"
                numbers[name] = numbers.get(name, 0.0) + count
        finally:
            reader.close()
        return numbers


def _refusal(ref: int, error: PaymentError) -> Refusal:
    return Refusal(ref, error.code, error.detail, error.param, error.retry_after_s or 0)
