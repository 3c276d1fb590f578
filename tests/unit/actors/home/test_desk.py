"""The desk of the way home: one effect a key, nonces, refusals, and answers after the commit."""

import msgspec
import pytest
from msgspec import Struct
from msgspec.json import decode

from actors.home import Said, body_of, page
from actors.messages import Answer, MakeRefund, Pay, Refusal
from home_shard import HomeShard
from payments.settlement.holds import Freeze
from payments.testing import a_merchant

MERCHANT = a_merchant()
KEY = b"k" * 16
PRINT = b"f" * 16


class Note(Struct, forbid_unknown_fields=True):
    """A body for tests."""

    text: str
    amount: int = 1


@pytest.fixture
def shard():
    """A shard whose desk keeps notes, as freezes."""
    world = HomeShard([MERCHANT])
    desk, records = world.desk, world.core.records

    def shown(identifier):
        return b'"%b"' % records.get(identifier, Freeze).reason.encode()

    def create(ask):
        note = body_of(ask, Note)
        freeze = Freeze(ask.id, ask.party, "cny", note.amount, note.text, ask.caller, 1)
        records.put("freeze", ask.id, ask.party, MERCHANT.partition, freeze, None)
        world.core.wake.set()
        return Said(201, shown(ask.id), ask.id)

    def rename(ask):
        records.put("freeze", ask.target, ask.party, 0, _renamed(records, ask), None)
        world.core.wake.set()
        return Said(200, b'"done"')

    desk.takes("note.create", create, is_new=True)
    desk.takes("note.rename", rename)
    desk.takes("note.list", lambda ask: page(desk, ask, "/n", "freeze", ask.party, _reason))
    desk.takes(
        "note.list_all",
        lambda ask: page(desk, ask, "/n", "freeze", ask.party, _reason, _is_wanted(ask)),
    )
    desk.shows("nte", shown)
    yield world
    world.close()


def _renamed(records, ask):
    from msgspec.structs import replace

    return replace(records.get(ask.target, Freeze), reason=body_of(ask, Note).text)


def _is_wanted(ask):
    """Notes that say what the query says, or all."""
    text = ask.query.get("text")
    return None if text is None else lambda freeze: freeze.reason == text


def _reason(freeze):
    return b'"%b"' % freeze.reason.encode()


def note(shard, number=1, text="one", **fields):
    fields = {"id": f"nte_{number}", "key_digest": KEY, "fingerprint": PRINT} | fields
    return shard.ask("note.create", {"text": text}, MERCHANT.id, **fields)


def test_a_repeated_key_has_one_effect_and_says_so(shard):
    """Whoever asks again with the same key hears of the same object, as it stands now."""
    first = note(shard)
    assert (201, b'"one"', False) == (first.status, first.body, first.replayed)
    shard.ask("note.rename", {"text": "two"}, MERCHANT.id, target="nte_1")

    again = note(shard, 2)

    assert (201, b'"two"', True) == (again.status, again.body, again.replayed)
    assert shard.core.records.kept("nte_2") is None


def test_a_replay_survives_a_restart(shard):
    note(shard)
    use = shard.core.store.record("key_" + KEY.hex())
    assert use is not None
    assert use[3] == MERCHANT.id


def test_another_request_with_the_key_is_refused(shard):
    note(shard)

    assert "idempotency_mismatch" == note(shard, 2, fingerprint=b"g" * 16).code


def test_a_key_of_a_payment_is_refused(shard):
    shard.core.live_by_key[KEY] = object()

    assert "idempotency_mismatch" == note(shard).code


@pytest.mark.parametrize("restarted", [False, True])
def test_a_key_that_was_used_here_is_refused_to_payments_and_refunds(shard, restarted):
    """One merchant has one set of keys, also over a restart; another key is free."""
    note(shard)
    if restarted:
        shard.restart()
    pay = Pay(
        1, shard.mint.new("pay", 1, 0), MERCHANT.id, KEY, PRINT, 0, 0, "o-1", 1, "cny", "qr", 0
    )
    refund = MakeRefund(2, shard.mint.new("rfd", 1, 0), MERCHANT.id, pay.id, KEY, PRINT, 0, 0, 1, 0)
    other = msgspec.structs.replace(refund, ref=3, key_digest=b"l" * 16)

    shard.hear(shard.front, pay, refund, other)

    codes = [each.code for each in shard.front.take(Refusal)]
    assert ["idempotency_mismatch", "idempotency_mismatch", "not_found"] == sorted(codes)


def test_a_resent_command_is_answered_once_more_and_spends_no_nonce(shard):
    """A front door that lost its link sends the very same command again."""
    first = note(shard, nonce=5, nonce_at=1_795_000_000)
    again = note(shard, nonce=5, nonce_at=1_795_000_000)

    assert (first.body, False) == (again.body, again.replayed)


