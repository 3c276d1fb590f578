"""Bad input of every kind gets the problem of the contract, and changes nothing."""

import gzip
import json

import pytest

ON_RAY_TOO = True

GOOD = {"order_no": "A1", "amount": 3800, "currency": "cny", "way": "barcode"}
CODE = "280000000000000001"

# The change to a good body, the field that the problem names.
FIELDS = [
    ({"amount": "3800"}, "amount"),
    ({"amount": 38.0}, "amount"),
    ({"amount": 38.5}, "amount"),
    ({"amount": 3.8e3}, "amount"),
    ({"amount": True}, "amount"),
    ({"amount": None}, "amount"),
    ({"amount": 0}, "amount"),
    ({"amount": -1}, "amount"),
    ({"amount": 2**63}, "amount"),
    ({"amount": 10**30}, "amount"),
    ({"amount": [3800]}, "amount"),
    ({"tip_amount": 3801}, "tip_amount"),
    ({"tip_amount": -1}, "tip_amount"),
    ({"tip_amount": 1.0}, "tip_amount"),
    ({"currency": "CNY"}, "currency"),
    ({"currency": "usd"}, "currency"),
    ({"currency": 156}, "currency"),
    ({"order_no": ""}, "order_no"),
    ({"order_no": "x" * 65}, "order_no"),
    ({"order_no": "A 1"}, "order_no"),
    ({"order_no": "A1\n"}, "order_no"),
    ({"order_no": "单号"}, "order_no"),
    ({"order_no": 1}, "order_no"),
    ({"way": "cash"}, "way"),
    ({"way": None}, "way"),
    ({"auth_code": "28"}, "auth_code"),
    ({"auth_code": "2800000000000000AB"}, "auth_code"),
    ({"auth_code": "9" * 18}, "auth_code"),
    ({"auth_code": 280000000000000001}, "auth_code"),
    ({"auth_code": "２８００００００００００００００００"}, "auth_code"),
    ({"wallet": "visa"}, "wallet"),
    ({"colour": "red"}, "colour"),
    ({"Amount": 3800}, "Amount"),
    ({"payer": {"openid": "o", "name": "Li"}}, "payer.name"),
    ({"payer": "o"}, "payer"),
    ({"subject": "x" * 129}, "subject"),
    ({"subject": "a\u0000b"}, "subject"),
    ({"subject": "a\u202eb"}, "subject"),
    ({"subject": "card 4111111111111111"}, "subject"),
    ({"metadata": {"k": 1}}, "metadata"),
    ({"metadata": {"k": "v" * 501}}, "metadata"),
    ({"metadata": {"k" * 41: "v"}}, "metadata"),
    ({"metadata": {f"k{n}": "v" for n in range(51)}}, "metadata"),
    ({"metadata": ["k"]}, "metadata"),
    ({"expires_in": 29}, "expires_in"),
    ({"expires_in": 7201}, "expires_in"),
    ({"store": "sto_01ZZZZZZZZ0000000000000Z"}, "store"),
    ({"terminal": "trm_01ZZZZZZZZ0000000000000Z"}, "terminal"),
    ({"return_url": "javascript:alert(1)"}, "return_url"),
    ({"splits": [{"receiver": "rcv_1", "amount": 1}]}, "splits.0.receiver"),
    ({"splits": [{"receiver": "rcv_1"}]}, "splits.0"),
    ({"split_base": "gross"}, "split_base"),
    ({"escrow_release_at": "2026-12-01T00:00:00Z"}, "escrow_release_at"),
    ({"escrow": True, "escrow_release_at": "2026-01-01T00:00:00Z"}, "escrow_release_at"),
]
MALFORMED = [
    b"",
    b"not json",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"12",
    b'{"amount": NaN}',
    b'{"amount": 1,}',
    b"\xff\xfe",
    b'{"order_no": "\xff"}',
    b'{"a":' * 2000 + b"1" + b"}" * 2000,
    b'{"order_no":"A1","order_no":"A2","amount":1,"currency":"cny","way":"barcode"}',
    b'{"order_no":"A1","amount":1,"currency":"cny","way":"barcode","metadata":{"a":"1","a":"2"}}',
]


def post(seller, body, key="k", **headers):
    return seller.client.post("/v1/payments", body, key=key, **headers)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("change", "param"), FIELDS, ids=lambda case: str(case)[:40])
def test_a_wrong_field_is_named(seller, expect_problem, change, param):
    """422 invalid_field with a pointer; the key stays free."""
    refused = post(seller, {**GOOD, "auth_code": CODE, **change})

    expect_problem(refused, 422, "invalid_field")
    assert refused["param"] == param or refused["param"].startswith(f"{param}."), refused
    assert refused["errors"][0]["pointer"].startswith("/" + param.replace(".", "/"))


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("missing", list(GOOD))
def test_a_missing_field_is_named(seller, expect_problem, missing):
    """Each of the required ones."""
    body = {name: value for name, value in {**GOOD, "auth_code": CODE}.items() if name != missing}

    expect_problem(post(seller, body), 422, "invalid_field", missing)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:30]))
