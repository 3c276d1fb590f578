"""The shard's desk for the way home of the money: who takes which request, message and due record.

The flows (clearing, cover, payouts, withdrawals, freezes) register here; the desk does what all of
them need: one effect for one Idempotency-Key, nonces, refusals, and answers after the commit. A
handler decides first and changes afterwards, without awaiting; what it raises has changed nothing.

    desk.takes("withdrawal.create", self.create, is_new=True)
    desk.shows("wdr", self.shown)                 # an object as it stands, for replays
    desk.hears(BankSaid, self.bank_said)          # a message of the custody box
    desk.does("withdrawal", self.due)             # a record's time has come
    desk.greets(self.ask_anew)                    # the custody box is (again) there
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from msgspec import Struct

from actors import crash
from actors.core import Core
from actors.home_messages import HomeAsk
from actors.key_uses import key_id, taken
from actors.link import Link
from actors.messages import Message
from actors.record_kinds import ADVANCE, BATCH, FREEZE, INSTRUCTION, KEY, WITHDRAWAL
from actors.records import Kept
from actors.slices import Slices
from payments.directory_view import wish_of
from payments.errors import InvalidField, NotFound, Overloaded, PaymentError
from payments.idempotency import index_of
from payments.ids import MalformedId, partition_of
from payments.settlement.key_use import KeyUse
from payments.view import EVENT_LETTER, event_id, event_json, list_json

CUSTODY: Final = "custody"
"""The role of the box that speaks with the bank."""

DUE_MAX: Final = 256
"""Due records taken up in one scan; the rest comes with the next."""

LIST_DEFAULT: Final = 20
LIST_MAX: Final = 100
SCAN_CHUNK: Final = 200
SCAN_MAX: Final = 10_000
"""Records that one request looks through for those that it asks for."""

BELOW: Final = "id[lt]"
"""The cursor of a list over all owners: other shards do not know its object."""

PREFIXES: Final = {
    BATCH: "bat_",
    INSTRUCTION: "ins_",
    WITHDRAWAL: "wdr_",
    FREEZE: "frz_",
    ADVANCE: "adv_",
}
"""How the ids of each kind begin."""

PAGE_BYTES_MAX: Final = 512 * 1024
"""A page must fit into a frame: it ends early, with `has_more`, before this."""

T = TypeVar("T", bound=Struct)


class Said(Struct, frozen=True, gc=False):
    """What a request is answered with. `object`: the id of what was made, if it can be shown."""

    status: int
    body: bytes
    object: str = ""


Handler = Callable[[HomeAsk], Said]
Heard = Callable[[Link, Any], None]
Due = Callable[[Kept, int], None]


class HomeDesk:
    """One shard's desk. `custody`: the link to the custody box while it is there."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.custody: Link | None = None
        self._ops: dict[str, tuple[Handler, bool]] = {}
        self._shows: dict[str, Callable[[str], bytes]] = {}
        self._hears: dict[type, Heard] = {}
        self._dues: dict[str, Due] = {}
        self._greets: list[Callable[[], None]] = []
        self._recovers: list[Callable[[], None]] = []
        self._reports: list[Callable[[], dict[str, float]]] = []
        self._told: set[str] = set()
        """Events that are not durable yet."""
        self._ticks: list[Callable[[int], None]] = []
        self._next_dues: list[Callable[[], int | None]] = []
        self.slices = Slices(core.clock, lambda: bool(core.live))

    # --- registering ---------------------------------------------------------------------------

    def takes(self, op: str, handler: Handler, *, is_new: bool = False) -> None:
        """Who answers an op. `is_new`: it makes something, so not while the shard drains."""
        assert op not in self._ops, op
        self._ops[op] = (handler, is_new)

    def shows(self, prefix: str, show: Callable[[str], bytes]) -> None:
        """How an object with such an id is rendered as it stands."""
        self._shows[prefix] = show

    def hears(self, kind: type, heard: Heard) -> None:
        assert kind not in self._hears, kind
        self._hears[kind] = heard

    def does(self, kind: str, due: Due) -> None:
        """Who is called with a record of a kind that is due: (record, business ms). It must put
        the record with another due time, or with none."""
        assert kind not in self._dues, kind
        self._dues[kind] = due

    def keeps_time(self, tick: Callable[[int], None], next_due: Callable[[], int | None]) -> None:
        """Who is called with every scan (business ms), and when it has something to do next."""
        self._ticks.append(tick)
        self._next_dues.append(next_due)

    def greets(self, greet: Callable[[], None]) -> None:
        self._greets.append(greet)

    def recovers(self, recover: Callable[[], None]) -> None:
        """What is read from the store once, before the first thing is decided."""
        self._recovers.append(recover)

    def reports(self, numbers: Callable[[], dict[str, float]]) -> None:
        self._reports.append(numbers)

    # --- the custody box -----------------------------------------------------------------------

    def on_link(self, link: Link) -> None:
        if link.peer_role == CUSTODY:
            self.custody = link
            self._recover()
            for greet in self._greets:
                greet()

    def on_link_lost(self, link: Link) -> None:
        if link is self.custody:
            self.custody = None

    def tell_custody(self, message: Message) -> None:
        """Say something to the custody box once everything decided so far is durable.

        Lost where the box is away: whoever must know keeps a due record, and says it again.
        """
        core = self.core

        def leave() -> None:
            if self.custody is not None:
                self.custody.send(message)
            if core.reach is not None:
                core.reach(crash.told(message))

        core.releases.asks.append(leave)
        core.wake.set()

    def hear(self, link: Link, message: Message) -> bool:
        """Take a message of the way home. False if it is none of ours.

        Nothing is taken before the reference data is there: whoever speaks, says it again.
        """
        if type(message) is HomeAsk:
            self._ask(link, message)
            return True
        heard = self._hears.get(type(message))
        if heard is None:
            return False
        if self.core.reference.complete:
            self._recover()
            heard(link, message)
        return True

    def _recover(self) -> None:
        recovers, self._recovers = self._recovers, []
        for recover in recovers:
            recover()

    # --- requests ------------------------------------------------------------------------------

    def _ask(self, link: Link, ask: HomeAsk) -> None:
        core = self.core
        try:
            said, replayed = self._decide(ask)
        except PaymentError as error:
            core.refuse(link, ask.ref, error)
        except Exception as error:
            core.bug(link, ask.ref, error)
        else:
            core.say(link, ask.ref, said.status, said.body, replayed=replayed)

    def _decide(self, ask: HomeAsk) -> tuple[Said, bool]:
        core = self.core
        known = self._known(ask)
        if known is not None and known.ask == ask.id:
            return self._again(known), False  # Re-sent by its front door.
        if ask.nonce:
            core.nonces.spend(ask.nonce, ask.nonce_at)
            core.batch.nonces.append((ask.nonce, ask.nonce_at))
            core.wake.set()
        if known is not None:
            if known.fingerprint != ask.fingerprint:
                raise taken()
            return self._again(known), True
        handler, is_new = self._ops.get(ask.op, (None, False))
        if handler is None:
            raise NotFound(f"nothing here is called {ask.op[:40]!r}")
        if not core.reference.complete:
            raise Overloaded("the reference data is not here yet; try again", retry_after_s=1)
        if is_new and core.draining:
            raise Overloaded("the shard takes nothing new just now", retry_after_s=1)
        self._recover()
        said = handler(ask)
        self._keep_key(ask, said)
        return said, False

    def _known(self, ask: HomeAsk) -> KeyUse | None:
        """What an Idempotency-Key was used for. IdempotencyMismatch if a payment or refund has it.

        Its whole digest is the record's id, so two keys never meet.
        """
        digest = ask.key_digest
        if digest is None:
            return None
        known = self.core.records.get(key_id(digest), KeyUse)
        if known is None and self._is_of_payment(digest):
            raise taken()
        return known

    def _is_of_payment(self, digest: bytes) -> bool:
        core = self.core
        if digest in core.live_by_key or digest in core.refund_by_key:
            return True
        index = [index_of(digest)]
        # Two digests may share an index; then a new key is asked for, and nothing was done.
        return bool(core.store.payments_by_key(index) or core.store.refunds_by_key(index))

    def _keep_key(self, ask: HomeAsk, said: Said) -> None:
        if ask.key_digest is None:
            return
        owner = ask.party or ask.merchant
        prefix = said.object.partition("_")[0]
        body = b"" if prefix in self._shows else said.body
        use = KeyUse(ask.fingerprint, ask.id, said.status, said.object, body)
        self.core.records.put(KEY, key_id(ask.key_digest), owner, self._partition(ask), use, None)
        self.core.wake.set()

    def _partition(self, ask: HomeAsk) -> int:
        try:
            return partition_of(ask.party or ask.merchant)
        except MalformedId:
            return 0  # A platform's or an operator's request for everything here.

    def _again(self, known: KeyUse) -> Said:
        show = self._shows.get(known.object.partition("_")[0])
        body = known.body if show is None else show(known.object)
        return Said(known.status, body, known.object)

    # --- what is due ---------------------------------------------------------------------------

    def due(self, now: int) -> None:
        """Do what records are due for. Called by the shard's timers."""
        core = self.core
        if not core.reference.complete:
            return
        self._recover()
        for kept in core.records.due(now, DUE_MAX):
            self._dues[kept.kind](kept, now)
            core.wake.set()
        for tick in self._ticks:
            tick(now)

    def next_due(self) -> int | None:
        """Business ms at which a record is due or a flow has something to do next."""
        dues = [self.core.records.next_due(), *(ask() for ask in self._next_dues)]
        return min((due for due in dues if due is not None), default=None)

    def numbers(self) -> dict[str, float]:
        """Plain numbers for metrics."""
        numbers: dict[str, float] = {}
        for report in self._reports:
            numbers |= report()
        return numbers

    # --- help for the flows --------------------------------------------------------------------

    def emit(self, merchant_no: int, source: str, kind: str, at_ms: int, body: bytes) -> None:
        """One event for the outbox, in the commit of the change that it tells of.

        A type is told once in an object's life: what is unknown twice, is told the first time.
        """
        assert kind in EVENT_LETTER, kind
        core, identifier = self.core, event_id(source, kind)
        if identifier in self._told or core.store.event(identifier) is not None:
            return
        self._told.add(identifier)
        core.releases.asks.append(lambda: self._told.discard(identifier))
        core.event_no = no = core.event_no + 1
        event = event_json(kind, at_ms, body)
        row = (no, partition_of(source), merchant_no, identifier, kind, at_ms, event)
        core.batch.events.append(row)
        core.wake.set()


