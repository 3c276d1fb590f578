"""Seeds: what they make, what they make only once, and where secrets go."""

import json
import stat

import pytest

from gateway.planting import KEYS_FILE, plant
from gateway.seed import seed_of
from gateway.settings import SettingsError, demo_seed, load
from payments.clock import ManualClock
from payments.directory import hmac_key_of
from payments.ids import Entropy, partition_of
from payments.reference import Key, KeyOwner, KeyType, Merchant, Store, Terminal
from payments.storage.directory import FILE_NAME, DirectoryStore, record_of


def settings_of(tmp_path, seed=None, **flags):
    if seed is not None:
        tmp_path.mkdir(exist_ok=True)
        path = tmp_path / "seed.json"
        path.write_text(json.dumps(seed))
        path.chmod(0o600)
        flags["seed_file"] = str(path)
    return load(None, {"data_dir": str(tmp_path / "data"), **flags}, {})


def planted(settings, demo=None):
    return plant(settings, ManualClock(), Entropy(), demo)


def records(settings):
    store = DirectoryStore(settings.data_path / FILE_NAME, livemode=settings.livemode)
    store.open()
    try:
        return [record_of(body) for _, body in store.records_after(0, 1_000_000)]
    finally:
        store.close()


def of_kind(settings, kind):
    return [record for record in records(settings) if isinstance(record, kind)]


