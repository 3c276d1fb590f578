"""UnionPay's respCodes and what each means for us: done, wait, doubtful, refused.

ACP 5.1.0's table serves both dialects; the JSON interface narrows four of them (`micropay`: 02 the
payer must act, 12 ask, 99 ask). A code that is not in the table is doubtful, never a refusal.
"""

from enum import Enum, auto
from typing import Final

from msgspec import Struct

OK: Final = "00"
OK_WITH_DEFECT: Final = "A6"
FAILED: Final = "01"
NOT_OPEN: Final = "02"
TIMED_OUT: Final = "03"
DOUBTFUL: Final = "04"
ACCEPTED: Final = "05"
BUSY: Final = "06"
BAD_FORMAT: Final = "10"
BAD_SIGNATURE: Final = "11"
DUPLICATE: Final = "12"
FIELD_MISSING: Final = "13"
MERCHANT_STATE: Final = "31"
NO_PERMISSION: Final = "32"
OVER_LIMIT: Final = "33"
NO_SUCH_ORDER: Final = "34"
WRONG_STATE: Final = "35"
NOT_THE_ORIGINAL: Final = "36"
TOO_MANY_QUERIES: Final = "37"
RISK: Final = "38"
OUT_OF_HOURS: Final = "39"
PAID_AFTER_CLOSE: Final = "42"
ALREADY_REFUNDED: Final = "45"
ALREADY_REVERSED: Final = "46"
NO_BALANCE: Final = "64"
ASK: Final = "99"

PAYER_MUST_ACT: Final = "02"
"""In the JSON interface's answer to `micropay`."""


class Orig:
    """`origRespCode` of the JSON interface's queries: what became of the payment."""

    PAID: Final = "00"
    REFUNDED: Final = "01"
    UNPAID: Final = "02"
    CLOSED: Final = "03"
    REVOKED: Final = "04"
    PAYER_ACTS: Final = "05"
    FAILED: Final = "06"


class OrigRefund:
    """`origRespCode` of `refundQuery`."""

    REFUNDED: Final = "00"
    FAILED: Final = "01"
    PROCESSING: Final = "02"


class Kind(Enum):
    """What a respCode says. `OURS` is a refusal for the channel's or our own reasons."""

    DONE = auto()
    DOUBTFUL = auto()
    REFUSED = auto()
    OURS = auto()


class Meaning(Struct, frozen=True):
    """`failure`: our code of a refused payment."""

    kind: Kind
    failure: str
    message: str


_UNCLEAR: Final = Meaning(Kind.DOUBTFUL, "", "")


def _refused(failure: str, message: str) -> Meaning:
    return Meaning(Kind.REFUSED, failure, message)


def _ours(message: str) -> Meaning:
    return Meaning(Kind.OURS, "channel_error", message)


_CARD: Final = _refused("declined", "the payer's card cannot pay this")

MEANINGS: Final[dict[str, Meaning]] = {
    OK: Meaning(Kind.DONE, "", ""),
    OK_WITH_DEFECT: Meaning(Kind.DONE, "", ""),
    FAILED: _refused("declined", "the payment failed"),
    NOT_OPEN: _ours("the channel is not open"),
    TIMED_OUT: _UNCLEAR,
    DOUBTFUL: _UNCLEAR,
    ACCEPTED: _UNCLEAR,
    BUSY: _UNCLEAR,
    BAD_FORMAT: _ours("the channel could not read the request"),
    BAD_SIGNATURE: _ours("the channel refused our signature"),
    DUPLICATE: _UNCLEAR,
    FIELD_MISSING: _ours("the channel misses a field"),
    "30": _refused("declined", "the payer's bank declined; use another card"),
    MERCHANT_STATE: _ours("the merchant's state at the channel does not allow it"),
    NO_PERMISSION: _ours("the account may not do this"),
    OVER_LIMIT: _refused("limit_exceeded", "above a limit of the payer or the merchant"),
    NO_SUCH_ORDER: _refused("channel_error", "the channel has no such order"),
    WRONG_STATE: _refused("channel_error", "the order's state does not allow it"),
    NOT_THE_ORIGINAL: _refused("channel_error", "it does not match the original order"),
    TOO_MANY_QUERIES: _UNCLEAR,
    RISK: _refused("risk_rejected", "the channel's risk control refused"),
    OUT_OF_HOURS: _refused("expired", "past the time in which it could be paid"),
    "40": _refused("declined", "the payer's card is not bound"),
    PAID_AFTER_CLOSE: _UNCLEAR,
    "43": _refused("declined", "the payer's card is bound already"),
    "44": _refused("declined", "the payer's card is not bound"),
    ALREADY_REFUNDED: _UNCLEAR,
    ALREADY_REVERSED: _UNCLEAR,
    "60": _refused("declined", "the payer's bank declined"),
    NO_BALANCE: _refused("insufficient_funds", "the payer's balance is too low"),
    "65": _refused("declined", "a wrong PIN, or the card has expired"),
    "67": _refused("declined", "too many wrong PINs"),
    ASK: _UNCLEAR,
    **{str(code): _CARD for code in (61, 62, 63, 66, *range(68, 76))},
}


def meaning(code: str) -> Meaning:
    """What a respCode means; one that nobody described is doubtful."""
    return MEANINGS.get(code, _UNCLEAR)
