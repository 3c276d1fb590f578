"""Nobody sees or moves what belongs to another: the same 404 as for what does not exist."""

import time
import uuid

import pytest

ON_RAY_TOO = True
PATIENCE_S = 30

# Paths with the kind of id they take; {} is the id.
ROUTES = """
    GET     /v1/payments/{}                             payment
    GET     /v1/payments/{}/timeline                    payment
    GET     /v1/payments/{}/splits                      payment
    POST    /v1/payments/{}/cancel                      payment
    POST    /v1/payments/{}/refunds                     payment
    POST    /v1/test_helpers/payments/{}/pay            payment
    POST    /v1/test_helpers/payments/{}/decline        payment
    POST    /v1/test_helpers/payments/{}/pay_late       payment
    POST    /v1/test_helpers/payments/{}/pay_twice      payment
    GET     /v1/refunds/{}                              refund
    GET     /v1/merchants/{}                            merchant
    POST    /v1/merchants/{}                            merchant
    GET     /v1/stores/{}                               store
    GET     /v1/terminals/{}                            terminal
    GET     /v1/receivers/{}                            receiver
    POST    /v1/receivers/{}                            receiver
    GET     /v1/split_rules/{}                          rule
    POST    /v1/split_rules/{}                          rule
    GET     /v1/balances?receiver={}                    receiver
    GET     /v1/balances?merchant={}                    merchant
    GET     /v1/keys/{}                                 key
    POST    /v1/keys/{}/rotate                          key
    DELETE  /v1/keys/{}                                 key
    GET     /v1/webhook_endpoints/{}                    endpoint
    POST    /v1/webhook_endpoints/{}                    endpoint
    POST    /v1/webhook_endpoints/{}/roll               endpoint
    POST    /v1/webhook_endpoints/{}/enable             endpoint
    GET     /v1/webhook_endpoints/{}/deliveries         endpoint
    DELETE  /v1/webhook_endpoints/{}                    endpoint
    GET     /v1/events/{}                               event
    GET     /v1/events/{}/deliveries                    event
    POST    /v1/events/{}/resend                        event
"""
ROWS = [line.split() for line in ROUTES.strip().splitlines()]
UNKNOWN = {
    "payment": "pay_01ZZZZZZZZ0000000000000Z",
    "refund": "rfd_01ZZZZZZZZ0000000000000Z",
    "merchant": "mch_01ZZZZZZZZ0000000000000Z",
    "store": "sto_01ZZZZZZZZ0000000000000Z",
    "terminal": "trm_01ZZZZZZZZ0000000000000Z",
    "receiver": "rcv_01ZZZZZZZZ0000000000000Z",
    "rule": "spl_01ZZZZZZZZ0000000000000Z",
    "key": "key_01ZZZZZZZZ0000000000000Z",
    "endpoint": "whk_01ZZZZZZZZ0000000000000Z",
    "event": "evt_01ZZZZZZZZ0000000000000ZS",
}


@pytest.fixture(scope="module")
def stranger(gateway):
    return gateway.new_shop()


@pytest.fixture(scope="module")
def owner(gateway):
    """A merchant and one id of everything it has."""
    shop = gateway.new_shop()
    payment = shop.paid(terminal=shop.terminal)["id"]
    refund = shop.refund(payment, 100)["id"]
    deadline = time.monotonic() + PATIENCE_S
    while shop.client.get(f"/v1/refunds/{refund}")["status"] != "succeeded":
        assert time.monotonic() < deadline, "a refund of the simulated channel takes this long"
        time.sleep(0.05)
    ids = {"payment": payment, "refund": refund, "merchant": shop.id, "store": shop.store}
    hook = shop.client.post(
        "/v1/webhook_endpoints", {"url": "http://127.0.0.1:1/", "events": ["refund.failed"]}
    )
    events = shop.client.get(f"/v1/events?payment={payment}")["data"]
    more = {"endpoint": hook["id"], "event": events[0]["id"]}
    receiver = shop.client.post("/v1/receivers", {"name": "rider"})["id"]
    parts = [{"receiver": receiver, "amount": 1}]
    rule = shop.client.post("/v1/split_rules", {"match": {"tag": "x"}, "parts": parts})["id"]
    more |= {"receiver": receiver, "rule": rule}
    return shop, {**ids, **more, "terminal": shop.terminal, "key": shop.key["id"]}


def belongings(*shops):
    """All that shops can see of themselves. Others of this deployment may be busy meanwhile."""
    lists = ("payments", "refunds", "events", "receivers", "split_rules", "webhook_endpoints")
    seen = {}
    for shop in shops:
        for path in (*(f"/v1/{name}" for name in lists), "/v1/balances"):
            answer = shop.client.get(path)
            assert answer.status == 200, answer
            seen[shop.id, path] = answer.body
    return seen


def asked(client, method, path, identifier):
    """The request of a row, with a body where it needs one."""
    body = None
    if method == "POST":
        body = {"amount": 1} if path.endswith("/refunds") else {}
    key = uuid.uuid4().hex if method == "POST" else None
    return client.send(method, path.format(identifier), body, key=key)


