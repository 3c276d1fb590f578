"""What is held of payments, let go: by request, or by itself when its time has come.

The payment's row says what is held, its entries move it; the record of an escrow only remembers
when to look. Letting go changes row and books in one commit, so a crash leaves both or neither.
"""

from hashlib import sha256
from typing import Final

from msgspec.json import Encoder

from actors.core import Core
from actors.home import HomeDesk, Said, body_of
from actors.home_messages import HomeAsk
from actors.live import LivePayment
from actors.paying import Paying
from actors.record_kinds import ESCROW
from actors.records import Kept
from payments import bookings
from payments.calendar import rfc3339
from payments.errors import NotFound
from payments.ids import BODY_LENGTH, derived_body
from payments.lifecycle import Decision
from payments.payment import Payment
from payments.payment_events import EscrowReleased
from payments.splitting.escrow import EscrowDue, NewRelease, ReleaseView, releasable, release

AGAIN_MS: Final = 3_600_000
"""What refunds under way need is looked at again after this long, business time."""

RELEASED: Final = "split.released"
EXPIRED: Final = "split.expired"

_encode: Final = Encoder().encode


class Escrowing:
    """The flow of escrow."""

    def __init__(self, desk: HomeDesk, paying: Paying) -> None:
        self._core: Core = desk.core
        self._desk = desk
        self._paying = paying
        paying.held = self._held
        desk.takes("escrow.release", self._release)
        desk.does(ESCROW, self._due)

    def _held(self, live: LivePayment) -> None:
        """A payment succeeded and is held: remember when to look, in its commit."""
        payment = live.payment
        assert payment.escrow is not None
        self._core.records.put(
            ESCROW,
            _record_id(payment.id),
            payment.merchant,
            live.partition,
            EscrowDue(payment.id),
            payment.escrow.until,
        )

    def _release(self, ask: HomeAsk) -> Said:
        """NotFound for another's payment, Conflict when nothing is held, ExceedsPaid for more."""
        core = self._core
        wish = body_of(ask, NewRelease)
        live = self._paying.find(ask.target or "")
        if live is None or live.payment.merchant != ask.merchant:
            raise NotFound(f"no payment {(ask.target or '')[:40]!r}")
        payment = live.payment
        amount = release(payment.escrow, wish.amount, self._needed(live))
        body = self._let_go(live, amount, core.clock.now_ms(), RELEASED)
        core.forget(live)
        return Said(201, body)

    def _due(self, kept: Kept, now: int) -> None:
        """Its time has come: all that no refund under way needs is the merchant's."""
        assert isinstance(kept.value, EscrowDue)
        live = self._paying.find(kept.value.payment)
        assert live is not None, kept.value
        escrow = live.payment.escrow
        assert escrow is not None, kept.value
        if amount := releasable(escrow, self._needed(live)):
            self._let_go(live, amount, now, EXPIRED)
        self._core.forget(live)
        still = live.payment.escrow
        again = now + AGAIN_MS if still is not None and still.held else None
        self._core.records.put(ESCROW, kept.id, kept.owner, kept.partition, kept.value, again)

    def _needed(self, live: LivePayment) -> int:
        """What refunds under way will take of the merchant's own part."""
        payment = live.payment
        return self._core.own_back(payment, payment.refunding) if payment.refunding else 0

    def _let_go(self, live: LivePayment, amount: int, now: int, kind: str) -> bytes:
        """Let `amount` go, tell of it, and say what was done as the API shows it."""
        self._paying.fold(live, Decision((EscrowReleased(now, amount),)), now)
        core, payment = self._core, live.payment
        assert payment.escrow is not None
        core.books.book(
            core.batch,
            live.partition,
            bookings.release_entry_id(payment.id, payment.escrow.releases),
            payment.id,
            now,
            payment.currency,
            bookings.released(payment.merchant, amount),
        )
        core.rehold(live)
        core.count("escrow_releases")
        body = self._view(payment, amount, now)
        source = release_id(payment.id, payment.escrow.releases)
        self._desk.emit(live.merchant_no, source, kind, now, body)
        return body

    def _view(self, payment: Payment, amount: int, now: int) -> bytes:
        assert payment.escrow is not None
        return _encode(
            ReleaseView(
                release_id(payment.id, payment.escrow.releases),
                "release",
                payment.id,
                payment.merchant,
                amount,
                payment.escrow.held,
                payment.currency,
                rfc3339(now),
                {},
                self._core.options.livemode,
            )
        )


def release_id(payment: str, number: int) -> str:
    """The id of a payment's `number`th release: made of both."""
    digest = sha256(f"tillway release {number} of {payment}".encode()).digest()
    return "rel_" + derived_body(payment, digest)


def _record_id(payment: str) -> str:
    return "esc_" + payment[-BODY_LENGTH:]
