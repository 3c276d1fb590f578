"""Sockets: the only file that opens one. Everything above speaks of wires and frames.

A *wire* carries frames (bytes of at most FRAME_MAX) in order until it is lost. Addresses:
`unix:/path` on one node, `tcp:host:port` between nodes. A Unix listener binds a temporary name and
renames it, so that a dialer finds either the old socket or the new one, never none.
"""

import asyncio
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Callable
from typing import Final, Protocol

log = logging.getLogger(__name__)

FRAME_MAX: Final = 1 << 20
"""Bytes in a frame, at most; the sender splits its batch, the receiver cuts the wire."""

HEADER: Final = 4
WRITE_HIGH_WATER: Final = 1 << 20
"""Bytes that may wait in a socket's buffer before its link stops writing."""


class WireEvents(Protocol):
    """Who listens to a wire."""

    def on_frame(self, frame: bytes) -> None: ...
    def on_lost(self, reason: str) -> None: ...
    def on_writable(self) -> None: ...


class Wire(Protocol):
    """An open connection that carries frames."""

    @property
    def writable(self) -> bool:
        """False while the other side is slower than we write."""
        ...

    def bind(self, events: WireEvents) -> None: ...
    def send(self, frame: bytes) -> None:
        """Sent when the loop's turn is over."""
        ...

    def send_now(self, frame: bytes) -> None:
        """Sent before this returns, as far as the wire takes it."""
        ...

    def close(self) -> None: ...


class Listener(Protocol):
    async def close(self) -> None: ...


class Network(Protocol):
    """How actors reach each other: sockets between processes, memory within one."""

    async def listen(self, address: str, accept: Callable[[Wire], None]) -> Listener: ...
    async def dial(self, address: str) -> Wire:
        """Connect, or raise OSError when nobody listens."""
        ...


class SocketWire(asyncio.Protocol):
    """Frames over a stream: four bytes of length, then the frame."""

    __slots__ = (
        "_accept", "_events", "_file", "_open", "_pending", "_rest", "_transport", "writable",
    )  # fmt: skip

    def __init__(
        self, opened: "set[SocketWire]", accept: Callable[[Wire], None] | None = None
    ) -> None:
        """`opened`: the open wires of its network, of which it is one while it lasts."""
        self.writable = True
        self._accept = accept
        self._open = opened
        self._events: WireEvents | None = None
        self._transport: asyncio.Transport | None = None
        self._file = -1
        self._rest = b""
        self._pending: list[bytes] = []

    def bind(self, events: WireEvents) -> None:
        self._events = events
        pending, self._pending = self._pending, []
        for frame in pending:
            events.on_frame(frame)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._open.add(self)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)  # type: ignore[attr-defined]
        if self._accept is not None:
            self._accept(self)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= HEADER:
            size = int.from_bytes(data[at : at + HEADER], "big")
            if size > FRAME_MAX:
                self._cut(f"a frame of {size} bytes; the limit is {FRAME_MAX}")
                return
            if end - at - HEADER < size:
                break
            frame = data[at + HEADER : at + HEADER + size]
            at += HEADER + size
            if self._events is None:
                self._pending.append(frame)
            else:
                self._events.on_frame(frame)
        self._rest = data[at:] if at < end else b""

    def _cut(self, reason: str) -> None:
        assert self._transport is not None
        self._transport.abort()
        if self._events is not None:
            events, self._events = self._events, None
            events.on_lost(reason)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        if self._events is not None:
            events, self._events = self._events, None
            events.on_lost(str(exc) if exc else "closed")

    def pause_writing(self) -> None:
        self.writable = False

    def resume_writing(self) -> None:
        self.writable = True
        if self._events is not None:
            self._events.on_writable()

    def send(self, frame: bytes) -> None:
        assert len(frame) <= FRAME_MAX, len(frame)
        if self._transport is not None:
            self._transport.write(len(frame).to_bytes(HEADER, "big") + frame)

    def send_now(self, frame: bytes) -> None:
        assert len(frame) <= FRAME_MAX, len(frame)
        transport = self._transport
        if transport is None:
            return
        data = len(frame).to_bytes(HEADER, "big") + frame
        # Never past what waits already, and never to a number that may be another file's by now.
        if not transport.get_write_buffer_size() and not transport.is_closing():
            if self._file < 0:
                self._file = transport.get_extra_info("socket").fileno()
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                # Full, or gone: the transport finds out the same, and knows what to do.
                log.debug("not written at once", exc_info=error)
        if data:
            transport.write(data)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def silence(self) -> None:
        """Hear nothing more: this end is no more. The other learns that the wire is lost."""
        self._events = None
        if self._transport is not None:
            self._transport.abort()


class _SocketListener:
    def __init__(self, server: asyncio.AbstractServer, path: str | None) -> None:
        self._server = server
        self._path = path
        self._inode = 0 if path is None else os.stat(path).st_ino

    async def close(self) -> None:
        self._server.close()
        if self._path is not None:
            with contextlib.suppress(FileNotFoundError):
                # A successor may listen under this name by now: its socket is not ours to remove.
                if os.stat(self._path).st_ino == self._inode:
                    os.unlink(self._path)
        await self._server.wait_closed()


