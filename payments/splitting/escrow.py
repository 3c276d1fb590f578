"""Escrow (担保): a merchant's own part of a payment that waits until somebody lets it go.

It is booked to `merchant:<id>:escrow` with the payment itself, so it is in no payout. Letting go
books it to pending, and it joins the batch of its day as a sale does. Whatever is forgotten is let
go by itself, 30 natural days after the payment was asked for at the latest.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from payments.errors import Conflict, ExceedsPaid, InvalidField
from payments.money import AMOUNT_MAX

DAY_MS: Final = 86_400_000
ESCROW_DAYS_MAX: Final = 30
"""So many natural days may money be held back."""

ESCROW_DAYS: Final = 7
"""Where nobody says when."""

RELEASES_MAX: Final = 90
"""Times that a part of one payment can be let go; the last one takes all that is left."""


class Escrow(Struct, frozen=True, array_like=True, gc=False):
    """What is held of one payment. Minor units; `until`: business ms.

    `held`: now, nothing before it succeeded. `released`: let go so far, in `releases` entries.
    """

    until: int
    held: int = 0
    released: int = 0
    releases: int = 0


class EscrowDue(Struct, frozen=True, array_like=True, gc=False):
    """When to look at a payment of which something may be held: a shard's record."""

    payment: str


class NewRelease(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/payments/{id}/release. Without `amount`: all that is held; minor units."""

    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)] | None = None


class ReleaseView(Struct, gc=False):
    """What was let go, and what was still held after it. Amounts in minor units."""

    id: str
    object: str
    payment: str
    merchant: str
    amount: int
    held: int
    currency: str
    created: str
    metadata: dict[str, str]
    livemode: bool


def wanted(now: int, release_at: int | None, days: int = ESCROW_DAYS) -> Escrow:
    """An escrow that is asked for at an instant, for `days` where it does not say until when.

    InvalidField for an end that cannot be.
    """
    assert 1 <= days <= ESCROW_DAYS_MAX, days
    if release_at is None:
        return Escrow(now + days * DAY_MS)
    if not now < release_at <= now + ESCROW_DAYS_MAX * DAY_MS:
        raise InvalidField(
            f"an instant to come, {ESCROW_DAYS_MAX} days ahead at most", param="/escrow_release_at"
        )
    return Escrow(release_at)


def from_held(escrow: Escrow | None, back: int) -> int:
    """What of a merchant's part of a refund is taken out of what is held; the rest is not."""
    return 0 if escrow is None else max(0, min(escrow.held, back))


def releasable(escrow: Escrow, needed: int) -> int:
    """What can be let go while refunds under way will take `needed` of the merchant's part."""
    return escrow.held - from_held(escrow, needed)


def release(escrow: Escrow | None, amount: int | None, needed: int) -> int:
    """How much is let go: `amount`, or all that can be.

    ExceedsPaid for more than that, Conflict when nothing is held.
    """
    if escrow is None or not escrow.held:
        raise Conflict("nothing of this payment is held")
    most = releasable(escrow, needed)
    if amount is not None and amount > most:
        raise ExceedsPaid(f"{most} can be released", param="amount")
    if not most:
        raise Conflict("refunds under way need what is held")
    if amount is not None and amount < most and escrow.releases + 1 >= RELEASES_MAX:
        raise Conflict(f"it was released {escrow.releases} times: now release all of it")
    return most if amount is None else amount
