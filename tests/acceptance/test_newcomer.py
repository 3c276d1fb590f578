"""A newcomer's first quarter of an hour: clone, `make demo`, take money, give some back, Ctrl-C.

Nothing of this checkout is used but its commits: the clone sets itself up, on Ray, as the README
says. What is sent over HTTP is sent by the standard library.
"""

import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SET_UP_S = 600
PATIENCE_S = 120
END_S = 120

pytestmark = pytest.mark.ray


class Receiver:
    """A shop's own server, waiting for webhooks."""

    def __init__(self):
        heard = self.heard = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                """Nothing on the screen."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Newcomer:
    """Somebody with the demo's address and key."""

    def __init__(self, ready):
        self.api, self.admin, self.key = ready["api"], ready["admin"], ready["api_key"]

    def ask(self, path, body=None):
        """One request: the JSON object of its answer."""
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Idempotency-Key": uuid.uuid4().hex,
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data, headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:  # noqa: S310 - loopback
            return json.load(reply)

    def metric(self, name):
        """The sum over all labels of a metric."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=PATIENCE_S) as reply:  # noqa: S310 - loopback
            lines = reply.read().decode().splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.split("{")[0].split(" ")[0] == name
        )


def until(condition, what):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, what
        time.sleep(0.2)
    return found


def of_the_clone(clone):
    """Live processes that were started from the clone, or that run in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = os.readlink(entry / "cwd")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # It has just ended, or is not ours to look at.
        if state != "Z" and (str(clone) in line or where.startswith(str(clone))):
            found.append(line)
    return found


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of what is committed."""
    path = tmp_path_factory.mktemp("newcomer") / "tillway"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(path)], check=True)
    return path


def make_demo(clone, data):
    """`make demo` in a session of its own, as in a terminal."""
    arguments = f"--json --port 0 --admin-port 0 --rate 2 --data {data}"
    # A terminal of one's own knows nothing of the `make` that runs this test.
    inherited = ("VENV", "MAKE", "MFLAGS")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not any(word in name for word in inherited)
    }
    with (clone / "demo.log").open("w") as log:
        return subprocess.Popen(
            ["make", "demo", f"ARGS={arguments}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


@pytest.mark.timeout(SET_UP_S + 4 * PATIENCE_S + END_S)
def test_the_first_quarter_of_an_hour(clone, tmp_path):
    """Pay by barcode and by code, refund, hear of it by webhook, see the metrics, Ctrl-C."""
    receiver = Receiver()
    demo = make_demo(clone, tmp_path / "data")
    try:
        line = demo.stdout.readline()
        assert line, (clone / "demo.log").read_text()[-3000:]
        walk(Newcomer(json.loads(line)), receiver)
    finally:
        os.killpg(demo.pid, signal.SIGINT)  # Ctrl-C reaches everybody in the terminal.
        code = demo.wait(END_S)
        demo.stdout.close()
        receiver.close()

    said = (clone / "demo.log").read_text()
    assert code in (0, -signal.SIGINT), said[-3000:]  # make dies of the same Ctrl-C, afterwards.
    assert "Traceback" not in said
    # The demo's own guests may be in the midst of paying when the Ctrl-C comes.
    lines = [line for line in said.splitlines() if "a background payment got no answer" not in line]
    assert not [line for line in lines if "Error" in line]
    until(lambda: not of_the_clone(clone), f"left running: {of_the_clone(clone)}")
    verify = [
        clone / ".venv/bin/tillway",
        "ledger",
        "verify",
        "--data",
        tmp_path / "data",
        "--json",
    ]
    books = json.loads(subprocess.run(verify, capture_output=True, check=True).stdout)
    assert (0, 0, True) == (books["trial_balance"], books["doubled"], books["chain_ok"])


def walk(me, receiver):
    """What somebody does who has just read the README."""
    hook = me.ask("/v1/webhook_endpoints", {"url": receiver.url, "events": ["*"]})
    assert hook["secret"].startswith("whsec_")

    code = f"28{uuid.uuid4().int % 10**12:012d}0001"
    order = {"amount": 3800, "currency": "cny"}
    paid = me.ask(
        "/v1/payments", order | {"order_no": "first", "way": "barcode", "auth_code": code}
    )
    assert ("succeeded", "alipay") == (paid["status"], paid["wallet"])

    shown = me.ask("/v1/payments", order | {"order_no": "second", "way": "qr", "wallet": "wechat"})
    assert "requires_payer" == shown["status"]
    assert shown["code"]["payload"].startswith("weixin://")
    me.ask(f"/v1/test_helpers/payments/{shown['id']}/pay", {})
    until(
        lambda: me.ask(f"/v1/payments/{shown['id']}?wait=5")["status"] == "succeeded",
        "the customer paid, and the till never heard of it",
    )

    back = me.ask(f"/v1/payments/{paid['id']}/refunds", {"amount": 1000})
    until(
        lambda: me.ask(f"/v1/refunds/{back['id']}")["status"] == "succeeded", "no money came back"
    )
    ours = {paid["id"], shown["id"], back["id"]}
    until(lambda: ours <= {each["data"]["id"] for each in receiver.heard}, "webhooks are missing")
    until(lambda: me.metric("tillway_payment_total") >= 2, "the metrics did not move")
    assert 0 == me.metric("tillway_ledger_imbalance_minor")
