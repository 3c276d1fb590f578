"""The connector's side of ACP 5.1.0: codes that the payer scans.

An answer brings the certificate that it is signed with; `Trust` says whether that one counts. An
order is known by `orderId` and `txnTime`, so the attempt's time is part of every question. ACP
cannot close a code: it ends at `payTimeout`, and until then it is unpaid, not closed.
"""

from collections.abc import Callable, Mapping
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
from payments.channels.transport import HttpClient, HttpRequest, Signer
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.certificates import Trust, verified
from payments.channels.unionpay.codes import Kind
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
)
from payments.clock import Clock

BACK: Final = "/gateway/api/backTransReq.do"
QUERY: Final = "/gateway/api/queryTrans.do"
HEADERS: Final = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
QR_MAX: Final = 512
"""Characters of a code; more do not fit into one that a telephone reads."""

BY_CODE: Final = ("01", "07")
BY_REFUND: Final = ("04", "00")
BY_QUERY: Final = ("00", "00")
MOBILE: Final = "08"


class Acp:
    """The calls. They may raise Doubt and NotSent."""

    def __init__(
        self,
        settings: UnionpaySettings,
        http: HttpClient,
        signer: Signer,
        trust: Trust,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._http = http
        self._signer = signer
        self._trust = trust
        self._clock = clock

    async def pay_qr(self, order: PayOrder) -> Outcome:
        fields = {
            **self._message(BY_CODE, order.merchant, order.out_trade_no, order.created),
            "txnAmt": str(order.amount),
            "currencyCode": CNY_NUMBER,
            "backUrl": self._settings.notify_url,
            "orderDesc": subject_of(order.subject),
            "termId": self._settings.term_id,
        }
        if order.expires_at is not None:
            fields["payTimeout"] = wire.encode_time(order.expires_at)
        answer = await self._ask(BACK, fields, self._settings.pay_timeout_s)
        code = answer.get("respCode", "")
        if codes.meaning(code).kind != Kind.DONE:
            return refused(code)
        if "txnAmt" in answer and amount_in(answer) != order.amount:
            raise Doubt("an answer with another txnAmt")
        shown = answer.get("qrCode", "")
        if not shown or len(shown) > QR_MAX or not shown.isascii() or not shown.isprintable():
            raise Doubt("an answer without a code that could be shown")
        return Awaiting(shown)

    async def inquire(self, order: OrderRef) -> Outcome:
        answer = await self._query(order.merchant, order.out_trade_no, order.created)
        code = answer.get("respCode", "")
        if code == codes.NO_SUCH_ORDER:
            return Unpaid("absent")
        if codes.meaning(code).kind != Kind.DONE:
            return unclear(code)
        origin = answer.get("origRespCode", "")
        kind = codes.meaning(origin).kind
        if kind == Kind.DONE:
            return approved(order.out_trade_no, answer, "queryId")
        if origin == codes.ACCEPTED:
            return Unpaid("open")
        if origin in (codes.OUT_OF_HOURS, codes.ALREADY_REVERSED):
            return Unpaid("closed")
        return refused(origin) if kind == Kind.REFUSED else unclear(origin)

    async def close(self, order: OrderRef) -> Outcome:
        """ACP has no close: look. Paid is a refusal; else it stays open until it has expired."""
        seen = await self.inquire(order)
        if isinstance(seen, Approved):
            return Declined("channel_error", "the order is paid", codes.OK)
        if isinstance(seen, Declined):
            return Approved(order.out_trade_no, order.amount)
        return seen

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        """The answer says no more than "accepted", so the refund is asked about at once."""
        paid = await self.inquire(_original(order))
        if isinstance(paid, Unpaid | Declined):
            return Declined("channel_error", "the channel says the order is not paid")
        if not isinstance(paid, Approved) or paid.channel_trade_no is None:
            return paid if isinstance(paid, Unknown) else Unknown("the original is not clear")
        fields = {
            **self._message(BY_REFUND, order.merchant, order.out_refund_no, order.asked_at),
            "origQryId": paid.channel_trade_no,
            "txnAmt": str(order.amount),
            "currencyCode": CNY_NUMBER,
            "backUrl": self._settings.notify_url,
            "reqReserved": order.out_trade_no,
        }
        answer = await self._ask(BACK, fields, self._settings.pay_timeout_s)
        code = answer.get("respCode", "")
        is_taken = code in (codes.DUPLICATE, codes.ALREADY_REFUNDED, codes.ACCEPTED)
        if not is_taken and codes.meaning(code).kind != Kind.DONE:
            return refund_refused(code)
        known = await self.inquire_refund(order)
        if code == codes.ALREADY_REFUNDED and isinstance(known, Unpaid):
            return Declined("channel_error", "the order is refunded already", code)
        return Unknown("accepted, and not found yet") if isinstance(known, Unpaid) else known

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        answer = await self._query(order.merchant, order.out_refund_no, order.asked_at)
        code = answer.get("respCode", "")
        if code == codes.NO_SUCH_ORDER:
            return Unpaid("absent")
        if codes.meaning(code).kind != Kind.DONE:
            return unclear(code)
        origin = answer.get("origRespCode", "")
        kind = codes.meaning(origin).kind
        if kind == Kind.REFUSED:
            return refund_refused(origin)
        if kind != Kind.DONE:
            return unclear(origin)
        if amount_in(answer) != order.amount:
            raise Doubt("a refund of another amount")
        number, at = answer.get("queryId"), time_in(answer)
        return Approved(order.out_trade_no, order.amount, number, channel_at=at)

    # --- the way there and back ------------------------------------------------------------

    def _message(
        self, kind: tuple[str, str], merchant: str, number: str, at_ms: int
    ) -> dict[str, str]:
        return {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "certId": self._settings.cert_id,
            "txnType": kind[0],
            "txnSubType": kind[1],
            "bizType": "000000",
            "channelType": MOBILE,
            "accessType": self._settings.access_type,
            "merId": self._settings.acp_mer_id_of(merchant),
            "orderId": number,
            "txnTime": wire.encode_time(at_ms),
        }

    async def _query(self, merchant: str, number: str, at_ms: int) -> dict[str, str]:
        fields = self._message(BY_QUERY, merchant, number, at_ms)
        return await self._ask(QUERY, fields, self._settings.ask_timeout_s)

    async def _ask(self, path: str, fields: dict[str, str], timeout_s: float) -> dict[str, str]:
        """The verified answer about the order that was asked about."""
        signature = await self._signer.sign(wire.acp_signed_text(fields))
        message = {**wire.without_empty(fields), wire.SIGNATURE: wire.encode_signature(signature)}
        url = f"{self._settings.acp_url}{path}"
        request = HttpRequest("POST", url, dict(HEADERS), wire.encode_form(message), timeout_s)
        answer = self._read(await body_of(self._http, request), wire.decode_bare)
        compare(answer, {name: fields[name] for name in ("merId", "orderId", "txnTime")})
        return answer

    def _read(self, body: bytes, decode: Callable[[bytes], dict[str, str]]) -> dict[str, str]:
        """The fields of a signed message. Raise Doubt."""
        try:
            fields = decode(body)
            signature = wire.decode_signature(fields)
        except wire.Malformed as error:
            raise Doubt(f"a message that cannot be read: {error}") from None
        key = self._trust.key_of(fields.get("signPubKeyCert", ""), self._clock.real_ms())
        if key is None:
            raise Doubt("a message with a certificate that does not count")
        if not any(verified(key, text, signature) for text in wire.acp_texts(fields)):
            raise Doubt("a message with a wrong signature")
        return fields

    def hear(self, body: bytes) -> Notice | None:
        """A notification; None: verified, and nothing about an order of ours. Raise Doubt."""
        fields = self._read(body, wire.decode_form)
        if not self._settings.is_ours_at_acp(fields.get("merId")):
            return None
        if codes.meaning(fields.get("respCode", "")).kind != Kind.DONE:
            return None
        number = fields.get("orderId", "")
        if not number:
            raise Doubt("a notification without orderId")
        compare(fields, {})
        match (fields.get("txnType"), fields.get("txnSubType")):
            case ("01", _):
                paid = approved(number, fields, "queryId")
                return Notice(number, paid)
            case ("04", _):
                return self._refund_notice(number, fields)
            case _:
                return None

    def _refund_notice(self, number: str, fields: Mapping[str, str]) -> Notice | None:
        """`reqReserved` comes back as we sent it: the order that is refunded."""
        of = fields.get("reqReserved", "")
        if not of:
            return None
        trade_no, at = fields.get("queryId"), time_in(fields)
        return Notice(of, Approved(of, amount_in(fields), trade_no, channel_at=at), number)


def _original(order: RefundOrder) -> OrderRef:
    return OrderRef(
        order.out_trade_no,
        order.total,
        order.currency,
        order.way,
        order.wallet,
        order.merchant,
        order.created,
    )
