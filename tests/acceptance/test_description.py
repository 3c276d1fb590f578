"""The document on a running gateway: real answers fit it, its examples work, its links lead on."""

import copy
import gzip
import json
import re
import subprocess
import uuid

import pytest

from judge import Judge

NEED_DAYS = (
    "/v1/clearing_batches/run",
    "/v1/withdrawals",
    "/v1/freezes",
    "/v1/advances",
    "/v1/reconciliations",
)
"""What needs a day that has passed, money at a bank, or bills: `test_payouts.py` and
`test_reconciliation.py` have them."""

ID = re.compile(r"\{[a-z]+\}")


@pytest.fixture(scope="module")
def document(gateway, kit):
    """The document as the gateway serves it."""
    answer = kit.Client(gateway.api).get("/openapi.json")
    assert (200, "application/json") == (answer.status, answer.headers["Content-Type"])
    return answer.body


@pytest.fixture(scope="module")
def judge(document):
    return Judge(document)


@pytest.fixture
def judged(kit, judge, monkeypatch):
    """Every answer to any client of this test is held against the document."""
    send = kit.Client.send

    def checked(self, method, path, *args, **words):
        answer = send(self, method, path, *args, **words)
        judge.check(method, path, answer)
        return answer

    monkeypatch.setattr(kit.Client, "send", checked)
    return judge


# --- real answers ---------------------------------------------------------------------------


def test_answers_about_payments_are_as_described(judged, shop):
    """Paid, declined, pending, replayed, canceled, a code, lists, a time line, each refusal."""
    key = uuid.uuid4().hex
    order = shop.order()
    paid = shop.client.post("/v1/payments", order, key=key)
    assert "succeeded" == paid["status"]
    shop.client.post("/v1/payments", order, key=key)
    shop.client.post("/v1/payments", {**order, "amount": 1}, key=key)
    shop.pay(order_no=order["order_no"])
    shop.pay(ending="9003")
    shop.pay(ending="9012")
    pending = shop.pay(ending="9001", wait=0)
    assert 202 == pending.status
    shop.pay(order_no=pending["order_no"])
    shop.read(pending["id"])
    shop.cancel(pending["id"])
    shop.read(pending["id"], wait=5)
    for way in ({"way": "qr", "wallet": "wechat"}, {"way": "cashier"}):
        code = shop.pay(**way)
        assert "requires_payer" == code["status"]
        shop.client.get(code["code"]["image_svg_url"].removeprefix(shop.gateway.api))
        assert shop.cancel(code["id"]).status in (200, 202)
    shop.refund(paid["id"], 800)
    shop.refund(paid["id"], 800, body={"reason": "The egg was missing"})
    shop.refund(paid["id"], 3801)
    shop.refund(pending["id"])
    shop.cancel(paid["id"])
    shop.client.get(f"/v1/payments/{paid['id']}/timeline")
    shop.client.get("/v1/payments?limit=2&way=barcode")
    shop.client.get("/v1/payments?limit=200")
    shop.refunds_of(paid["id"])
    shop.read(shop.refunds_of(paid["id"])[0]["id"])
    shop.client.post("/v1/payments", b"{", key="k")
    shop.client.post("/v1/payments", b"x" * 70_000, key="k")
    shop.client.post("/v1/payments", order, key="k", Content_Type="text/plain")
    shop.client.post("/v1/payments", order)
    shop.client.send("PUT", "/v1/payments")
    shop.client.get("/v1/nothing")

    for expected in (
        ("createPayment", 201), ("createPayment", 202), ("createPayment", 400),
        ("createPayment", 409), ("createPayment", 413), ("createPayment", 415),
        ("createPayment", 422), ("getPayment", 200), ("cancelPayment", 200),
        ("cancelPayment", 409), ("createRefund", 201), ("createRefund", 422),
        ("getRefund", 200), ("listRefunds", 200), ("listPayments", 422),
        ("getPaymentTimeline", 200), ("getCodePicture", 200),
    ):  # fmt: skip
        assert expected in judged.seen, expected


