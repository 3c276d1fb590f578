"""The words of WeChat Pay's profit sharing (分账), for the connector and the sandbox.

Source: WeChat Pay API v3, "profit sharing": receivers, orders, return orders, letting go of the
rest, amounts, the largest ratio. Amounts are integers in fen.
"""

from typing import Final

from msgspec import Struct

ORDERS: Final = "/v3/profitsharing/orders"
UNFREEZE: Final = "/v3/profitsharing/orders/unfreeze"
RETURNS: Final = "/v3/profitsharing/return-orders"
ADD_RECEIVER: Final = "/v3/profitsharing/receivers/add"
DELETE_RECEIVER: Final = "/v3/profitsharing/receivers/delete"
TRANSACTIONS: Final = "/v3/profitsharing/transactions"
CONFIGS: Final = "/v3/profitsharing/merchant-configs"

RECEIVERS_MAX: Final = 50
"""Receivers that one sharing order can name."""

RATIO_MAX: Final = 3_000
"""What may be shared of an order unless agreed otherwise, in hundredths of a percent."""

RATIO_WHOLE: Final = 10_000
SHARING_DAYS_MAX: Final = 30
"""So long after the payment its money is held back; then it is the merchant's by itself."""

RETURN_DAYS_MAX: Final = 180
"""So long after a sharing order its receivers' parts can be taken back."""

MERCHANT_ID: Final = "MERCHANT_ID"
PERSONAL_OPENID: Final = "PERSONAL_OPENID"
PERSONAL_SUB_OPENID: Final = "PERSONAL_SUB_OPENID"
KINDS: Final = (MERCHANT_ID, PERSONAL_OPENID, PERSONAL_SUB_OPENID)

RELATIONS: Final = (
    "SERVICE_PROVIDER",
    "STORE",
    "STAFF",
    "STORE_OWNER",
    "PARTNER",
    "HEADQUARTER",
    "BRAND",
    "DISTRIBUTOR",
    "USER",
    "SUPPLIER",
    "CUSTOM",
)

PENDING: Final = "PENDING"
SUCCESS: Final = "SUCCESS"
CLOSED: Final = "CLOSED"
PROCESSING: Final = "PROCESSING"
FINISHED: Final = "FINISHED"
FAILED: Final = "FAILED"

NUMBER_PATTERN: Final = r"[0-9A-Za-z_\-|*@]*"
NUMBER_MAX_CHARACTERS: Final = 64
DESCRIPTION_MAX_CHARACTERS: Final = 80


def share_max(amount: int, ratio: int = RATIO_MAX) -> int:
    """The most that may be shared of an amount, in fen: rounded down."""
    return amount * ratio // RATIO_WHOLE


class Detail(Struct, frozen=True):
    """One receiver of a sharing order, as an answer shows it."""

    type: str
    account: str
    amount: int
    result: str = PENDING
    fail_reason: str | None = None


class OrderShown(Struct, frozen=True):
    """The answer to making, querying and finishing a sharing order."""

    transaction_id: str
    out_order_no: str
    order_id: str
    state: str
    receivers: tuple[Detail, ...] = ()
    sub_mchid: str | None = None


class ReturnShown(Struct, frozen=True):
    """The answer to making and querying a return order."""

    out_return_no: str
    return_mchid: str
    amount: int
    result: str
    out_order_no: str | None = None
    fail_reason: str | None = None
    sub_mchid: str | None = None


class ReceiverShown(Struct, frozen=True):
    """The answer to naming a receiver."""

    type: str
    account: str


class RatioShown(Struct, frozen=True):
    """The most that a sub-merchant lets be shared, in hundredths of a percent."""

    sub_mchid: str
    max_ratio: int


class UnsplitShown(Struct, frozen=True):
    """What of a payment is still held back, in fen."""

    transaction_id: str
    unsplit_amount: int
