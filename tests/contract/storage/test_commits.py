"""Ownership, the fence, and what a store refuses, on memory and on SQLite alike."""

import pytest

from payments.storage.base import Fenced, StoreError, StoreRefused


async def test_a_new_owner_learns_where_the_numbers_stand(place, rows, batch):
    """The epoch grows with each owner; the facts of recovery come back as they were left."""
    first = place.store()
    assert (1, 0, 0, 0, 0, 0, {}, 0) == fields(first.open())
    await first.commit(
        batch(
            payments=[rows.payment(), rows.payment()],
            refunds=[rows.refund()],
            entries=[rows.entry() for _ in range(3)],
            events=[rows.event() for _ in range(4)],
            marks={"balance_floor": 3},
            records=[(1, "bat_1", "bat", "mch_1", 7, None, b"batch")],
        )
    )
    await first.commit(batch(marks={"counter_floor": 2}))
    first.close()

    second = place.store()
    assert (2, 2, 1, 3, 4, 2, {"balance_floor": 3, "counter_floor": 2}, 1) == fields(second.open())
    second.close()
    assert 3 == second.open().epoch
    second.close()


def fields(opened):
    return tuple(getattr(opened, name) for name in opened.__struct_fields__)


async def test_everything_is_found_again_after_opening(place, rows, batch):
    """Look-ups after a new open answer as before it, waiting or moved."""
    store = place.store()
    store.open()
    made = [rows.payment(key=no, order=-no, auth=no << 40, merchant_no=3) for no in range(1, 30)]
    refunds = [rows.refund(key=no, merchant_no=3) for no in range(1, 30)]
    for payment, refund in zip(made, refunds, strict=True):
        await store.commit(batch(payments=[payment], refunds=[refund]))
    store.close()
    store = place.store()
    store.open()

    keys = list(range(1, 30))
    assert (made, made, made, refunds) == store.probe(
        keys, [-no for no in keys], [no << 40 for no in keys]
    )
    assert made[::-1] == store.merchant_payments(3, before=None, after=None, limit=99)
    assert refunds == store.merchant_refunds(3, before=None, after=0, limit=99)
    store.close()


def test_a_second_owner_is_refused(place):
    """Two owners at once would decide over each other's memory; it says whom to stop."""
    first = place.store()
    first.open()
    with pytest.raises(StoreRefused, match=r"owned by .*(stop|close) that one first"):
        place.store().open()
    first.close()

    after = place.store()
    assert 2 == after.open().epoch
    after.close()


async def test_an_older_epoch_writes_nothing(place, store, rows, batch):
    """The fence: once a newer owner is known, this one's writes no longer count."""
    kept = rows.payment()
    await store.commit(batch(payments=[kept]))
    place.bump_epoch(store)

    lost = rows.payment()
    with pytest.raises(Fenced):
        await store.commit(batch(payments=[lost]))
    with pytest.raises(StoreError, match="takes no more"):
        await store.commit(batch(payments=[lost]))
    assert store.payment(lost[1]) is None
    assert kept == store.payment(kept[1])


@pytest.mark.parametrize(
    ("shard", "livemode", "shards"), [(1, False, 1), (0, True, 1), (0, False, 2)]
)
def test_another_shard_or_mode_is_refused(place, shard, livemode, shards):
    """Test and live never mix, and the map from partition to shard is fixed."""
    first = place.store()
    first.open()
    first.close()

    with pytest.raises(StoreRefused):
        place.store(shard, livemode, shards).open()
    again = place.store()
    assert 2 == again.open().epoch
    again.close()


FAULTS = {
    "payment id twice": lambda rows, old: {"payments": [rows.payment(id=old[1])]},
    "payment id twice in one batch": lambda rows, old: {
        "payments": [rows.payment(id="pay_1"), rows.payment(id="pay_1")]
    },
    "payment number used": lambda rows, old: {"payments": [rows.payment(no=old[0])]},
    "change of nothing": lambda rows, old: {"payment_changes": [(None, b"", 999)]},
    "refund change of nothing": lambda rows, old: {"refund_changes": [(None, b"", 999)]},
    "entry booked twice": lambda rows, old: {
        "entries": [rows.entry(id="ent_1", source="pay_1"), rows.entry(id="ent_1", source="pay_1")]
    },
    "event twice": lambda rows, old: {"events": [rows.event(id="evt_1"), rows.event(id="evt_1")]},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_wrong_batch_is_wholly_refused(store, rows, batch, fault):
    """Nothing of it is kept, and the store takes no more: memory stood on it."""
    old = rows.payment()
    await store.commit(batch(payments=[old]))
    wrong = {"events": [rows.event()]} | FAULTS[fault](rows, old)

    with pytest.raises(StoreError):
        await store.commit(batch(**wrong))

    assert [] == store.events_after(0, 10) == store.entries_after(0, 10)
    assert [old] == store.merchant_payments(1, before=None, after=None, limit=10)
    with pytest.raises(StoreError, match="takes no more"):
        await store.commit(batch())


async def test_a_closed_store_takes_nothing(place, rows, batch):
    """Neither before it was opened nor after it was closed; closing twice is fine."""
    store = place.store()
    with pytest.raises(StoreError, match="not open"):
        await store.commit(batch(payments=[rows.payment()]))
    store.open()
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.commit(batch(payments=[rows.payment()]))
