"""Webhooks as a merchant meets them: registered over HTTP, received over HTTP, verified by others.

The signatures are checked by the standard's own library.
"""

import http.server
import json
import threading
import time
import uuid

import pytest
from standardwebhooks.webhooks import Webhook

ON_RAY_TOO = True
SOON_S = 60.0


class Hook:
    """A receiver with a path for each endpoint. `answers`: path -> (status, headers) to come."""

    def __init__(self):
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with hook.lock:
                    hook.got.append((self.path, dict(self.headers), body))
                    planned = hook.answers.get(self.path) or [(200, {})]
                    status, headers = planned.pop(0) if len(planned) > 1 else planned[0]
                    hook.lock.notify_all()
                self.send_response(status)
                for name, value in {"Content-Length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_):
                """A test's output is its own."""

        self.lock = threading.Condition()
        self.got = []
        self.answers = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)

    def at(self, path):
        return [(headers, body) for where, headers, body in self.got if where == path]

    def wait(self, path, count):
        """The requests of a path, once there are so many."""
        with self.lock:
            came = self.lock.wait_for(lambda: len(self.at(path)) >= count, SOON_S)
        assert came, (path, count, self.at(path))
        return self.at(path)


@pytest.fixture(scope="module")
def hook():
    hook = Hook()
    yield hook
    hook.close()


@pytest.fixture
def path():
    return f"/{uuid.uuid4().hex}"


@pytest.fixture
def registered(shop, hook, path):
    """An endpoint of a fresh merchant for everything."""
    made = shop.client.post("/v1/webhook_endpoints", {"url": hook.url + path, "events": ["*"]})
    assert made.status == 201, made
    return made


def told(request):
    headers, body = request
    return headers["webhook-id"], json.loads(body)


def test_a_payment_and_its_refund_are_told_in_order_and_verified(shop, hook, path, registered):
    """What comes is the object as the API shows it; the standard's library believes it."""
    paid = shop.paid()
    refund = shop.refund(paid["id"])
    first, second = hook.wait(path, 2)

    verifier = Webhook(registered["secret"])
    for headers, body in (first, second):
        assert verifier.verify(body, headers) == json.loads(body)
    assert ["payment.succeeded", "refund.succeeded"] == [
        told(each)[1]["type"] for each in (first, second)
    ]
    assert told(first)[1]["data"] == paid.body
    assert told(second)[1]["data"] == refund.body
    events = shop.client.get("/v1/events").body
    assert [told(second)[0], told(first)[0]] == [each["id"] for each in events["data"]]
    assert events["data"][1]["data"] == paid.body
    assert (False, "/v1/events") == (events["has_more"], events["url"])


def test_what_was_refused_comes_again_and_is_told_in_the_time_line(shop, hook, path, registered):
    """503 with Retry-After: after a second, under the same id; deliveries and time line tell it."""
    hook.answers[path] = [(503, {"Retry-After": "1"}), (204, {})]
    paid = shop.paid()
    (first, second) = hook.wait(path, 2)
    assert told(first)[0] == told(second)[0]
    assert first[0]["webhook-timestamp"] < second[0]["webhook-timestamp"]

    until = time.monotonic() + SOON_S
    while time.monotonic() < until:
        (delivery,) = shop.client.get(f"/v1/events/{told(first)[0]}/deliveries")["data"]
        if delivery["status"] == "delivered":
            break
        time.sleep(0.05)
    assert [(2, 204, "delivered"), (1, 503, "refused")] == [
        (each["number"], each["status_code"], each["outcome"]) for each in delivery["attempts"]
    ]
    listed = shop.client.get(f"/v1/webhook_endpoints/{registered['id']}/deliveries")
    assert [delivery] == listed["data"]
    lines = shop.client.get(f"/v1/payments/{paid['id']}/timeline")["data"]
    kinds = [line["kind"] for line in lines]
    assert ["event", "webhook", "webhook"] == kinds[-3:]
    # Tries keep real time; what happened to the payment keeps the test clock's.
    for part in (lines[:-2], lines[-2:]):
        assert sorted(line["at"] for line in part) == [line["at"] for line in part]


