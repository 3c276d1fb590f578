"""What the connector's two dialects share: settings, doubts, and how an answer becomes an outcome.

A `Doubt` is whatever keeps an answer from being believed; it never leaves the connector.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from payments.channels.base import Approved, Declined, Unknown
from payments.channels.transport import (
    CallbackAnswer,
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NoAnswer,
)
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.codes import Kind
from payments.payment import Discount

CNY: Final = "cny"
CNY_NUMBER: Final = "156"
HTTP_OK: Final = 200
SUBJECT_MAX: Final = 32
"""Characters of `orderInfo` and `orderDesc` that are sent."""

COUPONS_MAX: Final = 20
NO_SUBJECT: Final = "order"

UNDO_SUFFIX: Final = "RV"
"""A refund that stands for a reverse: the order's own number and this, so there is only one."""

_SPECIAL: Final = re.compile(r"[\x00-\x1f\x7f&={}\[\]\"\\]")
"""Left out of texts of ours: joined unescaped for the signature, they could pass for fields."""


class UnionpaySettings(Struct, frozen=True):
    """One channel account.

    `base_url`: the aggregated JSON interface, `acp_url`: ACP's gateway, both without a slash at
    the end. `cert_id`: serial of our ACP certificate, decimal. `sub_merchants`: our merchant's id
    to its own `merId`; others trade under `mer_id`. `acp_mer_id`: the one `merId` of all of them at
    ACP, where that is another contract. `term_id`: of the terminal that both are told.
    `access_type`: how ACP is connected to: 0 merchant, 1 acquirer, 2 platform. `absent_final_ms`:
    an order that the channel does not know so long after it was sent will not arrive any more.
    """

    serv_prov_id: str
    mer_id: str
    base_url: str
    acp_url: str
    notify_url: str
    cert_id: str = ""
    term_id: str = "00000001"
    sub_app_id: str = ""
    customer_ip: str = "127.0.0.1"
    access_type: str = "0"
    acp_mer_id: str = ""
    pay_timeout_s: float = 4.5
    ask_timeout_s: float = 3.0
    absent_final_ms: int = 30_000
    sub_merchants: Mapping[str, str] = {}

    def mer_id_of(self, merchant: str) -> str:
        """The `merId` of our merchant."""
        return self.sub_merchants.get(merchant, self.mer_id)

    def is_ours(self, mer_id: str | None) -> bool:
        """Whether a `merId` is one of the account's."""
        return mer_id == self.mer_id or mer_id in self.sub_merchants.values()

    def acp_mer_id_of(self, merchant: str) -> str:
        """The `merId` of our merchant at ACP."""
        return self.acp_mer_id or self.mer_id_of(merchant)

    def is_ours_at_acp(self, mer_id: str | None) -> bool:
        """Whether a `merId` of ACP is one of the account's."""
        return mer_id == self.acp_mer_id if self.acp_mer_id else self.is_ours(mer_id)


class Doubt(Exception):
    """An answer that may not be believed, or none. The text is the reason of an `Unknown`."""


def undo_number(out_trade_no: str) -> str:
    """The number of the refund that undoes an order: always the same."""
    return out_trade_no + UNDO_SUFFIX


def subject_of(text: str | None) -> str:
    """A line about the order that is safe inside a signed text."""
    return _SPECIAL.sub(" ", text or "").strip()[:SUBJECT_MAX] or NO_SUBJECT


async def body_of(http: HttpClient, request: HttpRequest) -> bytes:
    """The body of an answer with status 200. Raise Doubt, NotSent."""
    try:
        answer: HttpAnswer = await http.send(request)
    except NoAnswer:
        raise Doubt("no answer") from None
    if answer.status != HTTP_OK:
        raise Doubt(f"an answer with status {answer.status}")
    return answer.body


def compare(fields: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Raise Doubt unless these fields are there and say this."""
    for name, value in expected.items():
        if fields.get(name) != value:
            raise Doubt(f"an answer with another {name}, or none")
    if fields.get("currencyCode", CNY_NUMBER) != CNY_NUMBER:
        raise Doubt("an answer in another currency")


def amount_in(fields: Mapping[str, str], name: str = "txnAmt") -> int:
    """Fen. Raise Doubt."""
    try:
        return wire.decode_amount(fields.get(name, ""))
    except wire.Malformed:
        raise Doubt(f"an answer without a readable {name}") from None


def time_in(fields: Mapping[str, str]) -> int | None:
    """When it happened, ms since 1970; None where there is no time that can be read.

    The JSON interface says `payTime` (yyyyMMddHHmmss), ACP `traceTime` without the year
    (MMddHHmmss): the year is that of `txnTime`, or the next one for a January after a December.
    """
    text = fields.get("payTime", "")
    trace, asked = fields.get("traceTime", ""), fields.get("txnTime", "")
    try:
        if text or not trace:
            return wire.decode_time(text)
        wire.decode_time(asked)
        is_next_year = asked[4:6] == "12" and trace[:2] == "01"
        return wire.decode_time(f"{int(asked[:4]) + is_next_year:04d}{trace}")
    except wire.Malformed:
        return None


def approved(out_trade_no: str, fields: Mapping[str, str], trade_no: str) -> Approved:
    """A payment that the channel took, with what it says of amounts and coupons. Raise Doubt.

    `trade_no`: the name of the field with the channel's number. A coupon that carries the merId
    as its sponsor is the merchant's own, any other the channel's.
    """
    amount = amount_in(fields)
    discounts = _discounts(fields.get("couponInfo", ""), fields.get("merId", ""))
    total = sum(discount.amount for discount in discounts)
    own = sum(discount.amount for discount in discounts if discount.funder == "merchant")
    settle = amount_in(fields, "settleAmt") if fields.get("settleAmt") else amount - own
    if total > amount or settle > amount:
        raise Doubt("an answer with more coupons or settlement than price")
    number = fields.get(trade_no)
    if not number:
        raise Doubt(f"an answer without {trade_no}")
    at = time_in(fields)
    return Approved(out_trade_no, amount, number, amount - total, settle, discounts, at)


def _discounts(text: str, mer_id: str) -> tuple[Discount, ...]:
    if not text:
        return ()
    try:
        coupons = json.loads(text)
        if type(coupons) is not list or len(coupons) > COUPONS_MAX:
            raise Doubt("coupons that are not a list")
        return tuple(
            Discount(
                "merchant" if coupon["spnsrId"] == mer_id else "channel",
                wire.decode_amount(coupon["offstAmt"]),
            )
            for coupon in coupons
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Doubt("coupons that cannot be read") from None


def refused(code: str, message: str = "") -> Declined | Unknown:
    """A payment call's respCode that is not a success."""
    meaning = codes.meaning(code)
    if meaning.kind in (Kind.DOUBTFUL, Kind.DONE):
        return unclear(code)
    is_ours = meaning.kind == Kind.OURS
    return Declined(meaning.failure, message or meaning.message, shown(code), not_sent=is_ours)


def refund_refused(code: str) -> Declined | Unknown:
    """A refund call's respCode that is not a success. Our own faults are asked again later."""
    outcome = refused(code)
    if isinstance(outcome, Declined):
        return Declined("channel_error", outcome.message, code, not_sent=outcome.not_sent)
    return outcome


def unclear(code: str) -> Unknown:
    return Unknown(f"respCode {shown(code)}")


def shown(code: str) -> str:
    """A respCode as it may stand in a text of ours."""
    return code[:4] if code.isascii() and code.isalnum() else "none"


def said(status: int, text: bytes) -> CallbackAnswer:
    return CallbackAnswer(status, "text/plain", text)
