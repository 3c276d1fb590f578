"""The reconciler over a rehearsed day: bills that are late, refused, brought twice; a crash."""

import asyncio
import json
from collections import Counter

import pytest

from actors.home_messages import HomeAsk
from actors.messages import Changes
from actors.reconciler import NotBrought, Reconciler
from actors.reconciler_carrying import BillAccount
from payments.bills.archive import Archive
from payments.channels.base import Unknown, Unpaid
from payments.channels.fetching import BillFile, NoBill
from payments.channels.wechat import bill
from payments.clock import ManualClock
from payments.errors import Conflict, InvalidField
from payments.reconciliation import daily, rehearsal
from payments.reconciliation.lines import day_bounds
from payments.storage.comparing import Comparing
from payments.storage.reconciliation import ReconciliationStore
from payments.storage.rehearsal import BILL, SHARD, write

DAY = 20261121
_, ENDED = day_bounds(DAY)
PAYMENTS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A shard's file and the bill of its day, with known differences."""
    folder = tmp_path_factory.mktemp("rehearsed") / "day"
    day = rehearsal.rehearse(PAYMENTS, DAY, bill.CHANNEL, 100, 1)
    details = bill.Details(rate_ppm=rehearsal.RATE.rate_ppm)
    write(
        folder,
        day,
        DAY,
        lambda lines: bill.write(bill.BillType.ALL, ((line, details) for line in lines)),
    )
    return folder


class Silent:
    """A channel that says of each payment that it is not paid."""

    async def inquire(self, order):
        return Unpaid("closed")


class Bench:
    """A reconciler whose channel answers what a test says."""

    def __init__(self, folder, data):
        self.clock = ManualClock(ENDED + 11 * daily.HOUR_MS)
        self.content = (folder / BILL).read_bytes()
        self.answer = BillFile(self.content, ".csv")
        self.asked = []
        self.comparing = Comparing(data, [folder / SHARD], self.clock, livemode=False)
        self.account = BillAccount(
            rehearsal.ACCOUNT, "wechat", self._fetch, Silent(), bill.read, rehearsal.RATE
        )
        self.archive = Archive(data / "bills")
        self.restart()

    def restart(self):
        self.reconciler = Reconciler(
            "reconciler", [self.account], self.comparing, self._keep, self.clock, lambda _: 0
        )
        self.reconciler._tasks = object()  # Only whether it runs is looked at.

    async def _fetch(self, date):
        self.asked.append(date)
        return self.answer if date == DAY else NoBill("nothing", later=False)

    def _keep(self, account, date, file):
        return self.archive.keep("wechat", account.name, date, "trades", file.content, ".csv")

    async def ask(self, op, target=None, body=b"", caller="key_1", **query):
        ask = HomeAsk(0, op, "", caller, ("operator",), target, "", body, query)
        answer = await self.reconciler._desk.answer(ask)
        return json.loads(answer.body)


@pytest.fixture
def bench(folder, tmp_path):
    return Bench(folder, tmp_path)


class Door:
    """A shard that has not opened yet."""

    link = None


async def test_nothing_is_compared_before_the_shards_have_opened(bench):
    """A new deployment's files are being made: their absence is no difference and no alarm."""
    door = Door()
    bench.reconciler.open([door])
    running = asyncio.create_task(bench.reconciler.run())
    bench.reconciler.on_messages(None, [Changes(1, (), complete=True)])
    await asyncio.sleep(0.15)
    await bench.reconciler.work()
    before = list(bench.asked)
    door.link = object()
    while DAY not in bench.asked:  # noqa: ASYNC110 - the work is another task
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert [] == before


async def test_a_day_is_brought_once_and_every_planted_difference_found(bench, folder):
    await bench.reconciler.work()
    await bench.reconciler.work()

    (run,) = (await bench.ask("reconciliations.list"))["data"]
    found = Counter(run["counts"]) - Counter(matched=run["counts"]["matched"])
    assert dict.fromkeys(map(str, rehearsal.PLANTED), 2) == dict(found)
    assert 1 == bench.asked.count(DAY)


