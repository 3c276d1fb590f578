"""The command line against a running gateway, as somebody at a shell uses it."""

import http.server
import json
import os
import re
import signal
import subprocess
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest
from standardwebhooks import Webhook

PATIENCE_S = 90
READING = (
    "status",
    "payments list",
    "refunds list",
    "webhooks list",
    "events list",
    "clock get",
    "ledger verify",
    "ledger trial-balance",
    "migrate status",
    "config show",
    "trigger --list",
)


@pytest.fixture(scope="module")
def demo(kit, tmp_path_factory):
    """One demo for all tests here."""
    made = kit.Deployment(tmp_path_factory.mktemp("cli") / "data", "local")
    made.command = ["demo", "--rate", "0", "--channels", "simulated"]
    made.start()
    yield made
    made.close()


@pytest.fixture
def tillway(kit, demo):
    """Run a command on the demo's data directory."""

    def run(line, *more, **words):
        command = [str(kit.TILLWAY), *line.split(), *more, "--data", str(demo.data)]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **words)

    return run


def told(done):
    """The answer of a command that went well."""
    assert done.returncode == 0, done
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", READING)
def test_every_reading_command_speaks_json(tillway, line):
    """One line of it, and nothing else on standard output."""
    done = tillway(line, "--json")
    assert isinstance(told(done), dict)
    assert len(done.stdout.splitlines()) == 1


def test_a_payment_from_its_making_to_its_refund(tillway):
    """Made, read, given back, and its whole story told."""
    made = told(tillway("payments create --amount 3800 --auth-code 281111111111110001 --json"))
    assert made["status"] == "succeeded", made
    back = told(tillway(f"payments refund {made['id']} --amount 1000 --reason cold --json"))
    assert told(tillway(f"refunds get {back['id']} --json"))["payment"] == made["id"]
    assert told(tillway(f"payments get {made['id']} --json"))["amount_refunded"] in (0, 1000)
    kinds = [
        line["kind"] for line in told(tillway(f"payments timeline {made['id']} --json"))["data"]
    ]
    assert {"created", "succeeded", "entry"} <= set(kinds)
    assert made["id"] in tillway("payments list").stdout


def test_a_code_is_shown_paid_and_canceled(tillway):
    """By the payer's own command, in test mode."""
    shown = told(tillway("payments create --amount 500 --way qr --wallet wechat --json"))
    told(tillway(f"payments pay {shown['id']} --json"))
    assert told(tillway(f"payments get {shown['id']} --wait 20 --json"))["status"] == "succeeded"
    other = told(tillway("payments create --amount 500 --way qr --wallet wechat --json"))
    told(tillway(f"payments cancel {other['id']} --json"))


def test_an_ending_of_test_mode_can_be_chosen(tillway):
    """Here: the channel takes the money and never answers; a query finds it."""
    found = told(tillway("trigger payment.succeeded --ending 9005 --timeout 60 --json"))
    assert found["data"]["way"] == "barcode"
    assert tillway("trigger payment.succeeded --ending 77").returncode == 2


def test_an_event_that_cannot_be_triggered_is_usage(tillway):
    done = tillway("trigger payment.imagined")
    assert (done.returncode, "payment.succeeded" in done.stderr) == (2, True)


