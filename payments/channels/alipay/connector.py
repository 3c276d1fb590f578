"""Alipay's connector: our questions on its wire, its answers as outcomes.

It never raises. Whatever is not an explicit, signed answer about our order is Unknown. That holds
for the gateway's own errors too. Some of them come unsigned (an unknown application has no key to
sign for), and they could be believed to mean "nothing was done"; but then anybody between the
gateway and us could turn a payment that was taken into a declined one with a line of plain JSON.
So an unsigned refusal is Unknown as well: the payment is asked about, and undone at its deadline.
An account with a wrong key does not lose money that way; it fails loudly, as a channel that gives
no verdict, and its circuit opens. A *signed* gateway error proves that no method was asked, so
that a payment is Declined with `not_sent`; for every other question it says nothing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from payments.bills.text import day_ms, next_date
from payments.channels.alipay import orders, replies, wire
from payments.channels.alipay.bill import damage
from payments.channels.alipay.replies import BUSINESS_FAILED, SUCCESS, Reply
from payments.channels.alipay.units import FEN_MAX, FEN_MIN, china_time, fen
from payments.channels.alipay.wire import Unreadable
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
)
from payments.channels.transport import (
    Callback,
    CallbackAnswer,
    Heard,
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Signer,
    Verifier,
)
from payments.clock import Clock
from payments.payment import Way

DIRECT: Final = "direct"
PARTNER: Final = "partner"
WALLETS: Final = ("alipay", None)
ONLY_KEY: Final = ""
"""Name of the channel's key where it has no serial number: the public-key mode."""

FORM: Final = "application/x-www-form-urlencoded;charset=utf-8"
IN_BODY: Final = ("biz_content", "app_auth_token", "notify_url", "return_url")
"""Everything else stands in the query, as the vendor's own clients have it: the charset with it."""

BILLS_READY_MS: Final = 32_400_000
"""A bill that is not there at 9 o'clock of the next day will not come."""

NOT_SENT: Final = Declined("channel_error", "the channel could not be reached", not_sent=True)
NOT_OURS: Final = Declined("channel_error", "the channel cannot do this", not_sent=True)
NO_TOKEN: Final = Unknown("the merchant has not let this account act for it")

TAKEN: Final = CallbackAnswer(200, "text/plain", b"success")
LATER: Final = CallbackAnswer(503, "text/plain", b"fail")
REFUSED: Final = CallbackAnswer(401, "text/plain", b"fail")


class AlipaySettings(Struct, frozen=True):
    """One account. `gateway`: the whole address, `.../gateway.do`.

    Partner mode acts for each of our merchants by its `app_auth_tokens` entry; `seller_ids` says
    who each of them is at the channel. `seller_id` is the direct account's own. `aes_key`: content
    is encrypted with it, where the account has one. The two serials are of certificate mode.
    """

    app_id: str
    gateway: str
    seller_id: str = ""
    notify_url: str = ""
    mode: str = DIRECT
    app_auth_tokens: Mapping[str, str] = {}
    seller_ids: Mapping[str, str] = {}
    service_provider_id: str = ""
    subject: str = "订单"
    aes_key: bytes | None = None
    app_cert_sn: str = ""
    alipay_root_cert_sn: str = ""
    pay_timeout_s: float = 5.0
    ask_timeout_s: float = 5.0
    refund_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.mode not in (DIRECT, PARTNER):
            raise ValueError(f"mode {self.mode!r}: use {DIRECT} or {PARTNER}")

    def __repr__(self) -> str:
        return f"AlipaySettings({self.app_id!r}, {self.mode!r})"


