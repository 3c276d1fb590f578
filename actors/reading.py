"""What a shard tells of its payments: one, a list, a time line, the books of a simulated channel.

Reads go to memory first, then to the store's reader; what is only in memory is told after the
commit it stands on, like every other answer.
"""

from heapq import nsmallest
from operator import attrgetter
from typing import Any, Final

from msgspec.json import Encoder

from actors.core import Core
from actors.link import Link
from actors.live import LivePayment, decode_payment, decode_refund
from actors.messages import Act, LaneAct, LaneBookList, LaneBooks, ReadBooks, ReadList, ReadOne
from actors.paying import Paying
from payments.calendar import rfc3339
from payments.channels.base import Approved, Book, Declined, Outcome
from payments.errors import (
    Conflict,
    InvalidField,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    PaymentError,
)
from payments.ids import out_trade_no
from payments.ledger import unpack_postings
from payments.payment import Moment, Payment
from payments.refund import Refund
from payments.storage.base import PaymentRow
from payments.view import list_json, refund_json, splits_json

BOOKS_PAGE_MAX: Final = 4_000
"""Rows of a channel's books in one answer: it must fit into one frame of a link."""

SCANNED_MAX: Final = 20_000
"""Rows one list looks at for its filters; beyond, the page ends early with `has_more`."""

PAGE_BYTES_MAX: Final = 768 * 1024
"""A page must fit into one frame of a link: it ends early, with `has_more`, before this."""

TIMELINE_MAX: Final = 2_000
"""Lines of a time line, the oldest: likewise."""

REFUND_ENDS: Final = frozenset({"refund_succeeded", "refund_failed"})

PLAIN_FILTERS: Final = (
    "order_no", "store", "terminal", "status", "way", "wallet", "order_ref", "entry",
)  # fmt: skip
"""Filters of payments that ask for one value of the field of that name."""

CHUNK: Final = 200
BOOKS_WAITING_MAX: Final = 64

_encode: Final = Encoder().encode


