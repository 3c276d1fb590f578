"""The sandbox's ACP 5.1.0: apply QR, consume, revoke, refund, reverse, query, notification.

`backTransReq` carries every operation, told apart by `txnType/txnSubType`; `queryTrans` the query.
An order is known by `orderId` and `txnTime` together.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from payments.channels.sandbox.app import Silence
from payments.channels.sandbox.books import Order, Refund
from payments.channels.sandbox.turns import Asked, AskedRefund, Kind, News, RefundKind, Turn
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.sandbox_parts import (
    CNY,
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
    trace,
)

MERCHANT: Final = "acp"
"""The engine's name for this dialect's numbers: the JSON interface's are others."""

VERSION: Final = "5.1.0"
ENCODING: Final = "UTF-8"
RSA: Final = "01"
QR_URL: Final = "https://qr.95516.com/00010000/62"
QR_DIGITS: Final = 30
"""Digits of a code behind the 62."""

REFUND_DAYS_MAX: Final = 30
DAY_MS: Final = 86_400_000

APPLY_QR: Final = "01/07"
CONSUME: Final = "01/06"
REVOKE: Final = "31/00"
REFUND: Final = "04/00"
REVERSE: Final = "99/01"
QUERY: Final = "00/00"

NEEDED: Final = (
    "version", "encoding", "certId", "signMethod", "txnType", "txnSubType", "bizType",
    "accessType", "merId", "orderId", "txnTime",
)  # fmt: skip
ECHOED: Final = (
    "version", "encoding", "signMethod", "bizType", "txnType", "txnSubType", "accessType",
    "merId", "orderId", "txnTime", "txnAmt", "currencyCode", "reqReserved", "origQryId",
)  # fmt: skip
FIXED: Final = {"version": VERSION, "encoding": ENCODING, "signMethod": RSA, "bizType": "000000"}
ACCESS_TYPES: Final = ("0", "1", "2")
NUMBER: Final = re.compile(r"[0-9A-Za-z]{8,40}")
QR_NUMBER: Final = re.compile(r"[0-9]{1,20}")
QUERY_ID: Final = re.compile(r"[0-9]{1,32}")

Operation = Callable[[Mapping[str, str]], Reply]


def operation_of(fields: Mapping[str, str]) -> str:
    """`txnType/txnSubType`."""
    return f"{fields.get('txnType', '')}/{fields.get('txnSubType', '')}"


