"""The methods of Alipay's sandbox: a request that the gateway let through, and its answer.

Everything is decided by the engine that all sandboxes share; here stands what is Alipay's own:
which parameters a method wants, its states and codes, and what a precreated order is before
anybody has scanned it (nothing: no trade exists).
"""

import re
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from payments.channels.alipay import asking, render
from payments.channels.alipay.asking import Invalid
from payments.channels.alipay.checks import MESSAGES, Request
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.render import amounts, done, failed
from payments.channels.alipay.units import china_time, yuan
from payments.channels.sandbox.books import PAID, UNPAID, Order, Refund
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.turns import (
    Asked,
    AskedRefund,
    Kind,
    RefundKind,
    RefundTurn,
    Turn,
)

CANCEL_WITHIN_MS: Final = 86_400_000
"""An order can be canceled for 24 hours; after that only refunded."""

REFUND_DAYS: Final = 365

WAYS: Final = {
    "alipay.trade.precreate": "qr",
    "alipay.trade.create": "jsapi",
    "alipay.trade.app.pay": "app",
    "alipay.trade.wap.pay": "h5",
    "alipay.trade.page.pay": "h5",
}
PRODUCTS: Final = {
    "alipay.trade.app.pay": ("QUICK_MSECURITY_PAY",),
    "alipay.trade.wap.pay": ("QUICK_WAP_WAY", "QUICK_WAP_PAY"),
    "alipay.trade.page.pay": ("FAST_INSTANT_TRADE_PAY",),
}
DECLINES: Final = {
    "insufficient_funds": "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "auth_code_expired": "ACQ.PAYMENT_AUTH_CODE_INVALID",
}

BUYERS: Final = ("buyer_id", "buyer_open_id", "buyer_logon_id")
SCENES: Final = ("bar_code", "wave_code", "security_code")

_BAR_CODE: Final = re.compile(r"(?:2[5-9]|30)[0-9]{14,22}")


class Reply(Struct, frozen=True):
    """`content` None: never answer. `unsigned`: with a wrong signature."""

    content: dict[str, Any] | None
    unsigned: bool = False


