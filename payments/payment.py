"""What a payment is: its states and its facts.

States of the payment, as the merchant sees them:

    requires_payer ──> processing ──> succeeded*        * final; refunds show in amount_refunded
          │                │  ├─────> failed*
          ├──> succeeded*  │  ├─────> reversed*         undone at the channel, never reported paid
          ├──> failed*     │  └─────> closed*           code ended unpaid
          └──> closed*     └ overdue: true past verdict_by

States of one attempt on one channel (unknown is an answer; the undo comes at the deadline):

    SENDING ──> SUCCEEDED* · FAILED* · SHOWN · AWAIT_PAYER · UNKNOWN
    SHOWN ──> AWAIT_PAYER · SUCCEEDED* · FAILED* · CLOSING
    AWAIT_PAYER, UNKNOWN ──> SUCCEEDED* · FAILED* · REVERSING · CLOSING
    REVERSING ──> REVERSED* · SUCCEEDED* (found paid, and nobody was told otherwise)
    CLOSING ──> CLOSED* · SUCCEEDED* (found paid while closing)

A payer's page (`docs/CASHIER.md`) has several attempts, one after the other, or none at all; the
payment is `requires_payer` all the while. `lifecycle.py` decides which event happens; `folding.py`
folds it and never refuses: it already happened.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.splitting.escrow import Escrow
from payments.splitting.terms import Share, Terms

HISTORY_MAX: Final = 200
"""Lines of time line kept in a payment; later ones overwrite the last."""


class Status(StrEnum):
    REQUIRES_PAYER = "requires_payer"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"
    CLOSED = "closed"


FINAL: Final = frozenset({Status.SUCCEEDED, Status.FAILED, Status.REVERSED, Status.CLOSED})
UNPAID: Final = frozenset({Status.FAILED, Status.REVERSED, Status.CLOSED})


class Way(StrEnum):
    BARCODE = "barcode"
    QR = "qr"
    CASHIER = "cashier"
    JSAPI = "jsapi"
    APP = "app"
    H5 = "h5"
    EXTERNAL = "external"
    """Taken by somebody else's gateway, which did not say how."""


REPORTED: Final = "reported"
"""`entry` of a payment that somebody else's gateway took, and that was told to us."""

CODE_WAYS: Final = frozenset({Way.QR, Way.CASHIER, Way.JSAPI, Way.APP, Way.H5})


class AttemptState(StrEnum):
    SENDING = "sending"
    SHOWN = "shown"
    AWAIT_PAYER = "await_payer"
    UNKNOWN = "unknown"
    REVERSING = "reversing"
    CLOSING = "closing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVERSED = "reversed"
    CLOSED = "closed"


STATUS_OF: Final[dict[AttemptState, Status]] = {
    AttemptState.SENDING: Status.PROCESSING,
    AttemptState.SHOWN: Status.REQUIRES_PAYER,
    AttemptState.AWAIT_PAYER: Status.PROCESSING,
    AttemptState.UNKNOWN: Status.PROCESSING,
    AttemptState.REVERSING: Status.PROCESSING,
    AttemptState.CLOSING: Status.PROCESSING,
    AttemptState.SUCCEEDED: Status.SUCCEEDED,
    AttemptState.FAILED: Status.FAILED,
    AttemptState.REVERSED: Status.REVERSED,
    AttemptState.CLOSED: Status.CLOSED,
}


class Failure(Struct, frozen=True, array_like=True, gc=False):
    """Why a payment did not happen: `code` in our words, `channel_code` in the channel's."""

    code: str
    message: str
    channel_code: str | None = None


class Discount(Struct, frozen=True, array_like=True, gc=False):
    """A coupon's share of the price. `funder`: channel or merchant. `amount`: minor units."""

    funder: str
    amount: int


class Moment(Struct, frozen=True, array_like=True, gc=False):
    """One line of a payment's time line. `at`: milliseconds since 1970, business time."""

    at: int
    kind: str
    detail: str = ""


class Assessment(Struct, frozen=True, array_like=True, gc=False):
    """What risk said. `decision`: pass, review or reject. `rules`: ids of those that spoke."""

    decision: str
    level: str | None = None
    rules: tuple[str, ...] = ()


class Route(Struct, frozen=True, array_like=True, gc=False):
    """Where the payment was sent and why. `candidates`: channel accounts in order of preference."""

    reason: str
    candidates: tuple[str, ...]


