"""A million payments with fees, splits, coupons, refunds and payouts: nobody is a fen off."""

from random import Random

import pytest
from msgspec.structs import replace

from payments import bookings, chart
from payments.fees import PPM, FeePlan, fee, give_back
from payments.splitting.returning import drawn, shares_back
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Base, FeeBearer, Part, Terms, Tier

BASES, BEARERS = tuple(Base), tuple(FeeBearer)
PARTITION = 17


def some_terms(random):
    """One to five parts of any kind."""
    left = PPM
    parts = []
    for number in range(random.randint(1, 5)):
        name, kind = f"r{number}", random.random()
        if kind < 0.35:
            parts.append(Part(name, random.randint(1, 3_000)))
        elif kind < 0.9 and left > 1:
            ratio = random.randint(1, left // 2)
            left -= ratio
            tiers = (Tier(random.randint(1, 5_000), random.randint(0, ratio)), Tier(None, ratio))
            parts.append(Part(name, tiers=tiers) if kind > 0.8 else Part(name, None, ratio))
        elif not any(part.remainder for part in parts):
            parts.append(Part(name, remainder=True))
    return Terms(tuple(parts), random.choice(BASES), random.choice(BEARERS))


class Books:
    """Balances of one payment's world, folded from the same postings that a shard books."""

    def __init__(self):
        self.minor = {}

    def book(self, postings):
        assert sum(minor for _, minor in postings) == 0, postings
        for account, minor in postings:
            self.minor[account] = self.minor.get(account, 0) + minor

    def has(self, account):
        return abs(self.minor.get(account, 0))


def draw(books, shares, backs):
    made = []
    for share, back in zip(shares, backs, strict=True):
        places = (chart.receiver_pending, chart.receiver_available)
        made.append(
            bookings.Drawn(
                share.receiver,
                *drawn(back, *(books.has(place(share.receiver, PARTITION)) for place in places)),
            )
        )
    return made


def pay_out(random, books, shares):
    """Some of what receivers have is matched, and some of that leaves for the bank."""
    for share in shares:
        pending = chart.receiver_pending(share.receiver, PARTITION)
        available = chart.receiver_available(share.receiver, PARTITION)
        matched = random.randint(0, books.has(pending))
        books.book(((pending, matched), (available, -matched)))
        paid = random.randint(0, books.has(available))
        books.book(((available, paid), ("paid out", -paid)))


def one_case(random):
    """A payment, its split, its refunds to the end: all stand where they began, but for debts."""
    books = Books()
    terms, plan = some_terms(random), FeePlan("any", random.choice((0, 2_000, 3_800, 6_000)))
    amount = random.randint(1, 20_000)
    settled = amount - (random.randint(0, amount) if random.random() < 0.3 else 0)
    charged = fee(plan, settled)
    shares = shares_of(terms, settled, charged)
    merchant = chart.merchant_pending("m")
    booked = bookings.split_payment_booked("c", "m", PARTITION, settled, charged, shares)
    books.book(booked)
    assert books.minor.get(merchant, 0) <= 0, terms
    got = sum(share.amount for share in shares)
    assert settled == books.has(merchant) + got + charged
    refunded = settle_sum = fee_sum = paid_sum = 0
    while refunded < amount:
        if random.random() < 0.3:
            pay_out(random, books, shares)
        step = min(amount - refunded, random.randint(1, 9_000))
        settle, fees = give_back(
            amount, settled, charged, plan, refunded, step, settle_sum, fee_sum
        )
        refunded, settle_sum, fee_sum = refunded + step, settle_sum + settle, fee_sum + fees
        backs = shares_back(shares, settled, charged, settle_sum, fee_sum)
        taken = draw(books, shares, backs)
        books.book(bookings.split_refund_booked("c", "m", PARTITION, settle, fees, taken))
        assert books.minor.get(merchant, 0) <= 0, (terms, amount, settled)
        shares = tuple(
            replace(s, returned=s.returned + b) for s, b in zip(shares, backs, strict=True)
        )
    assert all(share.returned == share.amount for share in shares)
    paid_sum = books.minor.pop("paid out", 0)
    debts = sum(books.minor.pop(chart.receiver_debt(s.receiver, PARTITION), 0) for s in shares)
    kept = sum(books.has(chart.receiver_available(s.receiver, PARTITION)) for s in shares)
    pending = sum(books.has(chart.receiver_pending(s.receiver, PARTITION)) for s in shares)
    assert (-paid_sum, 0, 0) == (debts, kept, pending)
    assert not any(books.minor.values()), books.minor


def check(count, seed):
    random = Random(seed)
    for number in range(count):
        try:
            one_case(random)
        except AssertionError as error:
            raise AssertionError(f"case {number} of seed {seed}") from error


def test_ten_thousand_lives_of_a_payment_end_at_zero():
    """After its last refund nobody has or lacks a fen: who was paid out owes just that."""
    check(10_000, seed=20261121)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_million_lives_of_a_payment_end_at_zero():
    """The same, a hundred times as often."""
    check(1_000_000, seed=1)
