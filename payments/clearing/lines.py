"""Rows of a store become the lines that netting reads.

Of a payment's body only what netting needs is decoded: the rest is passed over.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder

from payments.calendar import business_date
from payments.channel_time import day_instant
from payments.clearing.netting import REFUND, Line
from payments.payment import REPORTED, Attempt, Payment
from payments.refund import Refund


class _Sold(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of `payments.payment.Payment`."""

    id: Raw
    merchant: str
    order_no: Raw
    amount: int
    currency: Raw
    way: Raw
    wallet: Raw
    status: Raw
    attempt: Attempt | None
    created: Raw
    business_date: int


_MARK: Final = REPORTED.encode()
_whole_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode
_sold: Final = Decoder(_Sold).decode


def _paid_at(sold: _Sold, body: bytes) -> int | None:
    """When the channel took the money, as it says, or who told us of it; None: not known."""
    if _MARK in body:  # Only few are looked at as a whole.
        payment = _whole_payment(body)
        if payment.is_reported:
            return payment.succeeded_at
    return None if sold.attempt is None else sold.attempt.channel_at


def lines_of(rows: Iterable[tuple[int, int, str, int, bytes, bytes]]) -> Iterator[Line]:
    """A line for each row of `Store.clearing_rows`: no, seq, id, at_ms, postings, body.

    The channel's day is that of the instant at which the channel says that it took the money or
    gave it back, for by that it bills and pays; where that is not known, of the instant at which we
    booked. What another gateway took was told to us later: of that, the channel's day is that of
    the instant at which it says it was.
    """
    for _, seq, identifier, at_ms, packed, body in rows:
        of: Refund | _Sold
        if identifier[-1] == REFUND:
            of = _refund(body)
            at = of.succeeded_at if of.method == REPORTED else of.channel_at
        else:
            of = _sold(body)
            at = _paid_at(of, body)
        day = business_date(day_instant(at, at_ms))
        yield seq, of.business_date, of.merchant, of.amount, identifier, packed, day
