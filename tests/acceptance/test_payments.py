"""A barcode payment from the till's point of view: taken once, answered once, told in full."""

import uuid
from datetime import timedelta

import pytest

from business_time import instant

ON_RAY_TOO = True

FIELDS = """
    id object merchant store terminal order_no amount amount_refunded payer_amount settle_amount
    discounts currency way entry wallet channel status code client_params pay_url channel_trade_no
    fee net failure risk route verdict_by overdue late_success expires_at business_date created
    succeeded_at metadata livemode
"""

CAPABILITIES = """
    # way     wallet
      jsapi   alipay
      app     wechat
      h5      unionpay
      h5      ecny
"""


def table(text):
    """The rows of a table, without its comment."""
    lines = (line.split() for line in text.strip().splitlines())
    return [line for line in lines if line and not line[0].startswith("#")]


def test_a_barcode_payment_is_paid_and_told_in_full(shop, kit):
    """Every field of the object is there; fee 0.38 % half-up, net what is left."""
    made = shop.pay(metadata={"table": "7"}, subject="Beef noodles", operator="Li")

    assert made.status == 201, made
    assert set(made.body) >= set(FIELDS.split())
    told = made.body
    assert told["object"] == "payment"
    assert told["id"].startswith("pay_")
    assert told["merchant"] == shop.id
    assert (told["status"], told["way"], told["entry"]) == ("succeeded", "barcode", "api")
    assert (told["amount"], told["fee"], told["net"]) == (3800, 14, 3786)
    assert (told["payer_amount"], told["settle_amount"]) == (3800, 3800)
    assert (told["amount_refunded"], told["discounts"]) == (0, [])
    assert (told["currency"], told["wallet"], told["channel"]) == ("cny", "alipay", "simulated")
    assert told["channel_trade_no"]
    assert told["code"] is told["client_params"] is told["pay_url"] is told["failure"] is None
    assert told["risk"]["decision"]
    assert "simulated" in told["route"]["candidates"]
    assert told["livemode"] is told["overdue"] is told["late_success"] is False
    assert told["metadata"] == {"table": "7"}
    created, verdict = instant(told["created"]), instant(told["verdict_by"])
    assert verdict - created == timedelta(seconds=60)
    assert instant(told["succeeded_at"]) >= created
    assert told["business_date"] == int((created + timedelta(hours=8)).strftime("%Y%m%d"))


def test_every_answer_names_the_request_and_the_version(shop):
    """Two answers never have the same Request-Id."""
    first, second = shop.pay(), shop.pay()

    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert {a.headers["Tillway-Version"] for a in (first, second)} == {"2026-12-01"}
    assert first.headers["Content-Type"] == "application/json"


def test_a_payment_reads_as_it_was_answered(shop):
    """GET tells what POST told, and the code of the payer is in neither."""
    code = shop.code()
    made = shop.pay(auth_code=code)

    read = shop.read(made["id"])

    assert (200, made.body) == (read.status, read.body)
    assert code.encode() not in made.content


@pytest.mark.parametrize(
    ("code", "wallet"),
    [("13", "wechat"), ("28", "alipay"), ("62", "unionpay"), ("01", "ecny")],
)
def test_the_prefix_of_the_code_decides_the_wallet(shop, code, wallet):
    """Whatever the till believes, the code says whose wallet it is."""
    made = shop.paid(auth_code=shop.code(wallet=wallet))

    assert made["wallet"] == wallet


def test_store_and_terminal_stand_in_the_payment(shop):
    """A terminal brings its store."""
    made = shop.paid(terminal=shop.terminal)

    assert (made["store"], made["terminal"]) == (shop.store, shop.terminal)


def test_the_business_day_ends_when_the_store_closes(shop, kit):
    """What a store that closes at four sells before four belongs to the day before."""
    wish = {"name": "Late", "closing_minute": 240}
    store = shop.client.post("/v1/stores", wish)["id"]

    made = shop.paid(store=store)

    local = instant(made["created"]) + timedelta(hours=8)
    assert made["business_date"] == int((local - timedelta(minutes=240)).strftime("%Y%m%d"))


