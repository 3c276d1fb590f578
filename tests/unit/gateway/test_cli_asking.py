"""Commands that ask a running gateway: what they send, which gateway they mean, what they say."""

import asyncio
import base64
import json
from types import SimpleNamespace

import pytest
from yarl import URL

from gateway.cli import app as cli
from gateway.cli import client
from gateway.cli.signing import credentials
from gateway.settings import client_variables
from gateway.signatures import FieldLines, verify
from payments.clock import SystemClock
from payments.reference import Key, KeyOwner, KeyType

OK, CHECK_FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No server, no settings of the machine's."""
    for name in ("TILLWAY_URL", "TILLWAY_API_KEY", "TILLWAY_API_KEY_FILE", "TILLWAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(client, "_flags", {})


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; (exit code, output, complaints)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def sent(monkeypatch):
    """Requests that would go to the server, each answered with the next of `answers`."""
    wire = SimpleNamespace(requests=[], answers=[])

    async def call(method, url, key, body, query, headers):
        wire.requests.append((method, url, key, body, query, headers))
        answer = wire.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(client, "_call", call)
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("TILLWAY_API_KEY", "sk_test_1")
    return wire


PAGE = {"object": "list", "has_more": False, "data": []}
SENT = [
    ("refunds get rfd_1", "GET /v1/refunds/rfd_1", None, {}),
    (
        "refunds list --payment pay_1 --limit 3",
        "GET /v1/refunds",
        None,
        {"limit": "3", "payment": "pay_1"},
    ),
    ("payments timeline pay_1", "GET /v1/payments/pay_1/timeline", None, {}),
    ("payments pay pay_1 --how decline", "POST /v1/test_helpers/payments/pay_1/decline", {}, {}),
    (
        "webhooks create https://s.example/h --events payment.*,refund.failed",
        "POST /v1/webhook_endpoints",
        {"url": "https://s.example/h", "events": ["payment.*", "refund.failed"]},
        {},
    ),
    ("webhooks get whk_1", "GET /v1/webhook_endpoints/whk_1", None, {}),
    ("webhooks delete whk_1", "DELETE /v1/webhook_endpoints/whk_1", None, {}),
    ("webhooks enable whk_1", "POST /v1/webhook_endpoints/whk_1/enable", {}, {}),
    (
        "webhooks roll whk_1 --overlap 60",
        "POST /v1/webhook_endpoints/whk_1/roll",
        {"overlap_seconds": 60},
        {},
    ),
    (
        "webhooks deliveries whk_1",
        "GET /v1/webhook_endpoints/whk_1/deliveries",
        None,
        {"limit": "10"},
    ),
    ("events list --type refund.*", "GET /v1/events", None, {"limit": "10", "type": "refund.*"}),
    ("events get evt_1", "GET /v1/events/evt_1", None, {}),
    ("events deliveries evt_1", "GET /v1/events/evt_1/deliveries", None, {}),
    (
        "events resend evt_1 --endpoint whk_1",
        "POST /v1/events/evt_1/resend",
        {"endpoint": "whk_1"},
        {},
    ),
    ("get v1/keys -d limit=3", "GET /v1/keys", None, {"limit": "3"}),
    (
        'post /v1/x -d a=1 -d b[c]=true -d d[]=x -d d[]=y -d e=n -d f[0]="7"',
        "POST /v1/x",
        {"a": 1, "b": {"c": True}, "d": ["x", "y"], "e": "n", "f": {"0": "7"}},
        {},
    ),
    ("delete /v1/keys/key_1", "DELETE /v1/keys/key_1", None, {}),
]


@pytest.mark.parametrize(("line", "target", "body", "query"), SENT, ids=[each[0] for each in SENT])
def test_a_command_is_a_request(run, sent, line, target, body, query):
    """Only what was given is sent, and the answer is one line of JSON for programs."""
    sent.answers.append(PAGE)
    raw = line.split()[0] in ("get", "post", "delete")
    code, out, _ = run(*line.split(), *([] if raw else ["--json"]))

    assert (OK, PAGE) == (code, json.loads(out))
    ((method, url, _, told, asked, _),) = sent.requests
    assert target == f"{method} {url.removeprefix('http://127.0.0.1:9')}"
    assert (body, query) == (told, asked)


@pytest.mark.parametrize(
    "line",
    ["get /v1/x -d limit", "post /v1/x -d a=1 -d a[b]=2", "post /v1/x -d a[]=1 -d a[b]=2"],
)
def test_fields_that_make_no_sense_are_usage(run, sent, line):
    """Nothing is sent."""
    code, out, err = run(*line.split())
    assert (USAGE, "", []) == (code, out, sent.requests)
    assert "-d" in err


def test_a_post_has_an_idempotency_key_of_its_own(run, sent):
    """Or the one that was given."""
    sent.answers += [PAGE, PAGE]
    run("post", "/v1/x")
    run("post", "/v1/x", "-i", "mine")
    assert len(sent.requests[0][5]["Idempotency-Key"]) == 24
    assert "mine" == sent.requests[1][5]["Idempotency-Key"]


def test_a_replay_goes_on_page_by_page(run, sent):
    """After the last event of each page, until there is no more."""
    page = {"object": "resend", "deliveries": 2, "has_more": True}
    sent.answers += [page | {"events": 2, "last": "evt_2"}, page | {"events": 1, "last": "evt_3"}]
    sent.answers += [page | {"events": 0, "deliveries": 0, "last": None, "has_more": False}]
    code, out, _ = run("webhooks", "replay", "--from", "2026-11-22T00:00:00Z", "--json")

    assert (OK, 3, 4) == (code, json.loads(out)["events"], json.loads(out)["deliveries"])
    asked = [request[3] for request in sent.requests]
    assert [{"from": "2026-11-22T00:00:00Z"}, {"after": "evt_2"}, {"after": "evt_3"}] == asked


def test_a_replay_of_nothing_is_said(run, sent):
    """Exit code 1: somebody expected events there."""
    sent.answers.append(
        {"object": "resend", "events": 0, "deliveries": 0, "has_more": False, "last": None}
    )
    assert CHECK_FAILED == run("webhooks", "replay", "--after", "evt_1")[0]
    assert USAGE == run("webhooks", "replay")[0]


def test_lists_are_aligned_columns_when_nobody_has_a_terminal(run, sent):
    """A row a line, no lines drawn, no colors: for grep and awk."""
    rows = [{"id": f"pay_{n}", "status": "succeeded", "amount": n} for n in (1, 22)]
    sent.answers.append(PAGE | {"data": rows})
    lines = run("payments", "list")[1].splitlines()

    assert ["id", "status", "amount"] == lines[0].split()[:3]
    assert ["pay_22", "succeeded", "22"] == lines[2].split()
    assert "\x1b" not in "".join(lines)


def test_a_timeline_shows_each_step_with_its_postings(run, sent):
    """In full: the last column is cut nowhere."""
    postings = [{"account": "channel:wechat:receivable#0", "amount": 800}] * 3
    line = {"at": "2026-11-22T00:00:00.743Z", "kind": "entry", "id": "e", "postings": postings}
    sent.answers.append({"object": "timeline", "data": [line]})
    out = run("payments", "timeline", "pay_1")[1]
    assert 3 == out.count("channel:wechat:receivable#0 +800")


# --- which gateway, and which key ---------------------------------------------------------------


def ready(tmp_path, api, key):
    data = tmp_path / "home" / "tillway" / "demo"
    data.mkdir(parents=True)
    (data / "demo.json").write_text(json.dumps({"api": api, "api_key": key}))


def test_the_running_demo_is_found(run, sent, monkeypatch, tmp_path):
    """With no flag and no variable: by the line that it left in its data directory."""
    monkeypatch.delenv("TILLWAY_URL")
    monkeypatch.delenv("TILLWAY_API_KEY")
    ready(tmp_path, "http://127.0.0.1:7", "sk_test_demo")
    sent.answers.append(PAGE)
    run("payments", "list")
    assert ("http://127.0.0.1:7/v1/payments", "sk_test_demo") == sent.requests[0][1:3]


def test_flags_win_over_variables(run, sent):
    """And a merchant may be acted for."""
    sent.answers += [PAGE, PAGE]
    flags = ("--url", "http://h:1/", "--api-key", "k", "--merchant", "mch_1")
    run("payments", "list", *flags)
    run("payments", "list")
    first, second = sent.requests
    assert ("http://h:1/v1/payments", "k", {"Tillway-Merchant": "mch_1"}) == (*first[1:3], first[5])
    assert ("http://127.0.0.1:9/v1/payments", "sk_test_1", {}) == (*second[1:3], second[5])


def test_the_demos_key_goes_to_nobody_else(run, sent, monkeypatch, tmp_path):
    """An address without a key gets the demo's key only if it is the demo's address."""
    monkeypatch.delenv("TILLWAY_API_KEY")
    ready(tmp_path, "http://127.0.0.1:7", "sk_test_demo")
    code, _, err = run("payments", "list", "--url", "https://elsewhere.example")
    assert (UNREACHABLE, [], True) == (code, sent.requests, "TILLWAY_API_KEY" in err)
    sent.answers.append(PAGE)
    assert OK == run("payments", "list", "--url", "http://127.0.0.1:7")[0]


def test_the_key_may_be_in_a_file(tmp_path):
    """So that it stands in no list of processes and no shell history."""
    file = tmp_path / "key"
    file.write_text("sk_test_7\n")
    assert (None, "sk_test_7") == client_variables({"TILLWAY_API_KEY_FILE": str(file)})


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("query", ["", "limit=3&order_no=a%2Fb"])
def test_a_key_with_its_id_signs_requests(method, query):
    """As the gateway verifies them: what a live deployment takes."""
    secret = bytes(range(32))
    body = b'{"a":1}' if method == "POST" else b""
    address = URL(f"http://127.0.0.1:8080/v1/payments{'?' + query if query else ''}", encoded=True)
    sent = {"Idempotency-Key": "k", "Tillway-Merchant": "mch_1"} if method == "POST" else {}
    key = f"key_1:hs_live_{base64.b64encode(secret).decode()}"
    made = {name.lower(): v for name, v in credentials(key, method, address, body, sent).items()}
    lines = {**{k.lower(): v for k, v in sent.items()}, **made, "host": "127.0.0.1:8080"}

    record = Key("key_1", KeyType.HMAC_SHA256, KeyOwner.MERCHANT, "mch_1", secret, ("*",))
    verified = verify(
        method,
        address.raw_path,
        address.raw_query_string,
        FieldLines(lines.get),
        body,
        {"key_1": record}.get,
        SystemClock().real_ms(),
    )
    assert ("key_1", method == "POST") == (verified.key.id, verified.nonce is not None)


def test_a_bearer_key_is_sent_as_it_is():
    """Test mode's."""
    found = credentials("sk_test_1", "GET", URL("http://h/"), b"", {})
    assert {"Authorization": "Bearer sk_test_1"} == found


def test_a_key_that_cannot_be_read_is_usage(run, monkeypatch):
    """Before anything is sent."""
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TILLWAY_API_KEY", "key_1:hs_live_%%%")
    code, _, err = run("payments", "list")
    assert (USAGE, True, False) == (code, "key_…:hs_…" in err, "%%%" in err)


# --- what is said ---------------------------------------------------------------------------------


def test_a_refusal_says_what_to_do_next(run, sent):
    """And which field it is about."""
    sent.answers.append(
        client.Problem(409, {"code": "order_already_paid", "param": "order_no", "detail": "paid"})
    )
    code, _, err = run("payments", "create", "--amount", "1", "--way", "cashier")
    assert CHECK_FAILED == code
    assert "order_no: paid" in err
    assert "take another --order-no" in err


def test_status_waits_until_it_is_ready(run, sent):
    """For scripts: nobody there, not ready, ready."""
    sent.answers += [client.Unreachable("no"), {"ready": False}, {"ready": True}]
    code, out, _ = run("status", "--until-ready", "--poll-rate", "0.1", "--json")
    assert (OK, True) == (code, json.loads(out)["ready"])


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [(client.Unreachable("no"), UNREACHABLE), ({"ready": False}, CHECK_FAILED)],
)
def test_status_gives_up_with_the_reason(run, sent, answer, wanted):
    """Nobody there is another exit code than somebody who is not ready."""
    sent.answers += [answer] * 100
    arguments = ("--until-ready", "--timeout", "1", "--poll-rate", "0.1")
    assert wanted == run("status", *arguments)[0]


