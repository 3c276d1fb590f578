"""A batch is two numbers of membership; netting it is one pass, and again gives the same."""

import time
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import astuple

from home_payouts import made
from payments import bookings
from payments.clearing import batch as batches
from payments.clearing import netting as netting_rules
from payments.clearing.batch import Batch, BatchState
from payments.clearing.netting import Claim, Netted, Netting, OutOfOrder, Totals, Window, net
from payments.clearing.stripes import Cleared, Due, clear
from payments.clearing.workdays import cut_off_ms
from payments.errors import Conflict
from payments.ids import is_body, partition_of
from payments.ledger import Entry, pack_postings
from payments.settlement.entries import entry_id
from payments.splitting.terms import Share

MERCHANT = made("mch", 1, 700, "batches")
OTHER = made("mch", 1, 700, "another")
AWAY = made("rcv", 1, 900, "away")
HOME = made("rcv", 1, 700, "home")
DAY = 20260302


def line(
    seq,
    date=DAY,
    merchant=MERCHANT,
    amount=3800,
    settle=None,
    fee=14,
    step="P",
    shares=(),
    bill=DAY,
):
    """A payment's or refund's entry as netting reads it."""
    settle = amount if settle is None else settle
    sign = 1 if step == "P" else -1
    split = [Share(party, minor) for party, minor in shares]
    postings = bookings.split_payment_booked("wx", merchant, 700, settle, fee, split)
    signed = tuple((account, sign * minor) for account, minor in postings)
    identifier = entry_id(made("pay", seq, 700, seq), step)
    return seq, date, merchant, amount, identifier, pack_postings(signed), bill


def netted(lines, window=None):
    return net(lines, {MERCHANT: window or Window(1 << 40, DAY)})[MERCHANT]


def test_a_batch_adds_up():
    """Sales (one with coupons and shares), a refund, a late success, another merchant's sale."""
    lines = [
        line(1),
        line(2, settle=3600, shares=((AWAY, 500), (HOME, 100))),
        line(3, amount=1000, fee=4, step="R"),
        line(4, step="L"),
        line(5, merchant=OTHER),
    ]
    expected = Totals(
        gross=7600, refunds=1000, discounts=200, fees=24, splits=600, net=5776, items=3
    )
    parts = tuple(sorted([(MERCHANT, 5776), (AWAY, 500), (HOME, 100)]))

    assert Netted(expected, (Claim("wx", 6400, 24, parts, DAY),)) == netted(lines)
    assert 6400 == expected.settle


def test_a_claim_is_one_channel_account_on_one_of_its_days():
    """A shop that closes at 02:00 has two of the channel's days in one batch."""
    found = netted([line(1), line(2, bill=DAY + 1), line(3, amount=1000, bill=DAY + 1, step="R")])

    parts = ((MERCHANT, 3786),), ((MERCHANT, 3800 - 14 - (1000 - 14)),)
    assert found.claims == (
        Claim("wx", 3800, 14, parts[0], DAY),
        Claim("wx", 2800, 0, parts[1], DAY + 1),
    )


def test_what_no_channel_owes_has_no_day():
    """A fee given back on a sale that coupons paid: one claim, whatever the days."""
    lines = [line(seq, settle=0, fee=3, bill=DAY + seq) for seq in (1, 2)]

    assert (Claim("", 0, 6, ((MERCHANT, -6),), 0),) == netted(lines).claims


@given(
    st.lists(st.tuples(st.sampled_from([MERCHANT, OTHER]), st.integers(0, 2)), max_size=30),
    st.lists(st.integers(1, 7), max_size=10),
    st.integers(0, 30),
)
def test_netting_in_chunks_is_netting_at_once(sold, chunks, seq):
    """However a stream is cut; who is not to be cleared stays for later, and is asked once."""
    lines = [line(n, DAY + day, merchant) for n, (merchant, day) in enumerate(sold, 1)]
    windows = {MERCHANT: Window(seq, DAY + 1), OTHER: Window(0, 0)}
    asked = []
    netting = Netting(lambda merchant: (asked.append(merchant), windows[merchant])[1])
    rest, later = list(lines), 0
    for size in [*chunks, len(lines)]:
        later += netting.feed(rest[:size])
        del rest[:size]
    whole = net(lines, windows)
    found = netting.netted()

    assert sorted(asked) == sorted({merchant for merchant, _ in sold})
    assert found == {merchant: whole[merchant] for merchant in asked}
    taken = sum(each.totals.items for each in found.values())
    assert len(lines) == taken + later
    assert taken == sum(
        m == MERCHANT and n <= seq and day < 2 for n, (m, day) in enumerate(sold, 1)
    )


