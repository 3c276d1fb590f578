"""Which batch an entry is in, found from two numbers a batch and no mark on any row."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from payments.clearing.batch import Batch, BatchState

Chains = dict[tuple[str, str], list[Batch]]
"""(merchant, currency) -> its batches that were cut off, oldest first."""


def chains_of(batches: Iterable[Batch]) -> Chains:
    """Batches in chains; those that are open have no members yet and are left out."""
    chains: Chains = {}
    for batch in sorted(batches, key=lambda each: (each.business_date, each.sequence)):
        if batch.state is not BatchState.OPEN:
            chains.setdefault((batch.merchant, batch.currency), []).append(batch)
    return chains


def member_of(chain: Sequence[Batch], seq: int, date: int) -> Batch | None:
    """The batch of a chain that takes an entry: the first whose limits it is within.

    `seq`: the entry's number in its partition; `date`: business date, yyyymmdd. Both limits only
    grow along the chain, so whoever is within one batch's is within those of all later ones.
    """
    at = bisect_left(
        chain, True, key=lambda batch: seq <= batch.cut_off_seq and date <= batch.business_date
    )
    return chain[at] if at < len(chain) else None
