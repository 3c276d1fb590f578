"""What a credit has covered, as the shards know it: a custody box whose store is lost, or is older
than what it did, learns it from them and matches nothing twice.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.settlement.cover import Credit

TOGETHER: Final = 10
"""Claims in one record: each that is covered writes it once more."""


class Covered(Struct, frozen=True, array_like=True, gc=False):
    """A claim that a credit has covered. Minor units: what was owed, the channel's fee of it."""

    claim: str
    receivable: int
    fee: int


class Credited(Struct, frozen=True, array_like=True, gc=False):
    """Some of the claims that a credit has covered: a shard's record, the credit's its owner."""

    covered: tuple[Covered, ...]


def credited_id(credit: str, first: str) -> str:
    """`credit`: the bank's reference; `first`: the first claim of the record."""
    return "crd_" + sha256("\n".join((credit, first)).encode()).hexdigest()[:32]


def left_of(credit: Credit, covered: Sequence[Covered]) -> Credit:
    """The credit less what it has covered: what is left for claims that wait."""
    return replace(credit, amount=credit.amount - sum(c.receivable - c.fee for c in covered))
