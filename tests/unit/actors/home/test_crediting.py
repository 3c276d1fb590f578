"""A shard remembers which claims each credit has covered, for a custody box that does not."""

import pytest

from actors.home_messages import ClaimRows, ReadClaims
from home_custody import CUSTODY, Shop
from payments.settlement.cover import Credit


@pytest.fixture
def shop():
    made = Shop()
    yield made
    made.shard.close()


def told(shop, credit):
    """(claim, what was owed, the channel's fee) of all that the credit covered, and the answers."""
    shop.custody.hear(ReadClaims(4, "wx", 0, credit))
    answers = shop.shard.custody.take(ClaimRows)
    assert [False] * (len(answers) - 1) + [True] == [each.last for each in answers]
    assert all(() == each.waiting for each in answers)
    return [(c.claim, c.receivable, c.fee) for each in answers for c in each.covered]


def test_each_credit_has_its_own_claims(shop):
    """Many of one, one of another; the fee is on the last."""
    many = [shop.sell(100 + n) for n in range(25)]
    one = shop.sell(7_000)
    still = shop.sell(50)
    shop.credit(*many, fee=3)
    shop.credit(one)

    first, second = sum(each.claim.receivable for each in many) - 3, 7_000
    fees = [0] * 24 + [3]
    owed = [(c.id, c.claim.receivable, fee) for c, fee in zip(many, fees, strict=True)]
    assert owed == told(shop, f"C{first}")
    assert [(one.id, 7_000, 0)] == told(shop, f"C{first + second}")
    assert [] == told(shop, "C-unknown")
    assert still.id not in str(told(shop, f"C{first}"))


def test_it_is_told_in_messages_that_fit_into_a_frame(shop, monkeypatch):
    monkeypatch.setattr("actors.crediting.COVERED_MAX", 10)
    many = [shop.sell(100) for _ in range(25)]
    shop.credit(*many)

    assert [each.id for each in many] == [claim for claim, _, _ in told(shop, "C2500")]


def test_a_shard_that_was_killed_remembers_it(tmp_path):
    """From its file, between two claims of one credit: what comes after is kept beside it."""
    shop = Shop(path=tmp_path / "shard-0.db")
    many = [shop.sell(100) for _ in range(4)]
    arrived = Credit(CUSTODY, "wx", "C1", 400, 1)
    shop.match(arrived, [(each.id, 0) for each in many[:2]])
    shop.restart()
    shop.match(arrived, [(each.id, 0) for each in many])
    shop.restart()

    assert [(each.id, 100, 0) for each in many] == told(shop, "C1")
    shop.shard.close()
