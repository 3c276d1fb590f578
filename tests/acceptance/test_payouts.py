"""The way home over HTTP: people, their keys, and what they may see and do.

A demo's own shop sells with split shares; days pass; what came home is withdrawn with two people's
word. `test_way_home.py` counts the bank's money; here is who may ask for it.
"""

import re
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

OPERATIONS = Path(__file__).parents[2] / "docs" / "OPERATIONS.md"
DAY_S = 86_400
DAYS_MAX = 10
PATIENCE_S = 60
YEAR = datetime.now(UTC).year
CONFIG = "[settlement]\nalone_max_minor = 1\nwithdrawals.day_count_max = 1000\n" + "".join(
    f'[workdays.{year}]\nsource = "made for tests"\nholidays = []\nworking_weekends = []\n'
    for year in (YEAR, YEAR + 1)
)
SOLD = 50_000_00
"""In minor units: the most that one payment may be."""

RECEIVER_SHARE = 600_000
MISSING = "01ZZZZZZZZ0000000000000Z"


def until(asked, is_so, what):
    """The answer that is so, soon."""
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = asked()
        if is_so(answer):
            return answer
        assert time.monotonic() < end, (what, answer)
        time.sleep(0.1)


class People:
    """A demo on one event loop, with a shop of its own and keys of several people."""

    def __init__(self, demo, kit):
        self.demo, self.kit = demo, kit
        self.shop = demo.new_shop()
        self.stranger = demo.new_shop()
        self.maker, self.checker = self.person("maker"), self.person("checker")
        self.both = self.person("operator", "checker")

    def person(self, *roles):
        made = self.demo.operator.post("/v1/keys", {"type": "bearer", "roles": list(roles)})
        assert made["secret"].startswith("op_test_")
        return self.kit.Client(self.demo.api, made["secret"])

    def acting(self, person):
        return self.kit.Client(
            self.demo.api, person.headers["Authorization"].removeprefix("Bearer "),
            Tillway_Merchant=self.shop.id,
        )  # fmt: skip

    def account(self, number, receiver=None):
        """A registered account, confirmed by another person."""
        body = {"name": "Lao Wang", "number": number, "bank": "icbc"}
        if receiver is not None:
            body["receiver"] = receiver
        made = self.shop.client.post("/v1/settlement_accounts", body)
        assert (201, "registered") == (made.status, made["status"]), made
        return made["id"]

    def balance(self, receiver=None):
        path = "/v1/balances" + ("" if receiver is None else f"?receiver={receiver}")
        (row,) = self.shop.client.get(path)["data"]
        return row


@pytest.fixture(scope="module")
def people(kit, tmp_path_factory):
    demo = kit.Deployment(tmp_path_factory.mktemp("payouts") / "data", "local", CONFIG)
    demo.command = ["demo", "--rate", "0"]
    yield People(demo.start(), kit)
    demo.close()


@pytest.fixture(scope="module")
def sold(people):
    """Accounts are confirmed, payments with shares are made and their days have passed."""
    shop, client = people.shop, people.shop.client
    rider = client.post("/v1/receivers", {"name": "rider"})["id"]
    accounts = [people.account("6222020200112233445"), people.account("6222020200119999999", rider)]
    for account in accounts:
        path = f"/v1/settlement_accounts/{account}/confirm"
        assert (403, "insufficient_scope") == _refusal(client.post(path, {}))
        confirmed = people.checker.post(path, {})
        assert (200, "confirmed") == (confirmed.status, confirmed["status"]), confirmed
        assert confirmed["number"].startswith("****")
    people.demo.operator.post(f"/v1/merchants/{shop.id}", {"payout": {"mode": "manual"}})
    share = [{"receiver": rider, "ratio_ppm": RECEIVER_SHARE}]
    scanned = shop.pay(way="qr", wallet="wechat", amount=SOLD, splits=share)
    assert 201 == scanned.status, scanned
    client.post(f"/v1/test_helpers/payments/{scanned['id']}/pay", {})
    until(lambda: shop.read(scanned["id"]), lambda paid: paid["status"] == "succeeded", "paid")
    for _ in range(DAYS_MAX):
        people.demo.clock.advance(DAY_S)
        if people.balance()["available"] and people.balance(rider)["available"]:
            break
    net = SOLD - (SOLD * 3_800 + 500_000) // 1_000_000
    theirs = net * RECEIVER_SHARE // 1_000_000
    assert net - theirs == people.balance()["available"]
    assert theirs == people.balance(rider)["available"]
    return rider