def test_answers_about_reference_data_are_as_described(judged, gateway, kit):
    """Merchants, stores, terminals and keys: made, read, listed, changed, ended, refused."""
    shop = gateway.new_shop(metadata={"city": "Shenzhen"})
    client, operator = shop.client, gateway.operator
    for path in (f"/v1/stores/{shop.store}", f"/v1/terminals/{shop.terminal}"):
        assert 200 == client.get(path).status
    for path in ("/v1/stores", "/v1/terminals", "/v1/keys", "/v1/merchants?status=active&limit=1"):
        assert 200 == client.get(path).status
    operator.post(f"/v1/merchants/{shop.id}", {"name": "Soup"})
    operator.post(f"/v1/merchants/{shop.id}", {"status": "application"})
    again = {"key": uuid.uuid4().hex, "Tillway_Merchant": shop.id}
    wish = {"type": "hmac-sha256", "scopes": ["payments:read"]}
    made = operator.post("/v1/keys", wish, **again)
    assert "true" == operator.post("/v1/keys", wish, **again).headers["Idempotent-Replayed"]
    signing = client.get(f"/v1/keys/{made['id']}")
    assert "hmac-sha256" == signing["type"]
    client.post(f"/v1/keys/{made['id']}/rotate", {"overlap_seconds": 60})
    client.send("DELETE", f"/v1/keys/{made['id']}")
    client.post("/v1/merchants", {"name": "Mine"})
    client.post("/v1/terminals", {"name": "Till", "store": "sto_01ZZZZZZZZ0000000000000Z"})
    kit.Client(gateway.api, "sk_test_nobody").get("/v1/stores")
    client.get("/v1/merchants/mch_01ZZZZZZZZ0000000000000Z")

    for expected in (
        ("createMerchant", 201), ("updateMerchant", 200), ("updateMerchant", 409),
        ("createKey", 201), ("getKey", 200), ("rotateKey", 201), ("revokeKey", 200),
        ("listKeys", 200), ("listStores", 401), ("createMerchant", 403), ("getMerchant", 404),
        ("createTerminal", 404), ("listMerchants", 200), ("getStore", 200), ("getTerminal", 200),
    ):  # fmt: skip
        assert expected in judged.seen, expected


def test_answers_of_test_helpers_and_operations_are_as_described(judged, gateway, shop):
    """The clock, the payer's acts, the books, the status and the trial balance."""
    clock = gateway.clock
    gateway.operator.post("/v1/test_helpers/clocks", {})
    clock.advance(1)
    shop.client.post(f"{clock.path}/advance", {"seconds": 1, "to": "2040-01-01T00:00:00Z"})
    for act in ("pay", "decline", "pay_twice"):
        code = shop.pay(way="qr", wallet="alipay")
        shop.client.post(f"/v1/test_helpers/payments/{code['id']}/{act}", {})
    gateway.books()
    gateway.operator.get("/v1/test_helpers/channels/nobody/books")
    gateway.operator.get("/v1/status")
    gateway.counts()

    assert {("createTestClock", 200), ("createTestClock", 201)} & judged.seen
    for expected in (
        ("advanceTestClock", 202), ("advanceTestClock", 422), ("getTestClock", 200),
        ("payAsPayer", 200), ("declineAsPayer", 200), ("payTwiceAsPayer", 200),
        ("getChannelBooks", 200), ("getChannelBooks", 404), ("getStatus", 200),
        ("getTrialBalance", 200),
    ):  # fmt: skip
        assert expected in judged.seen, expected


def test_answers_about_webhooks_and_plates_are_as_described(judged, shop):
    """Endpoints, events, deliveries, sent again; a plate and its picture."""
    client = shop.client
    wish = {"url": "http://127.0.0.1:9/nobody", "events": ["*"]}
    made = client.post("/v1/webhook_endpoints", wish)
    assert made["secret"].startswith("whsec_")
    path = f"/v1/webhook_endpoints/{made['id']}"
    paid = shop.paid()
    events = client.get(f"/v1/events?payment={paid['id']}&limit=5")
    event = f"/v1/events/{events['data'][0]['id']}"
    for read in (path, "/v1/webhook_endpoints", f"{path}/deliveries?limit=1", event):
        assert 200 == client.get(read).status
    assert 200 == client.get(f"{event}/deliveries").status
    client.post(f"{event}/resend", {})
    client.post("/v1/events/resend", {"from": "2026-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"})
    client.get(f"/v1/payments/{paid['id']}/timeline")
    client.post(f"{path}/roll", {"overlap_seconds": 60})
    client.post(path, {"status": "disabled"})
    client.send("PATCH", path, {"events": ["refund.*"]})
    client.post(f"{path}/enable", {})
    client.post("/v1/webhook_endpoints", {**wish, "events": ["nothing.*"]})
    client.send("DELETE", path)
    plate = client.post("/v1/qr_plates", {"store": shop.store, "label": "Counter"})
    client.post(f"/v1/qr_plates/{plate['id']}", {"status": "disabled"})
    client.get(f"/v1/qr_plates/{plate['id']}")
    client.get("/v1/qr_plates?status=disabled")
    client.get(plate["image_svg_url"].removeprefix(shop.gateway.api))

    for expected in (
        ("createWebhookEndpoint", 201), ("createWebhookEndpoint", 422),
        ("listWebhookEndpoints", 200), ("getWebhookEndpoint", 200), ("listEvents", 200),
        ("updateWebhookEndpoint", 200), ("patchWebhookEndpoint", 200), ("getEvent", 200),
        ("rollWebhookSecret", 200), ("enableWebhookEndpoint", 200), ("resendEvent", 202),
        ("resendEvents", 202), ("listDeliveriesOfEvent", 200), ("listDeliveriesOfEndpoint", 200),
        ("deleteWebhookEndpoint", 200), ("createQrPlate", 201), ("updateQrPlate", 200),
        ("getQrPlate", 200), ("listQrPlates", 200),
    ):  # fmt: skip
        assert expected in judged.seen, expected


