"""Routing: which channel account takes a payment, and why.

An account is capable when it serves the way and the wallet; among the capable ones the smaller
priority number comes first, a hint before all. The first with a credit and a circuit that is not
open takes the payment. Nothing is spent here: the caller takes the credit.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from payments.channels.base import Declined, Outcome
from payments.circuit import OPEN
from payments.errors import NoChannel, WalletNotSupported
from payments.payment import Route, Way

FULL_RETRY_S: Final = 1
"""When credits are missing: they come back with every answer of the channel."""
DOWN_RETRY_S: Final = 5
"""When circuits are open: about the pause before the first probe."""


class ChannelAccount(Struct, frozen=True, array_like=True, gc=False):
    """One account at one channel.

    `mode`: direct, partner or acquirer. `settles_to`: custody, merchant or channel_frozen.
    `priority`: the smaller number first. `is_wired`: its channel is asked over a network.
    `is_external`: somebody else's gateway takes payments on it, and they are reported to us.
    """

    name: str
    channel: str
    wallets: tuple[str, ...]
    ways: tuple[Way, ...]
    priority: int = 0
    mode: str = "direct"
    settles_to: str = "custody"
    currency: str = "cny"
    is_wired: bool = False
    is_external: bool = False

    def __post_init__(self) -> None:
        if not self.name or not _NAME.issuperset(self.name):
            raise ValueError(f"channel account {self.name!r}: use a-z, 0-9, '.', '_' and '-'")
        if self.mode not in MODES or self.settles_to not in DESTINATIONS:
            raise ValueError(f"channel account {self.name}: {self.mode}, {self.settles_to}")

    @property
    def pays_merchant(self) -> bool:
        """Whether the channel pays the merchant itself, past custody."""
        return self.settles_to == MERCHANT


MODES: Final = frozenset({"direct", "partner", "acquirer"})
CUSTODY: Final = "custody"
MERCHANT: Final = "merchant"
CHANNEL_FROZEN: Final = "channel_frozen"
"""The channel holds the money back, pays receivers, and lets the merchant have the rest."""

DESTINATIONS: Final = frozenset({CUSTODY, MERCHANT, CHANNEL_FROZEN})
# The name is part of account names in the books, which `:` and `#` take apart.
_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")


class LaneFacts(Struct, gc=False):
    """What a lane last said: calls it still takes from us, and its circuit."""

    credits: int
    circuit: str


class _Plan(Struct, frozen=True):
    """The capable accounts for one question, in order, with a ready answer for each choice."""

    accounts: tuple[ChannelAccount, ...]
    names: tuple[str, ...]
    first: Route
    further: Route


class Router:
    """Routes over a fixed set of accounts: answers are made once for each (way, wallet, hint)."""

    __slots__ = ("_accounts", "_hints", "_plans")

    def __init__(self, accounts: Iterable[ChannelAccount]) -> None:
        self._accounts = tuple(sorted(accounts, key=lambda account: account.priority))
        self._hints = {a.name for a in self._accounts} | {a.channel for a in self._accounts}
        self._plans: dict[tuple[str, str | None, str | None], _Plan] = {}

    def plan(
        self,
        way: Way,
        wallet: str | None,
        facts: Mapping[str, LaneFacts],
        hint: str | None = None,
        tried: tuple[str, ...] = (),
    ) -> tuple[Route, ChannelAccount]:
        """The route and the account that takes the payment now.

        `wallet` None: any (a cashier code). `facts` by account name; an account without facts is
        down. `hint`: the name of an account or a channel; one that is not capable is no hint.
        `tried`: accounts that refused this payment for their own reasons. Raise
        WalletNotSupported when no account could ever serve it, NoChannel when none can now.
        """
        if hint is not None and hint not in self._hints:
            hint = None
        plan = self._plans.get((way, wallet, hint)) or self._prepare(way, wallet, hint)
        for account in plan.accounts:
            lane = facts.get(account.name)
            if lane is None or lane.credits <= 0 or lane.circuit == OPEN or account.name in tried:
                continue
            return plan.first if account is plan.accounts[0] else plan.further, account
        raise _unavailable(plan, facts, tried)

    def can(self, way: Way, wallet: str | None = None) -> bool:
        """Whether an account could ever take such a payment."""
        return any(serves(account, way, wallet) for account in self._accounts)

    def wallets(self, way: Way) -> tuple[str, ...]:
        """The wallets that some account serves in this way, by the accounts' priority."""
        found = (w for account in self._accounts if way in account.ways for w in account.wallets)
        return tuple(dict.fromkeys(found))

    def _prepare(self, way: Way, wallet: str | None, hint: str | None) -> _Plan:
        capable = [a for a in self._accounts if serves(a, way, wallet)]
        if not capable:
            raise WalletNotSupported(
                f"no channel serves {way} for {wallet or 'any wallet'}", param="wallet"
            )
        hinted = [a for a in capable if hint is not None and hint in (a.name, a.channel)]
        accounts = (*hinted, *(a for a in capable if a not in hinted))
        names = tuple(account.name for account in accounts)
        reason = "hint" if hinted else "priority" if len(names) > 1 else "only"
        plan = _Plan(accounts, names, Route(reason, names), Route("available", names))
        # Bounded: a way, a wallet that some account has, and a hint that names an account.
        self._plans[(way, wallet, hint)] = plan
        return plan


def serves(account: ChannelAccount, way: Way, wallet: str | None) -> bool:
    """Whether an account could ever take such a payment."""
    return way in account.ways and (wallet is None or wallet in account.wallets)


def _unavailable(plan: _Plan, facts: Mapping[str, LaneFacts], tried: tuple[str, ...]) -> NoChannel:
    full = any(
        name in facts and facts[name].circuit != OPEN and name not in tried for name in plan.names
    )
    if full:
        return NoChannel(
            "every channel for this is busy; nothing was written", retry_after_s=FULL_RETRY_S
        )
    return NoChannel(
        "every channel for this is down; nothing was written", retry_after_s=DOWN_RETRY_S
    )


def plan(
    accounts: Iterable[ChannelAccount],
    way: Way,
    wallet: str | None,
    facts: Mapping[str, LaneFacts],
    hint: str | None = None,
    tried: tuple[str, ...] = (),
) -> tuple[Route, ChannelAccount]:
    """`Router.plan` for one question over accounts that are not kept."""
    return Router(accounts).plan(way, wallet, facts, hint, tried)


def may_go_on(outcome: Outcome) -> bool:
    """Whether a second channel may be tried: only when the first refused for its own reasons.

    Never after the payer was asked, after a refusal of the payer's side, or while anything is
    unknown: two channels must never both charge.
    """
    return isinstance(outcome, Declined) and outcome.not_sent
