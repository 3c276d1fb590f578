"""Payments made in bulk are what the same payments would be, had each come in by itself."""

import msgspec
import pytest

from payments.bookings import payment_booked
from payments.idempotency import index_of
from payments.ids import IdMint, SeededEntropy
from payments.ledger import pack_postings, unpack_postings
from payments.payment import Payment, Status
from payments.reference import Merchant, MerchantStatus
from payments.storage import audit as auditing
from payments.storage import check
from payments.storage.audit import audit, audit_all, rows_of
from payments.storage.base import StoreRefused
from payments.storage.bulk import make_payments
from payments.storage.sqlite import SqliteStore
from payments.view import Presentation, event_json, payment_json

COUNT = 700


@pytest.fixture
def merchants():
    mint = IdMint(SeededEntropy(2))
    return [
        Merchant(mint.new("mch", 1, no % 3), no, "A shop", MerchantStatus.ACTIVE, no % 3)
        for no in range(1, 8)
    ]


@pytest.fixture
def path(tmp_path, merchants):
    path = tmp_path / "shard-0.db"
    done = []
    make_payments(path, COUNT, merchants, progress=done.append)
    assert COUNT == done[-1]
    return path


def test_the_file_is_a_store_whose_books_are_right(path):
    """The chain is unbroken, the balances are the entries' sums, every payment has its entry."""
    found = audit(path)

    assert found.ok, found.complaints
    assert {"succeeded": COUNT} == found.payments
    assert [] == check.full(path)


def test_the_books_say_how_far_they_are_recomputed(path, monkeypatch):
    """Ten million take minutes: every so many rows are told, and where that ends."""
    monkeypatch.setattr(auditing, "STEP_ROWS", 100)
    told = []
    audit_all([path, path], told.append)

    assert 4 * COUNT == rows_of([path, path])  # An entry and a payment each, in both.
    assert list(range(100, 4 * COUNT + 1, 100)) == told


def test_every_payment_is_found_and_whole(path, merchants):
    """By all that names it; its body decodes; its event shows what the API would show."""
    store = SqliteStore(path)
    opened = store.open()
    assert (COUNT, COUNT, COUNT) == (opened.payment_no, opened.entry_no, opened.event_no)
    assert {"balance_floor": COUNT} == opened.marks
    for no in (1, 2, COUNT // 2, COUNT):
        row = store.payment_by_no(no)
        payment = msgspec.msgpack.decode(row[8], type=Payment)
        event = store.events_of(payment.id)[0]
        entry = store.entries_of(payment.id)[0]

        assert Status.SUCCEEDED is payment.status
        assert row == store.payment(payment.id)
        assert ([row], [row], [row], []) == store.probe([row[4]], [row[5]], [row[6]])
        shown = payment_json(payment, Presentation())
        assert event[6] == event_json("payment.succeeded", payment.succeeded_at, shown)
        booked = payment_booked(
            "simulated", payment.merchant, row[3], payment.settle_amount, payment.fee
        )
        assert booked == unpack_postings(entry[7])
        assert pack_postings(booked) == entry[7]
        assert index_of(payment.key_digest) == row[4]
        assert index_of(payment.auth_digest) == row[6]
    lists = [
        store.merchant_payments(merchant.number, before=None, after=0, limit=COUNT)
        for merchant in merchants
    ]
    assert list(range(1, COUNT + 1)) == sorted(row[0] for rows in lists for row in rows)
    store.close()


def test_the_same_seed_makes_the_same_file(tmp_path, merchants, path):
    """Byte for byte; and a file that is there is never written over."""
    again = tmp_path / "again.db"
    make_payments(again, COUNT, merchants)

    assert path.read_bytes() == again.read_bytes()
    with pytest.raises(StoreRefused, match="go into a new file"):
        make_payments(again, COUNT, merchants)