def _refusal(answer):
    return answer.status, answer.body.get("code")


def _withdraw(client, amount, key=None, **fields):
    body = {"amount": amount, "currency": "cny", **fields}
    return client.post("/v1/withdrawals", body, key=key or uuid.uuid4().hex)


def test_batches_are_the_shops_own(people, sold):
    """Its figures add up; a stranger has the 404 of one that does not exist; operators see it."""
    (batch,) = people.shop.client.get("/v1/clearing_batches")["data"]
    assert batch["net"] == batch["gross"] - batch["refunds"] - batch["discounts"] - (
        batch["fees"] + batch["splits"]
    )
    path = f"/v1/clearing_batches/{batch['id']}"
    foreign = people.stranger.client.get(path)
    missing = people.stranger.client.get(f"/v1/clearing_batches/bat_{MISSING}")
    assert [(404, "not_found")] * 2 == [_refusal(foreign), _refusal(missing)]
    assert batch == people.maker.get(path).body
    assert batch["id"] in [
        each["id"] for each in people.maker.get("/v1/clearing_batches?limit=100")["data"]
    ]
    assert [] == people.stranger.client.get("/v1/clearing_batches")["data"]
    again = people.shop.client.post("/v1/clearing_batches/run", {})
    assert 202 == again.status, again


def test_a_receivers_withdrawal_waits_for_another_person(people, sold):
    """Asked for by one key, approved by another, paid by the bank; once for one key."""
    have = people.balance(sold)["available"]
    merchant = f"/v1/merchants/{people.shop.id}"
    people.demo.operator.post(merchant, {"payout": {"hold": "review"}})
    client = people.acting(people.both)
    asked = _withdraw(client, have, "rider-1", receiver=sold)
    again = _withdraw(client, have, "rider-1", receiver=sold)
    other = _withdraw(client, have - 1, "rider-1", receiver=sold)
    assert (201, 201, "true") == (
        asked.status, again.status, again.headers["Idempotent-Replayed"],
    )  # fmt: skip
    assert (asked["id"], sold) == (again["id"], asked["receiver"])
    assert (422, "idempotency_mismatch") == _refusal(other)
    assert "in_review" == asked["status"]
    path = f"/v1/withdrawals/{asked['id']}/approve"
    assert (403, "insufficient_scope") == _refusal(people.maker.post(path, {}))
    assert (403, "insufficient_scope") == _refusal(people.shop.client.post(path, {}))
    assert (409, "conflict") == _refusal(people.both.post(path, {}))
    assert 200 == people.checker.post(path, {}).status
    assert 0 == people.balance(sold)["available"]
    people.demo.operator.post(merchant, {"payout": {"hold": "none"}})

    path = f"/v1/withdrawals/{asked['id']}"
    drafted = people.maker.get("/v1/settlement_instructions?status=drafted")["data"]
    assert [asked["id"]] == [each["withdrawal"] for each in drafted]
    for each in drafted:
        check = f"/v1/settlement_instructions/{each['id']}/check"
        assert (409, "conflict") == _refusal(people.both.post(check, {}))
        assert 200 == people.checker.post(check, {}).status
    for _ in range(DAYS_MAX):
        people.demo.clock.advance(DAY_S)
        if people.shop.client.get(path)["status"] == "paid":
            break
    assert "paid" == people.shop.client.get(path)["status"]
    assert {"available": 0, "in_transit": 0} == {
        name: people.balance(sold)[name] for name in ("available", "in_transit")
    }


