"""A shop's long weekend, from its guests' wallets to the bank accounts: all figures to the fen.

A calendar of the test's own, as the State Council makes one each year: Friday is worked, Saturday
is not, Sunday is worked in exchange for a holiday on Monday and Tuesday. One store closes at four
in the morning: what it sells after midnight is of the shop's old day and of the channel's new one.
Every amount is computed here, from prices and rates alone.
"""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest

HOUR_S = 3_600
CHINA = timedelta(hours=8)
PATIENCE_S = 300
SHOP, LANDLORD, MILL = "6222020200110001", "6222020200110002", "6222020200110003"
NAMES = {"房东": LANDLORD, "面粉厂": MILL}

pytestmark = pytest.mark.timeout(900)


def fee(minor):
    """0.38 %, half up, as the demo's shop pays."""
    return (minor * 3_800 + 500_000) // 1_000_000


def next_friday():
    """The first Friday after today, in China."""
    today = (datetime.now(UTC) + CHINA).date()
    return today + timedelta(days=(4 - today.weekday() - 1) % 7 + 1)


def calendar_of(friday):
    """The settings of a year with that weekend, and no other holiday."""
    off = [friday + timedelta(days=each) for each in (3, 4)]
    worked = [friday + timedelta(days=2)]
    text = ""
    for year in (friday.year - 1, friday.year, friday.year + 1):
        holidays = [[number(day), number(day)] for day in off if day.year == year]
        weekends = [number(day) for day in worked if day.year == year]
        text += f'[workdays.{year}]\nsource = "made for tests"\n'
        text += f"holidays = {holidays}\nworking_weekends = {weekends}\n"
    return text


def number(day):
    """yyyymmdd"""
    return day.year * 10_000 + day.month * 100 + day.day


class Weekend:
    """The demo's shop on its test clock. `day(n)`: n days after the Friday."""

    def __init__(self, demo, kit, friday):
        self.demo, self.kit, self.friday = demo, kit, friday
        self.shop = demo.new_shop()
        self.client = self.shop.client = kit.Client(demo.api, demo.ready["api_key"])
        settings = json.loads((demo.data / "settings.json").read_text())
        self._bank = kit.Client(settings["bank"]["base_url"])
        listed = self.client.get("/v1/receivers")["data"]
        self.receivers = {NAMES[each["name"].split()[0]]: each["id"] for each in listed}
        stores = self.client.get("/v1/stores")["data"]
        (self.late_store,) = (s["id"] for s in stores if s["closing_minute"] == 240)

    def day(self, days):
        return number(self.friday + timedelta(days=days))

    def until(self, days, hour, minute=0):
        """Business time goes on to that minute in China."""
        midnight = datetime(*self.friday.timetuple()[:3], tzinfo=UTC) - CHINA
        target = midnight + timedelta(days=days, hours=hour, minutes=minute)
        ahead = (target - self.demo.clock.now()).total_seconds()
        assert ahead > 0, (target, self.demo.clock.now())
        self.demo.clock.advance(int(ahead))

    # --- what guests do ------------------------------------------------------------------------

    def sell(self, wallet, amount, ending="0001", **fields):
        code = self.shop.code(ending, wallet)
        return self.shop.paid(auth_code=code, amount=amount, **fields)

    def scan(self, wallet, amount):
        """The guest scans the till's code: the shop's rule splits it."""
        made = self.shop.pay(way="qr", wallet=wallet, amount=amount)
        assert 201 == made.status, made
        paid = self.client.post(f"/v1/test_helpers/payments/{made['id']}/pay", {})
        assert 200 == paid.status, paid
        soon(lambda: self.shop.read(made["id"])["status"] == "succeeded", "the scanned one")
        return made

    def give_back(self, payment, amount):
        made = self.shop.refund(payment["id"], amount)
        soon(lambda: self.shop.read(made["id"])["status"] == "succeeded", "the refund")

    def withdraw(self, account, amount):
        wish = {"amount": amount, "currency": "cny", "receiver": self.receivers[account]}
        made = self.client.post("/v1/withdrawals", wish, key=uuid.uuid4().hex)
        assert 201 == made.status, made

    # --- what there is -------------------------------------------------------------------------

    def bank(self):
        """The bank's whole truth."""
        return self._bank.get("/_sandbox/books").body

    def paid_out(self):
        """Account -> minor units that it has got."""
        sums = {}
        for each in self.bank()["payments"]:
            if each["status"] == "ACSC":
                sums[each["account"]] = sums.get(each["account"], 0) + each["amount_minor"]
        return sums

    def credits(self):
        """What came in, minor units, the least first."""
        moves = self.bank()["movements"]
        return sorted(each["amount_minor"] for each in moves if each["kind"] == "credit")

    def batches(self):
        """Business date -> its figures. Each day has one batch."""
        names = (*FRIDAY, "net")
        listed = self.client.get("/v1/clearing_batches")["data"]
        found = {each["business_date"]: tuple(each[name] for name in names) for each in listed}
        assert len(found) == len(listed), listed
        assert all(each["status"] in ("filed", "closed") for each in listed), listed
        return found

    def balances(self):
        """Pending, available and in transit of the shop and of each receiver."""
        whose = ["", *(f"?receiver={each}" for each in self.receivers.values())]
        rows = [self.client.get(f"/v1/balances{each}")["data"][0] for each in whose]
        return [(row["pending"], row["available"], row.get("in_transit", 0)) for row in rows]

    def faults(self):
        text = self.kit.Client(self.demo.admin).get("/metrics").content.decode()
        lines = [each for each in text.splitlines() if each.startswith("tillway_coverage_faults")]
        assert lines
        return sum(float(line.split()[-1]) for line in lines)

    def assert_covered(self):
        """What anybody could take out lies at the bank, and the books balance."""
        self.demo.counts()
        promised = sum(available + moving for _, available, moving in self.balances())
        assert promised <= self.bank()["balance_minor"]
        assert 0 == self.faults()

    def compared(self, days):
        """Channel -> what its comparison of a day has found, but for what agrees."""
        path = f"/v1/reconciliations?bill_date={self.day(days)}"
        runs = self.demo.operator.get(path)["data"]
        return {
            run["channel"]: {k: n for k, n in run["counts"].items() if n and k != "matched"}
            for run in runs
        }


