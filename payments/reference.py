"""Reference data: who may do what. Written by the DirectoryActor alone; others hold snapshots.

Every record is frozen; a change replaces it. `number` is the directory's dense number of a
merchant, used where a row must be small.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.calendar import business_date
from payments.clearing.terms import Keeping, PayoutMode, Standing, Terms, cycle_of
from payments.settlement.accounts import BankAccount
from payments.splitting.terms import Base, FeeBearer, Part


class MerchantStatus(StrEnum):
    APPLICATION = "application"
    IN_REVIEW = "in_review"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Hold(StrEnum):
    """Who keeps payouts back: PLAIN gives way to the limit of days, REVIEW does not."""

    NONE = "none"
    PLAIN = "plain"
    REVIEW = "review"


class PayoutTerms(Struct, frozen=True, array_like=True, gc=False):
    """How a merchant's money goes to its bank account. `minimum`: minor units.

    `onboarded_on`, `trading_since`: dates yyyymmdd, as `payments/clearing/terms.py` has them. A
    merchant without the first is as old as its record; without the second it does not trade yet.
    """

    cycle: str = "T+1"
    minimum: int = 0
    mode: PayoutMode = PayoutMode.AUTO
    hold: Hold = Hold.NONE
    onboarded_on: int | None = None
    trading_since: int | None = None

    @property
    def terms(self) -> Terms:
        return Terms(cycle_of(self.cycle), self.minimum, self.mode)

    @property
    def keeping(self) -> Keeping:
        """What keeps money back by these terms; that an account is blocked is known elsewhere."""
        return Keeping(in_review=self.hold is Hold.REVIEW, is_held=self.hold is Hold.PLAIN)


DEFAULT_PAYOUT: Final = PayoutTerms()


class Merchant(Struct, frozen=True, array_like=True, gc=False, tag="merchant", tag_field="object"):
    """A seller. `partition` is also in its id. `platform`: the service provider acting for it."""

    id: str
    number: int
    name: str
    status: MerchantStatus
    partition: int
    platform: str | None = None
    created: int = 0
    metadata: dict[str, str] = {}
    fee_plan: str = "default"
    payout: PayoutTerms = DEFAULT_PAYOUT

    @property
    def standing(self) -> Standing:
        """How long it is on board and trades."""
        payout = self.payout
        onboarded_on = payout.onboarded_on or business_date(self.created, 0)
        return Standing(onboarded_on, payout.trading_since)


class Store(Struct, frozen=True, array_like=True, gc=False, tag="store", tag_field="object"):
    """A place. `closing_minute`: minutes after local midnight at which its business day ends."""

    id: str
    merchant: str
    name: str
    closing_minute: int = 0
    external_id: str | None = None
    created: int = 0
    metadata: dict[str, str] = {}


class Terminal(Struct, frozen=True, array_like=True, gc=False, tag="terminal", tag_field="object"):
    """A device in a store."""

    id: str
    merchant: str
    store: str
    name: str
    created: int = 0
    metadata: dict[str, str] = {}


class PlateStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class Plate(Struct, frozen=True, array_like=True, gc=False, tag="qr_plate", tag_field="object"):
    """A code that stands on a counter (码牌): whoever scans it keys the amount in."""

    id: str
    merchant: str
    store: str
    label: str
    status: PlateStatus = PlateStatus.ACTIVE
    created: int = 0
    metadata: dict[str, str] = {}


class ReceiverStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class ReceiverAccount(Struct, frozen=True, array_like=True, gc=False):
    """Where a channel pays a receiver straight: in the channel's own words (docs/SPLITTING.md).

    `relation`: to the merchant. `account` may be a person's id at the channel: personal data.
    """

    channel: str
    type: str
    account: str
    relation: str

    def __repr__(self) -> str:
        return f"ReceiverAccount({self.channel}, {self.type})"


class ReceiverPayout(Struct, frozen=True, array_like=True, gc=False):
    """What was agreed with one receiver; None where the deployment's terms count. `minimum`: minor
    units.
    """

    mode: PayoutMode | None = None
    minimum: int | None = None


DEPLOYMENTS: Final = ReceiverPayout()


class Receiver(Struct, frozen=True, array_like=True, gc=False, tag="receiver", tag_field="object"):
    """Somebody who gets shares of payments.

    It belongs to one merchant, or (`merchant` None) to a platform: then payments of all its
    merchants can be split with it.
    """

    id: str
    merchant: str | None
    platform: str | None
    name: str
    status: ReceiverStatus = ReceiverStatus.ACTIVE
    created: int = 0
    metadata: dict[str, str] = {}
    channel_accounts: tuple[ReceiverAccount, ...] = ()
    payout: ReceiverPayout = DEPLOYMENTS


class SplitRuleStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class SplitRule(
    Struct, frozen=True, array_like=True, gc=False, tag="split_rule", tag_field="object"
):
    """How a merchant's payments are split where they do not say so themselves.

    `store`, `tag`, `way`: of which payments, None for any. `effective_from`, `effective_to`:
    business dates yyyymmdd, both included.
    """

    id: str
    merchant: str
    parts: tuple[Part, ...]
    base: Base = Base.NET
    fee: FeeBearer = FeeBearer.MERCHANT
    store: str | None = None
    tag: str | None = None
    way: str | None = None
    effective_from: int | None = None
    effective_to: int | None = None
    status: SplitRuleStatus = SplitRuleStatus.ACTIVE
    created: int = 0
    metadata: dict[str, str] = {}


class AccountStatus(StrEnum):
    REGISTERED = "registered"
    CONFIRMED = "confirmed"


class SettlementAccount(
    Struct, frozen=True, array_like=True, gc=False, tag="settlement_account", tag_field="object"
):
    """A bank account to which a party's money may go, once somebody else confirmed it.

    `merchant`, `platform`: whose object it is, as with receivers. `account.party`: whose money, the
    merchant or a receiver. `counts_from`: business ms from which money goes there.
    """

    id: str
    merchant: str | None
    platform: str | None
    account: BankAccount
    status: AccountStatus = AccountStatus.REGISTERED
    counts_from: int | None = None
    created: int = 0
    metadata: dict[str, str] = {}


class KeyType(StrEnum):
    BEARER = "bearer"
    HMAC_SHA256 = "hmac-sha256"
    ED25519 = "ed25519"


class KeyOwner(StrEnum):
    """Whose key it is: decides what it can see."""

    MERCHANT = "merchant"
    PLATFORM = "platform"
    TERMINAL = "terminal"
    OPERATOR = "operator"


class Key(Struct, frozen=True, array_like=True, gc=False, tag="key", tag_field="object"):
    """A credential.

    `secret` is, by type: SHA-256 of the whole bearer secret; the HMAC key itself; the raw 32-byte
    Ed25519 public key. `merchant` is empty for platform and operator keys. Instants: real-time
    milliseconds; `not_after` 0 means without end.
    """

    id: str
    type: KeyType
    owner: KeyOwner
    merchant: str
    secret: bytes
    scopes: tuple[str, ...]
    platform: str | None = None
    terminal: str | None = None
    store: str | None = None
    roles: tuple[str, ...] = ()
    not_before: int = 0
    not_after: int = 0
    created: int = 0
    name: str = ""
    livemode: bool = False
    line: str = ""
    """The first key's id, of a key that came by rotation; empty: it is the first one."""

    def __repr__(self) -> str:
        return f"Key({self.id}, {self.type}, {self.owner})"

    @property
    def person(self) -> str:
        """Who acts: the id of the first key of the line. A rotated key is the same person's."""
        return self.line or self.id


Record = Merchant | Store | Terminal | Key | Plate | Receiver | SplitRule | SettlementAccount

SCOPE_ALL: Final = "*"
SCOPES: Final = (
    "payments:write",
    "payments:read",
    "refunds:write",
    "merchants:write",
    "merchants:read",
    "keys:write",
    "ledger:read",
    "payouts:write",
    "payouts:read",
    "webhooks:write",
    "webhooks:read",
    "test_helpers",
    SCOPE_ALL,
)
