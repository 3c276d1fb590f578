"""Splitting as a merchant meets it: receivers, rules, shares, refunds, and what everybody has.

A lunch of ¥100.00: the fee is 38, so 9962 are there to share.
"""

import signal

import pytest

STEP = {"up_to": 5, "amount": 1}
NOBODY = "rcv_01ZZZZZZZZ0000000000000Z"


def a_receiver(shop, name="Fast Rider", **fields):
    made = shop.client.post("/v1/receivers", {"name": name, **fields})
    assert made.status == 201, made
    return made["id"]


def a_rule(shop, parts, **fields):
    made = shop.client.post("/v1/split_rules", {"parts": parts, **fields})
    assert made.status == 201, made
    return made["id"]


def shares(shop, payment):
    """receiver -> (amount, returned, status) of a payment."""
    page = shop.client.get(f"/v1/payments/{payment}/splits")
    assert page.status == 200, page
    return {s["receiver"]: (s["amount"], s["returned"], s["status"]) for s in page["data"]}


def balance(shop, **whose):
    """(pending, available, debt) in cny of the shop, or of one of its receivers."""
    query = "&".join(f"{name}={value}" for name, value in whose.items())
    page = shop.client.get(f"/v1/balances?{query}" if query else "/v1/balances")
    assert page.status == 200, page
    (row,) = page["data"]
    return row["pending"], row["available"], row["debt"]


def lunch(shop, **fields):
    """¥100 for three receivers: the rider's 500, 2.5 % for the platform, 10 % for the landlord."""
    three = [a_receiver(shop, name) for name in ("rider", "platform", "landlord")]
    splits = [
        {"receiver": three[0], "amount": 500},
        {"receiver": three[1], "ratio_ppm": 25_000},
        {"receiver": three[2], "ratio_ppm": 100_000},
    ]
    return three, shop.paid(amount=10_000, splits=splits, **fields)


def test_a_payment_says_who_gets_what(shop, gateway):
    """Amounts and ratios of the net; the remainder is the merchant's; the books balance."""
    three, paid = lunch(shop)

    expected = [(500, 0, "booked"), (249, 0, "booked"), (996, 0, "booked")]
    assert dict(zip(three, expected, strict=True)) == shares(shop, paid["id"])
    assert [(500, 0, 0), (249, 0, 0), (996, 0, 0)] == [balance(shop, receiver=r) for r in three]
    assert (8217, 0, 0) == balance(shop)
    assert gateway.counts()["entries"]


def test_the_answer_of_a_payment_has_no_new_fields(shop):
    """A split payment looks like any other."""
    _, paid = lunch(shop)

    assert set(shop.paid().body) == set(paid.body)


def test_with_coupons_the_base_is_what_the_channel_settles(shop):
    """Of 10000 the channel settles 9800 (fee 37): shares are of 9763."""
    three, paid = lunch(shop, ending="9012")

    assert 9800 == paid["settle_amount"]
    assert [500, 244, 976] == [shares(shop, paid["id"])[each][0] for each in three]
    assert (8043, 0, 0) == balance(shop)


def test_refunds_bring_every_share_back_in_proportion(shop):
    """A quarter, then the rest: nothing stays with anybody."""
    three, paid = lunch(shop, ending="9012")

    part = shop.refund(paid["id"], 2500)
    assert [(three[0], 125, 0), (three[1], 61, 0), (three[2], 244, 0)] == [
        (back["receiver"], back["amount"], back["debt"]) for back in part["splits_returned"]
    ]
    assert (8043 - 2011, 0, 0) == balance(shop)
    rest = shop.refund(paid["id"])

    assert "succeeded" == rest["status"]
    assert [375, 183, 732] == [back["amount"] for back in rest["splits_returned"]]
    assert [(500, 500, "returned"), (244, 244, "returned"), (976, 976, "returned")] == [
        shares(shop, paid["id"])[each] for each in three
    ]
    assert [(0, 0, 0)] * 4 == [balance(shop), *(balance(shop, receiver=r) for r in three)]
    assert rest.body == shop.read(rest["id"]).body


def test_a_canceled_payment_takes_all_shares_back(shop):
    """A cancel of the same day is a full refund."""
    three, paid = lunch(shop)

    assert shop.cancel(paid["id"]).status in (200, 202)

    assert {"returned"} == {status for _, _, status in shares(shop, paid["id"]).values()}
    assert {(0, 0, 0)} == {balance(shop, receiver=each) for each in three}


def test_nothing_is_split_before_it_is_paid(shop):
    """A code that waits has no shares; paid, it has."""
    rider = a_receiver(shop)
    code = shop.pay(way="qr", wallet="wechat", splits=[{"receiver": rider, "amount": 100}])

    assert {} == shares(shop, code["id"])
    shop.client.post(f"/v1/test_helpers/payments/{code['id']}/pay", {})
    assert "succeeded" == shop.read(code["id"], wait=10)["status"]
    assert {rider: (100, 0, "booked")} == shares(shop, code["id"])


