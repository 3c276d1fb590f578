"""What the courier reads of a store: which events there are, and those that it wants, whole."""


async def test_events_are_named_without_their_bodies(store, rows, batch):
    """In the order of their numbers, after one, at most so many."""
    made = [rows.event(merchant_no=number) for number in (3, 1, 2)]
    await store.commit(batch(events=made))

    stubs = [(row[0], row[2], row[4], row[5]) for row in made]
    assert stubs == store.event_stubs(0, 10)
    assert stubs[1:2] == store.event_stubs(1, 1)
    assert [] == store.event_stubs(3, 10)


async def test_events_are_read_by_number_in_the_order_asked_for(store, rows, batch):
    """Numbers that there are not are left out."""
    made = [rows.event() for _ in range(4)]
    await store.commit(batch(events=made))

    assert [made[2], made[0]] == store.events_at([3, 9, 1])
    assert [] == store.events_at([]) == store.events_at([5])


async def test_an_event_is_found_by_its_id(store, rows, batch):
    """Or not at all."""
    made = rows.event()
    await store.commit(batch(events=[made]))

    assert made == store.event(made[3])
    assert store.event("evt_nobody") is None
