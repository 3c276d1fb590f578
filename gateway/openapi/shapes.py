"""Answers as structs, where the code that renders them has none: what a client may rely on.

Nothing is rendered with these. An acceptance test holds real answers against the schemas made from
them, closed, so that a field that is missing here (or there) is seen.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from payments.clearing.terms import PayoutMode
from payments.reference import (
    KeyOwner,
    KeyType,
    MerchantStatus,
    PlateStatus,
    ReceiverStatus,
    SplitRuleStatus,
)

Metadata = dict[str, str]


class PayoutView(Struct):
    """When and how a merchant's money goes to its bank account."""

    cycle: str
    minimum: Annotated[int, Meta(ge=0)]
    mode: str
    hold: str
    onboarded_on: int | None
    trading_since: int | None


class MerchantView(Struct):
    """A seller."""

    id: str
    object: Literal["merchant"]
    created: str
    livemode: bool
    metadata: Metadata
    name: str
    status: MerchantStatus
    platform: str | None
    dedicated: bool
    fee_plan: str
    payout: PayoutView


class StoreView(Struct):
    """A place where a merchant sells."""

    id: str
    object: Literal["store"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str
    name: str
    closing_minute: int
    external_id: str | None


class PlateView(Struct):
    """A static code of a store (码牌)."""

    id: str
    object: Literal["qr_plate"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str
    store: str
    label: str
    status: PlateStatus
    url: str
    payload: str
    image_svg_url: str


class ReceiverAccountView(Struct):
    """Where a channel that divides money itself pays a receiver."""

    channel: str
    type: str
    account: str
    relation: str


class ReceiverPayoutView(Struct):
    """A receiver's own payout terms; null where the deployment's count."""

    mode: PayoutMode | None
    minimum: int | None


class ReceiverView(Struct):
    """Somebody who gets shares of payments."""

    id: str
    object: Literal["receiver"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str | None
    platform: str | None
    name: str
    status: ReceiverStatus
    channel_accounts: list[ReceiverAccountView]
    payout: ReceiverPayoutView


class MatchView(Struct):
    """Which payments a rule is for; null fits every one."""

    store: str | None
    tag: str | None
    way: str | None


class TierView(Struct):
    """A step of a tiered part: a ratio of the whole base, or an amount."""

    up_to: int | None
    ratio_ppm: int | None
    amount: int | None


class PartView(Struct):
    """What a receiver gets by a rule: one of the four."""

    receiver: str
    amount: int | None
    ratio_ppm: int | None
    tiers: tuple[TierView, ...] | None
    remainder: bool


class SplitRuleView(Struct):
    """How payments are split that do not say so themselves."""

    id: str
    object: Literal["split_rule"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str
    match: MatchView
    parts: tuple[PartView, ...]
    split_base: Literal["net", "gross"]
    split_fee: Literal["merchant", "pro_rata"]
    effective_from: int | None
    effective_to: int | None
    status: SplitRuleStatus


class BalanceView(Struct):
    """What a merchant or a receiver has in one currency, in minor units."""

    object: Literal["balance"]
    merchant: str | None
    receiver: str | None
    currency: str
    pending: Annotated[int, Meta(ge=0)]
    available: Annotated[int, Meta(ge=0)]
    frozen: Annotated[int, Meta(ge=0)]
    in_transit: Annotated[int, Meta(ge=0)]
    debt: Annotated[int, Meta(ge=0)]
    livemode: bool


class TerminalView(Struct):
    """A device in a store."""

    id: str
    object: Literal["terminal"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str
    store: str
    name: str


class KeyView(Struct):
    """A credential, without its secret."""

    id: str
    object: Literal["key"]
    created: str
    livemode: bool
    metadata: Metadata
    type: KeyType
    owner: KeyOwner
    merchant: str | None
    platform: str | None
    store: str | None
    terminal: str | None
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    name: str
    person: str
    not_before: str | None
    not_after: str | None
    status: Literal["active", "ending", "expired", "revoked"]


class CreatedKeyView(KeyView):
    """A new key with its secret. Asked again with the same Idempotency-Key: without it."""

    secret: str | UnsetType | None = UNSET


class RotatedKeyView(CreatedKeyView):
    """The key that takes over, and the one it replaces."""

    replaces: KeyView | UnsetType = UNSET


class TestClockView(Struct):
    """The deployment's test clock: business time, which moves forward only."""

    __test__ = False  # A name that pytest would take for a class of tests.

    id: str
    object: Literal["test_clock"]
    created: str
    livemode: bool
    metadata: Metadata
    now: str
    status: Literal["ready", "advancing"]


class BookView(Struct):
    """One order as the channel itself keeps it. Amounts in minor units."""

    out_trade_no: str
    amount_minor: int
    refunded_minor: int
    state: Literal["unpaid", "paid", "closed", "reversed"]
    charges: int


class PostingView(Struct):
    """One leg of an entry. The legs of an entry sum to zero."""

    account: str
    amount: int


class TimelineLine(Struct):
    """One thing that happened. Which of the optional fields are there depends on `kind`."""

    at: str
    kind: str
    detail: str | UnsetType = UNSET
    amount: int | UnsetType = UNSET
    way: str | UnsetType = UNSET
    decision: str | UnsetType = UNSET
    rules: tuple[str, ...] | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    candidates: tuple[str, ...] | UnsetType = UNSET
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    postings: tuple[PostingView, ...] | UnsetType = UNSET
    event: str | UnsetType = UNSET
    endpoint: str | UnsetType = UNSET
    attempt: int | UnsetType = UNSET
    outcome: str | UnsetType = UNSET
    status_code: int | UnsetType | None = UNSET
    duration_ms: int | UnsetType = UNSET
    trouble: str | UnsetType | None = UNSET


class TimelineView(Struct):
    """Everything that happened to a payment and its refunds, oldest first, codes masked."""

    object: Literal["timeline"]
    payment: str
    data: tuple[TimelineLine, ...]


class ShardView(Struct):
    """What one shard says of itself."""

    name: str
    ready: bool
    live: Annotated[int, Meta(ge=0)]
    queued: Annotated[int, Meta(ge=0)]
    lanes: Annotated[int, Meta(ge=0)]
    lanes_up: Annotated[int, Meta(ge=0)]
    epoch: Annotated[int, Meta(ge=0)]


class StatusView(Struct):
    """How the gateway is, as one of its front doors sees it."""

    object: Literal["status"]
    ready: bool
    livemode: bool
    front_door: str
    modules: tuple[str, ...]
    checks: dict[str, bool]
    shards: tuple[ShardView, ...]


class SumsView(Struct):
    """Debits, credits and their difference in minor units; the difference is always 0."""

    debits: int
    credits: int
    residual: Literal[0]


class TrialBalanceView(Struct):
    """The books over all shards, by currency, and how much was ever written."""

    object: Literal["trial_balance"]
    currencies: dict[str, SumsView]
    payments: Annotated[int, Meta(ge=0)]
    refunds: Annotated[int, Meta(ge=0)]
    entries: Annotated[int, Meta(ge=0)]
    events: Annotated[int, Meta(ge=0)]
