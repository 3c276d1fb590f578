"""Seed files: the merchants, platforms, operators and keys that a deployment starts with.

TOML or JSON, read before the directory starts and planted into its store in one commit. Planting
again adds only what is new: things are known by their `id`, or else by their `label` (default:
their name, or place in the list). Keys without a secret get one, which is written with its id to
`seed-keys.json` in the data directory (0600) and nowhere else.

    [[platforms]]  label, keys[]
    [[merchants]]  label?, id?, name, platform?, dedicated?, status?, metadata?, keys[],
                   stores[{id?, name, closing_minute?, terminals[{id?, name?}]}],
                   account?, receivers[{name, account?}], split{parts[{receiver, ratio_ppm}], way?}
    [[operators]]  label, type, roles[], secret?
    [generate]     merchants, keyed?, stores?, terminals?, type?, seed?
    keys           {id?, label?, type, scopes?, secret?, public_key?, terminal?}
    account        {name, number, bank, registered_by, confirmed_by}
"""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from gateway.settings import (
    TEST_SECRETS,
    SettingsError,
    file_content,
    read_table,
    refuse_readable_by_others,
)
from payments.directory_access import refuse_both_hands
from payments.errors import InvalidField
from payments.reference import KeyOwner, KeyType, MerchantStatus

GENERATED_MAX: Final = 1_000_000

Name = Annotated[str, Meta(min_length=1, max_length=200)]


class SeedKey(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`terminal`: the label or id of one of the merchant's terminals."""

    type: KeyType
    scopes: tuple[str, ...] = ("*",)
    id: str | None = None
    label: str | None = None
    secret: str | None = None
    public_key: str | None = None
    terminal: str | None = None
    name: str = ""


class SeedTerminal(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    name: Name = "Till"
    id: str | None = None


class SeedStore(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    name: Name
    id: str | None = None
    closing_minute: Annotated[int, Meta(ge=0, le=1_439)] = 0
    external_id: str | None = None
    terminals: tuple[SeedTerminal, ...] = ()


class SeedAccount(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A bank account that two people have put their names to; they are not the same."""

    name: Name
    number: str
    bank: str
    registered_by: Name
    confirmed_by: Name


class SeedReceiver(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    name: Name
    account: SeedAccount | None = None


class SeedShare(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`receiver`: the name of one of the merchant's."""

    receiver: str
    ratio_ppm: Annotated[int, Meta(ge=1, le=1_000_000)]


class SeedSplit(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A split rule. `way`: of which payments; None for all of them."""

    parts: tuple[SeedShare, ...]
    way: str | None = None


class SeedMerchant(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """`platform`: the label of a platform."""

    name: Name
    label: str | None = None
    id: str | None = None
    platform: str | None = None
    dedicated: bool = False
    status: MerchantStatus = MerchantStatus.ACTIVE
    fee_plan: str = "default"
    metadata: dict[str, str] = {}
    stores: tuple[SeedStore, ...] = ()
    keys: tuple[SeedKey, ...] = ()
    account: SeedAccount | None = None
    receivers: tuple[SeedReceiver, ...] = ()
    split: SeedSplit | None = None


class SeedPlatform(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    label: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")]
    keys: tuple[SeedKey, ...] = ()


class SeedOperator(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    label: str
    type: KeyType = KeyType.BEARER
    roles: tuple[str, ...] = ("operator",)
    secret: str | None = None

    def __post_init__(self) -> None:
        try:
            refuse_both_hands(self.roles)
        except InvalidField as refused:
            raise ValueError(f"operator {self.label}: {refused}") from None


class Generate(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Many merchants at once. `keyed`: how many of them get a key. The same seed, the same ids."""

    merchants: Annotated[int, Meta(ge=1, le=GENERATED_MAX)]
    keyed: int | None = None
    stores: Annotated[int, Meta(ge=0, le=10)] = 1
    terminals: Annotated[int, Meta(ge=0, le=100)] = 1
    type: KeyType = KeyType.HMAC_SHA256
    seed: int = 1


class Seed(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    platforms: tuple[SeedPlatform, ...] = ()
    merchants: tuple[SeedMerchant, ...] = ()
    operators: tuple[SeedOperator, ...] = ()
    generate: Generate | None = None


class MadeKey(Struct, frozen=True):
    """A line of `seed-keys.json`: a key whose secret was made here."""

    label: str
    owner: KeyOwner
    merchant: str
    key_id: str
    type: KeyType
    secret: str
    store: str | None = None
    terminal: str | None = None

    def __repr__(self) -> str:
        return f"MadeKey({self.label}, {self.key_id})"


def read_seed(path: Path, *, livemode: bool) -> Seed:
    """The seed in a file. Raise SettingsError naming the field that is wrong."""
    if livemode:
        refuse_readable_by_others(path)
    if path.suffix == ".json":
        # A file of 100 000 merchants: decoded in one go, without a dictionary for each.
        return seed_of(file_content(path), str(path), livemode=livemode)
    return seed_of(read_table(path), str(path), livemode=livemode)


def seed_of(content: dict[str, Any] | bytes, source: str, *, livemode: bool) -> Seed:
    """A seed from plain data or JSON. Raise SettingsError."""
    try:
        if isinstance(content, bytes):
            seed = msgspec.json.decode(content, type=Seed)
        else:
            seed = msgspec.convert(content, Seed)
    except msgspec.DecodeError as error:
        raise SettingsError(f"{source}: {error}") from None
    given = [key for merchant in seed.merchants for key in merchant.keys]
    given += [key for platform in seed.platforms for key in platform.keys]
    secrets = [key.secret for key in given] + [one.secret for one in seed.operators]
    if livemode and any(secret and secret.startswith(TEST_SECRETS) for secret in secrets):
        raise SettingsError(f"{source}: a test secret in live mode; make a new one")
    return seed