class Program:
    """Somebody's program under development: it refuses each message once, then takes it."""

    def __init__(self):
        heard = self.heard = []
        refused = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((dict(self.headers), body))
                identifier = self.headers["webhook-id"]
                self.send_response(204 if identifier in refused else 500)
                refused.add(identifier)
                self.end_headers()

            def log_message(self, *_):
                """Nothing on the screen."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hooks"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def listening(kit, demo):
    """`tillway listen` with flags; the process and its secret, when it is ready."""
    started = []

    def listen(*flags):
        command = [str(kit.TILLWAY), "listen", "--data", str(demo.data), "--json", *flags]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        ready = process.stderr.readline()
        assert "Ready! Your webhook signing secret is whsec_" in ready, ready
        return process, re.search(r"whsec_\S+", ready)[0]

    yield listen
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=PATIENCE_S)


def test_events_are_heard_and_passed_on_with_their_signature(tillway, listening):
    """What the program refuses is tried again; an independent reader verifies what it got."""
    program = Program()
    process, secret = listening(
        "--events", "payment.*", "--forward-to", program.url, "--count", "1"
    )
    try:
        told(tillway("trigger payment.failed --json"))
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert process.wait(PATIENCE_S) == 0
    finally:
        program.close()

    assert [line["forwarded"] for line in lines] == [500, 204]
    assert [line["again"] for line in lines] == [False, True]
    assert {line["type"] for line in lines} == {"payment.failed"}
    for headers, body in program.heard:
        lower = {name.lower(): value for name, value in headers.items()}
        assert Webhook(secret).verify(body, lower)["type"] == "payment.failed"
    assert told(tillway("webhooks list --json"))["data"] == []


def test_ctrl_c_removes_the_endpoint_and_so_does_the_next_start_after_a_kill(tillway, listening):
    """There are twenty endpoints; listeners that died must not use them up."""
    first, _ = listening()
    first.send_signal(signal.SIGINT)
    assert first.wait(PATIENCE_S) == 0
    assert told(tillway("webhooks list --json"))["data"] == []

    second, _ = listening()
    second.kill()
    second.wait(PATIENCE_S)
    assert len(told(tillway("webhooks list --json"))["data"]) == 1
    third, _ = listening()
    assert len(told(tillway("webhooks list --json"))["data"]) == 1
    third.terminate()
    assert third.wait(PATIENCE_S) == 0


def test_a_message_that_is_not_signed_is_refused(tillway, listening):
    """Anybody on this machine may send there: exit code 1 at the end, and nothing shown."""
    import urllib.error
    import urllib.request

    process, _ = listening()
    url = told(tillway("webhooks list --json"))["data"][0]["url"]
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(time.time()))}
    forged = urllib.request.Request(url, b"{}", {**headers, "webhook-signature": "v1,AAAA"})  # noqa: S310
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(forged, timeout=PATIENCE_S)  # noqa: S310 - loopback
    process.terminate()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, "no signature matches" in err) == (1, "", True)


def test_webhooks_are_made_rolled_replayed_and_deleted(tillway):
    """The endpoint's whole life."""
    made = told(tillway("webhooks create http://127.0.0.1:9/ --events refund.* --json"))
    rolled = told(tillway(f"webhooks roll {made['id']} --overlap 60 --json"))
    assert made["secret"] != rolled["secret"]
    told(tillway("trigger refund.succeeded --json"))
    event = told(tillway("events list --type refund.succeeded --limit 1 --json"))["data"][0]
    again = told(
        tillway(f"webhooks replay --from {event['created']} --endpoint {made['id']} --json")
    )
    assert again["events"] >= 1
    assert told(tillway(f"events resend {event['id']} --endpoint {made['id']} --json"))["data"]
    assert told(tillway(f"events deliveries {event['id']} --json"))["data"]
    assert told(tillway(f"webhooks deliveries {made['id']} --json"))["data"]
    assert told(tillway(f"webhooks delete {made['id']} --json"))["deleted"] is True


def test_signed_keys_work_as_bearer_keys_do(tillway, demo):
    """What a live deployment takes: the request is signed, the secret never sent."""
    made = json.loads((demo.data / "seed-keys.json").read_text())
    key = next(each for each in made if each["type"] == "hmac-sha256" and each["label"] != "")
    environ = {**os.environ, "TILLWAY_API_KEY": f"{key['key_id']}:{key['secret']}"}
    environ["TILLWAY_URL"] = demo.api
    order = "payments create --amount 100 --way cashier --json"
    assert told(tillway(order, env=environ))["status"] == "requires_payer"
    assert told(tillway("payments list --limit 1 --json", env=environ))["data"]
    wrong = {**environ, "TILLWAY_API_KEY": f"{key['key_id']}:hs_test_{'A' * 43}="}
    done = tillway("payments list", env=wrong)
    assert (done.returncode, "unauthorized" in done.stderr) == (1, True)


