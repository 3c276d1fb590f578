"""What a shard counts: outcomes, findings of risk, stages, batches and syncs.

Counted once a commit where that says the same; what is counted once a payment is one dict entry
(measured: 0.2 us), and stages are timed for one payment in 64.
"""

from collections.abc import Callable, Iterable
from typing import Final

from actors.stats import BATCH_EDGES, SAMPLE_MASK, SYNC_EDGES_S, Histogram, Stages
from payments.payment import Assessment, Payment
from payments.risk import PASS, RULES_SEPARATOR

TIMED_MAX: Final = 1_024
"""Sampled payments at a channel at once; beyond it none is timed."""

NO_CHANNEL: Final = "none"
SUCCEEDED: Final = "succeeded"


class ShardNumbers:
    """The numbers of one shard since it started. `monotonic`: seconds.

    What must wake somebody is there from the start as 0 for each of the `accounts`: of a series
    that begins at 1, nobody sees the increase.
    """

    def __init__(self, monotonic: Callable[[], float], accounts: Iterable[str] = ()) -> None:
        self._monotonic = monotonic
        self.stages = Stages("risk", "route", "channel", "journal")
        self._batches = Histogram("batch_size", BATCH_EDGES)
        self._syncs = Histogram("journal_fsync_seconds", SYNC_EDGES_S)
        self._outcomes: dict[tuple[str, str, str, str], list[int]] = {}
        self._findings: dict[tuple[str, str], int] = {}
        self._overdue = dict.fromkeys(accounts, 0)
        self._opened = 0
        self._spoken_of = 0
        self._sent: dict[int, float] = {}

    # --- once a payment ------------------------------------------------------------------------

    def outcome(self, payment: Payment, outcome: str) -> None:
        """A payment succeeded, failed, was undone, or succeeded too late."""
        attempt = payment.attempt
        account = NO_CHANNEL if attempt is None else attempt.account
        key = (account, payment.way, outcome, payment.currency)
        row = self._outcomes.get(key)
        if row is None:
            row = self._outcomes[key] = [0, 0]
        row[0] += 1
        row[1] += payment.amount

    def overdue(self, payment: Payment) -> None:
        """A payment has no verdict though it should."""
        account = NO_CHANNEL if payment.attempt is None else payment.attempt.account
        self._overdue[account] = self._overdue.get(account, 0) + 1

    def found(self, assessment: Assessment) -> None:
        """A rule spoke about a payment. Those that pass in silence are not told here."""
        self._spoken_of += 1
        for rule in assessment.rules:
            key = (rule.partition(RULES_SEPARATOR)[0], assessment.decision)
            self._findings[key] = self._findings.get(key, 0) + 1

    # --- once a sampled payment ----------------------------------------------------------------

    def stage(self, name: str, began: float) -> float:
        """A stage that began then is over. The time now, for the next."""
        now = self._monotonic()
        self.stages.observe(name, now - began)
        return now

    def sent(self, no: int) -> None:
        """An attempt went to its lane."""
        if not no & SAMPLE_MASK and len(self._sent) < TIMED_MAX:
            self._sent[no] = self._monotonic()

    def heard(self, no: int) -> None:
        """The lane answered an attempt."""
        if not no & SAMPLE_MASK:
            began = self._sent.pop(no, None)
            if began is not None:
                self.stage("channel", began)

    # --- once a commit -------------------------------------------------------------------------

    def committed(self, opened: int, rows: int, began: float, sync_s: float) -> None:
        """A commit is durable. `opened`: new payments in it; `rows`: payments and refunds."""
        self._opened += opened
        self._batches.observe(rows)
        self._syncs.observe(sync_s)
        self.stage("journal", began)

    # --- once a second -------------------------------------------------------------------------

    def report(self, numbers: dict[str, float]) -> None:
        """Add everything, by name and label text."""
        amounts: dict[str, int] = {}
        for (account, way, outcome, currency), (count, amount) in self._outcomes.items():
            label = f'channel="{account}",way="{way}",outcome="{outcome}"'
            name = f"payments_total{{{label}}}"
            numbers[name] = numbers.get(name, 0) + count
            if outcome == SUCCEEDED:
                name = f'payment_amount_minor_total{{currency="{currency}",channel="{account}"}}'
                amounts[name] = amounts.get(name, 0) + amount
        numbers.update(amounts)
        for account, count in self._overdue.items():
            numbers[f'payments_overdue_total{{channel="{account}"}}'] = count
        label = f'rule="none",decision="{PASS}"'
        numbers[f"risk_decisions_total{{{label}}}"] = max(0, self._opened - self._spoken_of)
        for (rule, decision), count in self._findings.items():
            numbers[f'risk_decisions_total{{rule="{rule}",decision="{decision}"}}'] = count
        self.stages.report(numbers)
        self._batches.report(numbers)
        self._syncs.report(numbers)
