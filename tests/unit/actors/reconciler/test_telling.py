"""Notices of the reconciler become events of a shard's outbox, each once, whatever is lost."""

import asyncio
import json

import pytest

from actors.adjusting_messages import TellNotices, ToldNotices
from actors.courier_tail import Asks, Away
from actors.reconciler_telling import NOTICES_MAX, Telling
from actors.snapshot import Reference
from payments.clock import ManualClock
from payments.reconciliation.notices import OPENED, RESOLVED, Notice
from payments.storage.telling import Untold
from payments.testing import a_merchant, an_id

MERCHANT = a_merchant()


def a_notice(source, kind=OPENED, merchant=MERCHANT.id):
    return Notice(merchant, source, kind, 7, b'{"id":"rci_1","payment":null}')


class Peer:
    peer_role = "reconciler"

    def __init__(self):
        self.said = []

    def send(self, message):
        self.said.append(message)
        return True


async def test_a_notice_is_one_event_however_often_it_is_told(make_shard, monkeypatch):
    """Also after a restart; a merchant that is not known here is passed over."""
    known = {MERCHANT.id: MERCHANT}
    monkeypatch.setattr(Reference, "merchant", lambda _, identifier: known.get(identifier))
    peer, item = Peer(), an_id("rci", 0)
    notices = (a_notice(item), a_notice(item, RESOLVED), a_notice(an_id("rci", 0), OPENED, "mch_9"))
    for _ in range(2):
        shard = await make_shard()
        shard.on_messages(peer, [TellNotices(1, notices), TellNotices(2, notices)])
        await shard._commit()

    rows = [shard.core.store.event(f"evt_{item[-24:]}{letter}") for letter in "ND"]
    assert [ToldNotices(1), ToldNotices(2)] * 2 == peer.said
    assert [(MERCHANT.number, OPENED), (MERCHANT.number, RESOLVED)] == [
        (row[2], row[4]) for row in rows
    ]
    assert "rci_1" == json.loads(rows[0][6])["data"]["id"]
    assert 2 == shard.core.event_no


class Books:
    """What is untold, in pieces; what was kept as told."""

    def __init__(self, *pieces):
        self.pieces, self.kept, self.changes = list(pieces), [], 0

    def untold(self):
        return self.pieces[0] if self.pieces else None

    def remember_told(self, marks):
        self.kept += marks
        self.pieces.pop(0)


class Shards:
    """One shard that takes notices while it is there."""

    def __init__(self):
        self.is_there, self.taken, self.shards = True, [], [object()]
        self.asks = Asks()
        self.asks.ask = self._ask
        self.shard_of = lambda partition: 0

    async def _ask(self, dialer, message, kind):
        if not self.is_there:
            raise Away("gone")
        assert len(message.notices) <= NOTICES_MAX
        self.taken += message.notices
        return kind(message.ref)


@pytest.fixture
def clock():
    return ManualClock(0)


@pytest.fixture
def disk():
    return asyncio.Lock()


def a_piece(count, first=0):
    notices = [a_notice(an_id("rci", 0)) for _ in range(count)]
    return Untold(notices, [(f"rci_{first + no}", "open") for no in range(count)])


async def test_what_is_told_is_kept_after_the_shard_has_it(clock, disk):
    """In messages of a named size; a shard that is away loses nothing."""
    books, shards = Books(a_piece(NOTICES_MAX + 1), a_piece(1, 500)), Shards()
    telling = Telling(books, shards, clock, disk)
    shards.is_there = False
    await telling.round()
    assert ([], []) == (shards.taken, books.kept)

    shards.is_there = True
    await telling.round()
    assert NOTICES_MAX + 2 == len(shards.taken) == len(books.kept) == telling.told


async def test_the_file_is_read_when_something_was_written_or_a_minute_is_over(clock, disk):
    books, shards = Books(), Shards()
    telling = Telling(books, shards, clock, disk)
    await telling.round()
    books.pieces.append(a_piece(1))
    await telling.round()
    assert [] == shards.taken

    books.changes += 1
    await telling.round()
    assert 1 == len(shards.taken)
    books.pieces.append(a_piece(1))
    clock.advance(61)
    await telling.round()
    assert 2 == len(shards.taken)