def test_410_disables_and_enabling_brings_what_is_asked_for(shop, hook, path, registered):
    """By one event, and by a range."""
    hook.answers[path] = [(410, {}), (200, {})]
    shop.paid()
    hook.wait(path, 1)
    where = f"/v1/webhook_endpoints/{registered['id']}"
    until = time.monotonic() + SOON_S
    while shop.client.get(where)["status"] == "enabled":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert shop.client.get(where)["disabled_reason"] == "gone"
    missed = [shop.paid()["id"] for _ in range(3)]
    assert shop.client.post(f"{where}/enable")["status"] == "enabled"
    after = shop.client.get("/v1/events")["data"][-1]["id"]
    range_ = shop.client.post("/v1/events/resend", {"after": after})

    assert (202, 3, 3, False) == (
        range_.status,
        range_["events"],
        range_["deliveries"],
        range_["has_more"],
    )
    came = hook.wait(path, 4)
    assert sorted(missed) == sorted(told(each)[1]["data"]["id"] for each in came[1:])
    one = shop.client.post(f"/v1/events/{after}/resend")
    assert (202, after) == (one.status, one["data"][0]["event"])
    assert after == told(hook.wait(path, 5)[4])[0]


def test_a_rolled_secret_and_the_old_one_both_verify(shop, hook, path, registered):
    """Until the overlap ends."""
    rolled = shop.client.post(
        f"/v1/webhook_endpoints/{registered['id']}/roll", {"overlap_seconds": 600}
    )
    shop.paid()
    ((headers, body),) = hook.wait(path, 1)

    for secret in (registered["secret"], rolled["secret"]):
        assert Webhook(secret).verify(body, headers)


def test_a_platform_hears_of_all_its_merchants(gateway, hook, path, kit):
    """Its endpoint has no merchant; `merchant` stands in each object."""
    name = f"saas-{uuid.uuid4().hex[:8]}"
    wish = {"type": "bearer", "scopes": ["*"], "platform": name}
    secret = gateway.operator.post("/v1/keys", wish)["secret"]
    platform = kit.Client(gateway.api, secret)
    shops = [gateway.new_shop(platform=name) for _ in range(2)]
    made = platform.post("/v1/webhook_endpoints", {"url": hook.url + path, "events": ["payment.*"]})
    assert (201, None, name) == (made.status, made["merchant"], made["platform"])
    theirs = shops[0].client.post(
        "/v1/webhook_endpoints", {"url": hook.url + path + "-own", "events": ["*"]}
    )

    payments = {shop.paid()["id"]: shop.id for shop in shops}
    came = [told(each)[1]["data"] for each in hook.wait(path, 2)]
    assert payments == {each["id"]: each["merchant"] for each in came}
    assert {made["id"], theirs["id"]} == {
        each["id"] for each in platform.get("/v1/webhook_endpoints")["data"]
    }
    listed = platform.get("/v1/events")["data"]
    assert sorted(payments) == sorted(each["data"]["id"] for each in listed)
    acting = kit.Client(gateway.api, secret, **{"Tillway-Merchant": shops[0].id})
    assert [theirs["id"]] == [each["id"] for each in acting.get("/v1/webhook_endpoints")["data"]]


def test_scopes_decide(shop, kit, expect_problem):
    """Reading and writing are two; a till has neither."""
    reader = kit.Client(
        shop.client.api, shop.new_key(type="bearer", scopes=["webhooks:read"])["secret"]
    )
    writer = kit.Client(
        shop.client.api, shop.new_key(type="bearer", scopes=["webhooks:write"])["secret"]
    )
    till = kit.Client(
        shop.client.api,
        shop.new_key(type="bearer", scopes=["*"], terminal=shop.terminal)["secret"],
    )
    wish = {"url": "http://127.0.0.1:1/", "events": ["*"]}

    assert reader.get("/v1/events").status == reader.get("/v1/webhook_endpoints").status == 200
    assert writer.post("/v1/webhook_endpoints", wish).status == 201
    for client, path in ((writer, "/v1/events"), (till, "/v1/events")):
        expect_problem(client.get(path), 403, "insufficient_scope")
    for client in (reader, till):
        expect_problem(client.post("/v1/webhook_endpoints", wish), 403, "insufficient_scope")


