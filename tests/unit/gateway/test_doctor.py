"""The doctor: each thing that keeps a gateway from working is found, and comes with its fix."""

import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

from gateway.cli import app as cli
from gateway.cli import doctor_machine as machine
from gateway.cli import doctor_state as state
from gateway.cli.findings import Level
from gateway.settings import load
from payments.storage.owner import OwnerLock, owner_of

OK, CHECK_FAILED = 0, 1


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    monkeypatch.delenv("TILLWAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def examine(monkeypatch, capsys, tmp_path):
    """Run the doctor on a data directory: (exit code, findings by name)."""

    def run(*arguments):
        words = ["doctor", "--json", "--data", str(tmp_path / "d"), *map(str, arguments)]
        monkeypatch.setattr("sys.argv", ["tillway", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        report = json.loads(capsys.readouterr().out)
        assert all(one["fix"] for one in report["checks"] if one["level"] != "ok")
        return ended.value.code or 0, {one["name"]: one for one in report["checks"]}

    return run


@pytest.fixture
def settings(tmp_path):
    data = tmp_path / "d"
    data.mkdir(mode=0o700)

    def make(**flags):
        named = {name.replace("__", "."): value for name, value in flags.items()}
        base = {"data_dir": str(data), "runtime": "local", "http.port": 0, "http.admin_port": 0}
        return load(None, {**base, **named}, {})

    return make


def only(look, settings):
    """What one look finds, by name."""
    return {each.name: each for each in look(settings)}


def test_wrong_settings_are_a_finding_and_the_rest_is_looked_at_all_the_same(examine, tmp_path):
    """One visit tells everything."""
    file = tmp_path / "t.toml"
    file.write_text("[http]\nprot = 7\n")
    code, found = examine("--config", file)
    assert CHECK_FAILED == code
    assert "did you mean http.port" in found["settings"]["found"]
    assert {"python", "disk sync"} <= found.keys()


def test_a_taken_port_is_found(settings):
    """With the flag that chooses another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        found = only(state.ports, settings(http__port=other.getsockname()[1]))
    assert (Level.WRONG, Level.OK) == (found["port"].level, found["admin port"].level)
    assert "--port" in found["port"].fix


def test_a_running_deployment_has_its_ports_by_right(settings, tmp_path):
    """It is named, and neither its ports nor its processes are trouble."""
    lock = OwnerLock(tmp_path / "d" / "deployment")
    assert owner_of(tmp_path / "d" / "deployment") is None
    lock.take()
    try:
        assert str(os.getpid()) == owner_of(tmp_path / "d" / "deployment")
        assert str(os.getpid()) in only(state.running, settings())["deployment"].found
        assert {} == only(state.ports, settings())
        assert {} == only(state.leftovers, settings())
    finally:
        lock.release()
    assert owner_of(tmp_path / "d" / "deployment") is None
    assert {} == only(state.running, settings())


def test_few_open_files_are_found(settings, monkeypatch):
    """A front door alone may have ten thousand connections."""
    monkeypatch.setattr(machine.resource, "getrlimit", lambda _: (1_024, 4_096))
    found = only(machine.limits, settings())["open files"]
    assert (Level.WRONG, True) == (found.level, "ulimit -n" in found.fix)


def test_little_shared_memory_is_found_where_ray_needs_it(settings, monkeypatch):
    """And only there."""
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))
    assert "shared memory" not in only(machine.limits, settings())
    found = only(machine.limits, settings(runtime="ray"))["shared memory"]
    assert (Level.WRONG, True) == (found.level, "--shm-size" in found.fix)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (subprocess.CalledProcessError(1, "python", stderr=b"x\nImportError: no"), "ImportError"),
        (subprocess.TimeoutExpired("python", 1), "took over"),
    ],
)
def test_a_ray_that_cannot_be_imported_is_found(settings, monkeypatch, trouble, words):
    """It is tried in another process, which may hang or crash."""

    def run(*_, **__):
        raise trouble

    monkeypatch.setattr(machine.subprocess, "run", run)
    found = only(machine.ray, settings(runtime="ray"))["ray"]
    assert (Level.WRONG, True) == (found.level, words in found.found)
    assert "--runtime local" in found.fix
    assert {} == only(machine.ray, settings())


def test_a_clock_that_is_wrong_is_found(settings, monkeypatch):
    """Before this program was written; far from the disk's; not synchronized (a warning)."""
    far = SimpleNamespace(real_ms=lambda: 1_000)
    monkeypatch.setattr(machine, "SystemClock", lambda: far)
    assert Level.WRONG is only(machine.clock, settings())["clock"].level

    real = 1_900_000_000_000
    monkeypatch.setattr(machine, "SystemClock", lambda: SimpleNamespace(real_ms=lambda: real))
    assert "data disk" in only(machine.clock, settings())["clock"].found
    monkeypatch.undo()

    levels = {None: Level.OK, True: Level.OK, False: Level.WARNING}
    for synchronized, level in levels.items():
        monkeypatch.setattr(machine, "_is_synchronized", lambda value=synchronized: value)
        assert level is only(machine.clock, settings())["clock"].level


def test_the_kernel_is_asked_for_its_clock():
    """On Linux it says something, or nothing; it never fails."""
    assert machine._is_synchronized() in (None, True, False)


def test_a_slow_disk_and_a_full_one_are_found(settings, monkeypatch):
    """Every commit waits for the disk."""
    monkeypatch.setattr(state, "_fsync_ms", lambda _: 80.0)
    monkeypatch.setattr(state.shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    found = only(state.disk, settings())
    assert (Level.WRONG, Level.WRONG) == (found["disk sync"].level, found["disk space"].level)


def test_a_data_directory_that_cannot_be_written_is_found(settings, monkeypatch):
    """Whoever runs the doctor: root could write anywhere, so the refusal is made up."""

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(state, "_fsync_ms", refuse)
    found = only(state.disk, settings())["data directory"]
    assert (Level.WRONG, "Permission denied" in found.found) == (found.level, True)


def test_what_others_can_read_is_found(settings, tmp_path):
    """Of secrets and of the directory; in test mode a warning."""
    (tmp_path / "d").chmod(0o755)
    secret = tmp_path / "d" / "digest.secret"
    secret.write_text("x")
    secret.chmod(0o644)
    assert Level.WARNING is only(state.disk, settings())["its mode"].level
    found = only(state.secrets, settings())["digest.secret"]
    assert (Level.WARNING, f"chmod 600 {secret}") == (found.level, found.fix)

    live = settings(mode="live", rehearsal=True)
    assert Level.WRONG is only(state.disk, live)["its mode"].level
    assert Level.WRONG is only(state.secrets, live)["digest.secret"].level


def test_paths_too_long_for_sockets_are_found(settings, tmp_path, monkeypatch):
    """A deep data directory is fine while the temporary folder is short."""
    deep = str(tmp_path / ("x" * 90))
    monkeypatch.setattr("tempfile.tempdir", "/" + "t")
    found = only(state.sockets, settings(runtime="ray", data_dir=deep))["socket paths"]
    assert (Level.OK, True) == (found.level, "/t/" in found.found)
    monkeypatch.setattr("tempfile.tempdir", "/" + "t" * 90)
    found = only(state.sockets, settings(runtime="ray", data_dir=deep))["socket paths"]
    assert (Level.WRONG, True) == (found.level, "shorter --data" in found.fix)


def test_what_a_killed_start_left_is_found(settings, tmp_path):
    """Processes that still run on the directory, and files that were never finished."""
    assert "none" == only(state.leftovers, settings())["leftovers"].found
    (tmp_path / "d" / "shard-0.db.making").touch()
    code = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", code, "gateway.cli", "--data", str(tmp_path / "d" / "sandboxes")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # Just after its start a process has no command line yet.
        found = only(state.leftovers, settings())
        process.stdin.close()
    assert Level.WRONG is found["leftovers"].level
    assert f"kill {process.pid}" in found["leftovers"].fix
    assert "shard-0.db.making" in found["half-made files"].found


def test_a_damaged_store_is_found(settings, tmp_path):
    """Page by page."""
    (tmp_path / "d" / "shard-0.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 8_000)
    found = only(state.stores, settings())["shard-0.db"]
    assert (Level.WRONG, "backup" in found.fix) == (found.level, True)


async def test_the_channels_clocks_are_compared(aiohttp_like):
    """By the Date of an answer; whoever does not answer is said, too."""
    url, shift = aiohttp_like
    assert abs(await machine._skew_s(url) - shift) < 5


@pytest.fixture
async def aiohttp_like():
    """A channel whose clock is ten minutes ahead."""
    from email.utils import formatdate

    from aiohttp import web

    from payments.clock import SystemClock

    async def answer(_):
        told = formatdate(SystemClock().real_ms() / 1_000 + 600, usegmt=True)
        return web.Response(headers={"Date": told})

    app = web.Application()
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", 600
    await runner.cleanup()


def test_a_channel_or_bank_that_does_not_answer_is_found():
    """With where to look."""
    channel = SimpleNamespace(base_url="http://127.0.0.1:1")
    bank = SimpleNamespace(base_url="http://127.0.0.1:2")
    found = list(machine.channels(SimpleNamespace(channels=(channel,), bank=bank)))
    assert [channel.base_url, bank.base_url] == [each.name.split()[-1] for each in found]
    assert {(Level.WRONG, True)} == {(each.level, "base_url" in each.fix) for each in found}
