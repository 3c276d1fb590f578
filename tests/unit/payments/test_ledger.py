"""Entries balance or cannot be built; the chain tells whoever changed one; folds add up."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import ledger
from payments.ledger import (
    GENESIS,
    BrokenChain,
    Entry,
    Head,
    TrialBalance,
    UnbalancedEntry,
    chain_hash,
    entry_of,
    fold,
    pack_postings,
    row_of,
    trial_balance,
    unpack_postings,
    verify_chain,
)
from payments.testing import NOW_MS, an_id

accounts = st.sampled_from([f"merchant:mch_{n}:pending" for n in range(5)] + ["suspense:wx#1"])
amounts = st.integers(-(10**12), 10**12).filter(bool)


@st.composite
def balanced(draw):
    """Postings that sum to zero, none of them zero."""
    legs = draw(st.lists(st.tuples(accounts, amounts), min_size=1, max_size=4))
    residual = sum(minor for _, minor in legs)
    if residual:
        legs.append((draw(accounts), -residual))
    return tuple(legs)


postings_lists = st.lists(balanced(), max_size=12)
PARTITIONS = (3, 17)


def an_entry(postings, number=0, currency="cny"):
    source = an_id("pay", PARTITIONS[number % 2], NOW_MS + number)
    return Entry(
        f"ent_{source[-24:]}P", source, PARTITIONS[number % 2], currency, NOW_MS + number, postings
    )


def chained(many):
    """Rows of a store with two partitions that take turns."""
    rows, ends = [], {}
    for number, postings in enumerate(many):
        entry = an_entry(postings, number)
        head = ends.get(entry.partition, Head())
        row = row_of(entry, number + 1, head.seq + 1, head.chain)
        ends[entry.partition] = Head(head.seq + 1, row[8], number + 1)
        rows.append(row)
    return rows, ends


THREE = [(("suspense:wx#1", n), ("merchant:mch_1:pending", -n)) for n in (5, 6, 7)] * 2


@given(balanced())
def test_balanced_postings_make_an_entry(postings):
    """What sums to zero can be booked, stored and read again."""
    entry = an_entry(postings)

    assert postings == unpack_postings(pack_postings(entry.postings))
    assert entry == entry_of(row_of(entry, 1, 1, GENESIS))


@given(balanced(), st.integers(0, 3), amounts)
def test_an_unbalanced_entry_cannot_be_built(postings, at, error):
    """One leg off by any amount, and the entry refuses to exist."""
    at %= len(postings)
    account, minor = postings[at]
    wrong = (*postings[:at], (account, minor + error), *postings[at + 1 :])

    with pytest.raises(UnbalancedEntry):
        an_entry(wrong)


@pytest.mark.parametrize("postings", [(), (("suspense:wx#1", 0),)])
def test_an_entry_says_something(postings):
    """No entry without postings, no posting of nothing."""
    with pytest.raises(UnbalancedEntry):
        an_entry(postings)


def test_an_entry_cannot_be_changed():
    """What was wrong is put right by another entry."""
    with pytest.raises(AttributeError):
        an_entry(THREE[0]).at_ms = 0


def test_a_hash_is_what_it_was_when_the_books_were_opened():
    """The encoding is for ever: another release must come to the same 32 bytes."""
    packed = pack_postings((("a", 5), ("b", -5)))

    found = chain_hash(GENESIS, "ent_1", 1, "cny", 1_795_000_000_000, packed)

    layout = (
        GENESIS
        + (1).to_bytes(8, "big")
        + (1_795_000_000_000).to_bytes(8, "big")
        + b"\x00\x05\x00\x03"
        + b"ent_1cny"
        + bytes.fromhex("92 92a161 05 92a162 fb")
    )
    assert hashlib.sha256(b"tillway ledger, version 1").digest() == GENESIS
    assert hashlib.sha256(layout).digest() == found


texts = st.text(max_size=6)
hashed = st.tuples(
    st.binary(min_size=32, max_size=32),
    texts,
    st.integers(0, 2**63 - 1),
    texts,
    st.integers(0, 2**63 - 1),
    st.binary(max_size=6),
)


@given(hashed, hashed)
def test_only_equal_entries_have_equal_hashes(one, other):
    """No two entries encode alike, wherever one text ends and the next begins."""
    assert (one == other) == (chain_hash(*one) == chain_hash(*other))


@given(hashed, st.integers(1, 6))
def test_moving_a_boundary_changes_the_hash(fields, count):
    """The end of the id is not the beginning of the currency."""
    previous, identifier, seq, currency, at_ms, packed = fields
    joined = identifier + currency
    moved = (previous, joined[:count], seq, joined[count:], at_ms, packed)

    assert (moved == fields) == (chain_hash(*moved) == chain_hash(*fields))


@given(postings_lists)
def test_a_chain_that_nobody_touched_verifies(many):
    """From the beginning, or from any head that was reached on the way."""
    rows, ends = chained(many)
    middle = len(rows) // 2

    assert ends == verify_chain(rows)
    assert ends == verify_chain(rows[middle:], verify_chain(rows[:middle]))


def replaced(row, column, value):
    return (*row[:column], value, *row[column + 1 :])


FORGERIES = {
    "amount": (7, pack_postings((("suspense:wx#1", 9), ("merchant:mch_1:pending", -9)))),
    "unbalanced": (7, pack_postings((("suspense:wx#1", 9),))),
    "id": (3, "ent_" + an_id()[-24:] + "P"),
    "source": (4, an_id("pay", 3)),
    "instant": (5, NOW_MS + 1_000),
    "currency": (6, "usd"),
    "sequence": (2, 7),
    "partition": (1, 5),
    "hash": (8, GENESIS),
    "number": (0, 0),
}


@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("at", range(len(THREE)))
def test_a_changed_row_breaks_the_chain_at_its_place(forgery, at):
    """Whatever column is changed, the walk stops at that row and names it."""
    column, value = FORGERIES[forgery]
    rows, _ = chained(THREE)
    rows[at] = replaced(rows[at], column, value)

    with pytest.raises(BrokenChain) as broken:
        verify_chain(rows)

    assert rows[at][0] == broken.value.no


@pytest.mark.parametrize("at", range(len(THREE) - 2))
def test_a_missing_or_repeated_row_breaks_the_chain(at):
    """Sequences have no gaps, and numbers only grow."""
    rows, _ = chained(THREE)

    with pytest.raises(BrokenChain, match="sequence"):
        verify_chain(rows[:at] + rows[at + 1 :])
    with pytest.raises(BrokenChain, match="comes after"):
        verify_chain([*rows[: at + 1], rows[at], *rows[at + 1 :]])


def test_an_unbalanced_entry_with_a_good_hash_is_found():
    """Whoever can compute hashes still cannot make money."""
    rows, _ = chained(THREE[:1])
    no, partition, seq, identifier, source, at_ms, currency, _, _ = rows[0]
    packed = pack_postings((("merchant:mch_1:pending", -9),))
    chain = chain_hash(GENESIS, identifier, seq, currency, at_ms, packed)
    forged = (no, partition, seq, identifier, source, at_ms, currency, packed, chain)

    with pytest.raises(BrokenChain, match="off by"):
        verify_chain([forged])


def test_an_entry_that_is_about_another_payment_is_found():
    """The source is not hashed, but the hashed id says it."""
    rows, _ = chained(THREE[:1])

    with pytest.raises(BrokenChain, match="is not about"):
        verify_chain([replaced(rows[0], 4, an_id("pay", PARTITIONS[0]))])


@given(postings_lists)
def test_books_balance_whatever_was_booked(many):
    """The trial balance is a sum of zeros."""
    rows, _ = chained(many)

    balances = fold({}, rows)

    assert all(balance.residual == 0 for balance in trial_balance(balances))
    assert all(balance.debits == balance.credits >= 0 for balance in trial_balance(balances))


@given(postings_lists, st.integers(0, 12))
def test_a_fold_may_stop_and_go_on(many, at):
    """Balances from stored ones and the rest of the entries equal those from all entries."""
    rows, _ = chained(many)

    assert fold({}, rows) == fold(fold({}, rows[:at]), rows[at:])


@given(postings_lists, st.randoms(use_true_random=False))
def test_balances_do_not_depend_on_the_order_of_entries(many, random):
    """Addition does not care."""
    rows, _ = chained(many)
    mixed = random.sample(rows, len(rows))

    assert fold({}, rows) == fold({}, mixed)


def test_a_trial_balance_shows_what_is_missing():
    """One leg that went lost is the residual of its currency, and of no other."""
    balances = {("a", "cny"): 100, ("b", "cny"): -60, ("a", "usd"): 7, ("c", "usd"): -7}

    assert trial_balance(balances) == (
        TrialBalance("cny", 100, 60, 40),
        TrialBalance("usd", 7, 7, 0),
    )


def test_one_entry_moves_the_balances_it_names():
    """The same account twice in one entry is moved twice."""
    balances = {("a", "cny"): 1}

    ledger.book(balances, "cny", (("a", 5), ("b", -8), ("a", 3)))

    assert balances == {("a", "cny"): 9, ("b", "cny"): -8}