def test_exit_codes_are_those_of_the_contract(tillway):
    """1 refused, 2 usage, 3 nobody there; the next step is said each time."""
    refused = tillway("payments get pay_0000000000000000000000")
    usage = tillway("payments create --amount minus")
    nobody = tillway("payments list --url http://127.0.0.1:1 --api-key k")
    assert (1, 2, 3) == (refused.returncode, usage.returncode, nobody.returncode)
    assert "Next:" in refused.stderr
    assert "--amount" in usage.stderr
    assert "tillway demo" in nobody.stderr
    assert refused.stdout + usage.stdout + nobody.stdout == ""


def test_it_says_its_version(kit):
    """One line for scripts and reports of faults; nobody has to be running."""
    told = subprocess.check_output([str(kit.TILLWAY), "--version"], text=True, timeout=PATIENCE_S)

    assert f"tillway {metadata.version('tillway')}\n" == told


def test_the_log_is_read_filtered_and_followed(kit, tmp_path):
    """By level and by ids; a file that is begun anew is followed, too."""
    log = tmp_path / "t.log"
    lines = [
        {
            "timestamp": "2026-11-22T00:00:00.000Z",
            "level": "info",
            "event": "one",
            "payment_id": "pay_1",
        },
        {"timestamp": "2026-11-22T00:00:01.000Z", "level": "error", "event": "two"},
    ]
    log.write_text(
        "".join(json.dumps(line) + "\n" for line in lines) + "(shard-0 pid=7) not JSON\n"
    )

    def tail(*flags, **words):
        command = [str(kit.TILLWAY), "logs", "tail", *flags]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, **words)

    assert [
        line["event"]
        for line in map(
            json.loads, tail(str(log), "--level", "error", "--json").stdout.splitlines()
        )
    ] == ["two"]
    assert "one" in tail(str(log), "--payment", "pay_1").stdout
    assert "not JSON" in tail(str(log)).stdout
    assert "two" in tail("-", "--level", "error", input=log.read_text()).stdout
    assert tail(str(tmp_path / "none")).returncode == 2
    assert tail(str(log), "--level", "loud").returncode == 2

    command = [str(kit.TILLWAY), "logs", "tail", str(log), "--follow", "--json", "-n", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert "not JSON" in process.stdout.readline()
        with log.open("a") as file:
            file.write(json.dumps(lines[0] | {"event": "three"}) + "\n")
        assert json.loads(process.stdout.readline())["event"] == "three"
        new = tmp_path / "new"
        new.write_text(json.dumps(lines[0] | {"event": "four"}) + "\n")
        new.rename(log)
        assert json.loads(process.stdout.readline())["event"] == "four"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()


def test_completion_completes(kit):
    """In a real bash: commands, and flags of a command."""
    folder = Path(kit.TILLWAY).parent
    script = (
        'eval "$(tillway completion bash)"; COMP_WORDS=({words}); '
        "COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _tillway_completion tillway; "
        'printf "%s\\n" "${{COMPREPLY[@]}}"'
    )

    def completed(words):
        environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-c", script.format(words=words)],
            capture_output=True,
            text=True,
            env=environ,
            timeout=PATIENCE_S,
        )
        return done.stdout.split()

    assert {"payments"} == set(completed("tillway pay"))
    assert {"timeline"} == set(completed("tillway payments tim"))
    assert "--auth-code" in completed("tillway payments create --au")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_has_its_script(kit, shell):
    done = subprocess.run([str(kit.TILLWAY), "completion", shell], capture_output=True, text=True)
    assert (done.returncode, "TILLWAY_COMPLETE" in done.stdout) == (0, True)


def test_an_answer_may_be_cut_by_its_reader(kit, demo):
    """`| head -1` is no stack trace."""
    line = f"{kit.TILLWAY} get /v1/payments --data {demo.data} | head -c 1; true"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.stdout, "Traceback" in done.stderr) == ("{", False)
