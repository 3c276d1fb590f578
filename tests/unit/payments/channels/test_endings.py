"""The last four digits of the auth code decide: the table of test mode, row by row."""

import pytest

from payments.channels.base import Approved, Awaiting, Book, Declined, Unknown, Unpaid
from payments.channels.simulated.endings import BARCODE_ENDINGS
from payments.payment import Discount

SYSTEM_ERROR = Unknown("system error")
UNSIGNED = Unknown("an answer with a wrong signature")
PAID = Approved("N1", 3800, "simN1")
MISREPORTED = Approved("N1", 3900, "simN1")
COUPONED = Approved(
    "N1",
    3800,
    "simN1",
    payer_amount=3300,
    settle_amount=3600,
    discounts=(Discount("channel", 300), Discount("merchant", 200)),
)
POOR = Declined("insufficient_funds", "the payer's balance is too low", "NOTENOUGH")
EXPIRED = Declined(
    "auth_code_expired",
    "the auth code has expired; ask the payer for a new one",
    "AUTHCODEEXPIRE",
)
TAKEN = Book("N1", 3800, 0, "paid", 1)
OPEN = Book("N1", 3800, 0, "unpaid", 0)
OVER = Book("N1", 3800, 0, "closed", 0)

# ending, answer to the payment call, query at once, the books then, query after 25 s, books then
ROWS = [
    ("0000", PAID, PAID, TAKEN, PAID, TAKEN),
    ("9001", Awaiting(), Unpaid("open"), OPEN, PAID, TAKEN),
    ("9002", Awaiting(), Unpaid("open"), OPEN, Unpaid("open"), OPEN),
    ("9003", POOR, POOR, OVER, POOR, OVER),
    ("9004", EXPIRED, EXPIRED, OVER, EXPIRED, OVER),
    ("9005", SYSTEM_ERROR, PAID, TAKEN, PAID, TAKEN),
    ("9006", None, PAID, TAKEN, PAID, TAKEN),
    ("9007", None, Unpaid("absent"), None, Unpaid("absent"), None),
    ("9008", SYSTEM_ERROR, SYSTEM_ERROR, OPEN, SYSTEM_ERROR, OPEN),
    ("9009", PAID, PAID, TAKEN, PAID, TAKEN),
    ("9010", UNSIGNED, UNSIGNED, TAKEN, PAID, TAKEN),
    ("9011", MISREPORTED, MISREPORTED, TAKEN, MISREPORTED, TAKEN),
    ("9012", COUPONED, COUPONED, TAKEN, COUPONED, TAKEN),
]


def test_every_ending_has_its_row():
    """No ending of the code is missing in the table of this test, and the other way round."""
    assert {row[0] for row in ROWS if row[0] != "0000"} == BARCODE_ENDINGS


@pytest.mark.parametrize(
    ("ending", "answer", "query", "book", "later", "later_book"), ROWS, ids=[r[0] for r in ROWS]
)
async def test_an_ending_does_what_the_table_says(
    world, ending, answer, query, book, later, later_book
):
    """The answer, what queries say now and 25 seconds later, and what was really taken."""
    assert await world.pay(world.order(ending)) == answer
    assert await world.inquire("N1") == query
    assert world.book() == book

    world.pass_seconds(25)

    assert await world.inquire("N1") == later
    assert world.book() == later_book


@pytest.mark.parametrize("ending", sorted(BARCODE_ENDINGS))
@pytest.mark.parametrize("prefix", ["1012345678901", "281234567890", "25123456789012345678", "62"])
async def test_any_prefix_and_length_will_do(world, ending, prefix):
    """A wallet's prefix and the length of its code change nothing."""
    expected = next(row[1] for row in ROWS if row[0] == ending)

    assert await world.pay(world.order(ending, prefix=prefix)) == expected


@pytest.mark.parametrize(("seconds", "answer"), [(2.999, Unpaid("open")), (3, PAID)])
async def test_9001_the_pin_takes_three_seconds_of_business_time(world, seconds, answer):
    """A query finds the payment after three seconds, although nobody woke the channel."""
    await world.pay(world.order("9001"))

    world.clock.advance(seconds)

    assert await world.inquire("N1") == answer


async def test_9001_is_announced(world):
    """The channel says when it has something to do, and calls back when it is done."""
    await world.pay(world.order("9001"))

    assert world.channel.next_due() == world.clock.now_ms() + 3000
    world.pass_seconds(3)

    assert [notice.outcome for notice in world.notices] == [PAID]
    assert world.channel.next_due() is None


async def test_9001_reversed_in_time_is_never_paid(world):
    """Who enters the PIN after the reverse is told that the order is over."""
    await world.pay(world.order("9001"))
    assert await world.reverse("N1") == Approved("N1", 3800)

    world.pass_seconds(60)

    assert world.book() == OVER


async def test_9002_can_be_reversed(world):
    await world.pay(world.order("9002"))

    assert await world.reverse("N1") == Approved("N1", 3800)
    assert await world.inquire("N1") == Unpaid("closed")
    assert world.book() == OVER


@pytest.mark.parametrize("ending", ["0000", "9005", "9006", "9009", "9011", "9012"])
async def test_taken_money_goes_back_when_reversed(world, ending):
    """All of it, once, however often the reverse is asked."""
    await world.pay(world.order(ending))

    assert await world.reverse("N1") == Approved("N1", 3800)
    assert await world.reverse("N1") == Approved("N1", 3800)
    assert await world.inquire("N1") == Unpaid("reversed")
    assert world.book() == Book("N1", 3800, 3800, "reversed", 1)


