"""What every channel can do, and the three answers it can give: approved, declined, unknown.

The default is the third. An exception, a time-out, an unsigned or unparsable answer is Unknown;
only an explicit, signed, matching success or refusal is anything else.
"""

from typing import Protocol, runtime_checkable

from msgspec import Struct

from payments.payment import Discount, Way


class Approved(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The channel has the money (pay, inquire) or did what was asked (reverse, close, refund).

    Amounts in minor units. `amount` is what the channel says was asked: compared before belief.
    `channel_at`: when the channel says that it took the money or gave it back, ms since 1970; None
    where the answer does not say so, or not so that it can be read.
    """

    out_trade_no: str
    amount: int
    channel_trade_no: str | None = None
    payer_amount: int | None = None
    settle_amount: int | None = None
    discounts: tuple[Discount, ...] = ()
    channel_at: int | None = None


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
    """The payer must act: enter a PIN (barcode), scan the code (qr), confirm in the wallet.

    `client_params`: what the wallet's own script or SDK is started with (jsapi, app), signed.
    `pay_url`: where the payer's browser goes (h5).
    """

    code: str | None = None
    client_params: dict[str, str] | None = None
    pay_url: str | None = None


class Unpaid(Struct, frozen=True, array_like=True, gc=False, tag=4):
    """A query's plain answer: the order exists, or not, and is not paid.

    `state`: absent | open | closed | reversed. Absent is not failed: a request may be in flight.
    """

    state: str


class Unknown(Struct, frozen=True, array_like=True, gc=False, tag=5):
    """Asked, and no answer that may be believed."""

    reason: str


class Known(Struct, frozen=True, array_like=True, gc=False, tag=6):
    """The wallet named its payer (`identify`): their id for this account, personal data."""

    payer: str

    def __repr__(self) -> str:
        return "Known(…)"


class Elsewhere(Struct, frozen=True, array_like=True, gc=False, tag=7):
    """Where a payer's browser goes to be named (`authorize_url`); it comes back with a code."""

    url: str


Outcome = Approved | Declined | Awaiting | Unpaid | Unknown | Known | Elsewhere


class PayOrder(Struct, frozen=True, array_like=True, gc=False):
    """One attempt as the channel needs it. `expires_at`: ms, the channel-side expiry of a code.

    `created`: business ms of the attempt, the same whenever it is sent again: some channels want
    it beside the number. `payer`: the wallet's id of the payer (jsapi).
    """

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
    created: int = 0
    payer_ip: str | None = None
    return_url: str | None = None
    store: str | None = None
    terminal: str | None = None
    is_shared: bool = False
    """The channel is to hold the money back until it is divided (see `channels/sharing.py`)."""


class OrderRef(Struct, frozen=True, array_like=True, gc=False):
    """An attempt that was sent, as a question about it needs it. Fields as in `PayOrder`."""

    out_trade_no: str
    amount: int
    currency: str
    way: Way
    wallet: str | None
    merchant: str
    created: int


class RefundOrder(Struct, frozen=True, array_like=True, gc=False):
    """A refund under its fixed number. `total` is the payment's whole amount.

    `created` is the attempt's, `asked_at` the refund's: business ms, the same at each sending.
    """

    out_trade_no: str
    out_refund_no: str
    amount: int
    total: int
    currency: str
    way: Way = Way.BARCODE
    wallet: str | None = None
    merchant: str = ""
    created: int = 0
    asked_at: int = 0


class Notice(Struct, frozen=True, gc=False):
    """Something the channel tells us unasked: a verified callback.

    With `out_refund_no` it is about that refund, else about the payment.
    """

    out_trade_no: str
    outcome: Outcome
    out_refund_no: str | None = None


class Channel(Protocol):
    """A connection to one channel account. Every call ends with an Outcome, never an exception."""

    async def pay(self, order: PayOrder) -> Outcome: ...
    async def inquire(self, order: OrderRef) -> Outcome: ...
    async def reverse(self, order: OrderRef) -> Outcome: ...
    async def close(self, order: OrderRef) -> Outcome: ...
    async def refund(self, order: RefundOrder) -> Outcome: ...
    async def inquire_refund(self, order: RefundOrder) -> Outcome: ...


@runtime_checkable
class NamesPayers(Protocol):
    """A channel whose wallet says who is about to pay (OAuth): jsapi needs to know."""

    def authorize_url(self, return_url: str, state: str) -> str:
        """Where the wallet's browser is sent; it returns with `state` and a code."""
        ...

    async def identify(self, code: str) -> Outcome:
        """Known; Declined for a code that is used, late or another's; Unknown for no answer."""
        ...


class Book(Struct, frozen=True, array_like=True, gc=False):
    """One order as the channel itself keeps it: what it really took and gave back."""

    out_trade_no: str
    amount_minor: int
    refunded_minor: int
    state: str
    charges: int
