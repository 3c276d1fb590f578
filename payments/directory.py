"""Reference data decided: what a new merchant, store, terminal or key is, and how they change.

Everything here decides and changes nothing; the caller applies the records. Secrets are made
from the entropy passed in and returned once, beside the record that keeps only what it must:

    bearer        `sk_test_<hex>`; the record keeps SHA-256 of the whole secret
    hmac-sha256   `hs_test_<base64 of 32 bytes>`; the record keeps the key itself, which is the
                  base64-decoded part after the last underscore (its file is 0600 for that reason)
    ed25519       no secret of ours; the record keeps the caller's 32-byte public key
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.errors import Conflict, InvalidField, NotFound, QuotaExceeded
from payments.ids import SHARED_PARTITIONS, Entropy
from payments.payout_terms import PayoutWish, changed_payout
from payments.reference import (
    SCOPES,
    Key,
    KeyOwner,
    KeyType,
    Merchant,
    MerchantStatus,
    Plate,
    PlateStatus,
    Store,
    Terminal,
)
from payments.register import Register, is_revoked

SECRET_BYTES: Final = 32
HMAC_KEY_BYTES_MIN: Final = 16
OVERLAP_MAX_S: Final = 30 * 86_400
MEMBERS_MAX: Final = 1_000
"""Stores, terminals, keys and plates of one merchant together."""

COUNTED_APART: Final = ("rcv_", "spl_", "acc_")
"""Receivers, split rules and settlement accounts have limits of their own."""

# SubjectPublicKeyInfo of an Ed25519 key is these bytes and the 32 of the key (RFC 8410).
_ED25519_HEAD: Final = bytes.fromhex("302a300506032b6570032100")
_PEM_BEGIN: Final = "-----BEGIN PUBLIC KEY-----"
_PEM_END: Final = "-----END PUBLIC KEY-----"

ROLES: Final = ("operator", "maker", "checker", "viewer")

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]],
    Meta(max_length=50),
]
Id = Annotated[str, Meta(max_length=40)]


class NewMerchant(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/merchants. `dedicated`: a partition of its own, so that a shard can be its own."""

    name: Name
    platform: Id | None = None
    dedicated: bool = False
    fee_plan: Annotated[str, Meta(min_length=1, max_length=40)] = "default"
    metadata: Metadata = {}


