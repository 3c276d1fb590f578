"""Money that channels hold and divide, in one shard's file: its records against its entries.

Asked by `audit.py`. Divisions, what is taken back for refunds, and what receivers came to owe.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import apsw
from msgspec.msgpack import Decoder

from payments import chart
from payments.ids import partition_of
from payments.ledger import unpack_postings
from payments.payment import Payment
from payments.refund import Refund
from payments.splitting.dividing import Division, Stage, division_id
from payments.splitting.proving import of_division
from payments.splitting.repaying import Repay
from payments.splitting.taking_back import Owed, turn_id
from payments.storage.sql import load

SQL: Final = load("home_audit") | load("audit")

_division: Final = Decoder(Division).decode
_owed: Final = Decoder(Owed).decode
_repay: Final = Decoder(Repay).decode
_payment: Final = Decoder(Payment).decode
_refund: Final = Decoder(Refund).decode


def complaints(
    connection: apsw.Connection, balances: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    """What is wrong, in words. `balances`: folded from all entries of the file."""
    expected: dict[str, int] = {}
    repaying: dict[str, int] = {}
    for division in _records(connection, "division", _division):
        for piece in division.pieces:
            under_way = piece.netted if division.stage is not Stage.OVER else 0
            expected[piece.receiver] = expected.get(piece.receiver, 0) + under_way
            under_way = piece.repaid if division.stage is not Stage.OVER else 0
            repaying[division.merchant] = repaying.get(division.merchant, 0) + under_way
        found: Any = connection.execute(SQL["payment"], (division.payment,)).fetchone()
        if found is None:
            yield f"the division of {division.payment} has no payment"
            continue
        no, body = found
        refunds = [_refund(row[0]) for row in connection.execute(SQL["refunds_of"], (no,))]
        for complaint in _of_one(connection, division, _payment(body), refunds):
            yield f"the division of {division.payment} {complaint}"
    for owed in _records(connection, "owed", _owed):
        expected[owed.receiver] = expected.get(owed.receiver, 0) + owed.minor
    for repay in _records(connection, "repay", _repay):
        repaying[repay.merchant] = repaying.get(repay.merchant, 0) + repay.minor
    yield from _debts(expected, ("receiver", "owed"), balances)
    yield from _debts(repaying, ("merchant", "repay"), balances)


def _debts(
    expected: Mapping[str, int], part: tuple[str, str], balances: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    """Whoever owes something else by the records than by the entries."""
    booked: dict[str, int] = {}
    for (account, _), minor in balances.items():
        named = chart.parse(account)
        if (named.family, named.part) == part:
            booked[named.owner] = booked.get(named.owner, 0) + minor
    for owner in sorted(expected.keys() | booked.keys()):
        kept, said = expected.get(owner, 0), booked.get(owner, 0)
        if kept != said:
            yield f"{owner} owes {kept} by the records and {said} by the entries"


def _of_one(
    connection: apsw.Connection, division: Division, payment: Payment, refunds: list[Refund]
) -> Iterator[str]:
    sources = [payment.id, division_id(payment.id)]
    for refund in refunds:
        sources += [refund.id, turn_id(refund.id)]
    postings = [
        unpack_postings(packed)
        for source in sources
        for (packed,) in connection.execute(SQL["postings_of"], (source,))
    ]
    shares = {share.receiver: share.amount for share in payment.shares}
    yield from of_division(division, partition_of(payment.id), shares, refunds, postings)


def _records(connection: apsw.Connection, kind: str, decode: Any) -> Iterator[Any]:
    for _, body in connection.execute(SQL["records"], (kind,)):
        yield decode(body)
