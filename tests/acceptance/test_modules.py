"""Each part alone, as a stranger meets it: what is served, what is not, and who says so."""

import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest


def ago(**words):
    return (datetime.now(UTC) - timedelta(**words)).isoformat()


def report(shop, key=None, **fields):
    """POST a payment that another gateway took."""
    number = uuid.uuid4().hex[:16]
    body = {
        "order_no": f"A-{number}",
        "channel_account": "external",
        "channel_trade_no": f"T{number}",
        "amount": 3800,
        "fee": 14,
        "paid_at": ago(hours=1),
        **fields,
    }
    return shop.client.post("/v1/reported_payments", body, key=key or number)


def a_receiver(shop):
    made = shop.client.post("/v1/receivers", {"name": "Fast Rider"})
    assert made.status == 201, made
    return made["id"]


def pending(shop, **whose):
    query = "&".join(f"{name}={value}" for name, value in whose.items())
    (row,) = shop.client.get(f"/v1/balances?{query}")["data"]
    return row["pending"]


def cleared(shop):
    """The merchant's batches, after everything up to yesterday was cleared."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        run = shop.client.post("/v1/clearing_batches/run", {})
        assert run.status in (200, 202), run
        found = shop.client.get("/v1/clearing_batches")["data"]
        if found:
            return found
    return []


def with_modules(deploy, *names):
    listed = ", ".join(f'"{name}"' for name in names)
    gateway = deploy(config=f"modules = [{listed}]\n")
    assert list(names) == gateway.operator.get("/v1/status")["modules"]
    return gateway


def absent(client, expect_problem, method, path, module):
    """404 that names the module and how to add it."""
    # Not `send`: the document that answers are held against describes all modules.
    (answer,) = client.storm([(method, path, {} if method == "POST" else None, "k")])
    expect_problem(answer, 404, "module_not_served")
    assert module in answer["detail"], answer
    assert "--modules" in answer["detail"]


def described(gateway):
    return set(gateway.operator.get("/openapi.json")["paths"])


def test_acquiring_alone_takes_payments(deploy, expect_problem):
    """Payments, codes, refunds; nobody is paid out, and nothing is split."""
    gateway = with_modules(deploy, "acquiring")
    shop = gateway.new_shop()

    paid = shop.paid()
    assert "succeeded" == shop.refund(paid["id"])["status"]
    assert "requires_payer" == shop.pay(way="qr", wallet="alipay")["status"]
    absent(shop.client, expect_problem, "GET", "/v1/clearing_batches", "custody")
    absent(shop.client, expect_problem, "POST", "/v1/withdrawals", "custody")
    absent(shop.client, expect_problem, "POST", "/v1/split_rules", "splitting")
    absent(shop.client, expect_problem, "POST", "/v1/reported_payments", "custody or splitting")
    split = shop.pay(splits=[{"receiver": "rcv_01ZZZZZZZZ0000000000000Z", "amount": 1}])
    expect_problem(split, 422, "invalid_field", "splits")
    paths = described(gateway)
    assert "/v1/payments/{id}/refunds" in paths
    assert not {path for path in paths if "clearing" in path or "reported" in path}


def test_custody_alone_clears_what_others_took(deploy, expect_problem):
    """A reported payment with a share, its refund, and the batch that has both."""
    gateway = with_modules(deploy, "custody")
    shop = gateway.new_shop()
    rider = a_receiver(shop)

    split = [{"receiver": rider, "amount": 500}]
    told = report(shop, splits=split, paid_at=ago(days=2))
    back = shop.client.post(
        f"/v1/reported_payments/{told['id']}/refunds",
        {"amount": 1900, "refunded_at": ago(hours=30), "channel_refund_no": "R1"},
        key="back",
    )

    assert (201, "succeeded", "reported") == (told.status, told["status"], told["entry"]), told
    assert (201, "succeeded", "reported") == (back.status, back["status"], back["method"]), back
    assert (1643, 250) == (pending(shop), pending(shop, receiver=rider))
    page = shop.client.get(f"/v1/payments/{told['id']}/splits")
    assert [(rider, 500, 250)] == [
        (each["receiver"], each["amount"], each["returned"]) for each in page["data"]
    ]
    (batch,) = cleared(shop)
    assert (3800, 1900, 7, 250, 1643) == tuple(
        batch[name] for name in ("gross", "refunds", "fees", "splits", "net")
    )
    absent(shop.client, expect_problem, "POST", "/v1/payments", "acquiring")
    absent(shop.client, expect_problem, "POST", f"/v1/payments/{told['id']}/refunds", "acquiring")
    absent(shop.client, expect_problem, "POST", "/v1/split_rules", "splitting")
    paths = described(gateway)
    assert {"/v1/reported_payments", "/v1/clearing_batches"} <= paths
    assert not {path for path in paths if path.startswith(("/p/", "/callbacks", "/v1/split_rules"))}
    assert 2 == gateway.counts()["entries"]


def test_splitting_alone_splits_what_others_took(deploy, expect_problem):
    """A merchant's rule divides a reported payment; balances tell who has what."""
    gateway = with_modules(deploy, "splitting")
    shop = gateway.new_shop()
    rider = a_receiver(shop)
    rule = {"parts": [{"receiver": rider, "ratio_ppm": 250_000}]}
    assert 201 == shop.client.post("/v1/split_rules", rule).status

    told = report(shop)

    (share,) = shop.client.get(f"/v1/payments/{told['id']}/splits")["data"]
    assert (rider, 947) == (share["receiver"], share["amount"])
    assert (2839, 947) == (pending(shop), pending(shop, receiver=rider))
    absent(shop.client, expect_problem, "POST", "/v1/payments", "acquiring")
    absent(shop.client, expect_problem, "GET", "/v1/clearing_batches", "custody")
    assert "/v1/split_rules" in described(gateway)


