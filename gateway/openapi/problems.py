"""Every problem code: its status, what happened, and what to do next.

The codes and their statuses come from the classes of the two trees of errors; the words are here.
A code without words, and words without a code, fail a test.
"""

from typing import Final

from msgspec import Struct

from gateway.errors import EdgeError, status_of
from payments.errors import error_classes


class Words(Struct, frozen=True):
    """What people read about a code. `happened` is about the request, `next` is advice."""

    happened: str
    next: str


class ProblemKind(Struct, frozen=True):
    """One code of the API."""

    code: str
    status: int
    retryable: bool
    happened: str
    next: str


WORDS: Final[dict[str, Words]] = {
    "malformed": Words(
        "The bytes are not a request: broken JSON, a key that comes twice, a header that is "
        "missing or cannot be read. Nothing was written.",
        "Correct the request; `param` names the header or the key. The Idempotency-Key is free.",
    ),
    "invalid_field": Words(
        "A field is unknown, missing, of the wrong type or outside its range; or a query "
        "parameter is. Nothing was written.",
        "Look at `errors[].pointer`, or at `param` for headers and query parameters, correct it "
        "and send it again. The Idempotency-Key is free.",
    ),
    "idempotency_mismatch": Words(
        "This Idempotency-Key was used before, for another request. Nothing was written.",
        "To repeat the first request, send its path and body unchanged. For another one, make a "
        "new key. A key is for one intent, not for one client.",
    ),
    "wallet_not_supported": Words(
        "No channel of this deployment could ever serve this wallet and way. Nothing was written.",
        "Ask the payer for another wallet, or the operator for a channel account that serves it.",
    ),
    "not_refundable": Words(
        "Only a payment that succeeded can be refunded.",
        "Read the payment. While it is `processing`, cancel it instead; one that ended unpaid "
        "needs no refund.",
    ),
    "exceeds_paid": Words(
        "This refund and those before it would together exceed the payment's `amount`. Refunds "
        "that are still `processing` count.",
        "Read `amount_refunded`, list the payment's refunds, and ask for what is left; or leave "
        "`amount` out to refund all that is left.",
    ),
    "refused": Words(
        "The request is understood and can never be done as it is.",
        "`detail` says why; change the request.",
    ),
    "unauthorized": Words(
        "The key is unknown or ended, the signature does not match, its window of 300 s is over, "
        "or its nonce was used. It is deliberately one answer for all of them.",
        "Check the key, its mode (test or live), the signed text, and this machine's clock. Live "
        "mode takes signed requests only.",
    ),
    "insufficient_scope": Words(
        "The key is good and may not do this; or it acts for several merchants and named none.",
        "Use a key with the scope that `detail` names, or name the merchant with "
        "`Tillway-Merchant`.",
    ),
    "merchant_suspended": Words(
        "The merchant is not active, so that it takes no payments. Nothing was written.",
        "Read the merchant's `status`; whoever suspended it can make it active again.",
    ),
    "not_found": Words(
        "There is no such object for this key, or nothing at this path. Missing, and somebody "
        "else's, look the same.",
        "Check the id, the path, and for whom the key acts.",
    ),
    "conflict": Words(
        "The state of the object does not allow this now.",
        "`detail` says what it would take. Read the object before you try again.",
    ),
    "order_in_progress": Words(
        "Another payment for this `order_no` is open. An order is paid once.",
        "Read that payment (`detail` names it) and wait for it, or cancel it. Do not take a new "
        "order number for the same bill: that is how guests pay twice.",
    ),
    "order_already_paid": Words(
        "This `order_no` is paid.",
        "Read the payment that `detail` names. A new bill needs a new order number.",
    ),
    "not_cancelable": Words(
        "The payment can no longer be canceled: it is partly refunded, of an earlier business "
        "day, or of a way that is refunded instead.",
        "Refund it.",
    ),
    "quota_exceeded": Words(
        "Your own quota is used up: requests of this merchant in flight, or objects it may have. "
        "Nothing was written.",
        "Wait `Retry-After` seconds, then repeat the request with the same Idempotency-Key, and "
        "send fewer at once.",
    ),
    "overloaded": Words(
        "A queue of ours is full, or a part is starting. Nothing was written. It is our doing, "
        "not yours.",
        "Wait `Retry-After` seconds and repeat the request with the same Idempotency-Key.",
    ),
    "no_channel": Words(
        "Every channel that could take this payment is down, full or drained just now. Nothing "
        "was written.",
        "Wait `Retry-After` seconds and repeat the request with the same Idempotency-Key, or "
        "offer another wallet.",
    ),
    "outcome_unknown": Words(
        "We could not learn in time whether it happened: the payment or refund may exist.",
        "Repeat the request with the same Idempotency-Key: it has no second effect, and its "
        "answer tells what happened. Do not take the money another way meanwhile.",
    ),
    "internal_error": Words(
        "A bug of ours.",
        "If money was asked for, repeat the request with the same Idempotency-Key to learn what "
        "happened. Tell us the `request_id`.",
    ),
    "module_not_served": Words(
        "The path belongs to a part of the gateway (acquiring, custody, splitting) that this "
        "deployment does not serve.",
        "Ask whoever runs it to add the module to `tillway serve --modules` or to the setting "
        "`modules`.",
    ),
    "method_not_allowed": Words(
        "There is something at this path, but not for this method.",
        "Use one of the methods in `Allow`.",
    ),
    "receive_timeout": Words(
        "The request did not arrive completely in time; the connection was closed.",
        "Send it again, with the same Idempotency-Key, over a better connection.",
    ),
    "body_too_large": Words(
        "The body is larger than the limit (64 KiB).",
        "Send less; nothing in this API needs so much.",
    ),
    "unsupported_media_type": Words(
        "The body is not JSON in UTF-8, or does not say so.",
        "Send `Content-Type: application/json`.",
    ),
    "headers_too_large": Words(
        "A header, or all of them together, is larger than the limit.",
        "Send fewer or shorter headers.",
    ),
}

ABSTRACT: Final = frozenset({"payment_error", "forbidden", "unavailable", "edge_error"})
"""Parents that are never raised themselves."""


def kinds() -> tuple[ProblemKind, ...]:
    """Every code that an answer can have, by status and then by code."""
    statuses: dict[str, tuple[int, bool]] = {}
    for error in error_classes():
        statuses[error.code] = (status_of(error()), error.retryable)
    for edge in EdgeError.__subclasses__():
        statuses[edge.code] = (edge.status, edge.retryable)
    found = [
        ProblemKind(code, status, retryable, WORDS[code].happened, WORDS[code].next)
        for code, (status, retryable) in statuses.items()
        if code not in ABSTRACT
    ]
    return tuple(sorted(found, key=lambda kind: (kind.status, kind.code)))


KINDS: Final = {kind.code: kind for kind in kinds()}
