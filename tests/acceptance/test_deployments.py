"""A deployment's own life: restart, drain, overload, several channel accounts, neighbors."""

import json
import os
import signal
import socket
import threading
import time
import uuid

import pytest

CHANNEL = """
[[channels]]
name = "{name}"
account = "{account}"
kind = "simulated"
wallets = ["alipay", "wechat", "unionpay", "ecny"]
ways = ["barcode", "qr", "cashier"]
priority = {priority}
lanes = {lanes}
capacity = {capacity}
latency_ms = {latency_ms}
"""
BOTH_S = 9.0
"""Sooner than a deployment hangs up that was told no deadline."""

PATIENCE_S = 60
LONG_S = 30
BUSY_MS = 3_000
"""How long a channel thinks where a test does something meanwhile."""


def channel(name="simulated", account=None, **settings):
    """The settings of one account of the simulated channel."""
    fields = {"priority": 100, "lanes": 1, "capacity": 1024, "latency_ms": 0, **settings}
    return CHANNEL.format(name=name, account=account or name, **fields)


def until(condition):
    """Wait for what somebody else does."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


def under_way(deployment, call, *args, **words):
    """`later`, once it stands in the books as a payment or a refund: the channel has it."""

    def written():
        counts = deployment.counts()
        return counts["payments"] + counts["refunds"]

    before = written()
    running = later(call, *args, **words)
    until(lambda: written() > before)
    return running


def later(call, *args, **words):
    """Run in a thread; the list gets its result."""
    results = []
    thread = threading.Thread(target=lambda: results.append(call(*args, **words)))
    thread.start()
    return thread, results


# --- restart --------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[signal.SIGTERM, signal.SIGKILL], ids=["drained", "killed"])
def reborn(request, kit, tmp_path_factory):
    """A deployment with a past: (deployment, shop, what was known before it was started again)."""
    deployment = kit.Deployment(tmp_path_factory.mktemp("reborn") / "data", "local").start()
    shop = deployment.new_shop()
    revoked = shop.new_key(type="bearer", scopes=["*"])
    shop.client.send("DELETE", f"/v1/keys/{revoked['id']}")
    signed = shop.signed()
    signed.nonce = "before"
    code = shop.code()
    paid = shop.paid(auth_code=code, key="k", order_no="A1", terminal=shop.terminal)
    refund = shop.refund(paid["id"], 1000, key="r")
    coupon = shop.paid(ending="9012")
    lost = shop.refund(coupon["id"], 1077, Prefer="wait=0")
    past = {
        "code": code,
        "paid": shop.read(paid["id"]).body,
        "refund": refund.body,
        "lost": lost.body,
        "failed": shop.pay(ending="9003").body,
        "signed": signed.post("/v1/payments", shop.order(), key="s").body,
        "pin": shop.pay(ending="9002", wait=0, order_no="PIN").body,
        "silent": shop.pay(ending="9006", wait=0).body,
        "code_shown": shop.pay(way="qr", wallet="alipay", expires_in=30).body,
        "revoked": revoked["secret"],
        "signer": signed,
    }
    deployment.clock.advance(1)
    past["clock"] = deployment.clock.now()
    past["counts"] = deployment.counts()
    past["books"] = deployment.books()
    past["port"] = deployment.api
    past["exit"] = deployment.stop(request.param)
    past["asked"] = request.param
    deployment.start()
    move(shop, deployment)
    past["signer"].api, past["signer"].address = shop.client.api, shop.client.address
    yield deployment, shop, past
    deployment.close()


def move(shop, deployment):
    """The same merchant at the deployment's new port."""
    shop.client.api = deployment.api
    shop.client.address = deployment.api.removeprefix("http://")


def test_it_ends_well_when_asked(reborn):
    """Exit code 0 after SIGTERM."""
    _, _, past = reborn

    assert past["exit"] == (0 if past["asked"] == signal.SIGTERM else -signal.SIGKILL)


