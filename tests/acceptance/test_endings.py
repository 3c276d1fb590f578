"""Every ending of the test table: what the merchant is told, and what the channel really took.

All payments of the table are made at once and business time is moved past every deadline; the
simulated channel's own books are the witness.
"""

import pytest

from business_time import instant

ON_RAY_TOO = True

# ending -> status, failure, charges ever made, what the channel keeps of 3800 after all refunds
ENDINGS = """
    0001  succeeded  -                   1  3800
    9001  succeeded  -                   1  3800
    9002  reversed   -                   0  0
    9003  failed     insufficient_funds  0  0
    9004  failed     auth_code_expired   0  0
    9005  succeeded  -                   1  3800
    9006  succeeded  -                   1  3800
    9007  reversed   -                   0  0
    9008  reversed   -                   1  0
    9009  succeeded  -                   1  3800
    9010  succeeded  -                   1  3800
    9011  reversed   -                   1  0
    9012  succeeded  -                   1  3800
"""
ROWS = [line.split() for line in ENDINGS.strip().splitlines()]
PAST_EVERY_VERDICT_S = 75
WALLETS = ("alipay", "wechat", "ecny")


@pytest.fixture(scope="module")
def told(gateway):
    """Ending -> (shop, the first answer, the payment in the end), for each row of the table."""
    shop = gateway.new_shop()
    bodies = [
        shop.order(auth_code=shop.code(row[0], WALLETS[number % 3]))
        for number, row in enumerate(ROWS)
    ]
    requests = [("POST", "/v1/payments", body, body["order_no"]) for body in bodies]
    first = shop.client.storm(requests, connections=32)
    gateway.clock.advance(PAST_EVERY_VERDICT_S)
    return {
        row[0]: (shop, answer, shop.read(answer["id"]))
        for row, answer in zip(ROWS, first, strict=True)
    }


@pytest.mark.parametrize(("ending", "status", "failure", "charges", "kept"), ROWS)
def test_each_ending_ends_as_the_table_says(told, ending, status, failure, charges, kept):
    """Status and failure for the merchant; charges and what is kept in the channel's books."""
    shop, _, payment = told[ending]

    assert status == payment["status"], payment
    assert failure == (payment["failure"] or {"code": "-"})["code"]
    found = shop.charged(payment["id"])
    assert (int(charges), int(kept)) == (found["charges"], found["kept"]), found


@pytest.mark.parametrize("ending", [row[0] for row in ROWS])
def test_the_verdict_falls_within_sixty_seconds_of_business_time(told, kit, ending):
    """The last change of each payment is not later than its `verdict_by`; none is overdue."""
    shop, first, payment = told[ending]
    line = shop.client.get(f"/v1/payments/{payment['id']}/timeline")
    kinds = ("payment.succeeded", "payment.failed", "payment.reversed")
    verdicts = [row["at"] for row in line["data"] if row.get("type") in kinds]

    assert payment["overdue"] is False
    (at,) = verdicts
    assert instant(at) <= instant(first["verdict_by"])


@pytest.mark.parametrize("ending", ["0001", "9003", "9004", "9009", "9012"])
def test_what_the_channel_decides_at_once_is_answered_at_once(told, ending):
    """201 with a final status."""
    _, first, payment = told[ending]

    assert (201, payment["status"]) == (first.status, first["status"])


@pytest.mark.parametrize("ending", ["9002", "9007", "9008", "9010"])
def test_what_takes_longer_is_answered_by_202(told, ending):
    """After five seconds: processing, with the promise until when."""
    _, first, _ = told[ending]

    assert (202, "processing") == (first.status, first["status"])
    assert first.headers["Retry-After"]
    assert first["verdict_by"]


def test_coupons_change_what_is_paid_and_what_is_settled(told):
    """9012: 300 by the channel, 200 by the merchant; the fee is of what is settled."""
    _, _, payment = told["9012"]

    assert (3300, 3600) == (payment["payer_amount"], payment["settle_amount"])
    assert sorted((d["funder"], d["amount"]) for d in payment["discounts"]) == [
        ("channel", 300),
        ("merchant", 200),
    ]
    assert (14, 3586) == (payment["fee"], payment["net"])


def test_a_coupon_payment_goes_back_whole(told):
    """A full refund returns what was settled and all of the fee."""
    shop, _, payment = told["9012"]

    made = shop.refund(payment["id"])

    assert (201, "succeeded", 3800) == (made.status, made["status"], made["amount"])
    assert made["fee_returned"] == payment["fee"]


def test_small_amounts_have_no_coupon(shop):
    """9012 with 500 or less: nothing to discount."""
    made = shop.paid(ending="9012", amount=500)

    assert (500, 500, []) == (made["payer_amount"], made["settle_amount"], made["discounts"])


def test_a_late_success_goes_back_by_itself(told):
    """9008: reversed, then paid after all; the refund is an object like any other."""
    shop, _, payment = told["9008"]

    assert payment["late_success"] is True
    (refund,) = shop.refunds_of(payment["id"])
    assert ("succeeded", 3800) == (refund["status"], refund["amount"])
    assert refund["payment"] == payment["id"]
    assert shop.read(refund["id"]).body == refund
    line = shop.client.get(f"/v1/payments/{payment['id']}/timeline")
    types = [row.get("type") for row in line["data"]]
    assert types.count("payment.late_success") == 1
    assert types.count("refund.succeeded") == 1


def test_nobody_else_has_a_refund(told):
    """A payment that ended well, or was never charged, gives nothing back."""
    for ending, (shop, _, payment) in told.items():
        if ending not in ("9008", "9012"):
            assert shop.refunds_of(payment["id"]) == []
            assert payment["late_success"] is False


def test_the_books_balance_after_all_of_it(told, gateway):
    """Debits equal credits; and what waits is nothing."""
    assert told

    assert gateway.counts()["payments"] >= len(ROWS)


@pytest.mark.parametrize("ending", ["9001", "9005", "9006", "9010"])
def test_a_reader_who_waits_hears_the_verdict(gateway, shop, ending):
    """`?wait` holds the answer until the status changes."""
    made = shop.pay(ending=ending, wait=0)
    assert (202, "processing") == (made.status, made["status"])
    gateway.clock.advance(30)

    read = shop.read(made["id"], wait=20)

    assert (200, "succeeded") == (read.status, read["status"])


def test_a_replay_after_the_verdict_tells_the_end(gateway, shop):
    """And the order is free for another attempt."""
    body = shop.order(ending="9007")
    made = shop.client.post("/v1/payments", body, key="k", Prefer="wait=0")
    assert made.status == 202
    gateway.clock.advance(PAST_EVERY_VERDICT_S)

    again = shop.client.post("/v1/payments", body, key="k")

    assert (201, "reversed") == (again.status, again["status"])
    assert shop.paid(order_no=body["order_no"])
