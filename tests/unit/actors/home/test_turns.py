"""Credits with many claims in one shard: read, covered and landed a few at a time, each once."""

import pytest

from actors import carrying, covering
from actors.home_messages import ClaimRows, CreditMatched, Land, Landed, MatchCredit, ReadClaims
from actors.messages import decoder, encoder
from home_custody import AWAY, CUSTODY, Shop
from payments.settlement import cover
from payments.settlement.entries import ARRIVED


@pytest.fixture
def shop():
    made = Shop()
    yield made
    made.shard.close()


def say(shop, *messages):
    """A frame arrives; nothing takes its turn yet."""
    frame = decoder.decode(encoder.encode(list(messages)))
    shop.shard.shard.on_messages(shop.shard.custody, frame)
    shop.shard.commit()


def steps(shop):
    """How many slices there were until nothing was left."""
    count = 0
    while shop.shard.desk.slices.step():
        shop.shard.commit()
        count += 1
    shop.shard.commit()
    return count


def credit_of(waiting):
    amount = sum(each.claim.receivable for each in waiting)
    return cover.Credit(CUSTODY, "wx", "C1", amount, 1)


def test_a_long_question_is_answered_after_many_slices(shop):
    """Between two of them the loop is free; every claim is covered, the answer names all."""
    waiting = [shop.sell(100 + n) for n in range(30)]
    shop.shard.custody.take(CreditMatched)
    shares = tuple((each.id, 0) for each in waiting)
    say(shop, MatchCredit(3, credit_of(waiting), shares))
    assert [] == shop.shard.custody.take(CreditMatched)

    assert steps(shop) >= 30 // 4
    (answer,) = shop.shard.custody.take(CreditMatched)
    assert tuple(each.id for each in waiting) == answer.matched
    (kept,) = shop.shard.core.records.all_of("cover")
    assert () == kept.value.waiting


def test_what_was_matched_before_is_not_looked_for_again(shop, monkeypatch):
    """Claims that nobody waits for any more cost one look for all of them, and change nothing."""
    waiting = [shop.sell(100 + n) for n in range(12)]
    shares = tuple((each.id, 0) for each in waiting)
    shop.match(credit_of(waiting), shares)
    say(shop, ReadClaims(4, "wx", 0))
    steps(shop)
    looks = []
    look = covering.Covering._waiting
    monkeypatch.setattr(covering.Covering, "_waiting", lambda self: looks.append(1) or look(self))
    entries = shop.shard.core.books.entry_no

    answer = shop.match(credit_of(waiting), shares)
    assert (1, 12, ()) == (len(looks), len(answer.matched), answer.left)
    assert entries == shop.shard.core.books.entry_no


def test_too_many_questions_are_not_heard(shop):
    """They are asked again; the others are answered in their order."""
    asked = covering.QUESTIONS_MAX + 3
    say(shop, *(ReadClaims(ref, "wx", 0) for ref in range(1, asked + 1)))
    steps(shop)
    answers = shop.shard.custody.take(ClaimRows)
    assert list(range(1, covering.QUESTIONS_MAX + 1)) == [each.ref for each in answers]
    assert 3 == shop.shard.core.counts["questions_refused"]


def test_too_many_landings_are_not_heard(shop, monkeypatch):
    """Each of the others is booked once, in slices."""
    shop.shard.desk.slices._steps.clear()
    monkeypatch.setattr(carrying, "LANDS_MAX", 8)
    landing = carrying.Turns(shop.shard.desk.slices, shop.carrying._land, carrying.LANDS_MAX)
    shop.carrying._lands = landing
    source = "clr_" + AWAY.id[-24:]
    lands = [
        Land(ref, source[:-2] + f"{ref:02}", ARRIVED, 700, AWAY.id, 5, "cny")
        for ref in range(10, 20)
    ]
    say(shop, *lands)
    assert steps(shop) >= 1
    assert list(range(10, 18)) == [each.ref for each in shop.shard.custody.take(Landed)]
    assert 2 == shop.shard.core.counts["landings_refused"]
