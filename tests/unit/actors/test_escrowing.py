"""A merchant's own part that is held: apart in the books, refunded from, let go once."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.home_messages import HomeAsk, MatchCredit
from actors.live import decode_payment
from oracle import judge, rows_of
from payments import bookings, chart
from payments.clearing.netting import Window, net
from payments.ledger import unpack_postings
from payments.settlement.cover import Credit
from payments.splitting.escrow import DAY_MS
from payments.splitting.terms import Part, Terms
from payments.testing import DIGESTS, NOW_MS
from world import World

OF_THE_WAY_HOME = re.compile(r"18: evt_.* is about nothing|4: ent_.{24}C is about nothing")


class Held(World):
    """A world whose payments can be held, and let go as a front door asks for it."""

    def hold(self, amount=10_000, *, days=7, refs=(), **asked):
        until = self.clock.now_ms() + days * DAY_MS
        return self.pay(amount=amount, escrow_at=until, **asked).body

    def release(self, payment, amount=None, *, key=None, merchant=0):
        number, owner = self.unique(), self.merchants[merchant]
        key = key or f"release-{number}"
        command = HomeAsk(
            0, "escrow.release", owner.id, "key_1", target=payment,
            id=self.mint.new("rel", self.clock.now_ms(), owner.partition),
            body=msgspec.json.encode({"amount": amount} if amount else {}),
            key_digest=DIGESTS.key(owner.id, key),
            fingerprint=DIGESTS.fingerprint("POST", payment, f"{amount}".encode()),
            nonce=number, nonce_at=self.clock.real_ms() // 1000, party=owner.id,
        )  # fmt: skip
        return self.wait(self.client.send(command))

    def has(self, merchant=0):
        """(held, pending) of a merchant."""
        owner = self.merchants[merchant].id
        names = (chart.merchant_escrow(owner), chart.merchant_pending(owner))
        return tuple(-self.core.books.balance(name, "cny") for name in names)

    def escrow(self, payment):
        row = next(row for row in rows_of(self).payments if row[1] == payment)
        return decode_payment(row[8]).escrow


def complaints(world):
    """What the oracle says of payments; batches and cover are judged with clearing."""
    return [each for each in judge(world) if not OF_THE_WAY_HOME.fullmatch(each)]


@pytest.fixture
def world():
    made = Held().start()
    yield made
    assert [] == complaints(made)
    assert [] == made.loop.failures
    made.close()


def test_the_merchants_own_part_is_held_and_the_receivers_is_not(world):
    """10 000 at a fee of 38: the receiver has its 500, 9 462 are held, nothing is pending."""
    receiver = world.receivers[0].id
    world.hold(split=Terms((Part(receiver, 500),)))

    assert (9_462, 0) == world.has()
    owed = world.core.books.balance(chart.receiver_pending(receiver, 17), "cny")
    assert -500 == owed


def test_a_part_is_let_go_then_the_rest(world):
    paid = world.hold()

    first = world.release(paid["id"], 4_000)
    second = world.release(paid["id"])

    assert (201, 201) == (first.reply.status, second.reply.status)
    assert (4_000, 5_962) == (first.body["amount"], first.body["held"])
    assert (5_962, 0) == (second.body["amount"], second.body["held"])
    assert first.body["id"] != second.body["id"]
    assert (0, 9_962) == world.has()
    assert "conflict" == world.release(paid["id"]).code


def told(world):
    """(type, amount, what is still held) of each event about what was held."""
    rows = [row for row in rows_of(world).events if row[4] in ("split.released", "split.expired")]
    found = [(row[4], msgspec.json.decode(row[6])["data"]) for row in rows]
    assert all(data["object"] == "release" for _, data in found)
    return [(kind, data["amount"], data["held"]) for kind, data in found]


def test_each_release_is_told_once_and_what_expired_by_another_name(world):
    """Also after a repeat and a restart; a refund of what is held is told as a refund."""
    paid = world.hold(days=2)
    world.release(paid["id"], 4_000, key="k")
    world.release(paid["id"], 4_000, key="k")
    world.wait(world.refund(paid["id"], 2_500))
    later(world, 1)
    world.restart("shard-0")
    later(world, 1)
    later(world, 1)

    assert [("split.released", 4_000, 5_962), ("split.expired", 3_471, 0)] == told(world)


def test_more_than_is_held_is_refused(world):
    paid = world.hold()

    assert "exceeds_paid" == world.release(paid["id"], 9_963).code
    assert (9_962, 0) == world.has()


def test_what_was_never_held_or_is_anothers_is_refused(world):
    plain, held = world.pay(amount=100).body, world.hold()

    assert "conflict" == world.release(plain["id"]).code
    assert "not_found" == world.release(held["id"], merchant=1).code
    assert "not_found" == world.release(world.mint.new("pay", NOW_MS, 17)).code


def test_the_same_request_lets_go_once(world):
    """Repeated, also after a crash, it says the same; under the key of another it is refused."""
    paid = world.hold()
    first = world.release(paid["id"], 4_000, key="k")

    again = world.release(paid["id"], 4_000, key="k")
    world.restart("shard-0")
    late = world.release(paid["id"], 4_000, key="k")

    assert first.reply.body == again.reply.body == late.reply.body
    assert again.reply.replayed
    assert (5_962, 4_000) == world.has()
    assert "idempotency_mismatch" == world.release(paid["id"], 1, key="k").code


def test_a_thousand_at_once_let_go_of_no_more_than_there_is(world):
    paid = world.hold()
    owner = world.merchants[0]
    acks = []
    for number in range(1_000):
        command = HomeAsk(
            0, "escrow.release", owner.id, "key_1", target=paid["id"],
            id=world.mint.new("rel", NOW_MS, 17), body=b'{"amount": 1000}',
            key_digest=DIGESTS.key(owner.id, f"k{number}"), fingerprint=b"f", party=owner.id,
        )  # fmt: skip
        acks.append(world.client.send(command))
    for ack in acks:
        world.wait(ack)

    assert 9 == sum(ack.code == "" for ack in acks)
    assert (962, 9_000) == world.has()


def test_a_refund_takes_from_what_is_held_first(world):
    """A half back of 10 000: 4 981 of the held 9 962; the other half is still held."""
    paid = world.hold()
    world.wait(world.refund(paid["id"], 5_000))

    assert (4_981, 0) == world.has()
    world.release(paid["id"])
    assert (0, 4_981) == world.has()
    world.wait(world.refund(paid["id"]))
    assert (0, 0) == world.has()


def test_what_a_refund_under_way_needs_is_not_let_go(world):
    """The channel has not answered yet: its part stays; when it failed, the rest can be let go."""
    paid = world.hold()
    world.kill("lane-sim-a")
    asked = world.refund(paid["id"], 4_000)
    world.advance(1)

    assert "exceeds_paid" == world.release(paid["id"], 9_962).code
    assert 201 == world.release(paid["id"]).reply.status
    held, pending = world.has()
    assert (3_985, 5_977) == (held, pending)
    world.settle()
    world.wait(asked)
    assert (0, 5_977) == world.has()


def test_another_payments_refund_does_not_touch_it(world):
    """What is held of one payment is no cover for the refund of another."""
    world.hold()
    other = world.pay(amount=1_000).body
    world.wait(world.refund(other["id"]))

    assert (9_962, 0) == world.has()


def test_it_is_let_go_by_itself(world):
    """On its day, after a restart in between; once."""
    paid = world.hold(days=2)
    later(world, 1)
    world.restart("shard-0")
    assert (9_962, 0) == world.has()

    later(world, 1)

    assert (0, 9_962) == world.has()
    assert (0, 9_962, 1) == _counts(world.escrow(paid["id"]))
    later(world, 10)
    assert (0, 9_962, 1) == _counts(world.escrow(paid["id"]))


def later(world, days):
    """The business clock goes on; what is due by then is done."""
    world.clock.offset_ms += days * DAY_MS
    world.advance(2)


def _counts(escrow):
    return escrow.held, escrow.released, escrow.releases


def test_it_is_in_the_batch_of_its_release_and_in_no_other(world):
    """Batch one has the sale and nothing pending for the merchant; batch two has the release."""
    paid = world.hold()
    sold = [_line(row, world) for row in rows_of(world).entries]
    world.release(paid["id"], 4_000)
    world.wait(world.refund(paid["id"], 5_000))
    every = [_line(row, world) for row in rows_of(world).entries]
    merchant = world.merchants[0].id

    first = net(sold, {merchant: Window(len(sold), 20_991_231)})[merchant]
    seqs = Window(len(every), 20_991_231, len(sold), 20_991_231)
    second = net(every, {merchant: seqs})[merchant]

    assert (10_000, 38, 9_962, 1) == _figures(first.totals)
    assert {} == first.pending
    assert [10_000] == [claim.receivable for claim in first.claims]
    assert 4_000 == second.pending[merchant]
    assert (0, 5_000, -19) == (second.totals.gross, second.totals.refunds, second.totals.fees)
    assert 0 == sum(-m for n, m in _all(every) if n == chart.merchant_pending(merchant)) - 4_000


def _line(row, world):
    """A line of netting out of an entry's row; in this test all are of one merchant."""
    no, _, _seq, identifier, _source = row[:5]
    asked = 10_000 if identifier.endswith("P") else 5_000
    return (no, 20_261_118, world.merchants[0].id, asked, identifier, row[7], 20_261_118)


