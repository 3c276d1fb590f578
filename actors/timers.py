"""What comes due: inquiries, undos, overdue marks, held answers, idle merchants.

The truth of a timer is `due_ms` in the row; memory only knows the near ones. A shard that restarted
finds the same rows by the same scan, so recovery needs no code of its own.
"""

import heapq
from typing import Final

from actors.core import Core
from actors.home import HomeDesk
from actors.live import LivePayment, LiveRefund
from actors.pages import Paging
from actors.paying import Paying
from actors.refunding import FAR_MS, Refunding
from payments.lifecycle import DEFAULT_SCHEDULE, due

TICK_S: Final = 0.1
"""How often held answers and near timers are looked at."""

SCAN_EVERY_TICKS: Final = 5
"""How often the store is asked for what is due, in ticks."""

SCAN_MAX: Final = 512
"""Rows taken in one scan; the rest comes with the next."""

SCANS_PER_TICK_MAX: Final = 4
SCAN_ROWS_MAX: Final = 65_536
"""How far a scan looks behind rows that cannot be helped now."""

LANE_DOWN_RETRY_MS: Final = 500
PRUNE_EVERY_TICKS: Final = 100


class Timers:
    """The clockwork of one shard. `tick` is called by the shard every TICK_S."""

    def __init__(
        self, core: Core, paying: Paying, refunding: Refunding, paging: Paging, home: HomeDesk
    ) -> None:
        self._core = core
        self._home = home
        self._paying = paying
        self._paging = paging
        self._refunding = refunding
        self._ticks = 0

    def tick(self) -> None:
        """Do what is due. Never waits; changes go into the next commit."""
        core = self._core
        self._ticks += 1
        self._expire_waits()
        self._paging.tick()
        now = core.clock.now_ms()
        self._near(now)
        if self._ticks % SCAN_EVERY_TICKS == 0:
            self.scan(now)
        if self._ticks % PRUNE_EVERY_TICKS == 0:
            core.nonces.prune(core.clock.real_ms())
            if core.merchants.passivate(core.batch, core.payment_no):
                core.wake.set()

    def _expire_waits(self) -> None:
        """Answer those whose patience is over with the object as it stands."""
        core = self._core
        now = core.clock.monotonic()
        for key, live in list(core.waiting.items()):
            waiters = live.waiters
            assert waiters is not None
            late = [waiter for waiter in waiters if waiter.deadline <= now]
            if not late:
                continue
            live.waiters = [w for w in waiters if w.deadline > now] or None
            if live.waiters is None:
                del core.waiting[key]
            for waiter in late:
                if isinstance(live, LivePayment):
                    self._paying.tell(live, waiter)
                else:
                    self._refunding.tell(live, waiter)
            self._let_go(live)

    def _let_go(self, live: LivePayment | LiveRefund) -> None:
        if isinstance(live, LivePayment):
            self._core.forget(live)
        else:
            self._core.forget_refund(live)

    def _near(self, now: int) -> None:
        timers = self._core.timers
        while timers and timers[0][0] <= now:
            at, kind, no = heapq.heappop(timers)
            if kind == 0:
                live = self._core.live.get(no)
                if live is not None and live.due_at == at:
                    self._payment_due(live, now)
            else:
                entry = self._core.refunds.get(no)
                if entry is not None and entry.due_at == at:
                    self._refund_due(entry, now)

    def scan(self, now: int) -> None:
        """Bring due rows back to memory and do what they are due for."""
        core = self._core
        limit, scans = SCAN_MAX, 0
        while scans < SCANS_PER_TICK_MAX:
            rows = core.store.due_payments(now, limit)
            fresh = 0
            for row in rows:
                live = core.live.get(row[0]) or core.adopt(LivePayment.of_row(row))
                if not live.dirty and not live.fresh:
                    fresh += self._payment_due(live, now)
            if len(rows) < limit or (not fresh and limit >= SCAN_ROWS_MAX):
                break
            if fresh:
                scans += 1
            else:
                # All of these wait for a lane that is down: look behind them.
                limit *= 2
        for refund_row in core.store.due_refunds(now, SCAN_MAX):
            entry = self._refunding.adopt(refund_row)
            if not entry.dirty and not entry.fresh:
                self._refund_due(entry, now)
        self._home.due(now)

    def _payment_due(self, live: LivePayment, now: int) -> bool:
        """Decide and fold what is due; False when it was not (any more)."""
        core = self._core
        payment = live.payment
        at = payment.next_action_at
        if at is None or at > now:
            core.forget(live)
            return False
        if payment.attempt is None:
            return self._page_due(live, now)
        schedule = core.options.schedule(payment.attempt.account)
        decision = due(payment, now, schedule)
        if decision.ask is not None and not self._reachable(payment.attempt.account, live):
            # Nothing can be asked: look again soon, and leave the row alone but for `overdue`.
            live.due_at = now + LANE_DOWN_RETRY_MS
            heapq.heappush(core.timers, (live.due_at, 0, live.no))
            return False
        self._paying.fold(live, decision, now)
        core.forget(live)
        return True

    def _page_due(self, live: LivePayment, now: int) -> bool:
        """A page with no attempt open: it ends by itself, no channel need be there."""
        decision = due(live.payment, now, DEFAULT_SCHEDULE)
        self._paying.fold(live, decision, now)
        self._core.forget(live)
        return bool(decision.events)

    def _refund_due(self, entry: LiveRefund, now: int) -> None:
        at = entry.refund.next_action_at
        if at is None or at > now:
            self._core.forget_refund(entry)
            return
        if not self._reachable(entry.refund.account, entry.of):
            entry.due_at = now + LANE_DOWN_RETRY_MS
            heapq.heappush(self._core.timers, (entry.due_at, 1, entry.no))
            return
        self._refunding.due(entry, now)

    def _reachable(self, account: str, live: LivePayment) -> bool:
        peer = self._core.lanes.peer(account, live.partition)
        return peer is not None and peer.link is not None

    def next_due(self) -> int | None:
        """Business ms of the next timer, in memory or in the store."""
        core = self._core
        found = [core.timers[0][0]] if core.timers else []
        found += [row[7] for row in core.store.due_payments(FAR_MS, 1) if row[7] is not None]
        found += [row[6] for row in core.store.due_refunds(FAR_MS, 1) if row[6] is not None]
        home_due = self._home.next_due()
        if home_due is not None:
            found.append(home_due)
        return min(found) if found else None
