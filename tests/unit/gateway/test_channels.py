"""Accounts of real channels: their settings, their keys, and what may never be seen of them."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway import settings_shape
from gateway.callbacks import callback_token, callback_url
from gateway.channels import Wired, account_of, check
from gateway.processes import accounts_of, lane_limits, schedule_of
from gateway.settings import SettingsError, load, read_reference
from gateway.settings_shape import Settings
from payments.channels.kinds import KINDS
from payments.channels.sandboxed import Sandboxed
from payments.channels.wechat.connector import WeChatChannel
from payments.clock import ManualClock
from payments.idempotency import Digests
from payments.lifecycle import DEFAULT_SCHEDULE

DIGESTS = Digests(b"a secret for tests, no more")
KEY = generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
API_KEY = b"0123456789abcdef0123456789abcdef"


class Place:
    """A folder of keys and a settings file with one WeChat account."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name, content in (("key", PEM), ("public", PUBLIC), ("api", API_KEY)):
            self.write(name, content)

    def write(self, name, content, mode=0o600):
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return f"file:{path}"

    def wechat(self, **changes):
        table = {
            "mchid": "1900000001",
            "appid": "wx1",
            "merchant_serial": "AB12",
            "merchant_private_key": f"file:{self.folder / 'key'}",
            "api_v3_key": f"file:{self.folder / 'api'}",
            "public_keys": {"PUB_KEY_ID_011": f"file:{self.folder / 'public'}"},
        }
        return {**table, **changes}

    def account(self, wechat=None, **changes):
        return {
            "name": "wechat",
            "account": "wechat-main",
            "kind": "wechat",
            "wallets": ["wechat"],
            "ways": ["barcode", "qr", "jsapi"],
            "wechat": self.wechat() if wechat is None else wechat,
            **changes,
        }

    def settings(self, *accounts, **changes) -> Settings:
        config = self.folder / "tillway.json"
        tree = {"channels": accounts or [self.account()], "data_dir": str(self.folder), **changes}
        config.write_text(json.dumps(tree))
        return load(config, environ={})


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def refused(place, account, **changes):
    with pytest.raises(SettingsError) as error:
        place.settings(account, **changes)
    return str(error.value)


def test_an_account_of_a_real_channel_becomes_its_connector(place):
    """Keys are read from their files; nothing of them is in any text."""
    settings = place.settings()
    account = settings.channels[0]

    facts = account_of(settings, account, DIGESTS)
    wired = Wired(settings, account, 0, ManualClock(), DIGESTS)

    assert isinstance(wired.channel, WeChatChannel)
    assert facts.ids == {"mchid": "1900000001", "appid": "wx1", "merchant_serial": "AB12"}
    assert facts.keys == {"merchant_private_key": PEM, "api_v3_key": API_KEY}
    assert facts.notify_url == callback_url(settings.public_url, DIGESTS, "wechat", "wechat-main")
    for text in (repr(facts), repr(settings), repr(wired), json.dumps(settings.to_public_dict())):
        assert API_KEY.decode() not in text
        assert "PRIVATE" not in text
    check(settings, ManualClock(), DIGESTS)
    wired.abandon()


def test_shards_are_told_that_the_account_is_outside(place):
    """So that orders carry what a real channel wants, and its schedule is used."""
    account = place.account(
        inquiries={"at_ms": [1000, 5000], "undo_at_ms": 20000, "per_second_max": 7},
        timeouts={"pay_ms": 3000, "ask_ms": 2000, "refund_ms": 4000},
        capacity=10,
    )
    settings = place.settings(account)
    (routed,) = accounts_of(settings)
    schedule = schedule_of(settings.channels[0])
    limits = lane_limits(settings.channels[0], settings)

    assert routed.is_wired
    assert [str(way) for way in routed.ways] == ["barcode", "qr", "jsapi"]
    assert (schedule.inquire_at, schedule.undo_at) == ((1000, 5000), 20000)
    assert schedule.late_checks == DEFAULT_SCHEDULE.late_checks
    assert (limits.pay_timeout_ms, limits.ask_timeout_ms) == (6_000, 11_000)
    assert (limits.asks_per_second, limits.capacity) == (7, 10)
    running = (limits.pays_running_max, limits.merchant_running_max, limits.asks_running_max)
    assert running == (768, 384, 256)
    assert schedule_of(place.settings().channels[0]) == DEFAULT_SCHEDULE


def test_a_sandbox_has_payers_that_act(place):
    account = place.account(base_url="http://127.0.0.1:9", sandbox=True)
    settings = place.settings(account)

    wired = Wired(settings, settings.channels[0], 0, ManualClock(), DIGESTS)

    assert isinstance(wired.channel, Sandboxed)
    assert hasattr(wired.channel, "hear"), "its callbacks are the connector's"
    assert not hasattr(wired.channel, "pay_now")
    wired.abandon()


