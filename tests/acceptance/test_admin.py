"""The admin port and the end of a deployment, as an orchestrator and Prometheus meet them."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

TILLWAY = Path(sys.executable).with_name("tillway")
OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"
START_S = 120
PATIENCE_S = 60
GRACE_S = 100
"""Longer than anybody's patience here: who ends sooner did not wait for it."""

QUIET = ("--rate", "0", "--channels", "simulated")
NEEDS_A_BANK = ("tillway_custody_", "tillway_reconciliation", "tillway_bill_")
"""Names of boxes that a deployment of the simulated channel alone does not have:
`test_payouts.py` looks at them."""

AT_REST = {
    "tillway_settlement_instructions_open": "nothing is due yet",
    "tillway_coverage_faults_total": "must stay 0",
    "tillway_ledger_imbalance_minor": "must stay 0",
    "tillway_shard_restarts_total": "nothing died",
    "tillway_box_restarts_total": "nothing died",
    "tillway_bugs_total": "we made none",
    "tillway_payment_overdue_total": "a minute has not passed",
    "tillway_channel_circuit_state": "0 is closed",
    "tillway_channel_timeouts_total": "the simulated channel answers",
    "tillway_channel_callbacks_total": "the simulated channel has no address to call",
    "tillway_channel_calls_running": "all were answered",
    "tillway_channel_calls_queued": "there was room",
    "tillway_webhook_in_flight": "all were answered",
    "tillway_webhook_unread_events": "all were read",
    "tillway_http_requests_in_flight": "all were answered",
    "tillway_shard_mailbox_depth": "all was committed",
    "tillway_shard_nonces": "a bearer key signs nothing",
    "tillway_event_loop_lag_seconds": "an idle loop is not late",
}
"""Names that are there and rightly 0 after a few payments, with the reason."""

REJECTED = 'tillway_risk_decision_total{decision="reject",rule="single_max"} 1.0'
PAID = 'tillway_payment_total{channel="simulated",outcome="succeeded",way="barcode"} 70.0'


