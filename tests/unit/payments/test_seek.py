"""What waits in memory after a crash: found again, at a cost that a restart can bear."""

import time
from random import Random

from payments.storage.seek import NUMBER_MASK, Seek
from payments.storage.sql import SEEK

ROWS = 3_000
TIMES_MAX = 4
"""Collecting a row again costs about what taking it in a commit did. A list of all 4 096 buckets
made for each row, as it once was, came to more than 8 times that."""


class Reader:
    """The rows of a store whose buckets were never moved, as its connection gives them."""

    def __init__(self, payments):
        self._rows = {
            SEEK["sieves"]: [],
            SEEK["payments_after"]: [
                (no, merchant, key, order, auth)
                for no, _, merchant, _, key, order, auth, _, _ in payments
            ],
            SEEK["refunds_after"]: [],
        }

    def execute(self, sql, parameters=()):
        return iter(self._rows[sql])


def made(count=ROWS):
    random = Random(7)

    def hashed():
        return random.getrandbits(64) - (1 << 63)

    return [
        (no, "", no % 50 + 1, 1, hashed(), hashed(), hashed(), None, b"")
        for no in range(1, count + 1)
    ]


def spots(seek):
    return {number: sorted(place) for number, place in seek._places.items()}


def least(work, tries=5):
    """Processor time of the quickest of some tries, each on something fresh; seconds."""
    taken = []
    for _ in range(tries):
        fresh = Seek()
        began = time.process_time()
        work(fresh)
        taken.append(time.process_time() - began)
    return min(taken)


def test_a_restart_finds_what_the_commits_before_it_took():
    payments = made()
    before, after = Seek(), Seek()
    before.committed(payments, [])

    after.load(Reader(payments), ROWS, 0)

    assert spots(before) == spots(after)
    assert (before.count, 4 * ROWS) == (after.count, after.count)
    assert before._sieve[:] == after._sieve[:]
    assert {
        no for place in spots(after).values() for no in {spot & NUMBER_MASK for spot in place}
    } == set(range(1, ROWS + 1))


def test_a_restart_costs_a_little_for_each_row():
    payments = made()
    taking = least(lambda seek: seek.committed(payments, []))

    loading = least(lambda seek: seek.load(Reader(payments), ROWS, 0))

    assert loading < TIMES_MAX * taking