def soon(is_true, what):
    until = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < until, what
        time.sleep(0.1)


def becomes(expected, ask):
    """The clock does not wait for ever for a slow machine, so this does."""
    until = time.monotonic() + PATIENCE_S
    while (found := ask()) != expected and time.monotonic() < until:
        time.sleep(0.1)
    assert expected == found


@pytest.fixture
def weekend(kit, tmp_path):
    """A demo whose guests are only those of the test, on the evening of that Friday."""
    friday = next_friday()
    demo = kit.Deployment(tmp_path / "data", "local", calendar_of(friday))
    demo.command = ["demo", "--rate", "0"]
    try:
        made = Weekend(demo.start(), kit, friday)
        made.until(0, 20)
        yield made
    finally:
        demo.close()


# What is sold, and what follows from it.
SCANNED = 20_000
SHARED = SCANNED - fee(SCANNED)
# 1 593.92 and 2 390.88 fen: largest remainders round both up, and the shop has the rest.
SHARES = {LANDLORD: SHARED * 80_000 // 1_000_000 + 1, MILL: SHARED * 120_000 // 1_000_000 + 1}
FRIDAY = {
    "gross": 3_800 + 3_800 + 12_345 + SCANNED + 701,
    "refunds": 345,
    "discounts": 200,
    "fees": fee(3_800) + fee(3_800 - 200) + fee(12_345 - 345) + fee(SCANNED) + fee(701),
    "splits": sum(SHARES.values()),
}
SATURDAY = {
    "gross": 1_500,
    "refunds": 800,
    "discounts": 0,
    "fees": fee(1_500) - (fee(3_800) - fee(3_800 - 800)),
    "splits": 0,
}
SUNDAY = {"gross": 999, "refunds": 0, "discounts": 0, "fees": fee(999), "splits": 0}
CREDITS = [
    {"wechat": 3_800 + SCANNED, "alipay": 3_800 - 200, "unionpay": 12_345 - 345},
    {"wechat": 1_500 - 800, "alipay": 701},
    {"unionpay": 999},
]
"""What each channel pays for each of its own days, which end at midnight."""


def net(day):
    return 2 * day["gross"] - sum(day.values())


def figures(day):
    return (*day.values(), net(day))


def owed(*days):
    """What channels pay for these days, the least first. No two of the amounts are the same."""
    return sorted(minor for each in days for minor in CREDITS[each].values())


def test_a_long_weekend_comes_home_to_the_fen(weekend):
    """Sold on Friday and after midnight, paid on the Sunday that is worked; Sunday's after the
    holiday. Nobody is paid before the channel's money is there, and in the end only fees are left.
    """
    weekend.sell("alipay", 3_800, ending="9012")
    first = weekend.sell("wechat", 3_800)
    weekend.give_back(weekend.sell("unionpay", 12_345), 345)
    weekend.scan("wechat", SCANNED)
    weekend.until(1, 0, 30)
    weekend.sell("alipay", 701, store=weekend.late_store)
    weekend.sell("wechat", 1_500)
    weekend.give_back(first, 800)
    assert {} == weekend.batches()

    weekend.until(1, 4, 30)
    filed = {weekend.day(0): figures(FRIDAY)}
    becomes(filed, weekend.batches)
    weekend.assert_covered()
    weekend.until(2, 4, 30)
    filed[weekend.day(1)] = figures(SATURDAY)
    becomes(filed, weekend.batches)
    weekend.sell("unionpay", 999)
    assert ([], {}) == (weekend.credits(), weekend.paid_out())
    weekend.assert_covered()

    weekend.until(2, 11)
    becomes(owed(0, 1), weekend.credits)
    sunday = {SHOP: net(FRIDAY) + net(SATURDAY)}
    becomes(sunday, weekend.paid_out)
    theirs = [(0, SHARES[each], 0) for each in weekend.receivers]
    becomes([(net(SUNDAY), 0, 0), *theirs], weekend.balances)
    weekend.assert_covered()
    for account, share in SHARES.items():
        weekend.withdraw(account, share)
    weekend.until(2, 12)
    becomes(sunday | SHARES, weekend.paid_out)

    weekend.until(4, 18)
    filed[weekend.day(2)] = figures(SUNDAY)
    becomes(filed, weekend.batches)
    assert owed(0, 1) == weekend.credits()
    assert sunday | SHARES == weekend.paid_out()
    weekend.assert_covered()

    weekend.until(5, 11)
    becomes(owed(0, 1, 2), weekend.credits)
    whole = [FRIDAY, SATURDAY, SUNDAY]
    becomes({SHOP: sum(map(net, whole)), **SHARES}, weekend.paid_out)
    becomes([(0, 0, 0)] * 3, weekend.balances)
    assert sum(day["fees"] for day in whole) == weekend.bank()["balance_minor"]
    assert filed == weekend.batches()
    weekend.assert_covered()
    for days, credits in enumerate(CREDITS):
        soon(lambda: set(credits) <= set(weekend.compared(days)), "the bills")  # noqa: B023
        becomes({}, lambda: {c: n for c, n in weekend.compared(days).items() if n})  # noqa: B023
