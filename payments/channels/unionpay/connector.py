"""The connector of UnionPay: which dialect serves which way, and what stands for a reverse.

Barcode and jsapi go through the aggregated JSON interface, `qr` through ACP 5.1.0. UnionPay has
no reverse for a barcode payment, so `reverse` asks, closes what is unpaid, and refunds what is
paid, under a number that follows from the order's alone: repeated, it cannot refund twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from payments.channels.base import (
    Approved,
    Declined,
    OrderRef,
    Outcome,
    PayOrder,
    RefundOrder,
    Unknown,
    Unpaid,
)
from payments.channels.fetching import AskedBill, Fetched
from payments.channels.transport import Callback, Heard, HttpClient, NotSent, Signer, Verifier
from payments.channels.unionpay.acp import Acp
from payments.channels.unionpay.aggregate import WALLETS, Aggregate, undo
from payments.channels.unionpay.certificates import Trust
from payments.channels.unionpay.exchange import CNY, Doubt, UnionpaySettings, said
from payments.clock import Clock
from payments.payment import Way

NOT_OFFERED: Final = Declined("channel_error", "the account cannot do this", not_sent=True)
NOT_SENT: Final = Declined("channel_error", "the channel cannot be reached", not_sent=True)
OVER: Final = ("closed", "reversed")

HEARD: Final = said(200, b"success")
"""Both dialects are content: JSON wants this word, ACP the status."""

NOT_BELIEVED: Final = said(401, b"fail")
NOT_KEPT: Final = said(503, b"fail")
FORM: Final = "application/x-www-form-urlencoded"


class UnionpayChannel:
    """One channel account. See `Channel` and `TakesCallbacks`.

    `signer`: the merchant's key for the JSON interface. `verifiers`: the platform's keys for it;
    several may be valid at once, for its answers name none. `trust`: whose certificates count in
    ACP's answers; None: no codes. `acp_signer`: the key of `settings.cert_id`, if another.
    """

    def __init__(
        self,
        settings: UnionpaySettings,
        http: HttpClient,
        signer: Signer,
        verifiers: Sequence[Verifier],
        clock: Clock,
        trust: Trust | None = None,
        acp_signer: Signer | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._json = Aggregate(settings, http, signer, verifiers, clock)
        self._acp: Acp | None = None
        if trust is not None:
            self._acp = Acp(settings, http, acp_signer or signer, trust, clock)

    # --- payments --------------------------------------------------------------------------

    async def pay(self, order: PayOrder) -> Outcome:
        """Pay, or show a code. A number that the channel knows already is asked about."""
        if order.currency != CNY or order.wallet not in WALLETS:
            return NOT_OFFERED
        try:
            if order.way is Way.BARCODE and order.auth_code:
                return await self._json.pay_barcode(order)
            if order.way is Way.JSAPI and order.payer:
                return await self._json.pay_js(order)
            if order.way is Way.QR and order.wallet == "unionpay" and self._acp is not None:
                return await self._acp.pay_qr(order)
            return NOT_OFFERED
        except NotSent:
            return NOT_SENT
        except Doubt as doubt:
            return Unknown(str(doubt))

    async def inquire(self, order: OrderRef) -> Outcome:
        return await _sure(lambda: self._inquire(order))

    async def close(self, order: OrderRef) -> Outcome:
        """End a code. One of ACP's ends by its own expiry only: until then the answer is Unpaid."""
        if order.way is Way.QR:
            acp = self._acp
            return NOT_OFFERED if acp is None else await _sure(lambda: acp.close(order))
        return await _sure(lambda: self._json.close(order))

    async def reverse(self, order: OrderRef) -> Outcome:
        """Query, close, refund if paid. Every step may be repeated, and the whole too."""
        return await _sure(lambda: self._reverse(order))

    async def _inquire(self, order: OrderRef) -> Outcome:
        if order.way is not Way.QR:
            return await self._json.inquire(order)
        return Unknown("no codes here") if self._acp is None else await self._acp.inquire(order)

    async def _reverse(self, order: OrderRef) -> Outcome:
        seen = await self.inquire(order)
        if (ended := await self._ended(order, seen)) is not None:
            return ended
        closed = await self.close(order)
        if isinstance(closed, Approved):
            return closed
        if isinstance(closed, Declined):
            # Paid, or over, since the query: only another one can tell.
            seen = await self.inquire(order)
            ended = await self._ended(order, seen)
            return ended or Unknown("neither closed nor paid")
        if isinstance(closed, Unpaid) and closed.state == "absent":
            return self._absent(order)
        return closed if isinstance(closed, Unknown) else Unknown("not closed yet")

    async def _ended(self, order: OrderRef, seen: Outcome) -> Outcome | None:
        """What a reverse answers for an order in this state; None: it is to be closed first."""
        if isinstance(seen, Approved):
            return await self._give_back(order)
        if isinstance(seen, Declined) or (isinstance(seen, Unpaid) and seen.state in OVER):
            return Approved(order.out_trade_no, order.amount)
        return None

    def _absent(self, order: OrderRef) -> Outcome:
        """Nothing closes a number that the channel does not know, and the request may be late."""
        if self._clock.now_ms() - order.created < self._settings.absent_final_ms:
            return Unknown("no such order yet")
        return Approved(order.out_trade_no, order.amount)

    async def _give_back(self, order: OrderRef) -> Outcome:
        refund = undo(order)
        outcome = await self.refund(refund)
        if isinstance(outcome, Unknown):
            outcome = await self.inquire_refund(refund)
        if isinstance(outcome, Approved):
            return Approved(order.out_trade_no, order.amount)
        if isinstance(outcome, Declined) and not outcome.not_sent:
            return outcome
        return Unknown("paid, and not given back yet")

    # --- refunds ---------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        if order.way is not Way.QR:
            return await _sure(lambda: self._json.refund(order))
        acp = self._acp
        return NOT_OFFERED if acp is None else await _sure(lambda: acp.refund(order))

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        if order.way is not Way.QR:
            return await _sure(lambda: self._json.inquire_refund(order))
        acp = self._acp
        if acp is None:
            return Unknown("no codes here")
        return await _sure(lambda: acp.inquire_refund(order))

    # --- bills -----------------------------------------------------------------------------

    async def fetch_bill(self, asked: AskedBill, files: HttpClient) -> Fetched:
        """See `FetchesBills`."""
        try:
            return await self._json.bill(asked, files)
        except NotSent:
            return Unknown("not sent")
        except Doubt as doubt:
            return Unknown(str(doubt))

    # --- callbacks -------------------------------------------------------------------------

    async def hear(self, callback: Callback) -> Heard:
        """JSON from the aggregated interface, a form from ACP."""
        kind = callback.headers.get("content-type", "").partition(";")[0].strip().lower()
        is_form = kind == FORM or not callback.body.lstrip().startswith(b"{")
        try:
            if is_form and self._acp is None:
                raise Doubt("no codes here")
            if is_form and self._acp is not None:
                notice = self._acp.hear(callback.body)
            else:
                notice = await self._json.hear(callback.body)
        except Doubt:
            return Heard(None, NOT_BELIEVED, NOT_BELIEVED)
        return Heard(notice, HEARD, NOT_KEPT)


async def _sure(call: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """The outcome; Unknown where there is none to believe. What was not sent is unknown, too."""
    try:
        return await call()
    except NotSent:
        return Unknown("not sent")
    except Doubt as doubt:
        return Unknown(str(doubt))