def _all(lines):
    for line in lines:
        yield from unpack_postings(line[5])


def _figures(totals):
    return totals.gross, totals.fees, totals.net, totals.items


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("release"), st.none() | st.integers(1, 4_000)),
        st.tuples(st.just("refund"), st.integers(1, 4_000)),
        st.tuples(st.just("crash"), st.none()),
    ),
    max_size=6,
)


@settings(max_examples=12, deadline=None)
@given(amount=st.integers(1, 10_000), share=st.integers(0, 300_000), steps=STEPS)
def test_nothing_is_lost_or_made(amount, share, steps):
    """Held, pending and the receiver's are what was settled less fee and refunds, at every step."""
    world = Held().start()
    receiver = world.receivers[0].id
    terms = Terms((Part(receiver, None, share),)) if share else None
    paid = world.hold(amount, split=terms)
    for kind, value in steps:
        if kind == "release":
            world.release(paid["id"], value)
        elif kind == "refund":
            world.wait(world.refund(paid["id"], value))
        else:
            world.restart("shard-0")
        held, pending = world.has()
        assert held == world.escrow(paid["id"]).held >= 0
        theirs = -world.core.books.balance(chart.receiver_pending(receiver, 17), "cny")
        row = decode_payment(rows_of(world).payments[0][8])
        left = row.settle_amount - row.settle_returned - row.fee + row.fee_returned
        assert left == held + pending + theirs
    assert [] == complaints(world)
    assert [] == world.loop.failures
    world.close()


