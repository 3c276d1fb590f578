"""The connector's profit sharing: our orders to WeChat Pay's calls, its answers to ours.

What an answer may rest on is as for payments (`connector.py`): what moved money is believed only
from a verified answer about our numbers, parties and amounts. A refusal comes unsigned; before it
is believed, the number is asked about, and a verified answer stands above it. What is neither is
Unclear: it is asked about, and sent again only under the same number.
"""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from payments.channels.sharing import (
    Absent,
    Answered,
    Divided,
    Holder,
    NotDone,
    Portion,
    Registered,
    Returned,
    SharingOrder,
    SharingReturn,
    Unclear,
)
from payments.channels.wechat import orders
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.calls import Calls, Lost, Refused, Said, Verified
from payments.channels.wechat.requests import WeChatSettings
from payments.channels.wechat.sharing_limits import MaxRatios, unsplit
from payments.clock import Clock

FINAL: Final = frozenset(
    {"PARAM_ERROR", "INVALID_REQUEST", "RULE_LIMIT", "NO_AUTH", "NOT_ENOUGH", "RESOURCE_NOT_EXISTS"}
)
"""Refusals that the same request will meet again. Every other one is a reason to try later."""

OVER_RATIO: Final = "over_max_ratio"
"""Our word for parts that are more than the sub-merchant lets be shared."""

UNKNOWN_RATIO: Final = "max_ratio_unknown"
"""Ours for a limit that the channel did not tell: nothing is asked for before it does."""

RESULTS: Final = {wire.PENDING: "pending", wire.SUCCESS: "success", wire.CLOSED: "closed"}
RETURN_RESULTS: Final = {
    wire.PROCESSING: "pending",
    wire.SUCCESS: "success",
    wire.FAILED: "closed",
}
REASON_MAX_CHARACTERS: Final = 64


