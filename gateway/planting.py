"""Planting seeds into the directory's store, before the directory starts.

planted = plant(settings, clock, entropy, demo=demo_seed())
planted.api_key, planted.merchant            # for the line that says the server is ready
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from gateway.planter import Planter
from gateway.seed import MadeKey, Seed, read_seed, seed_of
from gateway.settings import (
    Settings,
    SettingsError,
    digest_of_file,
    make_data_dir,
    write_private,
)
from payments.clock import Clock
from payments.errors import PaymentError
from payments.ids import Entropy
from payments.reference import KeyOwner, KeyType, Merchant
from payments.storage.directory import FILE_NAME, DirectoryStore, record_of

KEYS_FILE: Final = "seed-keys.json"
RECORDS_MAX: Final = 10_000_000
OPERATOR_LABEL: Final = "operator"


class Planted(Struct, frozen=True):
    """What was made, at this start or an earlier one, for the line that says the server is up."""

    keys: tuple[MadeKey, ...]

    def find(self, owner: KeyOwner, kind: KeyType = KeyType.BEARER) -> MadeKey | None:
        """The first key of that owner and type."""
        return next((key for key in self.keys if key.owner is owner and key.type is kind), None)

    @property
    def api_key(self) -> str | None:
        """A bearer key to try things with: a merchant's, else an operator's."""
        key = self.find(KeyOwner.MERCHANT) or self.find(KeyOwner.OPERATOR)
        return key.secret if key is not None else None

    @property
    def merchant(self) -> str | None:
        """The merchant of that key."""
        key = self.find(KeyOwner.MERCHANT)
        return key.merchant if key is not None else None


def plant(
    settings: Settings, clock: Clock, entropy: Entropy, demo: dict[str, Any] | None = None
) -> Planted:
    """Plant the seed file (or the demo's table) and see that there is an operator.

    Called before the directory starts, because it owns the store for that moment. Raise
    SettingsError for a wrong seed, StoreRefused when the store may not be opened.
    """
    directory = make_data_dir(settings)
    livemode = settings.livemode
    store = DirectoryStore(directory / FILE_NAME, livemode=livemode, clock=clock)
    store.open()
    try:
        keys_file = directory / KEYS_FILE
        known = tuple(key for key in read_keys(keys_file) if store.has_record(key.key_id))
        todo = _unplanted(settings, store, demo)
        has_operator = store.mark(f"label:{OPERATOR_LABEL}") is not None
        if not todo and has_operator:
            return Planted(known)
        planter = Planter(store, clock, entropy, livemode=livemode)
        try:
            for digest, seed in todo.items():
                planter.add(seed, digest)
            planter.add_operator(OPERATOR_LABEL)
        except PaymentError as error:
            raise SettingsError(f"seed: {error.param or ''} {error.detail}".strip()) from None
        keys = known + tuple(planter.made)
        # First the secrets, then the records: a crash between leaves secrets of nothing, which
        # the next start forgets; the other way round, keys would be lost for ever.
        write_private(keys_file, msgspec.json.format(msgspec.json.encode(keys)))
        store.plant(planter.records, planter.marks)
        return Planted(keys)
    finally:
        store.close()


def _unplanted(
    settings: Settings, store: DirectoryStore, demo: dict[str, Any] | None
) -> dict[str, Seed]:
    """Digest -> seed, of those that this store has not seen as they are now."""
    found: dict[str, Seed] = {}
    livemode = settings.livemode
    if demo is not None:
        digest = hashlib.sha256(msgspec.json.encode(demo)).hexdigest()
        if store.mark(f"seed:{digest}") is None:
            found[digest] = seed_of(demo, "the demo seed", livemode=livemode)
    if settings.seed_file is not None:
        path = Path(settings.seed_file)
        digest = digest_of_file(path)
        if store.mark(f"seed:{digest}") is None:
            found[digest] = read_seed(path, livemode=livemode)
    return found


def merchants_of(settings: Settings) -> list[Merchant]:
    """All merchants that a stopped deployment has, in the order of their numbers."""
    store = DirectoryStore(settings.data_path / FILE_NAME, livemode=settings.livemode)
    store.open()
    try:
        bodies = store.records_after(0, RECORDS_MAX)
        found = (record_of(body) for _, body in bodies)
        return sorted((one for one in found if isinstance(one, Merchant)), key=lambda m: m.number)
    finally:
        store.close()


def read_keys(path: Path) -> tuple[MadeKey, ...]:
    """The keys that earlier seeds made; none when there is no such file."""
    if not path.exists():
        return ()
    return msgspec.json.decode(path.read_bytes(), type=tuple[MadeKey, ...])
