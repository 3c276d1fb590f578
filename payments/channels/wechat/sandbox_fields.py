"""What the sandbox demands of requests: required fields, types, lengths, alphabets.

Source: WeChat Pay API v3, the parameter tables of creating orders, payment codes and refunds.
Fields that no table names are ignored, as WeChat Pay does.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from payments.channels.wechat.errors import Refusal, wrong_field

TOTAL_MAX: Final = 2**31 - 1
NUMBER_MIN_CHARACTERS: Final = 6
NUMBER_MAX_CHARACTERS: Final = 32
REFUND_NUMBER_MAX_CHARACTERS: Final = 64
ID_MAX_CHARACTERS: Final = 32
TEXT_MAX_CHARACTERS: Final = 256
DESCRIPTION_MAX_CHARACTERS: Final = 127
ATTACH_MAX_CHARACTERS: Final = 128
URL_MAX_CHARACTERS: Final = 255
REASON_MAX_CHARACTERS: Final = 80
OPENID_MAX_CHARACTERS: Final = 128
SEALED_MAX_CHARACTERS: Final = 1_024
"""An encrypted personal field in base64."""

GOODS_MAX: Final = 6_000
CURRENCY: Final = "CNY"
PAYMENT_CODE: Final = re.compile(r"1[0-5][0-9]{16}")
_NUMBER: Final = r"[0-9A-Za-z_\-|*]*"
_REFUND_NUMBER: Final = r"[0-9A-Za-z_\-|*@]*"


class Text(Struct, frozen=True):
    """A string of `least` to `most` characters that matches `pattern` or is one of `choices`."""

    most: int = TEXT_MAX_CHARACTERS
    least: int = 1
    pattern: str = ""
    choices: tuple[str, ...] = ()
    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        if not isinstance(value, str):
            raise wrong_field(pointer, value, "must be a string")
        if not self.least <= len(value) <= self.most:
            raise wrong_field(pointer, value, f"must have {self.least} to {self.most} characters")
        if self.pattern and re.fullmatch(self.pattern, value) is None:
            raise wrong_field(pointer, value, "holds a character that is not allowed")
        if self.choices and value not in self.choices:
            raise wrong_field(pointer, value, "must be one of " + ", ".join(self.choices))


class Whole(Struct, frozen=True):
    """An integer; neither a string nor a number with a point."""

    least: int = 0
    most: int = TOTAL_MAX
    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise wrong_field(pointer, value, "must be an integer")
        if not self.least <= value <= self.most:
            raise wrong_field(pointer, value, f"must be from {self.least} to {self.most}")


class Flag(Struct, frozen=True):
    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        if not isinstance(value, bool):
            raise wrong_field(pointer, value, "must be true or false")


class Instant(Struct, frozen=True):
    """RFC 3339 with its offset."""

    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        Text(most=64).check(value, pointer)
        assert isinstance(value, str)
        if instant_ms(value) is None:
            raise wrong_field(pointer, value, "must be an instant of RFC 3339")


class Listing(Struct, frozen=True):
    item: "Rule"
    most: int
    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        if not isinstance(value, list):
            raise wrong_field(pointer, value, "must be an array")
        if len(value) > self.most:
            raise wrong_field(pointer, value, f"must have {self.most} elements at most")
        for index, item in enumerate(value):
            self.item.check(item, f"{pointer}/{index}")


class Fields(Struct, frozen=True):
    """An object and the rules of its fields. A field that is null counts as absent."""

    rules: "Mapping[str, Rule]" = field(default_factory=dict)
    needed: bool = False

    def check(self, value: object, pointer: str) -> None:
        if not isinstance(value, dict):
            raise wrong_field(pointer, value, "must be an object")
        for name, rule in self.rules.items():
            given = value.get(name)
            if given is not None:
                rule.check(given, f"{pointer}/{name}")
            elif rule.needed:
                raise wrong_field(f"{pointer}/{name}", None, "is required")


Rule = Text | Whole | Flag | Instant | Listing | Fields


def instant_ms(text: str) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 instant; None for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if parsed.tzinfo is None else int(parsed.timestamp() * 1000)


def read(raw: bytes, rules: Fields) -> dict[str, Any]:
    """The body of a request, checked. Raise Refusal."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal("PARAM_ERROR", "请求体不是合法的JSON") from error
    if not isinstance(body, dict):
        raise wrong_field("", None, "must be an object")
    rules.check(body, "")
    return body


_DIRECT: Final = {"appid": Text(ID_MAX_CHARACTERS, needed=True)}
_DIRECT_MERCHANT: Final = {"mchid": Text(ID_MAX_CHARACTERS, needed=True)}
_PARTNER: Final = {
    "sp_appid": Text(ID_MAX_CHARACTERS, needed=True),
    "sub_appid": Text(ID_MAX_CHARACTERS),
}
_PARTNER_MERCHANT: Final = {
    "sp_mchid": Text(ID_MAX_CHARACTERS, needed=True),
    "sub_mchid": Text(ID_MAX_CHARACTERS, needed=True),
}
_AMOUNT: Final = Fields(
    {"total": Whole(1, needed=True), "currency": Text(16, choices=(CURRENCY,))}, needed=True
)
_SETTLE: Final = Fields({"profit_sharing": Flag()})


def _detail(goods_id: str) -> Fields:
    goods = Fields(
        {
            "merchant_goods_id": Text(32, needed=True),
            goods_id: Text(32),
            "goods_name": Text(256),
            "quantity": Whole(1, needed=True),
            "unit_price": Whole(needed=True),
        }
    )
    return Fields(
        {
            "cost_price": Whole(),
            "invoice_id": Text(32),
            "goods_detail": Listing(goods, GOODS_MAX),
        }
    )