def test_a_declined_payment_has_no_shares(shop):
    """Nothing is booked before success."""
    rider = a_receiver(shop)

    failed = shop.pay(ending="9003", splits=[{"receiver": rider, "amount": 100}])

    assert "failed" == failed["status"]
    assert {} == shares(shop, failed["id"])
    assert (0, 0, 0) == balance(shop, receiver=rider)


@pytest.mark.parametrize(
    ("words", "share", "merchant"),
    [
        ({"split_base": "gross"}, 5000, 4962),
        ({"split_base": "gross", "split_fee": "pro_rata"}, 4981, 4981),
        ({"split_base": "net"}, 4981, 4981),
    ],
)
def test_base_and_fee_say_who_pays_for_it(shop, words, share, merchant):
    """Half of the gross, the fee on the merchant or on both; half of the net."""
    half = a_receiver(shop)

    paid = shop.paid(amount=10_000, splits=[{"receiver": half, "ratio_ppm": 500_000}], **words)

    assert {half: (share, 0, "booked")} == shares(shop, paid["id"])
    assert (merchant, 0, 0) == balance(shop)


def test_a_rule_splits_what_says_nothing_itself(shop):
    """The rule that says most applies; explicit splits and an empty list go before any rule."""
    rider, platform = a_receiver(shop, "rider"), a_receiver(shop, "platform")
    a_rule(shop, [{"receiver": platform, "ratio_ppm": 20_000}])
    tagged = a_rule(
        shop,
        [{"receiver": rider, "amount": 300}, {"receiver": platform, "remainder": True}],
        match={"tag": "delivery"},
    )

    plain = shop.paid(amount=10_000)
    delivered = shop.paid(amount=10_000, metadata={"tag": "delivery"})
    said = shop.paid(amount=10_000, splits=[{"receiver": rider, "amount": 1}])
    none = shop.paid(amount=10_000, splits=[])

    assert {platform: (199, 0, "booked")} == shares(shop, plain["id"])
    assert {rider: (300, 0, "booked"), platform: (9662, 0, "booked")} == shares(
        shop, delivered["id"]
    )
    assert {rider: (1, 0, "booked")} == shares(shop, said["id"])
    assert {} == shares(shop, none["id"])
    page = shop.client.get(f"/v1/payments/{delivered['id']}/splits")
    assert {tagged} == {each["rule"] for each in page["data"]}


def test_a_rule_ends_when_it_is_disabled_or_over(shop):
    """Dates are business dates; a disabled rule can come back."""
    rider = a_receiver(shop)
    part = [{"receiver": rider, "ratio_ppm": 1_000_000}]
    over = a_rule(shop, part, effective_to=20200101)
    rule = a_rule(shop, part, effective_from=20200101, effective_to=20991231)
    path = f"/v1/split_rules/{rule}"

    during = shop.paid()
    disabled = shop.client.post(path, {"status": "disabled"})
    after = shop.paid()

    assert {rider: (3786, 0, "booked")} == shares(shop, during["id"])
    assert {} == shares(shop, after["id"])
    assert "disabled" == disabled["status"] == shop.client.get(path)["status"]
    active = shop.client.get("/v1/split_rules?status=active")
    assert [over] == [each["id"] for each in active["data"]]
    shop.client.post(path, {"status": "active"})
    assert shares(shop, shop.paid()["id"])


def test_a_rule_is_told_as_it_was_asked_for(shop):
    """And can be sent again as it is told."""
    rider = a_receiver(shop)
    wish = {
        "match": {"store": shop.store, "tag": None, "way": "barcode"},
        "parts": [
            {
                "receiver": rider,
                "amount": None,
                "ratio_ppm": None,
                "tiers": [
                    {"up_to": 5000, "ratio_ppm": 0, "amount": None},
                    {"up_to": None, "ratio_ppm": None, "amount": 77},
                ],
                "remainder": False,
            }
        ],
        "split_base": "gross",
        "split_fee": "pro_rata",
        "effective_from": 20260101,
        "effective_to": None,
        "metadata": {"by": "Li"},
    }

    made = shop.client.post("/v1/split_rules", wish)

    assert wish == {name: made[name] for name in wish}
    again = {name: made[name] for name in wish}
    assert 201 == shop.client.post("/v1/split_rules", again).status