def test_a_nonce_counts_once(shard):
    note(shard, nonce=5, nonce_at=1_795_000_000)

    other = note(shard, 2, key_digest=b"l" * 16, nonce=5, nonce_at=1_795_000_000)

    assert "unauthorized" == other.code


def test_a_refusal_does_not_consume_the_key(shard):
    bad = note(shard, text=5)
    assert ("invalid_field", "text") == (bad.code, bad.param)

    assert isinstance(note(shard), Answer)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "malformed", None),
        (b'{"text": "a", "text": "b"}', "malformed", None),
        (b'{"text": "a", "color": 1}', "invalid_field", "color"),
        (b'{"text": "a", "amount": 1.5}', "invalid_field", None),
        (b"{}", "invalid_field", "text"),
    ],
)
def test_bodies_are_read_strictly(shard, body, code, param):
    refused = shard.ask("note.create", body, MERCHANT.id, id="nte_9")

    assert (code, param) == (refused.code, refused.param)


def test_unknown_words_are_refused(shard):
    assert "not_found" == shard.ask("note.burn", {}, MERCHANT.id).code


def test_our_bug_is_an_answer_and_the_shard_lives(shard):
    assert "internal_error" == shard.ask("note.rename", {"text": "x"}, MERCHANT.id).code
    assert isinstance(note(shard), Answer)


def test_a_draining_shard_takes_nothing_new(shard):
    note(shard)
    shard.core.draining = True

    assert "overloaded" == note(shard, 2, key_digest=None).code
    assert isinstance(shard.ask("note.rename", {"text": "x"}, MERCHANT.id, target="nte_1"), Answer)


def test_lists_come_in_pages_both_ways(shard):
    for number in range(5):
        note(shard, number, text=str(number), key_digest=None)

    def listed(**query):
        return shard.made("note.list", {}, MERCHANT.id, query=query)

    newest = listed(limit="2")
    assert (["4", "3"], True) == (newest["data"], newest["has_more"])
    older = listed(limit="3", starting_after="nte_3")
    assert (["2", "1", "0"], False) == (older["data"], older["has_more"])
    newer = listed(limit="2", ending_before="nte_1")
    assert (["3", "2"], True) == (newer["data"], newer["has_more"])
    for query in ({"limit": "0"}, {"limit": "a"}, {"starting_after": "nte_77"}):
        refused = shard.ask("note.list", {}, MERCHANT.id, query=query)
        assert isinstance(refused, Refusal), query
        assert refused.param == next(iter(query))


def kept_notes(shard, texts):
    """Freezes of several owners, in the order of their ids."""
    for number, text in enumerate(texts):
        owner = f"mch_{number % 3}"
        freeze = Freeze(f"frz_{number}", owner, "cny", 1, text, "key_1", 1)
        shard.core.records.put("freeze", freeze.id, owner, 0, freeze, None)
    shard.core.wake.set()
    note(shard, text="elsewhere")


def test_without_an_owner_the_list_is_everybodys(shard):
    """Newest first by id, below a cursor that this shard need not know."""
    kept_notes(shard, "abcdefg")

    def listed(**query):
        return shard.made("note.list_all", {}, "", query=query)

    assert (["g", "f", "e"], True) == tuple(listed(limit="3").get(k) for k in ("data", "has_more"))
    older = listed(limit="9", **{"id[lt]": "frz_3"})
    assert (["c", "b", "a"], False) == (older["data"], older["has_more"])
    assert [] == listed(**{"id[lt]": "frz_0"})["data"]


def test_an_owners_list_goes_on_below_an_id_too(shard):
    """Lists of several owners are merged by id; each is asked below the last one seen."""
    for number in range(5):
        note(shard, number, str(number), key_digest=bytes([number]) * 16)

    listed = shard.made("note.list", {}, MERCHANT.id, query={"id[lt]": "nte_3", "limit": "2"})

    assert (["2", "1"], True) == (listed["data"], listed["has_more"])


def test_a_list_looks_through_records_for_what_is_asked(shard, monkeypatch):
    """In pieces, up to a limit: then it says so and does not pretend that there is nothing."""
    monkeypatch.setattr("actors.home.SCAN_CHUNK", 2)
    kept_notes(shard, "xxyxyyx")

    def listed(**query):
        return shard.ask("note.list_all", {}, "", query=query)

    def words(answer):
        page = decode(answer.body)
        return page["data"], page["has_more"]

    assert (["y", "y"], True) == words(listed(text="y", limit="2"))
    assert (["y", "y", "y"], False) == words(listed(text="y", limit="3"))
    assert ([], False) == words(listed(text="z"))
    monkeypatch.setattr("actors.home.SCAN_MAX", 4)
    assert (["x", "x"], True) == words(listed(text="x"))
    assert ("invalid_field", "limit") == (listed(text="z").code, listed(text="z").param)