async def test_9007_the_reverse_closes_the_number_for_ever(world):
    """A request that was still on its way finds the number closed: nothing is taken."""
    await world.pay(world.order("9007"))
    assert await world.inquire("N1") == Unpaid("absent")
    assert await world.reverse("N1") == Approved("N1", 0)

    late = await world.pay(world.order("0000"))

    assert late == Declined("channel_error", "the order number is closed", "ORDERCLOSED")
    assert await world.inquire("N1") == Unpaid("closed")
    assert world.book() == Book("N1", 0, 0, "closed", 0)


async def test_9008_turns_out_paid_after_the_reverse(world):
    """Blind until undone, then "closed", three seconds later paid, called back and refundable."""
    await world.pay(world.order("9008"))
    world.pass_seconds(46)
    assert await world.inquire("N1") == SYSTEM_ERROR
    assert await world.reverse("N1") == Approved("N1", 3800)
    assert await world.inquire("N1") == Unpaid("closed")
    assert world.notices == []

    world.pass_seconds(3)

    assert [notice.outcome for notice in world.notices] == [PAID]
    assert await world.inquire("N1") == PAID
    assert await world.channel.refund(world.refund("R1", 3800)) == Approved("N1", 3800, "simrR1")
    assert world.book() == Book("N1", 3800, 3800, "paid", 1)


async def test_9008_is_found_by_a_query_when_nobody_woke_the_channel(world):
    """A late look finds the money even if the callback is lost."""
    await world.pay(world.order("9008"))
    await world.reverse("N1")

    world.clock.advance(3)

    assert await world.inquire("N1") == PAID


async def test_9009_calls_back_three_times(world):
    """And charges once."""
    await world.pay(world.order("9009"))

    assert [notice.outcome for notice in world.notices] == [PAID] * 3
    assert world.book() == TAKEN


@pytest.mark.parametrize(("seconds", "answer"), [(0, UNSIGNED), (19.999, UNSIGNED), (20, PAID)])
async def test_9010_is_wrongly_signed_for_twenty_seconds(world, seconds, answer):
    """The payment call and queries alike; then the truth."""
    await world.pay(world.order("9010"))

    world.pass_seconds(seconds)

    assert await world.inquire("N1") == answer


async def test_9010_a_reverse_works_but_its_answer_is_wrongly_signed_too(world):
    """Asked again once the signatures are right, it says what it did."""
    await world.pay(world.order("9010"))
    assert await world.reverse("N1") == UNSIGNED

    world.pass_seconds(20)

    assert await world.reverse("N1") == Approved("N1", 3800)
    assert world.book() == Book("N1", 3800, 3800, "reversed", 1)


@pytest.mark.parametrize(
    ("amount", "payer", "settle"), [(500, None, None), (501, 1, 301), (3800, 3300, 3600)]
)
async def test_9012_coupons_need_an_amount_above_them(world, amount, payer, settle):
    """300 by the channel and 200 by the merchant; none up to 500."""
    outcome = await world.pay(world.order("9012", amount=amount))

    assert (outcome.amount, outcome.payer_amount, outcome.settle_amount) == (amount, payer, settle)
    assert sum(discount.amount for discount in outcome.discounts) == (500 if payer else 0)


@pytest.mark.parametrize("ending", ["0000", *sorted(BARCODE_ENDINGS)])
async def test_the_same_order_again_gets_the_same_answer_and_no_second_charge(world, ending):
    """A repeated payment call is the same payment."""
    order = world.order(ending)
    first = await world.pay(order)
    before = world.book()

    assert await world.pay(order) == first
    assert world.book() == before


@pytest.mark.parametrize("ending", ["0000", "9001", "9003", "9005", "9008"])
@pytest.mark.parametrize("change", [{"amount": 3801}, {"prefix": "28000000"}])
async def test_the_same_number_with_another_order_is_refused(world, ending, change):
    """An explicit refusal that is not "not sent": the number is spent, money may be on it."""
    await world.pay(world.order(ending))
    before = world.book()

    answer = await world.pay(world.order(ending, **change))

    assert answer == Declined(
        "channel_error", "the number belongs to another order", "OUT_TRADE_NO_USED"
    )
    assert world.book() == before


async def test_what_the_account_may_not_do_is_refused_as_not_sent(make_world):
    """A wallet or way that it lacks: a second channel may be tried."""
    world = make_world(wallets=("alipay",))

    answer = await world.pay(world.order())

    assert isinstance(answer, Declined)
    assert (answer.code, answer.not_sent) == ("channel_error", True)
    assert world.channel.books() == []


async def test_rates_follow_the_seed_and_survive_a_restart(make_world, tmp_path):
    """A fifth declined, a fifth unclear: and each number meets its fate again."""
    world = make_world(tmp_path / "books", decline_ppm=200_000, error_ppm=200_000, seed=11)
    orders = [world.order(number=f"N{i}") for i in range(500)]
    first = [await world.pay(order) for order in orders]
    world.close()

    world.restart()
    again = [await world.pay(order) for order in orders]
    world.close()

    declined = sum(isinstance(outcome, Declined) for outcome in first)
    unknown = sum(outcome == SYSTEM_ERROR for outcome in first)
    charges = sum(book.charges for book in world.channel.books())
    assert again == first
    assert 70 <= declined <= 130
    assert 70 <= unknown <= 130
    assert 500 - declined - unknown < charges < 500 - declined, "half of the errors took the money"