@pytest.mark.parametrize(("method", "path", "kind"), ROWS)
def test_anothers_object_is_none(owner, stranger, expect_problem, method, path, kind):
    """Status, code and words are those of an id that does not exist; nothing happens."""
    shop, ids = owner
    before = belongings(shop, stranger)

    foreign = asked(stranger.client, method, path, ids[kind])
    unknown = asked(stranger.client, method, path, UNKNOWN[kind])

    expect_problem(foreign, 404, "not_found")
    expect_problem(unknown, 404, "not_found")
    for name in ("type", "title", "status", "code", "param", "retryable"):
        assert foreign[name] == unknown[name]
    masked = [
        answer["detail"].replace(identifier, "-")
        for answer, identifier in ((foreign, ids[kind]), (unknown, UNKNOWN[kind]))
    ]
    assert masked[0] == masked[1]
    assert before == belongings(shop, stranger)
    assert shop.read(ids["payment"])["amount_refunded"] == 100


@pytest.mark.parametrize(
    "kind",
    [
        "payments", "refunds", "stores", "terminals", "keys", "webhook_endpoints", "events",
        "receivers", "split_rules",
    ],
)  # fmt: skip
def test_lists_hold_only_ones_own(owner, stranger, kind):
    """Nothing of the other is in any list."""
    _, ids = owner

    page = stranger.client.get(f"/v1/{kind}")

    assert page.status == 200
    assert not {each["id"] for each in page["data"]} & set(ids.values())
    assert len(stranger.client.get("/v1/merchants")["data"]) == 1


def test_a_filter_does_not_reach_across(owner, stranger):
    """Another's payment, store or terminal as a filter finds nothing."""
    _, ids = owner

    assert stranger.refunds_of(ids["payment"]) == []
    for name in ("store", "terminal"):
        page = stranger.client.get(f"/v1/payments?{name}={ids[name]}")
        assert (200, []) == (page.status, page["data"])


@pytest.mark.parametrize("field", ["store", "terminal"])
def test_a_payment_cannot_stand_in_anothers_place(owner, stranger, expect_problem, field):
    """422, and the field."""
    _, ids = owner

    expect_problem(stranger.pay(**{field: ids[field]}), 422, "invalid_field", field)


def test_a_merchant_acts_for_nobody_else(gateway, owner, stranger, expect_problem, kit):
    """Tillway-Merchant with another's id: no such merchant."""
    _, ids = owner
    client = kit.Client(
        gateway.api, stranger.key["secret"], **{"Tillway-Merchant": ids["merchant"]}
    )

    expect_problem(client.get("/v1/payments"), 404, "not_found")
    expect_problem(client.post("/v1/payments", stranger.order(), key="k"), 404, "not_found")


# --- platforms ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def platform(gateway):
    """A restaurant SaaS with two merchants: (secret, their ids)."""
    name = f"saas-{uuid.uuid4().hex[:8]}"
    wish = {"type": "bearer", "scopes": ["*"], "platform": name}
    key = gateway.operator.post("/v1/keys", wish)
    assert key.status == 201, key
    ids = [
        gateway.operator.post("/v1/merchants", {"name": f"Shop {n}", "platform": name})["id"]
        for n in range(2)
    ]
    return key["secret"], ids


def acting(gateway, kit, secret, merchant):
    return kit.Client(gateway.api, secret, **{"Tillway-Merchant": merchant})


def test_a_platform_acts_for_its_merchants(gateway, platform, shop, kit):
    """It pays and reads with Tillway-Merchant; another of its merchants sees none of it."""
    secret, (first, second) = platform
    client = acting(gateway, kit, secret, first)

    made = client.post("/v1/payments", shop.order(), key=uuid.uuid4().hex)

    assert (201, "succeeded", first) == (made.status, made["status"], made["merchant"])
    assert client.get(f"/v1/payments/{made['id']}").status == 200
    sibling = acting(gateway, kit, secret, second)
    assert sibling.get(f"/v1/payments/{made['id']}").status == 404
    assert sibling.get("/v1/payments")["data"] == []


def test_a_platform_without_a_merchant_makes_no_payment(
    gateway, platform, shop, expect_problem, kit
):
    """Which merchant is for the caller to say."""
    client = kit.Client(gateway.api, platform[0])

    refused = client.post("/v1/payments", shop.order(), key="k")

    expect_problem(refused, 403, "insufficient_scope", "Tillway-Merchant")


def test_a_platform_reaches_no_other_merchant(gateway, platform, shop, expect_problem, kit):
    """Not its own: no such merchant."""
    client = acting(gateway, kit, platform[0], shop.id)

    expect_problem(client.get("/v1/payments"), 404, "not_found", "Tillway-Merchant")


def test_a_platform_lists_its_merchants(gateway, platform, kit):
    """All of them, and only them."""
    page = kit.Client(gateway.api, platform[0]).get("/v1/merchants")

    assert {each["id"] for each in page["data"]} == set(platform[1])


