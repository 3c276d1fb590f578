"""What Alipay's answers say in our words: the closed list of codes, and the amounts.

A code that stands in no table here is *unknown*. Only codes that say "this order was not paid and
will not be" are a decline; whatever tells of the number's past (TRADE_HAS_SUCCESS, TRADE_HAS_CLOSE,
CONTEXT_INCONSISTENT, TRADE_BUYER_NOT_MATCH), or of a request that came late (NOW_TIME_AFTER_...),
leaves open what became of an earlier one under the same number, so it is asked about instead.
"""

from typing import Final

import msgspec
from msgspec import Struct

from payments.channels.alipay.units import fen, instant_ms
from payments.channels.alipay.wire import Unreadable
from payments.channels.base import Approved, Declined, Outcome, Unknown, Unpaid
from payments.payment import Discount

SUCCESS: Final = "10000"
IN_PROCESS: Final = "10003"
BUSINESS_FAILED: Final = "40004"
REFUSED_BY_GATEWAY: Final = frozenset(("20001", "40001", "40002", "40003", "40005", "40006"))
"""The gateway refused before any method was asked: authority, parameters, limits."""

WAIT_BUYER_PAY: Final = "WAIT_BUYER_PAY"
PAID_STATES: Final = ("TRADE_SUCCESS", "TRADE_FINISHED")
CLOSED_STATE: Final = "TRADE_CLOSED"
REFUND_SUCCESS: Final = "REFUND_SUCCESS"
NOT_EXIST: Final = "ACQ.TRADE_NOT_EXIST"

_DECLINED: Final = "the payer's side declined the payment"
_LIMITED: Final = "the payment is above a limit of the payer's or the shop's"
_OURS: Final = "the channel does not take this payment from this shop"

DECLINES: Final = {
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": ("insufficient_funds", "the payer's balance is too low"),
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": (
        "insufficient_funds",
        "the balance of the payer's card is too low",
    ),
    "ACQ.PAYMENT_AUTH_CODE_INVALID": (
        "auth_code_expired",
        "the auth code is not valid any more; ask the payer for a new one",
    ),
    "ACQ.PAYMENT_REQUEST_HAS_RISK": ("risk_rejected", "the channel's risk control refused"),
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": ("limit_exceeded", _LIMITED),
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR": ("limit_exceeded", _LIMITED),
    "ACQ.BEYOND_PAY_RESTRICTION": ("limit_exceeded", _LIMITED),
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION": ("limit_exceeded", _LIMITED),
    "ACQ.TOTAL_FEE_EXCEED": ("limit_exceeded", _LIMITED),
    "ACQ.PAYMENT_FAIL": ("declined", _DECLINED),
    "ACQ.ERROR_BALANCE_PAYMENT_DISABLE": ("declined", _DECLINED),
    "ACQ.BUYER_SELLER_EQUAL": ("declined", _DECLINED),
    "ACQ.BUYER_ENABLE_STATUS_FORBID": ("declined", _DECLINED),
    "ACQ.PULL_MOBILE_CASHIER_FAIL": ("declined", _DECLINED),
    "ACQ.MOBILE_PAYMENT_SWITCH_OFF": ("declined", _DECLINED),
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": ("declined", _DECLINED),
    "ACQ.INVALID_PARAMETER": ("channel_error", _OURS),
    "ACQ.EXIST_FORBIDDEN_WORD": ("channel_error", _OURS),
}
"""A refusal of this payment: the channel's code, ours, and a sentence."""

REFUSED_SHOP: Final = frozenset(
    ("ACQ.ACCESS_FORBIDDEN", "ACQ.PARTNER_ERROR", "ACQ.SELLER_BEEN_BLOCKED")
)
"""The shop may not do this here: nothing was begun, and another channel may be tried."""