GIVEN = {
    "merchants": [
        {
            "id": "mch_01M7ZZETG50006QVNTNT329K",
            "name": "Load test 0",
            "stores": [
                {
                    "id": "sto_01M7ZZETG50006QVNTNT329K",
                    "name": "Counter",
                    "terminals": [{"id": "trm_01M7ZZETG50006QVNTNT329K"}],
                }
            ],
            "keys": [
                {
                    "id": "key_01M7ZZETG50006QVNTNT329K",
                    "type": "hmac-sha256",
                    "secret": "sk_test_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                }
            ],
        }
    ]
}


def test_given_ids_and_secrets_are_kept(tmp_path):
    """The partition is the one that the id carries; the HMAC key the decoded secret."""
    settings = settings_of(tmp_path, GIVEN)
    planted(settings)
    (merchant,) = of_kind(settings, Merchant)
    key = next(one for one in of_kind(settings, Key) if one.owner is KeyOwner.MERCHANT)

    assert (1, partition_of(merchant.id)) == (merchant.number, merchant.partition)
    assert bytes(range(32)) == key.secret
    assert ("*",) == key.scopes
    assert [GIVEN["merchants"][0]["stores"][0]["terminals"][0]["id"]] == [
        each.id for each in of_kind(settings, Terminal)
    ]


def test_planting_again_changes_nothing_and_a_longer_file_adds(tmp_path):
    """Every start plants; only what is new is made."""
    settings = settings_of(tmp_path, GIVEN)
    first = planted(settings, demo_seed())
    before = records(settings)
    again = planted(settings, demo_seed())
    assert (first, before) == (again, records(settings))

    longer = {"merchants": [*GIVEN["merchants"], {"name": "New", "stores": [{"name": "S"}]}]}
    settings = settings_of(tmp_path, longer)
    planted(settings, demo_seed())
    assert before == records(settings)[: len(before)]
    assert len(before) + 2 == len(records(settings))


def test_the_demo_has_a_noodle_shop_a_platform_and_an_operator(tmp_path):
    """With keys made for this data directory alone."""
    settings = settings_of(tmp_path)
    seeded = planted(settings, demo_seed())
    merchants = {each.name: each for each in of_kind(settings, Merchant)}
    shop = merchants["老王面馆 Lao Wang Noodles"]
    other = plant(settings_of(tmp_path / "other"), ManualClock(), Entropy(), demo_seed())

    assert (shop.id, True) == (seeded.merchant, seeded.api_key.startswith("sk_test_"))
    assert 2 == sum(store.merchant == shop.id for store in of_kind(settings, Store))
    assert 3 == sum(till.merchant == shop.id for till in of_kind(settings, Terminal))
    assert 2 == sum(each.platform is not None for each in merchants.values())
    assert seeded.find(KeyOwner.PLATFORM) is not None
    assert seeded.find(KeyOwner.MERCHANT, KeyType.HMAC_SHA256).merchant == shop.id
    assert seeded.find(KeyOwner.OPERATOR).secret.startswith("op_test_")
    assert seeded.api_key != other.api_key


def test_made_secrets_are_in_one_private_file(tmp_path):
    """And fit the records."""
    settings = settings_of(tmp_path)
    seeded = planted(settings, demo_seed())
    path = settings.data_path / KEYS_FILE
    stored = {each.id: each for each in of_kind(settings, Key)}

    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert {key.key_id for key in seeded.keys} == {
        one["key_id"] for one in json.loads(path.read_text())
    }
    for key in seeded.keys:
        if key.type is KeyType.HMAC_SHA256:
            assert hmac_key_of(key.secret) == stored[key.key_id].secret
        assert key.secret not in repr(seeded)


def test_many_merchants_are_generated_with_the_same_ids_and_new_secrets(tmp_path):
    """The seed repeats the ids, never the secrets."""
    seed = {"generate": {"merchants": 300, "keyed": 10, "terminals": 2, "seed": 5}}
    one = settings_of(tmp_path / "a", seed)
    two = settings_of(tmp_path / "b", seed)
    keys_one, keys_two = planted(one), planted(two)

    ids = [each.id for each in of_kind(one, Merchant)]
    assert ids == [each.id for each in of_kind(two, Merchant)]
    assert list(range(1, 301)) == [each.number for each in of_kind(one, Merchant)]
    assert 600 == len(of_kind(one, Terminal))
    made = [key for key in keys_one.keys if key.owner is KeyOwner.MERCHANT]
    assert 10 == len(made)
    assert all(key.terminal is not None for key in made)
    assert {k.secret for k in keys_one.keys}.isdisjoint(k.secret for k in keys_two.keys)
    assert keys_one == planted(one)


def test_there_is_always_an_operator(tmp_path):
    """Bearer in test mode; in live mode a key that signs."""
    test = planted(settings_of(tmp_path))
    live = planted(settings_of(tmp_path / "live", mode="live", rehearsal=True))

    assert test.find(KeyOwner.OPERATOR).secret == test.api_key
    assert live.find(KeyOwner.OPERATOR, KeyType.HMAC_SHA256).secret.startswith("hs_live_")


def with_merchant(**fields):
    return {"merchants": [{"name": "A", **fields}]}


WRONG = [
    ({"merchant": []}, "unknown field `merchant`"),
    (with_merchant(id="mch_short"), "is not a mch_ id"),
    (with_merchant(id="pay_01M7ZZETG50006QVNTNT329K"), "is not a mch_ id"),
    (with_merchant(platform="nobody"), "no platform 'nobody'"),
    (with_merchant(keys=[{"type": "bearer", "terminal": "T"}]), "no terminal 'T'"),
    (with_merchant(keys=[{"type": "bearer", "scopes": ["all"]}]), "not a scope"),
    (with_merchant(keys=[{"type": "hmac-sha256", "secret": "hs_test_!"}]), "not base64"),
    (
        {
            "merchants": GIVEN["merchants"]
            + [GIVEN["merchants"][0] | {"id": "mch_01M7ZZETG50006QVNTNT329M"}]
        },
        "belongs to",
    ),
]


@pytest.mark.parametrize(("seed", "complaint"), WRONG)
def test_a_wrong_seed_is_named_and_plants_nothing(tmp_path, seed, complaint):
    """Not even the part before the mistake."""
    settings = settings_of(tmp_path, seed)
    with pytest.raises(SettingsError, match=complaint):
        planted(settings)
    assert [] == records(settings)


def test_live_mode_takes_no_test_secret(tmp_path):
    """They have been in too many files."""
    with pytest.raises(SettingsError, match="test secret"):
        seed_of(GIVEN, "seed", livemode=True)
    assert 1 == len(seed_of(GIVEN, "seed", livemode=False).merchants)


def test_a_revoked_key_is_not_brought_back(tmp_path):
    """A seed says how things begin, not how they are."""
    from payments.directory import revoke_key

    settings = settings_of(tmp_path)
    seeded = planted(settings, demo_seed())
    key = next(one for one in of_kind(settings, Key) if one.id == seeded.keys[0].key_id)
    store = DirectoryStore(settings.data_path / FILE_NAME)
    store.open()
    store.plant([revoke_key(key, real_ms=5)], {"seed:x": "1"})
    store.close()
    changed = demo_seed() | {"merchants": [*demo_seed()["merchants"], {"name": "One more"}]}
    planted(settings, changed)

    now = next(one for one in of_kind(settings, Key) if one.id == key.id)
    assert (5, 5) == (now.not_before, now.not_after)


def test_no_operator_of_a_seed_has_both_hands():
    """Maker and checker are two people, also where nobody asks over HTTP."""
    seed = {"operators": [{"label": "boss", "roles": ["maker", "checker"]}]}

    with pytest.raises(SettingsError, match="boss: maker and checker are two people"):
        seed_of(seed, "seed", livemode=False)
