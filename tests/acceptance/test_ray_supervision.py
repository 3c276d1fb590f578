"""Ray under the supervisor: every named victim comes back, and nothing outlives its deployment."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

TILLWAY = Path(sys.executable).with_name("tillway")
START_S = 120
MACHINE_FACTOR = 6
"""Promises are for a machine that has nothing else to do; machines of tests are shared."""

BACK_S = 10 * MACHINE_FACTOR
"""A killed box serves again within this."""

ORPHANS_END_S = 5 * MACHINE_FACTOR
"""Nobody of a deployment outlives its supervisor by more than this."""

PATIENCE_S = 60
"""For what no promise is about."""

VICTIMS = ("front-door-0", "shard-0", "lane-simulated-0", "directory")


class OnRay:
    """A demo on Ray whose admin port is known before it starts."""

    def __init__(self, data: Path, *more: str) -> None:
        self.data = data
        self.log = data.with_suffix(".err")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.admin = f"127.0.0.1:{free.getsockname()[1]}"
        line = [str(TILLWAY), "demo", "--channels", "simulated", "--json", "--rate", "0"]
        line += ["--data", str(data), *more]
        line += ["--port", "0", "--admin-port", self.admin.split(":")[1]]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                line, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ}
            )
        self.seen: dict[int, psutil.Process] = {}
        self.number = 0

    def look(self, path: str) -> tuple[int, str]:
        """(0, "") while nobody listens."""
        connection = http.client.HTTPConnection(self.admin, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def ready(self) -> None:
        assert self.process.stdout is not None
        self.line = json.loads(self.process.stdout.readline() or f'"{self.log.read_text()}"')
        self.family()

    def family(self) -> list[psutil.Process]:
        """Everybody that we started, remembered for when their parents are gone."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            self.seen[process.pid] = process
        return list(self.seen.values())

    def pid_of(self, name: str) -> int:
        titles = (f"ray::{name}", f"ray::{name}.run")
        for process in self.family():
            if process.is_running() and " ".join(process.cmdline()).strip() in titles:
                return process.pid
        raise AssertionError(f"no {name} among {[p.cmdline()[:1] for p in self.family()]}")

    def left(self) -> list[str]:
        """Who of the family still lives."""
        found = []
        for process in self.seen.values():
            try:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline())[:80].strip())
            except psutil.NoSuchProcess:
                continue
        return found

    def folders(self) -> list[Path]:
        """Where sockets and Ray's session may lie."""
        elsewhere = Path(tempfile.gettempdir())
        tag = hashlib.sha256(os.fsencode(self.data.resolve())).hexdigest()[:8]
        homes = (self.data, elsewhere / f"tillway-{os.getuid()}-{tag}")
        return [home / name for home in homes for name in ("run", "ray")]

    def pay(self) -> int:
        """One payment on a connection of its own. The status, 0 when nobody answered."""
        self.number += 1
        number = self.number
        body = {"order_no": f"R{number}", "amount": 100, "currency": "cny", "way": "barcode"}
        body["auth_code"] = f"28{number:016d}"
        headers = {
            "Authorization": f"Bearer {self.line['api_key']}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"key-{number}-of-this-test",
        }
        connection = http.client.HTTPConnection(self.line["api"].split("/")[2], timeout=3)
        try:
            connection.request("POST", "/v1/payments", json.dumps(body), headers)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def has(self, order_no: str) -> bool:
        """Whether the one payment of this order is paid."""
        connection = http.client.HTTPConnection(self.line["api"].split("/")[2], timeout=PATIENCE_S)
        try:
            headers = {"Authorization": f"Bearer {self.line['api_key']}"}
            connection.request("GET", f"/v1/payments?order_no={order_no}", headers=headers)
            found = json.loads(connection.getresponse().read())["data"]
            return [each["status"] for each in found] == ["succeeded"]
        finally:
            connection.close()

    def restarts(self, role: str) -> float:
        start = f'tillway_box_restarts_total{{role="{role}"}} '
        lines = self.look("/metrics")[1].splitlines()
        return float(next(line for line in lines if line.startswith(start)).split()[1])

    def close(self) -> None:
        """Kill what is left, by the ids that we know."""
        if self.process.poll() is None:
            self.family()
            self.process.kill()
            self.process.wait(60)
        for process in self.seen.values():
            if process.is_running():
                process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()


