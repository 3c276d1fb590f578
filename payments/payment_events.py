"""What can happen to a payment: facts, in the past tense, each with its instant (`at`, ms)."""

from msgspec import Struct

from payments.payment import Attempt, AttemptState, Choice, Discount, Failure
from payments.splitting.terms import Share


class Sent(Struct, frozen=True, gc=False):
    """A further attempt begins: the first channel refused for its own reasons, or a payer chose."""

    at: int
    attempt: Attempt
    next_action_at: int


class Succeeded(Struct, frozen=True, gc=False):
    """The channel took the money, proven by a signed answer with our number and amount.

    `channel_at`: when, by the channel's own clock; None where it is not known.
    """

    at: int
    channel_trade_no: str | None
    payer_amount: int
    settle_amount: int
    discounts: tuple[Discount, ...]
    fee: int
    shares: tuple[Share, ...] = ()
    channel_at: int | None = None


class Failed(Struct, frozen=True, gc=False):
    at: int
    failure: Failure


class CodeShown(Struct, frozen=True, gc=False):
    """The channel made a code; the payer must act."""

    at: int
    code: str
    next_action_at: int
    client_params: dict[str, str] | None = None
    pay_url: str | None = None


class Chosen(Struct, frozen=True, gc=False):
    """The payer chose a wallet on the page. Nothing begins before the open attempt has ended."""

    at: int
    choice: Choice


class PayerReturned(Struct, frozen=True, gc=False):
    """The payer of the open attempt came again, through another browser: it is theirs now."""

    at: int
    consent: bytes | None


class AttemptEnded(Struct, frozen=True, gc=False):
    """An attempt of a page ended unpaid (closed or failed); the page stays open until its expiry.

    `next_action_at`: that expiry.
    """

    at: int
    state: AttemptState
    next_action_at: int | None
    failure: Failure | None = None


class ChoiceDropped(Struct, frozen=True, gc=False):
    """No channel could take the wallet that was chosen; the page stays open until its expiry."""

    at: int
    next_action_at: int | None
    failure: Failure


class StrayPaid(Struct, frozen=True, gc=False):
    """An attempt that had ended was charged after all: booked to suspense, refunded by itself."""

    at: int
    number: int
    channel_trade_no: str | None
    channel_at: int | None = None


class PayerAwaited(Struct, frozen=True, gc=False):
    at: int
    next_action_at: int


class Unclear(Struct, frozen=True, gc=False):
    """Asked and not answered, or answered in a way nobody may believe. Money may have moved."""

    at: int
    reason: str
    next_action_at: int
    mismatch: bool = False


class Inquired(Struct, frozen=True, gc=False):
    """A query was sent; the next action is due when the channel's schedule says so.

    `kind`: its line in the time line, `undo_refused` when a refused undo was the reason.
    """

    at: int
    next_action_at: int
    kind: str = "inquired"


class UndoStarted(Struct, frozen=True, gc=False):
    """A reverse (barcode) or a close (code) was sent, or is sent again under the same number."""

    at: int
    state: AttemptState
    next_action_at: int


class Undone(Struct, frozen=True, gc=False):
    """The channel confirmed: reversed or closed; nothing was paid or it went back."""

    at: int
    state: AttemptState
    next_action_at: int | None


class CancelRequested(Struct, frozen=True, gc=False):
    at: int
    digest: bytes | None = None
    next_action_at: int | None = None


class BecameOverdue(Struct, frozen=True, gc=False):
    at: int
    next_action_at: int


class LateSuccess(Struct, frozen=True, gc=False):
    """Money turned up after we had said no: recorded, booked to suspense, refunded by itself."""

    at: int
    channel_trade_no: str | None
    payer_amount: int
    settle_amount: int
    channel_at: int | None = None


class LateChecked(Struct, frozen=True, gc=False):
    """A look at a payment that ended unpaid after a doubt: did money turn up after all?"""

    at: int
    next_action_at: int | None


class RefundHeld(Struct, frozen=True, gc=False):
    at: int
    amount: int
    refund: str


class RefundDone(Struct, frozen=True, gc=False):
    """`shares_back`: what each of the payment's shares gave back, in their order."""

    at: int
    amount: int
    settle_back: int
    fee_back: int
    refund: str
    shares_back: tuple[int, ...] = ()
    held_back: int = 0
    """What of the merchant's part came out of escrow."""


class RefundReleased(Struct, frozen=True, gc=False):
    at: int
    amount: int
    refund: str


class EscrowReleased(Struct, frozen=True, gc=False):
    """A part of what was held is the merchant's; minor units."""

    at: int
    amount: int


PaymentEvent = (
    Sent
    | Succeeded
    | Failed
    | Chosen
    | PayerReturned
    | AttemptEnded
    | ChoiceDropped
    | StrayPaid
    | CodeShown
    | PayerAwaited
    | Unclear
    | Inquired
    | UndoStarted
    | Undone
    | CancelRequested
    | BecameOverdue
    | LateSuccess
    | LateChecked
    | RefundHeld
    | RefundDone
    | RefundReleased
    | EscrowReleased
)
