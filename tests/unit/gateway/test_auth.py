"""Who is asking, for whom, and what they may do."""

import hashlib
import re

import pytest

from gateway.auth import (
    Caller,
    nonce_digest,
    place,
    require,
    require_merchant,
    require_role,
    scopes_of,
)
from gateway.signatures import DENIED
from payments.errors import InsufficientScope, NotFound, Unauthorized
from payments.reference import KeyOwner, KeyType


@pytest.fixture
def bearer(kit):
    """An unsigned request with the bearer key of the ring."""
    return kit.Request().with_headers(Authorization=f"Bearer {kit.BEARER}")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_key_opens_test_mode(kit, bearer, scheme):
    """It has no nonce; the scheme's case does not matter."""
    sent = bearer.with_headers(Authorization=f"{scheme} {kit.BEARER}")

    caller = kit.ask(sent, kit.bearer_key())

    assert ("key_bearer", kit.MERCHANT, None, 0) == (
        caller.key.id,
        caller.merchant,
        caller.nonce,
        caller.nonce_created,
    )


def test_live_mode_takes_signatures_only(kit, bearer):
    """A bearer key cannot open it, not even a live one; a signature of a live key can."""
    with pytest.raises(Unauthorized, match="signed"):
        kit.ask(bearer, kit.bearer_key(livemode=True), livemode=True)

    signed = kit.signed(kit.Request())
    assert (
        kit.MERCHANT
        == kit.ask(signed, kit.a_key("key_hmac", livemode=True), livemode=True).merchant
    )
    with pytest.raises(Unauthorized, match=re.escape(DENIED)):
        kit.ask(signed, kit.a_key("key_hmac"), livemode=True)


def test_a_request_is_either_signed_or_carries_a_bearer_key(kit):
    """Two answers to who is asking are none."""
    both = kit.signed(kit.Request()).with_headers(Authorization=f"Bearer {kit.BEARER}")

    with pytest.raises(Unauthorized, match="not both"):
        kit.ask(both, kit.bearer_key(), kit.a_key("key_hmac"))
    with pytest.raises(Unauthorized, match="Signature-Input"):
        kit.ask(kit.Request())


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic abc", "sk_test_0123456789abcdef", "Bearer " + "x" * 257]
)
def test_a_malformed_authorization_is_refused(kit, bearer, header):
    """And says what it should look like."""
    with pytest.raises(Unauthorized, match="Bearer and a key"):
        kit.ask(bearer.with_headers(Authorization=header), kit.bearer_key())


def test_two_authorizations_are_refused(kit, bearer):
    """Whoever reads the first and whoever reads the last must not differ."""
    bearer.headers.add("Authorization", "Bearer other")

    with pytest.raises(Unauthorized):
        kit.ask(bearer, kit.bearer_key())


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": hashlib.sha256(b"sk_test_other").digest()},
        {"type": KeyType.HMAC_SHA256},
        {"not_before": 1_795_000_000_001},
        {"not_after": 1_795_000_000_000},
        {"livemode": True},
    ],
    ids=["unknown", "another type", "too early", "ended", "live"],
)
def test_a_bearer_key_that_does_not_hold_has_one_answer(kit, bearer, changes):
    """The same words as for a signature that does not."""
    with pytest.raises(Unauthorized, match=re.escape(DENIED)):
        kit.ask(bearer, kit.bearer_key(**changes))


def test_a_key_works_in_its_window(kit, bearer):
    """From not_before on, and until just before not_after."""
    start = kit.NOW_S * 1000
    key = kit.bearer_key(not_before=start, not_after=start + 1000)

    assert kit.ask(bearer, key).key is key
    assert kit.ask(bearer, key, later_ms=999).key is key


ACTING = [
    # owner, platform of the key, merchant asked for -> merchant acted for, None: not found
    (KeyOwner.MERCHANT, None, None, "MERCHANT"),
    (KeyOwner.MERCHANT, None, "MERCHANT", "MERCHANT"),
    (KeyOwner.MERCHANT, None, "SIBLING", None),
    (KeyOwner.MERCHANT, "plat_a", "SIBLING", None),
    (KeyOwner.MERCHANT, None, "mch_nobody", None),
    (KeyOwner.TERMINAL, None, None, "MERCHANT"),
    (KeyOwner.TERMINAL, None, "SIBLING", None),
    (KeyOwner.PLATFORM, "plat_a", None, ""),
    (KeyOwner.PLATFORM, "plat_a", "MERCHANT", "MERCHANT"),
    (KeyOwner.PLATFORM, "plat_a", "SIBLING", "SIBLING"),
    (KeyOwner.PLATFORM, "plat_a", "STRANGER", None),
    (KeyOwner.PLATFORM, None, "MERCHANT", None),
    (KeyOwner.PLATFORM, "plat_a", "mch_nobody", None),
    (KeyOwner.OPERATOR, None, None, ""),
    (KeyOwner.OPERATOR, None, "STRANGER", "STRANGER"),
    (KeyOwner.OPERATOR, "plat_a", "STRANGER", None),
    (KeyOwner.OPERATOR, None, "mch_nobody", None),
]