class Trades:
    """Answers by method name. `methods` are those a server calls; pages and apps use `open`."""

    def __init__(self, engine: Engine, identity: Identity) -> None:
        self._engine = engine
        self._identity = identity
        self._scanned: set[int] = set()
        self.methods: dict[str, Callable[[Request], Reply]] = {
            "alipay.trade.pay": self._pay,
            "alipay.trade.precreate": self._precreate,
            "alipay.trade.create": self._create,
            "alipay.trade.query": self._query,
            "alipay.trade.cancel": self._cancel,
            "alipay.trade.close": self._close,
            "alipay.trade.refund": self._refund,
            "alipay.trade.fastpay.refund.query": self._refund_query,
        }

    def answer(self, request: Request) -> Reply:
        """Raise OSError when the books cannot be written."""
        try:
            return self.methods[request.method](request)
        except Invalid as invalid:
            return Reply(failed(invalid.sub_code, invalid.sub_msg))

    # --- payments ------------------------------------------------------------------------------

    def _pay(self, request: Request) -> Reply:
        biz = request.biz
        scene = asking.read_text(biz, "scene", asking.TEXT_MAX)
        code = asking.read_text(biz, "auth_code", asking.TEXT_MAX)
        if scene not in SCENES:
            raise Invalid("参数无效: scene")
        asked = self._asked(request, "barcode", code)
        if scene == "bar_code" and _BAR_CODE.fullmatch(code) is None:
            return Reply(failed("ACQ.PAYMENT_AUTH_CODE_INVALID", **render.NOTHING))
        turn = self._engine.pay(asked)
        match turn.kind:
            case Kind.SILENT:
                return Reply(None)
            case Kind.ERROR:
                return Reply(render.system_error(), turn.unsigned)
            case Kind.PAID:
                content = done(
                    **self._paid_fields(turn), gmt_payment=china_time(turn.known.paid_ms)
                )
                content |= _vouchers(turn)
            case Kind.AWAITING:
                content = done(**_names(turn.known), **render.buyer(turn.known), **amounts(turn))
                content |= {"code": "10003", "msg": MESSAGES["10003"]}
            case Kind.DECLINED:
                sub_code = DECLINES.get(turn.failure, "ACQ.PAYMENT_FAIL")
                content = failed(sub_code, **render.NOTHING)
            case _:
                content = self._number_over(turn, asked)
        return Reply(content, turn.unsigned)

    def _precreate(self, request: Request) -> Reply:
        turn, content = self.open(request)
        if content is None:
            token = self._identity.digest(f"qr {turn.known.serial}")[:20]
            code = f"https://qr.alipay.com/bax{turn.known.serial:x}{token}"[:60]
            content = done(out_trade_no=turn.known.number, qr_code=code)
        return Reply(content, turn.unsigned)

    def _create(self, request: Request) -> Reply:
        if not any(
            request.biz.get(name) for name in ("buyer_id", "buyer_open_id", "buyer_logon_id")
        ):
            raise Invalid("参数无效: buyer_id")
        turn, content = self.open(request)
        return Reply(content or done(**_names(turn.known)), turn.unsigned)

    def open(self, request: Request) -> tuple[Turn, dict[str, Any] | None]:
        """Open an order that the payer pays in the wallet. The second is the refusal, if any.

        Raise Invalid.
        """
        products = PRODUCTS.get(request.method)
        if products is not None and request.biz.get("product_code", products[0]) not in products:
            raise Invalid("参数无效: product_code")
        asked = self._asked(request, WAYS[request.method])
        turn = self._engine.pay(asked)
        if turn.kind == Kind.AWAITING:
            return turn, None
        if turn.kind == Kind.PAID:
            return turn, failed("ACQ.TRADE_HAS_SUCCESS")
        return turn, self._number_over(turn, asked)

    def _number_over(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        """Why nothing can be paid under a number that was used before."""
        if turn.kind == Kind.USED:
            same = turn.known.extra.get("terms") == asked.extra["terms"]
            is_same_but_payer = same and turn.known.amount == asked.amount
            if turn.known.state == PAID and is_same_but_payer:
                return failed("ACQ.TRADE_HAS_SUCCESS")
            return failed("ACQ.CONTEXT_INCONSISTENT")
        return failed("ACQ.TRADE_HAS_CLOSE")

    def _asked(self, request: Request, way: str, auth_code: str = "") -> Asked:
        """Raise Invalid; also for a new order whose time is over. An old one is what it is."""
        now_ms = self._engine.clock.now_ms()
        asked = asking.payment(request, self._identity, way, now_ms, auth_code)
        is_new = not self._engine.find(asked.out_trade_no, asked.merchant)
        if is_new and asked.expires_ms and asked.expires_ms <= now_ms:
            sub_code = "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR"
            raise Invalid(render.SUB_MESSAGES[sub_code], sub_code)
        return asked

    # --- what came of it -----------------------------------------------------------------------

    def scan(self, order: Order) -> None:
        """A payer has scanned the code: now a trade exists. (Forgotten by a restart.)"""
        self._scanned.add(order.serial)

    def _find(self, request: Request) -> tuple[str, Order | None]:
        """The order number that a request is about, and its order where a trade exists."""
        number = asking.read_text(request.biz, "out_trade_no", asking.NUMBER_MAX, needed=False)
        trade_no = asking.read_text(request.biz, "trade_no", asking.NUMBER_MAX, needed=False)
        if not number and not trade_no:
            raise Invalid("参数无效: out_trade_no, trade_no")
        if trade_no:
            order = self._engine.by_trade_no(trade_no)
            if order is None or order.merchant != request.merchant:
                return number, None
            number = order.number
        found = self._engine.find(number, request.merchant)
        return number, found[0] if found else None

    def _exists(self, order: Order) -> bool:
        """A code that nobody scanned is no trade, nor is an order without a valid payer."""
        if order.failure == "auth_code_expired":
            return False
        return (
            order.way != "qr"
            or bool(order.paid_ms or order.failure)
            or order.serial in self._scanned
        )

    def _query(self, request: Request) -> Reply:
        number, order = self._find(request)
        if order is None:
            return Reply(_absent(number))
        turn = self._engine.inquire(order.number, order.merchant)
        if turn.kind == Kind.ERROR:
            return Reply(render.system_error(), turn.unsigned)
        if not self._exists(order):
            return Reply(_absent(order.number), turn.unsigned)
        is_refundable = self._engine.clock.now_ms() - order.paid_ms <= REFUND_DAYS * 86_400_000
        status = render.trade_status(turn, refundable=is_refundable)
        if turn.kind != Kind.PAID:
            content = done(
                **_names(order), **render.buyer(order), **amounts(turn), trade_status=status
            )
            return Reply(content, turn.unsigned)
        content = done(**self._paid_fields(turn), trade_status=status)
        content["send_pay_date"] = china_time(order.paid_ms)
        options = asking.read_options(request.biz)
        if "voucher_detail_list" in options:
            content |= _vouchers(turn)
        if "mdiscount_amount" in options:
            content["mdiscount_amount"] = yuan(turn.amount - turn.settle_amount)
            content["discount_amount"] = yuan(turn.settle_amount - turn.payer_amount)
        return Reply(content, turn.unsigned)

    def _paid_fields(self, turn: Turn) -> dict[str, Any]:
        order = turn.known
        bills = render.fund_bills(turn)
        return {**_names(order), **render.buyer(order), **amounts(turn), "fund_bill_list": bills}

    def _cancel(self, request: Request) -> Reply:
        number, order = self._find(request)
        if order is None or not self._exists(order):
            # Success without an action: no trade was found, so none was closed or refunded.
            # The number is over all the same: nothing can be paid under it any more.
            if not number:
                return Reply(failed("ACQ.TRADE_NOT_EXIST", retry_flag="N"))
            turn = self._engine.reverse(number, request.merchant)
            return Reply(done(out_trade_no=number, retry_flag="N"), turn.unsigned)
        is_over = order.state not in (UNPAID, PAID)
        if not is_over and self._engine.clock.now_ms() - order.created_ms > CANCEL_WITHIN_MS:
            return Reply(failed("ACQ.TRADE_CANCEL_TIME_OUT", retry_flag="N"))
        turn = self._engine.reverse(order.number, order.merchant, seal=False)
        if turn.kind == Kind.REFUNDED:
            return Reply(failed("ACQ.TRADE_STATUS_ERROR", retry_flag="N"), turn.unsigned)
        content = done(**_names(order), retry_flag="N", action="close")
        if turn.kind == Kind.REVERSED:
            content["action"] = "refund"
            content["gmt_refund_pay"] = china_time(order.ended_ms)
        return Reply(content, turn.unsigned)

    def _close(self, request: Request) -> Reply:
        number, order = self._find(request)
        if order is None or not self._exists(order):
            return Reply(_absent(number))
        turn = self._engine.close(order.number, order.merchant, seal=False)
        if turn.kind in (Kind.PAID, Kind.REVERSED):
            return Reply(failed("ACQ.TRADE_STATUS_ERROR", **_names(order)), turn.unsigned)
        return Reply(done(**_names(order)), turn.unsigned)

    # --- refunds -------------------------------------------------------------------------------

    def _refund(self, request: Request) -> Reply:
        biz = request.biz
        number, order = self._find(request)
        amount = asking.read_amount(biz, "refund_amount")
        if order is None or not self._exists(order):
            return Reply(_absent(number))
        refund_no = asking.read_text(biz, "out_request_no", asking.NUMBER_MAX, needed=False)
        if not refund_no and amount != order.amount:
            return Reply(failed("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"))
        reason = asking.read_text(biz, "refund_reason", asking.TEXT_MAX, needed=False)
        turn = self._engine.refund(
            AskedRefund(
                out_trade_no=order.number,
                out_refund_no=refund_no or order.number,
                amount=amount,
                notify_url=order.notify_url,
                merchant=order.merchant,
                extra={"reason": reason} if reason else {},
            )
        )
        match turn.kind:
            case RefundKind.MADE | RefundKind.PROCESSING:
                content = self._refunded(turn, asking.read_options(biz))
            case RefundKind.ERROR:
                content = render.system_error()
            case RefundKind.ABSENT:
                content = _absent(order.number)
            case _:
                content = failed(_refund_refusal(turn.kind, order))
        return Reply(content)

    def _refunded(self, turn: RefundTurn, options: list[str]) -> dict[str, Any]:
        order, refund = turn.known
        is_new = turn.kind == RefundKind.MADE and not turn.again
        content = done(
            **_names(order),
            **render.buyer(order),
            fund_change="Y" if is_new else "N",
            refund_fee=yuan(order.refunded),
            send_back_fee=yuan(refund.payer_amount),
        )
        if refund.made_ms:
            content["gmt_refund_pay"] = china_time(refund.made_ms)
        if "refund_detail_item_list" in options:
            content["refund_detail_item_list"] = _refund_bills(refund)
        return content

    def _refund_query(self, request: Request) -> Reply:
        refund_no = asking.read_text(request.biz, "out_request_no", asking.NUMBER_MAX)
        number, order = self._find(request)
        if order is None or not self._exists(order):
            return Reply(_absent(number))
        turn = self._engine.inquire_refund(refund_no, order.number, order.merchant)
        if turn.kind == RefundKind.ABSENT or turn.refund is None:
            return Reply(done())
        refund = turn.refund
        content = done(
            **_names(order),
            out_request_no=refund.number,
            refund_reason=refund.extra.get("reason"),
            total_amount=yuan(order.amount),
            refund_amount=yuan(refund.amount),
        )
        if turn.kind == RefundKind.MADE:
            content["refund_status"] = "REFUND_SUCCESS"
            options = asking.read_options(request.biz)
            if "gmt_refund_pay" in options:
                content["gmt_refund_pay"] = china_time(refund.made_ms)
            if "refund_detail_item_list" in options:
                content["refund_detail_item_list"] = _refund_bills(refund)
        return Reply(content)


def _names(order: Order) -> dict[str, str]:
    return {"out_trade_no": order.number, "trade_no": order.trade_no}


def _absent(number: str) -> dict[str, Any]:
    named = {"out_trade_no": number} if number else {}
    return failed("ACQ.TRADE_NOT_EXIST", **named, **render.NOTHING)


def _vouchers(turn: Turn) -> dict[str, Any]:
    return {"voucher_detail_list": render.vouchers(turn)} if turn.discounts else {}


def _refund_bills(refund: Refund) -> list[dict[str, str]]:
    return [{"fund_channel": "ALIPAYACCOUNT", "amount": yuan(refund.payer_amount)}]


def _refund_refusal(kind: RefundKind, order: Order) -> str:
    match kind:
        case RefundKind.UNPAID:
            return "ACQ.TRADE_STATUS_ERROR" if order.state == UNPAID else "ACQ.TRADE_HAS_CLOSE"
        case RefundKind.USED:
            return "ACQ.DISCORDANT_REPEAT_REQUEST"
        case RefundKind.EXCEEDS if order.refunded >= order.amount:
            return "ACQ.TRADE_HAS_CLOSE"
        case RefundKind.EXCEEDS | RefundKind.MISMATCH:
            return "ACQ.REASON_TRADE_REFUND_FEE_ERR"
        case RefundKind.TOO_LATE:
            return "ACQ.TRADE_HAS_FINISHED"
    return "ACQ.TRADE_NOT_ALLOW_REFUND"
