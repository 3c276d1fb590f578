"""The connector's side of the aggregated JSON interface: barcode and wallet-page payments.

An answer is believed when it has status 200, is a flat map of strings, is signed by one of the
platform's keys, and carries our serProvId and merId and the number that was asked about.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from payments.channels.base import (
    Approved,
    Awaiting,
    Declined,
    Notice,
    OrderRef,
    Outcome,
    PayOrder,
    RefundOrder,
    Unknown,
    Unpaid,
)
from payments.channels.fetching import (
    PAYMENTS,
    AskedBill,
    BillFile,
    Fetched,
    NoBill,
    download,
    has_hash,
)
from payments.channels.transport import HttpClient, HttpRequest, Signer, Verifier
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.codes import Kind, Orig, OrigRefund
from payments.channels.unionpay.exchange import (
    CNY_NUMBER,
    Doubt,
    UnionpaySettings,
    amount_in,
    approved,
    body_of,
    compare,
    refund_refused,
    refused,
    subject_of,
    time_in,
    unclear,
    undo_number,
)
from payments.clock import Clock
from payments.payment import Way

PATH: Final = "/gateway/api/pay/"
HEADERS: Final = {"content-type": "application/json; charset=utf-8", "accept": "application/json"}
JS_TYPES: Final = {"wechat": "wechatJs", "alipay": "alipayJs", "unionpay": "upJs"}
WALLETS: Final = frozenset(JS_TYPES)

EXPIRY_MARGIN_MS: Final = 2_000
"""The channel counts from when it hears us: its expiry must not be later than ours."""

CLIENT_PARAMS_MAX: Final = 32

FOREIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "micropay": ("origRespCode", "payData", "origOrderNo"),
    "unifiedorder": ("origRespCode", "payTime", "origOrderNo"),
    "queryOrder": ("payData", "origOrderNo"),
    "closeOrder": ("origRespCode", "payTime", "payData", "origOrderNo"),
    "refund": ("origRespCode", "payData"),
    "refundQuery": ("payData",),
    "billQuery": ("origRespCode", "payTime", "payData", "origOrderNo", "transIndex"),
}
"""Fields that an answer to this call never has. All answers are signed alike and `respCode` 00 of
one means something else in another, so none may be taken for the other."""

ANSWERS_ALONE: Final = ("payData", "origOrderNo")
"""Fields of an answer to us that no notification of a payment has. Both are signed alike: the
answer that a page was made for an order, or that a refund was, must not pass for a payment."""


class Aggregate:
    """The calls. They may raise Doubt and NotSent."""

    def __init__(
        self,
        settings: UnionpaySettings,
        http: HttpClient,
        signer: Signer,
        verifiers: Sequence[Verifier],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._http = http
        self._signer = signer
        self._verifiers = tuple(verifiers)
        self._clock = clock

    # --- payments --------------------------------------------------------------------------

    async def pay_barcode(self, order: PayOrder) -> Outcome:
        fields = {
            **self._order(order),
            "orderType": order.wallet or "",
            "authCode": order.auth_code or "",
            "termId": self._settings.term_id,
        }
        answer = await self._ask("micropay", order.merchant, fields, self._settings.pay_timeout_s)
        code = answer.get("respCode", "")
        if code == codes.PAYER_MUST_ACT:
            return Awaiting()
        if codes.meaning(code).kind == Kind.DONE:
            return approved(order.out_trade_no, answer, "transIndex")
        if code == codes.DUPLICATE:
            return await self._known(order)
        outcome = refused(code)
        if code == codes.OUT_OF_HOURS and isinstance(outcome, Declined):
            # Of a payer's code, which lives a minute, this can only mean that it is too old.
            message = "the auth code has expired; ask the payer for a new one"
            return Declined("auth_code_expired", message, code)
        return outcome

    async def _known(self, order: PayOrder) -> Outcome:
        """What became of a number that was used before; whether by this order, the amount says."""
        seen = await self.inquire(
            OrderRef(
                order.out_trade_no,
                order.amount,
                order.currency,
                order.way,
                order.wallet,
                order.merchant,
                order.created,
            )
        )
        return unclear(codes.DUPLICATE) if isinstance(seen, Unpaid) else seen

    async def pay_js(self, order: PayOrder) -> Outcome:
        fields = {
            **self._order(order),
            "orderType": JS_TYPES[order.wallet or ""],
            "userId": order.payer or "",
            "frontUrl": order.return_url or "",
        }
        if order.wallet == "wechat":
            fields["subAppId"] = self._settings.sub_app_id
        if order.expires_at is not None:
            left_ms = order.expires_at - self._clock.now_ms() - EXPIRY_MARGIN_MS
            if left_ms < 1_000:
                return Declined("expired", "it would expire at once", not_sent=True)
            fields["paymentValidTime"] = str(left_ms // 1000)
        answer = await self._ask(
            "unifiedorder", order.merchant, fields, self._settings.pay_timeout_s
        )
        code = answer.get("respCode", "")
        if codes.meaning(code).kind != Kind.DONE:
            return refused(code)
        if amount_in(answer) != order.amount:
            raise Doubt("an answer with another txnAmt")
        return Awaiting(client_params=_client_params(answer.get("payData", "")))

    def _order(self, order: PayOrder) -> dict[str, str]:
        ip = order.payer_ip or self._settings.customer_ip
        return {
            "orderNo": order.out_trade_no,
            "orderTime": wire.encode_time(order.created),
            "txnAmt": str(order.amount),
            "currencyCode": CNY_NUMBER,
            "orderInfo": subject_of(order.subject),
            "backUrl": self._settings.notify_url,
            "customerIp": ip,
            "termInfo": json.dumps({"ip": ip}, separators=(",", ":")),
        }

    # --- what came of it -------------------------------------------------------------------

    async def inquire(self, order: OrderRef) -> Outcome:
        fields = {"orderNo": order.out_trade_no, "orderType": order.wallet or ""}
        answer = await self._ask("queryOrder", order.merchant, fields, self._settings.ask_timeout_s)
        code = answer.get("respCode", "")
        if code == codes.NO_SUCH_ORDER:
            return Unpaid("absent")
        if codes.meaning(code).kind != Kind.DONE:
            return unclear(code)
        match answer.get("origRespCode"):
            case Orig.PAID:
                return approved(order.out_trade_no, answer, "transIndex")
            case Orig.REFUNDED:
                return await self._refunded(order, answer)
            case Orig.UNPAID:
                return Unpaid("open")
            case Orig.PAYER_ACTS:
                return Awaiting() if order.way is Way.BARCODE else Unpaid("open")
            case Orig.CLOSED:
                return Unpaid("closed")
            case Orig.REVOKED:
                return Unpaid("reversed")
            case Orig.FAILED:
                return Declined("declined", "the payment failed", Orig.FAILED)
            case _:
                raise Doubt("a query's answer with an unknown origRespCode")

    async def _refunded(self, order: OrderRef, answer: Mapping[str, str]) -> Outcome:
        """Paid and given back: by our reverse, which is a refund here, or as a real refund."""
        if order.way is Way.BARCODE:
            undone = await self.inquire_refund(undo(order))
            if isinstance(undone, Approved):
                return Unpaid("reversed")
            if not isinstance(undone, Unpaid):
                return Unknown("refunded, and it is not clear by whom")
        return approved(order.out_trade_no, answer, "transIndex")

    async def close(self, order: OrderRef) -> Outcome:
        """Approved: closed. Declined: its state does not allow it. Unpaid: no such order."""
        fields = {"orderNo": order.out_trade_no, "orderType": order.wallet or ""}
        answer = await self._ask("closeOrder", order.merchant, fields, self._settings.ask_timeout_s)
        code = answer.get("respCode", "")
        if codes.meaning(code).kind == Kind.DONE:
            return Approved(order.out_trade_no, order.amount)
        if code == codes.NO_SUCH_ORDER:
            return Unpaid("absent")
        if code in (codes.WRONG_STATE, codes.PAID_AFTER_CLOSE):
            return Declined("channel_error", "the order is paid, or over", code)
        return unclear(code)

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        fields = {
            "origOrderNo": order.out_trade_no,
            "origTxnAmt": str(order.total),
            "orderNo": order.out_refund_no,
            "orderTime": wire.encode_time(order.asked_at),
            "txnAmt": str(order.amount),
            "currencyCode": CNY_NUMBER,
            "orderType": order.wallet or "",
        }
        answer = await self._ask("refund", order.merchant, fields, self._settings.pay_timeout_s)
        code = answer.get("respCode", "")
        if codes.meaning(code).kind == Kind.DONE:
            return self._gone_back(order, answer)
        if code in (codes.DUPLICATE, codes.ALREADY_REFUNDED):
            known = await self.inquire_refund(order)
            if code == codes.ALREADY_REFUNDED and isinstance(known, Unpaid):
                return Declined("channel_error", "the order is refunded already", code)
            return Unknown("a refund number that is taken") if isinstance(known, Unpaid) else known
        return refund_refused(code)

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        fields = {
            "orderNo": order.out_refund_no,
            "origOrderNo": order.out_trade_no,
            "orderType": order.wallet or "",
        }
        answer = await self._ask(
            "refundQuery", order.merchant, fields, self._settings.ask_timeout_s
        )
        code = answer.get("respCode", "")
        if code == codes.NO_SUCH_ORDER:
            return Unpaid("absent")
        if codes.meaning(code).kind != Kind.DONE:
            return unclear(code)
        match answer.get("origRespCode"):
            case OrigRefund.REFUNDED:
                return self._gone_back(order, answer)
            case OrigRefund.FAILED:
                return Declined("channel_error", "the refund failed", OrigRefund.FAILED)
            case OrigRefund.PROCESSING:
                return Unknown("the refund is being made")
            case _:
                raise Doubt("a refund query's answer with an unknown origRespCode")

    def _gone_back(self, order: RefundOrder, answer: Mapping[str, str]) -> Approved:
        compare(answer, {"origOrderNo": order.out_trade_no})
        if amount_in(answer) != order.amount:
            raise Doubt("a refund of another amount")
        number, at = answer.get("transIndex"), time_in(answer)
        return Approved(order.out_trade_no, order.amount, number, channel_at=at)

    # --- bills -----------------------------------------------------------------------------

    async def bill(self, asked: AskedBill, files: HttpClient) -> Fetched:
        """See `FetchesBills`. Invented, as the bill is: only the sandbox has it."""
        if asked.kind != PAYMENTS:
            return NoBill("the channel has no such bill", later=False)
        settings = self._settings
        answer = await self._ask(
            "billQuery",
            asked.merchant,
            {"billDate": f"{asked.date:08d}"},
            settings.ask_timeout_s,
            about="billDate",
        )
        code = answer.get("respCode", "")
        if code in (codes.NO_SUCH_ORDER, codes.OUT_OF_HOURS):
            later = code == codes.OUT_OF_HOURS
            return NoBill("the channel has no such bill", later=later)
        if codes.meaning(code).kind != Kind.DONE:
            return unclear(code)
        url = settings.base_url + answer.get("filePath", "")
        content = await download(url, settings.base_url, {}, files)
        if isinstance(content, str):
            raise Doubt(content)
        if not await has_hash(content, "sha256", answer.get("fileHash", "")):
            raise Doubt("a file with another hash than was told")
        return BillFile(content, ".txt")

    # --- the way there and back ------------------------------------------------------------

    async def _ask(
        self,
        operation: str,
        merchant: str,
        fields: Mapping[str, str],
        timeout_s: float,
        about: str = "orderNo",
    ) -> dict[str, str]:
        """The verified answer about the number, or the day, that was asked about."""
        settings = self._settings
        ours = {"serProvId": settings.serv_prov_id, "merId": settings.mer_id_of(merchant)}
        message = {**ours, **fields}
        signature = await self._signer.sign(wire.signed_text(message))
        message[wire.SIGNATURE] = wire.encode_signature(signature)
        url = f"{settings.base_url}{PATH}{operation}"
        body = wire.encode_json(message)
        request = HttpRequest("POST", url, dict(HEADERS), body, timeout_s)
        answer = await self._read(await body_of(self._http, request))
        compare(answer, {**ours, about: fields[about]})
        if any(name in answer for name in FOREIGN[operation]):
            raise Doubt("an answer to another question")
        return answer

    async def _read(self, body: bytes) -> dict[str, str]:
        """The fields of a signed message. Raise Doubt."""
        try:
            fields = wire.decode_json(body)
            signature = wire.decode_signature(fields)
        except wire.Malformed as error:
            raise Doubt(f"a message that cannot be read: {error}") from None
        text = wire.signed_text(fields)
        for verifier in self._verifiers:
            if await verifier.verify(text, signature):
                return fields
        raise Doubt("a message with a wrong signature")

    async def hear(self, body: bytes) -> Notice | None:
        """A notification; None: verified, and nothing about an order of ours. Raise Doubt."""
        fields = await self._read(body)
        is_provider = fields.get("serProvId") == self._settings.serv_prov_id
        if not is_provider or not self._settings.is_ours(fields.get("merId")):
            return None
        if any(name in fields for name in ANSWERS_ALONE):
            return None
        if fields.get("respCode", codes.OK) != codes.OK:
            return None
        if fields.get("origRespCode", Orig.PAID) != Orig.PAID:
            return None
        number = fields.get("orderNo", "")
        compare(fields, {"orderNo": number})
        if not number:
            raise Doubt("a notification without orderNo")
        return Notice(number, approved(number, fields, "transIndex"))


def undo(order: OrderRef) -> RefundOrder:
    """The refund that stands for a reverse: the whole amount, under a number without a choice."""
    return RefundOrder(
        order.out_trade_no,
        undo_number(order.out_trade_no),
        order.amount,
        order.amount,
        order.currency,
        order.way,
        order.wallet,
        order.merchant,
        order.created,
        order.created,
    )


def _client_params(text: str) -> dict[str, str]:
    """`payData`, flat. Raise Doubt."""
    try:
        params = json.loads(text)
    except (ValueError, RecursionError):
        raise Doubt("payData that cannot be read") from None
    if type(params) is not dict or not params or len(params) > CLIENT_PARAMS_MAX:
        raise Doubt("payData that is not an object")
    if not all(type(value) in (str, int) for value in params.values()):
        raise Doubt("payData that is not flat")
    return {name: str(value) for name, value in params.items()}