PAIRS = [("acquiring", "custody"), ("acquiring", "splitting"), ("custody", "splitting")]


@pytest.mark.slow
@pytest.mark.parametrize("names", PAIRS, ids="+".join)
def test_two_parts_do_what_each_does_and_nothing_of_the_third(deploy, expect_problem, names):
    """Its own payment or another gateway's, shared by a rule or by the order, cleared or only kept.

    3800 with our fee of 14, of which the rider has a quarter: 947 of 3786, and the shop the rest.
    """
    gateway = with_modules(deploy, *names)
    shop = gateway.new_shop()
    rider = a_receiver(shop)
    part = {"receiver": rider, "ratio_ppm": 250_000}
    by_rule = "splitting" in names
    if by_rule:
        assert 201 == shop.client.post("/v1/split_rules", {"parts": [part]}).status
    else:
        absent(shop.client, expect_problem, "POST", "/v1/split_rules", "splitting")
    order = {} if by_rule else {"splits": [part]}

    told = report(shop, paid_at=ago(minutes=1), **order)
    assert (201, "reported") == (told.status, told["entry"]), told
    made = [told]
    if "acquiring" in names:
        made.append(shop.paid(**order))
    else:
        absent(shop.client, expect_problem, "POST", "/v1/payments", "acquiring")

    for each in made:
        page = shop.client.get(f"/v1/payments/{each['id']}/splits")
        assert [(rider, 947)] == [(one["receiver"], one["amount"]) for one in page["data"]]
    count = len(made)
    assert (2839 * count, 947 * count) == (pending(shop), pending(shop, receiver=rider))
    if "custody" in names:
        (batch,) = cleared(shop)
        figures = tuple(batch[name] for name in ("gross", "refunds", "fees", "splits", "net"))
        assert tuple(each * count for each in (3800, 0, 14, 947, 2839)) == figures
    else:
        absent(shop.client, expect_problem, "GET", "/v1/clearing_batches", "custody")
        absent(shop.client, expect_problem, "POST", "/v1/withdrawals", "custody")
    assert count == gateway.counts()["payments"]