COURIERS = [made("rcv", 1, 900 + n, f"courier{n}") for n in range(20)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("PR"),
            st.sampled_from(COURIERS),
            st.integers(100, 5000),
            st.integers(0, 90),
            st.integers(0, 1),
        ),
        max_size=60,
    ),
    st.integers(1, 40),
)
def test_what_is_netted_is_the_sum_of_its_members(sold, at_once):
    """Another courier with every sale: however few sums are held, each member counts by itself."""
    lines = [
        line(n, amount=amount, shares=((courier, part),) if part else (), bill=DAY + day, step=step)
        for n, (step, courier, amount, part, day) in enumerate(sold, 1)
    ]
    alone = [netted([one]) for one in lines]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(netting_rules, "SHAPES_MAX", at_once)
        found = netted(lines)

    sums = [sum(figures) for figures in zip(*(astuple(one.totals) for one in alone), strict=True)]
    assert Totals(*sums) == found.totals
    owed = Counter()
    for claim in (claim for one in alone for claim in one.claims):
        owed.update(by_day(claim))
    assert owed == {key: minor for claim in found.claims for key, minor in by_day(claim).items()}


def by_day(claim):
    """A claim's amounts by day and party. Two claims of a day have the same keys."""
    amounts = {"receivable": claim.receivable, "fee": claim.fee, **dict(claim.parts)}
    return {(claim.bill_date, name): minor for name, minor in amounts.items()}


def test_totals_that_do_not_add_up_cannot_be_built():
    with pytest.raises(AssertionError):
        Totals(gross=100, net=99)


def test_lines_that_repeat_or_go_back_are_refused():
    """One counted twice would be paid twice."""
    for lines in ([line(1), line(1)], [line(2), line(1)]):
        with pytest.raises(OutOfOrder):
            netted(lines)


lines_of_days = st.lists(st.integers(0, 4), max_size=40)


@given(lines_of_days, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), max_size=8))
def test_every_entry_is_in_exactly_one_batch(days, cuts):
    """However dates and cut-offs lie, and reading only from where the batch before said."""
    lines = [line(seq, DAY + day) for seq, day in enumerate(days, 1)]
    previous, homes, seq, day, nets = None, [], 0, 0, 0
    for more, further in [*cuts, (len(days), 4)]:
        seq, day = min(seq + more, len(days)), min(day + further, 4)
        opened = batches.open_next(previous, MERCHANT, DAY + day, "cny", 1)
        batch = batches.apply(None, opened)
        batch = batches.apply(batch, batches.cut_off(batch, seq, 1))
        read = [each for each in lines if each[0] >= batch.scan_seq]
        found = netted(read, batch.window)
        nets += found.totals.net
        batch = batches.apply(batch, batches.record(batch, found, 1))
        homes += [each[0] for each in lines if batch.window.has(each[0], each[1])]
        members = sum(batch.window.has(each[0], each[1]) for each in lines)
        assert members == found.totals.items
        batch = batches.apply(batch, batches.file(batch, filed(batch), 1))
        previous = batches.apply(batch, batches.close(batch, frozenset(), 1))

    assert sorted(homes) == [each[0] for each in lines]
    assert len(lines) * 3786 == nets


def filed(batch):
    return tuple(clear(batch.id, due, max(0, due.amount), 0) for due in batch.dues)


def test_ids_are_made_of_merchant_date_and_sequence():
    """Opened again after a crash, a batch is the same one; no two are."""
    identifier = batches.batch_id(MERCHANT, DAY, 1)
    others = {
        batches.batch_id(OTHER, DAY, 1),
        batches.batch_id(MERCHANT, DAY + 1, 1),
        batches.batch_id(MERCHANT, DAY, 2),
    }

    assert identifier == batches.batch_id(MERCHANT, DAY, 1)
    assert 3 == len(others - {identifier})
    assert identifier.startswith("bat_")
    assert is_body(identifier[4:])
    assert 700 == partition_of(identifier)
    assert identifier < batches.batch_id(MERCHANT, DAY + 1, 1)
    Entry(entry_id(identifier, "E"), identifier, 700, "cny", 1, (("a", 1), ("b", -1)))


def opened(**changes):
    batch = batches.open_next(None, MERCHANT, DAY, "cny", 1).batch
    return Batch(
        **{name: changes.get(name, getattr(batch, name)) for name in Batch.__struct_fields__}
    )


def test_the_same_command_again_changes_nothing():
    """Every step of a batch, twice; then packed and read back as a store does."""
    batch = opened()
    batch = batches.apply(batch, batches.cut_off(batch, 7, 2))
    assert None is batches.cut_off(batch, 9, 3)
    found = netted([line(1)], batch.window)
    batch = batches.apply(batch, batches.record(batch, found, 3))
    assert None is batches.record(batch, found, 4)
    batch = batches.apply(batch, batches.file(batch, filed(batch), 4))
    assert None is batches.file(batch, (), 5)
    batch = batches.apply(batch, batches.close(batch, frozenset(), 5))
    assert None is batches.close(batch, frozenset(), 6)
    assert (BatchState.CLOSED, 7) == (batch.state, batch.cut_off_seq)
    assert batch == decode(encode(batch), type=Batch)