class Reading:
    """The flow of reads."""

    def __init__(self, core: Core, paying: Paying) -> None:
        self._core = core
        self._paying = paying
        self._acts: dict[int, tuple[Link, int, LivePayment]] = {}
        self._books: dict[int, list[Any]] = {}
        self._ref = 0

    # --- one object ------------------------------------------------------------------------------

    def one(self, link: Link, command: ReadOne) -> None:
        try:
            if command.kind == "refund":
                self._refund(link, command)
            else:
                self._payment(link, command)
        except PaymentError as error:
            self._core.refuse(link, command.ref, error)
        except Exception as error:
            self._core.bug(link, command.ref, error)

    def _payment(self, link: Link, command: ReadOne) -> None:
        core = self._core
        live = core.live_by_id.get(command.id)
        if live is not None:
            payment = live.payment
        else:
            row = core.store.payment(command.id)
            if row is None:
                raise NotFound(f"no payment {command.id[:40]!r}")
            payment = decode_payment(row[8])
        self._allow(payment.merchant, payment.store, command)
        if command.kind == "splits":
            body = splits_json(payment, core.presentation, core.split_states(payment))
            core.say(link, command.ref, 200, body)
            return
        if command.kind == "timeline":
            core.say(link, command.ref, 200, self._timeline(payment))
            return
        if command.wait_ms and not payment.is_final:
            live = self._paying.find(command.id)
            assert live is not None
            wait = command.wait_ms
            self._paying.wait(live, link, command.ref, wait, payment.status, False)
            return
        body = core.render(live) if live is not None else core.render_payment(payment)
        core.say(link, command.ref, 200, body)

    def _allow(self, merchant: str, store: str | None, command: ReadOne) -> None:
        if command.kind == "page":
            return  # The token was the key.
        if merchant not in command.merchants or command.store not in (None, store):
            kind = "refund" if command.kind == "refund" else "payment"
            raise NotFound(f"no {kind} {command.id[:40]!r}")

    def _refund(self, link: Link, command: ReadOne) -> None:
        core = self._core
        live = core.refund_by_id.get(command.id)
        if live is not None:
            refund = live.refund
        else:
            row = core.store.refund(command.id)
            if row is None:
                raise NotFound(f"no refund {command.id[:40]!r}")
            refund = decode_refund(row[7])
        store = None if command.store is None else self._store_of(refund)
        self._allow(refund.merchant, store, command)
        core.say(link, command.ref, 200, refund_json(refund, core.presentation))

    def _store_of(self, refund: Refund) -> str | None:
        """In which store the payment of a refund was taken; rows never change theirs."""
        core = self._core
        live = core.live_by_id.get(refund.payment)
        if live is not None:
            return live.payment.store
        row = core.store.payment(refund.payment)
        return decode_payment(row[8]).store if row is not None else None

    # --- lists -----------------------------------------------------------------------------------

    def page(self, link: Link, command: ReadList) -> None:
        core = self._core
        try:
            merchant = core.reference.merchant(command.merchant)
            if merchant is None:
                raise NotFound(f"no merchant {command.merchant[:40]!r}")
            if command.kind == "refund":
                items, more = self._refunds(merchant.number, command)
            else:
                items, more = self._payments(merchant.number, command)
        except PaymentError as error:
            core.refuse(link, command.ref, error)
            return
        core.say(link, command.ref, 200, list_json(f"/v1/{command.kind}s", items, has_more=more))

    def _cursor(self, command: ReadList, param: str, merchant: int) -> int | None:
        """Where a page begins: the number of the object that a parameter names."""
        identifier, kind = getattr(command, param), command.kind
        if identifier is None:
            return None
        store = self._core.store
        row = store.refund(identifier) if kind == "refund" else store.payment(identifier)
        number = None if row is None else row[3] if kind == "refund" else row[2]
        if row is None or number != merchant:
            raise InvalidField(f"no {kind} {identifier[:40]!r} to start from", param=param)
        return row[0]

    def _payments(self, merchant: int, command: ReadList) -> tuple[list[bytes], bool]:
        before = self._cursor(command, "starting_after", merchant)
        after = self._cursor(command, "ending_before", merchant)
        keep = _payment_filter(command.filters)
        core = self._core

        order_no = command.filters.get("order_no")
        if order_no is not None:
            # A till that asks for its order must not wait for a walk through all payments.
            hashed = core.digests.order(command.merchant, order_no)
            of_order = core.store.payments_by_order([hashed])
            of_order.sort(reverse=after is None)
        else:
            of_order = []

        def rows(at: int | None, limit: int) -> list[tuple[int, Payment]]:
            found = (
                _beyond(of_order, at, merchant, newest_first=after is None)[:limit]
                if order_no is not None
                else core.store.merchant_payments(merchant, before=None, after=at, limit=limit)
                if after is not None
                else core.store.merchant_payments(merchant, before=at, after=None, limit=limit)
            )
            return [(row[0], core.newest(row[0]) or decode_payment(row[8])) for row in found]

        page, more = _collect(rows, after if after is not None else before, keep, command.limit)
        items, cut = _within_a_frame([core.render_payment(payment) for payment in page])
        if after is not None:
            items.reverse()
        return items, more or cut

    def _refunds(self, merchant: int, command: ReadList) -> tuple[list[bytes], bool]:
        core = self._core
        before = self._cursor(command, "starting_after", merchant)
        after = self._cursor(command, "ending_before", merchant)
        payment = command.filters.get("payment")

        def rows(at: int | None, limit: int) -> list[tuple[int, Refund]]:
            found = (
                core.store.merchant_refunds(merchant, before=None, after=at, limit=limit)
                if after is not None
                else core.store.merchant_refunds(merchant, before=at, after=None, limit=limit)
            )
            return [(row[0], decode_refund(row[7])) for row in found]

        status = command.filters.get("status")
        store = command.filters.get("store")
        bounds = _bounds(command.filters)

        below = command.filters.get("id[lt]")

        def keep(refund: Refund) -> bool:
            if below is not None and refund.id >= below:
                return False
            if payment is not None and refund.payment != payment:
                return False
            if store is not None and self._store_of(refund) != store:
                return False
            return (status is None or refund.status == status) and _within(refund.created, bounds)

        page, more = _collect(rows, after if after is not None else before, keep, command.limit)
        items, cut = _within_a_frame([refund_json(refund, core.presentation) for refund in page])
        if after is not None:
            items.reverse()
        return items, more or cut

    # --- time line -------------------------------------------------------------------------------

    def _timeline(self, payment: Payment) -> bytes:
        """Every state change, channel exchange, entry and event, oldest first, masked."""
        core = self._core
        lines: list[tuple[int, int, dict[str, Any]]] = []

        def add(at: int, rank: int, kind: str, **facts: Any) -> None:
            lines.append((at, rank, {"at": rfc3339(at), "kind": kind, **facts}))

        add(payment.created, 0, "created", amount=payment.amount, way=payment.way)
        if payment.risk is not None:
            add(
                payment.created, 1, "risk", decision=payment.risk.decision, rules=payment.risk.rules
            )
        if payment.route is not None:
            reason, candidates = payment.route.reason, payment.route.candidates
            add(payment.created, 2, "route", reason=reason, candidates=candidates)
        moments: list[Moment] = list(payment.history)
        sources = [payment.id]
        row = core.store.payment(payment.id)
        for refund_row in core.store.refunds_of(row[0]) if row is not None else ():
            refund = decode_refund(refund_row[7])
            # The payment's own lines tell of its success, unless it gave stray money back.
            told = refund.stray is None
            moments += [m for m in refund.history if not (told and m.kind == "refund_succeeded")]
            sources.append(refund.id)
        for moment in moments:
            # The end of a refund is told by its payment, its sending by itself, maybe at once.
            rank = 4 if moment.kind in REFUND_ENDS else 3
            add(moment.at, rank, moment.kind, detail=moment.detail)
        for source in sources:
            for entry in core.store.entries_of(source):
                postings = [
                    {"account": account, "amount": minor}
                    for account, minor in unpack_postings(entry[7])
                ]
                add(entry[5], 5, "entry", id=entry[3], postings=postings)
        # An automatic refund shares the body of its payment's id, and so the range of its events.
        events = {event[3]: event for each in sources for event in core.store.events_of(each)}
        for event in events.values():
            add(event[5], 6, "event", id=event[3], type=event[4])
        lines.sort(key=lambda line: line[:2])
        del lines[TIMELINE_MAX:]
        view = {"object": "timeline", "payment": payment.id, "data": [line[2] for line in lines]}
        return _encode(view)

    def trial_balance(self) -> bytes:
        """The shard's trial balance and counts, from its memory and its store."""
        core = self._core
        currencies = {
            currency: {"debits": debits, "credits": credits, "residual": debits - credits}
            for currency, (debits, credits) in core.books.totals().items()
        }
        view = {
            "object": "trial_balance",
            "currencies": currencies,
            "payments": core.payment_no,
            "refunds": core.refund_no,
            "entries": core.books.entry_no,
            "events": core.event_no,
        }
        return _encode(view)

    # --- test helpers ----------------------------------------------------------------------------

    def act(self, link: Link, command: Act) -> None:
        """The payer acts on a code; the answer is the payment a little later, as it then stands."""
        core = self._core
        live = self._paying.find(command.payment)
        if live is None or live.payment.merchant != command.merchant:
            core.refuse(link, command.ref, NotFound(f"no payment {command.payment[:40]!r}"))
            return
        try:
            core.take_nonce(command.nonce, command.nonce_at)
        except PaymentError as error:
            core.refuse(link, command.ref, error)
            return
        attempt = live.payment.attempt
        self._ref += 1
        number = out_trade_no(live.payment.id, attempt.number) if attempt is not None else ""
        message = LaneAct(-(self._ref << 1), number, command.verb)
        if attempt is None or not core.lanes.send(attempt.account, live.partition, message):
            core.refuse(link, command.ref, Overloaded("the channel is down", retry_after_s=1))
            core.forget(live)
            return
        self._acts[message.ref] = (link, command.ref, live)

    def acted(self, ref: int, outcome: Outcome) -> None:
        """What the channel made of a payer's act: done, refused, or no answer that says."""
        found = self._acts.pop(ref, None)
        if found is None:
            return
        link, asked, live = found
        if isinstance(outcome, Approved):
            self._core.say(link, asked, 200, self._core.render(live))
        elif isinstance(outcome, Declined):
            reason = f"the channel refused the payer's act: {outcome.message}"
            self._core.refuse(link, asked, Conflict(reason))
        else:
            self._core.refuse(link, asked, OutcomeUnknown("the payer may have acted: read it"))
        self._core.forget(live)

    def lane_lost(self) -> None:
        """A lane died: who waits for a payer's act or for books asks again."""
        acts, self._acts = self._acts, {}
        books, self._books = self._books, {}
        waiting = [(link, ref) for link, ref, _ in acts.values()]
        for _, _, live in acts.values():
            self._core.forget(live)
        waiting += [(entry[0], entry[1]) for entry in books.values()]
        for link, ref in waiting:
            self._core.refuse(link, ref, Overloaded("the channel was lost", retry_after_s=1))

    def books(self, link: Link, command: ReadBooks) -> None:
        """Ask every lane of the account or channel; the answer is their books together."""
        core = self._core
        lanes = core.lanes.links(command.account)
        if not lanes or len(self._books) >= BOOKS_WAITING_MAX:
            error = NotFound(f"no lane of {command.account[:40]!r} is up")
            core.refuse(link, command.ref, error)
            return
        self._ref += 1
        ref = -(self._ref << 1 | 1)
        self._books[ref] = [link, command.ref, len(lanes), [], command.after]
        for lane in lanes:
            lane.send(LaneBooks(ref))

    def booked(self, message: LaneBookList) -> None:
        waiting = self._books.get(message.ref)
        if waiting is None:
            return
        if message.error:
            del self._books[message.ref]
            self._core.refuse(waiting[0], waiting[1], Overloaded(message.error, retry_after_s=1))
            return
        books: list[Book] = waiting[3]
        books += message.books
        if not message.last:
            return
        waiting[2] -= 1
        if waiting[2] == 0:
            del self._books[message.ref]
            link, asked, _, _, after = waiting
            try:
                page = books_page(books, after)
            except PaymentError as error:
                self._core.refuse(link, asked, error)
            else:
                self._core.say(link, asked, 200, _encode(page))