def test_all_together_report_beside_their_own(shop, expect_problem):
    """One order is paid once, whoever took it; lists show both kinds."""
    own, told = shop.paid(), report(shop)

    expect_problem(report(shop, order_no=own["order_no"]), 409, "order_already_paid")
    expect_problem(shop.pay(order_no=told["order_no"]), 409, "order_already_paid")
    expect_problem(shop.refund(told["id"]), 422, "not_refundable")
    expect_problem(shop.cancel(told["id"]), 409, "not_cancelable")
    for path, expected in (
        ("/v1/payments", [told["id"], own["id"]]),
        ("/v1/reported_payments", [told["id"]]),
    ):
        page = shop.client.get(path)
        assert (path, expected) == (page["url"], [each["id"] for each in page["data"]])
    assert told.body == shop.read(told["id"]).body


def test_a_storm_of_one_report_books_once(shop, gateway):
    """Three hundred at once with one key: one payment, and all of them hear of it."""
    first = report(shop, key="storm", order_no="S-1", channel_trade_no="S1", paid_at=ago(hours=2))
    body = {
        "order_no": "S-2",
        "channel_account": "external",
        "channel_trade_no": "S2",
        "amount": 100,
        "paid_at": ago(minutes=5),
    }

    answers = shop.client.storm([("POST", "/v1/reported_payments", body, "one")] * 300)

    assert {201} == {answer.status for answer in answers}
    assert 1 == len({answer["id"] for answer in answers})
    assert 299 == sum("Idempotent-Replayed" in answer.headers for answer in answers)
    assert first["id"] != answers[0]["id"]
    for payment in (first, answers[0]):
        booked = gateway.operator.get(f"/v1/ledger/entries?source={payment['id']}")
        assert 1 == len(booked["data"])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"channel_account": "simulated"}, "channel_account"),
        ({"paid_at": "2020-01-01T00:00:00Z"}, "paid_at"),
        ({"paid_at": "2999-01-01T00:00:00Z"}, "paid_at"),
        ({"paid_at": "yesterday"}, "paid_at"),
        ({"settle_amount": 3801}, "settle_amount"),
        ({"fee": 3801}, "fee"),
        ({"amount": 0}, "amount"),
        ({"way": "pigeon"}, "way"),
        ({"channel_trade_no": ""}, "channel_trade_no"),
        ({"auth_code": "280000000000000042"}, "auth_code"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(shop, expect_problem, fields, param):
    """And nothing was booked."""
    expect_problem(report(shop, **fields), 422, "invalid_field", param)
    assert [] == shop.client.get("/v1/reported_payments")["data"]


def test_whose_payment_it_is(gateway, shop, kit, expect_problem):
    """Another's merchant does not exist; a till vouches for nothing; a key needs its header."""
    other = gateway.new_shop()
    till = shop.new_key(type="bearer", scopes=["*"], terminal=shop.terminal)

    expect_problem(report(shop, merchant=other.id), 404, "not_found")
    assert 201 == report(shop, merchant=shop.id).status
    told = report(other)
    body = {"refunded_at": ago(minutes=1), "channel_refund_no": "R1"}
    path = f"/v1/reported_payments/{told['id']}/refunds"
    expect_problem(shop.client.post(path, body, key="r"), 404, "not_found")
    shop.client = kit.Client(gateway.api, till["secret"])
    expect_problem(report(shop), 403, "insufficient_scope")
    expect_problem(other.client.post("/v1/reported_payments", {}), 400, "malformed")


def test_an_unknown_module_is_suggested(tmp_path, kit):
    """`--modules` is read before anything is started."""
    done = subprocess.run(
        [str(kit.TILLWAY), "serve", "--modules", "acquiring,custdy", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert "did you mean custody?" in done.stderr
