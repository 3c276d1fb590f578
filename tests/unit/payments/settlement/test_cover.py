"""A credit is divided exactly, and nobody's money becomes available before its own is there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from home_payouts import made
from home_state import CUSTODY
from payments.clearing.netting import Claim
from payments.errors import Conflict
from payments.ids import partition_of
from payments.ledger import Entry
from payments.settlement import cover, entries
from payments.settlement.cover import Cover, Credit, Difference, Queued, Waiting
from payments.settlement.coverage import Coverage, complaints
from payments.settlement.entries import accounts_of, entry_id

MERCHANT = made("mch", 1, 700, "covered")
OTHER = made("mch", 1, 700, "other")
HOME = made("rcv", 1, 700, "home")
AWAY = made("rcv", 1, 900, "away")
BATCH = made("bat", 1, 700, "batch")
DAY = 20260302


def waiting(receivable, parts=(), fee=0, merchant=MERCHANT, batch=BATCH):
    claim = Claim("wx", receivable, fee, tuple(parts), DAY)
    return Waiting(cover.claim_id(batch, "wx", DAY), batch, merchant, claim)


def credit(amount):
    return Credit(CUSTODY, "wx", "ref1", amount, 5, DAY)


def claims_of(owed):
    return [
        waiting(minor, batch=made("bat", n + 1, 700, n), merchant=made("mch", 1, 700, n))
        for n, minor in enumerate(owed)
    ]


# --- Dividing --------------------------------------------------------------------------------


@given(st.lists(st.integers(-500, 10_000), max_size=12), st.integers(-3, 3), st.integers(0, 9_999))
def test_shares_come_to_the_credit_or_nobody_is_covered(owed, off, fee_max_ppm):
    """To the unit; a fee is taken only from who is owed something, and only up to its limit."""
    weight = sum(max(0, minor) for minor in owed)
    amount = sum(owed) - off
    divided = cover.divide(credit(amount), claims_of(owed), fee_max_ppm)

    if 0 <= off <= weight * fee_max_ppm // 1_000_000:
        fees = [fee for _, fee in divided.fees]
        assert amount == sum(owed) - sum(fees)
        assert all(0 <= fee for fee in fees)
        assert all(fee == 0 for fee, minor in zip(fees, owed, strict=True) if minor <= 0)
        exact = [off * max(0, minor) / max(1, weight) for minor in owed]
        assert all(abs(fee - each) < 1 for fee, each in zip(fees, exact, strict=True))
    else:
        assert Difference(credit(amount), off) == divided


def of_day(day, receivable, n):
    claim = Claim("wx", receivable, 0, (), day)
    return Waiting(f"cvr_{n}", made("bat", n + 1, 700, n), MERCHANT, claim)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(-300, 300)), max_size=20))
def test_what_is_carried_are_the_days_since_the_last_that_was_paid(rows):
    """A day is paid when it makes up for what those before it lack; nobody is owed for the rest."""
    claims = [of_day(DAY + day, minor, n) for n, (day, minor) in enumerate(rows)]
    lacks, since = 0, 0
    for day in range(1, 6):
        lacks += sum(minor for on, minor in rows if on == day)
        if lacks > 0:
            lacks, since = 0, day

    found = cover.carried(claims, DAY + 6)

    expected = [each for each in claims if DAY + since < each.claim.bill_date < DAY + 6]
    assert sorted(expected, key=lambda each: each.id) == sorted(found, key=lambda each: each.id)
    assert lacks == sum(each.claim.receivable for each in found) <= 0


def test_a_credit_is_divided_among_its_day_and_what_is_carried():
    """To the unit, as among the claims of one day."""
    claims = [of_day(DAY, 1_000, 0), of_day(DAY - 1, -300, 1), of_day(DAY - 1, 100, 2)]
    divided = cover.divide(credit(800), claims)

    assert [-300, 100, 1_000] == [
        each.claim.receivable for each, _ in cover.in_order(divided, claims)
    ]
    with pytest.raises(AssertionError):
        cover.divide(credit(1_000), [of_day(DAY + 1, 1_000, 0)])


def test_shares_below_zero_are_matched_first():
    """The others' money is short by them."""
    claims = claims_of([50, -30, 20])
    divided = cover.divide(credit(40), claims)

    assert [-30, 20, 50] == [each.claim.receivable for each, _ in cover.in_order(divided, claims)]
    assert [] == list(cover.in_order(replace(divided, fees=()), claims))