def books_page(books: list[Book], after: str | None) -> list[dict[str, str | int]]:
    """Rows of a channel's books. `after`: a page of what follows this number; None: all.

    Raise InvalidField where all of them would be more than one answer holds.
    """
    if after is not None:
        later = (book for book in books if book.out_trade_no > after)
        books = nsmallest(BOOKS_PAGE_MAX, later, key=attrgetter("out_trade_no"))
    elif len(books) > BOOKS_PAGE_MAX:
        raise InvalidField(
            f"{len(books)} orders; ask in pages: ?after= and the last number, from an empty one on",
            param="after",
        )
    return [
        {
            "out_trade_no": book.out_trade_no,
            "amount_minor": book.amount_minor,
            "refunded_minor": book.refunded_minor,
            "state": book.state,
            "charges": book.charges,
        }
        for book in books
    ]


def _beyond(
    rows: list[PaymentRow], at: int | None, merchant: int, *, newest_first: bool
) -> list[PaymentRow]:
    """The rows of one merchant after a cursor, in the order that they are in."""
    return [
        row
        for row in rows
        if row[2] == merchant and (at is None or (row[0] < at if newest_first else row[0] > at))
    ]


def _collect(rows: Any, at: int | None, keep: Any, limit: int) -> tuple[list[Any], bool]:
    """A page of objects that pass the filter, and whether more may follow."""
    page: list[Any] = []
    scanned = 0
    while scanned < SCANNED_MAX:
        chunk = rows(at, CHUNK)
        for no, item in chunk:
            at = no
            if keep(item):
                if len(page) == limit:
                    return page, True
                page.append(item)
        scanned += len(chunk)
        if len(chunk) < CHUNK:
            return page, False
    return page, True


