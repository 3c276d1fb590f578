"""A refund after the shop's money was covered, or is gone; and a second step that is said again."""

import pytest

from actors.home_messages import Land, Landed
from actors.sharing import out_of_what_there_is
from home_custody import AWAY, HOME, MERCHANT
from payments import bookings
from payments.bookings import Drawn
from payments.settlement.entries import ARRIVED, MONEY_ARRIVED
from payments.testing import a_payment, an_id


def give_back(shop, amount, drawn=()):
    """Book a refund as the flow of refunds does."""
    core, payment = shop.shard.core, a_payment(merchant=MERCHANT.id)
    postings = out_of_what_there_is(
        core, payment, bookings.split_refund_booked("wx", MERCHANT.id, 700, amount, 0, drawn)
    )
    entry = bookings.refund_entry_id(an_id("rfd"))
    core.books.book(core.batch, 700, entry, "rfd", 1, "cny", postings)
    core.follow(postings, MERCHANT.id)
    core.wake.set()
    shop.shard.commit()


TABLE = """
    # pending  available  given back   pending  available  debt after
      500      1000       500          0        1000       0
      500      1000       700          0        800        0
      500      1000       1500         0        0          0
      500      1000       1600         0        0          100
"""


@pytest.mark.parametrize(
    ("pending", "available", "back", "left", "rest", "debt"),
    [tuple(map(int, line.split())) for line in TABLE.splitlines() if line and "#" not in line],
)
def test_it_comes_out_of_pending_then_available_then_is_owed(
    shop, pending, available, back, left, rest, debt
):
    shop.earn(available)
    shop.sell(pending, date=20260228)

    give_back(shop, back)

    found = [shop.balance(part=part) for part in ("pending", "available", "debt")]
    assert [left, rest, debt] == found
    shop.assert_sound()


def test_what_a_receiver_gives_back_of_available_money_is_the_merchants_at_the_bank(shop):
    """The merchant owes it to the channel, which keeps it from its next credit."""
    shop.earn(3_000, shares=((HOME.id, 1_000),))
    before = shop.parties.get(MERCHANT.id).backing

    give_back(shop, 300, (Drawn(HOME.id, 0, 300, 0),))

    assert (700, 700) == (shop.balance(HOME.id), shop.parties.get(HOME.id).backing)
    assert before + 300 == shop.parties.get(MERCHANT.id).backing
    shop.assert_sound()


def test_a_second_step_that_is_said_again_is_booked_once(filed_shop):
    """By the same process, and by the next one."""
    shop = filed_shop
    shop.earn(3_000, shares=((AWAY.id, 500),))
    carried = [kept.value for kept in shop.shard.core.records.all_of("carry")]
    assert {ARRIVED, MONEY_ARRIVED} == {each.step for each in carried}
    entries = shop.books.entry_no
    for _ in range(2):
        for each in carried:
            land = Land(
                9, each.source, each.step, each.origin, each.receiver, each.amount, "cny",
                each.custody,
            )  # fmt: skip
            shop.custody.hear(land)
            assert [9] == [answer.ref for answer in shop.shard.custody.take(Landed)]
        shop.restart()

    assert (entries, 500) == (shop.books.entry_no, shop.balance(AWAY.id))


def test_money_waits_for_its_share(shop):
    """It is not answered, so that it is said again."""
    source = "cvr_" + AWAY.id[-24:]
    shop.custody.hear(Land(9, source, MONEY_ARRIVED, 700, AWAY.id, 5, "cny", "custody:icbc:01"))

    assert [] == shop.shard.custody.take(Landed)
    assert (1.0, 0) == (shop.shard.core.counts["landings_waiting"], shop.books.entry_no)
