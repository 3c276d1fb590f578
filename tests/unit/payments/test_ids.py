"""Ids sort by time, carry their partition, and become order numbers that every channel takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.ids import (
    ALPHABET,
    ATTEMPTS_MAX,
    BODY_LENGTH,
    PARTITIONS,
    IdMint,
    MalformedId,
    SeededEntropy,
    body_at,
    body_of,
    derived_body,
    is_body,
    out_trade_no,
    partition_of,
    payment_of_out_trade_no,
    time_ms_of,
)

instants = st.integers(0, 2**50 - 1)
partitions = st.integers(0, PARTITIONS - 1)
attempts = st.integers(0, ATTEMPTS_MAX - 1)


def a_mint(seed=1):
    return IdMint(SeededEntropy(seed))


@given(instants, partitions)
def test_an_id_gives_back_what_went_into_it(at_ms, partition):
    """Time and partition, from the id and from its body alone."""
    identifier = a_mint().new("pay", at_ms, partition)

    assert identifier[:4] == "pay_"
    assert len(identifier) == 4 + BODY_LENGTH
    assert identifier[4:] == body_of(identifier, "pay")
    assert (at_ms, partition) == (time_ms_of(identifier), partition_of(identifier))
    assert (at_ms, partition) == (time_ms_of(identifier[4:]), partition_of(identifier[4:]))


def test_every_partition_has_its_own_text():
    """All 4096 of them come back, and sort as their numbers do."""
    mint = a_mint()

    bodies = [mint.body(1_000, partition) for partition in range(PARTITIONS)]

    assert list(range(PARTITIONS)) == [partition_of(body) for body in bodies]
    assert bodies == sorted(bodies)


@given(instants, partitions, instants, partitions)
def test_ids_sort_by_time_first(one_ms, one, other_ms, other):
    """An earlier one is less, whatever its partition and its random part."""
    mint = a_mint()
    earlier, later = sorted([(one_ms, one), (other_ms, other)])

    first, second = mint.body(*earlier), mint.body(*later)

    assert first < second or earlier == later


def test_ids_of_one_millisecond_differ():
    """Ten thousand in the same millisecond and partition, over many refills of randomness."""
    mint = a_mint()

    bodies = [mint.body(1_000, 7) for _ in range(10_000)]

    assert len(set(bodies)) == 10_000
    # Each of the eleven random places takes every character of the alphabet.
    assert all({body[place] for body in bodies} == set(ALPHABET) for place in range(13, 24))


def test_the_same_seed_makes_the_same_ids_and_another_makes_others():
    """A simulation can be repeated."""
    one, same, other = a_mint(), a_mint(), a_mint(2)

    ids = [one.new("pay", 5, 5) for _ in range(600)]

    assert ids == [same.new("pay", 5, 5) for _ in range(600)]
    assert not set(ids) & {other.new("pay", 5, 5) for _ in range(600)}


def test_the_systems_randomness_is_used_without_a_seed():
    """Two mints of two processes do not make the same ids."""
    assert IdMint().new("pay", 5, 5) != IdMint().new("pay", 5, 5)


@given(instants, partitions, attempts)
def test_an_order_number_is_a_function_of_payment_and_attempt(at_ms, partition, attempt):
    """It comes back, carries the partition, and is what every channel accepts."""
    identifier = a_mint().new("pay", at_ms, partition)

    number = out_trade_no(identifier, attempt)

    assert number == out_trade_no(identifier, attempt)
    assert (identifier, attempt) == payment_of_out_trade_no(number)
    assert partition == partition_of(number)
    assert re.fullmatch(r"[0-9A-Za-z]{8,32}", number)


@given(attempts, attempts)
def test_each_attempt_has_its_own_order_number(one, other):
    """Never the same number for two attempts."""
    identifier = a_mint().new("pay", 1, 1)

    assert (one == other) == (out_trade_no(identifier, one) == out_trade_no(identifier, other))


GOOD = "01M7Q5CQG000HYSHXBKSRBE4"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pay_",
        f"pay_{GOOD[:-1]}",
        f"pay_{GOOD}0",
        f"rfd_{GOOD}",
        f"pay_{GOOD.lower()}",
        f"pay_{GOOD[:-1]}U",
        f"pay_{GOOD[:-1]}é",
        f"pay_{GOOD[:10]}ZZZ{GOOD[13:]}",
        f"pay__{GOOD}",
        GOOD,
        "pay_" + "x" * 5_000,
    ],
)
def test_a_text_that_is_no_id_is_refused(text):
    """And what the error shows of it is short."""
    with pytest.raises(MalformedId) as refused:
        body_of(text, "pay")

    assert len(str(refused.value)) < 100


@pytest.mark.parametrize("text", ["", "pay_", "pay_x", "ZZZZZZZZZZZZZ", "pay_0000000000U"])
def test_a_text_without_a_partition_is_refused(text):
    """Nobody asks a shard about it."""
    with pytest.raises(MalformedId):
        partition_of(text)


def test_a_text_without_a_time_is_refused():
    """Letters that the alphabet leaves out are not guessed."""
    with pytest.raises(MalformedId):
        time_ms_of("pay_UUUUUUUUUU")


@pytest.mark.parametrize("text", ["", GOOD, GOOD + "0", GOOD + "0U", GOOD + "000", "x" * 26])
def test_a_number_that_is_not_ours_is_refused(text):
    """A callback may name anything."""
    with pytest.raises(MalformedId):
        payment_of_out_trade_no(text)


@given(st.text(max_size=30))
def test_what_looks_like_a_body_can_be_read_as_one(text):
    """Whatever passes as a body has a time and a partition."""
    if is_body(text):
        assert 0 <= partition_of(text) < PARTITIONS
        assert time_ms_of(text) >= 0
    else:
        with pytest.raises(MalformedId):
            body_of(f"pay_{text}", "pay")


@pytest.mark.parametrize("wrong", [-2, 2**50])
def test_an_instant_outside_the_body_is_our_bug(wrong):
    """Fifty bits last until the year 37648."""
    with pytest.raises(AssertionError):
        a_mint().body(wrong, 0)


@given(instants, partitions, st.binary(min_size=8, max_size=32))
def test_a_body_that_follows_from_a_digest_is_a_body(at_ms, partition, digest):
    """The same from the same; time and partition come back; an object's follower keeps them."""
    body = body_at(at_ms, partition, digest)

    assert body == body_at(at_ms, partition, digest)
    assert is_body(body)
    assert (at_ms, partition) == (time_ms_of(body), partition_of(body))
    assert body == derived_body(a_mint().new("pay", at_ms, partition), digest)
