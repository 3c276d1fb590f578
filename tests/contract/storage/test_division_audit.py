"""`ledger verify` on money that a channel divides: silent over sound books, loud over damage."""

import shutil

import apsw
import pytest
from msgspec.msgpack import Decoder, encode
from msgspec.structs import replace

from held_money import PLATFORM, RIDER, Divides, until_ended
from payments.splitting.dividing import Division, Turn
from payments.splitting.taking_back import Owed
from payments.storage.audit import audit

DIVISION, OWED = Decoder(Division).decode, Decoder(Owed).decode


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Four lunches: refunded with a debt, before it was divided, not at all, and not divided yet;
    the second of them paid a part of the debt.
    """
    folder = tmp_path_factory.mktemp("divided")
    world = Divides(path=folder).start()
    first = world.sell().body
    world.until_over()
    world.held.poor = {RIDER}
    world.wait(world.refund(first["id"], 5_000))
    until_ended(world)
    world.held.lose = ["register"] * 1_000
    second = world.sell(rider=100, platform=50).body
    world.wait(world.refund(second["id"], 1_000))
    until_ended(world)
    world.held.lose, world.held.closed = [], {PLATFORM}
    world.until_over()
    world.sell(rider=0)
    world.until_over()
    world.held.lose = ["share", "inquire_share"] * 1_000
    world.sell(rider=30)
    world.advance(5)
    world.close()
    return folder


@pytest.fixture
def path(story, tmp_path):
    """The file of that shard, to spoil."""
    return shutil.copytree(story, tmp_path / "data") / "shard-0.db"


def test_sound_books_are_sound(path):
    found = audit(path)

    assert [] == found.complaints
    assert found.ok
    assert {"succeeded": 4} == found.payments


def test_a_payment_that_is_not_divided_is_still_missed(path):
    """A division's own entry stands for the payment's; without either it is not booked."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE entry SET id = substr(id, 1, 28) || '?' WHERE id LIKE '%V'")
    connection.close()

    assert 4 == audit(path).unbooked


def changed(path, kind, at, decode, change):
    connection = apsw.Connection(str(path))
    rows = connection.execute(
        "SELECT no, body FROM record WHERE kind = ? ORDER BY no", (kind,)
    ).fetchall()
    no, body = rows[at]
    connection.execute(
        "UPDATE record SET body = ? WHERE no = ?", (encode(change(decode(body))), no)
    )
    connection.close()


def piece(at, **changes):
    def change(division):
        pieces = list(division.pieces)
        pieces[at] = replace(pieces[at], **changes)
        return replace(division, pieces=tuple(pieces))

    return change


DAMAGES = [
    (0, lambda division: replace(division, stage="ready"), "is to leave channel:"),
    (3, lambda division: replace(division, settled=9_999), "is to leave channel:"),
    (3, lambda division: replace(division, stage="over"), "is to leave channel:"),
    (3, piece(1, amount=999), ":direct#"),
    (0, piece(0, netted=1), ":owed#"),
    (0, piece(0, back=501), "took back 501 of 500"),
    (0, piece(1, at_hand=501), "has 501 of"),
    (0, piece(1, back=501), ":direct#"),
    (0, piece(1, repaid=1), ":direct#"),
    (0, lambda division: replace(division, turn=Turn("rfd_x")), "gives rfd_x its turn"),
    (0, lambda division: replace(division, payment="pay_x"), "the division of pay_x has no"),
]


@pytest.mark.parametrize(("at", "change", "complaint"), DAMAGES)
def test_a_damaged_division_is_told(path, at, change, complaint):
    changed(path, "division", at, DIVISION, change)

    found = audit(path)
    assert not found.ok
    assert [each for each in found.complaints if complaint in each], found.complaints


def test_a_changed_debt_is_told(path):
    changed(path, "owed", 0, OWED, lambda owed: replace(owed, minor=owed.minor + 1))

    assert ["owes"] == [each.split()[1] for each in audit(path).complaints]
