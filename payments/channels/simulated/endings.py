"""What an auth code's last four digits make the channel do: the table of test mode.

Any wallet's prefix and any length; barcode payments only. Instants are business time, so that the
test clock moves them.
"""

from typing import Final

from msgspec import Struct

PIN_MS: Final = 3_000
"""9001: so long after the prompt the payer has entered the PIN."""

UNSIGNED_MS: Final = 20_000
"""9010: so long every answer carries a wrong signature."""

LATE_MS: Final = 3_000
"""9008 and `pay_late`: so long after the channel said that it is over, the money turns up."""

COUPON_CHANNEL: Final = 300
COUPON_MERCHANT: Final = 200
"""9012: shares of the coupon in minor units; none when the amount is not above their sum."""


class Ending(Struct, frozen=True):
    """One row of the table.

    `answer` to the payment call: approved, awaiting, declined, error (it says "system error") or
    silent (none at all). `takes`: the money is taken when asked.
    """

    answer: str = "approved"
    takes: bool = True
    failure: str = ""
    message: str = ""
    channel_code: str = ""
    pays_after_ms: int = 0
    notices: int = 0
    unsigned_ms: int = 0
    misreports: int = 0
    """Added to the amount in every answer about the money."""
    coupons: bool = False
    blind: bool = False
    """Nobody learns anything about the order until it was undone."""
    late: bool = False
    """Undone, the money turns up all the same."""
    exists: bool = True
    """Whether the request leaves an order at the channel at all."""


PLAIN: Final = Ending()

ENDINGS: Final[dict[str, Ending]] = {
    "9001": Ending(answer="awaiting", takes=False, pays_after_ms=PIN_MS),
    "9002": Ending(answer="awaiting", takes=False),
    "9003": Ending(
        answer="declined",
        takes=False,
        failure="insufficient_funds",
        message="the payer's balance is too low",
        channel_code="NOTENOUGH",
    ),
    "9004": Ending(
        answer="declined",
        takes=False,
        failure="auth_code_expired",
        message="the auth code has expired; ask the payer for a new one",
        channel_code="AUTHCODEEXPIRE",
    ),
    "9005": Ending(answer="error"),
    "9006": Ending(answer="silent"),
    "9007": Ending(answer="silent", takes=False, exists=False),
    "9008": Ending(answer="error", takes=False, blind=True, late=True),
    "9009": Ending(notices=3),
    "9010": Ending(unsigned_ms=UNSIGNED_MS),
    "9011": Ending(misreports=100),
    "9012": Ending(coupons=True),
    # Not of the auth code: chosen by the rates of the settings, or made by the payer's verb.
    "declined": Ending(
        answer="declined",
        takes=False,
        failure="declined",
        message="the payer's bank declined",
        channel_code="BANKERROR",
    ),
    "lost": Ending(answer="error", takes=False, exists=False),
    "code": Ending(answer="awaiting", takes=False),
}

BARCODE_ENDINGS: Final = frozenset(name for name in ENDINGS if name.isdigit())

REFUND_ANSWER_LOST: Final = 77
"""A refund whose amount ends in these digits is made, and its first answer is "system error"."""

REFUND_REQUEST_LOST: Final = 78
"""One that ends in these is not made when first asked ("system error"), and is when asked again."""


def refund_ending(amount: int) -> int:
    """The last two digits of a refund's amount in minor units."""
    return amount % 100
