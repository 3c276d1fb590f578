"""What a store file is (its stamp), and bringing its schema up to this release's.

The stamp tells the schema's version, test or live, and which shard of how many the file is: the
map from partition to shard is fixed when the first file is made.
"""

from pathlib import Path

import apsw
from msgspec import Struct

from payments.storage import connect
from payments.storage.base import StoreRefused
from payments.storage.owner import OwnerLock
from payments.storage.sql import ADMIN, migrations


class Stamp(Struct, frozen=True, gc=False):
    """What a store file says of itself. `schema`: number of the last migration applied."""

    schema: int
    livemode: bool
    shard: int
    shards: int

    @property
    def mode(self) -> str:
        return "live" if self.livemode else "test"


class MigrationStatus(Struct, frozen=True, gc=False):
    """For `tillway migrate status`. `pending`: names of what `up` would apply, in order."""

    path: str
    schema: int
    newest: int
    pending: tuple[str, ...]


def newest_schema() -> int:
    """The schema that this release writes."""
    return migrations()[-1][0]


def read_stamp(connection: apsw.Connection) -> Stamp | None:
    """The stamp, or None for a file that holds nothing yet. Raise StoreRefused for a stranger."""
    if not connection.execute(ADMIN["has_stamp"]).fetchone()[0]:  # type: ignore[index]
        if connection.execute(ADMIN["has_anything"]).fetchone()[0]:  # type: ignore[index]
            raise StoreRefused(f"{connection.filename} is a database, but not a store of ours")
        return None
    facts = dict(connection.execute(ADMIN["stamp"]))
    return Stamp(
        int(facts["schema"]),
        facts["mode"] == "live",
        int(facts["shard"]),
        int(facts["shards"]),
    )


def is_live(path: Path) -> bool:
    """Whether a store file holds real money. StoreRefused where that cannot be read."""
    try:
        connection = connect.reader(path)
        try:
            stamp = read_stamp(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        raise StoreRefused(
            f"cannot tell whether {path} holds live money: {error}; look at it before it is removed"
        ) from error
    return stamp is not None and stamp.livemode


def prepare(connection: apsw.Connection, wanted: Stamp) -> Stamp:
    """Stamp a new file or check an old one's stamp, then migrate. Raise StoreRefused."""
    found = read_stamp(connection)
    if found is None:
        found = Stamp(0, wanted.livemode, wanted.shard, wanted.shards)
    else:
        _refuse_stranger(connection.filename, found, wanted)
    return _migrate(connection, found)


def _refuse_stranger(name: str, found: Stamp, wanted: Stamp) -> None:
    _refuse_newer(name, found)
    if found.livemode != wanted.livemode:
        raise StoreRefused(
            f"{name} is a {found.mode} store and this is a {wanted.mode} deployment: "
            "their payments must never mix; choose another data directory"
        )
    if (found.shard, found.shards) != (wanted.shard, wanted.shards):
        raise StoreRefused(
            f"{name} is shard {found.shard} of {found.shards}, and was opened as shard "
            f"{wanted.shard} of {wanted.shards}: the number of shards is fixed when a data "
            "directory is made; set it back, or choose another data directory"
        )


def _refuse_newer(name: str, found: Stamp) -> None:
    if found.schema > newest_schema():
        raise StoreRefused(
            f"{name} has schema {found.schema}, this release knows {newest_schema()}: "
            "install the newer release again; data is never migrated backwards"
        )


def _migrate(connection: apsw.Connection, found: Stamp) -> Stamp:
    """Apply what is missing, all of it in one database transaction."""
    missing = [(number, up) for number, _, up in migrations() if number > found.schema]
    if not missing:
        return found
    with connection:
        connection.execute(ADMIN["make_stamp"])
        for _, up in missing:
            connection.execute(up)
        reached = Stamp(missing[-1][0], found.livemode, found.shard, found.shards)
        connection.executemany(
            ADMIN["set_stamp"],
            [
                ("schema", str(reached.schema)),
                ("mode", reached.mode),
                ("shard", str(reached.shard)),
                ("shards", str(reached.shards)),
            ],
        )
    return reached


def status(path: Path) -> MigrationStatus:
    """Where a store file stands. Raise StoreRefused when it is not one of ours."""
    connect.guard_version()
    if not path.exists():
        raise StoreRefused(f"{path} does not exist; `tillway serve` makes it at its first start")
    connection = connect.reader(path)
    try:
        stamp = read_stamp(connection)
    finally:
        connection.close()
    schema = stamp.schema if stamp else 0
    pending = tuple(f"{n:04}_{name}" for n, name, _ in migrations() if n > schema)
    return MigrationStatus(str(path), schema, newest_schema(), pending)


def up(path: Path) -> MigrationStatus:
    """Bring a stopped store's schema up to date. Raise StoreRefused while it has an owner."""
    before = status(path)
    lock = OwnerLock(path)
    lock.take()
    try:
        connection = connect.writer(path)
        try:
            stamp = read_stamp(connection)
            if stamp is None:
                raise StoreRefused(f"{path} is empty; `tillway serve` makes it at its first start")
            _refuse_newer(before.path, stamp)
            _migrate(connection, stamp)
        finally:
            connection.close()
    finally:
        lock.release()
    return status(path)
