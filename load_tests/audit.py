"""After a run: is everything that was acknowledged in the books, once, and do they balance?"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Audit:
    """What was promised against what is kept. Counts of payments; the balance in minor units."""

    acknowledged: int
    in_ledger: int
    doubled: int
    lost: int
    trial_balance: int
    chain_ok: bool = True

    @property
    def passed(self) -> bool:
        """Whether nothing was lost, nothing doubled, and the books balance."""
        return not (self.doubled or self.lost or self.trial_balance) and self.chain_ok

    def as_json(self) -> dict[str, int]:
        """The `audit` object of the bench's JSON line."""
        fields: dict[str, int] = asdict(self)
        del fields["chain_ok"]
        return fields

    def __add__(self, other: "Audit") -> "Audit":
        """Audits of different data directories together."""
        return Audit(
            self.acknowledged + other.acknowledged,
            self.in_ledger + other.in_ledger,
            self.doubled + other.doubled,
            self.lost + other.lost,
            abs(self.trial_balance) + abs(other.trial_balance),
            self.chain_ok and other.chain_ok,
        )


def of_counts(
    acknowledged: int, unanswered_max: int, verified: Mapping[str, Any], *, stored_before: int = 0
) -> Audit:
    """Audit by counting, for a generator that keeps no answers (wrk).

    At its end it hangs up on requests under way: at most `unanswered_max` payments may be in
    the ledger beyond those acknowledged. `stored_before` payments were there at the start;
    `verified` is what the ledger's own verification says.
    """
    in_ledger = sum(verified["payments"].values()) - stored_before
    surplus = max(0, in_ledger - acknowledged - unanswered_max)
    return Audit(
        acknowledged=acknowledged,
        in_ledger=in_ledger,
        doubled=int(verified["doubled"]) + surplus,
        lost=max(0, acknowledged - in_ledger),
        trial_balance=int(verified["trial_balance"]),
        chain_ok=bool(verified.get("chain_ok", True)),
    )


def of_identities(
    acknowledged: Iterable[tuple[str, str]], found: Mapping[str, list[str]]
) -> tuple[int, int]:
    """Audit one by one: (lost, doubled).

    `acknowledged` are (order number, payment id) as answered; `found` the ids of the payments
    that the gateway lists for each order number.
    """
    lost = doubled = 0
    for order_no, payment in acknowledged:
        ids = found.get(order_no, [])
        lost += payment not in ids
        doubled += max(0, len(ids) - 1)
    return lost, doubled