def test_frozen_money_cannot_be_withdrawn(people, sold):
    """Held by an operator for a reason, whole; nobody takes more than there is."""
    have = people.balance()["available"]
    body = {"amount": have, "currency": "cny", "reason": "court order"}
    assert (403, "insufficient_scope") == _refusal(
        people.shop.client.post("/v1/freezes", body, key="f-0")
    )
    held = people.acting(people.maker).post("/v1/freezes", body, key="f-1")
    assert (201, "frozen", have) == (held.status, held["status"], people.balance()["frozen"])
    assert 409 == _withdraw(people.shop.client, 1).status
    assert (404, "not_found") == _refusal(people.stranger.client.get(f"/v1/freezes/{held['id']}"))
    path = f"/v1/freezes/{held['id']}/release"
    released = people.maker.post(path, {"reason": "lifted"})
    assert (200, "released") == (released.status, released["status"])
    assert (have, 0) == (people.balance()["available"], people.balance()["frozen"])
    assert 409 == _withdraw(people.shop.client, have + 1).status


def test_what_is_wrong_is_said(people, sold):
    """Each by its code, and the field where there is one."""
    client = people.shop.client
    ten = {"amount": 10, "currency": "cny"}
    table = [
        (client.post("/v1/withdrawals", ten), 400, "Idempotency-Key"),
        (client.post("/v1/withdrawals", {**ten, "amount": 1.5}, key="b1"), 422, "amount"),
        (client.post("/v1/withdrawals", {**ten, "amount": -1}, key="b2"), 422, "amount"),
        (client.post("/v1/withdrawals", {**ten, "colour": 1}, key="b3"), 422, "colour"),
        (client.post("/v1/withdrawals", {"amount": 10}, key="b4"), 422, "currency"),
        (client.get("/v1/withdrawals?status=gone"), 422, "status"),
        (client.get("/v1/withdrawals?limit=0"), 422, "limit"),
        (client.get(f"/v1/withdrawals/wdr_{MISSING}"), 404, None),
        (client.get("/v1/withdrawals/x"), 404, None),
        (client.post("/v1/settlement_accounts", {"name": "x"}), 422, "number"),
        (client.post(f"/v1/merchants/{people.shop.id}", {"payout": {"minimum": 1}}), 403, None),
        (client.get("/v1/advances?status=x"), 422, "status"),
    ]
    for answer, status, param in table:
        named = answer.body.get("param")
        assert (status, param) == (answer.status, named and named.lstrip("/")), answer


def test_a_thousand_parallel_withdrawals_never_take_more_than_there_is(people, sold):
    """In pieces, some of them asked for twice, while sales come in and batches are cleared.

    A clearing brings money to nobody before the channel's is there: so many fit as fitted before.
    """
    before = people.balance()
    have, moving = before["available"], before["in_transit"]
    piece = have // 401
    fit = have // piece
    assert 400 < fit < 800
    requests = [
        ("POST", "/v1/withdrawals", {"amount": piece, "currency": "cny"}, f"storm-{n % 800}")
        for n in range(1_000)
    ]
    for n in range(0, 1_000, 100):
        requests[n : n + 1] = [
            ("POST", "/v1/payments", people.shop.order(), uuid.uuid4().hex),
            ("POST", "/v1/clearing_batches/run", {}, None),
            requests[n],
        ]

    answers = people.shop.client.storm(requests)

    asked = [
        a for a, (_, path, *_) in zip(answers, requests, strict=True) if path.endswith("drawals")
    ]
    assert 1_000 == len(asked)
    taken = [each for each in asked if each.status == 201]
    assert fit == len({each["id"] for each in taken})
    assert {(409, "conflict")} == {_refusal(each) for each in asked if each.status != 201}
    after = people.balance()
    moved = fit * piece
    assert (have - moved, moving + moved) == (after["available"], after["in_transit"])
    others = {each.status for each in answers if each not in asked}
    assert others == {201, 202}, others
    assert people.demo.counts()


def test_every_metric_of_the_bank_and_of_bills_is_there(people):
    """Each name of docs/OPERATIONS.md about them that needs no accident."""
    documented = re.findall(
        r"^\| `(tillway_(?:custody|reconciliation)\w+)`",
        OPERATIONS.read_text("utf-8"),
        re.MULTILINE,
    )
    assert len(documented) > 10

    def told():
        return people.kit.Client(people.demo.admin).send("GET", "/metrics").content.decode()

    until(told, lambda text: all(f"# TYPE {name} " in text for name in documented), documented)
