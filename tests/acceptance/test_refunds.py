"""Refunds and cancels: never more than was paid, whatever is asked at the same time."""

import uuid

import pytest

ON_RAY_TOO = True

FIELDS = """
    id object payment amount currency status method fee_returned splits_returned channel_refund_no
    failure created metadata livemode
"""


def test_a_refund_is_told_in_full(shop):
    """A full refund returns everything, the fee too."""
    made = shop.paid()

    refund = shop.refund(made["id"], body={"reason": "cold soup", "metadata": {"by": "Li"}})

    assert (201, "succeeded") == (refund.status, refund["status"]), refund
    assert set(FIELDS.split()) <= set(refund.body)
    assert (refund["payment"], refund["amount"]) == (made["id"], 3800)
    assert (refund["fee_returned"], refund["currency"]) == (14, "cny")
    assert refund["object"] == "refund"
    assert refund["id"].startswith("rfd_")
    assert refund["method"] in ("refund", "reverse")
    assert refund["metadata"] == {"by": "Li"}
    assert refund["channel_refund_no"]
    assert shop.read(refund["id"]).body == refund.body
    assert shop.read(made["id"])["amount_refunded"] == 3800
    assert shop.charged(made["id"])["kept"] == 0


def test_partial_refunds_add_up(shop):
    """The fee goes back in proportion, and all of it in the end."""
    made = shop.paid()

    refunds = [shop.refund(made["id"], amount) for amount in (1000, 1000, 1800)]

    assert [refund["status"] for refund in refunds] == ["succeeded"] * 3
    assert sum(refund["fee_returned"] for refund in refunds) == 14
    assert shop.read(made["id"])["amount_refunded"] == 3800
    assert shop.read(made["id"])["status"] == "succeeded"


def test_a_refund_without_amount_takes_what_is_left(shop):
    """All that was not given back yet."""
    made = shop.paid()
    shop.refund(made["id"], 3000)

    assert shop.refund(made["id"])["amount"] == 800


@pytest.mark.parametrize("amount", [3801, 1_000_000])
def test_more_than_was_paid_is_refused(shop, expect_problem, amount):
    """422 exceeds_paid, and nothing moved."""
    made = shop.paid()

    expect_problem(shop.refund(made["id"], amount), 422, "exceeds_paid")
    assert shop.refunds_of(made["id"]) == []
    assert shop.charged(made["id"])["kept"] == 3800


def test_more_than_is_left_is_refused(shop, expect_problem):
    """What was given back counts."""
    made = shop.paid()
    shop.refund(made["id"], 3000)

    expect_problem(shop.refund(made["id"], 801), 422, "exceeds_paid")
    expect_problem(shop.refund(made["id"], 3800), 422, "exceeds_paid")


@pytest.mark.parametrize("ending", ["9003", "9002"])
def test_what_is_not_paid_is_not_refunded(shop, expect_problem, ending):
    """422 not_refundable."""
    made = shop.pay(ending=ending, wait=0)

    expect_problem(shop.refund(made["id"], 1), 422, "not_refundable")
    shop.cancel(made["id"])


