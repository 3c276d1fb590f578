"""Refunds: their own state machine, with a channel number that is never made anew.

    PROCESSING ──> SUCCEEDED* · FAILED*         an unknown answer keeps it PROCESSING: query,
                                                then ask again under the same number
The hold (`payment.refunding`) is taken with the refund's intent and let go with its end, so that
refunds together never exceed the payment, however concurrent.
"""

from enum import StrEnum

from msgspec import Struct

from payments.payment import Failure, Moment
from payments.splitting.terms import ShareBack


class RefundStatus(StrEnum):
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Refund(Struct, frozen=True, array_like=True, gc=False):
    """The whole state of a refund: what the store packs into one row.

    `amount` is in terms of the payment's `amount`; `settle_back` and `fee_back` are what the
    books give back. `automatic`: made by us for a late success (booked through suspense).
    `method`: refund, reverse, or reported by another gateway, which gave the money back.
    `stray`: what the channel settled for an attempt that had ended; such a refund is beside the
    payment's own amounts. `shares_back`: what receivers of the payment's shares gave back.
    `channel_at`: when the channel says that it gave the money back; None as in an attempt.
    """

    id: str
    payment: str
    merchant: str
    amount: int
    currency: str
    status: RefundStatus
    created: int
    business_date: int
    key_digest: bytes
    fingerprint: bytes
    method: str = "refund"
    reason: str | None = None
    metadata: dict[str, str] = {}
    next_action_at: int | None = None
    asked: int = 0
    inquiries: int = 0
    settle_back: int = 0
    fee_back: int = 0
    channel_refund_no: str | None = None
    succeeded_at: int | None = None
    failure: Failure | None = None
    automatic: bool = False
    attempt_no: int = 0
    account: str = ""
    channel: str = ""
    history: tuple[Moment, ...] = ()
    stray: int | None = None
    shares_back: tuple[ShareBack, ...] = ()
    channel_at: int | None = None
