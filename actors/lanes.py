"""A shard's view of the channel lanes: who is there, how much they will take, how they feel.

A lane grants credits; an attempt spends one when it is decided and its answer gives it back. No
credit, no attempt: the next channel, or 503 before anything is written.
"""

from collections.abc import Mapping

from actors.link import Link
from actors.messages import LaneCredit, Message
from payments.routing import CHANNEL_FROZEN, ChannelAccount, LaneFacts, Router


class LanePeer:
    """One lane of one channel account, as its last word described it."""

    __slots__ = ("account", "facts", "lane", "link")

    def __init__(self, account: str, lane: int) -> None:
        self.account = account
        self.lane = lane
        self.link: Link | None = None
        self.facts = LaneFacts(0, "closed")


class Lanes:
    """All lanes of all accounts. The partition chooses the lane: a query follows its pay."""

    def __init__(self, accounts: tuple[ChannelAccount, ...]) -> None:
        self.accounts = accounts
        self.router = Router(accounts)
        self.wired = frozenset(account.name for account in accounts if account.is_wired)
        """Accounts of the outside world, which are told more about an order than its number."""
        self.dividing = frozenset(
            account.name
            for account in accounts
            if account.settles_to == CHANNEL_FROZEN and not account.is_external
        )
        """Accounts whose channel holds back what is split, and divides it itself."""
        self.channel_of = {account.name: account.channel for account in accounts}
        # Who serves no way is asked nothing: its payments are taken elsewhere.
        self._peers: dict[str, list[LanePeer]] = {each.name: [] for each in accounts if each.ways}
        self._facts: dict[int, dict[str, LaneFacts]] = {}

    def credit(self, link: Link, message: LaneCredit) -> None:
        """A lane introduces itself (with its window) or tells how its circuit is."""
        peers = self._peers.setdefault(message.account, [])
        while len(peers) <= message.lane:
            peers.append(LanePeer(message.account, len(peers)))
            self._facts.clear()
        peer = peers[message.lane]
        if peer.link is not link:
            peer.facts.credits = message.credits
        peer.link = link
        peer.facts.circuit = message.circuit

    def lost(self, link: Link) -> LanePeer | None:
        """A link is gone; the lane behind it, if it was one."""
        for peers in self._peers.values():
            for peer in peers:
                if peer.link is link:
                    peer.link = None
                    peer.facts.credits = 0
                    return peer
        return None

    def peer(self, account: str, partition: int) -> LanePeer | None:
        peers = self._peers.get(account)
        return peers[partition % len(peers)] if peers else None

    def facts(self, partition: int) -> Mapping[str, LaneFacts]:
        """What routing may know of each account, for a payment of this partition."""
        found = self._facts.get(partition)
        if found is None:
            found = self._facts[partition] = {
                account: peers[partition % len(peers)].facts
                for account, peers in self._peers.items()
                if peers
            }
        return found

    def give_back(self, account: str, partition: int) -> None:
        """An answer came: its credit may be spent again."""
        peer = self.peer(account, partition)
        if peer is not None and peer.link is not None:
            peer.facts.credits += 1

    def send(self, account: str, partition: int, message: Message) -> bool:
        """False when it is certain that the lane did not get it."""
        peers = self._peers.get(account)
        if not peers:
            return False
        link = peers[partition % len(peers)].link
        return link is not None and link.send(message)

    def links(self, name: str) -> list[Link]:
        """The lanes of an account or of a channel by name; all of them for an empty name."""
        return [
            peer.link
            for account, peers in self._peers.items()
            if name in ("", account, self.channel_of.get(account))
            for peer in peers
            if peer.link is not None
        ]

    def credits(self) -> dict[str, int]:
        """What the lanes of each account would take from this shard now, for metrics."""
        return {
            account: sum(peer.facts.credits for peer in peers)
            for account, peers in self._peers.items()
        }

    def circuits(self) -> dict[str, str]:
        """The state of each lane, for metrics and readiness: `account/lane` to circuit or down."""
        return {
            f"{account}/{peer.lane}": peer.facts.circuit if peer.link is not None else "down"
            for account, peers in self._peers.items()
            for peer in peers
        }
