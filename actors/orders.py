"""What a lane was asked, in the words of its channel."""

from typing import Final

from actors.messages import LaneAsk, LanePay, LaneRefund
from payments.channels.base import OrderRef, PayOrder, RefundOrder
from payments.payment import Way

WAYS: Final = {way.value: way for way in Way}


def pay_order(message: LanePay) -> PayOrder:
    return PayOrder(
        message.out_trade_no,
        message.amount,
        message.currency,
        WAYS[message.way],
        message.wallet,
        message.merchant,
        message.auth_code,
        message.subject,
        message.expires_at,
        message.payer,
        message.created,
        message.payer_ip,
        message.return_url,
        message.store,
        message.terminal,
        message.is_shared,
    )


def order_ref(message: LaneAsk) -> OrderRef:
    return OrderRef(
        message.out_trade_no,
        message.amount,
        message.currency,
        WAYS[message.way],
        message.wallet,
        message.merchant,
        message.created,
    )


def refund_order(message: LaneRefund) -> RefundOrder:
    return RefundOrder(
        message.out_trade_no,
        message.out_refund_no,
        message.amount,
        message.total,
        message.currency,
        WAYS[message.way],
        message.wallet,
        message.merchant,
        message.created,
        message.asked_at,
    )
