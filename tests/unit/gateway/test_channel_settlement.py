"""The stand-in for channels that settle: each day once, by the sandbox's bill, when it is due."""

import msgspec
import pytest

from gateway.channel_settlement import ChannelSettlement
from gateway.settings import load
from gateway.settings_home import Bank
from payments.bills.text import day_ms
from payments.channels.transport import HttpAnswer, NotSent
from payments.clock import ManualClock

FRIDAY, SATURDAY, SUNDAY, MONDAY = 20261120, 20261121, 20261122, 20261123
HOUR_MS = 3_600_000
BANK = "http://127.0.0.1:1"
WECHAT = "http://127.0.0.1:2"


class World:
    """A bank and a channel that answer from dictionaries. `takings`: date -> (settle, fee)."""

    def __init__(self):
        self.takings = {}
        self.credits = {}
        self.offsets = []
        self.is_away = False

    async def send(self, request):
        if self.is_away:
            raise NotSent("away")
        body = msgspec.json.decode(request.body) if request.body else {}
        said = self.answer(request.url, body)
        return HttpAnswer(409 if said is None else 200, {}, msgspec.json.encode(said))

    def answer(self, url, body):
        if url == BANK + "/_sandbox/clock":
            self.offsets.append(body["offset_ms"])
            return {"next_due_ms": None}
        if url == BANK + "/_sandbox/credit":
            known = self.credits.setdefault(body["reference"], body)
            return None if known != body else {"is_new": known is body}
        base, _, date = url.partition("/_sandbox/takings?date=")
        assert base == WECHAT, url
        settle, fee = self.takings.get(int(date), (0, 0))
        return {"is_over": True, "settle_minor": settle, "fee_minor": fee}

    def amounts(self):
        return {ref: each["amount_minor"] for ref, each in self.credits.items()}


def bank():
    return Bank(
        name="icbc",
        base_url=BANK,
        customer_id="TILLWAY01",
        custody_account="1",
        customer_key="file:/k",
        bank_key="file:/b",
        sandbox=True,
    )


@pytest.fixture
def made(tmp_path):
    """made(now_ms, **channel): (settlement, world, clock) with one channel account."""

    def make(now_ms, world=None, **channel):
        wechat = {"mchid": "1", "appid": "1", "merchant_serial": "1"}
        wechat |= {"merchant_private_key": "file:/k", "api_v3_key": "file:/k"}
        account = {
            **{"name": "wechat", "account": "wechat-1", "kind": "wechat", "wallets": ["wechat"]},
            **{"ways": ["barcode"], "base_url": WECHAT, "sandbox": True, "wechat": wechat},
            **channel,
        }
        flags = {"data_dir": str(tmp_path), "channels": [account]}
        clock, world = ManualClock(now_ms), world or World()
        settlement = ChannelSettlement(load(None, flags, {}), bank(), world, clock)
        return settlement, world, clock

    return make


async def test_a_weekends_days_are_paid_on_monday_at_nine(made):
    """Each by itself, with its own date; and not a moment before."""
    settlement, world, clock = made(day_ms(MONDAY) + 9 * HOUR_MS - 1)
    world.takings = {FRIDAY: (300, 2), SATURDAY: (200, 1), SUNDAY: (100, 1), MONDAY: (50, 0)}
    await settlement.settle()
    assert {} == world.credits
    assert day_ms(MONDAY) + 9 * HOUR_MS == settlement.next_due()

    clock.current_ms += 1
    await settlement.settle()

    days = {FRIDAY: 300, SATURDAY: 200, SUNDAY: 100}
    assert {f"wechat-1-{day}": amount for day, amount in days.items()} == world.amounts()
    texts = {each["remittance"] for each in world.credits.values()}
    assert {f"wechat-1 {day}" for day in days} == texts
    assert day_ms(MONDAY + 1) + 9 * HOUR_MS == settlement.next_due()


async def test_a_net_channel_keeps_its_fee(made):
    """What arrives is what it owes, less what its bill says."""
    settlement, world, _ = made(day_ms(MONDAY) + 9 * HOUR_MS, settlement="net", fee_max_ppm=7_000)
    world.takings = {FRIDAY: (1_000, 6)}

    await settlement.settle()

    assert {f"wechat-1-{FRIDAY}": 994} == world.amounts()


async def test_a_new_process_pays_nothing_twice(made):
    """The reference is the day's: the bank takes it once, with the same amount."""
    settlement, world, _ = made(day_ms(MONDAY) + 10 * HOUR_MS)
    world.takings = {FRIDAY: (1_000, 6)}
    await settlement.settle()

    other, _, _ = made(day_ms(MONDAY) + 11 * HOUR_MS, world=world)
    await other.settle()

    assert {f"wechat-1-{FRIDAY}": 1_000} == world.amounts() == other.paid


async def test_what_a_day_lacks_is_taken_off_the_days_after_it(made):
    """A day with more refunds than sales is not paid; nor are those that do not make up for it."""
    settlement, world, clock = made(day_ms(MONDAY) + 9 * HOUR_MS)
    world.takings = {FRIDAY: (-300, 0), SATURDAY: (200, 1), SUNDAY: (150, 1), MONDAY: (70, 0)}
    await settlement.settle()
    assert {f"wechat-1-{SUNDAY}": 50} == world.amounts()

    clock.current_ms += 24 * HOUR_MS
    await settlement.settle()

    assert {f"wechat-1-{SUNDAY}": 50, f"wechat-1-{MONDAY}": 70} == world.amounts()


async def test_what_a_day_lacks_is_taken_off_once_though_the_bank_was_away(made):
    """The credit that could not be paid in is paid as it would have been."""
    settlement, world, _ = made(day_ms(MONDAY) + 9 * HOUR_MS)
    world.takings = {FRIDAY: (-300, 0), SATURDAY: (400, 1)}
    answer, world.answer = world.answer, lambda url, body: None
    await settlement.settle()
    assert {} == world.credits

    world.answer = answer
    await settlement.settle()

    assert {f"wechat-1-{SATURDAY}": 100} == world.amounts()


async def test_a_day_that_was_paid_otherwise_stays_paid(made):
    """What lacked before the days that are looked back to is not known any more."""
    settlement, world, _ = made(day_ms(MONDAY) + 9 * HOUR_MS)
    world.takings = {FRIDAY: (300, 0), SATURDAY: (200, 0)}
    reference = f"wechat-1-{FRIDAY}"
    world.credits[reference] = {"reference": reference, "amount_minor": 120}

    await settlement.settle()

    assert {reference: 120, f"wechat-1-{SATURDAY}": 200} == world.amounts()


async def test_a_sandbox_that_is_away_is_asked_again(made):
    """Its day stays due, so that the test clock waits for it a moment."""
    settlement, world, clock = made(day_ms(MONDAY) + 9 * HOUR_MS)
    world.takings = {SUNDAY: (100, 1)}
    world.is_away = True
    assert await settlement.set_clock(0) <= clock.now_ms()
    world.is_away = False

    due = await settlement.set_clock(0)

    assert {f"wechat-1-{SUNDAY}": 100} == world.amounts()
    assert due == day_ms(MONDAY + 1) + 9 * HOUR_MS
    assert [0] == world.offsets


async def test_where_the_calendar_ends_nothing_is_guessed(made):
    """A year without its table: no day of it is paid, and nothing is due."""
    settlement, world, _ = made(day_ms(20401120))
    world.takings = {20401119: (100, 1)}

    assert await settlement.set_clock(0) is None
    assert {} == world.credits