class WeChatSharing:
    """See `payments.channels.sharing.SharesMoney`. `encrypt`: seals a merchant's name for the key
    that answers are asked to be signed with; None where the account has only certificates.
    """

    def __init__(
        self,
        settings: WeChatSettings,
        calls: Calls,
        encrypt: Callable[[str], str] | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._encrypt = encrypt
        self._ratios = MaxRatios(calls, clock, settings.ask_timeout_s)

    # --- receivers -------------------------------------------------------------------------------

    async def register(self, holder: Holder, merchant: str) -> Answered:
        """Name a receiver. Doing it again changes nothing."""
        body: dict[str, Any] = {
            "appid": self._settings.appid,
            "type": holder.kind,
            "account": holder.account,
            "relation_type": holder.relation,
            **self._sub(merchant),
        }
        if holder.name is not None:
            if self._encrypt is None:
                return NotDone("no_public_key")
            body["name"] = self._encrypt(holder.name)
        said = await self._calls.post(wire.ADD_RECEIVER, body, self._settings.ask_timeout_s)
        if not isinstance(said, Verified):
            return _refused(said)
        shown = orders.read(said.body, wire.ReceiverShown)
        if shown is None or (shown.type, shown.account) != (holder.kind, holder.account):
            return Unclear("an answer about another receiver")
        return Registered(holder.account)

    # --- orders ----------------------------------------------------------------------------------

    async def share(self, order: SharingOrder) -> Answered:
        """Divide; without portions, let go of everything."""
        if not order.portions:
            return await self.unfreeze(order)
        if (refusal := await self._limited(order)) is not None:
            return await self._unless_known(refusal, order)
        body: dict[str, Any] = {
            "appid": self._settings.appid,
            "transaction_id": order.trade_no,
            "out_order_no": order.number,
            "receivers": [
                {
                    "type": portion.kind,
                    "account": portion.account,
                    "amount": portion.amount,
                    "description": order.description,
                }
                for portion in order.portions
            ],
            "unfreeze_unsplit": order.finish,
            **self._sub(order.merchant),
        }
        return await self._made(wire.ORDERS, body, order)

    async def _limited(self, order: SharingOrder) -> NotDone | None:
        """Why a partner's order may not be asked for (yet). Without a limit there is no asking."""
        sub_mchid = self._settings.sub_mchid_of(order.merchant)
        if not self._settings.is_partner or sub_mchid is None or not order.settled:
            return None
        total = sum(portion.amount for portion in order.portions)
        ratio = self._ratios.remembered(sub_mchid)
        if ratio is None or total > wire.share_max(order.settled, ratio):
            # What is too much by what we remember is asked again: it may have been raised since.
            ratio = await self._ratios.ask(sub_mchid)
        if ratio is None:
            return NotDone(UNKNOWN_RATIO, is_final=False)
        return NotDone(OVER_RATIO) if total > wire.share_max(order.settled, ratio) else None

    async def unfreeze(self, order: SharingOrder) -> Answered:
        """Let go to the merchant what is still held back: done, where nothing is any more."""
        body: dict[str, Any] = {
            "transaction_id": order.trade_no,
            "out_order_no": order.number,
            "description": order.description,
            **self._sub(order.merchant),
        }
        said = await self._made(wire.UNFREEZE, body, order)
        if isinstance(said, NotDone) and said.is_final:
            left = await unsplit(self._calls, order.trade_no, self._ask_s)
            return Divided(order.number, (), is_over=True) if left == 0 else said
        return said

    async def _made(self, path: str, body: dict[str, Any], order: SharingOrder) -> Answered:
        said = await self._calls.post(path, body, self._settings.refund_timeout_s)
        if isinstance(said, Verified):
            return self._shown(said.body, order)
        return await self._unless_known(_refused(said), order)

    async def _unless_known(self, refusal: Answered, order: SharingOrder) -> Answered:
        """A final refusal is believed where the channel has no order of this number."""
        if not isinstance(refusal, NotDone) or not refusal.is_final:
            return refusal
        seen = await self.inquire_share(order)
        return refusal if isinstance(seen, Absent) else seen

    async def inquire_share(self, order: SharingOrder) -> Answered:
        """What became of a sharing order, or of letting go, by its number."""
        target = f"{wire.ORDERS}/{_quoted(order.number)}?transaction_id={_quoted(order.trade_no)}"
        said = await self._calls.get(target + self._query(order.merchant), self._ask_s)
        if isinstance(said, Verified):
            return self._shown(said.body, order)
        return _absent(said)

    def _shown(self, body: bytes, order: SharingOrder) -> Answered:
        shown = orders.read(body, wire.OrderShown)
        if shown is None or shown.state not in (wire.PROCESSING, wire.FINISHED):
            return Unclear("an answer of another form")
        if (shown.transaction_id, shown.out_order_no) != (order.trade_no, order.number):
            return Unclear("an answer about another order")
        if self._is_foreign(shown.sub_mchid, order.merchant):
            return Unclear("an answer about another merchant")
        found = {(each.type, each.account): each for each in shown.receivers}
        portions = []
        for asked in order.portions:
            detail = found.get((asked.kind, asked.account))
            if detail is None or detail.amount != asked.amount or detail.result not in RESULTS:
                return Unclear("an answer about other parts")
            result = RESULTS[detail.result]
            reason = (detail.fail_reason or "")[:REASON_MAX_CHARACTERS]
            portions.append(Portion(asked.kind, asked.account, asked.amount, result, reason))
        is_over = shown.state == wire.FINISHED
        if is_over and any(portion.result == "pending" for portion in portions):
            return Unclear("an answer that contradicts itself")
        return Divided(order.number, tuple(portions), is_over)

    # --- returns ---------------------------------------------------------------------------------

    async def take_back(self, asked: SharingReturn) -> Answered:
        body: dict[str, Any] = {
            "out_order_no": asked.number,
            "out_return_no": asked.return_no,
            "return_mchid": asked.account,
            "amount": asked.amount,
            "description": asked.description,
            **self._sub(asked.merchant),
        }
        said = await self._calls.post(wire.RETURNS, body, self._settings.refund_timeout_s)
        if isinstance(said, Verified):
            return self._return_shown(said.body, asked)
        refusal = _refused(said)
        if not isinstance(refusal, NotDone) or not refusal.is_final:
            return refusal
        seen = await self.inquire_return(asked)
        return refusal if isinstance(seen, Absent) else seen

    async def inquire_return(self, asked: SharingReturn) -> Answered:
        target = f"{wire.RETURNS}/{_quoted(asked.return_no)}?out_order_no={_quoted(asked.number)}"
        said = await self._calls.get(target + self._query(asked.merchant), self._ask_s)
        if isinstance(said, Verified):
            return self._return_shown(said.body, asked)
        return _absent(said)

    def _return_shown(self, body: bytes, asked: SharingReturn) -> Answered:
        shown = orders.read(body, wire.ReturnShown)
        if shown is None or shown.result not in RETURN_RESULTS:
            return Unclear("an answer of another form")
        about = (shown.out_return_no, shown.return_mchid, shown.amount)
        if about != (asked.return_no, asked.account, asked.amount):
            return Unclear("an answer about another return")
        if shown.out_order_no not in (None, asked.number):
            return Unclear("an answer about another order")
        reason = (shown.fail_reason or "")[:REASON_MAX_CHARACTERS]
        return Returned(asked.return_no, asked.amount, RETURN_RESULTS[shown.result], reason)

    # --- the account -----------------------------------------------------------------------------

    @property
    def _ask_s(self) -> float:
        return self._settings.ask_timeout_s

    def _sub(self, merchant: str) -> dict[str, Any]:
        if not self._settings.is_partner:
            return {}
        return {"sub_mchid": self._settings.sub_mchid_of(merchant)}

    def _query(self, merchant: str) -> str:
        if not self._settings.is_partner:
            return ""
        return f"&sub_mchid={_quoted(self._settings.sub_mchid_of(merchant) or '')}"

    def _is_foreign(self, sub_mchid: str | None, merchant: str) -> bool:
        ours = self._settings.sub_mchid_of(merchant) if self._settings.is_partner else None
        return sub_mchid is not None and sub_mchid != ours


def _refused(said: Said) -> Answered:
    """A refusal of which the number knows nothing yet; 5xx and no answer say nothing."""
    if isinstance(said, Lost):
        return Unclear(said.reason) if said.sent else NotDone("not_sent", is_final=False)
    if not isinstance(said, Refused) or not 400 <= said.status < 500:
        return Unclear("no answer with a meaning")
    return NotDone(said.code, is_final=said.code in FINAL)


def _absent(said: Said) -> Answered:
    if isinstance(said, Refused) and (said.status, said.code) in (
        (404, "RESOURCE_NOT_EXISTS"),
        (400, "RESOURCE_NOT_EXISTS"),
    ):
        return Absent()
    return Unclear(said.reason if isinstance(said, Lost) else "no answer with a meaning")


def _quoted(value: str) -> str:
    return quote(value, safe="")