def test_a_repeated_refund_is_one_refund(shop):
    """The same key and body: the same object, one effect."""
    made = shop.paid()
    first = shop.refund(made["id"], 1000, key="r")

    again = shop.refund(made["id"], 1000, key="r")

    assert (201, first.body) == (again.status, again.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert shop.charged(made["id"])["kept"] == 2800


def test_a_refund_key_with_another_amount_is_refused(shop, expect_problem):
    """422 idempotency_mismatch."""
    made = shop.paid()
    shop.refund(made["id"], 1000, key="r")

    expect_problem(shop.refund(made["id"], 1001, key="r"), 422, "idempotency_mismatch")


def test_a_refund_needs_a_key(shop, expect_problem):
    """400."""
    made = shop.paid()
    path = f"/v1/payments/{made['id']}/refunds"

    expect_problem(shop.client.post(path, {"amount": 1}), 400, "malformed", "Idempotency-Key")


def test_a_thousand_parallel_refunds_never_exceed_the_payment(gateway, shop):
    """3800 in pieces of 10: 380 succeed, the others exceed; books of both sides agree."""
    made = shop.paid()
    path = f"/v1/payments/{made['id']}/refunds"
    requests = [("POST", path, {"amount": 10}, uuid.uuid4().hex) for _ in range(1000)]

    answers = shop.client.storm(requests)

    succeeded = [a for a in answers if a.status in (201, 202) and a["status"] != "failed"]
    refused = [a for a in answers if a.status == 422]
    assert (380, 620) == (len(succeeded), len(refused)), answers[-1]
    assert {a["code"] for a in refused} == {"exceeds_paid"}
    assert shop.read(made["id"])["amount_refunded"] == 3800
    assert shop.charged(made["id"])["kept"] == 0
    assert gateway.counts()


def test_parallel_halves_both_succeed(shop):
    """What is held for the first is not missing for the second."""
    made = shop.paid()
    path = f"/v1/payments/{made['id']}/refunds"

    answers = shop.client.storm([("POST", path, {"amount": 1900}, key) for key in ("a", "b")])

    assert ["succeeded"] * 2 == [answer["status"] for answer in answers], answers


@pytest.mark.parametrize("amount", [1077, 1078])
def test_a_refund_whose_answer_was_lost_is_asked_about(gateway, shop, amount):
    """`system error` for a refund, made or not: queried, asked again under its own number."""
    made = shop.paid()
    refund = shop.refund(made["id"], amount, Prefer="wait=0")
    assert (202, "processing") == (refund.status, refund["status"])
    gateway.clock.advance(60)

    assert shop.read(refund["id"])["status"] == "succeeded"
    assert shop.read(made["id"])["amount_refunded"] == amount
    assert shop.charged(made["id"])["kept"] == 3800 - amount


# --- cancel ---------------------------------------------------------------------------------


def test_a_payment_under_way_is_reversed(shop):
    """A PIN that nobody enters: reversed on demand, and canceled again it stays so."""
    made = shop.pay(ending="9002", wait=0)

    canceled, again = shop.cancel(made["id"]), shop.cancel(made["id"])

    assert (200, "reversed") == (canceled.status, canceled["status"]), canceled
    assert (200, "reversed") == (again.status, again["status"])
    assert shop.charged(made["id"])["kept"] == 0


def test_a_canceled_payment_is_reversed_even_if_it_was_paid(gateway, shop):
    """9006: the money is taken, nobody knows; after a cancel it must go back."""
    made = shop.pay(ending="9006", wait=0)
    canceled = shop.cancel(made["id"], Prefer="wait=0")
    assert (202, "processing") == (canceled.status, canceled["status"])
    gateway.clock.advance(75)

    assert shop.read(made["id"])["status"] == "reversed"
    assert (1, 0) == tuple(shop.charged(made["id"])[name] for name in ("charges", "kept"))


def test_a_paid_barcode_payment_of_today_is_given_back(shop):
    """The payment stays succeeded; a refund of everything is made."""
    made = shop.paid()

    canceled = shop.cancel(made["id"])

    assert (200, "succeeded", 3800) == (
        canceled.status,
        canceled["status"],
        canceled["amount_refunded"],
    )
    (refund,) = shop.refunds_of(made["id"])
    assert (refund["status"], refund["amount"]) == ("succeeded", 3800)
    assert shop.cancel(made["id"]).status == 200
    assert len(shop.refunds_of(made["id"])) == 1


def test_a_partly_refunded_payment_is_not_canceled(shop, expect_problem):
    """409 not_cancelable: refund the rest."""
    made = shop.paid()
    shop.refund(made["id"], 1)

    expect_problem(shop.cancel(made["id"]), 409, "not_cancelable")


@pytest.mark.parametrize("ending", ["9003", "9004"])
def test_canceling_what_failed_changes_nothing(shop, ending):
    """200 with the payment as it is."""
    made = shop.pay(ending=ending)

    canceled = shop.cancel(made["id"])

    assert (200, made.body) == (canceled.status, canceled.body)


def test_a_cancel_may_have_a_key_of_its_own(shop, expect_problem):
    """Optional; but not the key of another request."""
    made = shop.pay(key="p", ending="9002", wait=0)

    expect_problem(shop.cancel(made["id"], key="p"), 422, "idempotency_mismatch")
    assert shop.cancel(made["id"], key="c")["status"] == "reversed"
    assert shop.cancel(made["id"], key="c")["status"] == "reversed"


def test_a_key_of_a_cancel_is_no_key_for_a_payment(shop, expect_problem):
    """Keys are for ever, whatever they were for."""
    made = shop.paid()
    shop.cancel(made["id"], key="c")

    expect_problem(shop.pay(key="c"), 422, "idempotency_mismatch")


def test_yesterdays_payment_is_refunded_not_canceled(gateway, shop, expect_problem):
    """The business day is over: 409."""
    made = shop.paid()
    gateway.clock.advance(86_400)

    expect_problem(shop.cancel(made["id"]), 409, "not_cancelable")
    assert shop.refund(made["id"])["status"] == "succeeded"
