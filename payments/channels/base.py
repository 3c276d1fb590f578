"""What every channel can do, and the three answers it can give: approved, declined, unknown.

The default is the third. An exception, a time-out, an unsigned or unparsable answer is Unknown;
only an explicit, signed, matching success or refusal is anything else.
"""

from typing import Protocol

from msgspec import Struct

from payments.payment import Discount, Way


class Approved(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The channel has the money (pay, inquire) or did what was asked (reverse, close, refund).

    Amounts in minor units. `amount` is what the channel says was asked: compared before belief.
    """

    out_trade_no: str
    amount: int
    channel_trade_no: str | None = None
    payer_amount: int | None = None
    settle_amount: int | None = None
    discounts: tuple[Discount, ...] = ()


class Declined(Struct, frozen=True, array_like=True, gc=False, tag=2):
    """An explicit refusal. `code` is ours (the API's `failure.code`), `channel_code` theirs.

    `not_sent`: the channel refused for its own reasons (rate, permission, not sent at all), so a
    second channel may be tried.
    """

    code: str
    message: str
    channel_code: str | None = None
    not_sent: bool = False


class Awaiting(Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The payer must act: enter a PIN (barcode), scan the code (qr)."""

    code: str | None = None


class Unpaid(Struct, frozen=True, array_like=True, gc=False, tag=4):
    """A query's plain answer: the order exists, or not, and is not paid.

    `state`: absent | open | closed | reversed. Absent is not failed: a request may be in flight.
    """

    state: str


class Unknown(Struct, frozen=True, array_like=True, gc=False, tag=5):
    """Asked, and no answer that may be believed."""

    reason: str


Outcome = Approved | Declined | Awaiting | Unpaid | Unknown


class PayOrder(Struct, frozen=True, array_like=True, gc=False):
    """One attempt as the channel needs it. `expires_at`: ms, the channel-side expiry of a code."""

    out_trade_no: str
    amount: int
    currency: str
    way: Way
    wallet: str | None
    merchant: str
    auth_code: str | None = None
    subject: str | None = None
    expires_at: int | None = None
    payer: str | None = None


class RefundOrder(Struct, frozen=True, array_like=True, gc=False):
    """A refund under its fixed number. `total` is the payment's whole amount."""

    out_trade_no: str
    out_refund_no: str
    amount: int
    total: int
    currency: str


class Notice(Struct, frozen=True, gc=False):
    """Something the channel tells us unasked: a verified callback."""

    out_trade_no: str
    outcome: Outcome


class Channel(Protocol):
    """A connection to one channel account. Every call ends with an Outcome, never an exception."""

    async def pay(self, order: PayOrder) -> Outcome: ...
    async def inquire(self, out_trade_no: str) -> Outcome: ...
    async def reverse(self, out_trade_no: str) -> Outcome: ...
    async def close(self, out_trade_no: str) -> Outcome: ...
    async def refund(self, order: RefundOrder) -> Outcome: ...
    async def inquire_refund(self, order: RefundOrder) -> Outcome: ...


class Book(Struct, frozen=True, array_like=True, gc=False):
    """One order as the channel itself keeps it: what it really took and gave back."""

    out_trade_no: str
    amount_minor: int
    refunded_minor: int
    state: str
    charges: int
