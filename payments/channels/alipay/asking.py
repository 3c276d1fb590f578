"""What a request to Alipay's sandbox asks for: `biz_content`, parameter by parameter."""

import json
import re
from typing import Any, Final

from payments.channels.alipay.checks import Request
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.units import EXPRESS_MAX_MS, asked_fen, express_ms, instant_ms
from payments.channels.alipay.wire import Unreadable
from payments.channels.sandbox.courier import notify_url_refusal
from payments.channels.sandbox.turns import Asked

NUMBER_MAX: Final = 64
SUBJECT_MAX: Final = 256
TEXT_MAX: Final = 512
QR_LIFE_MS: Final = 7_200_000
"""A precreated code lives two hours unless its order says less."""

LOOSE: Final = frozenset(
    (
        "total_amount",
        "timeout_express",
        "time_expire",
        "qr_code_timeout_express",
        "operator_id",
        "terminal_id",
        "extend_params",
        "query_options",
    )
)
"""What may differ when an order number comes again. The amount is compared as a number."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Half a character: JSON can spell it, and no answer could."""

_NUMBER: Final = re.compile(r"[0-9A-Za-z_\-]{1,64}")


class Invalid(Exception):
    """A parameter that the business does not take: ACQ.INVALID_PARAMETER, or `sub_code`."""

    def __init__(self, sub_msg: str, sub_code: str = "ACQ.INVALID_PARAMETER") -> None:
        super().__init__(sub_code)
        self.sub_code = sub_code
        self.sub_msg = sub_msg


def payment(
    request: Request, identity: Identity, way: str, now_ms: int, auth_code: str = ""
) -> Asked:
    """What a request asks to be paid. `now_ms`: business time. Raise Invalid."""
    biz = request.biz
    number = read_text(biz, "out_trade_no", NUMBER_MAX)
    if _NUMBER.fullmatch(number) is None:
        raise Invalid("参数无效: out_trade_no")
    terms = {name: value for name, value in biz.items() if name not in LOOSE}
    terms.pop("auth_code", None)
    told = identity.digest(json.dumps([request.method, terms], sort_keys=True))
    seller = read_text(biz, "seller_id", TEXT_MAX, needed=False) or request.seller_id
    if seller != request.seller_id:
        raise Invalid("参数无效: seller_id")
    extra = {
        "method": request.method,
        "terms": told,
        "app_id": request.params["app_id"],
        "auth_app_id": request.auth_app_id,
        "seller_id": seller,
        "subject": read_text(biz, "subject", SUBJECT_MAX),
        "buyer_id": read_text(biz, "buyer_id", TEXT_MAX, needed=False)
        or "2088" + identity.digits(f"buyer {auth_code[:-4]}", 12),
        "buyer_open_id": read_text(biz, "buyer_open_id", TEXT_MAX, needed=False),
        "body": read_text(biz, "body", TEXT_MAX, needed=False),
        "passback_params": read_text(biz, "passback_params", TEXT_MAX, needed=False),
        "return_url": request.params.get("return_url", ""),
    }
    notify_url = request.params.get("notify_url") or None
    if notify_url is not None and notify_url_refusal(notify_url):
        # Taken, as the real one takes any address; but a test tells nobody on a foreign host.
        notify_url = None
    return Asked(
        out_trade_no=number,
        amount=read_amount(biz, "total_amount"),
        currency="cny",
        way=way,
        wallet="alipay",
        auth_code=auth_code or None,
        fingerprint=identity.digest(f"{told} {auth_code}"),
        expires_ms=_expiry(biz, way, now_ms),
        notify_url=notify_url,
        merchant=request.merchant,
        extra={name: value for name, value in extra.items() if value},
    )


def read_text(biz: dict[str, Any], name: str, longest: int, *, needed: bool = True) -> str:
    """A parameter that is a text; empty where it is not needed and not there. Raise Invalid."""
    value = biz.get(name)
    if value is None or value == "":
        if needed:
            raise Invalid(f"参数无效: {name}")
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise Invalid(f"参数无效: {name}")
    if _SURROGATE.search(value) is not None:
        raise Invalid(f"参数无效: {name}")
    return value


def read_amount(biz: dict[str, Any], name: str) -> int:
    """An amount in fen. Raise Invalid."""
    text = read_text(biz, name, TEXT_MAX)
    try:
        return asked_fen(text)
    except Unreadable as error:
        raise Invalid(f"参数无效: {name}") from error


def read_options(biz: dict[str, Any]) -> list[str]:
    """What the client wants to see besides; anything that is no such list is none."""
    options = biz.get("query_options")
    return [one for one in options if isinstance(one, str)] if isinstance(options, list) else []


def _expiry(biz: dict[str, Any], way: str, now_ms: int) -> int:
    """When an order closes unpaid: the earliest of what was asked. 0: a barcode without any."""
    ends = [now_ms + QR_LIFE_MS] if way == "qr" else []
    if way not in ("qr", "barcode"):
        ends.append(now_ms + EXPRESS_MAX_MS)
    try:
        for name in ("timeout_express", "qr_code_timeout_express"):
            if text := read_text(biz, name, TEXT_MAX, needed=False):
                ends.append(now_ms + express_ms(text, now_ms))
        if text := read_text(biz, "time_expire", TEXT_MAX, needed=False):
            # Some clients leave the seconds out.
            ends.append(instant_ms(text if len(text) > len("yyyy-MM-dd HH:mm") else text + ":00"))
    except Unreadable as error:
        raise Invalid("参数无效: timeout_express, time_expire") from error
    return min(ends, default=0)
