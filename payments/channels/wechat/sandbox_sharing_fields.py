"""What the sandbox demands of profit sharing's requests: required fields, types, lengths.

Source: WeChat Pay API v3, the parameter tables of profit sharing.
"""

from typing import Final

from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.sandbox_fields import (
    ID_MAX_CHARACTERS,
    SEALED_MAX_CHARACTERS,
    Fields,
    Flag,
    Listing,
    Text,
    Whole,
)

ACCOUNT_MAX_CHARACTERS: Final = 64

_NUMBER: Final = Text(wire.NUMBER_MAX_CHARACTERS, pattern=wire.NUMBER_PATTERN, needed=True)
_MERCHANT: Final = {"sub_mchid": Text(ID_MAX_CHARACTERS), "sub_appid": Text(ID_MAX_CHARACTERS)}
_WHO: Final = {
    "type": Text(32, choices=wire.KINDS, needed=True),
    "account": Text(ACCOUNT_MAX_CHARACTERS, needed=True),
}
_TEXT: Final = Text(wire.DESCRIPTION_MAX_CHARACTERS, needed=True)
_APP: Final = Text(ID_MAX_CHARACTERS, needed=True)
_RECEIVER: Final = Fields(
    {
        **_WHO,
        "name": Text(SEALED_MAX_CHARACTERS),
        "amount": Whole(1, needed=True),
        "description": _TEXT,
    }
)
ORDER_RULES: Final = Fields(
    {
        **_MERCHANT,
        "appid": _APP,
        "transaction_id": Text(ID_MAX_CHARACTERS, needed=True),
        "out_order_no": _NUMBER,
        "receivers": Listing(_RECEIVER, wire.RECEIVERS_MAX),
        "unfreeze_unsplit": Flag(needed=True),
    }
)
REST_RULES: Final = Fields(
    {
        **_MERCHANT,
        "transaction_id": Text(ID_MAX_CHARACTERS, needed=True),
        "out_order_no": _NUMBER,
        "description": _TEXT,
    }
)
RETURN_RULES: Final = Fields(
    {
        **_MERCHANT,
        "order_id": Text(64),
        "out_order_no": Text(wire.NUMBER_MAX_CHARACTERS, pattern=wire.NUMBER_PATTERN),
        "out_return_no": _NUMBER,
        "return_mchid": Text(ID_MAX_CHARACTERS, needed=True),
        "amount": Whole(1, needed=True),
        "description": _TEXT,
    }
)
ADD_RULES: Final = Fields(
    {
        **_MERCHANT,
        **_WHO,
        "appid": _APP,
        "name": Text(SEALED_MAX_CHARACTERS),
        "relation_type": Text(32, choices=wire.RELATIONS, needed=True),
        "custom_relation": Text(10),
    }
)
DELETE_RULES: Final = Fields({**_MERCHANT, **_WHO, "appid": _APP})