# --- Matching --------------------------------------------------------------------------------

MATCHES = [
    # receivable, our fee, channel's fee, parts, pending, matched, backing -> merchant, home, away
    (100, 1, 0, {MERCHANT: 99}, {MERCHANT: 99}, 0, 0, (99, 0, 0)),
    # the channel's fee is paid out of ours
    (100, 2, 1, {MERCHANT: 98}, {MERCHANT: 98}, 0, 0, (98, 0, 0)),
    # and where it is more than ours, the merchant's rest waits
    (100, 1, 3, {MERCHANT: 99}, {MERCHANT: 99}, 0, 0, (97, 0, 0)),
    # today's sales are pending too, and stay
    (100, 1, 0, {MERCHANT: 99}, {MERCHANT: 500}, 0, 0, (99, 0, 0)),
    # a refund since then has taken part of it
    (100, 1, 0, {MERCHANT: 99}, {MERCHANT: 60}, 0, 0, (60, 0, 0)),
    # receivers first; what is away has left before
    (100, 1, 0, {MERCHANT: 69, HOME: 10, AWAY: 20}, {MERCHANT: 69, HOME: 10}, 0, 0, (69, 10, 20)),
    (100, 1, 30, {MERCHANT: 69, HOME: 10, AWAY: 20}, {MERCHANT: 69, HOME: 10}, 0, 0, (40, 10, 20)),
    # refunds were more: the share is below zero and taken from what the merchant has
    (-30, 0, 0, {MERCHANT: -30}, {MERCHANT: 0}, 70, 100, (0, 0, 0)),
]


@pytest.mark.parametrize(
    ("receivable", "fee", "channel_fee", "parts", "pending", "matched", "backing", "expected"),
    MATCHES,
)
def test_what_becomes_available(
    receivable, fee, channel_fee, parts, pending, matched, backing, expected
):
    """At most what is owed, what is pending, and what is there for this merchant."""
    each = waiting(receivable, sorted(parts.items()), fee)
    known = Cover(MERCHANT, (each,), {}, {AWAY: 20})
    event = cover.match(
        known, credit(receivable), each.id, channel_fee, pending, matched, backing, 6
    )
    released = {r.receiver: r.amount for r in event.receivers}

    assert expected == (event.released, released.get(HOME, 0), released.get(AWAY, 0))
    assert 0 == sum(minor for _, minor in cover.booked(known, event))
    after = cover.apply(known, event)
    assert () == after.waiting
    assert None is cover.match(after, credit(0), each.id, 0, pending, matched, backing, 7)
    assert after == decode(encode(after), type=Cover)


def test_a_merchant_that_has_nothing_left_for_its_refunds_needs_a_funder():
    """Nobody else's money makes up for it."""
    each = waiting(-30, [(MERCHANT, -30)])
    known = Cover(MERCHANT, (each,))
    with pytest.raises(Conflict, match="funder"):
        cover.match(known, credit(0), each.id, 0, {}, 70, 99, 6)
    assert cover.match(known, credit(0), each.id, 0, {}, 70, 100, 6).released == 0


def test_our_fees_are_no_merchants_money():
    """What we earned lies among the merchant's money at the bank and makes nobody available."""
    first = waiting(100, [(MERCHANT, 90)], fee=10)
    known = Cover(MERCHANT, (first,))
    known = cover.apply(
        known, cover.match(known, credit(100), first.id, 0, {MERCHANT: 90}, 0, 0, 6)
    )
    assert 10 == known.kept
    late = waiting(-5, [(MERCHANT, -5)], batch=made("bat", 2, 700, "late"))
    known = replace(known, waiting=(late,))
    with pytest.raises(Conflict, match="lacks 5"):
        cover.match(known, credit(-5), late.id, 0, {}, 90, 100, 7)


def test_what_an_advance_released_is_not_released_again():
    """The credit then pays the funder back."""
    each = waiting(100, [(MERCHANT, 99)], fee=1)
    known = cover.apply(Cover(MERCHANT, (each,)), cover.ReleasedEarly(5, MERCHANT, 60))
    event = cover.match(known, credit(100), each.id, 0, {MERCHANT: 39}, 60, 60, 6)

    assert 39 == event.released
    assert {} == cover.apply(known, event).owed


