"""Every way the business can say no.

PaymentError                      code, retryable
├── Refused                       the request itself is wrong; do not retry
│   ├── Malformed                 malformed (not JSON, duplicate keys, a header missing)
│   ├── InvalidField              invalid_field; names the field
│   ├── IdempotencyMismatch       idempotency_mismatch
│   ├── WalletNotSupported        wallet_not_supported (no channel could ever serve it)
│   ├── NotRefundable             not_refundable
│   └── ExceedsPaid               exceeds_paid
├── Unauthorized                  unauthorized: key, signature, window or nonce
├── Forbidden
│   ├── InsufficientScope         insufficient_scope
│   └── MerchantSuspended         merchant_suspended
├── NotFound                      not_found: missing, or somebody else's
├── Conflict                      true now, maybe not later
│   ├── OrderInProgress           order_in_progress
│   ├── OrderAlreadyPaid          order_already_paid
│   └── NotCancelable             not_cancelable
├── QuotaExceeded                 quota_exceeded: the caller's own limit
├── Unavailable                   nothing was written; try again later, same key
│   ├── Overloaded                overloaded
│   └── NoChannel                 no_channel
├── OutcomeUnknown                it may have happened; repeat with the same key
└── Internal                      internal_error: our bug; repeat with the same key to learn

A decline is not an error and neither is *unknown*: both are payments with a status.
"""

from typing import ClassVar


class PaymentError(Exception):
    """The root. `detail` tells the caller what to do next; `param` names the field, if one."""

    code: ClassVar[str] = "payment_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self, detail: str = "", *, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.retry_after_s = retry_after_s


class Refused(PaymentError):
    """The request itself is wrong; sending it again will not help."""

    code = "refused"


class Malformed(Refused):
    """The bytes are not a request: broken JSON, duplicate keys, a required header missing."""

    code = "malformed"


class InvalidField(Refused):
    """A field is unknown, missing, of the wrong type or outside its range."""

    code = "invalid_field"


class IdempotencyMismatch(Refused):
    """The key was used for another request; make a new key or send the first body again."""

    code = "idempotency_mismatch"


class WalletNotSupported(Refused):
    """No configured channel could ever serve this wallet and way."""

    code = "wallet_not_supported"


class NotRefundable(Refused):
    """Only a succeeded payment can be refunded."""

    code = "not_refundable"


class ExceedsPaid(Refused):
    """Refunds together would exceed the payment."""

    code = "exceeds_paid"


class Unauthorized(PaymentError):
    """Unknown key, bad signature, expired window, nonce used: deliberately one answer."""

    code = "unauthorized"


class Forbidden(PaymentError):
    """The key is good and may not do this."""

    code = "forbidden"


class InsufficientScope(Forbidden):
    """The key lacks the scope; ask the platform for another key."""

    code = "insufficient_scope"


class MerchantSuspended(Forbidden):
    """The merchant is not active; nothing was written."""

    code = "merchant_suspended"


class NotFound(PaymentError):
    """No such object for this caller: missing and somebody else's look the same."""

    code = "not_found"


class Conflict(PaymentError):
    """True now, maybe not later."""

    code = "conflict"


class OrderInProgress(Conflict):
    """Another attempt for this order number is open; wait for it or cancel it."""

    code = "order_in_progress"


class OrderAlreadyPaid(Conflict):
    """This order number is paid."""

    code = "order_already_paid"


class NotCancelable(Conflict):
    """The payment can no longer be canceled; refund it."""

    code = "not_cancelable"


class QuotaExceeded(PaymentError):
    """The caller's own quota; slow down and repeat after `Retry-After`."""

    code = "quota_exceeded"
    retryable = True


class Unavailable(PaymentError):
    """Nothing was written; try again later with the same key."""

    code = "unavailable"
    retryable = True


class Overloaded(Unavailable):
    """A queue of ours is full, or a part is starting."""

    code = "overloaded"


class NoChannel(Unavailable):
    """Every channel that could serve this is down, full or drained just now."""

    code = "no_channel"


class OutcomeUnknown(PaymentError):
    """The payment may exist: repeat the request with the same key to learn."""

    code = "outcome_unknown"
    retryable = True


class Internal(PaymentError):
    """Our bug. If money was asked for, repeat with the same key to learn what happened."""

    code = "internal_error"
    retryable = True


def error_classes() -> list[type[PaymentError]]:
    """Every class of the tree, root first."""
    found: list[type[PaymentError]] = [PaymentError]
    for parent in found:
        found.extend(parent.__subclasses__())
    return found


def by_code(code: str) -> type[PaymentError]:
    """The class that carries `code`: for answers that crossed a link."""
    return _BY_CODE[code]


_BY_CODE = {error.code: error for error in error_classes()}