_ORDER: Final[dict[str, Rule]] = {
    "description": Text(DESCRIPTION_MAX_CHARACTERS, needed=True),
    "out_trade_no": Text(
        NUMBER_MAX_CHARACTERS, NUMBER_MIN_CHARACTERS, pattern=_NUMBER, needed=True
    ),
    "amount": _AMOUNT,
    "time_expire": Instant(),
    "attach": Text(ATTACH_MAX_CHARACTERS, 0),
    "goods_tag": Text(32, 0),
    "support_fapiao": Flag(),
    "settle_info": _SETTLE,
}
_STORE: Final[dict[str, Rule]] = {
    "id": Text(32, needed=True),
    "name": Text(256),
    "area_code": Text(32),
    "address": Text(512),
}
_SCENE: Final[dict[str, Rule]] = {
    "payer_client_ip": Text(45, needed=True),
    "device_id": Text(32),
    "store_info": Fields(_STORE),
}
_H5: Final = Fields(
    {
        "type": Text(32, choices=("Wap", "iOS", "Android", "IOS"), needed=True),
        "app_name": Text(64),
        "app_url": Text(128),
        "bundle_id": Text(128),
        "package_name": Text(128),
    },
    needed=True,
)
_CODE_SCENE: Final = Fields(
    {
        "store_info": Fields({"id": Text(32), "out_id": Text(32)}, needed=True),
        "device_id": Text(32),
        "device_ip": Text(45),
    },
    needed=True,
)


def order_rules(kind: str, *, is_partner: bool) -> Fields:
    """`kind`: native | jsapi | app | h5 | codepay."""
    rules = dict(_ORDER)
    rules.update(
        {**_PARTNER, **_PARTNER_MERCHANT} if is_partner else {**_DIRECT, **_DIRECT_MERCHANT}
    )
    if kind == "codepay":
        rules["payer"] = Fields({"auth_code": Text(32, needed=True)}, needed=True)
        rules["scene_info"] = _CODE_SCENE
        rules["detail"] = _detail("wxpay_goods_id")
        return Fields(rules)
    rules["notify_url"] = Text(URL_MAX_CHARACTERS, needed=True)
    rules["detail"] = _detail("wechatpay_goods_id")
    rules["scene_info"] = Fields(_SCENE)
    rules["limit_pay"] = Listing(
        Text(choices=("no_balance", "no_credit", "no_debit", "balance_only")), 4
    )
    if kind == "jsapi":
        openid = Text(OPENID_MAX_CHARACTERS)
        payer = {"sp_openid": openid, "sub_openid": openid} if is_partner else {}
        rules["payer"] = Fields(
            payer or {"openid": Text(OPENID_MAX_CHARACTERS, needed=True)}, needed=True
        )
    if kind == "h5":
        rules["scene_info"] = Fields({**_SCENE, "h5_info": _H5}, needed=True)
    return Fields(rules)


def close_rules(*, is_partner: bool) -> Fields:
    return Fields(_PARTNER_MERCHANT if is_partner else _DIRECT_MERCHANT)


def reverse_rules(*, is_partner: bool) -> Fields:
    if is_partner:
        return Fields({**_PARTNER, **_PARTNER_MERCHANT})
    return Fields({**_DIRECT, **_DIRECT_MERCHANT})


_ACCOUNT: Final = Fields(
    {
        "account": Text(32, choices=("AVAILABLE", "UNAVAILABLE"), needed=True),
        "amount": Whole(1, needed=True),
    }
)
_REFUNDED_GOODS: Final = Fields(
    {
        "merchant_goods_id": Text(32, needed=True),
        "wechatpay_goods_id": Text(32),
        "goods_name": Text(256),
        "unit_price": Whole(needed=True),
        "refund_amount": Whole(needed=True),
        "refund_quantity": Whole(1, needed=True),
    }
)


def refund_rules(*, is_partner: bool) -> Fields:
    return Fields(
        {
            "sub_mchid": Text(ID_MAX_CHARACTERS, needed=is_partner),
            "transaction_id": Text(ID_MAX_CHARACTERS),
            "out_trade_no": Text(NUMBER_MAX_CHARACTERS, NUMBER_MIN_CHARACTERS, pattern=_NUMBER),
            "out_refund_no": Text(
                REFUND_NUMBER_MAX_CHARACTERS, pattern=_REFUND_NUMBER, needed=True
            ),
            "reason": Text(REASON_MAX_CHARACTERS, 0),
            "notify_url": Text(URL_MAX_CHARACTERS),
            "funds_account": Text(32, choices=("AVAILABLE", "UNSETTLED")),
            "amount": Fields(
                {
                    "refund": Whole(1, needed=True),
                    "total": Whole(1, needed=True),
                    "currency": Text(16, choices=(CURRENCY,), needed=True),
                    "from": Listing(_ACCOUNT, 2),
                },
                needed=True,
            ),
            "goods_detail": Listing(_REFUNDED_GOODS, GOODS_MAX),
        }
    )


def abnormal_rules(*, is_partner: bool) -> Fields:
    """What to do with a refund that the payer's bank sent back."""
    return Fields(
        {
            "sub_mchid": Text(ID_MAX_CHARACTERS, needed=is_partner),
            "out_refund_no": Text(
                REFUND_NUMBER_MAX_CHARACTERS, pattern=_REFUND_NUMBER, needed=True
            ),
            "type": Text(32, choices=("USER_BANK_CARD", "MERCHANT_BANK_CARD"), needed=True),
            "bank_type": Text(16),
            "bank_account": Text(SEALED_MAX_CHARACTERS),
            "real_name": Text(SEALED_MAX_CHARACTERS),
        }
    )
