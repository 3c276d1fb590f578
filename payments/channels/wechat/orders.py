"""WeChat Pay's answers about orders and refunds, and what may be believed of them.

Source: WeChat Pay API v3, "the transaction object", "refunds". A verified answer is still only
believed when it is about our order, our merchant, our app and our currency; whatever state has no
meaning here is Unknown. Amounts are integers of the currency's smallest unit. Of the time in
`success_time` (RFC 3339) only the day of a bill depends: one that cannot be read is not known.
"""

from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from payments.calendar import parse_rfc3339
from payments.channels.base import Approved, Awaiting, Declined, Outcome, Unknown, Unpaid
from payments.payment import Discount

NOT_SETTLED: Final = "NOCASH"
"""A coupon of this type lowers what the merchant is settled; CASH coupons are settled as money."""

DECLINED_STATE: Final = "PAYERROR"
AMOUNT_MAX: Final = 2**31 - 1
NUMBER_MAX_CHARACTERS: Final = 64
"""What is larger or longer was not said by WeChat Pay."""

UNPAID_STATES: Final = {"NOTPAY": "open", "CLOSED": "closed", "REVOKED": "reversed"}
PAID_STATES: Final = ("SUCCESS", "REFUND")
AWAITED_STATES: Final = ("USERPAYING", "ACCEPT")

T = TypeVar("T")


class Parties(Struct, frozen=True):
    """Whose an order is. Direct: `appid` and `mchid`. Partner: `sp_…` are ours, `sub_…` theirs."""

    appid: str | None = None
    mchid: str | None = None
    sp_appid: str | None = None
    sp_mchid: str | None = None
    sub_mchid: str | None = None


class Amount(Struct, frozen=True):
    total: int
    payer_total: int | None = None
    currency: str = "CNY"


class Coupon(Struct, frozen=True):
    amount: int
    type: str = ""
    wechatpay_contribute: int | None = None
    merchant_contribute: int | None = None
    other_contribute: int | None = None


class Transaction(Struct, frozen=True):
    """An order as a query, a payment code's answer or a callback shows it."""

    out_trade_no: str
    trade_state: str
    appid: str | None = None
    mchid: str | None = None
    sp_appid: str | None = None
    sp_mchid: str | None = None
    sub_mchid: str | None = None
    transaction_id: str | None = None
    amount: Amount | None = None
    promotion_detail: list[Coupon] | None = None
    success_time: str | None = None

    @property
    def parties(self) -> Parties:
        return Parties(self.appid, self.mchid, self.sp_appid, self.sp_mchid, self.sub_mchid)


class Undone(Struct, frozen=True):
    """The answer to a reverse. One with a `trade_state` is the answer to something else."""

    out_trade_no: str
    appid: str | None = None
    mchid: str | None = None
    sp_appid: str | None = None
    sp_mchid: str | None = None
    sub_mchid: str | None = None
    trade_state: str | None = None

    @property
    def parties(self) -> Parties:
        return Parties(self.appid, self.mchid, self.sp_appid, self.sp_mchid, self.sub_mchid)


class RefundAmount(Struct, frozen=True):
    total: int
    refund: int
    currency: str = "CNY"


class RefundShown(Struct, frozen=True):
    """A refund as the refund calls show it (`status`) or its callback (`refund_status`)."""

    out_trade_no: str
    out_refund_no: str
    refund_id: str
    amount: RefundAmount
    status: str = ""
    refund_status: str = ""
    mchid: str | None = None
    sp_mchid: str | None = None
    sub_mchid: str | None = None
    success_time: str | None = None


class Link(Struct, frozen=True):
    """What creating an order returns: one of the three."""

    code_url: str = ""
    prepay_id: str = ""
    h5_url: str = ""


def read(body: bytes, kind: type[T]) -> T | None:
    """A verified body as this type; None where it is something else."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def outcome_of(shown: Transaction, ours: Parties, number: str | None, currency: str) -> Outcome:
    """What a verified transaction object says. `number` None: any order (a callback).

    Where it is not about our order, app and merchant, or says more than it can, it is Unknown.
    """
    if number is not None and shown.out_trade_no != number:
        return Unknown("an answer about another order")
    if shown.parties != ours:
        return Unknown("an answer about another merchant or app")
    state = shown.trade_state
    if state in PAID_STATES:
        return _paid(shown, currency)
    if state in UNPAID_STATES:
        return Unpaid(UNPAID_STATES[state])
    if state in AWAITED_STATES:
        return Awaiting()
    if state == DECLINED_STATE:
        return Declined("declined", "the payment failed at the payer's side", DECLINED_STATE)
    return Unknown("a state of no known meaning")


def _paid(shown: Transaction, currency: str) -> Outcome:
    amount = shown.amount
    number = shown.transaction_id
    if amount is None or not number or len(number) > NUMBER_MAX_CHARACTERS:
        return Unknown("a success without its amount or number")
    if amount.currency != currency:
        return Unknown("an answer in another currency")
    coupons = shown.promotion_detail or []
    payer = amount.total if amount.payer_total is None else amount.payer_total
    settle = amount.total - sum(c.amount for c in coupons if c.type == NOT_SETTLED)
    discounts = tuple(discount for coupon in coupons for discount in _discounts(coupon))
    parts = (payer, settle, *(discount.amount for discount in discounts))
    if not 1 <= amount.total <= AMOUNT_MAX or any(not 0 <= part <= amount.total for part in parts):
        return Unknown("amounts that cannot be")
    at = _instant(shown.success_time)
    return Approved(shown.out_trade_no, amount.total, number, payer, settle, discounts, at)


def _instant(text: str | None) -> int | None:
    """Milliseconds since 1970; None where there is no time that can be read."""
    if text is None:
        return None
    try:
        return parse_rfc3339(text)
    except ValueError:
        return None


def _discounts(coupon: Coupon) -> list[Discount]:
    """Who paid a coupon. Without shares: the merchant for one that is not settled, else WeChat."""
    shares = (coupon.wechatpay_contribute, coupon.merchant_contribute, coupon.other_contribute)
    if not any(shares):
        funder = "merchant" if coupon.type == NOT_SETTLED else "channel"
        return [Discount(funder, coupon.amount)] if coupon.amount else []
    channel = (coupon.wechatpay_contribute or 0) + (coupon.other_contribute or 0)
    merchant = coupon.merchant_contribute or 0
    both = (Discount("channel", channel), Discount("merchant", merchant))
    return [discount for discount in both if discount.amount]


def refund_outcome(shown: RefundShown) -> Outcome:
    """What a verified refund says by its own state; compare numbers and amounts before."""
    state = shown.status or shown.refund_status
    if state == "SUCCESS":
        at = _instant(shown.success_time)
        return Approved(shown.out_trade_no, shown.amount.refund, shown.refund_id, channel_at=at)
    if state == "PROCESSING":
        return Awaiting()
    if state == "CLOSED":
        return Declined("channel_error", "the channel closed the refund", "CLOSED")
    # ABNORMAL: the money left the merchant and did not reach the payer; somebody has to act.
    return Unknown("the refund is abnormal" if state == "ABNORMAL" else "a state of no meaning")