def test_tiers_go_by_the_size_of_the_payment(shop):
    """Nothing of a small one, more than before of a large one."""
    platform = a_receiver(shop)
    tiers = [
        {"up_to": 1_000, "ratio_ppm": 0},
        {"up_to": 5_000, "amount": 30},
        {"ratio_ppm": 20_000},
    ]
    a_rule(shop, [{"receiver": platform, "tiers": tiers}], split_base="gross")

    got = [shares(shop, shop.paid(amount=a)["id"])[platform][0] for a in (1_000, 5_000, 5_001)]

    assert [0, 30, 100] == got


def test_a_disabled_receiver_gets_nothing_new(shop, expect_problem):
    """Named in a payment it is refused; in a rule its part stays with the merchant."""
    rider = a_receiver(shop)
    a_rule(shop, [{"receiver": rider, "ratio_ppm": 500_000}])
    before = shop.paid()
    shop.client.post(f"/v1/receivers/{rider}", {"status": "disabled"})

    assert {} == shares(shop, shop.paid()["id"])
    assert (1893, 0, 0) == balance(shop, receiver=rider)
    named = shop.pay(splits=[{"receiver": rider, "amount": 1}])
    expect_problem(named, 422, "invalid_field", "splits.0.receiver")
    assert "succeeded" == shop.refund(before["id"])["status"]
    assert (0, 0, 0) == balance(shop, receiver=rider)


def test_what_another_merchant_has_does_not_exist(gateway, shop, expect_problem):
    """Receivers, rules, splits and balances: 404; in a payment or a rule 422 names the field."""
    other = gateway.new_shop()
    theirs = a_receiver(other)
    rule = a_rule(other, [{"receiver": theirs, "amount": 1}])
    paid = other.paid()
    part = {"receiver": theirs, "amount": 1}

    for path in (
        f"/v1/receivers/{theirs}",
        f"/v1/split_rules/{rule}",
        f"/v1/payments/{paid['id']}/splits",
        f"/v1/balances?receiver={theirs}",
        f"/v1/balances?merchant={other.id}",
        f"/v1/balances?receiver={NOBODY}",
    ):
        expect_problem(shop.client.get(path), 404, "not_found")
    for path in (f"/v1/receivers/{theirs}", f"/v1/split_rules/{rule}"):
        expect_problem(shop.client.post(path, {"status": "disabled"}), 404, "not_found")
    for splits in ([part], [{**part, "receiver": NOBODY}]):
        refused = shop.pay(splits=splits)
        expect_problem(refused, 422, "invalid_field", "splits.0.receiver")
    refused = shop.client.post("/v1/split_rules", {"parts": [part]})
    expect_problem(refused, 422, "invalid_field", "parts.0.receiver")
    assert [] == shop.client.get("/v1/receivers")["data"]
    assert [] == shop.client.get("/v1/split_rules")["data"]


@pytest.mark.parametrize(
    ("splits", "param"),
    [
        ([{"amount": 3787}], "splits"),
        ([{"amount": 3786}, {"amount": 1}], "splits"),
        ([{"ratio_ppm": 600_000}, {"ratio_ppm": 400_001}], "splits"),
        ([{"ratio_ppm": 1_000_000}, {"amount": 1}], "splits"),
        ([{}], "splits.0"),
        ([{"amount": 1, "ratio_ppm": 1}], "splits.0"),
        ([{"amount": 0}], "splits.0.amount"),
        ([{"amount": 1.5}], "splits.0.amount"),
        ([{"ratio_ppm": 1_000_001}], "splits.0.ratio_ppm"),
        ([{"amount": 1, "tiers": []}], "splits.0.tiers"),
    ],
)
def test_splits_that_cannot_be_are_refused(shop, expect_problem, splits, param):
    """The merchant's share is never below zero, and a receiver's share is said in one way."""
    named = [{"receiver": a_receiver(shop, str(n)), **part} for n, part in enumerate(splits)]

    expect_problem(shop.pay(splits=named), 422, "invalid_field", param)
    assert [] == shop.client.get("/v1/payments")["data"]


