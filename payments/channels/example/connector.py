"""The connector of the example channel: our questions on its wire, its answers as outcomes.

It never raises. Whatever is not an explicit, signed, matching answer is Unknown; a payment of which
certainly nothing left this machine is Declined with `not_sent`.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

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
from payments.channels.example import wire
from payments.channels.example.wire import Ask, Told, Unreadable
from payments.channels.transport import (
    Callback,
    CallbackAnswer,
    Heard,
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Signer,
    Verifier,
)
from payments.clock import Clock
from payments.payment import Discount, Way

REASONS: Final = {
    "too_poor": ("insufficient_funds", "the payer's balance is too low"),
    "code_expired": ("auth_code_expired", "the auth code has expired; ask the payer for a new one"),
    "declined": ("declined", "the payer's bank declined"),
}
"""A payer's refusals: the channel's code, ours, and a sentence."""

NOT_SENT: Final = Declined("channel_error", "the channel could not be reached", not_sent=True)
BUSY: Final = Declined("channel_error", "the channel takes no more now", "busy", not_sent=True)
OVER: Final = ("closed", "reversed")
CURRENCIES: Final = ("cny",)
WAYS: Final = (Way.BARCODE, Way.QR, Way.H5)

TAKEN: Final = CallbackAnswer(200, "text/plain", wire.SUCCESS)
NOT_NOW: Final = CallbackAnswer(503, "text/plain", b"later")
NOT_YOURS: Final = CallbackAnswer(401, "text/plain", b"wrong signature")


class ExampleSettings(Struct, frozen=True):
    """One account. `base_url` without a slash at its end; `notify_url` empty: no callbacks."""

    shop: str
    base_url: str
    notify_url: str = ""
    timeout_s: float = 5.0


class ExampleChannel:
    """One account at the example channel. See `payments.channels.base.Channel`."""

    def __init__(
        self,
        settings: ExampleSettings,
        http: HttpClient,
        signer: Signer,
        verifier: Verifier,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._http = http
        self._signer = signer
        self._verifier = verifier
        self._clock = clock

    # --- payments --------------------------------------------------------------------------

    async def pay(self, order: PayOrder) -> Outcome:
        if order.currency not in CURRENCIES or order.way not in WAYS:
            return Declined("channel_error", "the channel cannot do this", not_sent=True)
        try:
            told = await self._ask("pay", self._payment(order))
        except NotSent:
            return NOT_SENT
        if isinstance(told, Unknown):
            return told
        if told.state == "waiting":
            is_page = order.way == Way.H5
            return Awaiting(pay_url=told.code) if is_page else Awaiting(told.code or None)
        if told.state == "busy":
            return BUSY
        if told.state in ("used", "bad", *OVER):
            return Declined("channel_error", "the order number is taken", told.state)
        return _verdict(told)

    async def inquire(self, order: OrderRef) -> Outcome:
        told = await self._ask_again("query", self._about(order))
        if isinstance(told, Unknown):
            return told
        if told.state in ("absent", "waiting", *OVER):
            return Unpaid("open" if told.state == "waiting" else told.state)
        return _verdict(told)

    async def reverse(self, order: OrderRef) -> Outcome:
        return await self._undo("reverse", order)

    async def close(self, order: OrderRef) -> Outcome:
        return await self._undo("close", order)

    async def _undo(self, verb: str, order: OrderRef) -> Outcome:
        told = await self._ask_again(verb, self._about(order))
        if isinstance(told, Unknown):
            return told
        if told.state in ("refused", *OVER):
            return Approved(order.out_trade_no, order.amount, told.channel_no or None)
        if told.state in ("paid", "refunded"):
            return Declined("channel_error", f"the order is {told.state}", told.state)
        return _verdict(told)

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        told = await self._ask_again("refund", self._about_refund(order))
        if isinstance(told, Told) and told.state in ("absent", "not_enough", "used", "bad", *OVER):
            return Declined("channel_error", "the channel refused the refund", told.state)
        return _refunded(told)

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        told = await self._ask_again("refund-query", self._about_refund(order))
        if isinstance(told, Told) and told.state == "absent":
            return Unpaid("absent")
        return _refunded(told)

    # --- callbacks -------------------------------------------------------------------------

    async def hear(self, callback: Callback) -> Heard:
        """Verify and read one callback; what is not the channel's says nothing."""
        if not await self._is_signed(callback.headers, wire.notice_text(callback.body)):
            return Heard(None, NOT_YOURS, NOT_YOURS)
        try:
            told = wire.read_told(callback.body)
        except Unreadable:
            return Heard(None, NOT_YOURS, NOT_YOURS)
        is_fresh = wire.is_in_window(told.at, self._clock.real_ms())
        if not is_fresh or told.shop != self._settings.shop:
            return Heard(None, NOT_YOURS, NOT_YOURS)
        outcome = _refunded(told) if told.refund else _verdict(told)
        return Heard(Notice(told.order, outcome, told.refund or None), TAKEN, NOT_NOW)

    # --- the way there and back ------------------------------------------------------------

    def _payment(self, order: PayOrder) -> Ask:
        return Ask(
            shop=self._settings.shop,
            at=self._now_s(),
            order=order.out_trade_no,
            amount=order.amount,
            currency=order.currency,
            way=order.way,
            wallet=order.wallet or "",
            auth_code=order.auth_code or "",
            title=order.subject or "",
            expires_at=order.expires_at or 0,
            notify_url=self._settings.notify_url,
        )

    def _about(self, order: OrderRef) -> Ask:
        return Ask(self._settings.shop, self._now_s(), order.out_trade_no)

    def _about_refund(self, order: RefundOrder) -> Ask:
        return Ask(
            self._settings.shop,
            self._now_s(),
            order.out_trade_no,
            amount=order.amount,
            refund=order.out_refund_no,
            total=order.total,
            notify_url=self._settings.notify_url,
        )

    def _now_s(self) -> int:
        return self._clock.real_ms() // 1000

    async def _ask_again(self, verb: str, ask: Ask) -> Told | Unknown:
        """A call that is repeated until it is answered: not sent is only one more doubt."""
        try:
            return await self._ask(verb, ask)
        except NotSent:
            return Unknown("not sent")

    async def _ask(self, verb: str, ask: Ask) -> Told | Unknown:
        """One exchange. Only what is signed and about this very order is told. Raise NotSent."""
        body = wire.encode(ask)
        signature = wire.write_signature(await self._signer.sign(wire.request_text(verb, body)))
        request = HttpRequest(
            "POST",
            f"{self._settings.base_url}/v1/{verb}",
            {"Content-Type": "application/json", wire.HEADER: signature},
            body,
            self._settings.timeout_s,
        )
        try:
            answer = await self._http.send(request)
        except NoAnswer:
            return Unknown("no answer")
        if answer.status != 200:
            return Unknown(f"HTTP {answer.status}")
        if not await self._is_signed(answer.headers, wire.answer_text(signature, answer.body)):
            return Unknown("an answer with a wrong signature")
        try:
            told = wire.read_told(answer.body)
        except Unreadable:
            return Unknown("an answer that cannot be read")
        if (told.shop, told.order, told.refund) != (ask.shop, ask.order, ask.refund):
            return Unknown("an answer about something else")
        return Unknown("system error") if told.state == "error" else told

    async def _is_signed(self, headers: Mapping[str, str], text: bytes) -> bool:
        try:
            signature = wire.read_signature(headers.get(wire.HEADER, ""))
        except Unreadable:
            return False
        return await self._verifier.verify(text, signature)


def _verdict(told: Told) -> Outcome:
    """What an answer or notice says of the money."""
    if told.state == "paid" and told.amount > 0 and told.channel_no:
        if told.currency not in CURRENCIES:
            return Unknown("an amount in another currency")
        return Approved(
            told.order,
            told.amount,
            told.channel_no,
            told.payer_amount or None,
            told.settle_amount or None,
            tuple(Discount(funder, amount) for funder, amount in told.discounts),
            told.done_at or None,
        )
    if told.state == "refused" and told.reason in REASONS:
        code, message = REASONS[told.reason]
        return Declined(code, message, told.reason)
    if told.state in OVER:
        return Unpaid(told.state)
    return Unknown("an answer that we do not know")


def _refunded(told: Told | Unknown) -> Outcome:
    if isinstance(told, Unknown):
        return told
    if told.state == "refunded" and told.amount > 0 and told.channel_no:
        at = told.done_at or None
        return Approved(told.order, told.amount, told.channel_no, channel_at=at)
    return Unknown("an answer that we do not know")