def test_status_polls_until_it_is_told_to_end(run, sent, capsys):
    """A line each time; Ctrl-C is its end, not an error."""
    sent.answers += [{"ready": True, "object": "status"}, client.Unreachable("no")]
    sent.answers.append(KeyboardInterrupt())
    code, out, _ = run("status", "--poll", "--poll-rate", "0.1")
    assert OK == code
    assert ["ready=True", "ready=False  error=no"] == out.splitlines()


def test_no_color_is_heard_anywhere(run, sent, monkeypatch):
    """The flag is the variable by another name, for this process and its children."""
    import os

    monkeypatch.setenv("NO_COLOR", "")
    sent.answers.append(PAGE)
    assert OK == run("payments", "list", "--no-color")[0]
    assert "1" == os.environ["NO_COLOR"]


def test_a_reader_who_has_seen_enough_is_no_error(run, sent, monkeypatch):
    """`tillway payments list | head -1`."""
    sent.answers.append(BrokenPipeError())
    code, _, err = run("payments", "list")
    assert (CHECK_FAILED, "") == (code, err)


def test_every_command_says_how_it_is_used(run):
    """And those that ask say where they look for the gateway."""
    for name in ("payments", "refunds", "webhooks", "events", "clock"):
        code, out, _ = run(name, "--help")
        assert OK == code
        assert "list" in out or "get" in out
    assert "--api-key" in run("payments", "list", "--help")[1]
    assert "Example" in run("listen", "--help")[1]


def test_asking_again_forgets_the_flags_of_before(run, sent):
    """Each run is its own: nothing leaks from one command into the next."""
    sent.answers += [PAGE] * 2
    run("events", "list", "--merchant", "mch_1")
    run("events", "list")
    assert {} == sent.requests[1][5]
    assert asyncio.iscoroutinefunction(client.ask)


def test_the_log_reader_knows_the_levels_that_are_written():
    """It keeps a list of its own, so that every command starts without what writes logs."""
    from gateway import logs as writer
    from gateway.cli import logs as reader

    assert writer.LEVELS == reader.LEVELS
