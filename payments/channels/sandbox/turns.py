"""What goes into the engine and what comes out: questions, turns to render, news, rules."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Protocol

from msgspec import Struct, field

from payments.channels.sandbox.books import Order, Refund
from payments.clock import Clock
from payments.payment import Discount

BARCODE: Final = "barcode"
VERBS: Final = ("pay", "decline", "pay_late", "pay_twice")


class MovableClock(Clock, Protocol):
    """A clock whose business time can be moved: `SystemClock` and `ManualClock` are."""

    offset_ms: int


class Asked(Struct, frozen=True):
    """A payment as the channel understood it. `amount` in minor units.

    `way`: barcode | qr | jsapi | app | h5. `auth_code` decides the ending and is not kept.
    `fingerprint`: a digest of everything that must be the same when the number comes again; the
    amount is compared besides. `expires_ms`: business instant at which an unpaid order closes
    (0: never). `merchant`: whose numbers these are (partner mode: the sub-merchant). `extra`: what
    the channel needs to render the order later; JSON-able, kept and given back untouched.
    """

    out_trade_no: str
    amount: int
    currency: str
    way: str
    wallet: str | None = None
    auth_code: str | None = None
    fingerprint: str = ""
    expires_ms: int = 0
    notify_url: str | None = None
    merchant: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class AskedRefund(Struct, frozen=True):
    """A refund as the channel understood it. `total`: the order's amount if the wire says it."""

    out_trade_no: str
    out_refund_no: str
    amount: int
    total: int | None = None
    fingerprint: str = ""
    notify_url: str | None = None
    merchant: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


class Kind(StrEnum):
    """What a call came to. Each call's docstring says which it can return."""

    PAID = "paid"
    AWAITING = "awaiting"
    """Unpaid: the payer is asked for a PIN (barcode), or the code is shown and nobody paid."""
    DECLINED = "declined"
    CLOSED = "closed"
    REVERSED = "reversed"
    REFUNDED = "refunded"
    """Refused: (a part of) the money went back as a refund already."""
    ABSENT = "absent"
    USED = "used"
    """Refused: the number belongs to an order with other parameters."""
    ERROR = "error"
    """Answer the channel's "system error": the result is unknown to the caller."""
    SILENT = "silent"
    """Never answer: raise `Silence` in the handler."""


class Turn(Struct, frozen=True):
    """What to render. `order` is None only for `absent`, `silent` and `error` without an order.

    `unsigned`: the answer carries a wrong signature (`spoiled`). Amounts in minor units, as they
    are to be reported: `amount` what was asked (9011 misreports it), `payer_amount` what the payer
    paid, `settle_amount` what the merchant gets before fees, `discounts` the coupons between them.
    `failure` is a code of our API, `message` a sentence; a channel maps the code to its own.
    `undone`: in an answer of `reverse`, whether money went back.
    """

    kind: Kind
    order: Order | None = None
    unsigned: bool = False
    amount: int = 0
    payer_amount: int = 0
    settle_amount: int = 0
    discounts: tuple[Discount, ...] = ()
    failure: str = ""
    message: str = ""
    undone: bool = False

    @property
    def known(self) -> Order:
        """The order, where the kind promises one."""
        assert self.order is not None, self.kind
        return self.order


def given_back(amount: int, settled: int, paid: int, refunded: int) -> tuple[int, int]:
    """(settled, paid) that has gone back once `refunded` of `amount` has, in minor units.

    Cumulative and half up, as `payments.fees.give_back` does it, so that a full refund returns all
    of both; and the payer's part is a part of the settled one, so that no refund's coupons are
    below zero.
    """
    settled_back = (2 * settled * refunded + amount) // (2 * amount)
    return settled_back, paid * settled_back // settled if settled else 0


class RefundKind(StrEnum):
    MADE = "made"
    PROCESSING = "processing"
    ERROR = "error"
    """Answer "system error"; it was made, or was not: endings 77 and 78 of the amount."""
    ABSENT = "absent"
    """No such order (refund), or no such refund (inquire_refund)."""
    UNPAID = "unpaid"
    """Refused: the order is not paid; `order.state` says what it is."""
    USED = "used"
    """Refused: the refund number was used with another order, amount or fingerprint."""
    EXCEEDS = "exceeds"
    """Refused: more than is left of the payment."""
    MISMATCH = "mismatch"
    """Refused: `total` is not the order's, or the amount is below 1."""
    TOO_MANY = "too_many"
    TOO_LATE = "too_late"


class RefundTurn(Struct, frozen=True):
    """What to render. `again`: this number was answered before (Alipay: `fund_change` N)."""

    kind: RefundKind
    order: Order | None = None
    refund: Refund | None = None
    again: bool = False

    @property
    def known(self) -> tuple[Order, Refund]:
        """Order and refund, where the kind promises both."""
        assert self.order is not None, self.kind
        assert self.refund is not None, self.kind
        return self.order, self.refund


class News(Struct, frozen=True):
    """Something a callback is about. `id` stays the same over retries and restarts.

    `kind`: paid | declined | closed | reversed | refunded (then with `refund`). `times`: how often
    it is to arrive although it was acknowledged. A channel that does not tell a kind says so in
    its `Postman.post` (None), and it is owed no more.
    """

    id: int
    kind: str
    order: Order
    refund: Refund | None
    times: int
    at_ms: int

    @property
    def notify_url(self) -> str | None:
        return self.order.notify_url if self.refund is None else self.refund.notify_url


def plain_number(created_ms: int, serial: int) -> str:
    """The channel's number for an order or a refund, where the channel has no rule of its own."""
    return f"{created_ms:013d}{serial:012d}"


class Rules(Struct, frozen=True):
    """What differs between channels. `order_number`, `refund_number`: (business ms, serial) to the
    channel's own number; unique because the serial is. `refund_ms`: how long a refund processes.
    `refunds_per_order`: a refund number is unique within its order only, not within the merchant.
    """

    order_number: Callable[[int, int], str] = plain_number
    refund_number: Callable[[int, int], str] = plain_number
    refund_ms: int = 0
    refunds_per_order: bool = False
    refunds_max: int = 1_000_000
    refund_days_max: int = 36_500
