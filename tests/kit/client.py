"""The front door's side of a link, and its log: what a client was told, nobody may take back."""

from typing import Any

import msgspec

from actors.link import Dialer, Identity, Link
from actors.local import LocalHost, LocalNetwork
from actors.messages import Answer, Message, Refusal

SECRET = b"the secret of a cluster in tests"


class Ack(msgspec.Struct):
    """One exchange of a client. `reply` None: the link was lost, anything may have happened."""

    command: Any
    key: str
    reply: Answer | Refusal | None = None
    done: bool = False

    @property
    def body(self) -> dict[str, Any]:
        assert isinstance(self.reply, Answer), self.reply
        return dict(msgspec.json.decode(self.reply.body))

    @property
    def code(self) -> str:
        """The refusal's code; `lost` without a reply, else empty."""
        if self.reply is None:
            return "lost"
        return self.reply.code if isinstance(self.reply, Refusal) else ""


class Client:
    """The front door's side of a link, with a log of everything that was acknowledged."""

    def __init__(self, network: LocalNetwork) -> None:
        self.host = LocalHost(network)
        identity = Identity("front_door", "front-door-0", SECRET)
        self.dialer = Dialer(self.host, lambda: "shard-0", self, identity)
        self.log: list[Ack] = []
        self._open: dict[int, Ack] = {}
        self._ref = 0

    def send(self, command: Any, key: str = "") -> Ack:
        self._ref += 1
        command.ref = self._ref
        ack = Ack(command, key)
        self.log.append(ack)
        link = self.dialer.link
        if link is None or not link.send(command):
            ack.done = True
        else:
            self._open[self._ref] = ack
        return ack

    def on_link(self, link: Link) -> None:
        """Nothing to say first."""

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        for message in messages:
            if isinstance(message, Answer | Refusal):
                ack = self._open.pop(message.ref, None)
                if ack is not None:
                    ack.reply, ack.done = message, True

    def on_link_lost(self, link: Link) -> None:
        for ack in self._open.values():
            ack.done = True
        self._open.clear()
