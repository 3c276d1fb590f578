"""A clearing batch and a run as the API shows them."""

from typing import Final

from msgspec import Struct
from msgspec.json import Encoder

from payments.calendar import rfc3339
from payments.clearing.batch import Batch
from payments.clearing.netting import Totals
from payments.clearing.runs import Asked

_encode: Final = Encoder().encode
_NOTHING: Final = Totals()


class ClearingBatchView(Struct, gc=False):
    """Amounts in minor units. `items`: payments and refunds in it. `outside`: what channels pay the
    merchant themselves, of gross less refunds and discounts.
    """

    id: str
    object: str
    merchant: str
    business_date: int
    sequence: int
    status: str
    currency: str
    gross: int
    refunds: int
    discounts: int
    fees: int
    splits: int
    net: int
    outside: int
    items: int
    created: str
    cut_off_at: str | None
    filed_at: str | None
    closed_at: str | None
    livemode: bool
    metadata: dict[str, str]


class ClearingRunView(Struct, gc=False):
    """`merchant`: whose; None: everybody's of this shard."""

    object: str
    merchant: str | None
    business_date: int
    status: str
    livemode: bool


def batch_json(batch: Batch, livemode: bool) -> bytes:
    """The clearing batch object."""
    totals = batch.netted.totals if batch.netted is not None else _NOTHING
    return _encode(
        ClearingBatchView(
            batch.id,
            "clearing_batch",
            batch.merchant,
            batch.business_date,
            batch.sequence,
            batch.state.value,
            batch.currency,
            totals.gross,
            totals.refunds,
            totals.discounts,
            totals.fees,
            totals.splits,
            totals.net,
            0 if batch.netted is None else sum(minor for _, minor in batch.netted.outside),
            totals.items,
            rfc3339(batch.opened_at),
            _instant(batch.cut_off_at),
            _instant(batch.filed_at),
            _instant(batch.closed_at),
            livemode,
            {},
        )
    )


def run_json(asked: Asked, livemode: bool) -> bytes:
    """A run that was asked for and is not done yet."""
    return _encode(
        ClearingRunView("clearing_run", asked.merchant or None, asked.date, "waiting", livemode)
    )


def _instant(ms: int) -> str | None:
    return rfc3339(ms) if ms else None
