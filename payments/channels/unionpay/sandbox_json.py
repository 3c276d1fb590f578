"""The sandbox's aggregated JSON interface: its six calls and its notification.

Derived from public descriptions of `partner.95516.com`; what they leave open is chosen here and
said so: answers repeat the request's identifying fields; `origRespCode` 01 means wholly refunded;
a repeated `micropay` is 12 always, a repeated `unifiedorder` when anything in it is another, or its
order is over.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from payments.channels.sandbox.app import Silence
from payments.channels.sandbox.books import Order, Refund
from payments.channels.sandbox.turns import (
    Asked,
    AskedRefund,
    Kind,
    News,
    RefundKind,
    Turn,
)
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.codes import Orig, OrigRefund
from payments.channels.unionpay.sandbox_parts import (
    CODE_SECONDS,
    CURRENCY,
    REFUSAL_CODES,
    Bench,
    Refusal,
    Reply,
    amount_of,
    fingerprint_of,
    in_cny,
    matching,
    need,
    notify_url_of,
    settled,
    time_of,
)

MERCHANT: Final = ""
"""The engine's name for this dialect's numbers: ACP's are others."""

ECHOED: Final = (
    "serProvId", "merId", "orderNo", "orderTime", "orderType", "txnAmt", "currencyCode",
    "origOrderNo", "origTxnAmt",
)  # fmt: skip

NUMBER: Final = re.compile(r"[0-9A-Za-z_-]{1,40}")
SECONDS: Final = re.compile(r"[1-9][0-9]{0,5}")
AUTH_CODES: Final = {
    "wechat": re.compile(r"1[0-5][0-9]{16}"),
    "alipay": re.compile(r"(?:2[5-9]|30)[0-9]{14,22}"),
    "unionpay": re.compile(r"62[0-9]{17}"),
}
CODE_NEEDS: Final = ("authCode", "termId")
WALLETS: Final = {"wechatJs": "wechat", "alipayJs": "alipay", "upJs": "unionpay"}

UNPAID: Final = {"barcode": Orig.PAYER_ACTS, "jsapi": Orig.UNPAID}
REFUND_REFUSALS: Final = {
    RefundKind.ABSENT: (codes.NO_SUCH_ORDER, "no such original order"),
    RefundKind.UNPAID: (codes.WRONG_STATE, "the original order is not paid"),
    RefundKind.USED: (codes.DUPLICATE, "the number belongs to another refund"),
    RefundKind.EXCEEDS: (codes.NOT_THE_ORIGINAL, "more than is left of the original order"),
    RefundKind.MISMATCH: (codes.NOT_THE_ORIGINAL, "not the original order's amount"),
    RefundKind.TOO_MANY: (codes.OVER_LIMIT, "too many refunds of one order"),
    RefundKind.TOO_LATE: (codes.WRONG_STATE, "the original order is too old"),
}

Operation = Callable[[Mapping[str, str]], Reply]


