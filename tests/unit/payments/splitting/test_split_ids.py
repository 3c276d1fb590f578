"""Ids of shares: of one payment and one receiver, whatever else happens in the same instant."""

from payments.ids import IdMint, SeededEntropy, partition_of, time_ms_of
from payments.view import split_id

NOW_MS = 1_795_000_000_000


def test_payments_of_the_same_instant_and_receiver_have_shares_of_their_own():
    """Else the second payment's events would be taken for those of the first, and not be told."""
    mint = IdMint(SeededEntropy(7))
    payments = [mint.new("pay", NOW_MS, 17) for _ in range(100)]
    receivers = [mint.new("rcv", NOW_MS, 17) for _ in range(3)]

    made = {split_id(payment, receiver) for payment in payments for receiver in receivers}

    assert 300 == len(made)
    assert {(NOW_MS, 17)} == {(time_ms_of(each), partition_of(each)) for each in made}
    assert split_id(payments[0], receivers[0]) in made