def test_answers_about_splitting_are_as_described(judged, shop):
    """Receivers and rules: made, read, listed, changed; splits and balances; what is refused."""
    client = shop.client
    rider = client.post("/v1/receivers", {"name": "rider"})["id"]
    parts = [{"receiver": rider, "tiers": [{"up_to": 5, "amount": 1}, {"ratio_ppm": 9_000}]}]
    rule = client.post("/v1/split_rules", {"match": {"tag": "x"}, "parts": parts})["id"]
    for path in (f"/v1/receivers/{rider}", f"/v1/split_rules/{rule}"):
        assert 200 == client.get(path).status
        client.post(path, {"status": "active"})
    for path in ("/v1/receivers?status=active", "/v1/split_rules?limit=1", "/v1/balances"):
        assert 200 == client.get(path).status
    paid = shop.paid(splits=[{"receiver": rider, "amount": 100}])
    shop.refund(paid["id"], 3_800)
    assert 200 == client.get(f"/v1/payments/{paid['id']}/splits").status
    assert 200 == client.get(f"/v1/balances?receiver={rider}").status
    client.get(f"/v1/balances?receiver={rider}&merchant={shop.id}")
    client.get("/v1/split_rules/spl_01ZZZZZZZZ0000000000000Z")
    client.post("/v1/split_rules", {"parts": []})

    for expected in (
        ("createReceiver", 201), ("getReceiver", 200), ("updateReceiver", 200),
        ("listReceivers", 200), ("createSplitRule", 201), ("createSplitRule", 422),
        ("getSplitRule", 200), ("getSplitRule", 404), ("updateSplitRule", 200),
        ("listSplitRules", 200), ("listSplits", 200), ("listBalances", 200),
        ("listBalances", 422), ("createRefund", 201),
    ):  # fmt: skip
        assert expected in judged.seen, expected


def test_the_judge_sees_an_answer_that_is_not_described(judge, shop):
    """It is no rubber stamp: another status, a header or a field too many, each is found."""
    paid = shop.paid()
    path = f"/v1/payments/{paid['id']}"
    judge.check("POST", "/v1/payments", paid)
    with pytest.raises(AssertionError):
        judge.check("GET", path, paid)
    for change in ({"colour": "red"}, {"amount": "1"}, {"created": "yesterday"}):
        read = shop.read(paid["id"])
        read.body |= change
        with pytest.raises(AssertionError):
            judge.check("GET", path, read)
    read = shop.read(paid["id"])
    read.headers["Retry-After"] = "1"
    with pytest.raises(AssertionError):
        judge.check("GET", path, read)


def test_nothing_is_said_without_a_key(document, gateway, kit):
    """Each operation that asks for a key answers 401 without one, and with one that nobody has."""
    strangers = [
        kit.Client(gateway.api),
        kit.Client(gateway.api, "sk_test_nobody"),
        kit.Client(gateway.api, Signature="sig1=:AAAA:", Signature_Input="sig1=()"),
    ]
    asked = 0
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not operation["security"]:
                continue
            somewhere = ID.sub("pay_01M7Y4WH5A000W7H0V64525C", path)
            for stranger in strangers:
                body = {} if "requestBody" in operation else None
                answer = stranger.send(method.upper(), somewhere, body, key="k")
                assert (401, "unauthorized") == (answer.status, answer["code"]), (method, path)
                asked += 1
    assert asked > 100


