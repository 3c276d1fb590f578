"""Signed requests (RFC 9421), made by an independent implementation, against the whole thing."""

import uuid

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ON_RAY_TOO = True
PATIENCE_S = 60


@pytest.fixture(params=["hmac-sha256", "ed25519"])
def signed(request, gateway, shop, kit):
    """A client that signs with a fresh key of each algorithm."""
    if request.param == "hmac-sha256":
        return shop.signed()
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key = shop.new_key(type="ed25519", scopes=["*"], public_key=pem.decode())
    assert "secret" not in key.body or key["secret"] is None
    return kit.SignedClient(gateway.api, key["id"], private)


def pay(client, shop, **words):
    return client.post("/v1/payments", shop.order(), key=uuid.uuid4().hex, **words)


def test_a_signed_payment_is_taken(signed, shop):
    """POST with a nonce, GET without a body: both have a content digest."""
    made = pay(signed, shop)

    assert (201, "succeeded") == (made.status, made["status"]), made
    read = signed.get(f"/v1/payments/{made['id']}")
    assert (200, made.body) == (read.status, read.body)
    assert signed.get("/v1/payments?limit=1").status == 200


def test_a_nonce_counts_once(signed, shop, expect_problem):
    """The same signature again: 401, and no second payment."""
    signed.nonce = uuid.uuid4().hex
    assert pay(signed, shop).status == 201

    expect_problem(pay(signed, shop), 401, "unauthorized")
    assert len(shop.client.get("/v1/payments")["data"]) == 1


def test_a_nonce_counts_once_for_refunds_and_cancels_too(signed, shop, expect_problem):
    """It is the key's, whatever it was for."""
    made, other = pay(signed, shop), pay(signed, shop)
    signed.nonce = uuid.uuid4().hex
    refunds = f"/v1/payments/{made['id']}/refunds"
    assert signed.post(refunds, {"amount": 1}, key="r").status == 201

    expect_problem(signed.post(refunds, {"amount": 1}, key="r2"), 401, "unauthorized")
    expect_problem(signed.post(f"/v1/payments/{other['id']}/cancel", {}), 401, "unauthorized")
    assert shop.read(made["id"])["amount_refunded"] == 1


def test_a_nonce_of_another_key_is_another_nonce(shop):
    """Two tills may choose the same."""
    one, two = shop.signed(), shop.signed()
    one.nonce = two.nonce = "the-same"

    assert [201, 201] == [pay(client, shop).status for client in (one, two)]


def test_the_same_nonce_in_parallel_counts_once(shop):
    """A hundred copies of one request at once: one is let in, and there is one payment."""
    client = shop.signed()
    client.nonce = uuid.uuid4().hex
    body = shop.order()

    answers = client.storm([("POST", "/v1/payments", body, "k")] * 100)

    assert sorted(answer.status for answer in answers) == [201] + [401] * 99
    assert len(shop.client.get("/v1/payments")["data"]) == 1


@pytest.mark.parametrize("shift_s", [-400, 400])
def test_the_window_is_five_minutes(signed, shop, expect_problem, shift_s):
    """Older or newer: the same 401 as for a wrong key."""
    signed.shift_s = shift_s

    expect_problem(pay(signed, shop), 401, "unauthorized")


@pytest.mark.parametrize("shift_s", [-290, 290])
def test_within_the_window_a_clock_may_be_wrong(shop, shift_s):
    """Tills are not atomic clocks."""
    client = shop.signed()
    client.shift_s = shift_s

    assert pay(client, shop).status == 201


def test_every_denial_is_the_same(gateway, shop, kit, expect_problem):
    """Unknown key, wrong secret, expired window: one answer, so that nobody learns which."""
    good = shop.signed()
    wrong = kit.SignedClient(gateway.api, good.key_id, bytes(32))
    unknown = kit.SignedClient(gateway.api, "key_01ZZZZZZZZ0000000000000Z", good.key)
    late = kit.SignedClient(gateway.api, good.key_id, good.key)
    late.shift_s = -1000

    answers = [pay(client, shop) for client in (wrong, unknown, late)]

    for answer in answers:
        expect_problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"]
    assert len({(a["detail"], a["title"], a["type"]) for a in answers}) == 1


@pytest.mark.parametrize("what", ["body", "path", "query", "key", "merchant", "method"])
def test_what_is_signed_cannot_be_changed(gateway, shop, kit, expect_problem, what):
    """Body, path, query, idempotency key, merchant and method are all covered."""
    client = shop.signed()
    client.headers["Tillway-Merchant"] = shop.id
    content, headers = client.prepared("POST", "/v1/payments", shop.order(), "k")
    sender = kit.Client(gateway.api)
    method, path = "POST", "/v1/payments"
    if what == "body":
        content = content.replace(b"3800", b"0380")
        content = content.replace(b"0380", b"3801")
    elif what == "path":
        path = "/v1/payments/pay_01ZZZZZZZZ0000000000000Z/cancel"
    elif what == "query":
        path += "?a=b"
    elif what == "key":
        headers["Idempotency-Key"] = "other"
    elif what == "merchant":
        headers["Tillway-Merchant"] = gateway.new_shop().id
    else:
        method = "GET"
    names = {name.replace("-", "_"): value for name, value in headers.items()}

    refused = sender.send(method, path, content, **names)

    assert refused.status in (401, 404), refused
    assert refused.status == 401 or what == "merchant"
    assert shop.client.get("/v1/payments")["data"] == []


def test_a_post_without_a_nonce_is_refused(signed, shop, expect_problem):
    """What can be replayed is not let in."""
    signed.nonce_on = ()

    expect_problem(pay(signed, shop), 401, "unauthorized")
    assert signed.get("/v1/payments")["data"] == []


