"""What the comparisons found, told to merchants and platforms as events, each once.

What was told is kept in the file of comparisons, after a shard has it durable: a crash in between
tells it again, which is the same event. A shard that is away is told later.
"""

import asyncio
import logging
from typing import Final

from actors.adjusting_messages import TellNotices, ToldNotices
from actors.courier_tail import Away
from actors.reconciler_carrying import Carrying
from payments.clock import Clock
from payments.ids import partition_of
from payments.reconciliation.notices import Notice
from payments.storage.base import StoreRefused
from payments.storage.comparing import Comparing, aside
from payments.storage.telling import Untold

log = logging.getLogger(__name__)

NOTICES_MAX: Final = 100
"""Notices of one message to a shard."""
LOOK_S: Final = 60.0
"""How often the file is looked at though nothing changed here: bills are imported by hand, too."""


class Telling:
    """`round` is called by one task at a time."""

    def __init__(
        self, comparing: Comparing, carrying: Carrying, clock: Clock, disk: asyncio.Lock
    ) -> None:
        self.told = 0
        self._comparing = comparing
        self._carrying = carrying
        self._clock = clock
        self._disk = disk
        self._seen = -1
        self._look_at = 0.0

    async def round(self) -> None:
        """Tell all that is new; what cannot be told now is told in a later round."""
        seen, now = self._comparing.changes, self._clock.monotonic()
        if not self._carrying.shards or (seen == self._seen and now < self._look_at):
            return
        try:
            while untold := await self._untold():
                await self._tell(untold.notices)
                async with self._disk:
                    await aside(self._comparing.remember_told, untold.marks)
        except (Away, StoreRefused) as error:
            log.info("what was found is told later: %s", error)
            return
        self._seen, self._look_at = seen, now + LOOK_S

    async def _untold(self) -> Untold | None:
        async with self._disk:
            return await aside(self._comparing.untold)

    async def _tell(self, notices: list[Notice]) -> None:
        by_shard: dict[int, list[Notice]] = {}
        for notice in notices:
            shard = self._carrying.shard_of(partition_of(notice.source))
            by_shard.setdefault(shard, []).append(notice)
        for shard, mine in by_shard.items():
            for at in range(0, len(mine), NOTICES_MAX):
                part = tuple(mine[at : at + NOTICES_MAX])
                dialer = self._carrying.shards[shard]
                await self._carrying.asks.ask(dialer, TellNotices(0, part), ToldNotices)
                self.told += len(part)
