"""Where everybody is: which shard hosts a partition, and at what address an actor listens."""

from collections.abc import Mapping
from typing import Final

from payments.ids import PARTITIONS

DIRECTORY: Final = "directory"
COURIER: Final = "courier"
CUSTODY: Final = "custody"
RECONCILER: Final = "reconciler"
SUPERVISOR: Final = "supervisor"


class Placement:
    """Partitions to shards, fixed at the first start of a data directory (SQLite).

    Shared partitions are dealt out in turn; `dedicated` gives a partition a shard of its choice.
    """

    def __init__(self, shards: int, dedicated: Mapping[int, int] | None = None) -> None:
        assert shards >= 1
        placed = dedicated or {}
        self.shards = shards
        self.shard_of = tuple(placed.get(number, number % shards) for number in range(PARTITIONS))
        if max(self.shard_of) >= shards:
            raise ValueError(f"a dedicated partition is placed beyond shard {shards - 1}")


def shard_name(number: int) -> str:
    return f"shard-{number}"


def lane_name(account: str, lane: int) -> str:
    return f"lane-{account}-{lane}"


def front_door_name(number: int) -> str:
    return f"front-door-{number}"


class UnixAddresses:
    """Fixed paths in one directory: a new incarnation listens where the last one did."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def of(self, name: str) -> str:
        return f"unix:{self._directory}/{name}.sock"


class LocalAddresses:
    """Names in one process."""

    def of(self, name: str) -> str:
        return name
