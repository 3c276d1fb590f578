"""The reconciler brings the bill of divided money as it brings the one of payments, beside it."""

import json

import pytest

from actors.home_messages import HomeAsk
from actors.reconciler import Reconciler
from actors.reconciler_carrying import BillAccount
from held_money import RIDER, Divides, refunded
from payments.bills.archive import Archive
from payments.bills.lines import BillKind
from payments.bills.shares import ShareLine
from payments.calendar import business_date
from payments.channels.base import Unknown
from payments.channels.fetching import BillFile, NoBill
from payments.channels.wechat import bill, sharing_bill
from payments.clock import ManualClock
from payments.errors import InvalidField
from payments.reconciliation import daily
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.shared import sharing_account
from payments.storage.comparing import Comparing
from world import ACCOUNTS

ACCOUNT = sharing_account(ACCOUNTS[0])


@pytest.fixture
def divided(tmp_path):
    """(folder, the lines of its day's bill): a payment that was divided and partly refunded."""
    world = Divides(path=tmp_path).start()
    paid = world.sell().body
    world.until_over()
    refunded(world, paid["id"], 2_500)
    at_ms = world.clock.now_ms() // 1000 * 1000
    told = [
        (BillKind.SHARE, order.number, part.account, part.amount)
        for order in world.held.orders.values()
        for part in order.portions
    ]
    told += [
        (BillKind.SHARE_RETURN, each.return_no, each.account, each.amount)
        for each in world.held.returns.values()
    ]
    world.close()
    return tmp_path, [
        ShareLine(
            "wechat", "1900000001", kind, number, "3", "36", "42", who, at_ms,
            business_date(at_ms), amount, 10_000,
        )
        for kind, number, who, amount in told
    ]  # fmt: skip


class Silent:
    """Nobody asks it."""


class Bench:
    def __init__(self, folder, lines):
        self.lines = lines
        self.date = lines[0].bill_date
        self.clock = ManualClock(day_bounds(self.date)[1] + 11 * daily.HOUR_MS)
        self.answer = self.file(lines)
        self.asked = []
        comparing = Comparing(folder, [folder / "shard-0.db"], self.clock, livemode=False)
        self.account = BillAccount(
            ACCOUNT, "wechat", self._fetch, Silent(), bill.read, shares=sharing_bill.read
        )
        self.archive = Archive(folder / "bills")
        self.reconciler = Reconciler(
            "reconciler", [self.account], comparing, self._keep, self.clock, lambda _: 0
        )
        self.reconciler._tasks = object()

    @staticmethod
    def file(lines):
        return BillFile(b"".join(sharing_bill.write(lines)), ".csv")

    async def _fetch(self, date):
        self.asked.append(date)
        return self.answer if date == self.date else NoBill("nothing", later=False)

    def _keep(self, account, date, file):
        return self.archive.keep("wechat", ACCOUNTS[0], date, "shares", file.content, ".csv")

    async def ask(self, op, target=None, body=b"", caller="key_1", **query):
        ask = HomeAsk(0, op, "", caller, ("operator",), target, "", body, query)
        answer = await self.reconciler._desk.answer(ask)
        return json.loads(answer.body)


async def test_a_day_is_brought_once_and_agrees(divided):
    bench = Bench(*divided)

    await bench.reconciler.work()
    await bench.reconciler.work()

    (run,) = (await bench.ask("reconciliations.list", channel=ACCOUNT))["data"]
    assert ({"matched": 4}, {}, 1) == (run["counts"], run["open"], bench.asked.count(bench.date))
    assert 1_125 == run["totals"]["ours"] == run["totals"]["theirs"]
    assert 1 == len(bench.archive.of_day("wechat", ACCOUNTS[0], bench.date, "shares"))


async def test_a_difference_ends_by_two_people_and_books_nothing(divided):
    folder, lines = divided
    bench = Bench(folder, lines[1:])
    await bench.reconciler.work()
    (item,) = (await bench.ask("reconciliation_items.list"))["data"]
    assert ("split_mismatch", "finance", "share", -500) == (
        item["type"], item["owner"], item["line"], item["amount"],
    )  # fmt: skip
    assert f"{lines[0].number} {RIDER}" == item["number"]
    assert ("claim", []) == (item["proposal"]["act"], item["proposal"]["entry"])

    with pytest.raises(InvalidField, match="nothing can be booked"):
        await bench.ask("reconciliation_items.propose", item["id"], b'{"act":"suspense"}')
    await bench.ask("reconciliation_items.propose", item["id"], b'{"act":"claim"}')
    accept = b'{"decision":"accept","reason":"written"}'
    ended = await bench.ask("reconciliation_items.resolve", item["id"], accept, caller="key_2")

    assert "resolved" == ended["status"]


async def test_silence_and_a_refused_file_are_asked_for_again(divided):
    bench = Bench(*divided)
    right, bench.answer = bench.answer, Unknown("no answer")
    await bench.reconciler.work()
    bench.clock.current_ms = bench.reconciler.missing[ACCOUNT, bench.date].again_at
    bench.answer = BillFile(right.content[:-9], ".csv")
    await bench.reconciler.work()
    assert bench.reconciler.missing[ACCOUNT, bench.date].is_refused
    bench.clock.current_ms = bench.reconciler.missing[ACCOUNT, bench.date].again_at
    bench.answer = right
    await bench.reconciler.work()

    assert {} == bench.reconciler.missing
    (run,) = (await bench.ask("reconciliations.list"))["data"]
    assert {"matched": 4} == run["counts"]


async def test_a_day_that_the_channel_has_nothing_of_misses_what_we_did(divided):
    bench = Bench(*divided)
    bench.answer = NoBill("nothing", later=False)

    await bench.reconciler.work()

    runs = (await bench.ask("reconciliations.list"))["data"]
    assert [(bench.date, {"matched": 0, "split_mismatch": 4})] == [
        (run["bill_date"], run["counts"]) for run in runs
    ]