# --- idempotency ----------------------------------------------------------------------------


def test_the_same_key_and_body_is_the_same_payment(shop):
    """A till that repeats hears of the payment it has made."""
    body, key = shop.order(), uuid.uuid4().hex
    first = shop.client.post("/v1/payments", body, key=key)

    again = shop.client.post("/v1/payments", body, key=key)

    assert (201, first.body) == (again.status, again.body)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.charged(first["id"])["charges"] == 1


def test_a_quoted_key_is_the_same_key(shop):
    """Structured fields quote strings; older clients do not."""
    body = shop.order()
    first = shop.client.post("/v1/payments", body, key="till-7")

    again = shop.client.post("/v1/payments", body, key='"till-7"')

    assert again["id"] == first["id"]


def test_the_same_key_with_another_body_is_refused(shop, expect_problem):
    """A key names one request for ever."""
    first = shop.paid(key="k")

    refused = shop.pay(key="k")

    expect_problem(refused, 422, "idempotency_mismatch")
    page = shop.client.get("/v1/payments")
    assert [first["id"]] == [each["id"] for each in page["data"]]


def test_keys_are_each_merchants_own(gateway, shop):
    """Two merchants may use the same key."""
    other = gateway.new_shop()

    assert shop.paid(key="1")["id"] != other.paid(key="1")["id"]


def test_a_key_of_a_payment_is_no_key_for_its_refund(shop, expect_problem):
    """Method and path belong to the fingerprint."""
    made = shop.paid(key="k")

    expect_problem(shop.refund(made["id"], key="k"), 422, "idempotency_mismatch")
    assert shop.read(made["id"])["amount_refunded"] == 0


def test_a_key_of_a_refund_is_no_key_for_a_payment(shop, expect_problem):
    """The other way round, too."""
    made = shop.paid()
    assert shop.refund(made["id"], 100, key="k").status == 201

    expect_problem(shop.pay(key="k"), 422, "idempotency_mismatch")


def test_a_missing_key_is_refused(shop, expect_problem):
    """Money does not move without a key."""
    refused = shop.client.post("/v1/payments", shop.order())

    expect_problem(refused, 400, "malformed", "Idempotency-Key")


