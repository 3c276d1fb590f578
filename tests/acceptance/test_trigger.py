"""`tillway trigger`: each event that a command can make happens, and a receiver is told of it.

On real wires and with the bank: a demo without guests of its own, whose shop has two people's word
on its bank account. The receiver checks signatures by the standard's own library.
"""

import http.server
import json
import subprocess
import threading

import pytest
from standardwebhooks import Webhook

from gateway.cli.trigger import TRIGGERS

PATIENCE_S = 240
DAYS = "".join(
    f'[workdays.{year}]\nsource = "made for tests"\nholidays = []\nworking_weekends = []\n'
    for year in range(2026, 2040)
)


class Receiver:
    """Somebody's program: it takes what comes, and says when something of a type came."""

    def __init__(self):
        self.heard = []
        self.more = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver.more:
                    receiver.heard.append((headers, body))
                    receiver.more.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                """Nothing on the screen."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def wait_for(self, identifier):
        """Headers and body of the message that brought an event."""

        def found():
            return next((m for m in self.heard if m[0]["webhook-id"] == identifier), None)

        with self.more:
            assert self.more.wait_for(found, PATIENCE_S), (identifier, len(self.heard))
            return found()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def demo(kit, tmp_path_factory):
    made = kit.Deployment(tmp_path_factory.mktemp("trigger") / "data", "local", DAYS)
    made.command = ["demo", "--rate", "0"]
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def endpoint(kit, demo):
    """(The receiver, how it checks a message.)"""
    receiver = Receiver()
    shop = kit.Client(demo.api, demo.ready["api_key"])
    made = shop.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["*"]})
    assert made.status == 201, made
    yield receiver, Webhook(made["secret"])
    receiver.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("event", TRIGGERS)
def test_each_trigger_ends_in_its_event_at_a_receiver(kit, demo, endpoint, event):
    """What the command shows is what the receiver was sent: of its own making, and just now."""
    receiver, signed = endpoint
    command = [str(kit.TILLWAY), "trigger", event, "--json", "--timeout", str(PATIENCE_S)]

    done = subprocess.run(
        [*command, "--data", str(demo.data)], capture_output=True, text=True, timeout=PATIENCE_S
    )

    assert done.returncode == 0, done
    shown = json.loads(done.stdout)
    headers, body = receiver.wait_for(shown["id"])
    told = signed.verify(body, headers)
    assert (event, event) == (shown["type"], told["type"])
    assert shown["data"] == told["data"]
    payment = shown["data"].get("payment") or shown["data"]["id"]
    if payment.startswith("pay_"):
        shop = kit.Client(demo.api, demo.ready["api_key"])
        assert shop.get(f"/v1/payments/{payment}")["order_no"].startswith("trigger-")
