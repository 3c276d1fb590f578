"""Refunds of money that WeChat Pay holds and divides, over its sandbox, as a shop meets them."""

import json
import subprocess
import time

import pytest

ACCOUNT = """
[[channels]]
name = "wechat"
account = "wechat"
kind = "wechat"
base_url = "{url}"
sandbox = true
settles_to = "channel_frozen"
wallets = ["wechat"]
ways = ["barcode"]

[channels.wechat]
mchid = "{mchid}"
appid = "{appid}"
merchant_serial = "{merchant_serial}"
merchant_private_key = "file:{folder}/key.pem"
api_v3_key = "file:{folder}/api.key"
public_keys = {{ {public_key_id} = "file:{folder}/public.pem" }}
"""
FILES = {
    "key.pem": "merchant_private_key_pem",
    "api.key": "api_v3_key",
    "public.pem": "public_key_pem",
}
PATIENCE_S = 90
DAY_S = 86_400
CHINA_S = 8 * 3_600
MORNING_S = 10 * 3_600 + 1_800


@pytest.fixture(scope="module")
def gateway(kit, tmp_path_factory):
    """A gateway with one account at a sandbox of its own."""
    folder = tmp_path_factory.mktemp("held")
    command = [str(kit.TILLWAY), "sandbox", "wechat", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--data", str(folder / "sandbox")], stdout=subprocess.PIPE, text=True
    ) as sandbox:
        ready = json.loads(sandbox.stdout.readline())
        told = ready["credentials"]
        for name, key in FILES.items():
            (folder / name).write_text(told[key])
            (folder / name).chmod(0o600)
        config = ACCOUNT.format(url=ready["url"], folder=folder, **told)
        made = kit.Deployment(folder / "data", "local", config)
        try:
            yield made.start()
        finally:
            made.close()
            sandbox.terminate()


@pytest.fixture
def shop(gateway):
    return gateway.new_shop()


def a_receiver(shop, account):
    held = {"type": "MERCHANT_ID", "account": account, "relation": "PARTNER"}
    made = shop.client.post("/v1/receivers", {"name": "Rider Ltd", "channel_accounts": [held]})
    assert made.status == 201, made
    return made["id"]


def sold(shop, *parts):
    """¥100 among (receiver, fen)."""
    splits = [{"receiver": receiver, "amount": amount} for receiver, amount in parts]
    return shop.paid(amount=10_000, auth_code=shop.code(wallet="wechat"), splits=splits)["id"]


def states(shop, payment):
    page = shop.client.get(f"/v1/payments/{payment}/splits")
    return [(each["status"], each["returned"]) for each in page["data"]]


def until(ask, is_there):
    ends = time.monotonic() + PATIENCE_S
    while not is_there(found := ask()):
        assert time.monotonic() < ends, found
        time.sleep(0.1)
    return found


def given_back(shop, payment, amount=None):
    refund = shop.refund(payment, amount)
    assert refund.status in (201, 202), refund
    return until(lambda: shop.read(refund["id"]), lambda each: each["status"] != "processing")


def test_a_divided_lunch_is_given_back(shop):
    """In two parts: the rider's and the platform's come back first, each in proportion."""
    payment = sold(
        shop, (a_receiver(shop, "1900000201"), 500), (a_receiver(shop, "1900000202"), 1_000)
    )
    until(lambda: states(shop, payment), lambda found: found == [("settled", 0)] * 2)

    part = given_back(shop, payment, 2_500)
    rest = given_back(shop, payment)

    assert ["succeeded"] * 2 == [part["status"], rest["status"]]
    assert [125, 250, 375, 750] == [
        each["amount"] for refund in (part, rest) for each in refund["splits_returned"]
    ]
    assert [("returned", 500), ("returned", 1_000)] == states(shop, payment)
    asked = "/v1/events?type=split.returned"
    until(lambda: shop.client.get(asked)["data"], lambda events: len(events) == 2)


def test_what_a_receiver_cannot_return_is_owed_and_the_books_are_sound(shop, gateway, kit):
    """The sandbox's account that ends in 9502 has nothing left."""
    poor = a_receiver(shop, "1900009502")
    payment = sold(shop, (poor, 1_000))
    until(lambda: states(shop, payment), lambda found: found == [("settled", 0)])

    refund = given_back(shop, payment, 5_000)
    assert ("succeeded", [500]) == (
        refund["status"], [each["debt"] for each in refund["splits_returned"]],
    )  # fmt: skip
    balances = shop.client.get(f"/v1/balances?receiver={poor}")["data"]
    assert [500] == [each["debt"] for each in balances]

    verify = [str(kit.TILLWAY), "ledger", "verify", "--data", str(gateway.data)]
    said = subprocess.run(verify, capture_output=True, text=True, timeout=PATIENCE_S)
    assert 0 == said.returncode, said.stdout + said.stderr


def test_the_next_morning_the_channels_bill_agrees(shop, gateway):
    """What receivers got and gave back on this day, the tests above included."""
    payment = sold(
        shop, (a_receiver(shop, "1900000201"), 500), (a_receiver(shop, "1900009401"), 1_000)
    )
    until(lambda: states(shop, payment), lambda found: found == [("settled", 0), ("failed", 0)])
    given_back(shop, payment, 2_500)
    now = int(gateway.clock.now().timestamp()) + CHINA_S
    gateway.clock.advance(DAY_S - now % DAY_S + MORNING_S)

    path = "/v1/reconciliations?channel=wechat:sharing"
    page = until(lambda: gateway.operator.get(path), lambda answer: answer["data"])

    # Whoever runs this at midnight in China has two days of it.
    for run in page["data"]:
        assert {"matched": run["lines"]["theirs"]} == run["counts"]
        assert run["lines"]["ours"] == run["lines"]["theirs"]
        assert run["totals"]["ours"] == run["totals"]["theirs"]
    items = gateway.operator.get("/v1/reconciliation_items?type=split_mismatch")
    assert [] == items["data"]
    assert 2 <= sum(run["counts"]["matched"] for run in page["data"])
    folder = gateway.data / "bills" / "wechat" / "wechat"
    assert len(page["data"]) == len(list(folder.glob("*.shares.*.csv.gz")))
