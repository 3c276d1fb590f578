"""One table: which error becomes which HTTP status, and how a problem is worded (RFC 9457).

The business raises `PaymentError`s and knows no HTTP; what only HTTP can do wrong is drawn here:

EdgeError                         code, status
├── RouteNotFound                 404 not_found
├── MethodNotAllowed              405 method_not_allowed, with Allow
├── ReceiveTimeout                408 receive_timeout: the request came too slowly
├── BodyTooLarge                  413 body_too_large
├── UnsupportedMediaType          415 unsupported_media_type
└── HeadersTooLarge               431 headers_too_large
"""

import re
from typing import ClassVar, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Encoder

from payments.errors import (
    Conflict,
    ExceedsPaid,
    Forbidden,
    IdempotencyMismatch,
    InsufficientScope,
    Internal,
    InvalidField,
    Malformed,
    MerchantSuspended,
    NoChannel,
    NotCancelable,
    NotFound,
    NotRefundable,
    OrderAlreadyPaid,
    OrderInProgress,
    OutcomeUnknown,
    Overloaded,
    PaymentError,
    QuotaExceeded,
    Refused,
    Unauthorized,
    Unavailable,
    WalletNotSupported,
    by_code,
)

STATUS: Final[dict[type[PaymentError], int]] = {
    # Most specific first; a class that is missing has its parent's status.
    Malformed: 400,
    InvalidField: 422,
    IdempotencyMismatch: 422,
    WalletNotSupported: 422,
    NotRefundable: 422,
    ExceedsPaid: 422,
    Refused: 422,
    Unauthorized: 401,
    InsufficientScope: 403,
    MerchantSuspended: 403,
    Forbidden: 403,
    NotFound: 404,
    OrderInProgress: 409,
    OrderAlreadyPaid: 409,
    NotCancelable: 409,
    Conflict: 409,
    QuotaExceeded: 429,
    Overloaded: 503,
    NoChannel: 503,
    Unavailable: 503,
    OutcomeUnknown: 504,
    Internal: 500,
    PaymentError: 500,
}

MEDIA_TYPE: Final = "application/problem+json"
DOC_URL: Final = "/docs/errors"
_BODY_FIELD: Final = re.compile(r"(?!(?:limit|starting_after|ending_before)$)[a-z_]+(?:\.[a-z_]+)*")
RETRY_AFTER_S: Final = 1
"""What a retryable answer says when nobody knows better."""


Bug = Internal
"""What the front door answers when something escapes: ours, never the caller's."""


class EdgeError(Exception):
    """What only HTTP can do wrong; never about money."""

    code: ClassVar[str] = "edge_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    param: str | None = None
    retry_after_s: int | None = None

    def __init__(self, detail: str = "", **headers: str) -> None:
        """`headers`: extra answer headers, underscores for hyphens, such as `Allow`."""
        super().__init__(detail)
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class RouteNotFound(EdgeError):
    """There is nothing at this path; compare it with the API description."""

    code = "not_found"
    status = 404


class ModuleNotServed(EdgeError):
    """This part of the gateway is not served here; the detail says how to add it."""

    code = "module_not_served"
    status = 404


class MethodNotAllowed(EdgeError):
    """This path takes other methods, named in `Allow`."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path takes {', '.join(allowed)}.", Allow=", ".join(allowed))


class ReceiveTimeout(EdgeError):
    """The request did not arrive completely in time; send it again."""

    code = "receive_timeout"
    status = 408
    retryable = True


class BodyTooLarge(EdgeError):
    """The body is larger than the limit; nothing in this API needs so much."""

    code = "body_too_large"
    status = 413


class UnsupportedMediaType(EdgeError):
    """The body must be JSON in UTF-8: `Content-Type: application/json`."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, Accept="application/json")


class HeadersTooLarge(EdgeError):
    """A header, or all of them together, is larger than the limit."""

    code = "headers_too_large"
    status = 431


class FieldProblem(Struct, frozen=True):
    """One field and what is wrong with it. `pointer`: a JSON pointer into the body."""

    pointer: str
    detail: str


class Problem(Struct, frozen=True):
    """The body of every answer that is not what was asked for (`application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    param: str | None
    request_id: str
    retryable: bool
    doc_url: str
    errors: tuple[FieldProblem, ...] | UnsetType = UNSET


_encode: Final = Encoder().encode


def status_of(error: PaymentError | EdgeError) -> int:
    """The HTTP status of an error: its own class's, else its nearest parent's."""
    if isinstance(error, EdgeError):
        return error.status
    return next(STATUS[known] for known in type(error).__mro__ if known in STATUS)


def problem(
    error: PaymentError | EdgeError, request_id: str, instance: str
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to `error`.

    `instance` is the request's path. A `param` that begins with a slash is a JSON pointer into the
    body and gets its place in `errors`; any other names a header or a query parameter.
    """
    status = status_of(error)
    detail = _printable(error.detail or _first_sentence(error))
    param = None if error.param is None else _printable(error.param)
    pointer = param if param and param.startswith("/") else None
    body = _encode(
        Problem(
            type=f"urn:tillway:problem:{error.code}",
            title=error.code.replace("_", " ").capitalize(),
            status=status,
            detail=detail,
            instance=_printable(instance),
            code=error.code,
            param=pointer[1:].replace("/", ".") if pointer else param,
            request_id=request_id,
            retryable=error.retryable,
            doc_url=f"{DOC_URL}#{error.code}",
            errors=(FieldProblem(pointer, detail),) if pointer else UNSET,
        )
    )
    return status, _headers(error, status, request_id), body


def from_refusal(
    code: str, detail: str, param: str | None = None, retry_after_s: int = 0
) -> PaymentError:
    """The error that an actor sent over a link, as `messages.Refusal` carries it.

    An actor names a field of the body plainly, such as `payer.openid`; here that is a pointer.
    """
    try:
        known = by_code(code)
    except KeyError:
        return Internal(f"An actor refused with the unknown code {code[:40]}.")
    if param is not None and known is InvalidField and _BODY_FIELD.fullmatch(param):
        param = "/" + param.replace(".", "/")
    return known(detail, param=param, retry_after_s=retry_after_s or None)


def _printable(text: str) -> str:
    """A text that UTF-8 can hold: raw bytes of a request line arrive as lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _first_sentence(error: PaymentError | EdgeError) -> str:
    return (type(error).__doc__ or "").strip().partition("\n")[0]


def _headers(error: PaymentError | EdgeError, status: int, request_id: str) -> dict[str, str]:
    headers = {"Content-Type": MEDIA_TYPE, "Request-Id": request_id, "Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tillway"'
    if status in (429, 503, 504):
        seconds = error.retry_after_s or RETRY_AFTER_S
        headers["Retry-After"] = str(seconds)
        if status == 429:
            headers["RateLimit"] = f'"default";r=0;t={seconds}'
    if isinstance(error, EdgeError):
        headers |= error.headers
    return headers