async def test_a_bill_that_is_not_there_is_asked_for_later_each_time(bench):
    bench.answer = NoBill("STATEMENT_CREATING", later=True)
    asked = []
    for _ in range(4):
        await bench.reconciler.work()
        await bench.reconciler.work()
        asked.append(bench.asked.count(DAY))
        bench.clock.current_ms = bench.reconciler.missing[rehearsal.ACCOUNT, DAY].again_at
    bench.answer = BillFile(bench.content, ".csv")
    await bench.reconciler.work()

    assert [1, 2, 3, 4] == asked
    assert {} == bench.reconciler.missing
    assert 1 == bench.reconciler.counts["compared"]


async def test_a_refused_bill_is_an_alarm_with_its_reason(bench):
    bench.answer = BillFile(bench.content[:-20], ".csv")

    await bench.reconciler.work()

    (alarm,) = [name for name in bench.reconciler.stats() if name.startswith("bill_refused")]
    assert 'channel="rehearsal",bill_date="20261121",reason="the bill is refused' in alarm
    assert [] == (await bench.ask("reconciliation_items.list"))["data"]


async def test_silence_is_no_answer(bench):
    bench.answer = Unknown("no answer")

    with pytest.raises(NotBrought, match="did not answer"):
        await bench.reconciler.bring(bench.account, DAY)


async def test_a_crash_in_the_middle_shows_nothing_and_costs_only_the_work(bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(ReconciliationStore, "finish", _die)
        await bench.reconciler.work()
    seen = (await bench.ask("reconciliations.list"))["data"]
    bench.restart()
    await bench.reconciler.work()

    assert [] == seen
    (run,) = (await bench.ask("reconciliations.list"))["data"]
    assert 2 * len(rehearsal.PLANTED) == sum(run["counts"].values()) - run["counts"]["matched"]


def _die(*_):
    raise asyncio.InvalidStateError("the process ends here")


async def test_each_filter_shows_what_it_says(bench):
    await bench.reconciler.work()
    everything = (await bench.ask("reconciliation_items.list", limit="100"))["data"]

    for name in ("type", "status", "owner"):
        for value in {item[name] for item in everything}:
            page = await bench.ask("reconciliation_items.list", limit="100", **{name: value})
            assert [item for item in everything if item[name] == value] == page["data"]
    first = await bench.ask("reconciliation_items.list", limit="3")
    rest = await bench.ask(
        "reconciliation_items.list", limit="100", starting_after=first["data"][-1]["id"]
    )
    assert everything == first["data"] + rest["data"]


async def test_a_claim_takes_two_keys_and_an_act_of_its_kind(bench):
    await bench.reconciler.work()
    (item, _) = (await bench.ask("reconciliation_items.list", type="amount"))["data"]
    wrong = b'{"act":"adjust_fee"}'

    with pytest.raises(InvalidField):
        await bench.ask("reconciliation_items.propose", item["id"], wrong)
    await bench.ask("reconciliation_items.propose", item["id"], b'{"act":"claim"}')
    accept = b'{"decision":"accept","reason":"written"}'
    with pytest.raises(Conflict, match="who proposed cannot agree"):
        await bench.ask("reconciliation_items.resolve", item["id"], accept)
    ended = await bench.ask("reconciliation_items.resolve", item["id"], accept, caller="key_2")

    assert ("resolved", "claim", []) == (
        ended["status"], ended["proposal"]["act"], ended["proposal"]["entry"],
    )  # fmt: skip


async def test_the_test_clock_learns_when_the_next_bill_is_due(bench):
    await bench.reconciler.work()

    assert ENDED + 24 * daily.HOUR_MS + 10 * daily.HOUR_MS == bench.reconciler.next_due()