class AlipayChannel:
    """One account at Alipay. See `payments.channels.base.Channel`.

    `verifiers`: the channel's public keys by certificate serial; without certificates under
    `ONLY_KEY`, or under any names while an old and a new one are valid.
    """

    def __init__(
        self,
        settings: AlipaySettings,
        http: HttpClient,
        signer: Signer,
        verifiers: Mapping[str, Verifier],
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._http = http
        self._signer = signer
        self._verifiers = verifiers
        self._clock = clock
        self._merchants = {seller: ours for ours, seller in settings.seller_ids.items()}

    # --- payments --------------------------------------------------------------------------

    async def pay(self, order: PayOrder) -> Outcome:
        if not self._can(order):
            return NOT_OURS
        try:
            return await self._pay(order)
        except NotSent:
            return NOT_SENT

    def _can(self, order: PayOrder) -> bool:
        if order.way not in orders.METHODS or order.currency not in orders.CURRENCIES:
            return False
        if order.wallet not in WALLETS or not FEN_MIN <= order.amount <= FEN_MAX:
            return False
        needed = {Way.BARCODE: order.auth_code, Way.JSAPI: order.payer}.get(order.way, "none")
        return bool(needed) and self._token(order.merchant) is not None

    async def _pay(self, order: PayOrder) -> Outcome:
        """Raise NotSent."""
        settings = self._settings
        biz = orders.payment(order, settings.subject, settings.app_id, settings.service_provider_id)
        method = orders.METHODS[order.way]
        addresses = {"notify_url": settings.notify_url}
        if order.way in (Way.APP, Way.H5):
            addresses["return_url"] = order.return_url or ""
            signed = wire.form(await self._signed(method, biz, order.merchant, addresses))
            if order.way == Way.APP:
                return Awaiting(client_params={"orderString": signed})
            return Awaiting(pay_url=f"{settings.gateway}?{signed}")
        params = await self._signed(method, biz, order.merchant, addresses)
        reply = await self._exchange(method, params, settings.pay_timeout_s)
        if isinstance(reply, Unknown):
            return reply
        if reply.out_trade_no not in ("", order.out_trade_no):
            return Unknown("an answer about another order")
        if reply.code == SUCCESS and reply.out_trade_no:
            return _begun(order.way, reply)
        if reply.code == replies.IN_PROCESS and order.way == Way.BARCODE:
            return Awaiting()
        return replies.declined_by(reply) or replies.doubt(reply)

    async def inquire(self, order: OrderRef) -> Outcome:
        reply = await self._ask(orders.QUERY, orders.query(order), order)
        if isinstance(reply, Unknown):
            return reply
        if reply.code == SUCCESS and reply.out_trade_no:
            return replies.standing(reply)
        if _is_absent(reply):
            return Unpaid("absent")
        return replies.doubt(reply)

    # --- undoing ---------------------------------------------------------------------------

    async def reverse(self, order: OrderRef) -> Outcome:
        """`alipay.trade.cancel`: what is unpaid is closed, what is paid goes back.

        Without an `action` the channel found no trade, and "no such trade" says the same. Both
        are taken for done: a request that is still on its way carries its own expiry
        (`orders.BARCODE_LIFE_MS`), and the gateway looks again after the end.
        """
        reply = await self._ask(orders.CANCEL, orders.undo(order), order)
        if isinstance(reply, Unknown):
            return reply
        if reply.retry_flag == "Y":
            return Unknown("the channel wants to be asked again")
        if (reply.code == SUCCESS and reply.out_trade_no) or _is_absent(reply):
            return Approved(order.out_trade_no, order.amount, reply.trade_no or None)
        return _undo_refused(reply)

    async def close(self, order: OrderRef) -> Outcome:
        """`alipay.trade.close`: an unpaid trade. A code that nobody scanned is no trade yet, so
        "no such trade" is no confirmation: the code may still be paid until it expires."""
        reply = await self._ask(orders.CLOSE, orders.undo(order), order)
        if isinstance(reply, Unknown):
            return reply
        if reply.code == SUCCESS and reply.out_trade_no:
            return Approved(order.out_trade_no, order.amount, reply.trade_no or None)
        if _is_absent(reply):
            return Unpaid("absent")
        return _undo_refused(reply)

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        """Asked again under its number it happens once. `fund_change` N only says that nothing
        moved *now*, and a refusal may be the echo of a refund whose answer was lost: both are
        looked up before anything is said.
        """
        if not FEN_MIN <= order.amount <= FEN_MAX:
            return Declined("channel_error", "the channel does not give back this amount")
        reply = await self._ask(orders.REFUND, orders.refund(order), order)
        if isinstance(reply, Unknown):
            return reply
        if reply.code in replies.REFUSED_BY_GATEWAY:
            return replies.declined_by(reply) or replies.doubt(reply)
        if reply.code == SUCCESS and reply.out_trade_no:
            if reply.fund_change == "Y":
                return _given_back(order, reply)
            found = await self.inquire_refund(order)
            return Unknown("the refund is not made yet") if isinstance(found, Unpaid) else found
        if reply.code == BUSINESS_FAILED and reply.sub_code in replies.REFUND_REFUSED:
            found = await self.inquire_refund(order)
            if not isinstance(found, Unpaid):
                return found
            message = replies.REFUND_REFUSED[reply.sub_code]
            return Declined("channel_error", message, reply.sub_code)
        return replies.doubt(reply)

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        """Not yet successful and never asked for look alike: the same number is asked again."""
        biz = orders.refund_query(order.out_trade_no, order.out_refund_no)
        reply = await self._ask(orders.REFUND_QUERY, biz, order)
        if isinstance(reply, Unknown):
            return reply
        found = _refund_stands(reply, order.out_trade_no, order.out_refund_no)
        if isinstance(found, Approved) and found.amount != order.amount:
            return Unknown("a refund of another amount")
        return found

    # --- bills -----------------------------------------------------------------------------

    async def fetch_bill(self, asked: AskedBill, files: HttpClient) -> Fetched:
        """See `FetchesBills`. In partner mode each merchant has a bill of its own."""
        if asked.kind != PAYMENTS:
            return NoBill("the channel has no such bill", later=False)
        reply = await self._ask_for(orders.BILL, orders.bill(asked.date), "", asked.merchant)
        if isinstance(reply, Unknown):
            return reply
        if reply.code == BUSINESS_FAILED and reply.sub_code in replies.NO_BILL:
            ready_ms = day_ms(next_date(asked.date)) + BILLS_READY_MS
            return NoBill("the channel has no such bill", later=self._clock.now_ms() < ready_ms)
        if reply.code != SUCCESS or not reply.bill_download_url:
            return replies.doubt(reply)
        content = await download(reply.bill_download_url, self._settings.gateway, {}, files)
        if isinstance(content, str):
            return Unknown(content)
        if why := await asyncio.to_thread(damage, content):
            return Unknown(why)
        return BillFile(content, ".csv.zip")

    # --- callbacks -------------------------------------------------------------------------

    async def hear(self, callback: Callback) -> Heard:
        """Verify and read one callback; what is not the channel's, or not ours, says nothing.

        A refund's own amount is not in its callback (`refund_fee` is the sum of all so far), so
        the callback is a reason to go and look.
        """
        nothing = Heard(None, REFUSED, REFUSED)
        try:
            params = wire.merged("", callback.body)
            if not await self._is_notice_signed(params) or not self._is_ours(params):
                return nothing
            reply = replies.read_notice(params)
        except Unreadable:
            return nothing
        number, refund_no = reply.out_trade_no, params.get("out_biz_no", "")
        if params.get("notify_type") != "trade_status_sync" or not number:
            return Heard(None, TAKEN, LATER)
        if params.get("refund_fee") and refund_no:
            outcome = await self._look_at_refund(number, refund_no, params["seller_id"])
            return Heard(Notice(number, outcome, refund_no), TAKEN, LATER)
        return Heard(Notice(number, replies.standing(reply)), TAKEN, LATER)

    async def _is_notice_signed(self, params: Mapping[str, str]) -> bool:
        signature = wire.signature_bytes(params.get("sign", ""))
        if signature is None or params.get("sign_type") != "RSA2":
            return False
        codec = wire.codec_of(params.get("charset", "utf-8"))
        text = wire.notice_text(params).encode(codec)
        return await self._is_signed(text, signature, None)

    def _is_ours(self, params: Mapping[str, str]) -> bool:
        seller = params.get("seller_id", "")
        if params.get("app_id") != self._settings.app_id or not seller:
            return False
        if self._settings.mode == DIRECT:
            return seller == self._settings.seller_id
        return not self._merchants or seller in self._merchants

    async def _look_at_refund(self, number: str, refund_no: str, seller: str) -> Outcome:
        merchant = self._merchants.get(seller, "")
        if self._token(merchant) is None:
            return Unknown("a refund's callback, and nobody to ask about it")
        biz = orders.refund_query(number, refund_no)
        reply = await self._ask_for(orders.REFUND_QUERY, biz, number, merchant)
        return reply if isinstance(reply, Unknown) else _refund_stands(reply, number, refund_no)

    # --- the way there and back ------------------------------------------------------------

    def _token(self, merchant: str) -> str | None:
        """By what we act for this merchant; empty for ourselves, None: we may not."""
        if self._settings.mode == DIRECT:
            return ""
        return self._settings.app_auth_tokens.get(merchant)

    async def _ask(
        self, method: str, biz: dict[str, Any], order: OrderRef | RefundOrder
    ) -> Reply | Unknown:
        """A question about an order. One that was certainly not sent is only one more doubt."""
        return await self._ask_for(method, biz, order.out_trade_no, order.merchant)

    async def _ask_for(
        self, method: str, biz: dict[str, Any], number: str, merchant: str
    ) -> Reply | Unknown:
        if self._token(merchant) is None:
            return NO_TOKEN
        settings = self._settings
        timeout_s = settings.ask_timeout_s if method != orders.REFUND else settings.refund_timeout_s
        try:
            params = await self._signed(method, biz, merchant, {})
            reply = await self._exchange(method, params, timeout_s)
        except NotSent:
            return Unknown("not sent")
        if isinstance(reply, Reply) and reply.out_trade_no not in ("", number):
            return Unknown("an answer about another order")
        return reply

    async def _signed(
        self, method: str, biz: dict[str, Any], merchant: str, addresses: Mapping[str, str]
    ) -> dict[str, str]:
        """All parameters of a request. Raise NotSent: too many wait for a signature."""
        settings = self._settings
        content = msgspec.json.encode(biz)
        params = {
            "charset": "utf-8",
            "method": method,
            "sign_type": "RSA2",
            "app_id": settings.app_id,
            "version": "1.0",
            "timestamp": china_time(self._clock.real_ms()),
            "format": "JSON",
            "app_auth_token": self._token(merchant) or "",
            "app_cert_sn": settings.app_cert_sn,
            "alipay_root_cert_sn": settings.alipay_root_cert_sn,
            "biz_content": content.decode(),
            **addresses,
        }
        if settings.aes_key is not None:
            params["biz_content"] = wire.encrypt(settings.aes_key, content)
            params["encrypt_type"] = "AES"
        params = {name: value for name, value in params.items() if value}
        signature = await self._signer.sign(wire.request_text(params).encode())
        return params | {"sign": wire.signature_text(signature)}

    async def _exchange(
        self, method: str, params: dict[str, str], timeout_s: float
    ) -> Reply | Unknown:
        """Send and believe only what is signed. Raise NotSent."""
        query = wire.form({k: v for k, v in params.items() if k not in IN_BODY})
        body = wire.form({k: v for k, v in params.items() if k in IN_BODY})
        url = f"{self._settings.gateway}?{query}"
        request = HttpRequest("POST", url, {"Content-Type": FORM}, body.encode(), timeout_s)
        try:
            answer = await self._http.send(request)
        except NoAnswer:
            return Unknown("no answer")
        if answer.status != 200:
            return Unknown(f"HTTP {answer.status}")
        try:
            return await self._read(answer, method)
        except Unreadable as error:
            return Unknown(str(error))

    async def _read(self, answer: HttpAnswer, method: str) -> Reply | Unknown:
        """Raise Unreadable."""
        split = wire.split(answer.body, method)
        if split.signature is None:
            return Unknown("an answer without a signature")
        signature = wire.signature_bytes(split.signature)
        if signature is None:
            return Unknown("an answer with a wrong signature")
        if not await self._is_signed(split.content, signature, split.certificate):
            return Unknown("an answer with a wrong signature")
        return replies.read(wire.opened(split, self._settings.aes_key))

    async def _is_signed(self, text: bytes, signature: bytes, certificate: str | None) -> bool:
        """By the key that the answer names, or by any that is valid where it names none."""
        if certificate is not None and certificate in self._verifiers:
            return await self._verifiers[certificate].verify(text, signature)
        for verifier in self._verifiers.values():
            if await verifier.verify(text, signature):
                return True
        return False


def _begun(way: Way, reply: Reply) -> Outcome:
    """A payment call that the channel took."""
    if way == Way.BARCODE:
        return replies.paid(reply)
    if way == Way.QR:
        return Awaiting(reply.qr_code) if reply.qr_code else Unknown("an answer without a code")
    if not reply.trade_no:
        return Unknown("an answer without a trade")
    return Awaiting(client_params={"tradeNO": reply.trade_no})


def _is_absent(reply: Reply) -> bool:
    return reply.code == BUSINESS_FAILED and reply.sub_code == replies.NOT_EXIST


def _undo_refused(reply: Reply) -> Outcome:
    if reply.code == BUSINESS_FAILED and reply.sub_code in replies.UNDO_REFUSED:
        message = "the order cannot be undone as it stands"
        return Declined("channel_error", message, reply.sub_code)
    return replies.doubt(reply)


def _given_back(order: RefundOrder, reply: Reply) -> Outcome:
    """A refund that was just made. `refund_fee` is the sum of all of this payment's."""
    try:
        is_enough = fen(reply.refund_fee) >= order.amount
    except Unreadable as error:
        return Unknown(str(error))
    if not is_enough or not reply.trade_no:
        return Unknown("a refund of another amount")
    at = reply.refunded_at
    return Approved(order.out_trade_no, order.amount, reply.trade_no, channel_at=at)


def _refund_stands(reply: Reply, number: str, refund_no: str) -> Outcome:
    if _is_absent(reply):
        return Unpaid("absent")
    if reply.code != SUCCESS:
        return replies.doubt(reply)
    if reply.refund_status != replies.REFUND_SUCCESS:
        return Unpaid("absent")
    if (reply.out_trade_no, reply.out_request_no) != (number, refund_no) or not reply.trade_no:
        return Unknown("an answer about another refund")
    try:
        amount, at = fen(reply.refund_amount), reply.refunded_at
        return Approved(number, amount, reply.trade_no, channel_at=at)
    except Unreadable as error:
        return Unknown(str(error))
