"""The reference data in memory: every record by its id, small enough for 100 000 merchants.

The directory keeps one with everything in it; front doors and shards keep one without revoked
keys. Records are frozen, so equal texts and empty dicts are shared between them.
"""

from collections.abc import Iterable, Iterator, Sized
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from payments.clearing.runs import closes_late
from payments.ids import PARTITIONS, SHARED_PARTITIONS
from payments.reference import (
    Key,
    KeyType,
    Merchant,
    Plate,
    Receiver,
    Record,
    SettlementAccount,
    SplitRule,
    SplitRuleStatus,
    Store,
    Terminal,
)
from payments.settlement.accounts import BankAccount

MERCHANTS_MAX: Final = 10_000_000
"""Largest dense number: a snapshot with a wild number must not make a list of billions."""

SHARED_TEXTS_MAX: Final = 4_096
"""How many different scopes, names and the like are kept once; further ones are kept each."""

_NOTHING: Final[dict[str, str]] = {}
Value = TypeVar("Value")


def is_revoked(key: Key) -> bool:
    """A revoked key has an empty window: no clock, however wrong, finds it valid again."""
    return key.not_after != 0 and key.not_before >= key.not_after


class Register:
    """Look-ups over records; `apply` replaces a record by its newer self."""

    __slots__ = (
        "_accounts",
        "_accounts_of",
        "_bearers",
        "_dedicated",
        "_keep_revoked",
        "_keys",
        "_late",
        "_members",
        "_merchants",
        "_numbers",
        "_plates",
        "_platforms",
        "_receivers",
        "_rules",
        "_rules_of",
        "_shared",
        "_stores",
        "_terminals",
    )

    def __init__(self, *, keep_revoked: bool = False, members: bool = False) -> None:
        """`members`: also keep which stores, terminals and keys a merchant has (for lists)."""
        self._merchants: dict[str, Merchant] = {}
        self._numbers: list[Merchant | None] = [None]
        self._stores: dict[str, Store] = {}
        self._late: dict[str, dict[str, int]] = {}
        """merchant -> store -> closing minute, of stores whose day goes on after midnight: few."""
        self._terminals: dict[str, Terminal] = {}
        self._plates: dict[str, Plate] = {}
        self._receivers: dict[str, Receiver] = {}
        self._accounts: dict[str, SettlementAccount] = {}
        self._accounts_of: dict[str, tuple[BankAccount, ...]] = {}
        self._rules: dict[str, SplitRule] = {}
        self._rules_of: dict[str, tuple[SplitRule, ...]] = {}
        self._keys: dict[str, Key] = {}
        self._bearers: dict[bytes, Key] = {}
        self._platforms: dict[str, dict[str, None]] = {}
        self._dedicated: dict[int, str] = {}
        self._members: dict[str, list[str]] | None = {} if members else None
        self._keep_revoked = keep_revoked
        self._shared: dict[object, Any] = {}

    # --- look-ups -----------------------------------------------------------------------------

    def merchant(self, identifier: str) -> Merchant | None:
        return self._merchants.get(identifier)

    def merchant_by_number(self, number: int) -> Merchant | None:
        return self._numbers[number] if 0 < number < len(self._numbers) else None

    def store(self, identifier: str) -> Store | None:
        return self._stores.get(identifier)

    def terminal(self, identifier: str) -> Terminal | None:
        return self._terminals.get(identifier)

    def late_closings(self, merchant: str | None = None) -> frozenset[int]:
        """Minutes after midnight at which stores' days end: a merchant's, or everybody's."""
        if merchant is not None:
            return frozenset(self._late.get(merchant, {}).values())
        return frozenset(minute for late in self._late.values() for minute in late.values())

    def plate(self, identifier: str) -> Plate | None:
        return self._plates.get(identifier)

    def receiver(self, identifier: str) -> Receiver | None:
        return self._receivers.get(identifier)

    def split_rules(self, merchant: str) -> tuple[SplitRule, ...]:
        """The merchant's rules that are not disabled, in no order that matters."""
        return self._rules_of.get(merchant, ())

    def accounts_of(self, party: str) -> tuple[BankAccount, ...]:
        """Every bank account that a merchant or receiver ever registered."""
        return self._accounts_of.get(party, ())

    def accounts(self) -> Iterable[SettlementAccount]:
        return self._accounts.values()

    def key(self, identifier: str) -> Key | None:
        return self._keys.get(identifier)

    def key_of_bearer(self, digest: bytes) -> Key | None:
        """The key whose whole bearer secret has this SHA-256."""
        return self._bearers.get(digest)

    def get(self, identifier: str) -> Record | None:
        """Any record by its id."""
        return (
            self._merchants.get(identifier)
            or self._stores.get(identifier)
            or self._terminals.get(identifier)
            or self._keys.get(identifier)
            or self._plates.get(identifier)
            or self._receivers.get(identifier)
            or self._rules.get(identifier)
            or self._accounts.get(identifier)
        )

    def merchants_of_platform(self, platform: str) -> list[Merchant]:
        """In the order of their numbers."""
        found = [self._merchants[each] for each in self._platforms.get(platform, ())]
        return sorted(found, key=_number)

    def has_platform(self, platform: str) -> bool:
        """Whether a merchant or a key names this platform."""
        return platform in self._platforms

    def merchants_newest_first(self) -> Iterator[Merchant]:
        return (merchant for merchant in reversed(self._numbers) if merchant is not None)

    def members_of(self, owner: str) -> Iterable[str]:
        """Ids of all that belongs to a merchant; of a platform: its keys and receivers."""
        assert self._members is not None
        return self._members.get(owner, ())

    @property
    def last_number(self) -> int:
        """The highest dense number in use; 0 for none."""
        return len(self._numbers) - 1

    def partition_taken(self, partition: int) -> bool:
        """Whether a dedicated partition has its merchant already."""
        return partition in self._dedicated

    def next_dedicated(self) -> int | None:
        """The lowest partition that may be given to one merchant alone; None when all are."""
        first = max(self._dedicated, default=SHARED_PARTITIONS - 1) + 1
        return first if first < PARTITIONS else None

    def __len__(self) -> int:
        kinds: tuple[Sized, ...] = (
            self._merchants,
            self._stores,
            self._terminals,
            self._keys,
            self._plates,
            self._receivers,
            self._rules,
            self._accounts,
        )
        return sum(map(len, kinds))

    # --- changes ------------------------------------------------------------------------------

    def apply(self, record: Record) -> None:
        """Fold one record in. Never refuses: it already happened."""
        match record:
            case Key():
                self._apply_key(record)
            case Terminal():
                self._note_member(record.merchant, record.id, record.id in self._terminals)
                self._terminals[record.id] = self._slim_terminal(record)
            case Plate():
                self._note_member(record.merchant, record.id, record.id in self._plates)
                self._plates[record.id] = self._slim_plate(record)
            case Receiver():
                self._apply_receiver(record)
            case SplitRule():
                self._apply_rule(record)
            case SettlementAccount():
                self._apply_account(record)
            case Store():
                self._note_member(record.merchant, record.id, record.id in self._stores)
                self._stores[record.id] = self._slim_store(record)
                self._note_closing(record)
            case Merchant():
                self._apply_merchant(record)

    def _apply_merchant(self, merchant: Merchant) -> None:
        assert 0 < merchant.number <= MERCHANTS_MAX, merchant
        missing = merchant.number + 1 - len(self._numbers)
        if missing > 0:
            self._numbers.extend([None] * missing)
        before = self._merchants.get(merchant.id)
        slim = replace(
            merchant,
            metadata=merchant.metadata or _NOTHING,
            fee_plan=self._share(merchant.fee_plan),
            platform=self._share(merchant.platform),
            payout=self._share(merchant.payout),
        )
        self._merchants[merchant.id] = slim
        self._numbers[merchant.number] = slim
        if merchant.partition >= SHARED_PARTITIONS:
            self._dedicated[merchant.partition] = merchant.id
        if before is not None and before.platform is not None:
            self._platforms[before.platform].pop(merchant.id, None)
        if merchant.platform is not None:
            self._platforms.setdefault(merchant.platform, {})[merchant.id] = None

    def _apply_key(self, key: Key) -> None:
        before = self._keys.get(key.id)
        if before is not None and before.type is KeyType.BEARER:
            self._bearers.pop(before.secret, None)
        if key.platform is not None:
            self._platforms.setdefault(key.platform, {})
        revoked = is_revoked(key)
        if revoked and not self._keep_revoked:
            self._keys.pop(key.id, None)
            return
        slim = replace(
            key,
            merchant=self._text_of(key.merchant),
            store=self._store_text(key.store),
            terminal=self._terminal_text(key.terminal),
            platform=self._share(key.platform),
            scopes=self._share(key.scopes),
            roles=self._share(key.roles),
            name=self._share(key.name),
            created=self._instant_of(key.merchant, key.created),
        )
        self._note_member(key.merchant or key.platform or "", key.id, before is not None)
        self._keys[key.id] = slim
        if slim.type is KeyType.BEARER and not revoked:
            self._bearers[slim.secret] = slim

    def _apply_receiver(self, receiver: Receiver) -> None:
        owner = receiver.merchant or receiver.platform or ""
        self._note_member(owner, receiver.id, receiver.id in self._receivers)
        self._receivers[receiver.id] = replace(
            receiver,
            merchant=None if receiver.merchant is None else self._text_of(receiver.merchant),
            platform=self._share(receiver.platform),
            metadata=receiver.metadata or _NOTHING,
        )

    def _apply_rule(self, rule: SplitRule) -> None:
        """Payments look at the rules in force only, so those are kept by merchant."""
        merchant = self._text_of(rule.merchant)
        self._note_member(merchant, rule.id, rule.id in self._rules)
        rule = replace(rule, merchant=merchant, metadata=rule.metadata or _NOTHING)
        self._rules[rule.id] = rule
        others = [each for each in self.split_rules(merchant) if each.id != rule.id]
        if rule.status is SplitRuleStatus.ACTIVE:
            others.append(rule)
        self._rules_of[merchant] = tuple(others)

    def _apply_account(self, record: SettlementAccount) -> None:
        """Payouts look at a party's accounts, so those are kept by party."""
        owner, party = record.merchant or record.platform or "", record.account.party
        self._note_member(owner, record.id, record.id in self._accounts)
        self._accounts[record.id] = replace(record, metadata=record.metadata or _NOTHING)
        others = [each for each in self.accounts_of(party) if each.id != record.id]
        self._accounts_of[party] = (*others, record.account)

    def _note_closing(self, store: Store) -> None:
        if closes_late(store.closing_minute):
            self._late.setdefault(store.merchant, {})[store.id] = store.closing_minute
        elif store.merchant in self._late:
            self._late[store.merchant].pop(store.id, None)

    def _slim_store(self, store: Store) -> Store:
        return replace(
            store,
            merchant=self._text_of(store.merchant),
            name=self._share(store.name),
            metadata=store.metadata or _NOTHING,
            created=self._instant_of(store.merchant, store.created),
        )

    def _slim_terminal(self, terminal: Terminal) -> Terminal:
        return replace(
            terminal,
            merchant=self._text_of(terminal.merchant),
            store=self._store_text(terminal.store) or terminal.store,
            name=self._share(terminal.name),
            metadata=terminal.metadata or _NOTHING,
            created=self._instant_of(terminal.merchant, terminal.created),
        )

    def _slim_plate(self, plate: Plate) -> Plate:
        return replace(
            plate,
            merchant=self._text_of(plate.merchant),
            store=self._store_text(plate.store) or plate.store,
            label=self._share(plate.label),
            metadata=plate.metadata or _NOTHING,
            created=self._instant_of(plate.merchant, plate.created),
        )

    def _note_member(self, owner: str, identifier: str, known: bool) -> None:
        if self._members is not None and not known:
            self._members.setdefault(self._text_of(owner), []).append(identifier)

    # --- one copy of equal values -------------------------------------------------------------

    def _text_of(self, merchant_id: str) -> str:
        known = self._merchants.get(merchant_id)
        return known.id if known is not None else merchant_id

    def _store_text(self, store_id: str | None) -> str | None:
        known = self._stores.get(store_id) if store_id is not None else None
        return known.id if known is not None else store_id

    def _terminal_text(self, terminal_id: str | None) -> str | None:
        known = self._terminals.get(terminal_id) if terminal_id is not None else None
        return known.id if known is not None else terminal_id

    def _share(self, value: Value) -> Value:
        """The first equal value that was seen (texts, tuples of texts, None)."""
        if len(self._shared) >= SHARED_TEXTS_MAX:
            known: Value = self._shared.get(value, value)
            return known
        first: Value = self._shared.setdefault(value, value)
        return first

    def _instant_of(self, merchant_id: str, created: int) -> int:
        """Bulk seeds make a merchant and its parts in one moment: one number for all."""
        known = self._merchants.get(merchant_id)
        return known.created if known is not None and known.created == created else created


def _number(merchant: Merchant) -> int:
    return merchant.number
