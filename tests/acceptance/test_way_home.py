"""A day of the demo goes home: real sandboxes over sockets, from the payer's code to the bank.

The noodle shop of the seed has a bank account, two receivers and a split rule; the channels pay
their day into the bank's sandbox, and the custody box brings it to everybody's own account.
"""

import json
import os
import signal
import time
import uuid
from datetime import UTC, datetime

import pytest

from payments.storage.owner import owner_of

DAY_S = 86_400
DAYS_MAX = 10
"""Longer than the longest break of the banks."""

YEAR = datetime.now(UTC).year
CONFIG = "".join(
    f'[workdays.{year}]\nsource = "made for tests"\nholidays = []\nworking_weekends = []\n'
    for year in (YEAR, YEAR + 1)
)
WALLETS = ("wechat", "alipay", "unionpay")
SHOP, LANDLORD, MILL = "6222020200110001", "6222020200110002", "6222020200110003"
AMOUNTS = (3_800, 12_345, 100)
SCANNED = 20_000
PATIENCE_S = 60


def fee(amount):
    """0.38 %, half up, as the demo's shop pays."""
    return (amount * 3_800 + 500_000) // 1_000_000


@pytest.fixture(scope="module")
def start(kit, tmp_path_factory):
    """start(runtime): a demo whose guests are only those of the test."""
    made = []

    def begin(runtime):
        data = tmp_path_factory.mktemp("home") / "data"
        demo = kit.Deployment(data, runtime, CONFIG)
        demo.command = ["demo", "--rate", "0"]
        made.append(demo)
        return Home(demo.start(), kit)

    yield begin
    for demo in made:
        demo.close()


class Home:
    """A demo's own shop, its bank and its numbers."""

    def __init__(self, demo, kit):
        self.demo, self.kit = demo, kit
        self.meet(demo)

    def meet(self, demo):
        """Its addresses, which are others at each start."""
        kit = self.kit
        self.shop = demo.new_shop()
        self.shop.client = kit.Client(demo.api, demo.ready["api_key"])
        settings = json.loads((demo.data / "settings.json").read_text())
        self._bank = kit.Client(settings["bank"]["base_url"])

    def bank(self):
        """The bank's whole truth."""
        return self._bank.get("/_sandbox/books").body

    def bank_is_silent(self, operations):
        """From now on it takes what it is asked, and does not answer."""
        faults = {"hang_ppm": 1_000_000, "operations": operations}
        assert 200 == self._bank.post("/_sandbox/faults", faults).status

    def number(self, name):
        """One of the deployment's metrics."""
        text = self.kit.Client(self.demo.admin).get("/metrics").content.decode()
        lines = [line for line in text.splitlines() if line.split(" ")[0].split("{")[0] == name]
        return sum(float(line.split()[-1]) for line in lines)


def soon(is_true, what):
    until = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def sell(shop):
    """A barcode payment at each channel, a refund of a part, and one that is split."""
    made = [
        shop.paid(auth_code=shop.code(wallet=wallet), amount=amount)
        for wallet, amount in zip(WALLETS, AMOUNTS, strict=True)
    ]
    back = shop.refund(made[1]["id"], 345)
    soon(lambda: shop.read(back["id"])["status"] == "succeeded", "the refund")
    scanned = shop.pay(way="qr", wallet="wechat", amount=SCANNED)
    assert 201 == scanned.status, scanned
    paid = shop.client.post(f"/v1/test_helpers/payments/{scanned['id']}/pay", {})
    assert 200 == paid.status, paid
    soon(lambda: shop.read(scanned["id"])["status"] == "succeeded", "the scanned one")


def paid_to(bank):
    """Account -> minor units that arrived there. A day may go home in several payouts."""
    sums = {}
    for each in bank["payments"]:
        assert each["status"] == "ACSC", each
        sums[each["account"]] = sums.get(each["account"], 0) + each["amount_minor"]
    return sums


