"""What the sandbox's two dialects share: refusals, checks of values, how an order is described."""

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from msgspec import Struct

from payments.channels.sandbox.books import Books
from payments.channels.sandbox.courier import notify_url_refusal
from payments.channels.sandbox.engine import Engine
from payments.channels.sandbox.turns import Turn
from payments.channels.unionpay import codes, wire
from payments.channels.unionpay.identity import Identity

CNY: Final = "156"
"""ISO 4217's number, the only currency."""

CURRENCY: Final = "cny"

CODE_SECONDS: Final = 7_200
"""A code or an order for the wallet's own page lives so long when the merchant says nothing."""

UNIONPAY_SPONSOR: Final = "00010000"
"""`spnsrId` of a coupon that UnionPay pays for; a merchant's own carries its `merId`."""

COUPON_TYPE: Final = "DD01"
"""A random discount, without a voucher."""

REFUSAL_CODES: Final = {
    "insufficient_funds": codes.NO_BALANCE,
    "auth_code_expired": codes.OUT_OF_HOURS,
    "declined": "30",
}
"""The engine's failures as respCodes. No published code says "auth code expired": 39 is closest."""

SERIAL_DIGITS: Final = 7
TRACE_DIGITS: Final = 6


class Refusal(Exception):
    """The call ends with this respCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Reply(Struct, frozen=True):
    """What an operation answers, to be completed and signed. `unsigned`: signed wrongly."""

    code: str
    message: str = "success"
    fields: dict[str, str] = {}
    unsigned: bool = False


class Bench(Struct, frozen=True):
    """What an operation works with."""

    engine: Engine
    books: Books
    identity: Identity


def queried_number(created_ms: int, serial: int) -> str:
    """`queryId` and `transIndex`: the time in China and seven digits."""
    return f"{wire.encode_time(created_ms)}{serial % 10**SERIAL_DIGITS:0{SERIAL_DIGITS}d}"


def need(fields: Mapping[str, str], names: Iterable[str]) -> None:
    """Refuse a message without these, or with empty ones."""
    for name in names:
        if not fields.get(name):
            raise Refusal(codes.FIELD_MISSING, f"{name} is missing")


def matching(fields: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str:
    """The field's value. Refuse one of another form."""
    value = fields[name]
    if not pattern.fullmatch(value):
        raise Refusal(codes.BAD_FORMAT, f"{name} has another format")
    return value


def amount_of(fields: Mapping[str, str], name: str = "txnAmt") -> int:
    """Fen, at least 1."""
    try:
        amount = wire.decode_amount(fields[name])
    except wire.Malformed:
        raise Refusal(codes.BAD_FORMAT, f"{name} is not an amount in fen") from None
    if amount < 1:
        raise Refusal(codes.BAD_FORMAT, f"{name} is not above zero")
    return amount


def time_of(fields: Mapping[str, str], name: str) -> int:
    """Milliseconds since 1970."""
    try:
        return wire.decode_time(fields[name])
    except wire.Malformed:
        raise Refusal(codes.BAD_FORMAT, f"{name} is not yyyyMMddHHmmss") from None


def in_cny(fields: Mapping[str, str]) -> None:
    if fields["currencyCode"] != CNY:
        raise Refusal(codes.BAD_FORMAT, "currencyCode is not 156")


def notify_url_of(fields: Mapping[str, str]) -> str | None:
    """`backUrl`, if there is one and it may be called."""
    url = fields.get("backUrl")
    if not url:
        return None
    if refusal := notify_url_refusal(url):
        raise Refusal(codes.BAD_FORMAT, f"backUrl: {refusal}")
    return url


def fingerprint_of(fields: Mapping[str, str]) -> str:
    """A digest of what must be the same when a number comes again."""
    left_out = {"certId", wire.SIGNATURE}
    kept = {name: value for name, value in fields.items() if name not in left_out}
    return sha256(wire.canonical(kept).encode()).hexdigest()


def settled(turn: Turn, identity: Identity) -> dict[str, str]:
    """What a paid order adds to any answer: amounts as reported, coupons."""
    fields = {"txnAmt": str(turn.amount), "settleAmt": str(turn.settle_amount)}
    coupons = [
        {
            "type": COUPON_TYPE,
            "spnsrId": UNIONPAY_SPONSOR if coupon.funder == "channel" else identity.mer_id,
            "offstAmt": str(coupon.amount),
            "id": f"{turn.known.serial}{index}",
        }
        for index, coupon in enumerate(turn.discounts)
    ]
    if coupons:
        fields["couponInfo"] = json.dumps(coupons, separators=(",", ":"))
    return fields


def trace(serial: int, at_ms: int) -> dict[str, str]:
    """The interbank trace of an order that was paid, or of a refund that was made."""
    at = wire.encode_time(at_ms)
    return {
        "traceNo": f"{serial % 10**TRACE_DIGITS:0{TRACE_DIGITS}d}",
        "traceTime": at[4:],
        "settleCurrencyCode": CNY,
        "settleDate": at[4:8],
    }
