"""Every look-up of a store, on memory and on SQLite alike."""

from payments.storage.limits import PRUNE_EVERY_COMMITS


async def test_a_payment_is_found_by_all_that_names_it(store, rows, batch):
    """By id, number, key, order and auth code; a column that differs does not match."""
    paid = rows.payment(key=11, order=12, auth=13)
    other = rows.payment(key=12, order=13, auth=11)
    await store.commit(batch(payments=[paid, other]))

    assert paid == store.payment(paid[1])
    assert paid == store.payment_by_no(1)
    assert [paid] == store.payments_by_key([11])
    assert [paid] == store.payments_by_order([12])
    assert [paid] == store.payments_by_auth([13])
    assert [paid, other] == store.payments_by_key([12, 11, 12])


async def test_what_is_not_there_is_not_found(store, rows, batch):
    """An unknown name is no error, and no names are no rows."""
    await store.commit(batch(payments=[rows.payment()], refunds=[rows.refund()]))

    assert store.payment("pay_nobody") is None
    assert store.payment_by_no(2) is None
    assert store.refund("ref_nobody") is None
    assert store.balance("nobody", "CNY") is None
    assert store.counter(99) is None
    assert [] == store.payments_by_key([]) == store.payments_by_order([5])
    assert [] == store.payments_by_auth([5]) == store.refunds_by_key([5])
    assert [] == store.refunds_of(9) == store.entries_of("pay_nobody")
    assert [] == store.events_of("pay_nobody")


async def test_hashes_of_every_size_are_kept_apart(store, rows, batch):
    """Also those that share their first bits, and the two ends of the range."""
    hashes = [-(1 << 63), (1 << 63) - 1, 0, -1, 1, 1 << 33, (1 << 33) + 1, -(1 << 33)]
    made = [rows.payment(key=value) for value in hashes]
    for payment in made:
        await store.commit(batch(payments=[payment]))

    assert [[row] for row in made] == [store.payments_by_key([value]) for value in hashes]


async def test_two_rows_may_share_a_hash(store, rows, batch):
    """Two digests can begin alike; the caller compares the digest in the body."""
    twins = [rows.payment(key=5, order=5, auth=5), rows.payment(key=5, order=5, auth=5)]
    await store.commit(batch(payments=twins))

    assert twins == store.payments_by_key([5])
    assert (twins, twins, twins, []) == store.probe([5], [5], [5])


async def test_probe_answers_four_look_ups_at_once(store, rows, batch):
    """A frame's keys, orders and auth codes; keys are looked for among refunds too."""
    by_key, by_order, by_auth = rows.payment(key=1), rows.payment(order=2), rows.payment(auth=3)
    refund = rows.refund(key=4)
    await store.commit(batch(payments=[by_key, by_order, by_auth], refunds=[refund]))

    assert ([by_key], [by_order], [by_auth], [refund]) == store.probe([1, 4], [2, 9], [3])
    assert ([], [], [], []) == store.probe([7], [8], [9]) == store.probe([], [], [])


async def test_refunds_are_found_by_id_key_and_payment(store, rows, batch):
    """All refunds of a payment come in the order they were made."""
    first, second = rows.refund(payment_no=8, key=21), rows.refund(payment_no=8, key=22)
    other = rows.refund(payment_no=9, key=23)
    await store.commit(batch(refunds=[first, second, other]))

    assert second == store.refund(second[1])
    assert [first, other] == store.refunds_by_key([23, 21])
    assert [first, second] == store.refunds_of(8)


async def test_lists_page_both_ways(store, rows, batch):
    """Newest first below `before`; oldest first above `after` alone; never another's rows."""
    mine = [rows.payment(merchant_no=1 + no % 2) for no in range(20)][::2]
    theirs = rows.payment(merchant_no=2)
    for payment in mine:
        await store.commit(batch(payments=[payment]))
    await store.commit(batch(payments=[theirs]))

    def page(**bounds):
        asked = {"before": None, "after": None, "limit": 3} | bounds
        return [row[0] for row in store.merchant_payments(1, **asked)]

    assert [19, 17, 15] == page()
    assert [13, 11, 9] == page(before=15)
    assert [1] == page(before=3)
    assert [] == page(before=1)
    assert [1, 3, 5] == page(after=0)
    assert [17, 19] == page(after=15)
    assert [] == page(after=19)
    assert [7, 5] == page(before=9, after=3)
    assert [theirs] == store.merchant_payments(2, before=None, after=None, limit=10)


async def test_refund_lists_page_like_payments(store, rows, batch):
    """The same rules, on refunds, and payments never show among them."""
    made = [rows.refund(merchant_no=5) for _ in range(4)]
    await store.commit(batch(refunds=made, payments=[rows.payment(merchant_no=5)]))

    def page(**bounds):
        asked = {"before": None, "after": None, "limit": 2} | bounds
        return [row[0] for row in store.merchant_refunds(5, **asked)]

    assert [4, 3] == page()
    assert [2, 1] == page(before=3)
    assert [3, 4] == page(after=2)


async def test_what_is_due_comes_longest_due_first(store, rows, batch):
    """Up to and with the instant asked for, at most `limit`; a finished row is never due."""
    late, later = rows.payment(due_ms=300), rows.payment(due_ms=200)
    latest, done = rows.payment(due_ms=100), rows.payment(due_ms=50)
    refund = rows.refund(due_ms=70)
    await store.commit(batch(payments=[late, later, latest, done], refunds=[refund]))
    await store.commit(batch(payment_changes=[(None, b"done", done[0])]))

    assert [latest, later] == store.due_payments(200, 10)
    assert [latest] == store.due_payments(999, 1)
    assert [] == store.due_payments(99, 10)
    assert [refund] == store.due_refunds(70, 10)
    assert [] == store.due_refunds(69, 10)


