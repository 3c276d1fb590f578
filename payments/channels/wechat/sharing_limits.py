"""What WeChat Pay's profit sharing allows, asked of it: the largest ratio, and what is held back.

Source: WeChat Pay API v3, "profit sharing": a sub-merchant sets how much of a payment its service
provider may share. Only a verified answer counts; what is not known is None, and never guessed.
"""

from typing import Final
from urllib.parse import quote

from payments.channels.wechat import orders
from payments.channels.wechat import sharing_wire as wire
from payments.channels.wechat.calls import Calls, Verified
from payments.clock import Clock

RATIO_AGE_S: Final = 600.0
"""So long a ratio is believed without asking again. One that was lowered meanwhile is the
channel's refusal, and one that was raised is asked about before anything is refused for it."""


class MaxRatios:
    """The largest ratios of an account's sub-merchants, in hundredths of a percent.

    As many are remembered as the settings name sub-merchants.
    """

    def __init__(self, calls: Calls, clock: Clock, timeout_s: float) -> None:
        self._calls = calls
        self._clock = clock
        self._timeout_s = timeout_s
        self._known: dict[str, tuple[int, float]] = {}

    def remembered(self, sub_mchid: str) -> int | None:
        """What the channel said not long ago."""
        ratio, until = self._known.get(sub_mchid, (0, 0.0))
        return ratio if self._clock.monotonic() < until else None

    async def ask(self, sub_mchid: str) -> int | None:
        """What the channel says now; None where it says nothing to be believed."""
        self._known.pop(sub_mchid, None)
        said = await self._calls.get(f"{wire.CONFIGS}/{_quoted(sub_mchid)}", self._timeout_s)
        shown = orders.read(said.body, wire.RatioShown) if isinstance(said, Verified) else None
        if shown is None or shown.sub_mchid != sub_mchid:
            return None
        if not 0 <= shown.max_ratio <= wire.RATIO_WHOLE:
            return None
        self._known[sub_mchid] = (shown.max_ratio, self._clock.monotonic() + RATIO_AGE_S)
        return shown.max_ratio


async def unsplit(calls: Calls, trade_no: str, timeout_s: float) -> int | None:
    """What of a payment is still held back, in fen; None where nobody says so."""
    said = await calls.get(f"{wire.TRANSACTIONS}/{_quoted(trade_no)}/amounts", timeout_s)
    shown = orders.read(said.body, wire.UnsplitShown) if isinstance(said, Verified) else None
    if shown is None or shown.transaction_id != trade_no or shown.unsplit_amount < 0:
        return None
    return shown.unsplit_amount


def _quoted(value: str) -> str:
    return quote(value, safe="")
