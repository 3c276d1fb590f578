"""Messages between the courier and those it speaks to. The rules are those of `messages.py`."""

from msgspec import Struct

from payments.storage.base import EventRow, EventStub

# --- courier -> shard, and back --------------------------------------------------------------


class TailEvents(Struct, array_like=True, tag=90, gc=False):
    """Read which events were committed after number `after`. Short of `limit`: all there are.

    Whoever was told all is told once more when there is more: EventsWaiting.
    """

    ref: int
    after: int
    limit: int


class EventTail(Struct, array_like=True, tag=91, gc=False):
    """`rows`: (no, merchant_no, type, at_ms). `last`: the shard's last number."""

    ref: int
    last: int
    rows: tuple[EventStub, ...]


class FetchEvents(Struct, array_like=True, tag=92, gc=False):
    """Read events whole: by number, by id, or all of a payment and its refunds."""

    ref: int
    numbers: tuple[int, ...] = ()
    id: str = ""
    payment: str = ""


class EventRows(Struct, array_like=True, tag=93, gc=False):
    """As many of those asked for, from the first, as go into a frame; absent ones are left out."""

    ref: int
    rows: tuple[EventRow, ...]


class EventsWaiting(Struct, array_like=True, tag=94, gc=False):
    """There is more to read, up to number `last`."""

    last: int


# --- front door -> courier -------------------------------------------------------------------


class CourierAsk(Struct, array_like=True, tag=95, gc=False):
    """A request about webhooks and events. The caller was verified and has the scope.

    `merchant`: for whom it acts; else `platform`, for all its merchants. `caller`: the key's id.
    """

    ref: int
    op: str
    caller: str
    merchant: str | None
    platform: str | None
    target: str | None
    body: bytes
    query: dict[str, str] = {}
    key_digest: bytes | None = None
    fingerprint: bytes = b""
    nonce: int = 0
    nonce_at: int = 0


EventMessage = TailEvents | EventTail | FetchEvents | EventRows | EventsWaiting | CourierAsk