# --- terminals ------------------------------------------------------------------------------


@pytest.fixture
def till(gateway, shop, kit):
    """A client with a terminal key."""
    key = shop.new_key(type="bearer", terminal=shop.terminal, scopes=["*"])
    return kit.Client(gateway.api, key["secret"])


def test_a_terminal_takes_queries_cancels_and_refunds(shop, till):
    """In its own place, which it need not name."""
    made = till.post("/v1/payments", shop.order(), key="k")

    assert (201, shop.store, shop.terminal) == (made.status, made["store"], made["terminal"])
    assert till.get(f"/v1/payments/{made['id']}").status == 200
    refunds = f"/v1/payments/{made['id']}/refunds"
    assert till.post(refunds, {"amount": 1}, key="r").status == 201
    other = till.post("/v1/payments", shop.order(), key="k2")
    assert till.post(f"/v1/payments/{other['id']}/cancel", {}).status == 200


def test_a_terminal_sees_only_its_store(shop, till, expect_problem):
    """What was taken elsewhere does not exist for it; lists neither."""
    elsewhere = shop.paid()["id"]
    here = till.post("/v1/payments", shop.order(), key="k")["id"]

    expect_problem(till.get(f"/v1/payments/{elsewhere}"), 404, "not_found")
    refunds = f"/v1/payments/{elsewhere}/refunds"
    expect_problem(till.post(refunds, {"amount": 1}, key="r"), 404, "not_found")
    expect_problem(till.post(f"/v1/payments/{elsewhere}/cancel", {}), 404, "not_found")
    assert [each["id"] for each in till.get("/v1/payments")["data"]] == [here]


def test_a_terminal_sees_only_refunds_of_its_store(shop, till, expect_problem):
    """Refunds follow their payment."""
    refund = shop.refund(shop.paid()["id"], 1)["id"]

    expect_problem(till.get(f"/v1/refunds/{refund}"), 404, "not_found")
    assert till.get("/v1/refunds")["data"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/keys"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/stores"),
        ("GET", "/v1/ledger/trial_balance"),
        ("POST", "/v1/test_helpers/clocks"),
        ("GET", "/v1/test_helpers/channels/simulated/books"),
    ],
)
def test_a_terminal_does_nothing_else(till, expect_problem, method, path):
    """403 insufficient_scope."""
    body = {"type": "bearer"} if path == "/v1/keys" else {"name": "x"} if "stores" in path else {}
    body = body if method == "POST" else None

    expect_problem(till.send(method, path, body), 403, "insufficient_scope")


def test_scopes_bind(gateway, shop, kit, expect_problem):
    """A key that may only read does not pay, refund or cancel."""
    made = shop.paid()
    key = shop.new_key(type="bearer", scopes=["payments:read"])
    reader = kit.Client(gateway.api, key["secret"])

    assert reader.get(f"/v1/payments/{made['id']}").status == 200
    path = f"/v1/payments/{made['id']}"
    expect_problem(reader.post("/v1/payments", shop.order(), key="k"), 403, "insufficient_scope")
    expect_problem(reader.post(f"{path}/refunds", {}, key="k"), 403, "insufficient_scope")
    expect_problem(reader.post(f"{path}/cancel", {}), 403, "insufficient_scope")


def test_a_suspended_merchant_takes_nothing_new(gateway, shop, expect_problem):
    """403 merchant_suspended; what is paid can be refunded and read; active again, it sells."""
    made = shop.paid()
    change = gateway.operator.post(f"/v1/merchants/{shop.id}", {"status": "suspended"})
    assert change.status == 200, change

    expect_problem(shop.pay(), 403, "merchant_suspended")
    assert shop.read(made["id"]).status == 200
    assert shop.refund(made["id"], 100)["status"] == "succeeded"

    gateway.operator.post(f"/v1/merchants/{shop.id}", {"status": "active"})
    assert shop.paid()


def test_a_platform_lists_the_payments_of_all_its_merchants(gateway, platform, shop, kit):
    """Without naming one: merged, newest first, page by page, and nobody else's."""
    secret, merchants = platform
    made = [
        acting(gateway, kit, secret, merchants[number % 2]).post(
            "/v1/payments", shop.order(), key=uuid.uuid4().hex
        )["id"]
        for number in range(5)
    ]
    shop.paid()
    client = kit.Client(gateway.api, secret)

    first = client.get("/v1/payments?limit=3")
    rest = client.get(f"/v1/payments?limit=100&starting_after={first['data'][-1]['id']}")

    found = [each["id"] for each in first["data"] + rest["data"]]
    assert list(reversed(made)) == found[:5]
    assert {each["merchant"] for each in first["data"] + rest["data"]} <= set(merchants)
    assert (first["has_more"], rest["has_more"]) == (True, False)
    refund = "rfd_" + made[0].removeprefix("pay_")
    assert 422 == client.get(f"/v1/payments?starting_after={refund}").status
    assert 422 == client.get(f"/v1/refunds?starting_after={made[0]}").status
