"""What a shard keeps in memory of the payments and refunds that are under way.

A *live* object is the newest state, durable or about to be; its row follows with the next commit.
It leaves memory when it is final, committed and nobody waits for it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from msgspec.msgpack import Decoder, Encoder

from actors.link import Link
from actors.messages import Message
from payments.payment import Payment
from payments.refund import Refund
from payments.storage.base import Batch, PaymentRow, RefundRow

RowT = TypeVar("RowT", bound=tuple[Any, ...])
RowT_co = TypeVar("RowT_co", bound=tuple[Any, ...], covariant=True)
Change = tuple[int | None, bytes, int]
"""`PaymentChange` or `RefundChange`: rows of both end with due_ms and body."""

encode: Final = Encoder().encode
decode_payment: Final = Decoder(Payment).decode
decode_refund: Final = Decoder(Refund).decode


class Waiter:
    """Somebody who wants to hear: a held POST, or a GET with `?wait`.

    `deadline`: monotonic seconds. `seen`: the status a GET has already seen; None for a POST.
    """

    __slots__ = ("deadline", "link", "ref", "replayed", "seen")

    def __init__(
        self, link: Link, ref: int, deadline: float, seen: str | None, replayed: bool
    ) -> None:
        self.link = link
        self.ref = ref
        self.deadline = deadline
        self.seen = seen
        self.replayed = replayed


class LivePayment:
    """A payment in memory with the columns of its row. `fresh`: its row was never written."""

    __slots__ = (
        "auth_code",
        "auth_hash",
        "body",
        "dirty",
        "due_at",
        "fresh",
        "key_hash",
        "lane_ref",
        "merchant_no",
        "no",
        "order_hash",
        "partition",
        "payer_ip",
        "payment",
        "refunds",
        "waiters",
    )

    def __init__(
        self,
        payment: Payment,
        no: int,
        merchant_no: int,
        partition: int,
        key_hash: int,
        order_hash: int,
        auth_hash: int | None,
    ) -> None:
        self.payment = payment
        self.no = no
        self.merchant_no = merchant_no
        self.partition = partition
        self.key_hash = key_hash
        self.order_hash = order_hash
        self.auth_hash = auth_hash
        self.auth_code: str | None = None
        self.payer_ip: str | None = None
        self.body: bytes | None = None
        """The payment as JSON, while it stands."""
        self.waiters: list[Waiter] | None = None
        self.fresh = False
        self.dirty = False
        self.due_at: int | None = None
        self.lane_ref = False
        """Whether a call to the channel is out."""
        self.refunds = 0
        """Live refunds of this payment: it stays in memory with them."""

    @classmethod
    def of_row(cls, row: PaymentRow) -> "LivePayment":
        no, _, merchant_no, partition, key_hash, order_hash, auth_hash, _, body = row
        return cls(
            decode_payment(body), no, merchant_no, partition, key_hash, order_hash, auth_hash
        )

    def row(self) -> PaymentRow:
        payment = self.payment
        return (
            self.no,
            payment.id,
            self.merchant_no,
            self.partition,
            self.key_hash,
            self.order_hash,
            self.auth_hash,
            payment.next_action_at,
            encode(payment),
        )


class LiveRefund:
    """A refund in memory with its payment, which stays with it."""

    __slots__ = (
        "dirty", "due_at", "fresh", "key_hash", "lane_ref", "no", "of", "refund", "waiters",
    )  # fmt: skip

    def __init__(self, refund: Refund, no: int, of: LivePayment, key_hash: int) -> None:
        self.refund = refund
        self.no = no
        self.of = of
        self.key_hash = key_hash
        self.waiters: list[Waiter] | None = None
        self.fresh = False
        self.dirty = False
        self.due_at: int | None = None
        self.lane_ref = False

    @classmethod
    def of_row(cls, row: RefundRow, of: LivePayment) -> "LiveRefund":
        return cls(decode_refund(row[7]), row[0], of, row[5])

    def row(self) -> RefundRow:
        refund = self.refund
        return (
            self.no,
            refund.id,
            self.of.no,
            self.of.merchant_no,
            self.of.partition,
            self.key_hash,
            refund.next_action_at,
            encode(refund),
        )


class _Live(Protocol[RowT_co]):
    """A live payment or refund, as the next commit sees it."""

    fresh: bool
    dirty: bool

    def row(self) -> RowT_co: ...


def into_rows(
    fresh: Sequence[_Live[RowT]],
    dirty: Sequence[_Live[RowT]],
    rows: list[RowT],
    changes: list[Change],
) -> None:
    """Append what is new as whole rows, and of what changed due_ms, body and no."""
    for live in fresh:
        live.fresh = False
        rows.append(live.row())
    for live in dirty:
        live.dirty = False
        row = live.row()
        changes.append((row[-2], row[-1], row[0]))


class Decided:
    """What one commit writes, and whose rows are in it."""

    __slots__ = ("batch", "payments", "refunds", "started")

    def __init__(
        self, batch: Batch, payments: list[LivePayment], refunds: list[LiveRefund], started: int
    ) -> None:
        self.batch = batch
        self.payments = payments
        self.refunds = refunds
        self.started = started
        """How many of the payments are new."""

    @property
    def rows(self) -> int:
        return len(self.payments) + len(self.refunds)


class Releases:
    """What may leave once the commit it stands on is durable."""

    __slots__ = ("answers", "asks", "sends")

    def __init__(self) -> None:
        self.answers: list[tuple[Link, Message]] = []
        self.sends: list[LivePayment] = []
        self.asks: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self.answers or self.sends or self.asks)
