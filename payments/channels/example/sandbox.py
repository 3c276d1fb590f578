"""The example channel's sandbox: the shared engine decides, this file speaks its wire.

A request with a wrong signature, from another shop or of another day is answered 401; one that
cannot be read 400; everything else is a signed answer, "error" and refusals too.
"""

from random import Random
from typing import Final

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from msgspec import Struct
from msgspec.structs import replace

from payments.channels.example import wire
from payments.channels.example.wire import Ask, Told, Unreadable
from payments.channels.sandbox.app import (
    STATUSES,
    Call,
    Route,
    SandboxApp,
    SandboxSettings,
    Silence,
    Trouble,
    spoiled,
)
from payments.channels.sandbox.books import Refund
from payments.channels.sandbox.courier import Plan, Post
from payments.channels.sandbox.turns import (
    Asked,
    AskedRefund,
    Kind,
    MovableClock,
    News,
    RefundKind,
    RefundTurn,
    Rules,
    Turn,
)

PLAN: Final = Plan(delays_s=(1.0, 5.0, 30.0, 300.0), timeout_s=5.0)
CODE_URL: Final = "https://pay.example/code/"

STATES: Final = {
    Kind.PAID: "paid",
    Kind.REFUNDED: "refunded",
    Kind.AWAITING: "waiting",
    Kind.DECLINED: "refused",
    Kind.CLOSED: "closed",
    Kind.REVERSED: "reversed",
    Kind.ABSENT: "absent",
    Kind.USED: "used",
    Kind.ERROR: "error",
}
REASONS: Final = {
    "insufficient_funds": "too_poor",
    "auth_code_expired": "code_expired",
    "declined": "declined",
}
REFUND_STATES: Final = {
    RefundKind.MADE: "refunded",
    RefundKind.ERROR: "error",
    RefundKind.PROCESSING: "error",
    RefundKind.ABSENT: "absent",
    RefundKind.UNPAID: "closed",
    RefundKind.USED: "used",
    RefundKind.EXCEEDS: "not_enough",
}


class ExampleKeys(Struct, frozen=True):
    """Who may ask, and whose answers these are."""

    shop: str
    shop_public: RSAPublicKey
    channel_private: RSAPrivateKey