def test_a_post_without_any_key_is_refused(gateway, shop, expect_problem, kit):
    """401, and how to do better."""
    refused = kit.Client(gateway.api).post("/v1/payments", shop.order(), key="k")

    expect_problem(refused, 401, "unauthorized")
    assert refused.headers["WWW-Authenticate"]


def test_a_bearer_key_and_a_signature_together_are_refused(shop, expect_problem):
    """Which of the two was meant?"""
    client = shop.signed()
    client.headers["Authorization"] = f"Bearer {shop.key['secret']}"

    expect_problem(pay(client, shop), 401, "unauthorized")


@pytest.mark.parametrize(
    "header", ["Bearer sk_test_" + "0" * 64, "Bearer", "Basic YTpi", "Bearer a b", "bearer  "]
)
def test_wrong_bearer_keys(gateway, shop, kit, expect_problem, header):
    """401, whatever is wrong."""
    client = kit.Client(gateway.api, Authorization=header)

    expect_problem(client.get("/v1/payments"), 401, "unauthorized")
    expect_problem(client.post("/v1/payments", shop.order(), key="k"), 401, "unauthorized")


def test_a_replay_with_a_new_signature_is_the_same_payment(signed, shop):
    """The idempotency key lives longer than the nonce."""
    body = shop.order()
    first = signed.post("/v1/payments", body, key="k")

    again = signed.post("/v1/payments", body, key="k")

    assert (201, first.body) == (again.status, again.body)
    assert again.headers["Idempotent-Replayed"] == "true"


# --- keys over HTTP -------------------------------------------------------------------------


def test_a_secret_is_shown_once(shop):
    """At creation, and never again."""
    key = shop.new_key(type="bearer", scopes=["payments:read"])

    assert key["id"].startswith("key_")
    assert key["secret"].startswith("sk_test_")
    read = shop.client.get(f"/v1/keys/{key['id']}")
    assert (200, "bearer") == (read.status, read["type"])
    listed = shop.client.get("/v1/keys")
    for answer in (read, listed):
        assert key["secret"].encode() not in answer.content
        assert b'"secret"' not in answer.content


def test_a_revoked_key_stops(gateway, shop, kit, expect_problem):
    """On every front door; within a second where a machine has nothing else to do."""
    key = shop.new_key(type="bearer", scopes=["*"])
    client = kit.Client(gateway.api, key["secret"])
    assert client.get("/v1/payments").status == 200

    assert shop.client.send("DELETE", f"/v1/keys/{key['id']}").status == 200

    answers = stopped_in_the_end(client)
    expect_problem(answers[-1], 401, "unauthorized")


def stopped_in_the_end(client):
    """Ask until refused for good or the time is over."""
    import time

    answers, until = [], time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        answers.append(client.get("/v1/payments"))
        if len(answers) > 20 and all(answer.status == 401 for answer in answers[-20:]):
            break
        time.sleep(0.02)
    return answers


def test_a_rotated_key_overlaps(gateway, shop, kit):
    """With overlap both work."""
    old = shop.new_key(type="bearer", scopes=["*"])
    new = shop.client.post(f"/v1/keys/{old['id']}/rotate", {"overlap_seconds": 60})
    assert new.status == 201, new

    for secret in (old["secret"], new["secret"]):
        assert kit.Client(gateway.api, secret).get("/v1/payments").status == 200


def test_a_rotated_key_without_overlap_ends(gateway, shop, kit, expect_problem):
    """Without, only the new one."""
    old = shop.new_key(type="bearer", scopes=["*"])
    new = shop.client.post(f"/v1/keys/{old['id']}/rotate", {"overlap_seconds": 0})

    assert kit.Client(gateway.api, new["secret"]).get("/v1/payments").status == 200
    expect_problem(
        stopped_in_the_end(kit.Client(gateway.api, old["secret"]))[-1], 401, "unauthorized"
    )


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "type"),
        ({"type": "rsa"}, "type"),
        ({"type": "bearer", "scopes": ["everything"]}, "scopes"),
        ({"type": "ed25519", "scopes": ["*"]}, "public_key"),
        ({"type": "ed25519", "scopes": ["*"], "public_key": "nonsense"}, "public_key"),
        ({"type": "bearer", "colour": "red"}, "colour"),
    ],
)
def test_wrong_wishes_for_keys_are_refused(shop, expect_problem, wish, param):
    """422, and the field."""
    refused = shop.client.post("/v1/keys", wish)

    expect_problem(refused, 422, "invalid_field")
    assert refused["param"].startswith(param)


def test_nobody_grants_what_he_has_not(gateway, shop, kit, expect_problem):
    """A key that makes keys makes none that may do more."""
    maker = shop.new_key(type="bearer", scopes=["keys:write", "payments:read"])
    client = kit.Client(gateway.api, maker["secret"])

    assert client.post("/v1/keys", {"type": "bearer", "scopes": ["payments:read"]}).status == 201
    wish = {"type": "bearer", "scopes": ["refunds:write"]}
    expect_problem(client.post("/v1/keys", wish), 403, "insufficient_scope")


def test_a_test_helpers_nonce_counts_once_as_well(signed, shop, expect_problem):
    """The payer's act is a POST like any other: a recorded one is not played back."""
    code = signed.post(
        "/v1/payments", shop.order(way="qr", wallet="alipay", auth_code=None), key=uuid.uuid4().hex
    )
    signed.nonce = uuid.uuid4().hex
    act = f"/v1/test_helpers/payments/{code['id']}/pay_late"
    assert signed.post(act, {}).status == 200

    expect_problem(signed.post(act, {}), 401, "unauthorized")