def test_what_is_no_json_object_is_malformed(seller, expect_problem, body):
    """400; also a key that comes twice, and a nesting without end."""
    refused = post(seller, body, Content_Type="application/json")

    expect_problem(refused, 400, "malformed")


@pytest.mark.usefixtures("unchanged")
def test_a_duplicate_key_is_named(seller, expect_problem):
    """The problem says which."""
    refused = post(seller, MALFORMED[-2])

    expect_problem(refused, 400, "malformed", "order_no")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("key", ["", "x" * 256, "naïve", '"open', "a\tb"])
def test_a_wrong_idempotency_key_is_malformed(seller, expect_problem, key):
    """1 to 255 printable characters."""
    refused = post(seller, {**GOOD, "auth_code": CODE}, key=key)

    expect_problem(refused, 400, "malformed", "Idempotency-Key")


def test_the_longest_key_and_the_largest_fields_are_taken(seller):
    """Every limit is the limit, not one less."""
    body = {
        **seller.order(order_no="Z" * 64),
        "subject": "汤" * 128,
        "metadata": {f"{n:040}": "v" * 500 for n in range(50)},
        "tip_amount": 3800,
    }
    made = post(seller, body, key="y" * 255)

    assert (201, "succeeded") == (made.status, made["status"]), made
    assert made["metadata"] == body["metadata"]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_another_media_type_is_refused(seller, expect_problem, kind):
    """415."""
    refused = post(seller, {**GOOD, "auth_code": CODE}, Content_Type=kind)

    expect_problem(refused, 415, "unsupported_media_type")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_packed_body_is_refused(seller, expect_problem, encoding):
    """415, and what to do instead; not a riddle about JSON."""
    body = gzip.compress(json.dumps({**GOOD, "auth_code": CODE}).encode())

    refused = post(seller, body, Content_Encoding=encoding)

    expect_problem(refused, 415, "unsupported_media_type")
    assert "Content-Encoding" in refused["detail"]


@pytest.mark.usefixtures("unchanged")
def test_a_body_over_the_limit_is_refused(seller, expect_problem):
    """413 beyond 64 KiB."""
    body = json.dumps({**GOOD, "subject": "x" * 70_000}).encode()

    expect_problem(post(seller, body), 413, "body_too_large")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/nothing"),
        ("GET", "/"),
        ("GET", "/v1/payments/"),
        ("GET", "/v1//payments"),
        ("POST", "/v2/payments"),
        ("GET", "/v1/payments/%2e%2e/keys"),
    ],
)
def test_there_is_nothing_elsewhere(seller, expect_problem, method, path):
    """404."""
    expect_problem(seller.client.send(method, path), 404, "not_found")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/payments", {"GET", "POST"}),
        ("PUT", "/v1/payments", {"GET", "POST"}),
        ("PATCH", "/v1/payments/pay_01ZZZZZZZZ0000000000000Z", {"GET"}),
        ("GET", "/v1/payments/pay_01ZZZZZZZZ0000000000000Z/refunds", {"POST"}),
        ("OPTIONS", "/v1/payments", {"GET", "POST"}),
    ],
)
def test_another_method_is_refused(seller, expect_problem, method, path, allowed):
    """405 with Allow."""
    refused = seller.client.send(method, path)

    expect_problem(refused, 405, "method_not_allowed")
    assert {name.strip() for name in refused.headers["Allow"].split(",")} == allowed


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "identifier", ["pay_1", "x", "rfd_01ZZZZZZZZ0000000000000Z", "pay_%00", "pay_" + "Z" * 500]
)
def test_what_is_no_id_is_not_found(seller, expect_problem, identifier):
    """404, whatever it looks like."""
    expect_problem(seller.client.get(f"/v1/payments/{identifier}"), 404, "not_found")
    refund = seller.client.post(f"/v1/payments/{identifier}/refunds", {}, key="k")
    expect_problem(refund, 404, "not_found")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("query", ["wait=0", "wait=31", "wait=x", "wait=1&wait=2", "wat=1"])
def test_wrong_query_parameters_are_named(seller, expect_problem, query):
    """422 on the read of one object."""
    path = f"/v1/payments/pay_01ZZZZZZZZ0000000000000Z?{query}"

    expect_problem(seller.client.get(path), 422, "invalid_field", query.partition("=")[0])


@pytest.mark.usefixtures("unchanged")
def test_another_version_is_refused(seller, expect_problem):
    """Tillway-Version pins behavior; there is only one."""
    refused = seller.client.get("/v1/payments", Tillway_Version="2020-01-01")

    expect_problem(refused, 400, "malformed", "Tillway-Version")
    assert seller.client.get("/v1/payments", Tillway_Version="2026-12-01").status == 200


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"amount": "1"}, "amount"),
        ({"amount": 0}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": 1, "currency": "cny"}, "currency"),
        ({"reason": "x" * 129}, "reason"),
        ({"metadata": {"a": None}}, "metadata"),
    ],
)
def test_wrong_refunds_are_named(seller, expect_problem, body, param):
    """Before anybody looks for the payment."""
    path = "/v1/payments/pay_01ZZZZZZZZ0000000000000Z/refunds"

    expect_problem(seller.client.post(path, body, key="k"), 422, "invalid_field", param)