class ExampleSandbox(SandboxApp):
    """One sandbox for one shop."""

    def __init__(
        self, keys: ExampleKeys, settings: SandboxSettings, clock: MovableClock, random: Random
    ) -> None:
        super().__init__(settings, clock, random, Rules(), PLAN)
        self._keys = keys

    def routes(self) -> list[Route]:
        return [Route("POST", f"/v1/{verb}", self.answer, verb) for verb in wire.VERBS]

    async def answer(self, call: Call) -> web.Response:
        """Every verb alike: check, decide, sign."""
        verb = call.request.path.rsplit("/", 1)[1]
        signature = call.request.headers.get(wire.HEADER, "")
        if not self._is_shop(signature, wire.request_text(verb, call.raw)):
            return web.Response(status=401)
        try:
            ask = wire.read_ask(call.raw)
        except Unreadable:
            return web.Response(status=400)
        is_fresh = wire.is_in_window(ask.at, self.clock.real_ms())
        if not is_fresh or ask.shop != self._keys.shop:
            return web.Response(status=401)
        told, is_spoiled = self._decide(verb, ask)
        body = wire.encode(told)
        text = wire.answer_text(signature, body)
        sealed = self._seal(text, spoil=is_spoiled or call.unsigned)
        return web.Response(body=body, content_type="application/json", headers=sealed)

    async def trouble(self, trouble: Trouble, request: web.Request, raw: bytes) -> web.Response:
        """Unsigned: a client knows no more than that nothing is known."""
        return web.Response(status=STATUSES[trouble])

    # --- decisions -------------------------------------------------------------------------

    def _decide(self, verb: str, ask: Ask) -> tuple[Told, bool]:
        """The answer, and whether its signature is to be wrong."""
        if verb == "refund":
            asked = AskedRefund(
                ask.order, ask.refund, ask.amount, ask.total, notify_url=ask.notify_url or None
            )
            return self._refund_told(ask, self.engine.refund(asked)), False
        if verb == "refund-query":
            return self._refund_told(ask, self.engine.inquire_refund(ask.refund, ask.order)), False
        if verb == "pay":
            turn = self._pay(ask)
        elif verb == "query":
            turn = self.engine.inquire(ask.order)
        else:
            turn = (self.engine.reverse if verb == "reverse" else self.engine.close)(ask.order)
        if turn.kind is Kind.SILENT:
            raise Silence
        return self._told(ask.order, turn), turn.unsigned

    def _pay(self, ask: Ask) -> Turn:
        return self.engine.pay(
            Asked(
                ask.order,
                ask.amount,
                ask.currency,
                ask.way,
                ask.wallet or None,
                ask.auth_code or None,
                fingerprint=f"{ask.currency} {ask.way} {ask.wallet} {ask.auth_code}",
                expires_ms=ask.expires_at,
                notify_url=ask.notify_url or None,
            )
        )

    def _told(self, order: str, turn: Turn) -> Told:
        """An order as the wire says it."""
        shop, state = self._keys.shop, STATES[turn.kind]
        if turn.order is None or turn.kind in (Kind.ERROR, Kind.USED):
            return Told(shop, order, state)
        known = turn.order
        if turn.kind is not Kind.PAID:
            code = CODE_URL + order if known.way != "barcode" and state == "waiting" else ""
            reason = REASONS[turn.failure] if turn.failure else ""
            return Told(shop, order, state, code=code, reason=reason)
        return Told(
            shop,
            order,
            state,
            amount=turn.amount,
            currency=known.currency,
            channel_no=known.trade_no,
            payer_amount=turn.payer_amount,
            settle_amount=turn.settle_amount,
            discounts=tuple((each.funder, each.amount) for each in turn.discounts),
            done_at=known.paid_ms,
        )

    def _refund_told(self, ask: Ask, turn: RefundTurn) -> Told:
        told = Told(
            self._keys.shop, ask.order, REFUND_STATES.get(turn.kind, "bad"), refund=ask.refund
        )
        if turn.kind is not RefundKind.MADE:
            return told
        order, refund = turn.known
        return self._refund_made(order.number, refund)

    def _refund_made(self, order: str, refund: Refund) -> Told:
        return Told(
            self._keys.shop,
            order,
            "refunded",
            amount=refund.amount,
            channel_no=refund.trade_no,
            refund=refund.number,
            done_at=refund.made_ms,
        )

    # --- callbacks -------------------------------------------------------------------------

    async def post(self, news: News, attempt: int) -> Post | None:
        """Payments and refunds are told; how an order ended unpaid is not."""
        if news.kind not in (Kind.PAID, Kind.REFUNDED) or news.notify_url is None:
            return None
        refund, view = news.refund, self.engine.view(news.order)
        if refund is None:
            told = self._told(news.order.number, view)
        else:
            told = self._refund_made(news.order.number, refund)
        body = wire.encode(replace(told, at=self.clock.real_ms() // 1000))
        sealed = self._seal(wire.notice_text(body), spoil=view.unsigned)
        return Post(news.notify_url, {"Content-Type": "application/json", **sealed}, body)

    def accepted(self, status: int, body: bytes) -> bool:
        return status == 200 and body == wire.SUCCESS

    # --- signatures ------------------------------------------------------------------------

    def _seal(self, text: bytes, *, spoil: bool) -> dict[str, str]:
        signature = self._keys.channel_private.sign(text, PKCS1v15(), SHA256())
        signature = spoiled(signature) if spoil else signature
        return {wire.HEADER: wire.write_signature(signature)}

    def _is_shop(self, signature: str, text: bytes) -> bool:
        try:
            raw = wire.read_signature(signature)
            self._keys.shop_public.verify(raw, text, PKCS1v15(), SHA256())
        except (Unreadable, InvalidSignature):
            return False
        return True
