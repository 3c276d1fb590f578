"""The connector of WeChat Pay v3: our questions to its calls, its answers to our outcomes.

What an outcome may rest on. WeChat Pay signs its 200 and 204 answers and its callbacks, and
nothing else: a refusal (4xx) comes unsigned. So:

- A success, "closed", "reversed", a refund made: only from a verified answer about our order,
  merchant and app. A 2xx that does not verify is Unknown, whatever stands in it.
- A refusal at the door (wrong parameters, permission, rate, signature) is believed as it is. It is
  about the request and not about an order, so there is nothing signed that could confirm it; who
  could forge it has broken TLS and could as well not answer. No money was asked for.
- A refusal to show a code or a prepay id is believed: nobody was shown anything to pay.
- A payment code that was declined for the payer's reasons ends the payment and sends the shop to
  ask for money again. Before that is said, the order is queried: a verified answer that says paid,
  or that the payer is at it, stands above the refusal, and no verified answer and no refusal of
  the query either means Unknown. Where the query finds no order there is nothing that could be
  signed, and two refusals agree.
- A refused refund is queried likewise: else a second refund might be made of it.
- A refusal because of the order number's history (used, paid, closed) says nothing about this
  attempt's money: Unknown, and the query will tell.
- What is no refusal (5xx, 202, a code that nobody documented) is Unknown.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Final
from urllib.parse import quote

import msgspec
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
from payments.channels.fetching import AskedBill, Fetched
from payments.channels.transport import Callback, CallbackAnswer, Heard, HttpClient, Signer
from payments.channels.wechat import orders, wire
from payments.channels.wechat.calls import Calls, Lost, Refused, Said, Verified
from payments.channels.wechat.crypto import WireError
from payments.channels.wechat.fetch import fetch
from payments.channels.wechat.keys import PlatformKeys, Resource
from payments.channels.wechat.orders import Parties, RefundShown, Transaction
from payments.channels.wechat.requests import (
    WeChatSettings,
    order_body,
    order_kind,
    parties_of,
    refund_body,
)
from payments.channels.wechat.sharing import WeChatSharing
from payments.channels.wechat.sharing_news import is_sharing, number_told
from payments.clock import Clock
from payments.payment import Way

CALLBACK_MAX_BYTES: Final = 262_144
"""No callback is longer; what is longer is refused unread."""

REFUSED_PAYER: Final = {
    "NOT_ENOUGH": "insufficient_funds",
    "NOTENOUGH": "insufficient_funds",
    "AUTHCODEEXPIRE": "auth_code_expired",
    "AUTH_CODE_EXPIRE": "auth_code_expired",
    "AUTH_CODE_EXPIRED": "auth_code_expired",
    "AUTH_CODE_INVALID": "auth_code_expired",
    "AUTH_CODE_ERROR": "auth_code_expired",
    "AUTH_CODE_USED": "auth_code_used",
    "AUTHCODEUSED": "auth_code_used",
    "USER_CANCEL": "payer_canceled",
    "PAYERCANCEL": "payer_canceled",
    "RULE_LIMIT": "limit_exceeded",
    "USER_ACCOUNT_ABNORMAL": "declined",
    "ACCOUNT_ERROR": "declined",
    "NOTSUPORTCARD": "declined",
    "TRADE_ERROR": "declined",
}
"""Their codes for the payer's side, newer and older spellings, to our API's failure codes."""

REFUSED_BY_CHANNEL: Final = frozenset(
    {
        "NO_AUTH",
        "NOAUTH",
        "SIGN_ERROR",
        "FREQUENCY_LIMITED",
        "RATELIMIT_EXCEEDED",
        "APPID_MCHID_NOT_MATCH",
        "MCH_NOT_EXISTS",
    }
)
"""At the door, for the account's reasons: another channel may be asked."""

REFUSED_REQUEST: Final = frozenset({"PARAM_ERROR"})
"""At the door, for what we sent."""

