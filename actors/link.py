"""Links: what two actors say to each other, batched per loop tick.

A link is a wire after a mutual handshake. `send` queues a message; everything queued in one tick of
the loop leaves as one frame. A link has a bounded queue and re-sends nothing by itself: a lost link
is reported, and whoever had questions out decides what that means.

Handshake, three messages, each side proving the cluster secret over the other's challenge:

    dialer   -> Hello(challenge d)
    acceptor -> Hello(challenge a, proof over d)
    dialer   -> Hello(proof over a)
"""

import asyncio
import hmac
import logging
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from actors.messages import PROTOCOL_MAX, PROTOCOL_MIN, Hello, Message, decoder, encoder
from actors.net import FRAME_MAX, Listener, Network, Wire
from payments.ids import Entropy

log = logging.getLogger(__name__)

OUTBOX_MAX: Final = 65_536
"""Messages that may wait in a link; more are refused, and the sender answers 503 or unknown."""

CONGESTED_FROM: Final = 1_024
"""Messages in a link from which on its front door queues by merchant."""

HANDSHAKE_TIMEOUT_S: Final = 5.0
REDIAL_FIRST_S: Final = 0.02
REDIAL_MAX_S: Final = 0.5
CHALLENGE_BYTES: Final = 16


class Handler(Protocol):
    """An actor as its links see it."""

    def on_link(self, link: "Link") -> None:
        """The link is up."""
        ...

    def on_messages(self, link: "Link", messages: list[Message]) -> None: ...
    def on_link_lost(self, link: "Link") -> None: ...


class Identity(msgspec.Struct, frozen=True):
    """Who an actor is, for the handshake. `secret`: the cluster's, never logged."""

    role: str
    name: str
    secret: bytes
    incarnation: int = 0
    epoch: int = 0
    map_version: int = 1

    def __repr__(self) -> str:
        return f"Identity({self.role}, {self.name}, {self.incarnation})"