def go_home(home, *accounts):
    """Days pass until each of these accounts has what is its own."""
    shares, _, _ = expected()
    for _ in range(DAYS_MAX):
        home.demo.clock.advance(DAY_S)
        paid = paid_to(home.bank())
        if all(paid.get(account) == shares[account] for account in accounts):
            return
    raise AssertionError(home.bank())


def withdraw(shop):
    """Each receiver takes out what became available with the day."""
    shares, _, _ = expected()
    listed = shop.client.get("/v1/receivers").body["data"]
    named = {each["name"].split()[0]: each["id"] for each in listed}
    for name, account in (("房东", LANDLORD), ("面粉厂", MILL)):
        wish = {"amount": shares[account], "currency": "cny", "receiver": named[name]}
        made = shop.client.post("/v1/withdrawals", wish, key=uuid.uuid4().hex)
        assert made.status == 201, made


def expected():
    """What each account of the seed gets of what `sell` sold."""
    scanned = SCANNED - fee(SCANNED)
    # 1 593.92 and 2 390.88 fen: largest remainders round both up, and the shop has the rest.
    landlord, mill = scanned * 80_000 // 1_000_000 + 1, scanned * 120_000 // 1_000_000 + 1
    whole = AMOUNTS[0] + AMOUNTS[1] - 345 + AMOUNTS[2] + SCANNED
    fees = fee(AMOUNTS[0]) + fee(AMOUNTS[1] - 345) + fee(AMOUNTS[2]) + fee(SCANNED)
    return {LANDLORD: landlord, MILL: mill, SHOP: whole - fees - landlord - mill}, whole, fees


def check_home(home):
    """Everybody has what is theirs, to the fen, once; what is left in custody are our fees."""
    shares, whole, fees = expected()
    bank = home.bank()
    credits = [e["amount_minor"] for e in bank["movements"] if e["kind"] == "credit"]

    assert shares == paid_to(bank)
    assert whole == sum(credits)
    assert fees == bank["balance_minor"]
    home.demo.counts()
    soon(lambda: home.number("tillway_custody_credits_waiting") == 0, "the numbers")
    assert 0 == home.number("tillway_custody_orders_unknown")


def test_a_day_of_sales_reaches_every_account(start):
    """Batches filed, credits matched, the shop paid, receivers withdraw: to the fen."""
    home = start("local")
    sell(home.shop)

    go_home(home, SHOP)
    withdraw(home.shop)
    go_home(home, SHOP, LANDLORD, MILL)

    check_home(home)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_custody_store_that_is_lost_pays_once(start):
    """The bank was given an order and answered nothing; the file is gone; the bank and the shards
    still know.
    """
    home = start("local")
    demo = home.demo
    sell(home.shop)
    home.bank_is_silent(["payments", "status"])
    for _ in range(DAYS_MAX):
        demo.clock.advance(DAY_S)
        if home.number("tillway_custody_orders_unknown"):
            break
    else:
        pytest.fail("no order has left")
    demo.stop()
    for file in demo.data.glob("custody.db*"):
        file.unlink()
    home.meet(demo.start())

    go_home(home, SHOP)
    withdraw(home.shop)
    go_home(home, SHOP, LANDLORD, MILL)

    # Credits that were matched before are known from the shards: none of them waits for a person.
    check_home(home)


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_a_custody_box_that_is_killed_again_and_again_pays_once(start):
    """Kill -9 before the day is over, and in the midst of what follows."""
    home = start("ray")
    demo = home.demo
    sell(home.shop)
    store = demo.data / "custody.db"
    victims = set()
    assert demo.operator.post(f"{demo.clock.path}/advance", {"seconds": DAY_S}).status == 202
    for _ in range(3):
        soon(lambda: owner_of(store) not in (None, *victims), "the next box")
        victim = owner_of(store)
        victims.add(victim)
        os.kill(int(victim), signal.SIGKILL)
    soon(lambda: owner_of(store) not in (None, *victims), "the last box")

    go_home(home, SHOP)
    withdraw(home.shop)
    os.kill(int(owner_of(store)), signal.SIGKILL)
    go_home(home, SHOP, LANDLORD, MILL)

    assert 3 == len(victims)
    check_home(home)