def test_a_receiver_is_named_once(shop, expect_problem):
    """Two shares for one receiver are one share written badly."""
    part = {"receiver": a_receiver(shop), "amount": 1}

    expect_problem(shop.pay(splits=[part, part]), 422, "invalid_field", "splits.1.receiver")


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"parts": []}, "parts"),
        ({"parts": [{}]}, "parts.0"),
        ({"parts": [{"amount": 1, "remainder": True}]}, "parts.0"),
        ({"parts": [{"ratio_ppm": 1_000_001}]}, "parts.0.ratio_ppm"),
        ({"parts": [{"tiers": [{"up_to": 5, "amount": 1}]}]}, "parts.0.tiers.0.up_to"),
        ({"parts": [{"tiers": [STEP, STEP, {"amount": 3}]}]}, "parts.0.tiers.1.up_to"),
        ({"parts": [{"tiers": [{"amount": 1, "ratio_ppm": 1}]}]}, "parts.0.tiers.0"),
        ({"effective_from": 20260230}, "effective_from"),
        ({"effective_from": 20260201, "effective_to": 20260131}, "effective_to"),
        ({"match": {"store": "sto_01ZZZZZZZZ0000000000000Z"}}, "match.store"),
        ({"match": {"way": "carrier pigeon"}}, "match.way"),
        ({"split_base": "all"}, "split_base"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_are_refused(shop, expect_problem, wish, param):
    """Each wrong field is named."""
    rider = a_receiver(shop)
    parts = [{"receiver": rider, **part} for part in wish.get("parts", [{"amount": 1}])]

    refused = shop.client.post("/v1/split_rules", {**wish, "parts": parts})

    expect_problem(refused, 422, "invalid_field", param)


def test_the_same_request_is_split_once(shop):
    """A key belongs to one body: another split under it is another request."""
    rider = a_receiver(shop)
    order = shop.order(splits=[{"receiver": rider, "amount": 100}])
    first = shop.client.post("/v1/payments", order, key="lunch")
    again = shop.client.post("/v1/payments", order, key="lunch")
    changed = {**order, "splits": [{"receiver": rider, "amount": 101}]}

    assert first["id"] == again["id"]
    assert (100, 0, 0) == balance(shop, receiver=rider)
    other = shop.client.post("/v1/payments", changed, key="lunch")
    assert (422, "idempotency_mismatch") == (other.status, other["code"])


def test_many_refunds_at_once_return_no_more_than_there_is(shop):
    """Forty refunds of a fortieth each, at the same time: everything is back to the last fen."""
    three, paid = lunch(shop)
    path = f"/v1/payments/{paid['id']}/refunds"

    answers = shop.client.storm([("POST", path, {"amount": 250}, f"r{n}") for n in range(41)])

    assert [201] * 40 + [422] == sorted(answer.status for answer in answers)
    assert {"returned"} == {status for _, _, status in shares(shop, paid["id"]).values()}
    assert [(0, 0, 0)] * 4 == [balance(shop), *(balance(shop, receiver=r) for r in three)]


def test_a_restart_keeps_who_got_what(deploy):
    """Killed between a payment and its refund: shares, balances and rules are there again."""
    gateway = deploy()
    shop = gateway.new_shop()
    three, paid = lunch(shop)
    rule = a_rule(shop, [{"receiver": three[0], "ratio_ppm": 10_000}])
    shop.refund(paid["id"], 1_000)
    before = shares(shop, paid["id"]), [balance(shop, receiver=each) for each in three]
    gateway.stop(signal.SIGKILL)

    gateway.start()
    shop.client.api, shop.client.address = gateway.api, gateway.api.removeprefix("http://")

    assert before == (shares(shop, paid["id"]), [balance(shop, receiver=each) for each in three])
    assert 3 == len(shop.client.get("/v1/receivers")["data"])
    by_rule = shop.paid(amount=10_000)
    page = shop.client.get(f"/v1/payments/{by_rule['id']}/splits")
    assert [(three[0], 100, rule)] == [
        (s["receiver"], s["amount"], s["rule"]) for s in page["data"]
    ]
    assert [shop.refund(each["id"])["status"] for each in (paid, by_rule)] == ["succeeded"] * 2
    assert [(0, 0, 0)] * 4 == [balance(shop), *(balance(shop, receiver=r) for r in three)]
    assert gateway.counts()["entries"] == 5


def test_a_platform_has_receivers_for_all_its_merchants(gateway, kit, expect_problem):
    """Its commission comes from several merchants, and its balance is all of them together."""
    operator = gateway.operator
    key = operator.post("/v1/keys", {"type": "bearer", "scopes": ["*"], "platform": "meals"})
    platform = kit.Client(gateway.api, key["secret"])
    receiver = platform.post("/v1/receivers", {"name": "Meals"})
    shops = [gateway.new_shop(platform="meals") for _ in range(3)]
    split = [{"receiver": receiver["id"], "ratio_ppm": 100_000}]

    for shop in shops:
        shop.paid(amount=10_000, splits=split)

    assert (None, "meals") == (receiver["merchant"], receiver["platform"])
    page = platform.get(f"/v1/balances?receiver={receiver['id']}")
    assert 3 * 996 == page["data"][0]["pending"]
    assert 8966 == platform.get(f"/v1/balances?merchant={shops[0].id}")["data"][0]["pending"]
    assert [receiver["id"]] == [each["id"] for each in platform.get("/v1/receivers")["data"]]
    stranger = gateway.new_shop()
    expect_problem(stranger.pay(splits=split), 422, "invalid_field", "splits.0.receiver")
    path = f"/v1/balances?receiver={receiver['id']}"
    expect_problem(shops[0].client.get(path), 404, "not_found")
