"""The contract of bills: what the channel took on a day, to the fen, once the day is over.

Each sandbox writes the bill from its own books; each connector fetches it over a real socket and
believes it only when it is whole. Who reads it knows nothing of the sandbox.
"""

import gzip
import io

import pytest

from all_rigs import RIGS
from payments.bills.archive import Archive
from payments.bills.lines import BillKind, BillTotals
from payments.bills.text import china_date, day_ms, next_date
from payments.channels.alipay import bill as alipay
from payments.channels.base import Approved, Unknown
from payments.channels.fetching import (
    FILES,
    MOVEMENTS,
    AskedBill,
    BillFile,
    FetchesBills,
    NoBill,
)
from payments.channels.http import PooledClient
from payments.channels.transport import HttpAnswer
from payments.channels.unionpay import bill as unionpay
from payments.channels.wechat import bill as wechat
from payments.channels.wechat import funds
from payments.fees import FeePlan, fee
from rigs import Tap, no_answer, not_sent

READERS = {"wechat": wechat.read, "alipay": alipay.read, "unionpay": unionpay.read}
BILLED = pytest.mark.parametrize("stand", [name for name in RIGS if name in READERS], indirect=True)
HOUR_S = 3_600
TODAY_S = 12 * HOUR_S
TOMORROW_S = 34 * HOUR_S
"""From midnight: noon, when all happens, and 10 o'clock of the next day: then all bills exist."""


@pytest.fixture
async def files():
    pool = PooledClient(FILES)
    yield Tap(pool)
    await pool.close()


def go_to(stand, date, seconds):
    """Business time goes on to so long after a day's midnight in China."""
    stand.advance((day_ms(date) - stand.clock.now_ms()) / 1000 + seconds)


async def sell(stand, number, ending="0000", amount=3800):
    order = stand.barcode(ending, amount, number)
    await stand.channel.pay(order)
    return order


async def a_day(stand):
    """Noon of tomorrow: sales with and without coupons, refunds, an undoing, what came to nothing.
    Returns the day; afterwards it is over.
    """
    day = next_date(china_date(stand.clock.now_ms()))
    go_to(stand, day, TODAY_S)
    await sell(stand, "01K5AZ00000000000000000001", amount=84)
    coupons = await sell(stand, "01K5AZ00000000000000000002", "9012")
    for amount, name in ((1000, "R1AZ0000"), (333, "R2AZ0000")):
        stand.advance(61)
        made = await stand.channel.refund(stand.back(coupons, amount, name))
        assert isinstance(made, Approved)
    undone = await sell(stand, "01K5AZ00000000000000000003", amount=2500)
    await stand.channel.reverse(stand.about(undone))
    await sell(stand, "01K5AZ00000000000000000004", "9003")
    await sell(stand, "01K5AZ00000000000000000005", "9011")
    go_to(stand, day, TOMORROW_S)
    await sell(stand, "01K5AZ00000000000000000006")
    return day


async def fetched(stand, files, day):
    """The lines of a day's bill, from the bytes that were fetched."""
    bill = await stand.channel.fetch_bill(AskedBill(day), files)
    assert isinstance(bill, BillFile), bill
    return list(READERS[stand.rig.name](io.BytesIO(bill.content), day))


@BILLED
async def test_a_bill_says_what_the_channel_took_to_the_fen(stand, files):
    """All that was charged that day and no more, also where the channel told another amount."""
    assert isinstance(stand.channel, FetchesBills)
    day = await a_day(stand)
    lines = await fetched(stand, files, day)

    books = {number: book for number, book in stand.books().items() if number[-1] != "6"}
    totals = BillTotals()
    for line in lines:
        totals.add(line)
    assert sum(b.amount_minor for b in books.values() if b.charges) == totals.amount
    assert sum(b.refunded_minor for b in books.values()) == totals.refunded
    assert {n for n, b in books.items() if b.charges} == {line.out_trade_no for line in lines}
    assert {day} == {line.bill_date for line in lines} == {china_date(i.at_ms) for i in lines}
    assert {"cny"} == {line.currency for line in lines}
    assert list(range(lines[0].row, lines[0].row + len(lines))) == [line.row for line in lines]


@BILLED
async def test_coupons_and_fees_of_each_line(stand, files):
    """Half up on each payment, given back with its refunds; never the rate times a sum."""
    lines = await fetched(stand, files, await a_day(stand))
    plan = FeePlan("sandbox", 6_000)

    paid = {i.out_trade_no[-1]: i for i in lines if i.kind is BillKind.PAYMENT}
    for line in paid.values():
        assert fee(plan, line.settle_amount) == line.fee
    coupons = paid["2"]
    assert (3800, 3600, 3300) == (coupons.amount, coupons.settle_amount, coupons.payer_amount)
    assert (300, 200, 22) == (coupons.discount_channel, coupons.discount_merchant, coupons.fee)
    back = [i for i in lines if i.kind is BillKind.REFUND and i.out_trade_no[-1] == "2"]
    assert [("R1AZ0000", 1000), ("R2AZ0000", 333)] == [(i.out_refund_no, i.amount) for i in back]
    assert fee(plan, 3600) - fee(plan, 3600 - sum(i.settle_amount for i in back)) == sum(
        i.fee for i in back
    )
    undone = [i for i in lines if i.kind is BillKind.REFUND and i.out_trade_no[-1] == "3"]
    assert [(2500, paid["3"].fee)] == [(i.amount, i.fee) for i in undone]


