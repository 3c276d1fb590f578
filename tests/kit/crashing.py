"""A world on real files that can be made to die at a named point."""

from oracle import Rows, rows_of, settled
from payments.storage.audit import audit
from world import World

LANES = ("lane-sim-a", "lane-sim-b")
ALL = ("shard-0", *LANES)


class Crashing(World):
    """`crash_at` arms one death; `crashed` says whether it came; `found`: what it left stored."""

    crashed = False
    found: Rows

    def crash_at(self, point: str, occurrence: int = 1, victims: tuple[str, ...] = ALL) -> None:
        """Die when the point is reached for the `occurrence`-th time from now on."""
        left = occurrence
        home = LANES if point.startswith("books_") else ("shard-0",)

        def reach(reached: str) -> None:
            nonlocal left
            left -= reached == point
            if left == 0 and not self.crashed:
                self.crashed = True
                if set(home) <= set(victims):
                    self.die_here(*victims)
                self.kill(*victims)

        self.crashed = False
        self.reach = reach

    def rise(self) -> None:
        """Everything that died starts again on the same files."""
        assert self.crashed, "the point was never reached"
        self.found = rows_of(self)
        self.reach = None
        self.start()

    def proven(self) -> None:
        """Everything comes to its end, and the oracle has no complaint."""
        left = settled(self)
        assert [] == left, left
        assert self.path is not None
        found = audit(self.path / "shard-0.db")  # What `tillway ledger verify` says of it.
        assert found.ok, found.complaints
