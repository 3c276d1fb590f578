"""What a store file says of itself, who may open it, and how it is checked and migrated."""

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from payments.clock import ManualClock
from payments.storage import check, connect, migrate
from payments.storage.base import Batch, StoreRefused
from payments.storage.owner import OwnerLock
from payments.storage.sql import migrations
from payments.storage.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shard-0.db"


@pytest.fixture
def made(path):
    """A file with a stamp, closed."""
    store = SqliteStore(path, clock=ManualClock())
    store.open()
    store.close()
    return path


def change(path, statement):
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def test_an_sqlite_that_can_lose_rows_is_refused():
    """Before 3.51.3 a checkpoint beside a commit could lose what was committed."""
    for version in ("3.40.1", "3.51.2"):
        with pytest.raises(StoreRefused, match=r"older than 3\.51\.3"):
            connect.guard_version(version)
    assert connect.guard_version("3.51.3") is None
    assert connect.guard_version() is None


def test_a_clean_close_leaves_one_file_and_the_lock(made):
    """No log beside the file: it can be copied as it is."""
    assert {made.name, f"{made.name}.owner"} == {each.name for each in made.parent.iterdir()}


def test_the_second_process_is_told_whom_to_stop(path):
    """The lock says which process holds it, and goes when that process does."""
    code = (
        "import sys; from payments.storage.sqlite import SqliteStore;"
        "SqliteStore(sys.argv[1]).open(); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert "open\n" == other.stdout.readline()
        with pytest.raises(StoreRefused, match=rf"owned by process {other.pid}; stop that one"):
            SqliteStore(path).open()
        other.kill()
    store = SqliteStore(path)
    assert 2 == store.open().epoch
    store.close()


def test_a_newer_schema_is_refused(made):
    """Data is never migrated backwards; the message says what to install."""
    change(made, "UPDATE stamp SET value = '99' WHERE name = 'schema'")

    with pytest.raises(StoreRefused, match="install the newer release"):
        SqliteStore(made).open()
    with pytest.raises(StoreRefused, match="install the newer release"):
        migrate.up(made)


def test_a_test_store_is_refused_in_live_mode(made):
    """And the message says which of the two it is."""
    with pytest.raises(StoreRefused, match="is a test store and this is a live deployment"):
        SqliteStore(made, livemode=True).open()


def test_somebody_elses_database_is_refused(path):
    """Nothing is written into it."""
    change(path, "CREATE TABLE theirs (a)")

    with pytest.raises(StoreRefused, match="not a store of ours"):
        SqliteStore(path).open()
    with pytest.raises(StoreRefused, match="not a store of ours"):
        migrate.status(path)


def test_a_file_that_is_no_database_is_refused(path):
    """With what to do about it."""
    path.write_bytes(b"not a database at all" * 400)

    with pytest.raises(StoreRefused, match=r"is damaged .* restore the last backup"):
        SqliteStore(path).open()
    assert check.full(path)


async def test_a_damaged_file_is_refused_and_found_by_the_full_check(path):
    """Every page of it is scribbled over, but for the first."""
    store = SqliteStore(path, clock=ManualClock())
    store.open()
    batch = Batch.empty()
    batch.events = [(no, 7, 1, f"evt_{no:024}S", "x", 1, bytes(900)) for no in range(1, 500)]
    await store.commit(batch)
    store.close()
    assert [] == check.full(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\x55" * (len(whole) - 4096))

    with pytest.raises(StoreRefused, match="is damaged"):
        SqliteStore(path).open()
    assert check.full(path)


def test_the_check_at_open_ends_in_time(made):
    """A large file is checked as far as the time goes; False says that it was not all."""
    clock = ManualClock()
    connection = connect.reader(made)
    connection.execute("PRAGMA query_only = 0")
    connection.execute(
        "CREATE TABLE many AS WITH RECURSIVE up (n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM up LIMIT 100000) SELECT n FROM up"
    )

    assert check.quick(connection, clock, budget_ms=10) is True
    assert check.quick(connection, clock, budget_ms=0) is False
    connection.close()


def resident_kib(path):
    """How much of a file this process has in its memory map."""
    kib, is_ours = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        head, *rest = line.split()
        if not head.endswith(":"):
            is_ours = bool(rest) and rest[-1] == str(path)
        elif is_ours and head == "Rss:":
            kib += int(rest[0])
    return kib


@pytest.mark.parametrize("opened", [connect.scanner, connect.reader, connect.writer])
def test_nobody_maps_the_file(made, opened):
    """A fault reads far around what was asked for, and a day of payments is gigabytes."""
    change(
        made,
        "CREATE TABLE many AS WITH RECURSIVE up (n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM up LIMIT 2000) SELECT n, zeroblob(2000) FROM up",
    )
    connection = opened(made)
    assert 2_000 == len(connection.execute("SELECT * FROM many").fetchall())
    assert 0 == resident_kib(made)
    connection.close()


def test_the_map_would_be_noticed(made):
    """What counts resident pages sees those of a connection that maps."""
    change(made, "CREATE TABLE many AS SELECT zeroblob(2000000) AS n")
    connection = connect.reader(made)
    connection.pragma("mmap_size", 1 << 30)
    assert 1 == len(connection.execute("SELECT * FROM many").fetchall())
    assert resident_kib(made) > 1_000
    connection.close()


@pytest.mark.parametrize("opened", [connect.scanner, connect.reader])
def test_who_reads_cannot_write(made, opened):
    connection = opened(made)
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("CREATE TABLE another (n)")
    connection.close()


def test_migrations_are_reported_and_applied(path, made):
    """A file of this release has nothing pending; one without a schema has everything."""
    newest = migrations()[-1][0]
    status = migrate.status(made)

    assert (str(made), newest, newest, ()) == (
        status.path, status.schema, status.newest, status.pending
    )  # fmt: skip
    assert status == migrate.up(made)
    with pytest.raises(StoreRefused, match="does not exist"):
        migrate.status(path.with_name("shard-1.db"))


@pytest.fixture
def newer_release(made, monkeypatch):
    """The same code, with one migration more."""
    newer = [*migrations(), (3, "more", "CREATE TABLE more (a INTEGER) STRICT;")]
    monkeypatch.setattr(migrate, "migrations", lambda: newer)


def test_an_older_file_is_brought_up_to_date(made, newer_release):
    """By `migrate up`, but never while a process owns it."""
    assert ("0003_more",) == migrate.status(made).pending
    lock = OwnerLock(made)
    lock.take()
    with pytest.raises(StoreRefused, match="owned by process"):
        migrate.up(made)
    lock.release()

    assert () == migrate.up(made).pending
    assert 3 == migrate.status(made).schema


def test_a_start_brings_an_older_file_up_to_date(made, newer_release):
    """What was in it stays: the epoch goes on."""
    store = SqliteStore(made)

    assert 2 == store.open().epoch
    store.close()
    assert () == migrate.status(made).pending


def test_the_file_is_for_its_owner_alone(tmp_path):
    """Payments are nobody else's business, in the log as in the file."""
    store = SqliteStore(tmp_path / "shard-0.db")
    store.open()

    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.glob("shard-0.db*")}
    store.close()

    assert set(modes) >= {"shard-0.db", "shard-0.db-wal"}
    assert {0} == {mode for name, mode in modes.items() if not name.endswith(".owner")}