class Deployed:
    """A `tillway` process of ours with free ports on one event loop."""

    def __init__(self, data: Path, *arguments: str, command: str = "serve") -> None:
        self.data = data
        self.log = data.with_suffix(".err")
        line = [str(TILLWAY), command, "--json", "--runtime", "local", "--data", str(data)]
        for flag in ("--port", "--admin-port"):
            line += [] if flag in arguments else [flag, "0"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*line, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ready(self) -> "Deployed":
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], START_S)[0], self.log.read_text()
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        self.line = json.loads(line)
        self.admin = self.line["admin"].removeprefix("http://")
        self.api = self.line["api"].removeprefix("http://")
        return self

    def ask(
        self, address: str, path: str, method: str = "GET", body: Any = None, **headers: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def look(self, path: str) -> tuple[int, str]:
        return self.ask(self.admin, path)[:2]

    def pay(self, number: int, **changes: Any) -> tuple[int, Any]:
        body = {
            "order_no": f"A{number}",
            "amount": 3800,
            "currency": "cny",
            "way": "barcode",
            "auth_code": f"28{number:016d}",
            **changes,
        }
        if body["way"] == "qr":
            del body["auth_code"]
        headers = {
            "Authorization": f"Bearer {self.line['api_key']}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"key-{number}-of-this-test",
        }
        status, text, _ = self.ask(self.api, "/v1/payments", "POST", body, **headers)
        return status, json.loads(text)

    def metrics(self) -> dict[str, float]:
        """Of each family the largest value, of histograms their count."""
        _, text = self.look("/metrics")
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name.removesuffix("_count" if family.type == "histogram" else "")
                found[name] = max(found.get(name, 0.0), sample.value)
        return found

    def signal(self, number: int = signal.SIGTERM) -> None:
        os.kill(self.process.pid, number)

    def unready(self) -> str:
        """What it says when it has begun to end."""
        until = time.monotonic() + PATIENCE_S
        while (told := self.look("/readyz?verbose"))[0] == 200:
            assert time.monotonic() < until, told
            time.sleep(0.02)
        assert told[0] == 503, told
        return told[1]

    def ends(self, within_s: float = PATIENCE_S) -> int:
        """The exit code."""
        return self.process.wait(within_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def deploy(tmp_path):
    """Start deployments; whatever still runs is killed at the end."""
    started = []

    def start(*arguments: str, name: str = "data", command: str = "serve") -> Deployed:
        started.append(Deployed(tmp_path / name, *arguments, command=command))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.fixture
def shop(deploy):
    """A demo without a crowd: it has a merchant, and nobody else pays."""
    return deploy(*QUIET, command="demo").ready()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """The same, for all that neither stop it nor count what it holds."""
    deployed = Deployed(tmp_path_factory.mktemp("running") / "data", *QUIET, command="demo")
    yield deployed.ready()
    deployed.close()


# --- the port ------------------------------------------------------------------------------------


def test_the_admin_port_says_who_is_ready(running):
    """`?verbose` has a line for each part; without it there is one word."""
    assert running.look("/livez") == (200, "ok\n")
    assert running.look("/healthz") == (200, "ok\n")
    assert running.look("/readyz") == (200, "ok\n")
    status, text = running.look("/readyz?verbose")
    assert status == 200
    for part in ("started", "directory", "shard-0", "front-door-1", "lane-simulated-0"):
        assert f"[+]{part} ok\n" in text
    assert text.endswith("\nok\n")


def test_the_admin_port_is_small(running):
    """Four paths, read only, and no room for bodies."""
    assert running.look("/v1/payments")[0] == 404
    status, _, headers = running.ask(running.admin, "/metrics", "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert running.ask(running.admin, "/livez", "HEAD")[:2] == (200, "")


def test_a_slow_request_does_not_stay(running):
    """Who does not finish its request is hung up on, so that nobody can fill the port."""
    host, port = running.admin.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost:")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
    assert running.look("/livez")[0] == 200


def test_every_documented_metric_exists_and_moves(deploy):
    """After a few payments each name of docs/OPERATIONS.md has a value, or a reason to be 0."""
    shop = deploy(
        "--rate", "0", "--front-doors", "1", "--channels", "simulated", command="demo"
    ).ready()
    hook = {"url": "http://127.0.0.1:1/", "events": ["*"]}
    headers = {
        "Authorization": f"Bearer {shop.line['api_key']}",
        "Content-Type": "application/json",
    }
    assert shop.ask(shop.api, "/v1/webhook_endpoints", "POST", hook, **headers)[0] == 201
    documented = re.findall(r"^\| `(tillway_\w+)`", OPERATIONS.read_text("utf-8"), re.MULTILINE)
    assert len(documented) > 20
    documented = [name for name in documented if not name.startswith(NEEDS_A_BANK)]
    for number in range(70):
        assert shop.pay(number)[0] == 201
    assert shop.pay(900, amount=99_999_999)[1]["status"] == "failed"  # Risk has a say.
    code = shop.pay(901, way="qr", wallet="wechat")
    assert code[0] in (201, 202), code
    idle = http.client.HTTPConnection(shop.api)
    idle.connect()
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = shop.metrics()
        still = [name for name in documented if not found.get(name) and name not in AT_REST]
        _, text = shop.look("/metrics")
        if not still and REJECTED in text and PAID in text:
            break
        time.sleep(0.2)

    idle.close()
    assert still == []
    for name in documented:
        assert f"# TYPE {name} " in text or name == "tillway_build_info", name
    assert found["tillway_ledger_imbalance_minor"] == 0
    assert REJECTED in text
    for stage in ("auth", "risk", "route", "channel", "journal", "reply"):
        count = f'tillway_payment_stage_duration_seconds_count{{stage="{stage}"}} '
        assert float(text.partition(count)[2].split()[0]) >= 1, stage
    assert PAID in text


def test_promtool_has_nothing_to_say_about_a_live_deployment(running):
    """What Prometheus scrapes is what its linter likes."""
    running.pay(1)
    promtool = shutil.which("promtool", path=f"{TILLWAY.parent}:{os.environ['PATH']}")
    assert promtool is not None, "make setup fetches it"
    _, text = running.look("/metrics")

    done = subprocess.run(
        [promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# --- the end -------------------------------------------------------------------------------------


def test_readiness_fails_first_and_liveness_never(deploy):
    """In the grace time the balancer looks elsewhere while requests are still answered."""
    gateway = deploy("--drain-grace", "6").ready()

    gateway.signal()

    assert "[-]accepting failed" in gateway.unready()
    assert gateway.look("/livez") == (200, "ok\n")
    assert gateway.ask(gateway.api, "/v1/status")[0] in (200, 401)
    assert gateway.ends() == 0


def test_what_is_in_flight_is_answered(deploy):
    """A request that waits when the signal comes gets its answer, and the hint to go away."""
    gateway = deploy("--drain-grace", "0", name="shop").ready()
    gateway.line["api_key"] = _merchant_key(gateway)
    made = gateway.pay(1, way="qr", wallet="wechat")[1]
    connection = http.client.HTTPConnection(gateway.api, timeout=PATIENCE_S)
    key = {"Authorization": f"Bearer {gateway.line['api_key']}"}
    connection.request("GET", f"/v1/payments/{made['id']}?wait=2", headers=key)
    for _ in range(3):  # Who came later has its answer: that one is being waited with.
        gateway.ask(gateway.api, "/v1/status")

    gateway.signal()
    answer = connection.getresponse()

    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert json.loads(answer.read())["id"] == made["id"]
    connection.close()
    assert gateway.ends() == 0


def test_idle_connections_do_not_hold_the_end(deploy):
    """Clients and Prometheus keep connections open for hours: nobody waits for them."""
    gateway = deploy("--drain-grace", "0").ready()
    idle = [http.client.HTTPConnection(each) for each in (gateway.api, gateway.admin) * 3]
    for connection in idle:
        connection.request("GET", "/livez")
        connection.getresponse().read()

    gateway.signal()

    assert gateway.ends() == 0
    for connection in idle:
        connection.close()


def test_a_second_signal_ends_at_once(deploy):
    """Whatever was acknowledged is durable, so impatience costs nothing."""
    gateway = deploy("--drain-grace", str(GRACE_S)).ready()
    gateway.signal()
    gateway.unready()
    assert gateway.process.poll() is None

    gateway.signal(signal.SIGINT)

    assert gateway.ends(within_s=GRACE_S - 10) == 1


def test_a_signal_during_the_start_ends_it(deploy):
    """Nobody has to wait for a start that is no longer wanted."""
    gateway = deploy()
    time.sleep(1.0)

    gateway.signal()

    assert gateway.ends() in (0, -signal.SIGTERM)


# --- the copy ------------------------------------------------------------------------------------


def test_an_online_copy_is_a_backup(shop, tmp_path):
    """As the page says: each store copied while payments go on, the directory last, verified."""
    for number in range(20):
        assert shop.pay(number)[0] == 201
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    for name in ("shard-0.db", "directory.db"):
        with sqlite3.connect(shop.data / name) as live, sqlite3.connect(copy / name) as backup:
            live.backup(backup)
        live.close()
        backup.close()
        assert shop.pay(100 + len(name))[0] == 201
    shutil.copy(shop.data / "digest.secret", copy)

    verify = [str(TILLWAY), "ledger", "verify", "--json", "--data", str(copy)]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["ok"], said["payments"]["succeeded"]) == (True, 20)


# --- who may not start ---------------------------------------------------------------------------


def test_a_data_directory_has_one_owner(running, deploy):
    """The second is refused with the first one's process, and the first does not notice."""
    second = deploy("--data", str(running.data))

    assert second.ends() == 1

    assert f"deployment is owned by process {running.process.pid}" in second.log.read_text()
    assert running.look("/readyz") == (200, "ok\n")


@pytest.mark.parametrize("flag", ["--port", "--admin-port"])
def test_a_port_has_one_owner(running, deploy, flag):
    """The message names the port and the flag to choose another."""
    taken = (running.api if flag == "--port" else running.admin).split(":")[1]
    second = deploy(flag, taken, name="other")

    assert second.ends() == 2

    said = second.log.read_text()
    assert f"port {taken} is in use" in said
    assert flag in said


def _merchant_key(gateway: Deployed) -> str:
    """A bearer key of a new merchant, made by the operator."""
    operator = {
        "Authorization": f"Bearer {gateway.line['api_key']}",
        "Content-Type": "application/json",
    }
    made = gateway.ask(gateway.api, "/v1/merchants", "POST", {"name": "Noodles"}, **operator)
    merchant = json.loads(made[1])["id"]
    wish = {"type": "bearer", "scopes": ["*"]}
    acting = {**operator, "Tillway-Merchant": merchant}
    return str(
        json.loads(gateway.ask(gateway.api, "/v1/keys", "POST", wish, **acting)[1])["secret"]
    )
