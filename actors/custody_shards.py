"""The custody box's links to the shards: who is there, and questions that await an answer."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from actors.home_messages import ClaimRows, CreditMatched, MatchCredit, ReadClaims
from actors.link import Dialer, Link
from actors.messages import Message, ReadStatus, Stats
from payments.ids import partition_of
from payments.settlement.cover import Credit, Waiting
from payments.settlement.credited import Covered

ASK_S: Final = 10.0
"""A shard that says nothing for so long is away, or not ready; it is asked again."""


class Away(ConnectionError):
    """A shard cannot be asked just now."""


class Shards:
    """All of them, in the order of their numbers. `shard_of`: partition -> number."""

    def __init__(self, dialers: Sequence[Dialer], shard_of: Callable[[int], int]) -> None:
        self._dialers = dialers
        self._shard_of = shard_of
        self._ref = 0
        self._waiting: dict[int, tuple[Link, asyncio.Future[Any], list[ClaimRows]]] = {}

    def __len__(self) -> int:
        return len(self._dialers)

    def number_of(self, identifier: str) -> int:
        """The shard that hosts what an id names. Raise MalformedId."""
        return self._shard_of(partition_of(identifier))

    def link(self, number: int) -> Link | None:
        """The link to a shard while it is up."""
        return self._dialers[number].link

    def number(self, link: Link) -> int | None:
        """Which shard a link goes to; None when it is none of theirs (any more)."""
        found = (n for n, dialer in enumerate(self._dialers) if dialer.link is link)
        return next(found, None)

    def next_ref(self) -> int:
        self._ref += 1
        return self._ref

    # --- questions -----------------------------------------------------------------------------

    async def claims(self, number: int, account: str, bill_date: int) -> list[Waiting]:
        """Claims of a shard that wait for a credit of that account and day. Raise Away."""
        found: list[ClaimRows] = await self._ask(number, ReadClaims(0, account, bill_date))
        return [each for rows in found for each in rows.waiting]

    async def covered(self, number: int, credit: Credit) -> list[Covered]:
        """What the credit has covered in a shard by now. Raise Away."""
        asked = ReadClaims(0, credit.channel_account, credit.bill_date, credit.reference)
        found: list[ClaimRows] = await self._ask(number, asked)
        return [each for rows in found for each in rows.covered]

    async def match(
        self, number: int, credit: Credit, shares: tuple[tuple[str, int], ...]
    ) -> CreditMatched:
        """Cover claims of a shard, as far as it can now. Raise Away."""
        answer = await self._ask(number, MatchCredit(0, credit, shares))
        assert isinstance(answer, CreditMatched), answer
        return answer

    async def heard_all(self) -> None:
        """Wait until everything that a shard has said by now is here: a link keeps the order."""
        for number in range(len(self)):
            try:
                await self._ask(number, ReadStatus(0))
            except Away:
                # It says it again when it is back: nothing of it is under way to us now.
                continue

    async def _ask(self, number: int, message: Any) -> Any:
        link = self.link(number)
        ref = message.ref = self.next_ref()
        if link is None or not link.send(message):
            raise Away(f"shard {number} is away")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = link, future, []
        try:
            async with asyncio.timeout(ASK_S):
                return await future
        except TimeoutError:
            raise Away(f"shard {number} does not answer") from None
        finally:
            self._waiting.pop(ref, None)

    def answered(self, message: Message) -> None:
        """An answer; claims may come in several messages."""
        assert isinstance(message, ClaimRows | CreditMatched | Stats), message
        if message.ref not in self._waiting:
            return
        _, future, rows = self._waiting[message.ref]
        if future.done():
            return
        if isinstance(message, ClaimRows):
            rows.append(message)
            if message.last:
                future.set_result(rows)
        else:
            future.set_result(message)

    def lost(self, link: Link) -> None:
        """Whoever waits for an answer over a link that is gone, waits no longer."""
        for asked, future, _ in list(self._waiting.values()):
            if asked is link and not future.done():
                future.set_exception(Away("the link was lost"))