def _within_a_frame(items: list[bytes]) -> tuple[list[bytes], bool]:
    """The first items that fit into a frame together, and whether some did not."""
    size = 0
    for count, item in enumerate(items):
        size += len(item) + 1
        if size > PAGE_BYTES_MAX:
            return items[:count], True
    return items, False


def _payment_filter(filters: dict[str, str]) -> Any:
    """A predicate of the list's filters; instants are milliseconds, in decimal."""
    plain = {name: filters[name] for name in PLAIN_FILTERS if name in filters}
    channel = filters.get("channel")
    date = filters.get("business_date")
    bounds = _bounds(filters)

    below = filters.get("id[lt]")

    def keep(payment: Payment) -> bool:
        if below is not None and payment.id >= below:
            return False
        if any(getattr(payment, name) != value for name, value in plain.items()):
            return False
        if channel is not None and (
            payment.attempt is None
            or channel not in (payment.attempt.channel, payment.attempt.account)
        ):
            return False
        if date is not None and str(payment.business_date) != date:
            return False
        return _within(payment.created, bounds)

    return keep


def _bounds(filters: dict[str, str]) -> list[tuple[int, int, bool]]:
    """(sign, instant, inclusive) of each `created[…]`."""
    return [
        (sign, int(filters[f"created[{name}]"]), name in ("gte", "lte"))
        for name, sign in (("gte", 1), ("gt", 1), ("lte", -1), ("lt", -1))
        if f"created[{name}]" in filters
    ]


def _within(at: int, bounds: list[tuple[int, int, bool]]) -> bool:
    return all((at - edge) * sign > 0 or (equal and at == edge) for sign, edge, equal in bounds)
