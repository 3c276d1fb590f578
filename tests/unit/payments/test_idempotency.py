"""Digests tell requests apart and hide what they stand for; a key has one effect, for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments import idempotency
from payments.errors import OrderAlreadyPaid, OrderInProgress
from payments.idempotency import (
    Digests,
    Judgement,
    holds_order,
    index_of,
    judge_key,
    judge_order,
)
from payments.payment import UNPAID, AttemptState, Status
from payments.testing import DIGESTS, MERCHANT_ID, a_payment, a_refund

OTHERS = Digests(b"another deployment's secret")
merchants = st.text("0123456789ABCDEFGHJKMNPQRSTVWXYZ_mch", min_size=1, max_size=28)
texts = st.text(max_size=12)


@given(merchants, texts, merchants, texts)
def test_each_merchant_has_its_own_keys_orders_and_codes(merchant, text, other, further):
    """Equal digests mean the same merchant and the same text."""
    same = (merchant, text) == (other, further)

    assert same == (DIGESTS.key(merchant, text) == DIGESTS.key(other, further))
    assert same == (DIGESTS.order(merchant, text) == DIGESTS.order(other, further))
    assert same == (DIGESTS.auth(merchant, text) == DIGESTS.auth(other, further))


requests = st.tuples(st.sampled_from(["POST", "PUT"]), st.text(max_size=8), st.binary(max_size=12))


@given(requests, requests)
def test_a_fingerprint_covers_method_path_and_body(one, other):
    """Nothing of a request can change without its fingerprint."""
    assert (one == other) == (DIGESTS.fingerprint(*one) == DIGESTS.fingerprint(*other))


def test_the_end_of_a_path_is_not_the_beginning_of_a_body():
    """Moving characters over the boundary makes another request."""
    assert DIGESTS.fingerprint("POST", "/v1/a", b"bc") != DIGESTS.fingerprint(
        "POST", "/v1/ab", b"c"
    )
    assert DIGESTS.fingerprint("POST", "/v1/店", b"b") != DIGESTS.fingerprint("POST", "/v1/", b"b")


nonces = st.tuples(merchants, merchants, texts)


@given(nonces, nonces)
def test_a_nonce_is_a_positive_number_of_its_key_and_merchant(one, other):
    """Zero stands for unsigned and is never the number of a nonce."""
    assert 0 < DIGESTS.nonce(*one) < 2**63
    assert (one == other) == (DIGESTS.nonce(*one) == DIGESTS.nonce(*other))


def test_a_nonce_whose_digest_is_nothing_still_has_a_number(monkeypatch):
    """One in 2^63 would be zero, which stands for unsigned."""
    monkeypatch.setattr(idempotency, "_unsigned", lambda digest: (1,))

    assert DIGESTS.nonce("key_1", "mch_1", "n") == 1


@given(merchants, texts)
def test_kinds_of_digests_and_deployments_do_not_mix(merchant, text):
    """The same text has another digest as another thing, and under another secret."""
    assert DIGESTS.key(merchant, text) != DIGESTS.auth(merchant, text)
    assert DIGESTS.key(merchant, text) != OTHERS.key(merchant, text)
    assert DIGESTS.auth(merchant, text) != OTHERS.auth(merchant, text)
    assert DIGESTS.order(merchant, text) != OTHERS.order(merchant, text)


@given(st.binary(min_size=16, max_size=16))
def test_the_index_is_the_first_eight_bytes_signed(digest):
    """The store holds signed numbers of 64 bits."""
    assert int.from_bytes(digest[:8], "big", signed=True) == index_of(digest)


@given(merchants, texts)
def test_an_order_is_a_signed_number_of_64_bits(merchant, text):
    """It fits the column that it is looked up by."""
    assert -(2**63) <= DIGESTS.order(merchant, text) < 2**63


def test_digests_are_what_they_were():
    """Keys are kept for ever: a new release must find what an old one wrote."""
    digests = Digests(b"0123456789abcdef")

    assert digests.key("mch_1", "k").hex() == "2697e41722f9a1afcfccec77f473117c"
    assert (
        digests.fingerprint("POST", "/v1/payments", b"{}").hex()
        == "9ac3c57c1abe6d6f8eff75b77a19a4ae"
    )
    assert digests.auth("mch_1", "130000000000000000").hex() == "1a1069b2b03e7f1ac5af1c688a836653"
    assert digests.order("mch_1", "A-1") == -4691894564153712938
    assert digests.nonce("key_1", "mch_1", "n") == 4282348815629297090


def test_bytes_that_are_no_text_are_told_apart_too():
    """A header may carry anything; a strange key is a key like others, not our error."""
    strange, stranger = b"k\xff".decode(errors="surrogateescape"), "k\udcfe"

    assert DIGESTS.key("mch_1", strange) != DIGESTS.key("mch_1", stranger)
    assert DIGESTS.nonce("key_1", "mch_1", strange) != DIGESTS.nonce("key_1", "mch_1", stranger)
    assert DIGESTS.fingerprint("GET", strange, b"") != DIGESTS.fingerprint("GET", stranger, b"")


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_secret_has_a_decent_length(length):
    """Too short can be guessed; too long would be cut."""
    with pytest.raises(ValueError, match=str(length)):
        Digests(b"x" * length)


def test_a_secret_is_not_shown():
    """Not in a log, not in a traceback."""
    assert "secret" not in repr(DIGESTS)


@pytest.mark.parametrize("build", [a_payment, a_refund])
def test_a_key_is_judged_by_what_was_asked(build):
    """Same key and same request: a replay. Another request: a mismatch. Another key: new."""
    existing = build(key="k-1")
    key, fingerprint = DIGESTS.key(MERCHANT_ID, "k-1"), existing.fingerprint

    assert judge_key(existing, key, fingerprint) is Judgement.REPLAY
    assert judge_key(existing, key, b"another request") is Judgement.MISMATCH
    assert judge_key(existing, DIGESTS.key(MERCHANT_ID, "k-2"), fingerprint) is Judgement.NEW
    assert judge_key(None, key, fingerprint) is Judgement.NEW


@pytest.mark.parametrize("state", AttemptState)
def test_an_order_is_free_only_when_its_payment_ended_unpaid(state):
    """Open: in progress. Paid: already paid, also when it was refunded. Unpaid: free again."""
    payment = a_payment(state)

    if payment.status in UNPAID:
        assert judge_order(payment) is None
    elif payment.status is Status.SUCCEEDED:
        with pytest.raises(OrderAlreadyPaid, match=payment.id):
            judge_order(payment)
    else:
        with pytest.raises(OrderInProgress, match=payment.id):
            judge_order(payment)


def test_an_order_that_nobody_has_is_free():
    """The first payment of an order."""
    assert judge_order(None) is None


def test_a_refunded_payment_keeps_its_order():
    """Whoever paid and got everything back starts a new order."""
    payment = a_payment(AttemptState.SUCCEEDED, amount_refunded=3800)

    with pytest.raises(OrderAlreadyPaid):
        judge_order(payment)


def test_an_order_found_by_its_number_is_compared_in_full():
    """Two orders may share a number in the index; only the text decides."""
    payment = a_payment(order_no="A-1")

    assert holds_order(payment, MERCHANT_ID, "A-1")
    assert not holds_order(payment, MERCHANT_ID, "A-2")
    assert not holds_order(payment, "mch_other", "A-1")
    assert not holds_order(a_payment(AttemptState.CLOSED, order_no="A-1"), MERCHANT_ID, "A-1")
