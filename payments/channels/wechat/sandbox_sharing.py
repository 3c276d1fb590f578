"""The sandbox's profit sharing: receivers, orders, returns, letting go, amounts, the ratio.

Source: WeChat Pay API v3, "profit sharing", direct and for a partner's sub-merchant. An order is
answered as being processed and is done when it is asked about. The same number again gets the same
order if all parameters are the same. A part for a receiver that was never named is closed
(`NO_RELATION`); what a part that was closed asked for is the merchant's.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from payments.channels.sandbox.app import Call
from payments.channels.sandbox.books import PAID, Books, Noted, Order
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.turns import News, given_back
from payments.channels.wechat import crypto
from payments.channels.wechat import sandbox_sharing_books as log
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.errors import Refusal, wrong_field
from payments.channels.wechat.sandbox_door import Caller
from payments.channels.wechat.sandbox_fields import read
from payments.channels.wechat.sandbox_keys import Account, Keyring
from payments.channels.wechat.sandbox_news import SharedNews, of_part, of_return
from payments.channels.wechat.sandbox_orders import FLAG
from payments.channels.wechat.sandbox_sharing_books import Part, Position, Return, Shared, Sharing
from payments.channels.wechat.sandbox_sharing_fields import (
    ADD_RULES,
    DELETE_RULES,
    ORDER_RULES,
    REST_RULES,
    RETURN_RULES,
)
from payments.channels.wechat.sandbox_view import digest, shanghai
from payments.clock import Clock

HOLDERS_NOTE: Final = "sharing_receivers"
RATIOS_NOTE: Final = "sharing_ratios"
URLS_NOTE: Final = "sharing_urls"
HOLDERS_MAX: Final = 20_000
"""Receivers that one merchant can have named."""

Answering = Callable[[Call, Caller], dict[str, Any]]


class ProfitSharing:
    """`share_ms`: how long an order or a return is processed. `ratio`: the limit of whoever has
    not set one; see `wire.RATIO_MAX`.
    """

    def __init__(
        self,
        account: Account,
        keys: Keyring,
        engine: Engine,
        books: Books,
        clock: Clock,
        share_ms: int = 0,
        ratio: int = wire.RATIO_MAX,
    ) -> None:
        self._account = account
        self._keys = keys
        self._engine = engine
        self._books = books
        self._clock = clock
        self.share_ms = share_ms
        self.ratio = ratio
        self.tell: Callable[[News], None] | None = None
        """Brings a callback to a receiver."""
        self._orders: dict[tuple[str, str], Order] = {}
        self._returns: dict[tuple[str, str], Order] = {}
        for order in books:
            self._index(order, log.shared_of(order))

    def calls(self) -> tuple[tuple[str, str, str, Answering], ...]:
        """Method, path, operation and answer of every endpoint."""
        one_order, one_return = (
            f"{wire.ORDERS}/{{out_order_no}}",
            f"{wire.RETURNS}/{{out_return_no}}",
        )
        return (
            ("POST", wire.UNFREEZE, "unfreeze", self.unfreeze),
            ("POST", wire.ORDERS, "share", self.share),
            ("GET", one_order, "inquire_share", self.query),
            ("POST", wire.RETURNS, "take_back", self.take_back),
            ("GET", one_return, "inquire_return", self.query_return),
            ("POST", wire.ADD_RECEIVER, "register", self.add),
            ("POST", wire.DELETE_RECEIVER, "forget", self.delete),
            ("GET", f"{wire.TRANSACTIONS}/{{transaction_id}}/amounts", "unsplit", self.amounts),
            ("GET", f"{wire.CONFIGS}/{{sub_mchid}}", "ratio", self.ratio_of),
        )

    def _index(self, order: Order, shared: Shared) -> None:
        self._orders.update({(order.merchant, number): order for number in shared.orders})
        self._returns.update({(order.merchant, number): order for number in shared.returns})

    def _keep(self, order: Order, shared: Shared) -> None:
        self._books.record(Noted(order.serial, log.NOTE, log.noted(shared)))
        self._engine.flush()
        self._index(order, shared)

    # --- sharing ---------------------------------------------------------------------------------

    def share(self, call: Call, caller: Caller) -> dict[str, Any]:
        """POST orders."""
        body = read(call.raw, ORDER_RULES)
        merchant = self._merchant(body.get("sub_mchid"), caller, "body")
        self._check_app(body["appid"], caller)
        for at, receiver in enumerate(body.get("receivers") or ()):
            self._check_name(receiver.get("name"), f"/receivers/{at}/name", caller)
        order, shared = self._of(body["transaction_id"], merchant)
        asked = self._fingerprint(body)
        if (before := self._before(shared, merchant, body["out_order_no"], asked)) is not None:
            return self._shown(order, before)
        receivers = body.get("receivers") or []
        self._refuse(order, shared, receivers, settles=body["unfreeze_unsplit"])
        made = self._made(order, shared, body["out_order_no"], asked)
        holders = self._holders(merchant)
        for at, receiver in enumerate(receivers):
            made.parts.append(_part(made, at, receiver, holders))
        shared.orders[made.number] = made
        if body["unfreeze_unsplit"]:
            made.let_go = self.position(order, shared).held
            shared.is_over = True
        self._keep(order, shared)
        for part in made.parts:
            if not part.reason and part.type == wire.MERCHANT_ID:
                self._tell(part.account, partial(of_part, order, made, part))
        return self._shown(order, made)

    def unfreeze(self, call: Call, caller: Caller) -> dict[str, Any]:
        """POST orders/unfreeze: all that is held back is the merchant's."""
        body = read(call.raw, REST_RULES)
        merchant = self._merchant(body.get("sub_mchid"), caller, "body")
        order, shared = self._of(body["transaction_id"], merchant)
        asked = self._fingerprint(body)
        if (before := self._before(shared, merchant, body["out_order_no"], asked)) is not None:
            return self._shown(order, before)
        self._refuse(order, shared, [], settles=True)
        made = self._made(order, shared, body["out_order_no"], asked)
        made.is_rest, made.let_go = True, self.position(order, shared).held
        shared.orders[made.number], shared.is_over = made, True
        self._keep(order, shared)
        return self._shown(order, made)

    def query(self, call: Call, caller: Caller) -> dict[str, Any]:
        """GET orders/{out_order_no}"""
        merchant = self._merchant(call.request.query.get("sub_mchid"), caller, "query")
        if not (trade_no := call.request.query.get("transaction_id")):
            raise wrong_field("/transaction_id", None, "is required", "query")
        order, shared = self._of(trade_no, merchant)
        found = shared.orders.get(call.request.match_info["out_order_no"])
        if found is None:
            raise Refusal("RESOURCE_NOT_EXISTS")
        return self._shown(order, found, is_asked=True)

    def amounts(self, call: Call, caller: Caller) -> dict[str, Any]:
        """GET transactions/{transaction_id}/amounts: a partner names no sub-merchant here."""
        trade_no = call.request.match_info["transaction_id"]
        order = self._engine.by_trade_no(trade_no)
        ours = self._account.sub_mchids if caller.is_partner else (self._account.mchid,)
        if order is None or order.merchant not in ours or order.state != PAID:
            raise Refusal("RESOURCE_NOT_EXISTS")
        held = self.position(order, log.shared_of(order)).held if order.extra.get(FLAG) else 0
        return {"transaction_id": trade_no, "unsplit_amount": held}

    def ratio_of(self, call: Call, caller: Caller) -> dict[str, Any]:
        """GET merchant-configs/{sub_mchid}"""
        sub_mchid = call.request.match_info["sub_mchid"]
        if not caller.is_partner or sub_mchid not in self._account.sub_mchids:
            raise Refusal("NO_AUTH")
        return {"sub_mchid": sub_mchid, "max_ratio": self._ratio(sub_mchid)}

    def set_ratio(self, merchant: str, ratio: int) -> None:
        """What a merchant lets be shared from now on, in hundredths of a percent."""
        ratios = {**self._books.notes.get(RATIOS_NOTE, {}), merchant: ratio}
        self._books.record(Noted(0, RATIOS_NOTE, ratios))
        self._engine.flush()

    def set_url(self, account: str, url: str) -> None:
        """Where a receiver wants to be told of its parts; empty for nowhere."""
        urls = {**self._books.notes.get(URLS_NOTE, {}), account: url}
        self._books.record(Noted(0, URLS_NOTE, urls))
        self._engine.flush()

    def _tell(self, account: str, news: Callable[[int, str], SharedNews]) -> None:
        """Tell a receiver once it is done, if it wants to know: by real time, as callbacks are."""
        url = self._books.notes.get(URLS_NOTE, {}).get(account, "")
        if not url or self.tell is None:
            return
        made = news(self._clock.now_ms() + self.share_ms, url)
        asyncio.get_running_loop().call_later(self.share_ms / 1000, self.tell, made)

    def _ratio(self, merchant: str) -> int:
        set_to: int = self._books.notes.get(RATIOS_NOTE, {}).get(merchant, self.ratio)
        return set_to

    def position(self, order: Order, shared: Shared) -> Position:
        """Where the money of an order is."""
        settled, paid = self._engine.taken(order)
        refunded = given_back(order.amount, settled, paid, order.committed)[0]
        return log.position(order, shared, settled, refunded, self._clock.now_ms())

    def _refuse(
        self, order: Order, shared: Shared, receivers: list[dict[str, Any]], *, settles: bool
    ) -> None:
        """Raise Refusal where this may not be shared, or not so much."""
        if not order.extra.get(FLAG):
            raise Refusal("INVALID_REQUEST", "非分账订单不支持分账")
        if log.is_over(order, shared, self._clock.now_ms()):
            raise Refusal("INVALID_REQUEST", "订单已完结分账或已超过分账期限")
        if not receivers:
            if not settles:
                raise wrong_field("/receivers", None, "is required")
            return
        accounts = [(each["type"], each["account"]) for each in receivers]
        if len(set(accounts)) < len(accounts):
            raise wrong_field("/receivers", None, "a receiver comes twice")
        total = sum(each["amount"] for each in receivers)
        where = self.position(order, shared)
        settled = self._engine.taken(order)[0]
        if total > where.held:
            raise Refusal("NOT_ENOUGH", "分账金额不足")
        if where.asked + total > wire.share_max(settled, self._ratio(order.merchant)):
            raise Refusal("RULE_LIMIT", "分账金额超出最大分账比例")

    # --- taking back -----------------------------------------------------------------------------

    def take_back(self, call: Call, caller: Caller) -> dict[str, Any]:
        """POST return-orders"""
        body = read(call.raw, RETURN_RULES)
        merchant = self._merchant(body.get("sub_mchid"), caller, "body")
        order, shared, of = self._shared_by(body, merchant)
        number, asked = body["out_return_no"], self._fingerprint(body)
        known = self._returns.get((merchant, number))
        if known is not None:
            before = log.shared_of(known).returns[number]
            if known is not order or before.fingerprint != asked:
                raise Refusal("INVALID_REQUEST", "商户回退单号重复且参数不一致")
            return self._return_shown(of, before)
        now, account = self._clock.now_ms(), body["return_mchid"]
        if now - of.created_ms > wire.RETURN_DAYS_MAX * log.DAY_MS:
            raise Refusal("INVALID_REQUEST", "已超过可回退的期限")
        if not log.is_done(of, now, self.share_ms):
            raise Refusal("INVALID_REQUEST", "分账处理中，暂不支持回退")
        if not any((p.type, p.account) == (wire.MERCHANT_ID, account) for p in of.parts):
            raise Refusal("INVALID_REQUEST", "回退方不是该分账单的接收方")
        if body["amount"] > log.returnable(shared, of.number, account):
            raise Refusal("NOT_ENOUGH", "回退金额超过可回退金额")
        serial = len(shared.returns) + 1
        reason = log.RETURN_ENDINGS.get(account[-4:], "")
        made = Return(
            number, f"3009{order.trade_no[4:]}{serial:02d}", of.number, account, body["amount"],
            body["description"], asked, now, reason,
        )  # fmt: skip
        shared.returns[number] = made
        self._keep(order, shared)
        if not reason:
            self._tell(account, partial(of_return, order, made))
        return self._return_shown(of, made)

    def query_return(self, call: Call, caller: Caller) -> dict[str, Any]:
        """GET return-orders/{out_return_no}"""
        merchant = self._merchant(call.request.query.get("sub_mchid"), caller, "query")
        if not (number := call.request.query.get("out_order_no")):
            raise wrong_field("/out_order_no", None, "is required", "query")
        order = self._returns.get((merchant, call.request.match_info["out_return_no"]))
        if order is None:
            raise Refusal("RESOURCE_NOT_EXISTS")
        shared = log.shared_of(order)
        found = shared.returns[call.request.match_info["out_return_no"]]
        if found.of != number:
            raise Refusal("RESOURCE_NOT_EXISTS")
        return self._return_shown(shared.orders[number], found, is_asked=True)

    def refuse_refund(self, order: Order, number: str, amount: int) -> None:
        """Raise Refusal where a new refund needs money that the receivers have."""
        if not order.extra.get(FLAG) or order.state != PAID or number in order.refunds:
            return
        settled, paid = self._engine.taken(order)
        back = given_back(order.amount, settled, paid, order.committed)[0]
        after = given_back(order.amount, settled, paid, order.committed + amount)[0]
        where = self.position(order, log.shared_of(order))
        if after - back > where.held + where.own:
            raise Refusal("NOT_ENOUGH", "余额不足，请先分账回退")

    def _shared_by(self, body: dict[str, Any], merchant: str) -> tuple[Order, Shared, Sharing]:
        """The sharing order that `order_id` or `out_order_no` names."""
        if body.get("order_id"):
            named = [
                (order, number)
                for (of, number), order in self._orders.items()
                if of == merchant
                and log.shared_of(order).orders[number].order_id == body["order_id"]
            ]
            if not named:
                raise Refusal("RESOURCE_NOT_EXISTS")
            order, number = named[0]
        elif body.get("out_order_no"):
            number = body["out_order_no"]
            if (merchant, number) not in self._orders:
                raise Refusal("RESOURCE_NOT_EXISTS")
            order = self._orders[merchant, number]
        else:
            raise wrong_field("/out_order_no", None, "this or order_id is required")
        shared = log.shared_of(order)
        return order, shared, shared.orders[number]

    # --- receivers -------------------------------------------------------------------------------

    def add(self, call: Call, caller: Caller) -> dict[str, Any]:
        """POST receivers/add: naming one again changes nothing but its relation."""
        body = read(call.raw, ADD_RULES)
        merchant = self._merchant(body.get("sub_mchid"), caller, "body")
        self._check_app(body["appid"], caller)
        if body["relation_type"] == "CUSTOM" and not body.get("custom_relation"):
            raise wrong_field("/custom_relation", None, "is required with CUSTOM")
        if body["type"] == wire.MERCHANT_ID and not body.get("name"):
            raise wrong_field("/name", None, "is required for a merchant")
        self._check_name(body.get("name"), "/name", caller)
        holders = self._holders(merchant)
        key = _holder(body["type"], body["account"])
        if len(holders) >= HOLDERS_MAX and key not in holders:
            raise Refusal("RULE_LIMIT", "分账接收方数量超过限制")
        names = ("relation_type", "custom_relation")
        relation = {name: body[name] for name in names if body.get(name)}
        self._keep_holders(merchant, {**holders, key: relation})
        told = {name: body[name] for name in ("sub_mchid", "name") if body.get(name)}
        return {**told, "type": body["type"], "account": body["account"], **relation}

    def delete(self, call: Call, caller: Caller) -> dict[str, Any]:
        """POST receivers/delete"""
        body = read(call.raw, DELETE_RULES)
        merchant = self._merchant(body.get("sub_mchid"), caller, "body")
        self._check_app(body["appid"], caller)
        holders = self._holders(merchant)
        key = _holder(body["type"], body["account"])
        if key not in holders:
            raise Refusal("INVALID_REQUEST", "分账接收方不存在")
        self._keep_holders(merchant, {k: v for k, v in holders.items() if k != key})
        told = {"sub_mchid": body["sub_mchid"]} if body.get("sub_mchid") else {}
        return {**told, "type": body["type"], "account": body["account"]}

    def _holders(self, merchant: str) -> dict[str, Any]:
        found: dict[str, Any] = self._books.notes.get(HOLDERS_NOTE, {}).get(merchant, {})
        return found

    def _keep_holders(self, merchant: str, holders: dict[str, Any]) -> None:
        everybody = {**self._books.notes.get(HOLDERS_NOTE, {}), merchant: holders}
        self._books.record(Noted(0, HOLDERS_NOTE, everybody))
        self._engine.flush()

    # --- who and what ----------------------------------------------------------------------------

    def _merchant(self, sub_mchid: str | None, caller: Caller, location: str) -> str:
        """Whose money it is. Raise Refusal."""
        if not caller.is_partner:
            return self._account.mchid
        if not sub_mchid:
            raise wrong_field("/sub_mchid", None, "is required", location)
        if sub_mchid not in self._account.sub_mchids:
            raise Refusal("NO_AUTH", "无此特约商户的分账权限")
        return sub_mchid

    def _check_app(self, appid: str, caller: Caller) -> None:
        if appid != (self._account.sp_appid if caller.is_partner else self._account.appid):
            raise Refusal("INVALID_REQUEST", "appid和商户号不匹配")

    def _check_name(self, sealed: str | None, pointer: str, caller: Caller) -> None:
        """A name is encrypted for the key that the request names."""
        if sealed is None:
            return
        try:
            crypto.decrypt_field(self._keys.private(caller.reply_key), sealed)
        except crypto.WireError as error:
            raise wrong_field(pointer, None, "does not open with the key that was named") from error

    def _of(self, trade_no: str, merchant: str) -> tuple[Order, Shared]:
        order = self._engine.by_trade_no(trade_no)
        if order is None or order.merchant != merchant or order.state != PAID:
            raise Refusal("RESOURCE_NOT_EXISTS", "订单不存在")
        return order, log.shared_of(order)

    def _fingerprint(self, body: dict[str, Any]) -> str:
        """All parameters count but encrypted names, which differ each time they are encrypted."""
        plain = dict(body)
        if body.get("receivers"):
            plain["receivers"] = [
                {name: value for name, value in each.items() if name != "name"}
                for each in body["receivers"]
            ]
        return digest(msgspec.json.encode(plain, order="sorted").decode())

    def _before(self, shared: Shared, merchant: str, number: str, asked: str) -> Sharing | None:
        """The order of this number, if it was made by the same request."""
        if (merchant, number) not in self._orders:
            return None
        before = shared.orders.get(number)
        if before is None or before.fingerprint != asked:
            raise Refusal("INVALID_REQUEST", "商户分账单号重复且参数不一致")
        return before

    def _made(self, order: Order, shared: Shared, number: str, asked: str) -> Sharing:
        order_id = f"3008{order.trade_no[4:]}{len(shared.orders) + 1:02d}"
        return Sharing(number, order_id, asked, self._clock.now_ms(), [])

    # --- shown -----------------------------------------------------------------------------------

    def _shown(self, order: Order, made: Sharing, *, is_asked: bool = False) -> dict[str, Any]:
        done = is_asked and log.is_done(made, self._clock.now_ms(), self.share_ms)
        at = shanghai(made.created_ms)
        shown = []
        for part in made.parts:
            one: dict[str, Any] = {
                "type": part.type,
                "account": part.account,
                "amount": part.amount,
                "description": part.description,
                "detail_id": part.detail_id,
                "create_time": at,
                "result": wire.PENDING,
            }
            if done:
                one["result"] = wire.CLOSED if part.reason else wire.SUCCESS
                one["finish_time"] = shanghai(made.created_ms + self.share_ms)
                if part.reason:
                    one["fail_reason"] = part.reason
            shown.append(one)
        told: dict[str, Any] = {
            "transaction_id": order.trade_no,
            "out_order_no": made.number,
            "order_id": made.order_id,
            "state": wire.FINISHED if done else wire.PROCESSING,
            "receivers": shown,
        }
        return told | self._sub(order)

    def _return_shown(self, of: Sharing, made: Return, *, is_asked: bool = False) -> dict[str, Any]:
        done = is_asked and self._clock.now_ms() >= made.created_ms + self.share_ms
        told: dict[str, Any] = {
            "order_id": of.order_id,
            "out_order_no": of.number,
            "out_return_no": made.number,
            "return_id": made.return_id,
            "return_mchid": made.account,
            "amount": made.amount,
            "description": made.description,
            "result": wire.PROCESSING,
            "create_time": shanghai(made.created_ms),
            "finish_time": shanghai(made.created_ms + self.share_ms),
        }
        if done:
            told["result"] = wire.FAILED if made.reason else wire.SUCCESS
            if made.reason:
                told["fail_reason"] = made.reason
        return told

    def _sub(self, order: Order) -> dict[str, str]:
        is_sub = order.merchant in self._account.sub_mchids
        return {"sub_mchid": order.merchant} if is_sub else {}


def _holder(kind: str, account: str) -> str:
    return f"{kind} {account}"


def _part(made: Sharing, at: int, asked: dict[str, Any], holders: dict[str, Any]) -> Part:
    account = asked["account"]
    reason = log.ENDINGS.get(account[-4:], "")
    if _holder(asked["type"], account) not in holders:
        reason = "NO_RELATION"
    return Part(
        asked["type"],
        account,
        asked["amount"],
        asked["description"],
        f"36011{made.order_id[5:]}{at:02d}",
        reason,
    )