async def test_a_change_replaces_state_and_nothing_else(store, rows, batch):
    """Also in the batch that adds the row; the last change of a batch stands."""
    paid, refund = rows.payment(key=1, due_ms=5), rows.refund(key=1, due_ms=5)
    await store.commit(
        batch(
            payments=[paid],
            payment_changes=[(6, b"first", 1), (7, b"second", 1)],
            refunds=[refund],
            refund_changes=[(8, b"refunding", 1)],
        )
    )

    assert (*paid[:7], 7, b"second") == store.payment(paid[1])
    assert (*refund[:6], 8, b"refunding") == store.refund(refund[1])
    assert [paid[0]] == [row[0] for row in store.due_payments(7, 9)]


async def test_entries_and_events_are_read_in_order(store, rows, batch):
    """From a cursor on for those who follow, by source for those who ask."""
    source = f"pay_{rows.body()}"
    entries = [rows.entry(source=source), rows.entry(), rows.entry(source=source)]
    events = [
        rows.event(id=f"evt_{source[4:]}01"),
        rows.event(),
        rows.event(id=f"evt_{source[4:]}00"),
    ]
    await store.commit(batch(entries=entries, events=events))

    assert entries[1:] == store.entries_after(1, 10)
    assert entries[:2] == store.entries_after(0, 2)
    assert [entries[0], entries[2]] == store.entries_of(source)
    assert events[1:] == store.events_after(1, 10)
    assert [events[0], events[2]] == store.events_of(source)


async def test_folds_are_replaced_and_listed_in_order(store, batch):
    """Balances by account and currency, heads by partition, counters by merchant."""
    await store.commit(
        batch(
            balances=[("fees", "USD", 1, 1), ("fees", "CNY", 2, 1), ("cash", "CNY", -3, 1)],
            heads=[(9, 1, bytes(32), 1), (7, 1, bytes(32), 1)],
            counters=[(4, b"old", 1)],
        )
    )
    await store.commit(
        batch(
            balances=[("fees", "CNY", 5, 2)],
            heads=[(7, 2, b"\1" * 32, 2)],
            counters=[(4, b"new", 2)],
        )
    )

    assert ("fees", "CNY", 5, 2) == store.balance("fees", "CNY")
    assert [("cash", "CNY", -3, 1), ("fees", "CNY", 5, 2), ("fees", "USD", 1, 1)] == list(
        store.balances()
    )
    assert [(7, 2, b"\1" * 32, 2), (9, 1, bytes(32), 1)] == store.heads()
    assert (4, b"new", 2) == store.counter(4)


async def test_balances_are_found_by_how_their_names_begin(store, batch):
    """A receiver's accounts, whatever the stripe, and nobody else's whose name is longer."""
    accounts = ("r:a", "r:a:debt#1", "r:a:pending#12", "r:a:pending#2", "r:ab:pending#1", "r:b")
    await store.commit(batch(balances=[(name, "cny", 7, 1) for name in accounts]))

    assert [name for name in accounts if name.startswith("r:a:")] == [
        row[0] for row in store.balances_under("r:a:")
    ]
    assert [] == store.balances_under("r:c:")


async def test_nonces_are_remembered_for_their_window(place, store, batch):
    """Those asked for by `created`; commits older than the named limit are forgotten in time."""
    await store.commit(batch(nonces=[(111, 1_000), (112, 2_000)]))
    await store.commit(batch(nonces=[(113, 2_500)]))

    assert [(112, 2_000), (113, 2_500)] == sorted(store.recent_nonces(2_000))

    place.clock.advance(901)
    for _ in range(PRUNE_EVERY_COMMITS + 1):
        await store.commit(batch(nonces=[(114, 3_000)]))
    assert {(114, 3_000)} == set(store.recent_nonces(0))


async def test_facts_are_plain_numbers(store, rows, batch):
    """What metrics ask for, open or not."""
    await store.commit(batch(payments=[rows.payment()]))
    facts = store.facts()

    assert facts["epoch"] == 1
    assert facts["wal_bytes"] >= 0
    assert facts["file_bytes"] >= 0
    assert all(seconds >= 0 for seconds in facts["sync_s"])


async def test_entries_are_read_with_what_they_are_about(store, rows, batch):
    """Of payments, releases and refunds, in order of their numbers, between two of them."""
    paid, refunded = rows.payment(body=b"paid"), rows.refund(body=b"refunded")
    sources = [(paid, "P"), (paid, "L"), (refunded, "R"), (refunded, "B"), (paid, "Q")]
    entries = [
        rows.entry(id=f"ent_{of[1][4:]}{step}", source=of[1], at_ms=7, postings=step.encode())
        for of, step in sources
    ]
    await store.commit(batch(payments=[paid], refunds=[refunded], entries=entries))

    found = store.clearing_rows(0, 5)
    assert [(1, b"paid"), (3, b"refunded"), (5, b"paid")] == [(row[0], row[5]) for row in found]
    assert (1, 1, entries[0][3], 7, b"P", b"paid") == found[0]
    assert [3] == [row[0] for row in store.clearing_rows(1, 4)]
    assert [] == store.clearing_rows(5, 9)