def test_everything_acknowledged_is_there(reborn):
    """Each object as it was told, with the address of pictures moved."""
    _, shop, past = reborn

    for name in ("paid", "failed", "signed"):
        assert past[name] == shop.read(past[name]["id"]).body
    assert past["refund"] == shop.read(past["refund"]["id"]).body


def test_keys_are_for_ever(reborn, expect_problem):
    """Replays, mismatches, orders and refunds know their past."""
    _, shop, past = reborn

    expect_problem(shop.pay(key="k"), 422, "idempotency_mismatch")
    expect_problem(shop.pay(key="r"), 422, "idempotency_mismatch")
    expect_problem(shop.pay(order_no="A1"), 409, "order_already_paid")
    again = shop.refund(past["paid"]["id"], 1000, key="r")
    assert again.body == past["refund"]
    assert again.headers["Idempotent-Replayed"] == "true"


def test_a_used_code_stays_used(reborn):
    """Also after a restart."""
    _, shop, past = reborn
    again = shop.pay(auth_code=past["code"])

    assert (201, "auth_code_used") == (again.status, again["failure"]["code"])


def test_a_nonce_stays_used(reborn, expect_problem):
    """401, as before."""
    _, shop, past = reborn
    refused = past["signer"].post("/v1/payments", shop.order(), key="s2")

    expect_problem(refused, 401, "unauthorized")


def test_a_revoked_key_stays_revoked(reborn, kit, expect_problem):
    """And the others go on working."""
    deployment, shop, past = reborn

    expect_problem(
        kit.Client(deployment.api, past["revoked"]).get("/v1/payments"), 401, "unauthorized"
    )
    assert shop.client.get("/v1/payments").status == 200


def test_time_does_not_run_back(reborn):
    """The test clock stands where it stood."""
    deployment, _, past = reborn

    assert deployment.clock.now() >= past["clock"]


def test_the_channel_kept_its_books(reborn):
    """Nothing is forgotten there either."""
    deployment, _, past = reborn
    books = deployment.books()

    for number, row in past["books"].items():
        assert books[number]["charges"] >= row["charges"]
        assert books[number]["amount_minor"] == row["amount_minor"]


def test_what_was_open_comes_to_its_end(reborn):
    """PIN, silence, a shown code, a lost refund: the scan finds them; books of both sides agree."""
    deployment, shop, past = reborn
    assert deployment.counts()["payments"] >= past["counts"]["payments"]
    deployment.clock.advance(120)

    assert shop.read(past["pin"]["id"])["status"] == "reversed"
    assert shop.read(past["silent"]["id"])["status"] == "succeeded"
    assert shop.read(past["code_shown"]["id"])["status"] == "closed"
    assert shop.read(past["lost"]["id"])["status"] == "succeeded"
    assert shop.charged(past["silent"]["id"]) == {"charges": 1, "kept": 3800, "states": ["paid"]}
    assert shop.charged(past["pin"]["id"])["kept"] == 0
    assert deployment.counts()


def test_a_merchants_limits_and_lists_survive(reborn):
    """Lists hold what was there, newest first."""
    _, shop, past = reborn
    ids = [each["id"] for each in shop.client.get("/v1/payments?limit=100")["data"]]

    assert ids == sorted(ids, reverse=True)
    named = ("paid", "failed", "signed", "pin", "silent", "code_shown")
    assert {past[name]["id"] for name in named} <= set(ids)


# --- drain ----------------------------------------------------------------------------------


def test_a_drain_answers_what_is_in_flight(deploy):
    """SIGTERM while the channel thinks: the payment is answered, then the program ends with 0."""
    deployment = deploy(config=channel(latency_ms=1500))
    shop = deployment.new_shop()
    thread, results = under_way(deployment, shop.pay)

    began = time.monotonic()
    code = deployment.stop()

    thread.join(PATIENCE_S)
    (answer,) = results
    assert (201, "succeeded") == (answer.status, answer["status"]), answer
    assert code == 0
    assert time.monotonic() - began < PATIENCE_S
    deployment.start()
    move(shop, deployment)
    assert shop.read(answer["id"])["status"] == "succeeded"