def body_of(ask: HomeAsk, kind: type[T]) -> T:
    """The request's JSON. Malformed if it is none, InvalidField for unknown or wrong fields."""
    return wish_of(kind, ask.body)


def page(
    desk: HomeDesk,
    ask: HomeAsk,
    url: str,
    kind: str,
    owner: str,
    show: Callable[[Any], bytes],
    keep: Callable[[Any], bool] | None = None,
) -> Said:
    """A list of an owner's records of a kind, newest first, as `limit` and the cursors say.

    `starting_after`, `ending_before`: ids of the same list. InvalidField for others. Without an
    owner: everybody's, newest first by id, below `id[lt]`. `keep`: which of them are asked for.
    """
    limit = _limit(ask.query.get("limit"))
    if not owner:
        return _everybodys(desk, ask, url, kind, limit, show, keep)
    records = desk.core.records
    below = ask.query.get(BELOW)
    before = after = None
    for name in ("starting_after", "ending_before"):
        cursor = ask.query.get(name)
        if cursor is None:
            continue
        kept = records.kept(cursor)
        if kept is None or (kept.kind, kept.owner) != (kind, owner):
            raise InvalidField("this list has no such object", param=name)
        before, after = (kept.no, after) if name == "starting_after" else (before, kept.no)
    if before is not None and after is not None:
        raise InvalidField("one cursor, not two", param="ending_before")
    found, has_more = _kept(
        lambda last, count: records.of(
            kind,
            owner,
            before=before if last is None or after is not None else last.no,
            after=after if last is None or after is None else last.no,
            limit=count,
        ),
        limit,
        keep if below is None else lambda value: value.id < below and (not keep or keep(value)),
    )
    if after is not None:
        found.reverse()
    return _shown(url, found, has_more, show)