def wakes_of_main_thread(pid: int) -> int:
    """How often it has waited for something so far."""
    for line in Path(f"/proc/{pid}/task/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return int(line.split()[1])
    raise AssertionError(pid)


def within(seconds: float, condition: Callable[[], Any]) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return bool(condition())


@pytest.fixture
def gateway(tmp_path):
    """A start on Ray, not waited for."""
    made = OnRay(tmp_path / "data")
    yield made
    made.close()


def test_every_victim_comes_back_and_nothing_stays_behind(gateway):
    """Kill -9 of each kind of box: serving again in seconds. SIGTERM: nothing is left."""
    assert within(START_S, lambda: gateway.look("/livez")[0] == 200)
    status, text = gateway.look("/readyz?verbose")
    assert (status, "[-]started failed" in text) == (503, True), "the port opens before the boxes"
    gateway.ready()
    assert within(BACK_S, lambda: gateway.look("/readyz")[0] == 200)
    assert gateway.pay() == 201
    assert any(folder.exists() and any(folder.iterdir()) for folder in gateway.folders())
    for connection in psutil.Process(gateway.pid_of("shard-0")).net_connections():
        assert connection.laddr.ip.endswith("127.0.0.1"), "boxes listen on loopback alone"

    before_rest = {name: wakes_of_main_thread(gateway.pid_of(name)) for name in VICTIMS}
    time.sleep(1)
    for name, before in before_rest.items():
        woken = wakes_of_main_thread(gateway.pid_of(name)) - before
        assert woken < 20, f"{name}: Ray looks for signals a hundred times a second"

    for name in VICTIMS:
        role = name.rstrip("-0").replace("-", "_").replace("lane_simulated", "lane")
        before = gateway.restarts(role)
        os.kill(gateway.pid_of(name), signal.SIGKILL)
        began = time.monotonic()
        assert within(BACK_S, lambda role=role, before=before: gateway.restarts(role) > before)
        assert within(BACK_S, lambda: gateway.look("/readyz")[0] == 200), gateway.look(
            "/readyz?verbose"
        )
        assert within(BACK_S, lambda: gateway.pay() == 201)
        assert time.monotonic() - began < BACK_S, name

    gateway.family()
    os.kill(gateway.process.pid, signal.SIGTERM)
    assert gateway.process.wait(60) == 0, gateway.log.read_text()
    assert within(ORPHANS_END_S, lambda: not gateway.left()), gateway.left()
    for folder in gateway.folders():
        assert not folder.exists() or not any(folder.iterdir()), folder
    for noise in ("Traceback", "Token authentication", "SIGTERM handler"):
        assert noise not in gateway.log.read_text()


def test_nothing_outlives_a_killed_supervisor(gateway):
    """Kill -9 of the main process: boxes and Ray's own processes end in seconds."""
    gateway.ready()

    os.kill(gateway.process.pid, signal.SIGKILL)
    gateway.process.wait(60)

    assert within(ORPHANS_END_S, lambda: not gateway.left()), gateway.left()


def test_the_death_of_rays_raylet_ends_the_gateway_at_once_and_loses_nothing(gateway):
    """It says why, with a code after which a supervisor of processes starts it anew."""
    gateway.ready()
    acknowledged: list[str] = []
    raylet = next(each for each in gateway.family() if each.name() == "raylet")

    while gateway.process.poll() is None:
        if gateway.pay() == 201:
            acknowledged.append(f"R{gateway.number}")
        if len(acknowledged) == 5 and raylet.is_running():
            raylet.kill()

    assert gateway.process.wait(PATIENCE_S) == 1
    assert "Ray's raylet was killed by SIGKILL" in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()
    assert within(ORPHANS_END_S, lambda: not gateway.left()), gateway.left()
    again = OnRay(gateway.data, "--runtime", "local")
    try:
        again.ready()
        assert len(acknowledged) >= 5
        assert all(again.has(order_no) for order_no in acknowledged)
    finally:
        again.close()


@pytest.fixture
def five_shards(tmp_path, monkeypatch):
    """Shards 0, 2 and 4 in one process, 1 and 3 in another."""
    monkeypatch.setenv("TILLWAY_SHARDS__PROCESSES", "2")
    made = OnRay(tmp_path / "data", "--shards", "5")
    made.ready()
    assert within(BACK_S, lambda: made.look("/readyz")[0] == 200)
    yield made
    made.close()


def own_shard(gateway: OnRay) -> str:
    """The shard that the demo's merchant lives in."""
    assert gateway.pay() == 201
    found: list[str] = []

    def look() -> bool:
        lines = gateway.look("/metrics")[1].splitlines()
        active = [line for line in lines if line.startswith("tillway_shard_merchants_active{")]
        found[:] = [line.split('"')[1] for line in active if float(line.split()[-1]) > 0]
        return bool(found)

    assert within(PATIENCE_S, look)
    assert len(found) == 1, found
    return found[0]


def test_shards_of_one_process_end_and_come_back_together(five_shards):
    """Nothing acknowledged is lost, the process beside them does not notice."""
    pids = {name: five_shards.pid_of(name) for name in ("shards-0", "shards-1")}
    acknowledged = []
    for _ in range(20):
        assert five_shards.pay() == 201
        acknowledged.append(f"R{five_shards.number}")
    used = 'tillway_process_resident_memory_bytes{role="shard"} '
    lines = five_shards.look("/metrics")[1].splitlines()
    counted = float(next(line for line in lines if line.startswith(used)).split()[1])
    seen = sum(psutil.Process(pid).memory_info().rss for pid in pids.values())
    assert counted == pytest.approx(seen, rel=0.25), "a process that is shared counts once"

    os.kill(pids["shards-0"], signal.SIGKILL)

    assert within(BACK_S, lambda: five_shards.restarts("shard") == 3)
    assert within(BACK_S, lambda: five_shards.look("/readyz")[0] == 200)
    assert five_shards.pid_of("shards-1") == pids["shards-1"]
    assert within(BACK_S, lambda: five_shards.pay() == 201)
    assert all(five_shards.has(order_no) for order_no in acknowledged)
    assert five_shards.restarts("shard") == 3


def test_a_store_that_is_refused_does_not_stop_its_neighbour(five_shards):
    """One of three in a process cannot open: the others serve; it comes back by itself."""
    victim = "shard-2" if own_shard(five_shards) == "shard-0" else "shard-0"
    store = five_shards.data / f"{victim}.db"
    away = store.with_suffix(".away")
    before = five_shards.pid_of("shards-0")

    store.rename(away)
    store.write_bytes(b"a letter, not a database. " * 400)
    os.kill(before, signal.SIGKILL)

    def is_alone() -> bool:
        text = five_shards.look("/readyz?verbose")[1]
        others = {f"shard-{number}" for number in range(5)} - {victim}
        return f"[-]{victim} " in text and all(f"[+]{name} " in text for name in others)

    assert within(BACK_S, is_alone), five_shards.look("/readyz?verbose")
    assert within(BACK_S, lambda: five_shards.pay() == 201)
    process = next(
        each
        for each in five_shards.family()
        if each.is_running() and each.pid != before and "ray::shards-0" in " ".join(each.cmdline())
    )

    store.unlink()
    away.rename(store)

    assert within(BACK_S, lambda: five_shards.look("/readyz")[0] == 200)
    assert process.is_running(), "the neighbour was not restarted for it"
    assert five_shards.pay() == 201