def test_a_drain_does_not_wait_for_a_payer(deploy):
    """Who waits for a PIN is told how it stands: 202, and after the restart it goes on."""
    deployment = deploy()
    shop = deployment.new_shop()
    thread, results = under_way(deployment, shop.pay, ending="9002", wait=LONG_S)

    began = time.monotonic()
    code = deployment.stop()

    thread.join(PATIENCE_S)
    (answer,) = results
    assert (202, "processing", 0) == (answer.status, answer["status"], code)
    assert time.monotonic() - began < LONG_S - 5


# --- neighbors ------------------------------------------------------------------------------


def test_two_owners_of_a_data_directory_are_refused(deploy):
    """The second ends with an error that says why; the first does not notice."""
    deployment = deploy()
    shop = deployment.new_shop()

    second = deployment.launch()
    output, _ = second.communicate(timeout=PATIENCE_S)

    assert second.returncode != 0
    assert "ready" not in output
    assert "Traceback" not in deployment.errors()
    assert shop.paid()


def test_a_used_data_directory_without_a_shards_file_is_refused(deploy):
    """An empty shard in its place would take the same orders again."""
    deployment = deploy()
    deployment.new_shop().paid()
    deployment.stop()
    for path in deployment.data.glob("shard-0.db*"):
        path.unlink()

    again = deployment.launch()
    output, _ = again.communicate(timeout=PATIENCE_S)

    assert again.returncode not in (0, None)
    assert "ready" not in output
    assert "shard-0.db is gone" in deployment.errors()
    assert "Traceback" not in deployment.errors()


def test_two_deployments_never_share_a_port(deploy, kit, tmp_path):
    """The port is taken: refused, with the words why."""
    deployment = deploy()
    port = int(deployment.api.rsplit(":", 1)[1])
    other = kit.Deployment(tmp_path / "other", "local")

    second = other.launch(port)
    output, _ = second.communicate(timeout=PATIENCE_S)

    assert second.returncode != 0
    assert "ready" not in output
    assert "Traceback" not in other.errors()
    assert str(port) in other.errors()


# --- overload -------------------------------------------------------------------------------


def test_no_credit_is_said_before_anything_is_written(deploy, expect_problem):
    """One call at a time: the second payment hears 503 no_channel, and its key stays free."""
    deployment = deploy(config=channel(latency_ms=BUSY_MS, capacity=1))
    shop = deployment.new_shop()
    thread, results = under_way(deployment, shop.pay)
    before = deployment.counts()

    expect_problem(shop.pay(key="k", order_no="B"), 503, "no_channel")

    assert before == deployment.counts()
    thread.join(PATIENCE_S)
    assert results[0].status == 201
    assert shop.paid(key="k", order_no="B")


def test_too_many_requests_at_once_are_turned_away(deploy, expect_problem):
    """503 overloaded beyond the limit of a front door; GETs too; then it is as before."""
    http = "[http]\nmax_in_flight = 2\nfront_doors = 1\n"
    deployment = deploy(config=http + channel(latency_ms=BUSY_MS))
    shop = deployment.new_shop()
    running = [later(shop.pay) for _ in range(3)]
    for thread, _ in running:
        thread.join(PATIENCE_S)
    answers = sorted((results[0] for _, results in running), key=lambda answer: answer.status)

    assert [201, 201] == [answer.status for answer in answers[:2]]
    expect_problem(answers[2], 503, "overloaded")
    assert shop.paid()