@pytest.mark.parametrize("point", ["before_outcome_commit", "after_outcome_commit"])
def test_a_crash_leaves_both_or_neither(point):
    """Row and entry of a release are in one commit; asked again, it is there once."""
    world = Held().start()
    paid = world.hold()
    points = []

    def reach(name):
        points.append(name)
        if name.startswith(point):
            world.reach = None
            world.die_here("shard-0")

    world.reach = reach
    world.release(paid["id"], 4_000, key="k")
    world.start()
    late = world.release(paid["id"], 4_000, key="k")

    assert points
    assert 201 == late.reply.status
    assert (5_962, 4_000) == world.has()
    assert [] == complaints(world)
    world.close()


def test_entries_of_releases_have_ids_of_their_own():
    ids = {bookings.release_entry_id("pay_" + "0" * 26, number) for number in range(1, 101)}

    assert 100 == len(ids)
    assert {"Q"} == {each[-1] for each in ids}


def waiting(world):
    """The claims that wait for a credit of the channel's."""
    (kept,) = world.core.records.all_of("cover")
    return [each for each in kept.value.waiting if each.claim.channel_account]


def match(world, credit, claim):
    """As the custody box says it."""
    world.client.send(MatchCredit(0, credit, ((claim, 0),)))
    world.advance(1)


def test_what_is_released_becomes_available_without_another_credit(world):
    """The channel's credit came with the sale; the release needs none, and is paid for by it."""
    paid = world.hold()
    later(world, 1)
    claims = waiting(world)
    account, day = claims[0].claim.channel_account, claims[0].claim.bill_date
    credit = Credit("custody:bank:1", account, "R1", 10_000, NOW_MS, day)
    match(world, credit, claims[0].id)
    owner = world.merchants[0].id
    assert 0 == world.core.books.balance(chart.merchant_available(owner), "cny")

    world.release(paid["id"], 4_000)
    later(world, 1)

    assert (5_962, 0) == world.has()
    assert -4_000 == world.core.books.balance(chart.merchant_available(owner), "cny")


def test_a_release_before_the_credit_is_covered_with_it(world):
    """Released and filed first, the money comes later: then all of it is available."""
    paid = world.hold()
    world.release(paid["id"], 4_000)
    later(world, 1)
    owner = world.merchants[0].id
    claims = waiting(world)
    assert 0 == world.core.books.balance(chart.merchant_available(owner), "cny")

    credit = Credit("custody:bank:1", "sim-a", "R1", 10_000, NOW_MS, claims[0].claim.bill_date)
    match(world, credit, claims[0].id)

    assert -4_000 == world.core.books.balance(chart.merchant_available(owner), "cny")
