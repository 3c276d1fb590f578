"""What `tillway trigger` makes so that an event of the money's way home happens: a sale, and time.

Each sells something over HTTP, clears it at once, and where the bank has a part in it moves the
test clock until the bank has done its own: a night for the channel's credit, ten in the morning
for the payout. Weekends and holidays pass like any other day, and make it longer.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from gateway.cli.client import call
from gateway.cli.clock import STEP_S, STEPS_MAX, moved
from gateway.cli.triggers import TIMEOUT_S, Make, post, succeeded, until

BEFORE_PAYOUTS: Final = timedelta(hours=1, minutes=30)
"""Half past nine in China, in UTC: credits have come at nine, and payouts go at ten."""

DAYS_MAX: Final = 14
HOUR_S: Final = 3_600
EVENTS: Final = "/v1/events"


def newest(kind: str, data: Path | None) -> str:
    """The id of the latest event of a type; empty where there is none."""
    found = call("GET", EVENTS, data=data, query={"type": kind, "limit": "1"})["data"]
    return str(found[0]["id"]) if found else ""


def _move(body: dict[str, Any], data: Path | None) -> datetime:
    """Move the test clock, wait until all is quiet, and say what time it is."""
    from payments.clock import SystemClock

    clock = moved(body, SystemClock().monotonic() + TIMEOUT_S, data)
    return datetime.fromisoformat(clock["now"])


def _until_told(kind: str, step_s: int, data: Path | None) -> Callable[[str], bool]:
    """Move the clock step by step until there is a newer event than the one named."""

    def move(before: str) -> bool:
        for _ in range(STEPS_MAX):
            if newest(kind, data) != before:
                return True
            _move({"seconds": step_s}, data)
        return newest(kind, data) != before

    return move


def _cleared(amount: int, data: Path | None) -> dict[str, Any]:
    """A payment, and a clearing run over it."""
    filed = newest("clearing_batch.closed", data)
    made = succeeded(amount, data)
    post("/v1/clearing_batches/run", {}, data)
    until(lambda: newest("clearing_batch.closed", data) != filed)
    return made


def _paid_out(amount: int, data: Path | None) -> dict[str, Any]:
    """A payment that is cleared; the test clock moves on until the bank has paid it out."""
    before = newest("settlement.paid", data)
    made = _cleared(amount, data)
    _until_told("settlement.paid", STEP_S, data)(before)
    return made


def _withdrawn(amount: int, data: Path | None) -> dict[str, Any]:
    """A payment that is cleared and credited; half of what is there is withdrawn before ten."""
    _cleared(amount, data)
    now = _move({"seconds": 1}, data)
    available = 0
    for _ in range(DAYS_MAX):
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + BEFORE_PAYOUTS
        if at <= now:
            at += timedelta(days=1)
        now = _move({"to": at.isoformat().replace("+00:00", "Z")}, data)
        rows = call("GET", "/v1/balances", data=data)["data"]
        available = sum(row["available"] for row in rows)
        if available:
            break
    return post("/v1/withdrawals", {"amount": max(1, available // 2), "currency": "cny"}, data)


def _withdrawal_paid(amount: int, data: Path | None) -> dict[str, Any]:
    """The same, and the bank pays it."""
    before = newest("withdrawal.paid", data)
    made = _withdrawn(amount, data)
    _until_told("withdrawal.paid", HOUR_S, data)(before)
    return made


def _refund_failed(amount: int, data: Path | None) -> dict[str, Any]:
    """A refund of a payment that was paid out, by a shop that has nothing else to give back."""
    made = _paid_out(amount, data)
    post(f"/v1/payments/{made['id']}/refunds", {}, data)
    return made


HOME_TRIGGERS: Final[dict[str, Make]] = {
    "refund.failed": _refund_failed,
    "clearing_batch.filed": _cleared,
    "clearing_batch.closed": _cleared,
    "settlement.sent": _paid_out,
    "settlement.paid": _paid_out,
    "withdrawal.in_transit": _withdrawn,
    "withdrawal.paid": _withdrawal_paid,
}

ELSEWHERE: Final = {
    "payment.overdue": (
        "a sound gateway makes none: a channel must stay away beyond `verdict_by`. Start a payment "
        "with --ending 9002 and stop the channel's sandbox for more than a minute"
    ),
    "split": (
        "a payment with shares at an account that settles to `channel_frozen`, or one with "
        "`escrow`, makes it: docs/SPLITTING.md"
    ),
    "settlement": (
        "the bank does it by the end of the beneficiary's account number, such as 8004 (rejected), "
        "8002 (returned) or 8011 (unknown); two people must have confirmed that account: "
        "docs/BANK.md"
    ),
    "withdrawal": (
        "one above `settlement.withdrawals.review_above` waits in review; otherwise the bank does "
        "it by the end of the account's number, such as 8004 or 8002: docs/BANK.md"
    ),
    "reconciliation": (
        "a channel's bill that differs from our books makes it: docs/RECONCILIATION.md"
    ),
}
"""A type of event, or the first word of its type -> how it comes about, where no key can do it."""


def how_else(kind: str) -> str | None:
    """How an event comes about that nothing here makes; None for no event at all."""
    from payments.view import EVENT_LETTER

    if kind not in EVENT_LETTER:
        return None
    return ELSEWHERE.get(kind, ELSEWHERE.get(kind.partition(".")[0]))
