"""Messages about payments that somebody else's gateway took.

Part of `actors/messages.py`, with its rules: append-only, new fields last with a default.
"""

from msgspec import Struct

from payments.splitting.terms import Terms


class ReportPayment(Struct, array_like=True, tag=150, gc=False):
    """Book a payment that was taken elsewhere. Fields as in Pay, minted and digested likewise.

    `trade_digest`: stands for (account, channel_trade_no) at this merchant. `settle_amount` None:
    all of `amount`. `paid_at`: business ms, as it was told.
    """

    ref: int
    id: str
    merchant: str
    key_digest: bytes
    fingerprint: bytes
    nonce: int
    nonce_at: int
    order_no: str
    order_hash: int
    account: str
    channel_trade_no: str
    trade_digest: bytes
    amount: int
    currency: str
    settle_amount: int | None
    fee: int
    paid_at: int
    way: str
    wallet: str | None = None
    store: str | None = None
    terminal: str | None = None
    operator: str | None = None
    subject: str | None = None
    order_ref: str | None = None
    metadata: dict[str, str] = {}
    split: Terms | None = None


class ReportRefund(Struct, array_like=True, tag=151, gc=False):
    """Book that money of a reported payment went back. `amount` None: all that is left.

    `refunded_at`: business ms, as it was told.
    """

    ref: int
    id: str
    merchant: str
    payment: str
    key_digest: bytes
    fingerprint: bytes
    nonce: int
    nonce_at: int
    amount: int | None
    refunded_at: int
    channel_refund_no: str
    reason: str | None = None
    metadata: dict[str, str] = {}


ReportedMessage = ReportPayment | ReportRefund
