"""A signature's nonce counts once, as long as the signature would be accepted."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.nonces import MARGIN_S, WINDOW_S, Nonces
from payments.errors import Overloaded, Unauthorized
from payments.storage.base import Batch
from payments.storage.memory import MemoryStore
from payments.testing import NOW_MS, ManualClock

NOW_S = NOW_MS // 1000


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(-WINDOW_S, WINDOW_S)), max_size=40))
def test_a_nonce_is_accepted_once_whenever_it_was_created(uses):
    """Also beside another `created`: the nonce is what counts."""
    nonces = Nonces()
    accepted = [nonce for nonce, created in uses if nonces.accept(nonce, NOW_S + created)]

    assert sorted(set(nonce for nonce, _ in uses)) == sorted(accepted)
    assert len(nonces) == len(accepted)


def test_nonces_leave_memory_when_their_signatures_are_too_old():
    """Not before: a clock of a front door may be behind by the margin."""
    nonces = Nonces()
    nonces.accept(7, NOW_S)
    nonces.prune((NOW_S + WINDOW_S + MARGIN_S) * 1000)
    assert not nonces.accept(7, NOW_S)

    nonces.prune((NOW_S + WINDOW_S + MARGIN_S + 60) * 1000)
    assert 0 == len(nonces)


def test_a_full_memory_takes_no_more_instead_of_forgetting():
    """Forgetting one would let its request in again."""
    nonces = Nonces(most=2)
    nonces.spend(1, NOW_S)
    with pytest.raises(Unauthorized):
        nonces.spend(1, NOW_S)
    nonces.spend(2, NOW_S)
    with pytest.raises(Overloaded):
        nonces.spend(3, NOW_S)
    nonces.prune((NOW_S + WINDOW_S + MARGIN_S + 60) * 1000)
    nonces.spend(3, NOW_S)


def test_a_restart_remembers_what_was_committed():
    """The commits hold the same nonces; those of old signatures are left there."""
    store = MemoryStore(clock=ManualClock())
    store.open()
    batch = Batch.empty()
    batch.nonces += [(1, NOW_S), (2, NOW_S - WINDOW_S), (3, NOW_S - WINDOW_S - MARGIN_S - 1)]
    asyncio.run(store.commit(batch))
    nonces = Nonces()
    nonces.recover(store, NOW_MS)

    assert not nonces.accept(1, NOW_S)
    assert not nonces.accept(2, NOW_S)
    assert 2 == len(nonces)
