"""A shard books what two people agreed to of a difference, once."""

import pytest

from actors.adjusting_messages import Adjust, Adjusted
from payments.ledger import Entry, unpack_postings
from payments.reconciliation.adjustment import Adjustment, entry_id
from payments.reconciliation.bank import CREDITS_ACCOUNT
from payments.reconciliation.differences import Act
from payments.settlement.coverage import complaints
from payments.testing import an_id

ITEM = an_id("rci")
RECEIVABLE, SUSPENSE = "channel:wechat:receivable#7", "suspense:wechat#7"


def a_wish(amount=100, item=ITEM, **changes):
    postings = changes.pop("postings", ((RECEIVABLE, amount), (SUSPENSE, -amount)))
    return Adjustment(item, "wechat", Act.SUSPENSE, "cny", postings, "key_1", "key_2", 0)


class Peer:
    """A link that remembers what was said."""

    peer_role = "reconciler"

    def __init__(self):
        self.said = []

    def send(self, message):
        self.said.append(message)
        return True


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
async def ask(make_shard, peer):
    """Say something to a shard, let it commit; its answer."""

    async def ask(wish, shard):
        shard.on_messages(peer, [Adjust(1, wish)])
        await shard._commit()
        return peer.said.pop()

    return ask


async def test_an_entry_is_booked_and_again_changes_nothing(make_shard, ask):
    """The difference's id makes it one, also after a restart."""
    shard = await make_shard()

    first = await ask(a_wish(), shard)
    again = await ask(a_wish(), shard)
    restarted = await make_shard()
    later = await ask(a_wish(), restarted)

    assert [Adjusted(1)] * 3 == [first, again, later]
    assert 100 == restarted.core.books.balance(RECEIVABLE, "cny")
    assert -100 == restarted.core.books.balance(SUSPENSE, "cny")
    assert [entry_id(ITEM)] == [row[3] for row in restarted.core.store.entries_after(0, 10)]


async def test_another_entry_for_the_same_difference_is_refused(make_shard, ask):
    shard = await make_shard()
    await ask(a_wish(), shard)

    answer = await ask(a_wish(200), shard)

    assert "another entry was booked for this difference" == answer.why
    assert 100 == shard.core.books.balance(RECEIVABLE, "cny")


@pytest.mark.parametrize(
    "postings",
    [
        (),
        ((RECEIVABLE, 100), (SUSPENSE, -99)),
        ((RECEIVABLE, 100), ("suspense:wechat#8", -100)),
        ((RECEIVABLE, 100), ("suspense:alipay#7", -100)),
        ((RECEIVABLE, 100), ("merchant:mch_1:available", -100)),
        ((RECEIVABLE, 100), ("nobody", -100)),
    ],
)
async def test_what_is_no_business_of_a_difference_is_not_booked(make_shard, ask, postings):
    """Unbalanced, two partitions, another account, a merchant's money, no account."""
    shard = await make_shard()

    answer = await ask(a_wish(postings=postings), shard)

    assert answer.why
    assert [] == shard.core.store.entries_after(0, 10)


CUSTODY, UNCLAIMED = "custody:icbc:622200001", "suspense:_custody#0"


def a_credit(amount, item=ITEM, postings=None):
    postings = postings or ((CUSTODY, amount), (UNCLAIMED, -amount))
    return Adjustment(item, CREDITS_ACCOUNT, Act.SUSPENSE, "cny", postings, "key_1", "key_2", 0)


async def test_money_of_nobody_is_kept_in_suspense_and_the_books_agree_with_the_bank(
    make_shard, ask
):
    """Custody holds it and suspense owes it; nobody's coverage suffers."""
    shard = await make_shard()

    assert Adjusted(1) == await ask(a_credit(70), shard)

    core = shard.core
    assert (70, -70) == (core.books.balance(CUSTODY, "cny"), core.books.balance(UNCLAIMED, "cny"))
    (row,) = core.store.entries_after(0, 10)
    entry = Entry(row[3], row[4], row[1], row[6], row[5], unpack_postings(row[7]))
    assert [] == complaints([(entry, None)])


@pytest.mark.parametrize(
    "postings",
    [
        ((CUSTODY, -70), (UNCLAIMED, 70)),
        ((CUSTODY, 70), (SUSPENSE, -70)),
        ((CUSTODY, 70), ("merchant:mch_1:available", -70)),
        ((CUSTODY, 70), (UNCLAIMED, -60), ("suspense:_custody#1", -10)),
        ((RECEIVABLE, 70), (SUSPENSE, -70)),
    ],
)
async def test_a_credit_of_nobody_adds_to_custody_and_to_its_own_suspense_alone(
    make_shard, ask, postings
):
    shard = await make_shard()

    answer = await ask(a_credit(70, postings=postings), shard)

    assert answer.why
    assert [] == shard.core.store.entries_after(0, 10)


@pytest.mark.parametrize(("held", "taken", "is_booked"), [(0, 1, False), (99, 100, False),
                                                          (100, 100, True)])  # fmt: skip
async def test_suspense_never_goes_below_zero(make_shard, ask, held, taken, is_booked):
    """Nobody's money is not given away twice; the refusal says what there is."""
    shard = await make_shard()
    if held:
        await ask(a_wish(held), shard)

    answer = await ask(a_wish(-taken, item=an_id("rci")), shard)

    assert is_booked is (answer.why == "")
    assert is_booked or f"{SUSPENSE} holds {held} cny; this takes {taken} out of it" == answer.why
    assert (held - taken if is_booked else held) == -shard.core.books.balance(SUSPENSE, "cny")