WRONG = {
    "credentials of another kind": (
        lambda p: p.account(kind="simulated"),
        "wechat credentials, and kind simulated",
    ),
    "no credentials": (lambda p: {**p.account(), "wechat": None}, "the table wechat is missing"),
    "a key in the file itself": (
        lambda p: p.account(p.wechat(api_v3_key="0123456789abcdef0123456789abcdef")),
        "api_v3_key",
    ),
    "a relative path": (lambda p: p.account(p.wechat(api_v3_key="file:key")), "api_v3_key"),
    "a variable of ours": (lambda p: p.account(p.wechat(api_v3_key="env:TILLWAY_X")), "api_v3_key"),
    "a slip of the pen": (lambda p: p.account(p.wechat(mchld="1")), "did you mean .*mchid"),
    "plain http to the world": (
        lambda p: p.account(base_url="http://api.example.org"),
        "base_url must be https",
    ),
    "http to a name like ours": (
        lambda p: p.account(base_url="http://127.0.0.1.example.org"),
        "base_url must be https",
    ),
    "a user in the address": (lambda p: p.account(base_url="https://a@b.example"), "base_url"),
    "a sandbox without address": (lambda p: p.account(sandbox=True), "needs its base_url"),
    "questions out of order": (
        lambda p: p.account(inquiries={"at_ms": [5000, 1000]}),
        "ascending",
    ),
    "questions after the undo": (
        lambda p: p.account(inquiries={"at_ms": [30000], "undo_at_ms": 20000}),
        "ascending",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_account_is_refused_with_its_name(place, case):
    make, words = WRONG[case]

    said = refused(place, make(place))

    assert re.search(words, said), said
    assert API_KEY.decode() not in said


def test_live_mode_wants_tls_both_ways(place):
    live = {"mode": "live"}
    sandbox = place.account(base_url="https://127.0.0.1:9", sandbox=True)

    assert "public_url" in refused(place, place.account(), **live)
    assert "sandbox" in refused(place, sandbox, public_url="https://pay.example.org", **live)
    plain = place.account(base_url="http://127.0.0.1:9")
    assert "https" in refused(place, plain, public_url="https://pay.example.org", **live)
    assert place.settings(public_url="https://pay.example.org", **live).livemode


def test_keys_come_from_files_and_variables(place, monkeypatch):
    monkeypatch.setenv("SHOP_KEY", "from the environment")

    assert read_reference("env:SHOP_KEY", livemode=True) == b"from the environment"
    assert read_reference(place.write("k", b"x"), livemode=True) == b"x"
    for reference in ("env:NO_SUCH", f"file:{place.folder}/none", place.write("e", b" \n")):
        with pytest.raises(SettingsError, match=reference):
            read_reference(reference, livemode=False)


def test_a_key_that_others_can_read_is_refused_in_live_mode(place):
    """Public keys may be read by anybody."""
    reference = place.write("open", b"x", 0o640)

    with pytest.raises(SettingsError, match="chmod 600"):
        read_reference(reference, livemode=True)
    assert read_reference(reference, livemode=True, secret=False) == b"x"
    assert read_reference(reference, livemode=False) == b"x"


@pytest.mark.parametrize("name", ["merchant_private_key", "api_v3_key"])
def test_a_key_that_is_none_is_refused_without_being_quoted(place, name):
    reference = place.write("bad", b"-----BEGIN PRIVATE KEY-----\nSECRETSECRET\n-----END")
    settings = place.settings(place.account(place.wechat(**{name: reference})))

    with pytest.raises(SettingsError, match="wechat-main") as error:
        check(settings, ManualClock(), DIGESTS)

    assert "SECRET" not in str(error.value)


def test_a_callback_token_is_the_accounts_own():
    """The same at each start, another for each account and each deployment."""
    token = callback_token(DIGESTS, "a")

    assert token == callback_token(Digests(b"a secret for tests, no more"), "a")
    others = {
        callback_token(DIGESTS, "b"),
        callback_token(Digests(b"another secret of 32 bytes"), "a"),
    }
    assert token not in others
    assert len(token) == 32


def test_every_kind_has_its_table_of_credentials():
    """And every table its kind."""
    assert set(KINDS) == set(settings_shape.KINDS)
    assert set(KINDS) <= set(settings_shape.ChannelAccount.__struct_fields__)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"term_id": "0000000A", "access_type": "1"}, ""),
        ({"acp_private_key": "env:ACP_KEY", "cert_id": "17", "acp_mer_id": "7" * 15}, ""),
        ({"acp_private_key": "env:ACP_KEY"}, "cert_id is missing"),
        ({"term_id": "1"}, "term_id"),
        ({"access_type": "3"}, "access_type"),
        ({"acp_mer_id": "7"}, "acp_mer_id"),
    ],
)
def test_unionpays_two_sides_have_settings_of_their_own(changes, words):
    """What is left out is as it was."""
    table = {
        "serv_prov_id": "1" * 15,
        "mer_id": "2" * 15,
        "merchant_private_key": "env:KEY",
        "public_keys": {"current": "env:PUBLIC"},
        **changes,
    }

    if words:
        with pytest.raises(msgspec.ValidationError, match=words):
            msgspec.convert(table, settings_shape.Unionpay)
        return
    made = msgspec.convert(table, settings_shape.Unionpay)
    assert (made.term_id, made.access_type) == (
        changes.get("term_id", "00000001"),
        changes.get("access_type", "0"),
    )