ALREADY_PAID: Final = frozenset({"ORDERPAID", "ORDER_PAID"})
NO_SUCH_ORDER: Final = frozenset({"ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS", "ORDERNOTEXIST"})
CLOSED: Final = frozenset({"ORDER_CLOSED", "ORDERCLOSED"})
REFUND_REFUSALS: Final = frozenset(
    {
        "PARAM_ERROR",
        "INVALID_REQUEST",
        "NOT_ENOUGH",
        "RULE_LIMIT",
        "TRADE_ERROR",
        "USER_ACCOUNT_ABNORMAL",
        "NO_AUTH",
        "MCH_NOT_EXISTS",
        "RESOURCE_NOT_EXISTS",
        "ORDER_NOT_EXIST",
    }
)
"""Definite refusals of a refund; all others are repeated under the same number."""

MESSAGES: Final = {
    "insufficient_funds": "the payer's balance is too low",
    "auth_code_expired": "the auth code is not valid any more; ask the payer for a new one",
    "auth_code_used": "the auth code was used before; ask the payer for a new one",
    "payer_canceled": "the payer canceled",
    "limit_exceeded": "a limit of the payer or of the channel is exceeded",
    "declined": "the payment was declined",
}
"""Our own words: theirs are unsigned, and in whatever language."""

NOT_SIGNED: Final = Unknown("the wallet's parameters could not be signed in time")
OK_CALLBACK: Final = CallbackAnswer(204, "application/json", b"")
_DIRECT: Final = "/v3/pay/transactions"
_PARTNER: Final = "/v3/pay/partner/transactions"
_REFUNDS: Final = "/v3/refund/domestic/refunds"


class _News(Struct, frozen=True):
    """A callback's body."""

    event_type: str
    resource: Resource