def test_steps_cannot_be_skipped():
    """Each refusal says what comes first."""
    batch = opened()
    for refused in (
        lambda: batches.record(batch, Netted(Totals()), 1),
        lambda: batches.file(batch, (), 1),
        lambda: batches.close(batch, frozenset(), 1),
        lambda: batches.open_next(batch, MERCHANT, DAY, "cny", 1),
        lambda: batches.cut_off(batch, 1, cut_off_ms(DAY) - 1, cut_off_ms(DAY)),
    ):
        with pytest.raises(Conflict):
            refused()
    assert 1 == batches.cut_off(batch, 1, cut_off_ms(DAY), cut_off_ms(DAY)).seq


def test_the_next_batch_has_a_later_date_or_the_next_sequence():
    """A date never goes back, and a day has a limit of batches."""
    done = opened(state=BatchState.CLOSED, netted=Netted(Totals()), cut_off_seq=5)

    assert 2 == batches.open_next(done, MERCHANT, DAY, "cny", 2).batch.sequence
    assert 1 == batches.open_next(done, MERCHANT, DAY + 1, "cny", 2).batch.sequence
    with pytest.raises(Conflict, match="cleared"):
        batches.open_next(done, MERCHANT, DAY - 1, "cny", 2)
    full = opened(state=BatchState.CLOSED, netted=Netted(Totals()), sequence=96)
    with pytest.raises(Conflict, match="next date"):
        batches.open_next(full, MERCHANT, DAY, "cny", 2)


CLEARED = [
    # party, due, pending, debt -> to debt, moved, left
    (AWAY, 100, 100, 0, 0, 100, 0),
    (AWAY, 100, 100, 30, 30, 70, 0),
    (AWAY, 100, 100, 300, 100, 0, 0),
    (AWAY, 100, 60, 0, 0, 60, 40),  # a later refund took 40: the next batch has it
    (AWAY, -40, 60, 0, 0, 0, -40),
    (HOME, 100, 100, 30, 30, 0, 0),  # at home nothing leaves
    (MERCHANT, 100, 40, 100, 40, 0, 0),
    (MERCHANT, -5, 0, 9, 0, 0, 0),
]


@pytest.mark.parametrize(("party", "due", "pending", "debt", "to_debt", "moved", "left"), CLEARED)
def test_a_share_pays_debt_first_and_leaves_with_what_is_there(
    party, due, pending, debt, to_debt, moved, left
):
    """What cannot leave now is brought to the next batch; both steps mirror each other."""
    batch = batches.batch_id(MERCHANT, DAY, 1)
    each = clear(batch, Due(party, due), pending, debt)

    assert (to_debt, moved, left) == (each.to_debt, each.moved, each.left)
    assert 0 == sum(minor for _, minor in each.postings + each.arrival_postings)
    transit = dict(each.postings).get("transit:700:900", 0)
    assert -transit == dict(each.arrival_postings).get("transit:700:900", 0) == moved
    assert (700, 900 if party == AWAY else 700) == (
        partition_of(each.departure),
        partition_of(each.arrival),
    )


def test_a_batch_is_closed_when_every_share_has_arrived():
    """As long as the pair of transits does not net to zero, the second step is due."""
    share = Cleared(AWAY, 700, "clr_1", "clr_2", 0, 10)
    batch = opened(state=BatchState.FILED, netted=Netted(Totals()), cleared=(share,))

    with pytest.raises(Conflict, match="on its way"):
        batches.close(batch, frozenset(), 1)
    assert 1 == batches.close(batch, frozenset({"clr_2"}), 1).at


# --- Cost ------------------------------------------------------------------------------------


def stream(rows):
    """So many payments, made while they are read: what is not kept costs no memory."""
    shares = ((AWAY, 500), (HOME, 100))
    _, date, merchant, asked, identifier, packed, bill = line(1, shares=shares)
    for seq in range(1, rows + 1):
        yield seq, date, merchant, asked, identifier, packed, bill


def test_memory_does_not_grow_with_rows():
    """Ten times the rows, the same memory: it is one tally a party."""
    peaks = []
    for rows in (2_000, 20_000):
        tracemalloc.start()
        found = netted(stream(rows))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert rows == found.totals.items
    assert peaks[1] < peaks[0] + 16_384, peaks


@pytest.mark.slow
def test_the_cost_of_a_row_is_flat_up_to_a_million():
    """µs of CPU a payment from 10 000 to 1 000 000 rows: within 20 %. Best of three each."""
    cost = {}
    for rows in (10_000, 100_000, 1_000_000):
        best = min(_cpu_of(rows) for _ in range(3))
        cost[rows] = best / rows * 1e6
    print({rows: round(each, 2) for rows, each in cost.items()})
    assert max(cost.values()) <= 1.2 * min(cost.values()), cost


def _cpu_of(rows):
    began = time.process_time()
    netted(stream(rows))
    return time.process_time() - began