class JsonDesk:
    """The calls. Each takes the decoded fields, checked by `admit`, and may raise Refusal."""

    def __init__(self, bench: Bench) -> None:
        self._engine = bench.engine
        self._books = bench.books
        self._identity = bench.identity
        self.operations: dict[str, Operation] = {
            "micropay": self._micropay,
            "unifiedorder": self._unified_order,
            "queryOrder": self._query,
            "closeOrder": self._close,
            "refund": self._refund,
            "refundQuery": self._query_refund,
        }

    def admit(self, fields: Mapping[str, str]) -> None:
        """Who asks, and whether it is really them."""
        need(fields, ("serProvId", "merId"))
        if fields["serProvId"] != self._identity.serv_prov_id:
            raise Refusal(codes.NO_PERMISSION, "unknown serProvId")
        if fields["merId"] != self._identity.mer_id:
            raise Refusal(codes.MERCHANT_STATE, "unknown merId")
        try:
            signature = wire.decode_signature(fields)
        except wire.Malformed as error:
            raise Refusal(codes.BAD_SIGNATURE, str(error)) from None
        if not self._identity.is_merchants(wire.signed_text(fields), signature):
            raise Refusal(codes.BAD_SIGNATURE, "the signature does not fit")

    def echo(self, fields: Mapping[str, str]) -> dict[str, str]:
        """What every answer repeats of its request."""
        return {name: fields[name] for name in ECHOED if name in fields}

    # --- payments --------------------------------------------------------------------------

    def _micropay(self, fields: Mapping[str, str]) -> Reply:
        asked = self._asked(fields, CODE_NEEDS)
        order_type = fields["orderType"]
        if order_type not in AUTH_CODES:
            raise Refusal(codes.BAD_FORMAT, "orderType is not wechat, alipay or unionpay")
        code = matching(fields, "authCode", AUTH_CODES[order_type])
        turn = self._engine.pay(asked("barcode", order_type, code, 0))
        match turn.kind:
            case Kind.PAID:
                return Reply(codes.OK, fields=self._paid(turn), unsigned=turn.unsigned)
            case Kind.AWAITING:
                return Reply(codes.PAYER_MUST_ACT, "the payer is paying", self._trade_no(turn))
            case Kind.DECLINED:
                return Reply(REFUSAL_CODES.get(turn.failure, codes.FAILED), turn.message)
            case Kind.SILENT:
                raise Silence
            case _:
                return Reply(codes.ASK, "unknown; query")

    def _unified_order(self, fields: Mapping[str, str]) -> Reply:
        asked = self._asked(fields, ("userId",))
        wallet = WALLETS.get(fields["orderType"])
        if wallet is None:
            raise Refusal(codes.BAD_FORMAT, "orderType is not wechatJs, alipayJs or upJs")
        if wallet == "wechat":
            need(fields, ("subAppId",))
        seconds = CODE_SECONDS
        if fields.get("paymentValidTime"):
            seconds = int(matching(fields, "paymentValidTime", SECONDS))
        expires_ms = self._engine.clock.now_ms() + seconds * 1000
        turn = self._engine.pay(asked("jsapi", wallet, None, expires_ms))
        pay_data = json.dumps(self._client_params(turn.known, fields), separators=(",", ":"))
        return Reply(codes.OK, fields={"payData": pay_data, **self._trade_no(turn)})

    def _asked(
        self, fields: Mapping[str, str], more: tuple[str, ...]
    ) -> Callable[[str, str, str | None, int], Asked]:
        """The order's common part, checked; the rest comes by way."""
        need(fields, ("orderNo", "orderTime", "txnAmt", "currencyCode", "orderType", *more))
        number = matching(fields, "orderNo", NUMBER)
        time_of(fields, "orderTime")
        in_cny(fields)
        amount, notify_url = amount_of(fields), notify_url_of(fields)
        _check_terminal(fields)
        if self._is_used(number) and (more == CODE_NEEDS or not self._is_shown(fields)):
            raise Refusal(codes.DUPLICATE, "duplicate orderNo")
        extra = {"orderType": fields["orderType"], "orderTime": fields["orderTime"]}
        print_ = fingerprint_of(fields)

        def asked(way: str, wallet: str, code: str | None, expires_ms: int) -> Asked:
            return Asked(
                number, amount, CURRENCY, way, wallet, code, print_, expires_ms, notify_url,
                MERCHANT, extra,
            )  # fmt: skip

        return asked

    def _is_used(self, number: str) -> bool:
        books = self._books
        known = books.get(number, MERCHANT) or books.refund_by_number(number, MERCHANT)
        return known is not None

    def _is_shown(self, fields: Mapping[str, str]) -> bool:
        """Whether this very request was answered before, and its order waits for the payer."""
        order = self._books.get(fields["orderNo"], MERCHANT)
        is_same = order is not None and order.fingerprint == fingerprint_of(fields)
        return is_same and self._engine.inquire(fields["orderNo"], MERCHANT).kind == Kind.AWAITING

    def _client_params(self, order: Order, fields: Mapping[str, str]) -> dict[str, str]:
        """What the wallet's script is started with."""
        if order.wallet == "alipay":
            return {"tradeNo": order.trade_no}
        if order.wallet == "unionpay":
            return {"tn": order.trade_no}
        lines = {
            "appId": fields["subAppId"],
            "timeStamp": str(self._engine.clock.real_ms() // 1000),
            "nonceStr": f"{order.serial:032x}",
            "package": f"prepay_id=wx{order.trade_no}",
        }
        text = "".join(f"{line}\n" for line in lines.values())
        signature = wire.encode_signature(self._identity.sign(text.encode()))
        return {**lines, "signType": "RSA", "paySign": signature}

    # --- what came of it -------------------------------------------------------------------

    def _query(self, fields: Mapping[str, str]) -> Reply:
        order = self._known(fields)
        turn = self._engine.inquire(order.number, MERCHANT)
        if turn.kind == Kind.ERROR:
            return Reply(codes.ASK, "unknown; query again")
        origin = {
            Kind.PAID: Orig.REFUNDED if order.refunded == order.amount else Orig.PAID,
            Kind.AWAITING: UNPAID.get(order.way, Orig.UNPAID),
            Kind.CLOSED: Orig.CLOSED,
            Kind.REVERSED: Orig.REVOKED,
            Kind.DECLINED: Orig.FAILED,
        }[turn.kind]
        answer = {"origRespCode": origin, "origRespMsg": turn.message, **self._described(order)}
        answer |= self._paid(turn) if turn.kind == Kind.PAID else self._trade_no(turn)
        return Reply(codes.OK, fields=answer, unsigned=turn.unsigned)

    def _close(self, fields: Mapping[str, str]) -> Reply:
        order = self._known(fields, needs_type=False)
        turn = self._engine.close(order.number, MERCHANT, seal=False)
        if turn.kind not in (Kind.CLOSED, Kind.REVERSED):
            raise Refusal(codes.WRONG_STATE, f"the order is {turn.kind}")
        return Reply(codes.OK, fields=self._described(order), unsigned=turn.unsigned)

    def _known(
        self, fields: Mapping[str, str], name: str = "orderNo", *, needs_type: bool = True
    ) -> Order:
        """The order that is meant; `orderType` must be its own, or its wallet's. No description
        says that closing needs it.
        """
        need(fields, (name, "orderType") if needs_type else (name,))
        order = self._books.get(matching(fields, name, NUMBER), MERCHANT)
        if order is None:
            raise Refusal(codes.NO_SUCH_ORDER, "no such order")
        own = order.extra["orderType"]
        if fields.get("orderType", own) not in (order.wallet, own):
            raise Refusal(codes.NOT_THE_ORIGINAL, "orderType is not the order's")
        return order

    # --- refunds ---------------------------------------------------------------------------

    def _refund(self, fields: Mapping[str, str]) -> Reply:
        need(fields, ("orderNo", "origOrderNo", "origTxnAmt", "txnAmt", "orderType"))
        order = self._known(fields, "origOrderNo")
        number = matching(fields, "orderNo", NUMBER)
        if self._books.get(number, MERCHANT) is not None:
            raise Refusal(codes.DUPLICATE, "orderNo is a payment's")
        turn = self._engine.refund(
            AskedRefund(
                order.number,
                number,
                amount_of(fields),
                amount_of(fields, "origTxnAmt"),
                merchant=MERCHANT,
            )
        )
        if turn.kind in REFUND_REFUSALS:
            if turn.kind == RefundKind.EXCEEDS and order.committed == order.amount:
                raise Refusal(codes.ALREADY_REFUNDED, "the order is refunded already")
            raise Refusal(*REFUND_REFUSALS[turn.kind])
        if turn.kind == RefundKind.ERROR:
            return Reply(codes.ASK, "unknown; query")
        done = turn.kind == RefundKind.MADE
        answer = _refund_numbers(turn.known[1])
        return Reply(codes.OK if done else codes.ACCEPTED, fields=answer)

    def _query_refund(self, fields: Mapping[str, str]) -> Reply:
        need(fields, ("orderNo", "origOrderNo"))
        number = matching(fields, "orderNo", NUMBER)
        origin = matching(fields, "origOrderNo", NUMBER)
        turn = self._engine.inquire_refund(number, origin, MERCHANT)
        if turn.kind == RefundKind.ABSENT:
            raise Refusal(codes.NO_SUCH_ORDER, "no such refund")
        order, refund = turn.known
        made = turn.kind == RefundKind.MADE
        answer = {
            "origRespCode": OrigRefund.REFUNDED if made else OrigRefund.PROCESSING,
            "txnAmt": str(refund.amount),
            "origTxnAmt": str(order.amount),
            "orderType": order.extra["orderType"],
            **_refund_numbers(refund),
        }
        return Reply(codes.OK, fields=answer)

    # --- how an order is described ---------------------------------------------------------

    def _trade_no(self, turn: Turn) -> dict[str, str]:
        return {"transIndex": turn.known.trade_no}

    def _paid(self, turn: Turn) -> dict[str, str]:
        paid = wire.encode_time(turn.known.paid_ms)
        return {**settled(turn, self._identity), **self._trade_no(turn), "payTime": paid}

    def _described(self, order: Order) -> dict[str, str]:
        return {
            "orderTime": order.extra["orderTime"],
            "orderType": order.extra["orderType"],
            "txnAmt": str(self._engine.view(order).amount),
            "currencyCode": "156",
        }

    def notification(self, news: News) -> tuple[dict[str, str], bool] | None:
        """The message about a payment, and whether it is to be signed wrongly. None: untold."""
        if news.kind != Kind.PAID:
            return None
        turn = self._engine.view(news.order)
        fields = {
            "serProvId": self._identity.serv_prov_id,
            "merId": self._identity.mer_id,
            "orderNo": news.order.number,
            "respCode": codes.OK,
            "respMsg": "success",
            **self._described(news.order),
            **self._paid(turn),
        }
        return fields, turn.unsigned


def _refund_numbers(refund: Refund) -> dict[str, str]:
    """The channel's number of a refund, and when it was made."""
    numbers = {"transIndex": refund.trade_no}
    return numbers | ({"payTime": wire.encode_time(refund.made_ms)} if refund.made_ms else {})


def _check_terminal(fields: Mapping[str, str]) -> None:
    """`termInfo` is a JSON object as text."""
    text = fields.get("termInfo")
    if not text:
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal(codes.BAD_FORMAT, "termInfo is not JSON") from None
    if not isinstance(value, dict):
        raise Refusal(codes.BAD_FORMAT, "termInfo is not a JSON object")