def test_a_replay_of_a_payment_under_way_answers_202(shop):
    """Repeated while it is processing: the same object as it stands."""
    body = shop.order(ending="9002")
    first = shop.client.post("/v1/payments", body, key="k", Prefer="wait=0")

    again = shop.client.post("/v1/payments", body, key="k", Prefer="wait=0")

    assert (202, "processing") == (first.status, first["status"])
    assert first.headers["Retry-After"]
    assert (202, first["id"], "processing") == (again.status, again["id"], again["status"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.cancel(first["id"]).status in (200, 202)


def test_a_refusal_does_not_use_up_the_key(shop, expect_problem):
    """After a 422 the same key may carry the corrected request."""
    expect_problem(shop.pay(key="k", amount=0), 422, "invalid_field", "amount")

    assert shop.pay(key="k").status == 201


def test_a_thousand_double_taps_make_one_payment(shop):
    """One object in all answers, one charge at the channel."""
    body = shop.order()

    answers = shop.client.storm([("POST", "/v1/payments", body, "tap")] * 1000)

    assert {answer.status for answer in answers} <= {201, 202}
    (identifier,) = {answer["id"] for answer in answers}
    first = [answer for answer in answers if "Idempotent-Replayed" not in answer.headers]
    assert len(first) == 1
    assert shop.charged(identifier)["charges"] == 1


def test_a_thousand_tills_with_one_order_make_one_payment(shop):
    """Other keys, the same order: it is paid once, and the others hear why not."""
    bodies = [shop.order(order_no="A1") for _ in range(1000)]
    requests = [("POST", "/v1/payments", body, uuid.uuid4().hex) for body in bodies]

    answers = shop.client.storm(requests)

    won = [answer for answer in answers if answer.status == 201]
    assert len(won) == 1
    codes = {answer["code"] for answer in answers if answer.status != 201}
    assert codes <= {"order_in_progress", "order_already_paid"}


# --- orders ---------------------------------------------------------------------------------


def test_an_order_that_is_paid_is_not_paid_again(shop, expect_problem):
    """Another key, another code: the order is paid."""
    shop.paid(order_no="A1")

    expect_problem(shop.pay(order_no="A1"), 409, "order_already_paid")


def test_an_order_under_way_is_not_begun_again(shop, expect_problem):
    """While the payer looks for the PIN, nobody pays for the payer."""
    open_ = shop.pay(order_no="A1", ending="9002", wait=0)

    expect_problem(shop.pay(order_no="A1"), 409, "order_in_progress")
    shop.cancel(open_["id"])


def test_an_order_is_free_again_after_a_failure(shop):
    """A declined attempt does not block the next one."""
    failed = shop.pay(order_no="A1", ending="9003")
    assert (201, "failed") == (failed.status, failed["status"])

    assert shop.paid(order_no="A1")["id"] != failed["id"]


# --- refusals that are payments -------------------------------------------------------------


def test_a_decline_is_a_payment_that_failed(shop):
    """HTTP says that the request was understood, `status` what happened to the money."""
    made = shop.pay(ending="9003")

    assert (201, "failed") == (made.status, made["status"])
    assert made["failure"]["code"] == "insufficient_funds"
    assert made["failure"]["message"]
    assert made["net"] is None
    assert shop.charged(made["id"])["charges"] == 0


def test_a_used_code_is_not_sent_again(shop):
    """One code, one payment: the second never reaches the channel."""
    code = shop.code()
    shop.paid(auth_code=code)

    again = shop.pay(auth_code=code)

    assert (201, "failed", "auth_code_used") == (
        again.status,
        again["status"],
        again["failure"]["code"],
    )
    assert shop.charged(again["id"])["states"] == []


@pytest.mark.parametrize(("amount", "status"), [(5_000_000, "succeeded"), (5_000_001, "failed")])
def test_a_single_payment_has_a_limit(shop, amount, status):
    """Up to 50 000 yuan, and not a fen more."""
    made = shop.pay(amount=amount)

    assert (201, status) == (made.status, made["status"])
    if status == "failed":
        assert made["failure"]["code"] == "limit_exceeded"
        assert made["risk"]["rules"]


@pytest.mark.parametrize(("way", "wallet"), table(CAPABILITIES))
def test_what_no_channel_could_ever_serve_is_refused(gateway, shop, expect_problem, way, wallet):
    """422 wallet_not_supported; nothing was written."""
    before = gateway.counts()
    fields = {"payer": {"openid": "o-1"}} if way == "jsapi" else {}

    refused = shop.pay(way=way, wallet=wallet, **fields)

    expect_problem(refused, 422, "wallet_not_supported")
    assert before == gateway.counts()


# --- fees -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "fee"), [(1, 0), (131, 0), (132, 1), (3800, 14), (5_000_000, 19_000)]
)
def test_the_fee_is_rounded_half_up_for_each_payment(shop, amount, fee):
    """0.38 % of what the channel settles."""
    made = shop.paid(amount=amount)

    assert (fee, amount - fee) == (made["fee"], made["net"])


def test_the_books_grow_by_one_entry_for_a_payment_and_none_for_a_decline(gateway, shop):
    """Nothing is booked before success."""
    before = gateway.counts()
    shop.paid()
    paid = gateway.counts()
    shop.pay(ending="9003")
    declined = gateway.counts()

    assert paid["entries"] - before["entries"] == 1
    assert declined["entries"] == paid["entries"]
    assert declined["payments"] - before["payments"] == 2