BAD = [
    ({"url": "http://10.0.0.1/", "events": ["*"]}, "url"),
    ({"url": "http://169.254.169.254/latest/meta-data", "events": ["*"]}, "url"),
    ({"url": "ftp://127.0.0.1/", "events": ["*"]}, "url"),
    ({"url": "http://127.0.0.1/", "events": []}, "events"),
    ({"url": "http://127.0.0.1/", "events": ["payment"]}, "events.0"),
    ({"url": "http://127.0.0.1/", "events": ["*"], "secret": "mine"}, "secret"),
    ({"url": "http://127.0.0.1/"}, "events"),
    ({"events": ["*"]}, "url"),
    ({"url": 5, "events": ["*"]}, "url"),
    ({"url": "http://127.0.0.1/", "events": ["*"], "description": "4111 1111 1111 1111"},
     "description"),
]  # fmt: skip


@pytest.mark.parametrize(("wish", "param"), BAD)
def test_a_wrong_endpoint_is_a_problem_of_its_field(shop, expect_problem, wish, param):
    """Addresses inside, events that there are not, fields unknown or missing."""
    expect_problem(shop.client.post("/v1/webhook_endpoints", wish), 422, "invalid_field", param)
    assert [] == shop.client.get("/v1/webhook_endpoints")["data"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=x", "type=paymnt.*", "payment=x", "starting_after=x", "status=x",
     "created[gte]=now"],
)  # fmt: skip
def test_a_wrong_list_is_a_problem_of_its_parameter(shop, expect_problem, query):
    """Of events; none is passed over."""
    expect_problem(
        shop.client.get(f"/v1/events?{query}"), 422, "invalid_field", query.partition("=")[0]
    )


def test_an_endpoint_is_changed_and_removed(shop, hook, path, registered):
    """By PATCH and by POST; what is deleted hears nothing."""
    where = f"/v1/webhook_endpoints/{registered['id']}"
    patched = shop.client.send("PATCH", where, {"description": "Back office"})
    posted = shop.client.post(where, {"events": ["payment.failed"]})
    assert (200, "Back office") == (patched.status, patched["description"])
    assert (200, ["payment.failed"], "Back office") == (
        posted.status,
        posted["events"],
        posted["description"],
    )
    shop.paid()
    shop.pay(ending="9003")
    assert "payment.failed" == told(hook.wait(path, 1)[0])[1]["type"]
    gone = shop.client.send("DELETE", where)
    assert (200, True) == (gone.status, gone["deleted"])
    assert 404 == shop.client.get(where).status
    assert 404 == shop.client.send("DELETE", where).status


def test_the_clock_waits_until_webhooks_are_out(gateway, shop, hook, path, registered):
    """A payment reversed on the way of an advance has been told when the clock is ready."""
    made = shop.pay(ending="9002", wait=0)
    assert made.status == 202, made
    gateway.clock.advance(120)

    assert shop.read(made["id"])["status"] == "reversed"
    types = [told(each)[1]["type"] for each in hook.at(path)]
    assert ["payment.reversed"] == types


def test_endpoints_and_what_waits_survive_a_restart(deploy, hook, path, kit):
    """Of the whole deployment: what was refused before comes after, on its plan."""
    config = "[webhooks]\nretry_scale_ppm = 200000\n"
    deployment = deploy("again", config=config)
    shop = deployment.new_shop()
    hook.answers[path] = [(500, {}), (200, {})]
    made = shop.client.post("/v1/webhook_endpoints", {"url": hook.url + path, "events": ["*"]})
    paid = shop.paid()
    (first,) = hook.wait(path, 1)
    assert 0 == deployment.stop()
    deployment.start()
    shop.client = kit.Client(deployment.api, shop.key["secret"])
    (_, second) = hook.wait(path, 2)

    assert told(first)[0] == told(second)[0]
    assert paid["id"] == told(second)[1]["data"]["id"]
    assert Webhook(made["secret"]).verify(second[1], second[0])
    assert [made["id"]] == [each["id"] for each in shop.client.get("/v1/webhook_endpoints")["data"]]
