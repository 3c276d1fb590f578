"""Rows of a store become the lines that netting reads.

Of a payment's or refund's body only what netting needs is decoded: the rest is passed over.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder

from payments.calendar import business_date
from payments.clearing.netting import REFUND, Line
from payments.payment import REPORTED, Payment
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
    attempt: Raw
    created: Raw
    business_date: int


class _Returned(Struct, frozen=True, array_like=True, gc=False):
    """The first fields of `payments.refund.Refund`."""

    id: Raw
    payment: Raw
    merchant: str
    amount: int
    currency: Raw
    status: Raw
    created: Raw
    business_date: int


_MARK: Final = REPORTED.encode()
_whole_payment: Final = Decoder(Payment).decode
_whole_refund: Final = Decoder(Refund).decode
_sold: Final = Decoder(_Sold).decode
_returned: Final = Decoder(_Returned).decode


def _told_at(identifier: str, body: bytes) -> int | None:
    """When it happened, of what was reported to us; None for our own. Only few are looked at."""
    if _MARK not in body:
        return None
    if identifier[-1] == REFUND:
        refund = _whole_refund(body)
        return refund.succeeded_at if refund.method == REPORTED else None
    payment = _whole_payment(body)
    return payment.succeeded_at if payment.is_reported else None


def lines_of(rows: Iterable[tuple[int, int, str, int, bytes, bytes]]) -> Iterator[Line]:
    """A line for each row of `Store.clearing_rows`: no, seq, id, at_ms, postings, body.

    The channel's day is that of the instant at which we booked: a payment that the channel counts
    to the other side of midnight makes two credits differ by it. What another gateway took was
    told to us later: of that, the channel's day is that of the instant at which it says it was.
    """
    for _, seq, identifier, at_ms, packed, body in rows:
        sold = _returned(body) if identifier[-1] == REFUND else _sold(body)
        day = business_date(_told_at(identifier, body) or at_ms)
        yield seq, sold.business_date, sold.merchant, sold.amount, identifier, packed, day