UNDO_REFUSED: Final = frozenset(
    (
        "ACQ.TRADE_STATUS_ERROR",
        "ACQ.REASON_TRADE_STATUS_INVALID",
        "ACQ.REASON_ILLEGAL_STATUS",
        "ACQ.TRADE_HAS_SUCCESS",
        "ACQ.TRADE_HAS_FINISHED",
        "ACQ.TRADE_CANCEL_TIME_OUT",
        "ACQ.SELLER_BALANCE_NOT_ENOUGH",
        "ACQ.REASON_TRADE_BEEN_FREEZEN",
    )
)
"""A cancel or close that cannot be, as the order stands: look at it."""

REFUND_REFUSED: Final = {
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": "the shop's balance at the channel is too low",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "the channel does not give back this amount",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "the channel does not give back this amount",
    "ACQ.REFUND_FEE_ERROR": "the channel does not give back this amount",
    "ACQ.REASON_TRADE_BEEN_FREEZEN": "the channel has frozen the payment",
    "ACQ.TRADE_NOT_EXIST": "the channel has no such payment",
    "ACQ.TRADE_HAS_FINISHED": "the time for refunds of this payment is over",
    "ACQ.TRADE_STATUS_ERROR": "the payment cannot be refunded as it stands",
    "ACQ.TRADE_HAS_CLOSE": "the payment is over at the channel",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "the channel does not allow a refund of this payment",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "the refund number was used for something else",
    "ACQ.ALLOC_AMOUNT_VALIDATE_ERROR": "the amounts of the split do not fit",
    "ACQ.INVALID_PARAMETER": "the channel does not take this refund",
}

NO_BILL: Final = frozenset(("isp.bill_not_exist", "bill_not_exist"))
"""There is no bill of that day."""

MERCHANT_FUNDS: Final = frozenset(("MDISCOUNT", "MCOUPON"))
CHANNEL_FUNDS: Final = frozenset(("COUPON", "DISCOUNT"))


class Fund(Struct, frozen=True):
    """Where a part of the money came from. Notifications spell the name otherwise."""

    amount: str
    fund_channel: str = ""
    fundChannel: str = ""

    @property
    def channel(self) -> str:
        return self.fund_channel or self.fundChannel


class Voucher(Struct, frozen=True):
    """A coupon and who pays for it."""

    amount: str
    merchant_contribute: str = ""
    merchantContribute: str = ""

    @property
    def of_merchant(self) -> str:
        return self.merchant_contribute or self.merchantContribute


class Reply(Struct, frozen=True):
    """The response object of any method: what we read of it. Empty: not there."""

    code: str
    sub_code: str = ""
    out_trade_no: str = ""
    trade_no: str = ""
    trade_status: str = ""
    total_amount: str = ""
    receipt_amount: str = ""
    buyer_pay_amount: str = ""
    fund_bill_list: tuple[Fund, ...] = ()
    voucher_detail_list: tuple[Voucher, ...] = ()
    qr_code: str = ""
    retry_flag: str = ""
    fund_change: str = ""
    refund_fee: str = ""
    out_request_no: str = ""
    refund_status: str = ""
    refund_amount: str = ""
    bill_download_url: str = ""
    gmt_payment: str = ""
    send_pay_date: str = ""
    gmt_refund_pay: str = ""

    @property
    def paid_at(self) -> int | None:
        """When it was paid, ms since 1970: each call has another name for it."""
        return _instant(self.gmt_payment or self.send_pay_date)

    @property
    def refunded_at(self) -> int | None:
        """When it was given back, ms since 1970."""
        return _instant(self.gmt_refund_pay)


def _instant(text: str) -> int | None:
    """None for a time that is not there or cannot be read: no more than a bill's day is by it."""
    try:
        return instant_ms(text)
    except Unreadable:
        return None


_REPLY: Final = msgspec.json.Decoder(Reply)
_FUNDS: Final = msgspec.json.Decoder(tuple[Fund, ...])
_VOUCHERS: Final = msgspec.json.Decoder(tuple[Voucher, ...])


def read(content: bytes) -> Reply:
    """A verified response object. Raise Unreadable."""
    try:
        return _REPLY.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable("a response object of another shape") from error