class WeChatChannel:
    """One account at WeChat Pay. See `Channel` and `TakesCallbacks`; nothing in here raises."""

    def __init__(
        self,
        settings: WeChatSettings,
        http: HttpClient,
        signer: Signer,
        keys: PlatformKeys,
        clock: Clock,
        random: Random,
        encrypt: Callable[[str], str] | None = None,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._path = _PARTNER if settings.is_partner else _DIRECT
        self._calls = Calls(
            settings.base_url,
            settings.mchid,
            settings.merchant_serial,
            settings.public_key_id,
            http,
            signer,
            keys,
            clock,
            random,
        )
        self.sharing = WeChatSharing(settings, self._calls, encrypt, clock)

    async def start(self) -> None:
        """Learn the platform certificates where answers are signed with them. Without, the first
        answer asks for them.
        """
        if self._settings.public_key_id is None:
            await self._calls.download()

    # --- payments ------------------------------------------------------------------------------

    async def pay(self, order: PayOrder) -> Outcome:
        """A payment code is charged at once; everything else shows the payer something."""
        settings = self._settings
        if order.currency != settings.currency or order.wallet not in (None, "wechat"):
            return Declined("channel_error", "the account may not do this", not_sent=True)
        kind = order_kind(order)
        if isinstance(kind, Declined):
            return kind
        said = await self._calls.post(
            f"{self._path}/{kind}", order_body(settings, kind, order), settings.pay_timeout_s
        )
        if isinstance(said, Lost):
            return _lost(said)
        if isinstance(said, Refused):
            return await self._pay_refused(order, said)
        if kind == "codepay":
            return self._order_said(said.body, order.out_trade_no, order.merchant)
        link = orders.read(said.body, orders.Link)
        return Unknown("no link") if link is None else await self._shown(kind, order, link)

    async def _pay_refused(self, order: PayOrder, said: Refused) -> Outcome:
        code = said.code
        if code == "USERPAYING":
            return Awaiting() if order.way == Way.BARCODE else Unknown(code)
        if not 400 <= said.status < 500:
            return Unknown(_reason(said))
        if code in REFUSED_BY_CHANNEL:
            return Declined("channel_error", "the channel refused the account", code, not_sent=True)
        if code in REFUSED_REQUEST:
            return Declined("channel_error", "the channel refused the request", code)
        if (ours := REFUSED_PAYER.get(code)) is None:
            return Unknown(_reason(said))
        declined = Declined(ours, MESSAGES[ours], code)
        if order.way != Way.BARCODE:
            return declined
        seen = await self.inquire(_ref(order))
        return declined if isinstance(seen, Declined | Unpaid) else seen

    async def _shown(self, kind: str, order: PayOrder, link: orders.Link) -> Outcome:
        """What the payer is shown, signed where the wallet wants it signed. A link of another kind
        than was asked for is the answer to another question."""
        if not {"native": link.code_url, "h5": link.h5_url}.get(kind, link.prepay_id):
            return Unknown("no link of this kind in the answer")
        if kind == "native":
            return Awaiting(code=link.code_url)
        if kind == "h5":
            back = order.return_url
            url = link.h5_url if back is None else _with_query(link.h5_url, "redirect_url", back)
            return Awaiting(pay_url=url)
        settings = self._settings
        appid = settings.sub_appid or settings.appid
        timestamp, nonce = self._calls.stamp()
        if order.way == Way.APP:
            text = wire.app_text(appid, timestamp, nonce, link.prepay_id)
            made = await self._calls.sign(text)
            if made is None:
                return NOT_SIGNED
            params = wire.app_params(appid, settings.mchid, timestamp, nonce, link.prepay_id, made)
            return Awaiting(client_params=params)
        package = f"prepay_id={link.prepay_id}"
        made = await self._calls.sign(wire.jsapi_text(appid, timestamp, nonce, package))
        if made is None:
            return NOT_SIGNED
        return Awaiting(client_params=wire.jsapi_params(appid, timestamp, nonce, package, made))

    async def inquire(self, ref: OrderRef) -> Outcome:
        ours = self._parties(ref.merchant)
        query = f"mchid={_quoted(ours.mchid)}"
        if self._settings.is_partner:
            query = f"sp_mchid={_quoted(ours.sp_mchid)}&sub_mchid={_quoted(ours.sub_mchid)}"
        said = await self._calls.get(
            f"{self._order_path(ref)}?{query}", self._settings.ask_timeout_s
        )
        if isinstance(said, Verified):
            return self._order_said(said.body, ref.out_trade_no, ref.merchant)
        if isinstance(said, Refused) and said.status == 404 and said.code in NO_SUCH_ORDER:
            return Unpaid("absent")
        return Unknown(_why(said))

    async def reverse(self, ref: OrderRef) -> Outcome:
        """Undo a payment code's order: money goes back, an unpaid number is closed for ever."""
        ours = self._parties(ref.merchant)
        body = self._merchants(ours)
        if self._settings.is_partner:
            body["sp_appid"] = self._settings.appid
        else:
            body["appid"] = self._settings.appid
        said = await self._calls.post(
            f"{self._order_path(ref)}/reverse", body, self._settings.ask_timeout_s
        )
        if isinstance(said, Verified):
            undone = orders.read(said.body, orders.Undone)
            if undone is None or undone.out_trade_no != ref.out_trade_no:
                return Unknown("an answer about another order")
            if undone.parties != ours:
                return Unknown("an answer about another merchant or app")
            if undone.trade_state is not None:
                # Signed, and about our order: but "found" is not "undone".
                return Unknown("an answer to another question")
            return Approved(ref.out_trade_no, ref.amount)
        return self._undo_refused(said)

    async def close(self, ref: OrderRef) -> Outcome:
        """End an order that nobody paid. A paid one refuses: Declined."""
        said = await self._calls.post(
            f"{self._order_path(ref)}/close",
            self._merchants(self._parties(ref.merchant)),
            self._settings.ask_timeout_s,
        )
        if isinstance(said, Verified):
            # "Closed" has no content; what has one is the answer to another question.
            is_closed = said.body == b""
            return Approved(ref.out_trade_no, ref.amount) if is_closed else Unknown(_why(said))
        if not isinstance(said, Refused) or said.code not in CLOSED | ALREADY_PAID:
            return self._undo_refused(said)
        # "It is over": how, only a verified answer may say.
        seen = await self.inquire(ref)
        if isinstance(seen, Approved):
            return Declined("channel_error", "the order is paid", "ORDERPAID")
        return seen if isinstance(seen, Unpaid) else Unknown(_why(said))

    def _undo_refused(self, said: Said) -> Outcome:
        if not isinstance(said, Refused) or not 400 <= said.status < 500 or not said.code:
            return Unknown(_why(said))
        if said.code in NO_SUCH_ORDER:
            return Unpaid("absent")
        if said.code in REFUSED_BY_CHANNEL | REFUSED_REQUEST:
            return Unknown(_reason(said))
        return Declined("channel_error", "the channel does not undo the order", said.code)

    # --- refunds -------------------------------------------------------------------------------

    async def refund(self, order: RefundOrder) -> Outcome:
        body = refund_body(self._settings, order)
        said = await self._calls.post(_REFUNDS, body, self._settings.refund_timeout_s)
        if isinstance(said, Verified):
            return self._refund_said(said.body, order)
        if not isinstance(said, Refused) or said.code not in REFUND_REFUSALS:
            return Unknown(_why(said))
        if not 400 <= said.status < 500:
            return Unknown(_reason(said))
        seen = await self.inquire_refund(order)
        if isinstance(seen, Unpaid):
            return Declined("channel_error", "the channel refused the refund", said.code)
        return seen

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        target = f"{_REFUNDS}/{quote(order.out_refund_no, safe='')}"
        if self._settings.is_partner:
            target += f"?sub_mchid={_quoted(self._parties(order.merchant).sub_mchid)}"
        said = await self._calls.get(target, self._settings.refund_timeout_s)
        if isinstance(said, Verified):
            return self._refund_said(said.body, order)
        if isinstance(said, Refused) and said.status == 404 and said.code in NO_SUCH_ORDER:
            return Unpaid("absent")
        return Unknown(_why(said))

    def _refund_said(self, body: bytes, order: RefundOrder) -> Outcome:
        shown = orders.read(body, RefundShown)
        if shown is None:
            return Unknown("an answer of another form")
        same = (shown.out_trade_no, shown.out_refund_no) == (
            order.out_trade_no,
            order.out_refund_no,
        )
        if not same:
            return Unknown("an answer about another refund")
        amounts = (shown.amount.refund, shown.amount.total, shown.amount.currency)
        if amounts != (order.amount, order.total, order.currency.upper()):
            return Unknown("an answer about another amount")
        return orders.refund_outcome(shown)

    # --- bills ---------------------------------------------------------------------------------

    async def fetch_bill(self, asked: AskedBill, files: HttpClient) -> Fetched:
        """See `FetchesBills`. In partner mode a merchant's bill is its sub-merchant's."""
        settings = self._settings
        sub_mchid = settings.sub_mchid_of(asked.merchant) if asked.merchant else None
        return await fetch(self._calls, asked, sub_mchid, settings.ask_timeout_s, files)

    # --- callbacks -----------------------------------------------------------------------------

    async def hear(self, callback: Callback) -> Heard:
        """Size, signature and its window, resource, whose it is: in this order. A duplicate says
        the same again.
        """
        if callback.method != "POST" or len(callback.body) > CALLBACK_MAX_BYTES:
            return _unheard(400, "not a callback")
        if why := await self._calls.distrust(callback.headers, callback.body):
            return _unheard(401, why)
        news = orders.read(callback.body, _News)
        if news is None:
            return _unheard(400, "not a callback")
        try:
            plain = self._keys.unseal(news.resource)
        except WireError as error:
            return _unheard(400, str(error))
        kind = news.resource.original_type or news.event_type
        if is_sharing(kind):
            return _hinted(number_told(plain))
        if kind == "transaction" or kind.startswith("TRANSACTION."):
            return self._hear_order(plain)
        if kind == "refund" or kind.startswith("REFUND."):
            return self._hear_refund(plain)
        return Heard(None, OK_CALLBACK, _fail(500, "try again"))

    def _hear_order(self, plain: bytes) -> Heard:
        shown = orders.read(plain, Transaction)
        if shown is None:
            shared = number_told(plain)
            return _unheard(400, "not a callback") if shared is None else _hinted(shared)
        ours = self._known_parties(shown.sub_mchid)
        outcome = orders.outcome_of(shown, ours, None, self._settings.currency.upper())
        if shown.parties != ours:
            return _unheard(403, "another merchant or app")
        return _heard(Notice(shown.out_trade_no, outcome))

    def _hear_refund(self, plain: bytes) -> Heard:
        shown = orders.read(plain, RefundShown)
        if shown is None or shown.amount.refund < 1:
            return _unheard(400, "not a callback")
        ours = self._known_parties(shown.sub_mchid)
        if (shown.mchid, shown.sp_mchid, shown.sub_mchid) != (
            ours.mchid,
            ours.sp_mchid,
            ours.sub_mchid,
        ):
            return _unheard(403, "another merchant or app")
        outcome = orders.refund_outcome(shown)
        return _heard(Notice(shown.out_trade_no, outcome, shown.out_refund_no))

    # --- the account ---------------------------------------------------------------------------

    def _parties(self, merchant: str) -> Parties:
        return parties_of(self._settings, self._settings.sub_mchid_of(merchant))

    def _known_parties(self, sub_mchid: str | None) -> Parties:
        """Ours, with the sub-merchant that a callback names, if it is one of ours."""
        known = self._settings.known_sub_mchids
        return parties_of(self._settings, sub_mchid if sub_mchid in known else None)

    def _merchants(self, ours: Parties) -> dict[str, Any]:
        if self._settings.is_partner:
            return {"sp_mchid": ours.sp_mchid, "sub_mchid": ours.sub_mchid}
        return {"mchid": ours.mchid}

    def _order_path(self, ref: OrderRef) -> str:
        return f"{self._path}/out-trade-no/{quote(ref.out_trade_no, safe='')}"

    def _order_said(self, body: bytes, number: str, merchant: str) -> Outcome:
        shown = orders.read(body, Transaction)
        if shown is None:
            return Unknown("an answer of another form")
        currency = self._settings.currency.upper()
        return orders.outcome_of(shown, self._parties(merchant), number, currency)


def _ref(order: PayOrder) -> OrderRef:
    return OrderRef(
        order.out_trade_no,
        order.amount,
        order.currency,
        order.way,
        order.wallet,
        order.merchant,
        order.created,
    )


def _lost(said: Lost) -> Outcome:
    if said.sent:
        return Unknown(said.reason)
    return Declined("channel_error", "the channel could not be reached", not_sent=True)


def _reason(said: Refused) -> str:
    """Only a code that we know is repeated: the rest is whatever somebody sent."""
    return f"HTTP {said.status}"


def _why(said: Said) -> str:
    if isinstance(said, Lost):
        return said.reason
    return _reason(said) if isinstance(said, Refused) else "an unexpected answer"


def _quoted(value: str | None) -> str:
    return quote(value or "", safe="")


def _with_query(url: str, name: str, value: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{name}={quote(value, safe='')}"


def _fail(status: int, why: str) -> CallbackAnswer:
    body = msgspec.json.encode({"code": "FAIL", "message": why})
    return CallbackAnswer(status, "application/json", body)


def _unheard(status: int, why: str) -> Heard:
    refusal = _fail(status, why)
    return Heard(None, refusal, refusal)


def _hinted(number: str | None) -> Heard:
    """Verified, about divided money, and no proof of anything: the channel is asked."""
    return Heard(None, OK_CALLBACK, _fail(500, "try again"), number or "")


def _heard(notice: Notice) -> Heard:
    return Heard(notice, OK_CALLBACK, _fail(500, "try again"))