def _everybodys(
    desk: HomeDesk,
    ask: HomeAsk,
    url: str,
    kind: str,
    limit: int,
    show: Callable[[Any], bytes],
    keep: Callable[[Any], bool] | None,
) -> Said:
    """One shard's part of a list over all owners: the front door merges the parts by id."""
    records, below = desk.core.records, ask.query.get(BELOW)
    found, has_more = _kept(
        lambda last, count: records.newest(
            PREFIXES[kind], below if last is None else last.id, count
        ),
        limit,
        keep,
    )
    return _shown(url, found, has_more, show)


def _kept(
    read: Callable[[Kept | None, int], list[Kept]],
    limit: int,
    keep: Callable[[Any], bool] | None,
) -> tuple[list[Kept], bool]:
    """(The first `limit` that are asked for, whether there may be more).

    `read`: the next rows after the last one seen.
    """
    chunk = limit + 1 if keep is None else SCAN_CHUNK
    found: list[Kept] = []
    last: Kept | None = None
    for _ in range(SCAN_MAX // SCAN_CHUNK):
        rows = read(last, chunk)
        found += [kept for kept in rows if keep is None or keep(kept.value)]
        if len(found) > limit or len(rows) < chunk:
            return found[:limit], len(found) > limit
        last = rows[-1]
    if found:
        return found, True
    raise InvalidField(f"none among {SCAN_MAX} of them; ask with a cursor", param="limit")


def _shown(url: str, found: list[Kept], has_more: bool, show: Callable[[Any], bytes]) -> Said:
    shown: list[bytes] = []
    size = 0
    for kept in found:
        body = show(kept.value)
        size += len(body)
        if shown and size > PAGE_BYTES_MAX:
            has_more = True
            break
        shown.append(body)
    return Said(200, list_json(url, shown, has_more=has_more))


def _limit(text: str | None) -> int:
    if text is None:
        return LIST_DEFAULT
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= LIST_MAX):
        raise InvalidField(f"a limit is 1 to {LIST_MAX}", param="limit")
    return int(text)
