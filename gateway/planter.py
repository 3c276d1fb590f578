"""From a seed to records: what is new gets its number, partition, id and secret."""

import re
from collections.abc import Iterator
from typing import Final

from gateway.planter_home import HomePlanter
from gateway.seed import (
    Generate,
    MadeKey,
    Seed,
    SeedKey,
    SeedMerchant,
    SeedStore,
)
from gateway.settings import SettingsError
from payments.clock import Clock
from payments.directory import Holder, NewKey, create_key, place_merchant, stored_secret
from payments.ids import (
    SHARED_PARTITIONS,
    Entropy,
    IdMint,
    MalformedId,
    SeededEntropy,
    partition_of,
)
from payments.reference import (
    Key,
    KeyOwner,
    KeyType,
    Merchant,
    MerchantStatus,
    Record,
    Store,
    Terminal,
)
from payments.register import Register
from payments.storage.directory import DirectoryStore, record_of

LOAD_ROWS: Final = 10_000
GENERATED_AT_MS: Final = 1_767_225_600_000
"""Generated merchants were made on 2026-01-01, so that the same seed makes the same ids."""

_ID: Final = re.compile("[a-z]{3}_[0-9A-HJKMNP-TV-Z]{24}")


class Planter:
    """Collects records and marks; `store.plant` makes them durable."""

    def __init__(
        self, store: DirectoryStore, clock: Clock, entropy: Entropy, *, livemode: bool
    ) -> None:
        self.records: list[Record] = []
        self.marks: dict[str, str] = {}
        self.made: list[MadeKey] = []
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._mint = IdMint(entropy)
        self._livemode = livemode
        self._register = Register()
        change = 0
        while rows := store.records_after(change, LOAD_ROWS):
            for _, body in rows:
                self._register.apply(record_of(body))
            change = rows[-1][0]

    def add(self, seed: Seed, digest: str) -> None:
        """All of a seed that is not there yet. Raise SettingsError or PaymentError."""
        platforms = {}
        for platform in seed.platforms:
            identifier = self._known(f"platform/{platform.label}")
            if identifier is None:
                identifier = self._mint.new("plt", self._clock.now_ms(), 0)
                self.marks[f"label:platform/{platform.label}"] = identifier
            platforms[platform.label] = identifier
            holder = Holder(KeyOwner.PLATFORM, platform=identifier)
            self._add_keys(platform.keys, holder, f"platform/{platform.label}", {})
        for merchant in seed.merchants:
            self._add_merchant(merchant, platforms)
        for operator in seed.operators:
            key = SeedKey(operator.type, (), label=operator.label, secret=operator.secret)
            holder = Holder(KeyOwner.OPERATOR, roles=operator.roles)
            self._add_key(key, holder, operator.label)
        if seed.generate is not None:
            self._generate(seed.generate)
        self.marks[f"seed:{digest}"] = str(self._clock.real_ms())

    def add_operator(self, label: str) -> None:
        """The first operator; live mode takes signed requests only, so its key signs."""
        kind = KeyType.HMAC_SHA256 if self._livemode else KeyType.BEARER
        holder = Holder(KeyOwner.OPERATOR, roles=("operator",))
        self._add_key(SeedKey(kind, ()), holder, label)

    # --- merchants and their parts ------------------------------------------------------------

    def _add_merchant(self, seed: SeedMerchant, platforms: dict[str, str]) -> None:
        label = seed.label or seed.name
        identifier = seed.id or self._known(f"merchant/{label}")
        merchant = self._register.merchant(identifier) if identifier is not None else None
        if merchant is None:
            if seed.platform is not None and seed.platform not in platforms:
                raise SettingsError(f"seed: merchant {label}: no platform {seed.platform!r}")
            merchant = self._new_merchant(seed, platforms.get(seed.platform or ""))
            self._put(merchant)
            if seed.id is None:
                self.marks[f"label:merchant/{label}"] = merchant.id
        terminals: dict[str, Terminal] = {}
        for store in seed.stores:
            terminals |= self._add_store(store, merchant, label)
        self._add_keys(seed.keys, Holder(KeyOwner.MERCHANT, merchant.id), label, terminals)
        now = self._clock.now_ms()
        HomePlanter(self._mint, now, self._known, self._put_known).add(seed, merchant, label)

    def _new_merchant(self, seed: SeedMerchant, platform: str | None) -> Merchant:
        number, partition = place_merchant(self._register, dedicated=seed.dedicated)
        now = self._clock.now_ms()
        if seed.id is not None:
            partition = self._partition_in(seed.id)
        return Merchant(
            seed.id or self._mint.new("mch", now, partition),
            number,
            seed.name,
            seed.status,
            partition,
            platform,
            now,
            seed.metadata,
            seed.fee_plan,
        )

    def _partition_in(self, identifier: str) -> int:
        """Of a merchant id that the seed gives; one of its own must still be free."""
        _checked_id(identifier, "mch")
        try:
            partition = partition_of(identifier)
        except MalformedId as error:
            raise SettingsError(f"seed: {error}") from None
        if partition >= SHARED_PARTITIONS and self._register.partition_taken(partition):
            raise SettingsError(f"seed: {identifier}: partition {partition} has its merchant")
        return partition

    def _add_store(self, seed: SeedStore, merchant: Merchant, label: str) -> dict[str, Terminal]:
        """The store's terminals by name and by id."""
        name = f"{label}/{seed.name}"
        identifier = seed.id or self._known(f"store/{name}")
        store = self._register.store(identifier) if identifier is not None else None
        if store is not None and store.merchant != merchant.id:
            raise SettingsError(f"seed: {store.id} belongs to {store.merchant}")
        now = self._clock.now_ms()
        if store is None:
            store = Store(
                _checked_id(seed.id, "sto") or self._mint.new("sto", now, merchant.partition),
                merchant.id,
                seed.name,
                seed.closing_minute,
                seed.external_id,
                now,
            )
            self._put(store)
            if seed.id is None:
                self.marks[f"label:store/{name}"] = store.id
        terminals = {}
        for each in seed.terminals:
            known = each.id or self._known(f"terminal/{name}/{each.name}")
            terminal = self._register.terminal(known) if known is not None else None
            if terminal is not None and terminal.merchant != merchant.id:
                raise SettingsError(f"seed: {terminal.id} belongs to {terminal.merchant}")
            if terminal is None:
                made = _checked_id(each.id, "trm")
                made = made or self._mint.new("trm", now, merchant.partition)
                terminal = Terminal(made, merchant.id, store.id, each.name, now)
                self._put(terminal)
                if each.id is None:
                    self.marks[f"label:terminal/{name}/{each.name}"] = terminal.id
            terminals[each.name] = terminals[terminal.id] = terminal
        return terminals

    # --- keys ---------------------------------------------------------------------------------

    def _add_keys(
        self, keys: tuple[SeedKey, ...], holder: Holder, label: str, tills: dict[str, Terminal]
    ) -> None:
        for index, key in enumerate(keys):
            owner = holder
            if key.terminal is not None:
                if key.terminal not in tills:
                    raise SettingsError(f"seed: {label}: no terminal {key.terminal!r}")
                till = tills[key.terminal]
                owner = Holder(
                    KeyOwner.TERMINAL, holder.merchant, store=till.store, terminal=till.id
                )
            self._add_key(key, owner, f"{label}/{key.label or f'key-{index + 1}'}")

    def _add_key(self, seed: SeedKey, holder: Holder, label: str) -> None:
        identifier = seed.id or self._known(label)
        known = self._register.key(identifier) if identifier is not None else None
        if known is not None:
            if known.merchant != holder.merchant:
                raise SettingsError(f"seed: {known.id} belongs to {known.merchant}")
            return
        if seed.id is None and identifier is not None and self._store.has_record(identifier):
            return  # Revoked since: a seed does not bring a key back.
        now = self._clock.now_ms()
        partition = partition_of(holder.merchant) if holder.merchant else 0
        identifier = _checked_id(seed.id, "key") or self._mint.new("key", now, partition)
        if seed.secret is not None:
            key, secret = self._with_secret(seed, holder, identifier, now), None
        else:
            wish = NewKey(seed.type, seed.scopes, public_key=seed.public_key, name=seed.name)
            key, secret = create_key(
                wish,
                holder,
                identifier=identifier,
                entropy=self._entropy,
                livemode=self._livemode,
                now_ms=now,
            )
        self._put(key)
        if seed.id is None:
            self.marks[f"label:{label}"] = key.id
        if secret is not None:
            self._note(label, key, secret)

    def _with_secret(self, seed: SeedKey, holder: Holder, identifier: str, now: int) -> Key:
        """A key whose secret the seed file gives."""
        assert seed.secret is not None
        return Key(
            identifier,
            seed.type,
            holder.owner,
            holder.merchant,
            stored_secret(seed.type, seed.secret),
            seed.scopes,
            holder.platform,
            holder.terminal,
            holder.store,
            holder.roles,
            created=now,
            name=seed.name,
            livemode=self._livemode,
        )

    def _note(self, label: str, key: Key, secret: str, terminal: Terminal | None = None) -> None:
        self.made.append(
            MadeKey(
                label,
                key.owner,
                key.merchant,
                key.id,
                key.type,
                secret,
                key.store or (terminal.store if terminal is not None else None),
                key.terminal or (terminal.id if terminal is not None else None),
            )
        )

    # --- many at once -------------------------------------------------------------------------

    def _generate(self, wish: Generate) -> None:
        label = f"generate/{wish.seed}/{wish.merchants}"
        if self._known(label) is not None:
            return
        self.marks[f"label:{label}"] = "done"
        mint = IdMint(SeededEntropy(wish.seed))
        keyed = wish.merchants if wish.keyed is None else wish.keyed
        for index in range(wish.merchants):
            number, partition = place_merchant(self._register, dedicated=False)
            made = list(_generated(mint, wish, number, partition, index))
            for record in made:
                self._put(record)
            if index < keyed:
                terminal = next((one for one in made if isinstance(one, Terminal)), None)
                self._generate_key(mint, wish, made[0].id, terminal, index)

    def _generate_key(
        self, mint: IdMint, wish: Generate, merchant: str, terminal: Terminal | None, index: int
    ) -> None:
        identifier = mint.new("key", GENERATED_AT_MS, partition_of(merchant))
        # The ids can be repeated, the secret never: it comes from the system.
        key, secret = create_key(
            NewKey(wish.type, ("*",)),
            Holder(KeyOwner.MERCHANT, merchant),
            identifier=identifier,
            entropy=self._entropy,
            livemode=self._livemode,
            now_ms=GENERATED_AT_MS,
        )
        self._put(key)
        if secret is not None:
            self._note(f"generated/{index + 1}", key, secret, terminal)

    # --- shared -------------------------------------------------------------------------------

    def _known(self, label: str) -> str | None:
        return self.marks.get(f"label:{label}") or self._store.mark(f"label:{label}")

    def _put_known(self, record: Record, label: str) -> None:
        self._put(record)
        self.marks[f"label:{label}"] = record.id

    def _put(self, record: Record) -> None:
        if self._register.get(record.id) is not None:
            raise SettingsError(f"seed: {record.id} stands twice")
        self._register.apply(record)
        self.records.append(record)


def _generated(
    mint: IdMint, wish: Generate, number: int, partition: int, index: int
) -> Iterator[Record]:
    """A merchant, its stores, and their terminals."""
    at = GENERATED_AT_MS
    merchant = mint.new("mch", at, partition)
    name = f"Generated {index + 1}"
    yield Merchant(merchant, number, name, MerchantStatus.ACTIVE, partition, None, at)
    for _ in range(wish.stores):
        store = mint.new("sto", at, partition)
        yield Store(store, merchant, "Counter", created=at)
        for _ in range(wish.terminals):
            yield Terminal(mint.new("trm", at, partition), merchant, store, "Till", at)


def _checked_id(identifier: str | None, prefix: str) -> str | None:
    """The same id. Raise SettingsError when it is not one of that kind."""
    if identifier is not None and not (
        identifier.startswith(prefix + "_") and _ID.fullmatch(identifier)
    ):
        raise SettingsError(f"seed: {identifier[:40]!r} is not a {prefix}_ id")
    return identifier
