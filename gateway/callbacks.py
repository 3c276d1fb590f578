"""Callbacks of channels: from the front door to a lane of their account, and the answer back.

Their address carries a token, so that a stranger cannot even ask us to verify signatures. What
stands in them is the connector's to judge; here they only have a size and a number at one time.
"""

import asyncio
from collections.abc import Callable
from hmac import compare_digest
from typing import Final

from actors.link import Dialer, Identity, Link
from actors.messages import CallbackAnswered, HearCallback, Message
from actors.net import Network
from actors.placement import lane_name
from gateway.settings_shape import Settings
from payments.errors import Overloaded
from payments.idempotency import Digests

CALLBACK_BYTES_MAX: Final = 65_536
IN_HAND_MAX: Final = 256
"""Callbacks of one front door that wait for a lane; more are refused, and told again."""

PATIENCE_S: Final = 4.5
"""A lane answers within 4 s. The most impatient channel waits 5 s."""

TOKEN_LENGTH: Final = 32
HEADER_BYTES_MAX: Final = 16_384
"""Headers that are passed on, together."""


def callback_token(digests: Digests, account: str) -> str:
    """The unguessable part of an account's callback address; the same as long as the data lives."""
    return digests.key("channel callbacks", account).hex()[:TOKEN_LENGTH]


def callback_url(public_url: str, digests: Digests, channel: str, account: str) -> str:
    """Where a channel calls back."""
    return f"{public_url}/callbacks/{channel}/{account}/{callback_token(digests, account)}"


class Callbacks:
    """The links of one front door to the lanes of accounts that are asked over a network."""

    def __init__(
        self,
        settings: Settings,
        digests: Digests,
        identity: Identity,
        network: Network,
        address: Callable[[str], str],
    ) -> None:
        self._ref = 0
        self._waiting: dict[int, tuple[asyncio.Future[CallbackAnswered], Link]] = {}
        self._tokens: dict[tuple[str, str], bytes] = {}
        self._lanes: dict[str, list[Dialer]] = {}
        for account in settings.asked:
            if account.is_wired:
                token = callback_token(digests, account.account)
                self._tokens[account.name, account.account] = token.encode()
                self._lanes[account.account] = [
                    Dialer(network, lambda n=name: address(n), self, identity)  # type: ignore[misc]
                    for name in (lane_name(account.account, n) for n in range(account.lanes))
                ]

    @property
    def dialers(self) -> list[Dialer]:
        return [dialer for dialers in self._lanes.values() for dialer in dialers]

    def __len__(self) -> int:
        """Callbacks that wait for their lane."""
        return len(self._waiting)

    def knows(self, channel: str, account: str, token: str) -> bool:
        """Whether the address is one that we gave out. The same time for any wrong token."""
        expected = self._tokens.get((channel, account), b"")
        return (
            compare_digest(expected, token.encode("utf-8", "surrogateescape")) and expected != b""
        )

    async def hear(self, account: str, message: HearCallback) -> CallbackAnswered:
        """What the channel is to be told. Raise Overloaded: let it tell us again."""
        if len(self._waiting) >= IN_HAND_MAX:
            raise Overloaded("too many callbacks at once", retry_after_s=1)
        self._ref = ref = self._ref + 1
        message.ref = ref
        dialers = self._lanes[account]
        # Any lane of the account can verify it; they take turns.
        for turn in range(len(dialers)):
            link = dialers[(ref + turn) % len(dialers)].link
            if link is not None and link.send(message):
                break
        else:
            raise Overloaded("the channel's lane is away", retry_after_s=1)
        answer: asyncio.Future[CallbackAnswered] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = answer, link
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await answer
        except TimeoutError:
            raise Overloaded("the channel's lane did not answer", retry_after_s=1) from None
        finally:
            del self._waiting[ref]

    # --- links -----------------------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        """A lane is there."""

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, CallbackAnswered):
                waiting = self._waiting.get(message.ref)
                if waiting is not None and not waiting[0].done():
                    waiting[0].set_result(message)

    def on_link_lost(self, link: Link) -> None:
        """Its answers are lost: the channels tell us again."""
        for answer, over in self._waiting.values():
            if over is link and not answer.done():
                answer.set_exception(Overloaded("the channel's lane was lost", retry_after_s=1))