class Link:
    """One side of a link. Make it with `connect` or `serve`."""

    __slots__ = (
        "_challenge",
        "_dialing",
        "_handler",
        "_identity",
        "_loop",
        "_lost",
        "_outbox",
        "_scheduled",
        "_state",
        "_up",
        "_wire",
        "peer",
        "peer_name",
        "peer_role",
        "refill",
    )

    def __init__(self, wire: Wire, handler: Handler, identity: Identity, *, dialing: bool) -> None:
        self.peer: Hello | None = None
        self.peer_name = ""
        self.peer_role = ""
        self.refill: Callable[[], None] | None = None
        """Called after a frame left: room for those who queue fairly before the link."""
        self._wire = wire
        self._handler = handler
        self._identity = identity
        self._dialing = dialing
        self._loop = asyncio.get_running_loop()
        self._outbox: list[Message] = []
        self._scheduled = False
        self._state = "new"
        self._lost = asyncio.Event()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._challenge = Entropy().bytes(CHALLENGE_BYTES)
        wire.bind(self)
        if dialing:
            self._write([self._hello(b"")], wire.send)
        else:
            self._loop.call_later(HANDSHAKE_TIMEOUT_S, self._hurry)

    def _hurry(self) -> None:
        """Whoever dials and does not prove itself in time holds no wire."""
        if self._state not in ("up", "lost"):
            self._fail("no handshake in time")

    def __repr__(self) -> str:
        return f"Link({self._identity.name} - {self.peer_name or '?'}, {self._state})"

    @property
    def is_up(self) -> bool:
        return self._state == "up"

    def send(self, message: Message) -> bool:
        """Queue a message for this tick's frame. False when the link is down or its queue full."""
        outbox = self._outbox
        if len(outbox) >= OUTBOX_MAX or self._state != "up":
            return False
        outbox.append(message)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return True

    @property
    def queued(self) -> int:
        """Messages not yet handed to the wire."""
        return len(self._outbox)

    @property
    def congested(self) -> bool:
        """More waits than one tick explains: whoever has many senders should queue fairly."""
        return len(self._outbox) >= CONGESTED_FROM

    def close(self) -> None:
        """End the link; queued messages are sent first as far as the wire takes them."""
        self._flush()
        self._wire.close()

    async def wait_up(self) -> None:
        """Wait for the handshake. Raise ConnectionError if it fails."""
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            await asyncio.shield(self._up)

    async def wait_lost(self) -> None:
        """Wait until the link is lost."""
        await self._lost.wait()

    def flush(self) -> None:
        """Let what is queued leave now: whoever computes on in this tick has others wait less."""
        self._leave(self._wire.send_now)

    def _flush(self) -> None:
        self._scheduled = False
        self._leave(self._wire.send)

    def _leave(self, send: Callable[[bytes], None]) -> None:
        if not self._outbox or not self._wire.writable or self._state != "up":
            return
        batch, self._outbox = self._outbox, []
        self._write(batch, send)
        if self.refill is not None:
            self.refill()

    def _write(self, batch: list[Message], send: Callable[[bytes], None]) -> None:
        frame = encoder.encode(batch)
        if len(frame) <= FRAME_MAX:
            send(frame)
            return
        if len(batch) == 1:
            # A bug of whoever made it; the others of this tick must not suffer for it.
            kind = type(batch[0]).__name__
            log.error("a %s of %d bytes is over a frame and was dropped", kind, len(frame))
            return
        middle = len(batch) // 2
        self._write(batch[:middle], send)
        self._write(batch[middle:], send)

    def on_writable(self) -> None:
        self._flush()

    def on_frame(self, frame: bytes) -> None:
        try:
            messages = decoder.decode(frame)
        except msgspec.DecodeError as error:
            self._fail(f"a frame that is no list of messages: {error}")
            return
        if self._state == "up":
            self._handler.on_messages(self, messages)
        else:
            for message in messages:
                self._shake(message)

    def on_lost(self, reason: str) -> None:
        was_up, self._state = self._state == "up", "lost"
        self._lost.set()
        if not self._up.done():
            self._up.set_exception(ConnectionError(f"link lost in the handshake: {reason}"))
            self._up.exception()  # Looked at here: nobody may be waiting.
        if was_up:
            self._handler.on_link_lost(self)

    # --- handshake ---------------------------------------------------------------------------

    def _hello(self, proof: bytes) -> Hello:
        me = self._identity
        return Hello(
            me.role,
            me.name,
            me.incarnation,
            me.epoch,
            PROTOCOL_MIN,
            PROTOCOL_MAX,
            me.map_version,
            self._challenge,
            proof,
        )

    def _prove(self, peer: Hello) -> bytes:
        side = b"d" if self._dialing else b"a"
        return self._mac(side, self._identity.role, self._identity.name, peer.challenge)

    def _mac(self, side: bytes, role: str, name: str, challenge: bytes) -> bytes:
        text = b"\0".join((b"tillway-link", side, role.encode(), name.encode(), challenge))
        return hmac.digest(self._identity.secret, text, "sha256")

    def _proven(self, peer: Hello) -> bool:
        side = b"a" if self._dialing else b"d"
        expected = self._mac(side, peer.role, peer.name, self._challenge)
        return hmac.compare_digest(expected, peer.proof)

    def _shake(self, message: Message) -> None:
        if not isinstance(message, Hello):
            self._fail(f"{type(message).__name__} before the handshake")
            return
        if message.protocol_max < PROTOCOL_MIN or message.protocol_min > PROTOCOL_MAX:
            self._fail(f"speaks protocol {message.protocol_min}-{message.protocol_max} only")
            return
        if self._state == "new" and not self._dialing:
            self._state = "challenged"
            self._write([self._hello(self._prove(message))], self._wire.send)
            return
        if not self._proven(message):
            self._fail("the peer does not know the cluster secret")
            return
        if self._dialing:
            self._write([self._hello(self._prove(message))], self._wire.send)
        self.peer, self.peer_name, self.peer_role = message, message.name, message.role
        self._state = "up"
        if not self._up.done():
            self._up.set_result(None)
        self._handler.on_link(self)

    def _fail(self, reason: str) -> None:
        self._wire.close()
        self.on_lost(reason)


async def serve(network: Network, address: str, handler: Handler, identity: Identity) -> Listener:
    """Accept links at `address`."""
    return await network.listen(address, lambda wire: _accept(wire, handler, identity))


def _accept(wire: Wire, handler: Handler, identity: Identity) -> None:
    Link(wire, handler, identity, dialing=False)


class Dialer:
    """Keeps one link to an address: dials, and dials again when it is lost, until closed."""

    def __init__(
        self,
        network: Network,
        address: Callable[[], str],
        handler: Handler,
        identity: Identity,
    ) -> None:
        self._network = network
        self._address = address
        self._handler = handler
        self._identity = identity
        self._link: Link | None = None
        self._closed = False

    @property
    def link(self) -> Link | None:
        """The link while it is up."""
        link = self._link
        return link if link is not None and link.is_up else None

    async def run(self) -> None:
        """Dial until closed. The waits between tries grow to REDIAL_MAX_S."""
        wait_s = REDIAL_FIRST_S
        while not self._closed:
            try:
                wire = await self._network.dial(self._address())
                link = Link(wire, self._handler, self._identity, dialing=True)
                self._link = link
                await link.wait_up()
                wait_s = REDIAL_FIRST_S
                await link.wait_lost()
            except (OSError, TimeoutError):
                wait_s = min(wait_s * 2, REDIAL_MAX_S)
            if not self._closed:
                await asyncio.sleep(wait_s)

    def close(self) -> None:
        self._closed = True
        if self._link is not None:
            self._link.close()
