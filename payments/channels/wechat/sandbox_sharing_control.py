"""What a test sets of the sandbox's profit sharing, and a merchant on WeChat Pay's own pages."""

from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct

from payments.channels.sandbox.control import Control, answer
from payments.channels.sandbox.courier import notify_url_refusal
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.sandbox_keys import Account
from payments.channels.wechat.sandbox_sharing import ProfitSharing

PATH: Final = f"{Control.PREFIX}sharing"


class Wish(Struct, frozen=True, forbid_unknown_fields=True):
    """`max_ratio`: what a merchant lets be shared of a payment, in hundredths of a percent.

    `notify_url`: where `merchant`, any receiver, is told of its parts; empty for nowhere.
    """

    merchant: str
    max_ratio: int | None = None
    notify_url: str | None = None


class SharingControl:
    def __init__(self, account: Account, sharing: ProfitSharing) -> None:
        self._known = (account.mchid, *account.sub_mchids)
        self._sharing = sharing

    def add_to(self, app: web.Application) -> None:
        app.router.add_route("POST", PATH, self._set)

    async def _set(self, request: web.Request) -> web.Response:
        try:
            wish = msgspec.json.decode(await request.read(), type=Wish)
        except msgspec.DecodeError as error:
            return answer(400, {"error": str(error)})
        if why := self._refusal(wish):
            return answer(400, {"error": why})
        if wish.max_ratio is not None:
            self._sharing.set_ratio(wish.merchant, wish.max_ratio)
        if wish.notify_url is not None:
            self._sharing.set_url(wish.merchant, wish.notify_url)
        return answer(200, msgspec.to_builtins(wish))

    def _refusal(self, wish: Wish) -> str:
        """Why it cannot be, or nothing."""
        if wish.max_ratio is not None:
            if wish.merchant not in self._known:
                return "there is no such merchant"
            if not 0 <= wish.max_ratio <= wire.RATIO_WHOLE:
                return f"max_ratio is from 0 to {wire.RATIO_WHOLE}"
        elif wish.notify_url is None:
            return "max_ratio or notify_url is needed"
        return notify_url_refusal(wish.notify_url) if wish.notify_url else ""