class Attempt(Struct, frozen=True, array_like=True, gc=False):
    """One try on one channel. Instants in ms; amounts in minor units of the payment's currency."""

    number: int
    channel: str
    account: str
    state: AttemptState
    sent_at: int
    inquiries: int = 0
    undos: int = 0
    channel_trade_no: str | None = None
    code: str | None = None
    failure: Failure | None = None
    mismatch: bool = False
    """The channel reported another amount or order: the charge is to be undone, not believed."""
    wallet: str | None = None
    way: Way | None = None
    payer: str | None = None
    """Of an attempt that a payer chose on a page; None: as the payment says."""
    consent: bytes | None = None
    """Digest of the OAuth code that named the payer: who comes with it again began this attempt."""
    client_params: dict[str, str] | None = None
    pay_url: str | None = None
    """What starts the wallet: parameters for its script or SDK, or an address (h5)."""
    is_stray: bool = False
    """It was charged after it had ended: the money goes back by a refund of its own."""
    channel_at: int | None = None
    """When the channel says that it took the money; None: it did not say, or not believably."""
    is_outside: bool = False
    """The channel pays the merchant itself: the money never comes into custody."""


class Choice(Struct, frozen=True, array_like=True, gc=False):
    """What a payer chose on the page: a wallet, and who they are in it on this account."""

    wallet: str
    payer: str | None = None
    account: str | None = None
    consent: bytes | None = None


class Page(Struct, frozen=True, array_like=True, gc=False):
    """A payment whose wallet is chosen by its payer. `wanted`: chosen, and not yet begun."""

    wanted: Choice | None = None
    choices: int = 0
    failure: Failure | None = None
    """Why the last choice came to nothing; the payer is told, and may choose again."""


class Payment(Struct, frozen=True, array_like=True, gc=False):
    """The whole state of a payment: what the store packs into one row.

    Amounts are minor units of `currency`; instants milliseconds since 1970 (business time);
    digests are keyed hashes. Append new fields at the end, with defaults: rows outlive releases.
    """

    id: str
    merchant: str
    order_no: str
    amount: int
    currency: str
    way: Way
    wallet: str | None
    status: Status
    attempt: Attempt | None
    created: int
    business_date: int
    key_digest: bytes
    fingerprint: bytes
    auth_digest: bytes | None = None
    store: str | None = None
    terminal: str | None = None
    operator: str | None = None
    subject: str | None = None
    order_ref: str | None = None
    table: str | None = None
    tip_amount: int = 0
    metadata: dict[str, str] = {}
    entry: str = "api"
    expires_at: int | None = None
    verdict_by: int | None = None
    next_action_at: int | None = None
    payer_amount: int | None = None
    settle_amount: int | None = None
    discounts: tuple[Discount, ...] = ()
    fee: int = 0
    succeeded_at: int | None = None
    failure: Failure | None = None
    risk: Assessment | None = None
    route: Route | None = None
    earlier: tuple[Attempt, ...] = ()
    amount_refunded: int = 0
    refunding: int = 0
    settle_returned: int = 0
    fee_returned: int = 0
    cancel_requested: bool = False
    overdue: bool = False
    late_success: bool = False
    late_checks: int = 0
    history: tuple[Moment, ...] = ()
    payer: str | None = None
    return_url: str | None = None
    cancel_digest: bytes | None = None
    page: Page | None = None
    split: Terms | None = None
    """How it is to be split, fixed when it was asked for; None: it is not."""
    shares: tuple[Share, ...] = ()
    """What receivers got of it; there are none before it succeeded."""
    escrow: Escrow | None = None
    """What of the merchant's own part is held until it is released; None: it never was to be."""

    @property
    def refundable(self) -> int:
        """What may still be refunded, in terms of `amount`: holds of running refunds excluded."""
        return self.amount - self.amount_refunded - self.refunding

    def attempt_of(self, number: int) -> Attempt | None:
        """The attempt with a number; None if there never was one."""
        for attempt in (self.attempt, *self.earlier):
            if attempt is not None and attempt.number == number:
                return attempt
        return None

    @property
    def is_page_open(self) -> bool:
        """Whether a payer's page may begin another attempt, its expiry apart."""
        attempt = self.attempt
        return (
            self.page is not None
            and self.status not in FINAL
            and not self.cancel_requested
            and not (attempt is not None and attempt.mismatch)
        )

    @property
    def has_stray(self) -> bool:
        """Whether an attempt that had ended was charged after all."""
        return any(attempt.is_stray for attempt in self.earlier)

    @property
    def is_reported(self) -> bool:
        """Whether another gateway took it: there is no channel of ours to ask about it."""
        return self.entry == REPORTED

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


def lengthen(history: tuple[Moment, ...], moment: Moment) -> tuple[Moment, ...]:
    """The time line with one more line; a full one keeps its beginning and its newest line."""
    if len(history) >= HISTORY_MAX:
        return (*history[: HISTORY_MAX - 1], moment)
    return (*history, moment)
