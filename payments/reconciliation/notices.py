"""What a merchant and its platform hear of reconciliation: what concerns their own payments.

A channel's bill shows what everybody sells, so a notice has our side of a difference and how far
it is off, never a line of the bill. Differences without a payment of ours concern nobody here.
"""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, Literal

from msgspec import Struct
from msgspec.json import encode

from payments.bills.lines import BillKind
from payments.ids import derived_body
from payments.reconciliation.differences import Difference, Kind, Standing
from payments.reconciliation.runs import Run

OPENED: Final = "reconciliation.opened"
RESOLVED: Final = "reconciliation.resolved"
FINISHED: Final = "reconciliation.finished"

WAITS: Final = "waits"
"""How a difference stands that another day's bill may explain: nobody is told of it."""


class ReconciliationNoticeView(Struct, frozen=True):
    """A difference about a payment or refund of ours. `amount`: as in the comparison."""

    id: str
    object: Literal["reconciliation_item"]
    reconciliation: str
    merchant: str
    account: str
    channel: str
    bill_date: int
    type: Kind
    status: Standing
    line: BillKind
    number: str
    payment: str | None
    refund: str | None
    currency: str
    amount: int


class ReconciliationSummaryView(Struct, frozen=True):
    """A comparison that found something of a merchant's. `counts`: type -> its differences."""

    id: str
    object: Literal["reconciliation"]
    merchant: str
    account: str
    channel: str
    bill_date: int
    counts: dict[str, int]


class Notice(Struct, frozen=True, array_like=True):
    """One event to be emitted. `source`: what its id is made of. `at`: business ms."""

    merchant: str
    source: str
    kind: str
    at: int
    body: bytes


def standing_of(difference: Difference) -> str:
    """What is remembered as told of a difference."""
    is_open = difference.standing is Standing.OPEN
    return WAITS if is_open and difference.kind is Kind.EXPECTED_LATER else difference.standing


def notice_of(identifier: str, difference: Difference, run: Run, told: str | None) -> Notice | None:
    """What to tell of a difference that stands elsewhere than was told; None for nothing.

    `told`: what was remembered of it last, None for nothing. What only waited ends in silence.
    """
    merchant, now = merchant_of(difference), standing_of(difference)
    if not merchant or now == WAITS or (told == WAITS and now == Standing.RESOLVED):
        return None
    is_open = now == Standing.OPEN
    at = run.finished_at if is_open else difference.checked_at or run.finished_at
    view = view_of(identifier, difference, run)
    return Notice(merchant, identifier, OPENED if is_open else RESOLVED, at, encode(view))


def merchant_of(difference: Difference) -> str:
    """Whose payment or refund it is about; empty where it is about none of ours."""
    return "" if difference.ours is None else difference.ours.merchant


def view_of(identifier: str, difference: Difference, run: Run) -> ReconciliationNoticeView:
    """A difference as its merchant may see it."""
    ours = difference.ours
    assert ours is not None, identifier
    is_refund = ours.object.startswith("rfd_")
    return ReconciliationNoticeView(
        identifier,
        "reconciliation_item",
        run.id,
        ours.merchant,
        run.account,
        run.channel,
        run.bill_date,
        difference.kind,
        difference.standing,
        difference.line,
        difference.number,
        None if is_refund else ours.object,
        ours.object if is_refund else None,
        difference.currency,
        difference.amount,
    )


def summaries(run: Run, found: Iterable[Difference]) -> list[Notice]:
    """One notice for each merchant of whose payments a finished comparison found something."""
    counts: dict[str, Counter[str]] = {}
    for each in found:
        merchant = merchant_of(each)
        if merchant:
            counts.setdefault(merchant, Counter())[each.kind.value] += 1
    return [
        Notice(merchant, _source(run.id, merchant), FINISHED, run.finished_at, encode(
            summary_of(run, merchant, dict(sorted(count.items())))
        ))
        for merchant, count in sorted(counts.items())
    ]  # fmt: skip


def summary_of(run: Run, merchant: str, counts: dict[str, int]) -> ReconciliationSummaryView:
    """A comparison as one merchant may see it."""
    return ReconciliationSummaryView(
        run.id, "reconciliation", merchant, run.account, run.channel, run.bill_date, counts
    )


def _source(run: str, merchant: str) -> str:
    """An id for what one merchant is told of a comparison, in the comparison's partition."""
    return "rec_" + derived_body(run, sha256(f"{run} for {merchant}".encode()).digest())