class MerchantChange(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/merchants/{id}: what is given is changed."""

    name: Name | None = None
    status: MerchantStatus | None = None
    payout: PayoutWish | None = None
    metadata: Metadata | None = None


class NewStore(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/stores. `closing_minute`: minutes after local midnight."""

    name: Name
    closing_minute: Annotated[int, Meta(ge=0, le=1_439)] = 0
    external_id: Annotated[str, Meta(max_length=64)] | None = None
    metadata: Metadata = {}


class NewTerminal(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/terminals."""

    store: Id
    name: Name
    metadata: Metadata = {}


class NewPlate(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/qr_plates: a static code of a store. `label`: where it stands, for people."""

    store: Id
    label: Annotated[str, Meta(min_length=1, max_length=64)]
    metadata: Metadata = {}


class PlateChange(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/qr_plates/{id}: what is given is changed; a disabled one takes no payments."""

    label: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    status: PlateStatus | None = None
    metadata: Metadata | None = None


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/keys. `platform` and `roles` are for operators who make keys of those owners."""

    type: KeyType
    scopes: Annotated[tuple[str, ...], Meta(max_length=len(SCOPES))] = ()
    terminal: Id | None = None
    public_key: Annotated[str, Meta(max_length=400)] | None = None
    name: Annotated[str, Meta(max_length=200)] = ""
    platform: Id | None = None
    roles: Annotated[
        tuple[Literal["operator", "maker", "checker", "viewer"], ...], Meta(max_length=len(ROLES))
    ] = ()


class Rotation(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/keys/{id}/rotate. `overlap_seconds`: how long the old key still works."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_S)] = 0
    public_key: Annotated[str, Meta(max_length=400)] | None = None


class Holder(Struct, frozen=True):
    """For whom a key is made. `merchant` is empty for platform and operator keys."""

    owner: KeyOwner
    merchant: str = ""
    platform: str | None = None
    store: str | None = None
    terminal: str | None = None
    roles: tuple[str, ...] = ()


# --- merchants, stores, terminals ------------------------------------------------------------


def place_merchant(register: Register, *, dedicated: bool) -> tuple[int, int]:
    """(number, partition) of the next merchant. Shared partitions go round by number."""
    number = register.last_number + 1
    if not dedicated:
        return number, (number - 1) % SHARED_PARTITIONS
    partition = register.next_dedicated()
    if partition is None:
        raise Conflict("every dedicated partition has its merchant; create it without `dedicated`")
    return number, partition


def create_merchant(
    wish: NewMerchant,
    *,
    platform: str | None,
    identifier: str,
    number: int,
    partition: int,
    status: MerchantStatus,
    now_ms: int,
) -> Merchant:
    """A new merchant whose id carries its partition."""
    return Merchant(
        identifier,
        number,
        wish.name,
        status,
        partition,
        platform,
        now_ms,
        dict(wish.metadata),
        wish.fee_plan,
    )


NEXT_STATUS: Final[Mapping[MerchantStatus, frozenset[MerchantStatus]]] = {
    MerchantStatus.APPLICATION: frozenset({MerchantStatus.IN_REVIEW, MerchantStatus.CLOSED}),
    MerchantStatus.IN_REVIEW: frozenset({MerchantStatus.ACTIVE, MerchantStatus.CLOSED}),
    MerchantStatus.ACTIVE: frozenset({MerchantStatus.SUSPENDED, MerchantStatus.CLOSED}),
    MerchantStatus.SUSPENDED: frozenset({MerchantStatus.ACTIVE, MerchantStatus.CLOSED}),
    MerchantStatus.CLOSED: frozenset(),
}


def change_merchant(merchant: Merchant, wish: MerchantChange) -> Merchant:
    """The merchant after a change. Conflict when its status cannot go there."""
    status = wish.status if wish.status is not None else merchant.status
    if status is not merchant.status and status not in NEXT_STATUS[merchant.status]:
        ways = ", ".join(sorted(NEXT_STATUS[merchant.status])) or "nothing else"
        raise Conflict(f"a merchant that is {merchant.status} becomes {ways}", param="status")
    return replace(
        merchant,
        name=wish.name if wish.name is not None else merchant.name,
        status=status,
        metadata=dict(wish.metadata) if wish.metadata is not None else merchant.metadata,
        payout=changed_payout(merchant.payout, wish.payout),
    )


def create_store(wish: NewStore, *, merchant: Merchant, identifier: str, now_ms: int) -> Store:
    """A new store of `merchant`."""
    refuse_closed(merchant)
    return Store(
        identifier,
        merchant.id,
        wish.name,
        wish.closing_minute,
        wish.external_id,
        now_ms,
        dict(wish.metadata),
    )


def create_terminal(
    wish: NewTerminal, *, merchant: Merchant, store: Store | None, identifier: str, now_ms: int
) -> Terminal:
    """A new terminal in a store of the same merchant; another's store does not exist for it."""
    refuse_closed(merchant)
    if store is None or store.merchant != merchant.id:
        raise NotFound("no such store; create it first, or correct `store`", param="store")
    return Terminal(identifier, merchant.id, store.id, wish.name, now_ms, dict(wish.metadata))


def create_plate(
    wish: NewPlate, *, merchant: Merchant, store: Store | None, identifier: str, now_ms: int
) -> Plate:
    """A new plate in a store of the same merchant."""
    refuse_closed(merchant)
    if store is None or store.merchant != merchant.id:
        raise NotFound("no such store; create it first, or correct `store`", param="store")
    return Plate(
        identifier,
        merchant.id,
        store.id,
        wish.label,
        created=now_ms,
        metadata=dict(wish.metadata),
    )


def change_plate(plate: Plate, wish: PlateChange) -> Plate:
    """The plate after a change. It may be taken out of use and back into it."""
    return replace(
        plate,
        label=wish.label if wish.label is not None else plate.label,
        status=wish.status if wish.status is not None else plate.status,
        metadata=dict(wish.metadata) if wish.metadata is not None else plate.metadata,
    )


def refuse_closed(merchant: Merchant) -> None:
    """A closed merchant gets nothing new."""
    if merchant.status is MerchantStatus.CLOSED:
        raise Conflict(f"{merchant.id} is closed")


def refuse_too_many(register: Register, owner: str) -> None:
    """QuotaExceeded when an owner has MEMBERS_MAX stores, terminals, keys and plates."""
    members = (each for each in register.members_of(owner) if not each.startswith(COUNTED_APART))
    if sum(1 for _ in members) >= MEMBERS_MAX:
        raise QuotaExceeded(
            f"{owner} has {MEMBERS_MAX} stores, terminals, keys and plates: no more"
        )


# --- keys ------------------------------------------------------------------------------------


def create_key(
    wish: NewKey,
    holder: Holder,
    *,
    identifier: str,
    entropy: Entropy,
    livemode: bool,
    now_ms: int,
    not_before: int = 0,
) -> tuple[Key, str | None]:
    """A new key, and its secret to be shown once (None for ed25519)."""
    if livemode and wish.type is KeyType.BEARER:
        raise InvalidField(
            "live mode takes signed requests only; ask for hmac-sha256 or ed25519", param="type"
        )
    unknown = sorted(set(wish.scopes) - set(SCOPES))
    if unknown:
        raise InvalidField(
            f"{unknown[0]!r} is not a scope; known: {', '.join(SCOPES)}", param="scopes"
        )
    stored, secret = make_secret(
        wish.type, holder.owner, wish.public_key, entropy=entropy, livemode=livemode
    )
    key = Key(
        identifier,
        wish.type,
        holder.owner,
        holder.merchant,
        stored,
        tuple(sorted(set(wish.scopes))),
        holder.platform,
        holder.terminal,
        holder.store,
        holder.roles,
        not_before,
        0,
        now_ms,
        wish.name,
        livemode,
    )
    return key, secret


def make_secret(
    kind: KeyType, owner: KeyOwner, public_key: str | None, *, entropy: Entropy, livemode: bool
) -> tuple[bytes, str | None]:
    """(what the record keeps, what is shown once)."""
    if kind is KeyType.ED25519:
        if public_key is None:
            raise InvalidField("an ed25519 key needs your public key", param="public_key")
        return ed25519_key_of(public_key), None
    if public_key is not None:
        raise InvalidField(f"{kind} has no public key; leave it out", param="public_key")
    mode = "live" if livemode else "test"
    random = entropy.bytes(SECRET_BYTES)
    if kind is KeyType.HMAC_SHA256:
        secret = f"hs_{mode}_{base64.b64encode(random).decode()}"
        return random, secret
    prefix = "op" if owner is KeyOwner.OPERATOR else "sk"
    secret = f"{prefix}_{mode}_{random.hex()}"
    return bearer_digest(secret), secret


def stored_secret(kind: KeyType, given: str) -> bytes:
    """What a record keeps of a secret (or public key) that was given in a seed file."""
    if kind is KeyType.BEARER:
        return bearer_digest(given)
    return hmac_key_of(given) if kind is KeyType.HMAC_SHA256 else ed25519_key_of(given)


def bearer_digest(secret: str) -> bytes:
    """SHA-256 of the whole bearer secret: what records keep and front doors look up."""
    return hashlib.sha256(secret.encode()).digest()


def hmac_key_of(secret: str) -> bytes:
    """The HMAC key in a secret: the base64 part after its prefix. InvalidField if there is none."""
    encoded = secret.rpartition("_")[2]
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error:
        raise InvalidField("after its prefix the secret is not base64", param="secret") from None
    if len(key) < HMAC_KEY_BYTES_MIN:
        raise InvalidField(f"an HMAC key has {HMAC_KEY_BYTES_MIN} bytes or more", param="secret")
    return key


def ed25519_key_of(public_key: str) -> bytes:
    """The 32 bytes of a public key given as PEM (SubjectPublicKeyInfo) or as raw base64."""
    text = public_key.strip()
    if text.startswith(_PEM_BEGIN) and text.endswith(_PEM_END):
        text = text.removeprefix(_PEM_BEGIN).removesuffix(_PEM_END)
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("public_key is neither PEM nor base64", param="public_key") from None
    raw = raw.removeprefix(_ED25519_HEAD)
    if len(raw) != 32:
        raise InvalidField("an ed25519 public key has 32 bytes", param="public_key")
    return raw


def rotate_key(
    old: Key, wish: Rotation, *, identifier: str, entropy: Entropy, real_ms: int, now_ms: int
) -> tuple[Key, Key, str | None]:
    """(the old key with its end, the new one, the new secret). Conflict when it is revoked.

    A rotation never lengthens the old key's life.
    """
    if is_revoked(old):
        raise Conflict("the key is revoked; create another")
    stored, secret = make_secret(
        old.type, old.owner, wish.public_key, entropy=entropy, livemode=old.livemode
    )
    end = real_ms + wish.overlap_seconds * 1_000
    ended = replace(old, not_after=min(end, old.not_after) if old.not_after else end)
    if wish.overlap_seconds == 0:
        ended = revoke_key(old, real_ms=real_ms)
    new = replace(
        old,
        id=identifier,
        secret=stored,
        not_before=0,
        not_after=0,
        created=now_ms,
        line=old.person,  # Else a maker could rotate, and check what the old key made.
    )
    return ended, new, secret


def revoke_key(key: Key, *, real_ms: int) -> Key:
    """The key with an empty window, so that no receiver's clock finds it valid again."""
    return key if is_revoked(key) else replace(key, not_before=real_ms, not_after=real_ms)
