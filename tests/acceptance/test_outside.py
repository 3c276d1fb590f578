"""A shop whose wallet pays it straight, as a stranger meets it; a program of others adds it up."""

import csv
import io
import json
import subprocess
import time

import pytest

CONFIG = """
[[channels]]
name = "simulated"
account = "partner"
settles_to = "merchant"
wallets = ["alipay", "wechat"]
ways = ["barcode"]

[[channels]]
name = "simulated"
account = "own"
wallets = ["unionpay"]
ways = ["barcode"]
"""
PATIENCE_S = 90


@pytest.fixture(scope="module")
def gateway(kit, tmp_path_factory):
    made = kit.Deployment(tmp_path_factory.mktemp("outside") / "data", "local", CONFIG)
    yield made.start()
    made.close()


@pytest.fixture
def shop(gateway):
    return gateway.new_shop()


def balance(shop):
    rows = shop.client.get("/v1/balances")["data"]
    return {part: minor for part, minor in rows[0].items() if minor and isinstance(minor, int)}


def cleared(shop):
    """The shop's newest batch, once a run that is asked for is over."""
    asked = shop.client.post("/v1/clearing_batches/run", {})
    assert asked.status == 202, asked
    until = time.monotonic() + PATIENCE_S
    while True:
        found = shop.client.get("/v1/clearing_batches")["data"]
        if found and found[0]["status"] == "closed":
            return found[0]
        assert time.monotonic() < until, found
        time.sleep(0.05)


def test_a_day_closes_by_itself_and_owes_the_fee(shop):
    """¥100 straight to the shop, ¥20 over custody: 38 and 8 are ours, 1 954 wait for a credit."""
    straight = shop.paid(amount=10_000)
    shop.paid(amount=2_000, auth_code=shop.code(wallet="unionpay"))
    assert {"pending": 1_992, "debt": 38} == balance(shop)

    batch = cleared(shop)

    figures = {name: batch[name] for name in ("gross", "fees", "net", "outside", "items")}
    assert figures == {"gross": 12_000, "fees": 46, "net": 11_954, "outside": 10_000, "items": 2}
    assert {"pending": 1_954} == balance(shop)
    refund = shop.refund(straight["id"])
    assert refund.status in (201, 202), refund
    until = time.monotonic() + PATIENCE_S
    while shop.read(refund["id"])["status"] != "succeeded":
        assert time.monotonic() < until, shop.read(refund["id"])
        time.sleep(0.05)
    assert {"pending": 1_992} == balance(shop)


def test_what_cannot_be_held_or_split_is_refused_in_words(shop):
    receiver = shop.client.post("/v1/receivers", {"name": "Fast Rider"}, key="rider")["id"]
    before = shop.gateway.counts()["payments"]

    held = shop.pay(escrow=True)
    split = shop.pay(splits=[{"receiver": receiver, "amount": 500}])

    assert [(422, "/escrow"), (422, "/splits")] == [
        (each.status, each["errors"][0]["pointer"]) for each in (held, split)
    ]
    assert "pays all of it to the merchant itself" in split["errors"][0]["detail"]
    assert before == shop.gateway.counts()["payments"]
    paid = shop.paid(
        splits=[{"receiver": receiver, "amount": 500}], auth_code=shop.code(wallet="unionpay")
    )
    assert "succeeded" == paid["status"]


def test_others_add_it_up_as_we_do(kit, gateway, shop):
    """`ledger verify` finds nothing, and hledger has every account at the same balance."""
    shop.paid(amount=10_000)
    cleared(shop)
    shop.paid(amount=5_000)

    def tillway(*command):
        run = [str(kit.TILLWAY), *command, "--data", str(gateway.data)]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    tillway("ledger", "verify")
    journal = gateway.data.parent / "books.journal"
    tillway("ledger", "export", "--format", "hledger", "--out", str(journal))
    ours = json.loads(tillway("ledger", "balances", "--stripes", "--json"))["balances"]

    def hledger(*command):
        run = ["hledger", "-f", str(journal), *command]
        return subprocess.run(run, capture_output=True, text=True, check=True).stdout

    hledger("check", "--strict", "ordereddates")
    rows = csv.DictReader(io.StringIO(hledger("balance", "--flat", "--no-total", "-O", "csv")))
    theirs = sorted(
        int(row["balance"].split()[0].replace(".", "").replace(",", "")) for row in rows
    )
    assert theirs == sorted(row["balance"] for row in ours if row["balance"])
    assert any(":outside" in row["account"] for row in ours if row["balance"])