def test_a_request_that_never_ends_is_hung_up_on(deploy):
    """408 after the deadline for receiving, whether head or body is slow."""
    deployment = deploy(config="[http]\nreceive_deadline_s = 1\n" + channel())
    host, port = deployment.api.removeprefix("http://").split(":")
    head = b"POST /v1/payments HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n"
    for said in (head, head + b"\r\n{"):
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as talk:
            talk.sendall(said)
            heard = b""
            began = time.monotonic()
            while piece := talk.recv(65_536):
                heard += piece
        assert heard.startswith(b"HTTP/1.1 408 "), heard
        head_, _, body = heard.partition(b"\r\n\r\n")
        assert json.loads(body)["code"] == "receive_timeout"
        assert f"Content-Length: {len(body)}".encode() in head_
        assert time.monotonic() - began < BOTH_S
    assert deployment.new_shop().paid()


# --- several accounts -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(kit, tmp_path_factory):
    """Two accounts; the first is asked first, and has room for one call at a time."""
    config = channel("first", priority=1, capacity=1, latency_ms=BUSY_MS)
    config += channel("second", priority=2)
    data = tmp_path_factory.mktemp("two") / "data"
    deployment = kit.Deployment(data, "local", config).start()
    yield deployment
    deployment.close()


def charged_where(deployment, kit, payment):
    """Names of the channels whose books have a charge of a payment."""
    return [
        name
        for name in ("first", "second")
        for number, row in deployment.books(name).items()
        if kit.is_of(number, payment) and row["charges"]
    ]


def test_the_first_by_priority_is_asked(two, kit):
    """And the route says so."""
    shop = two.new_shop()
    made = shop.paid()

    assert made["channel"] == "first"
    assert made["route"]["candidates"] == ["first", "second"]
    assert charged_where(two, kit, made["id"]) == ["first"]


def test_without_a_credit_the_second_takes_it(two, kit):
    """A full first account is passed over."""
    shop = two.new_shop()
    thread, results = under_way(two, shop.pay)

    made = shop.paid()

    assert made["channel"] == "second"
    thread.join(PATIENCE_S)
    assert charged_where(two, kit, made["id"]) == ["second"]
    assert charged_where(two, kit, results[0]["id"]) == ["first"]


def test_refused_for_its_own_reasons_the_second_takes_it(two, kit):
    """The first says that it is busy, having taken nothing: another attempt, one charge."""
    shop = two.new_shop()
    paid = shop.paid()
    thread, refunds = under_way(two, shop.refund, paid["id"], 100)

    made = shop.paid()

    assert made["channel"] == "second"
    assert charged_where(two, kit, made["id"]) == ["second"]
    thread.join(PATIENCE_S)
    assert refunds[0]["status"] == "succeeded"


@pytest.mark.parametrize("ending", ["9003", "9004"])
def test_a_payers_decline_is_the_end(two, kit, ending):
    """No second channel after the payer's side refused."""
    shop = two.new_shop()
    made = shop.pay(ending=ending)

    assert ("failed", "first") == (made["status"], made["channel"])
    assert not [n for n in two.books("second") if kit.is_of(n, made["id"])]


@pytest.mark.parametrize(("ending", "status"), [("9005", "succeeded"), ("9007", "reversed")])
def test_what_is_unknown_is_never_tried_elsewhere(two, kit, ending, status):
    """Two channels must never both charge."""
    shop = two.new_shop()
    made = shop.pay(ending=ending, wait=0)
    two.clock.advance(75)

    over = shop.read(made["id"])

    assert (status, "first") == (over["status"], over["channel"])
    assert not [n for n in two.books("second") if kit.is_of(n, made["id"])]


def test_a_hint_goes_before_priority(two):
    """channel_hint names an account; one that does not exist is no hint."""
    shop = two.new_shop()

    assert shop.paid(channel_hint="second")["channel"] == "second"
    assert shop.pay(channel_hint="nobody")["channel"] == "first"


def test_a_refund_goes_where_the_payment_went(two, kit):
    """To the same account."""
    shop = two.new_shop()
    made = shop.paid(channel_hint="second")

    assert shop.refund(made["id"], key=uuid.uuid4().hex)["status"] == "succeeded"
    (row,) = [row for n, row in two.books("second").items() if kit.is_of(n, made["id"])]
    assert row["refunded_minor"] == 3800
    assert os.path.isdir(two.data)