# --- examples -------------------------------------------------------------------------------


def test_examples_of_requests_work(judged, document, shop):
    """What a reader copies out of the document is taken: each example that makes something."""
    made = 0
    for path, item in document["paths"].items():
        content = item.get("post", {}).get("requestBody", {}).get("content", {})
        examples = content.get("application/json", {}).get("examples", {})
        if "{" in path:
            continue
        for example in examples.values():
            body = copy.deepcopy(example["value"])
            if "store" in body:
                body["store"] = shop.store
            for part in (*body.get("parts", ()), *body.get("splits", ())):
                part["receiver"] = shop.client.post("/v1/receivers", {"name": "rider"})["id"]
            if path in NEED_DAYS:
                continue
            client = shop.gateway.operator if path == "/v1/merchants" else shop.client
            answer = client.post(path, body, key=uuid.uuid4().hex)
            assert answer.status in (200, 201, 202), (path, body, answer)
            made += 1
    assert made >= 8


def test_the_examples_of_refunds_work(judged, document, shop):
    """A part, then all that is left."""
    paid = shop.paid()
    path = "/v1/payments/{id}/refunds"
    examples = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    for name in ("part", "all"):
        body = examples["examples"][name]["value"]
        made = shop.client.post(path.format(id=paid["id"]), body, key=uuid.uuid4().hex)
        assert (201, "succeeded") == (made.status, made["status"]), made
    assert 3800 == shop.read(paid["id"])["amount_refunded"]


# --- pages ----------------------------------------------------------------------------------


def test_every_problem_leads_to_its_paragraph(gateway, kit, document):
    """`doc_url` of each code, resolved on this server, is an anchor of the page of errors."""
    stranger = kit.Client(gateway.api)
    codes = document["components"]["examples"]
    refused = stranger.get("/v1/payments")
    for url in [refused["doc_url"]] + [each["value"]["doc_url"] for each in codes.values()]:
        path, _, anchor = url.partition("#")
        page = stranger.get(path)
        assert 200 == page.status, url
        assert f'id="{anchor}"'.encode() in page.content, url


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
def test_pages_ask_no_other_host(gateway, kit, path):
    """The policy allows this server alone, and every address on the page is of this server."""
    page = kit.Client(gateway.api).get(path)
    policy = page.headers["Content-Security-Policy"]
    html = page.content.decode()

    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["Content-Type"])
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "http" not in policy
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert addresses
    for address in addresses:
        assert address.startswith(("/", "#", "data:,")), address
        if address.startswith("/"):
            assert 200 == kit.Client(gateway.api).get(address).status


def test_files_are_compressed_for_those_who_can_read_that(gateway, kit):
    """The reader's script is sent as it is kept; a client without gzip gets it plain."""
    client = kit.Client(gateway.api)
    packed = client.get("/docs/scalar.js", Accept_Encoding="gzip, br")
    plain = client.get("/docs/scalar.js", Accept_Encoding="identity, gzip;q=0")

    assert "gzip" == packed.headers["Content-Encoding"]
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.content) == plain.content
    assert "Accept-Encoding" in packed.headers["Vary"]


def test_who_has_the_document_is_told_so(gateway, kit):
    """304 for the same tag, the document again for another; HEAD has no body."""
    client = kit.Client(gateway.api)
    first = client.get("/openapi.json")
    tag = first.headers["ETag"]

    assert 304 == client.get("/openapi.json", If_None_Match=tag).status
    assert b"" == client.get("/openapi.json", If_None_Match=tag).content
    assert 200 == client.get("/openapi.json", If_None_Match='W/"other"').status
    head = client.send("HEAD", "/openapi.json")
    assert (200, b"") == (head.status, head.content)
    assert str(len(first.content)) == head.headers["Content-Length"]


def test_the_command_line_says_the_same(document, kit, tmp_path):
    """`tillway openapi` needs no server; `--out` writes a file."""
    told = subprocess.run([kit.TILLWAY, "openapi"], check=True, capture_output=True)
    file = tmp_path / "openapi.json"
    subprocess.run([kit.TILLWAY, "openapi", "--out", file], check=True)

    assert document == json.loads(told.stdout)
    assert document == json.loads(file.read_text())