def test_claims_wait_in_a_queue_with_a_limit():
    """A batch without money to come does not wait."""
    claims = [Claim("wx", 10, 0, ((MERCHANT, 10),), DAY), Claim("", 0, 0, ())]
    event = cover.queue(Cover(MERCHANT), BATCH, claims, [(AWAY, 5), (HOME, 0)])

    assert Queued((waiting(10, [(MERCHANT, 10)]),), ((AWAY, 5),)) == event
    full = Cover(MERCHANT, (waiting(1),) * cover.OPEN_CLAIMS_MAX)
    with pytest.raises(Conflict):
        cover.queue(full, BATCH, claims, [])


def test_money_goes_home_after_the_share():
    """Both steps of both ways leave every transit at zero, and the receiver covered at home."""
    each = waiting(100, sorted({MERCHANT: 79, AWAY: 20}.items()), 1)
    known = Cover(MERCHANT, (each,), {}, {AWAY: 20})
    event = cover.match(known, credit(100), each.id, 0, {MERCHANT: 79}, 0, 0, 6)
    (release,) = event.receivers

    assert (700, 900) == (partition_of(event.claim_id), partition_of(release.arrival))
    with pytest.raises(Conflict, match="on its way"):
        cover.land(event, release, 19)
    legs = [*cover.booked(known, event), *cover.land(event, release, 20)]
    assert 0 == sum(minor for account, minor in legs if account == "transit:700:900")
    assert 100 == sum(minor for account, minor in legs if account == CUSTODY)
    assert (accounts_of(AWAY, 900).available, -20) in legs


# --- Coverage --------------------------------------------------------------------------------


def entry(step, postings, source=None, owner=None):
    source = source or made("bat", 1, 700, step, postings)
    return Entry(entry_id(source, step), source, partition_of(source), "cny", 1, postings), owner


SALE = entry(
    "P",
    (
        ("channel:wx:receivable#700", 100),
        (f"merchant:{MERCHANT}:pending", -99),
        ("fees:income#700", -1),
    ),
)
MINE, THEIRS = accounts_of(MERCHANT, 700), accounts_of(OTHER, 700)
PROBLEMS = [
    ("between", [entry("C", ((MINE.available, 5), (THEIRS.available, -5)))]),
    ("nobody's", [entry("C", ((CUSTODY, 5), ("channel:wx:receivable#700", -5)))]),
    ("below its floor", [entry("F", ((MINE.available, 5), (MINE.frozen, -5)))]),
    ("is owed 50 and has 0", [SALE, entry("C", ((MINE.pending, 50), (MINE.available, -50)))]),
    (
        "is owed 50 and has 40",
        [
            SALE,
            entry("C", entries.covered(CUSTODY, "wx", MERCHANT, 100, 0, 50)),
            entry("D", ((CUSTODY, -60), (MINE.debt, 60))),
        ],
    ),
]


@pytest.mark.parametrize(("says", "books"), PROBLEMS)
def test_the_check_says_what_is_wrong(says, books):
    """Each kind of fault, alone in otherwise sound books."""
    found = complaints(books)

    assert any(says in each for each in found), found


def test_sound_books_have_nothing_to_say():
    """A sale, its cover, a freeze and a payout."""
    books = [
        SALE,
        entry("C", entries.covered(CUSTODY, "wx", MERCHANT, 100, 1, 98)),
        entry("F", entries.frozen(MERCHANT, 10)),
        entry("S", entries.held(MERCHANT, 88)),
        entry("D", entries.paid(CUSTODY, MERCHANT, 88, 0)),
    ]
    assert [] == complaints(books)


def test_a_refund_out_of_available_hands_the_money_to_the_merchant():
    """A receiver gives back what it had at the bank; the merchant owes that to the channel."""
    shared = ((CUSTODY, 100), ("channel:wx:receivable#700", -100))
    mine, theirs = accounts_of(MERCHANT, 700), accounts_of(HOME, 700)
    coverage = Coverage()
    for each, owner in (
        entry("C", (*shared, (mine.pending, 100), (mine.available, -80), (theirs.available, -20))),
        entry("R", (("channel:wx:receivable#700", -20), (theirs.available, 20)), owner=MERCHANT),
    ):
        coverage.add(each, owner)

    assert (0, 0) == (coverage.matched(HOME), coverage.backing(HOME))
    assert (80, 100) == (coverage.matched(MERCHANT), coverage.backing(MERCHANT))


def test_a_half_done_transit_is_named():
    coverage = Coverage()
    coverage.add(*entry("E", entries.cleared(AWAY, 700, 0, 20)))
    assert [("transit:700:900", -20)] == list(coverage.open_transits())
