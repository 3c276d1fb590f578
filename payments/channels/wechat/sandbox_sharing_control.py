"""What a test sets of the sandbox's profit sharing, and a merchant on WeChat Pay's own pages."""

from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.control import Control, answer
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.sandbox_keys import Account
from payments.channels.wechat.sandbox_sharing import ProfitSharing

PATH: Final = f"{Control.PREFIX}sharing"


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """What a merchant lets be shared of a payment, in hundredths of a percent."""

    merchant: str
    max_ratio: int


class SharingControl:
    def __init__(self, account: Account, sharing: ProfitSharing) -> None:
        self._known = (account.mchid, *account.sub_mchids)
        self._sharing = sharing

    def add_to(self, app: web.Application) -> None:
        app.router.add_route("POST", PATH, self._set)

    async def _set(self, request: web.Request) -> web.Response:
        try:
            limit = msgspec.json.decode(await request.read(), type=Limit)
        except msgspec.DecodeError as error:
            return answer(400, {"error": str(error)})
        if limit.merchant not in self._known:
            return answer(404, {"error": "there is no such merchant"})
        if not 0 <= limit.max_ratio <= wire.RATIO_WHOLE:
            return answer(400, {"error": f"max_ratio is from 0 to {wire.RATIO_WHOLE}"})
        self._sharing.set_ratio(limit.merchant, limit.max_ratio)
        return answer(200, {"merchant": limit.merchant, "max_ratio": limit.max_ratio})
