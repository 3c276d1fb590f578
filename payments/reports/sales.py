"""Payments one by one, and the sheet of a store's day: by operator, terminal and wallet."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from payments.calendar import rfc3339
from payments.payment import Payment, Status
from payments.refund import Refund, RefundStatus
from payments.reports.settlement import Scope
from payments.reports.tables import GROUPS_MAX, Column, Kind, Row, Table, TooManyGroups

PAYMENTS: Final = "payments.itemized.1"
STORE_DAY: Final = "store_day.1"

PAYMENT_COLUMNS: Final = (
    Column("payment_id"),
    Column("merchant_id"),
    Column("store_id"),
    Column("terminal_id"),
    Column("operator"),
    Column("order_no"),
    Column("order_ref"),
    Column("business_date"),
    Column("created"),
    Column("succeeded_at"),
    Column("status"),
    Column("failure"),
    Column("way"),
    Column("wallet"),
    Column("channel"),
    Column("channel_account"),
    Column("channel_trade_no"),
    Column("currency"),
    Column("amount", Kind.AMOUNT),
    Column("payer_amount", Kind.AMOUNT),
    Column("settle_amount", Kind.AMOUNT),
    Column("discount", Kind.AMOUNT),
    Column("tip", Kind.AMOUNT),
    Column("fee", Kind.AMOUNT),
    Column("amount_refunded", Kind.AMOUNT),
    Column("description"),
)
DAY_COLUMNS: Final = (
    Column("business_date"),
    Column("store_id"),
    Column("operator"),
    Column("terminal_id"),
    Column("wallet"),
    Column("currency"),
    Column("payments", Kind.COUNT),
    Column("gross", Kind.AMOUNT),
    Column("discounts", Kind.AMOUNT),
    Column("tips", Kind.AMOUNT),
    Column("refund_count", Kind.COUNT),
    Column("refunds", Kind.AMOUNT),
)


def payments_table(
    payments: Iterable[Payment], scope: Scope, metadata: tuple[str, ...] = ()
) -> Table:
    """One row a payment, whatever became of it. Amounts are those of the payment's own row."""

    def rows() -> Iterator[Row]:
        for payment in payments:
            if scope.has(payment.merchant, payment.business_date):
                yield (
                    *_payment_cells(payment),
                    *(payment.metadata.get(name) for name in metadata),
                )

    return Table(
        type=PAYMENTS,
        columns=(*PAYMENT_COLUMNS, *(Column(f"metadata.{name}") for name in metadata)),
        rows=rows(),
        key="payment_id",
        groupings={
            "Statuses": ("status", "currency"),
            "Channels": ("channel", "way", "status", "currency"),
        },
    )


def _payment_cells(payment: Payment) -> Row:
    attempt = payment.attempt
    succeeded_at = payment.succeeded_at
    return (
        payment.id,
        payment.merchant,
        payment.store,
        payment.terminal,
        payment.operator,
        payment.order_no,
        payment.order_ref,
        str(payment.business_date),
        rfc3339(payment.created),
        None if succeeded_at is None else rfc3339(succeeded_at),
        payment.status.value,
        None if payment.failure is None else payment.failure.code,
        payment.way.value,
        _wallet(payment),
        None if attempt is None else attempt.channel,
        None if attempt is None else attempt.account,
        None if attempt is None else attempt.channel_trade_no,
        payment.currency.lower(),
        payment.amount,
        payment.payer_amount,
        payment.settle_amount,
        _discount(payment),
        payment.tip_amount,
        payment.fee,
        payment.amount_refunded,
        payment.subject,
    )


def _wallet(payment: Payment) -> str | None:
    """The wallet that was paid with: a page's payer chooses it late."""
    chosen = None if payment.attempt is None else payment.attempt.wallet
    return chosen or payment.wallet


def _discount(payment: Payment) -> int:
    return sum(discount.amount for discount in payment.discounts)


class _Takings(Struct):
    """What one operator took with one wallet at one terminal in a day."""

    payments: int = 0
    gross: int = 0
    discounts: int = 0
    tips: int = 0
    refund_count: int = 0
    refunds: int = 0


DayKey = tuple[int, str, str, str, str, str]


def store_day_table(
    payments: Iterable[Payment],
    refunds: Iterable[Refund],
    payment_of: Callable[[str], Payment | None],
    scope: Scope,
    store: str | None = None,
) -> Table:
    """A day's takings. `payment_of`: looks up the payment of a refund of an earlier day.

    Gross is what was asked, tips included; refunds count on the day on which they were made, with
    the operator, terminal and wallet of their payment. What we gave back by ourselves after a late
    success was never sold, and is not here. Raise TooManyGroups, while rows are read.
    """

    def rows() -> Iterator[Row]:
        groups: dict[DayKey, _Takings] = {}
        for payment in payments:
            if (
                payment.status is Status.SUCCEEDED
                and scope.has(payment.merchant, payment.business_date)
                and store in (None, payment.store)
            ):
                taken = _group(groups, payment, payment.business_date)
                taken.payments += 1
                taken.gross += payment.amount
                taken.discounts += _discount(payment)
                taken.tips += payment.tip_amount
        for refund in refunds:
            if _is_given_back(refund) and scope.has(refund.merchant, refund.business_date):
                of = payment_of(refund.payment)
                if of is not None and store in (None, of.store):
                    taken = _group(groups, of, refund.business_date)
                    taken.refund_count += 1
                    taken.refunds += refund.amount
        for key in sorted(groups):
            taken = groups[key]
            yield (
                str(key[0]), *key[1:], taken.payments, taken.gross, taken.discounts, taken.tips,
                taken.refund_count, taken.refunds,
            )  # fmt: skip

    return Table(
        type=STORE_DAY,
        columns=DAY_COLUMNS,
        rows=rows(),
        key="business_date",
        groupings={
            "Stores": ("store_id", "currency"),
            "Operators": ("store_id", "operator", "currency"),
            "Terminals": ("store_id", "terminal_id", "currency"),
            "Wallets": ("store_id", "wallet", "currency"),
        },
        totals=True,
    )


def _is_given_back(refund: Refund) -> bool:
    """Whether a refund gave a sale back: done, asked by somebody, of the payment itself."""
    is_ours = refund.automatic or refund.stray is not None
    return refund.status is RefundStatus.SUCCEEDED and not is_ours


def _group(groups: dict[DayKey, _Takings], payment: Payment, date: int) -> _Takings:
    key = (
        date,
        payment.store or "",
        payment.operator or "",
        payment.terminal or "",
        _wallet(payment) or "",
        payment.currency.lower(),
    )
    found = groups.get(key)
    if found is None:
        if len(groups) >= GROUPS_MAX:
            raise TooManyGroups(f"more than {GROUPS_MAX} lines; ask for one store or one day")
        found = groups[key] = _Takings()
    return found