class AcpDesk:
    """The operations. Each takes the decoded fields, checked by `admit`, and may raise Refusal."""

    def __init__(self, bench: Bench) -> None:
        self._engine = bench.engine
        self._books = bench.books
        self._identity = bench.identity
        self.operations: dict[str, Operation] = {
            APPLY_QR: self._apply_qr,
            CONSUME: self._consume,
            REVOKE: self._revoke,
            REFUND: self._refund,
            REVERSE: self._reverse,
        }
        self.queries: dict[str, Operation] = {QUERY: self._query}

    def admit(self, fields: Mapping[str, str]) -> None:
        """Who asks, whether it is really them, and what every message needs."""
        need(fields, NEEDED)
        if fields["merId"] != self._identity.mer_id:
            raise Refusal(codes.MERCHANT_STATE, "unknown merId")
        if fields["certId"] != self._identity.merchant_cert_id:
            raise Refusal(codes.BAD_SIGNATURE, "unknown certId")
        try:
            signature = wire.decode_signature(fields)
        except wire.Malformed as error:
            raise Refusal(codes.BAD_SIGNATURE, str(error)) from None
        texts = wire.acp_texts(fields)
        if not any(self._identity.is_merchants(text, signature) for text in texts):
            raise Refusal(codes.BAD_SIGNATURE, "the signature does not fit")
        for name, value in FIXED.items():
            if fields[name] != value:
                raise Refusal(codes.BAD_FORMAT, f"{name} is not {value}")
        if fields["accessType"] not in ACCESS_TYPES:
            raise Refusal(codes.BAD_FORMAT, "accessType is not 0, 1 or 2")
        matching(fields, "orderId", NUMBER)
        time_of(fields, "txnTime")

    def echo(self, fields: Mapping[str, str]) -> dict[str, str]:
        """What every answer repeats of its request."""
        return {name: fields[name] for name in ECHOED if fields.get(name)}

    # --- payments --------------------------------------------------------------------------

    def _apply_qr(self, fields: Mapping[str, str]) -> Reply:
        """The same request gets the same code again, for as long as it can be paid."""
        need(fields, ("backUrl",))
        shown = self._books.get(fields["orderId"], MERCHANT)
        is_same = shown is not None and shown.fingerprint == fingerprint_of(fields)
        turn = self._engine.inquire(fields["orderId"], MERCHANT) if is_same else None
        if turn is not None and turn.kind == Kind.AWAITING:
            return self._code(turn.known)
        now = self._engine.clock.now_ms()
        expires_ms = now + CODE_SECONDS * 1000
        if fields.get("payTimeout"):
            expires_ms = time_of(fields, "payTimeout")
            if expires_ms <= now:
                raise Refusal(codes.OUT_OF_HOURS, "payTimeout has passed")
        return self._code(self._engine.pay(self._asked(fields, "qr", None, expires_ms)).known)

    def _code(self, order: Order) -> Reply:
        return Reply(codes.OK, fields={"qrCode": f"{QR_URL}{order.serial:0{QR_DIGITS}d}"})

    def _consume(self, fields: Mapping[str, str]) -> Reply:
        need(fields, ("qrNo", "termId"))
        code = matching(fields, "qrNo", QR_NUMBER)
        turn = self._engine.pay(self._asked(fields, "barcode", code, 0))
        match turn.kind:
            case Kind.PAID:
                answer = {**settled(turn, self._identity), "queryId": turn.known.trade_no}
                return Reply(codes.OK, fields=answer, unsigned=turn.unsigned)
            case Kind.AWAITING:
                return Reply(codes.ACCEPTED, "accepted; query")
            case Kind.DECLINED:
                return Reply(REFUSAL_CODES.get(turn.failure, codes.FAILED), turn.message)
            case Kind.SILENT:
                raise Silence
            case _:
                return Reply(codes.DOUBTFUL, "unknown; query")

    def _asked(
        self, fields: Mapping[str, str], way: str, code: str | None, expires_ms: int
    ) -> Asked:
        need(fields, ("txnAmt", "currencyCode"))
        in_cny(fields)
        number, amount = fields["orderId"], amount_of(fields)
        notify_url = notify_url_of(fields)
        if self._books.get(number, MERCHANT) or self._books.refund_by_number(number, MERCHANT):
            raise Refusal(codes.DUPLICATE, "duplicate orderId")
        kept = ("txnTime", "txnType", "txnSubType", "accessType", "reqReserved")
        extra = {name: fields[name] for name in kept if fields.get(name)}
        return Asked(
            number, amount, CURRENCY, way, "unionpay", code, fingerprint_of(fields), expires_ms,
            notify_url, MERCHANT, extra,
        )  # fmt: skip

    def _reverse(self, fields: Mapping[str, str]) -> Reply:
        """Undo an order whose result is unknown: its own orderId and txnTime."""
        order = self._known(fields["orderId"], fields["txnTime"])
        if order is None:
            raise Refusal(codes.NO_SUCH_ORDER, "no such order")
        turn = self._engine.reverse(order.number, MERCHANT, seal=False)
        if turn.kind == Kind.REFUNDED:
            raise Refusal(codes.ALREADY_REFUNDED, "the order was refunded")
        if turn.kind == Kind.DECLINED:
            raise Refusal(codes.WRONG_STATE, "the order has failed")
        return Reply(codes.OK, unsigned=turn.unsigned)

    def _known(self, number: str, txn_time: str) -> Order | None:
        order = self._books.get(number, MERCHANT)
        return order if order is not None and order.extra["txnTime"] == txn_time else None

    # --- money back ------------------------------------------------------------------------

    def _revoke(self, fields: Mapping[str, str]) -> Reply:
        """The whole amount, on the day of the payment in China."""
        order = self._original(fields)
        now = wire.encode_time(self._engine.clock.now_ms())
        if order.paid_ms and wire.encode_time(order.paid_ms)[:8] != now[:8]:
            raise Refusal(codes.WRONG_STATE, "the original order is of another day; refund it")
        if amount_of(fields) != order.amount:
            raise Refusal(codes.NOT_THE_ORIGINAL, "not the original order's amount")
        return self._give_back(order, fields)

    def _refund(self, fields: Mapping[str, str]) -> Reply:
        order = self._original(fields)
        age_ms = self._engine.clock.now_ms() - order.paid_ms
        if order.paid_ms and age_ms > REFUND_DAYS_MAX * DAY_MS:
            raise Refusal(codes.WRONG_STATE, "the original order is too old")
        return self._give_back(order, fields)

    def _original(self, fields: Mapping[str, str]) -> Order:
        """By its queryId, or by its orderId and txnTime."""
        need(fields, ("txnAmt",))
        if fields.get("origQryId"):
            order = self._engine.by_trade_no(matching(fields, "origQryId", QUERY_ID))
        else:
            need(fields, ("origOrderId", "origTxnTime"))
            order = self._known(fields["origOrderId"], fields["origTxnTime"])
        if order is None or order.merchant != MERCHANT:
            raise Refusal(codes.WRONG_STATE, "no such original order")
        return order

    def _give_back(self, order: Order, fields: Mapping[str, str]) -> Reply:
        number = fields["orderId"]
        if self._books.get(number, MERCHANT) is not None:
            raise Refusal(codes.DUPLICATE, "orderId is a payment's")
        kept = ("txnTime", "txnType", "txnSubType", "accessType", "reqReserved")
        extra = {name: fields[name] for name in kept if fields.get(name)}
        turn = self._engine.refund(
            AskedRefund(
                order.number,
                number,
                amount_of(fields),
                fingerprint=fingerprint_of({name: extra[name] for name in kept[:3]}),
                notify_url=notify_url_of(fields),
                merchant=MERCHANT,
                extra=extra,
            )
        )
        match turn.kind:
            case RefundKind.MADE | RefundKind.PROCESSING:
                return Reply(codes.OK, fields=_refund_numbers(order, turn.known[1]))
            case RefundKind.ERROR:
                return Reply(codes.DOUBTFUL, "unknown; query")
            case RefundKind.USED:
                raise Refusal(codes.DUPLICATE, "the number belongs to another refund")
            case RefundKind.EXCEEDS if order.committed == order.amount:
                raise Refusal(codes.ALREADY_REFUNDED, "the order is refunded already")
            case RefundKind.EXCEEDS | RefundKind.MISMATCH:
                raise Refusal(codes.NOT_THE_ORIGINAL, "more than is left of the original order")
            case _:
                raise Refusal(codes.WRONG_STATE, "the original order's state does not allow it")

    # --- what came of it -------------------------------------------------------------------

    def _query(self, fields: Mapping[str, str]) -> Reply:
        number, txn_time = fields["orderId"], fields["txnTime"]
        order = self._known(number, txn_time)
        if order is not None:
            return self._query_order(self._engine.inquire(number, MERCHANT))
        refund = self._books.refund_by_number(number, MERCHANT)
        if refund is None or refund.lost or refund.extra["txnTime"] != txn_time:
            raise Refusal(codes.NO_SUCH_ORDER, "no such transaction")
        turn = self._engine.inquire_refund(number, None, MERCHANT)
        of, refund = turn.known
        answer = {
            "origRespCode": codes.OK if turn.kind == RefundKind.MADE else codes.ACCEPTED,
            "txnAmt": str(refund.amount),
            "currencyCode": CNY,
            **_refund_numbers(of, refund),
        }
        if refund.made_ms:
            answer |= trace(refund.serial, refund.made_ms)
        return Reply(codes.OK, fields=answer)

    def _query_order(self, turn: Turn) -> Reply:
        order = turn.known
        answer = {"txnAmt": str(turn.amount), "currencyCode": CNY, "queryId": order.trade_no}
        match turn.kind:
            case Kind.ERROR:
                return Reply(codes.DOUBTFUL, "unknown; query again")
            case Kind.PAID:
                answer |= {**settled(turn, self._identity), **trace(order.serial, order.paid_ms)}
                origin = codes.OK
            case Kind.AWAITING:
                origin = codes.ACCEPTED
            case Kind.DECLINED:
                origin = REFUSAL_CODES.get(turn.failure, codes.FAILED)
                answer["origRespMsg"] = turn.message
            case Kind.CLOSED if order.expires_ms and order.ended_ms >= order.expires_ms:
                origin = codes.OUT_OF_HOURS
            case _:
                origin = codes.ALREADY_REVERSED
        return Reply(codes.OK, fields={**answer, "origRespCode": origin}, unsigned=turn.unsigned)

    def notification(self, news: News) -> tuple[dict[str, str], bool] | None:
        """The message about a success, and whether it is to be signed wrongly. None: untold."""
        order, refund = news.order, news.refund
        extra = order.extra if refund is None else refund.extra
        fields = {
            **FIXED,
            **extra,
            "merId": self._identity.mer_id,
            "orderId": order.number if refund is None else refund.number,
            "currencyCode": CNY,
            "respCode": codes.OK,
            "respMsg": "success",
        }
        turn = self._engine.view(order)
        if news.kind == Kind.PAID:
            fields |= {"queryId": order.trade_no, **settled(turn, self._identity)}
            return fields | trace(order.serial, order.paid_ms), turn.unsigned
        if refund is None:
            return None
        fields |= {"txnAmt": str(refund.amount), **_refund_numbers(order, refund)}
        return fields | trace(refund.serial, refund.made_ms), False


def _refund_numbers(order: Order, refund: Refund) -> dict[str, str]:
    return {"queryId": refund.trade_no, "origQryId": order.trade_no}