@pytest.mark.parametrize(("owner", "platform", "asked", "expected"), ACTING)
def test_a_key_acts_for_its_own_merchants_only(kit, bearer, owner, platform, asked, expected):
    """Another's merchant looks like one that does not exist."""
    own = kit.MERCHANT if owner in (KeyOwner.MERCHANT, KeyOwner.TERMINAL) else ""
    key = kit.bearer_key(owner=owner, platform=platform, merchant=own)
    sent = bearer.with_headers(Tillway_Merchant=asked and getattr(kit, asked, asked))

    if expected is None:
        with pytest.raises(NotFound) as refused:
            kit.ask(sent, key)
        assert "There is no such merchant." == refused.value.detail
    else:
        assert getattr(kit, expected, expected) == kit.ask(sent, key).merchant


def test_two_merchants_are_refused(kit, bearer):
    """Even if both are the key's."""
    sent = bearer.with_headers(Tillway_Merchant=kit.MERCHANT)
    sent.headers.add("Tillway-Merchant", kit.MERCHANT)

    with pytest.raises(NotFound):
        kit.ask(sent, kit.bearer_key())


SCOPES = [
    # owner, scopes of the key, scope needed -> allowed
    (KeyOwner.MERCHANT, ("payments:write",), "payments:write", True),
    (KeyOwner.MERCHANT, ("payments:write",), "refunds:write", False),
    (KeyOwner.MERCHANT, (), "payments:read", False),
    (KeyOwner.MERCHANT, ("*",), "keys:write", True),
    (KeyOwner.TERMINAL, ("*",), "refunds:write", True),
    (KeyOwner.TERMINAL, ("*",), "keys:write", False),
    (KeyOwner.TERMINAL, ("payments:read", "keys:write"), "keys:write", False),
    (KeyOwner.TERMINAL, ("payments:read",), "payments:write", False),
    (KeyOwner.OPERATOR, ("ledger:read",), "ledger:read", True),
]


@pytest.mark.parametrize(("owner", "scopes", "needed", "allowed"), SCOPES)
def test_a_scope_is_needed_and_a_terminal_never_has_more_than_a_till(
    kit, owner, scopes, needed, allowed
):
    """`*` is every scope, for a terminal every scope of a till."""
    caller = Caller(kit.a_key("key_1", owner=owner, scopes=scopes), kit.MERCHANT)

    if allowed:
        require(caller, needed)
        assert {needed, "*"} & scopes_of(caller.key)
    else:
        with pytest.raises(InsufficientScope, match=needed):
            require(caller, needed)


def test_roles_belong_to_operators(kit):
    """Maker and checker are two people."""
    maker = Caller(kit.a_key("key_1", owner=KeyOwner.OPERATOR, roles=("maker",)), "")

    require_role(maker, "maker")
    for caller, role in [
        (maker, "checker"),
        (Caller(kit.a_key("key_2", roles=("maker",)), kit.MERCHANT), "maker"),
    ]:
        with pytest.raises(InsufficientScope, match=role):
            require_role(caller, role)


def test_a_call_for_one_merchant_needs_one(kit):
    """A platform says for whom."""
    assert kit.MERCHANT == require_merchant(Caller(kit.a_key("key_1"), kit.MERCHANT))
    with pytest.raises(InsufficientScope) as refused:
        require_merchant(Caller(kit.a_key("key_1", owner=KeyOwner.PLATFORM, merchant=""), ""))
    assert "Tillway-Merchant" == refused.value.param


PLACES = [
    # store and terminal asked -> store and terminal taken, or the field that is refused
    (None, None, ("sto_1", "trm_1")),
    ("sto_1", None, ("sto_1", "trm_1")),
    (None, "trm_1", ("sto_1", "trm_1")),
    ("sto_2", "trm_1", "/store"),
    ("sto_1", "trm_2", "/terminal"),
]


@pytest.mark.parametrize(("store", "terminal", "expected"), PLACES)
def test_a_terminal_key_pays_at_its_own_place(kit, store, terminal, expected):
    """What it leaves out is its own; another place is refused."""
    till = kit.a_key("key_1", owner=KeyOwner.TERMINAL, store="sto_1", terminal="trm_1")

    if isinstance(expected, tuple):
        assert expected == place(Caller(till, kit.MERCHANT), store, terminal)
    else:
        with pytest.raises(InsufficientScope) as refused:
            place(Caller(till, kit.MERCHANT), store, terminal)
        assert expected == refused.value.param
    assert (store, terminal) == place(Caller(kit.a_key("key_2"), kit.MERCHANT), store, terminal)


def test_a_nonce_is_stored_as_63_bits_of_it_and_its_key(kit):
    """The same nonce of two keys is two nonces; none is 0, and nothing else is."""
    first, second = kit.a_key("key_1"), kit.a_key("key_2")
    digests = {nonce_digest(Caller(key, "", nonce)) for key in (first, second) for nonce in "ab"}

    assert 4 == len(digests)
    assert all(0 < digest < 1 << 63 for digest in digests)
    assert nonce_digest(Caller(first, "", "a")) == nonce_digest(Caller(first, "x", "a", 5))
    assert 0 == nonce_digest(Caller(first, ""))


def test_a_platforms_nonce_counts_once_for_each_of_its_merchants(kit):
    """A merchant's own key stands for its merchant."""
    for owner, count in ((KeyOwner.PLATFORM, 2), (KeyOwner.OPERATOR, 2), (KeyOwner.MERCHANT, 1)):
        key = kit.a_key("key_1", owner=owner)
        assert count == len({nonce_digest(Caller(key, merchant, "a")) for merchant in "xy"}), owner