def read_notice(params: dict[str, str]) -> Reply:
    """A verified notification's facts in the shape of a query's. Raise Unreadable."""
    try:
        funds = _FUNDS.decode(params.get("fund_bill_list") or "[]")
        vouchers = _VOUCHERS.decode(params.get("voucher_detail_list") or "[]")
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable("lists of a notification in another shape") from error
    return Reply(
        code=SUCCESS,
        out_trade_no=params.get("out_trade_no", ""),
        trade_no=params.get("trade_no", ""),
        trade_status=params.get("trade_status", ""),
        total_amount=params.get("total_amount", ""),
        receipt_amount=params.get("receipt_amount", ""),
        buyer_pay_amount=params.get("buyer_pay_amount", ""),
        fund_bill_list=funds,
        voucher_detail_list=vouchers,
        gmt_payment=params.get("gmt_payment", ""),
    )


def doubt(reply: Reply) -> Unknown:
    """An answer that is no verdict on what was asked."""
    return Unknown(f"the channel answered {reply.code} {reply.sub_code}".rstrip())


def declined_by(reply: Reply) -> Declined | None:
    """The refusal of a payment; None: the answer is none."""
    channel_code = reply.sub_code or reply.code
    if reply.code in REFUSED_BY_GATEWAY or reply.sub_code in REFUSED_SHOP:
        return Declined("channel_error", _OURS, channel_code, not_sent=True)
    if reply.code != BUSINESS_FAILED or reply.sub_code not in DECLINES:
        return None
    code, message = DECLINES[reply.sub_code]
    return Declined(code, message, channel_code)


def standing(reply: Reply) -> Outcome:
    """How a query or a notification says that an order stands."""
    if reply.trade_status in PAID_STATES:
        return paid(reply)
    if reply.trade_status == WAIT_BUYER_PAY:
        return Unpaid("open")
    if reply.trade_status == CLOSED_STATE:
        return Unpaid("closed")
    return Unknown("a state that we do not know")


def paid(reply: Reply) -> Outcome:
    """A success with its amounts, as the channel said them."""
    try:
        return _paid(reply)
    except Unreadable as error:
        return Unknown(str(error))


def _paid(reply: Reply) -> Outcome:
    if not reply.out_trade_no or not reply.trade_no:
        return Unknown("a success without its numbers")
    total = fen(reply.total_amount)
    settle = fen(reply.receipt_amount, least=0) if reply.receipt_amount else total
    payer = fen(reply.buyer_pay_amount, least=0) if reply.buyer_pay_amount else settle
    if settle > total or payer > total:
        return Unknown("amounts that contradict each other")
    return Approved(
        reply.out_trade_no,
        total,
        reply.trade_no,
        payer_amount=payer,
        settle_amount=settle,
        discounts=_discounts(reply, total, settle, payer),
        channel_at=reply.paid_at,
    )


def _discounts(reply: Reply, total: int, settle: int, payer: int) -> tuple[Discount, ...]:
    """The coupons by who pays for them: as the vouchers say, else the funds, else the amounts.

    A list counts only if it adds up to what the payer did not pay: points are the payer's own, and
    some lists leave coupons out.
    """
    free = total - payer
    vouchers = reply.voucher_detail_list
    by_merchant = sum(fen(one.of_merchant, least=0) for one in vouchers if one.of_merchant)
    all_vouchers = sum(fen(one.amount, least=0) for one in vouchers)
    funds = {True: 0, False: 0}
    for one in reply.fund_bill_list:
        if one.channel in MERCHANT_FUNDS or one.channel in CHANNEL_FUNDS:
            funds[one.channel in MERCHANT_FUNDS] += fen(one.amount, least=0)
    if all_vouchers == free and by_merchant <= free:
        shares = (free - by_merchant, by_merchant)
    elif sum(funds.values()) == free:
        shares = (funds[False], funds[True])
    else:
        shares = (max(settle - payer, 0), total - settle)
    return tuple(
        Discount(funder, share)
        for funder, share in zip(("channel", "merchant"), shares, strict=True)
        if share
    )