class SocketNetwork:
    """Wires over Unix sockets (one node) or TCP (between nodes), of one box."""

    def __init__(self) -> None:
        self._open: set[SocketWire] = set()

    def cut(self) -> None:
        """The box has ended: lose every wire, as its process would if it ended with it."""
        for wire in list(self._open):
            wire.silence()

    async def listen(self, address: str, accept: Callable[[Wire], None]) -> Listener:
        loop = asyncio.get_running_loop()
        kind, _, rest = address.partition(":")
        if kind == "unix":
            temporary = f"{rest}.{os.getpid()}"
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            bound.bind(temporary)
            os.chmod(temporary, stat.S_IRUSR | stat.S_IWUSR)
            server = await loop.create_unix_server(self._taking(accept), sock=bound)
            os.rename(temporary, rest)
            return _SocketListener(server, rest)
        host, port = _host_port(kind, rest)
        return _SocketListener(await loop.create_server(self._taking(accept), host, port), None)

    async def dial(self, address: str) -> Wire:
        loop = asyncio.get_running_loop()
        kind, _, rest = address.partition(":")
        if kind == "unix":
            _, wire = await loop.create_unix_connection(self._taking(None), rest)
            return wire
        host, port = _host_port(kind, rest)
        _, wire = await loop.create_connection(self._taking(None), host, port)
        return wire

    def _taking(self, accept: Callable[[Wire], None] | None) -> Callable[[], SocketWire]:
        return lambda: SocketWire(self._open, accept)


def _host_port(kind: str, rest: str) -> tuple[str, int]:
    assert kind == "tcp", f"an address starts with unix: or tcp:, not {kind!r}"
    host, _, port = rest.rpartition(":")
    return host, int(port)


TAKEN_MAX: Final = 256
"""Connections that are taken in in one turn of the loop; requests have their turn in between."""

ACCEPT_AGAIN_S: Final = 1.0

NOWHERE: Final = "192.0.2.1"
"""An address for documentation, which nobody has (RFC 5737)."""


def reserve_tcp(host: str, port: int) -> socket.socket:
    """Bind a TCP port for the front doors to share. Raise OSError when somebody has it.

    Bound first *without* SO_REUSEPORT, so that two deployments never share a port; the option is
    set afterwards, so that our own front doors may join. The caller keeps the socket open and
    never listens on it.
    """
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((host, port))
    except OSError:
        reserved.close()
        raise
    # With SO_REUSEADDR on both, and nobody listening yet, another could bind beside us.
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return reserved


def lan_address() -> str | None:
    """This machine's address in its local network; None without one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((NOWHERE, 9))  # Only asks the kernel for the way there.
        except OSError:
            return None
        address = str(probe.getsockname()[0])
    return None if address.startswith(("127.", "0.")) else address


def shared_socket(host: str, port: int) -> socket.socket:
    """A bound socket of one front door on the port that the supervisor reserved."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((host, port))
    bound.setblocking(False)
    return bound


class ClientListener:
    """Takes connections in for protocols of somebody else's, such as an HTTP server's.

    Hundreds who wait are taken in one turn of the loop. A loop's own server takes one (libuv,
    since 1.46): under load a turn is long, and whoever came last waited for seconds.
    """

    def __init__(
        self, factory: Callable[[], asyncio.BaseProtocol], bound: socket.socket, backlog: int
    ) -> None:
        """`backlog`: connections that may wait; whoever comes then is not heard for a second."""
        self._factory = factory
        self._socket = bound
        self._loop = asyncio.get_running_loop()
        self._backlog = backlog
        self._opening: set[asyncio.Task[object]] = set()
        bound.listen(backlog)
        self._loop.add_reader(bound, self._take_many, TAKEN_MAX)

    def _take_many(self, most: int) -> None:
        for _ in range(most):
            if not self._take():
                break

    def _take(self) -> bool:
        """One connection; False when nobody waits."""
        try:
            client, _ = self._socket.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True
        except OSError as error:
            # No file left to open, most of the time: those who wait stay in the backlog meanwhile.
            log.error("no connection can be taken in; trying again", exc_info=error)
            self._loop.remove_reader(self._socket)
            self._loop.call_later(ACCEPT_AGAIN_S, self._resume)
            return False
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opening = self._loop.create_task(self._open(client))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)
        return True

    async def _open(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, client)
        except OSError as error:
            # It hung up before it was heard.
            log.debug("a connection was lost at once", exc_info=error)
            client.close()

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._take_many, TAKEN_MAX)

    def close(self) -> None:
        """Take in whoever waits already, then listen no more. Open connections stay."""
        if self._socket.fileno() >= 0:
            self._take_many(self._backlog)
            self._loop.remove_reader(self._socket)
            self._socket.close()
