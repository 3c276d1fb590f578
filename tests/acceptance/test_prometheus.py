"""Debian's real Prometheus against a live deployment: our configuration, our alerts.

The waits in the rules are shortened here and nothing else of them is changed.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.metrics import METRICS

CONFIG = Path(__file__).parents[2] / "config" / "prometheus"
TOOLS = Path(sys.executable).parent
PATIENCE_S = 60
NEEDS_A_BANK = ("tillway_custody_", "tillway_reconciliation", "tillway_bill_")
"""Names of boxes that a deployment of the simulated channel alone does not have:
`test_payouts.py` looks at them."""
SPAN_S = 20


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Prometheus:
    """The server, started on a free port with our files, ended by its process id."""

    def __init__(self, folder, admin):
        folder.mkdir()
        rules = (CONFIG / "alerts.yml").read_text()
        rules = re.sub(r"for: \d+[ms]", "for: 0s", rules).replace("[5m]", f"[{SPAN_S}s]")
        (folder / "alerts.yml").write_text(rules)
        config = (CONFIG / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8081", urlsplit(admin).netloc)
        config = config.replace("_interval: 5s", "_interval: 1s").replace(
            "timeout: 4s", "timeout: 1s"
        )
        (folder / "prometheus.yml").write_text(config)
        program = shutil.which("prometheus", path=f"{TOOLS}:{os.environ['PATH']}")
        assert program is not None, "make setup fetches it"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=self.log,
        )

    def api(self, path, **query):
        """The `data` of an answer, or None while it is not up."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310 - loopback
                return json.load(reply)["data"]
        except OSError:
            return None

    def value(self, expression):
        """The sum of an instant query; None if it gives nothing."""
        data = self.api("query", query=f"sum({expression})")
        return float(data["result"][0]["value"][1]) if data and data["result"] else None

    def firing(self):
        """The names of the alerts that fire, but for the disk's: other tests keep it busy."""
        data = self.api("alerts") or {"alerts": []}
        firing = {
            each["labels"]["alertname"] for each in data["alerts"] if each["state"] == "firing"
        }
        return firing - {"TillwayJournalSlow"}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.log.close()


def until(condition, what):
    """Wait for something that comes with the next scrapes."""
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.3)
    return found


@pytest.fixture
def deployment(deploy):
    return deploy("local")


@pytest.fixture
def prometheus(tmp_path, deployment):
    server = Prometheus(tmp_path / "prometheus", deployment.admin)
    try:
        until(lambda: server.value("up") == 1, "it never scraped the deployment")
        yield server
    finally:
        server.stop()


def test_every_metric_arrives_and_an_accident_wakes_somebody(deployment, prometheus):
    """Healthy: every name is there, nothing fires. Then declines and a late success: both fire."""
    shop = deployment.new_shop()
    nobody = f"http://127.0.0.1:{free_port()}/hooks"
    assert 201 == shop.client.post("/v1/webhook_endpoints", {"url": nobody, "events": ["*"]}).status
    for _ in range(5):
        shop.paid()
    names = {
        metric.name + ("_count" if metric.kind == "histogram" else "")
        for metric in METRICS
        if not metric.name.startswith(NEEDS_A_BANK)
    }
    until(lambda: prometheus.value("tillway_payment_total") == 5, "the payments did not arrive")
    until(
        lambda: names <= set(prometheus.api("label/__name__/values")),
        "some metrics never arrived",
    )
    assert set() == prometheus.firing()

    for _ in range(4 * SPAN_S):
        assert "failed" == shop.pay(ending="9003")["status"]
        time.sleep(0.1)
        if "TillwayFewPaymentsSucceed" in prometheus.firing():
            break
    assert {"TillwayFewPaymentsSucceed"} == prometheus.firing()

    late = shop.pay(ending="9008", wait=0)
    deployment.clock.advance(120)
    assert shop.read(late["id"])["late_success"]
    until(lambda: "TillwayLateSuccess" in prometheus.firing(), "nobody heard of the late success")