@BILLED
async def test_a_day_has_a_bill_when_it_is_over_and_always_the_same(stand, files):
    """Before: not yet. After: the same bytes, whatever has happened since. Nothing sold: none."""
    day = await a_day(stand)
    first = await stand.channel.fetch_bill(AskedBill(day), files)
    today = await stand.channel.fetch_bill(AskedBill(next_date(day)), files)
    go_to(stand, day, 3 * TOMORROW_S)
    again = await stand.channel.fetch_bill(AskedBill(day), files)
    empty = await stand.channel.fetch_bill(AskedBill(next_date(next_date(day))), files)

    assert isinstance(first, BillFile)
    assert first == again
    assert isinstance(today, Unknown) or (isinstance(today, NoBill) and today.later)
    assert isinstance(empty, NoBill)
    assert not empty.later


@BILLED
async def test_a_damaged_file_is_not_taken(stand, files):
    """Cut, or with a byte changed on the way: the hash, or the file's own checksum, tells."""
    day = await a_day(stand)
    asked = AskedBill(day)
    whole = await stand.channel.fetch_bill(asked, files)

    for damage in (
        lambda body: body[: len(body) // 2],
        lambda body: body[:60] + bytes([body[60] ^ 1]) + body[61:],
        lambda body: b"",
    ):
        files.edit = lambda request, answer, damage=damage: HttpAnswer(
            answer.status, answer.headers, damage(answer.body)
        )
        assert isinstance(await stand.channel.fetch_bill(asked, files), Unknown)
    files.edit = None
    assert whole == await stand.channel.fetch_bill(asked, files)


@pytest.mark.parametrize("stand", ["wechat", "unionpay"], indirect=True)
async def test_a_sound_file_with_other_content_is_not_taken(stand, files):
    """Well packed, and not what the signed answer told the hash of."""
    asked = AskedBill(await a_day(stand))
    files.edit = lambda request, answer: HttpAnswer(
        answer.status, answer.headers, gzip.compress(b"another bill")
    )

    assert Unknown("a file with another hash than was told") == await stand.channel.fetch_bill(
        asked, files
    )


@BILLED
async def test_what_is_not_answered_or_not_signed_is_unknown(stand, files):
    """Neither a file nor its absence is believed without the channel's word."""
    asked = AskedBill(await a_day(stand))

    for breaking in (not_sent, no_answer):
        for tap in (stand.tap, files):
            tap.before = breaking
            assert isinstance(await stand.channel.fetch_bill(asked, files), Unknown)
            tap.before = None
    stand.tap.edit = stand.rig.unsigned
    assert isinstance(await stand.channel.fetch_bill(asked, files), Unknown)


@BILLED
async def test_a_file_can_be_downloaded_for_five_minutes(stand, files):
    """The address of a bill is guessed by nobody, and does not last."""
    asked = AskedBill(await a_day(stand))
    await stand.channel.fetch_bill(asked, files)
    request = files.sent[-1]
    other = type(request)("GET", request.url[:-1] + "x", request.headers)

    assert 200 == (await files.send(request)).status
    assert 200 != (await files.send(other)).status
    stand.sandbox.files._clock = _Later(stand.clock)
    assert 200 != (await files.send(request)).status


class _Later:
    """Five minutes on."""

    def __init__(self, clock):
        self._clock = clock

    def real_ms(self):
        return self._clock.real_ms() + 300_000


@BILLED
async def test_a_fetched_bill_is_archived_and_read_from_there(stand, files, tmp_path):
    """As a user does it every morning: fetch, keep, read what is kept."""
    day = await a_day(stand)
    bill = await stand.channel.fetch_bill(AskedBill(day), files)
    archive = Archive(tmp_path)
    kept = archive.keep(stand.rig.name, "main", day, "payments", bill.content, bill.extension)

    assert [kept.path] == [
        one.path for one in archive.of_day(stand.rig.name, "main", day, "payments")
    ]
    with kept.path.open("rb") as file:
        assert await fetched(stand, files, day) == list(READERS[stand.rig.name](file, day))


@pytest.mark.parametrize("stand", ["wechat"], indirect=True)
async def test_movements_end_in_the_balance_that_the_lines_leave(stand, files):
    """WeChat Pay's other bill: each fen that came and went, with the fee on its own line."""
    day = await a_day(stand)
    totals = BillTotals()
    for line in await fetched(stand, files, day):
        totals.add(line)
    bill = await stand.channel.fetch_bill(AskedBill(day, kind=MOVEMENTS), files)

    moved = list(funds.read(io.BytesIO(bill.content)))
    assert totals.net == sum(line.change for line in moved) == moved[-1].balance
    assert len(moved) == len({line.flow_no for line in moved})
    go_to(stand, next_date(day), TOMORROW_S)
    after = await stand.channel.fetch_bill(AskedBill(next_date(day), kind=MOVEMENTS), files)
    (first, *_) = funds.read(io.BytesIO(after.content))
    assert totals.net + first.change == first.balance
