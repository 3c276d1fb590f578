"""Receivers and split rules decided: what is asked for, what a record of it is, what is refused.

Everything here decides and changes nothing. A part of a rule that cannot be is named by a JSON
pointer (`/parts/1/receiver`), in the order in which a reader meets it.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.directory import Id, Metadata, Name, refuse_closed
from payments.errors import InvalidField, QuotaExceeded
from payments.fees import PPM
from payments.money import AMOUNT_MAX
from payments.payout_terms import ReceiverPayoutWish, receiver_payout
from payments.reference import (
    Merchant,
    Receiver,
    ReceiverAccount,
    ReceiverStatus,
    SplitRule,
    SplitRuleStatus,
    Store,
)
from payments.register import Register
from payments.splitting.rules import may_receive
from payments.splitting.terms import RECEIVERS_MAX, TIERS_MAX, Base, FeeBearer, Part, Tier

OWNER_RECEIVERS_MAX: Final = 5_000
"""Receivers of one merchant or platform."""

OWNER_RULES_MAX: Final = 1_000
"""Split rules of one merchant, disabled ones included."""

Amount = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Ratio = Annotated[int, Meta(ge=1, le=PPM)]
Day = Annotated[int, Meta(ge=19_700_101, le=99_991_231)]


class ReceiverAccountWish(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a channel that divides money itself pays a receiver; the words are WeChat Pay's.

    `account`: a merchant's number or a person's openid. `relation`: to the merchant.
    """

    type: Literal["MERCHANT_ID", "PERSONAL_OPENID"]
    account: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[0-9A-Za-z_-]+$")]
    relation: Literal[
        "SERVICE_PROVIDER",
        "STORE",
        "STAFF",
        "STORE_OWNER",
        "PARTNER",
        "HEADQUARTER",
        "BRAND",
        "DISTRIBUTOR",
        "USER",
        "SUPPLIER",
    ]
    channel: Literal["wechat"] = "wechat"


CHANNEL_ACCOUNTS_MAX: Final = 1
"""Accounts of one receiver: one for each channel that can divide money."""

Accounts = Annotated[tuple[ReceiverAccountWish, ...], Meta(max_length=CHANNEL_ACCOUNTS_MAX)]


class NewReceiver(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/receivers. `merchant`: whose it is; without one, the platform's that asks."""

    name: Name
    merchant: Id | None = None
    metadata: Metadata = {}
    channel_accounts: Accounts = ()
    payout: ReceiverPayoutWish | None = None


class ReceiverChange(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/receivers/{id}: what is given is changed; a disabled one gets no new shares."""

    name: Name | None = None
    status: ReceiverStatus | None = None
    metadata: Metadata | None = None
    channel_accounts: Accounts | None = None
    payout: ReceiverPayoutWish | None = None


class RuleMatch(Struct, frozen=True, forbid_unknown_fields=True):
    """Which payments: what is left out fits every one. `tag`: of the payment's metadata `tag`."""

    store: Id | None = None
    tag: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    way: Literal["barcode", "qr", "cashier", "jsapi", "app", "h5"] | None = None


class RuleTier(Struct, frozen=True, forbid_unknown_fields=True):
    """For a base of at most `up_to`: a ratio of all of it, or an amount; 0 is nothing."""

    up_to: Amount | None = None
    ratio_ppm: Annotated[int, Meta(ge=0, le=PPM)] | None = None
    amount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None


class RulePart(Struct, frozen=True, forbid_unknown_fields=True):
    """What a receiver gets: one of `amount`, `ratio_ppm`, `tiers` and `remainder`."""

    receiver: Id
    amount: Amount | None = None
    ratio_ppm: Ratio | None = None
    tiers: Annotated[tuple[RuleTier, ...], Meta(max_length=TIERS_MAX)] | None = None
    remainder: bool = False


class NewSplitRule(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/split_rules. `effective_from`, `effective_to`: business dates, both included."""

    parts: Annotated[tuple[RulePart, ...], Meta(min_length=1, max_length=RECEIVERS_MAX)]
    match: RuleMatch = RuleMatch()
    split_base: Literal["net", "gross"] = "net"
    split_fee: Literal["merchant", "pro_rata"] = "merchant"
    effective_from: Day | None = None
    effective_to: Day | None = None
    metadata: Metadata = {}


class SplitRuleChange(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/split_rules/{id}: take it out of use or back into it. Terms never change."""

    status: SplitRuleStatus | None = None
    metadata: Metadata | None = None


# --- receivers ---------------------------------------------------------------------------------


def create_receiver(
    wish: NewReceiver,
    *,
    merchant: Merchant | None,
    platform: str | None,
    identifier: str,
    now_ms: int,
) -> Receiver:
    """A new receiver of a merchant, or of a platform. Conflict for a closed merchant."""
    if merchant is not None:
        refuse_closed(merchant)
    return Receiver(
        identifier,
        None if merchant is None else merchant.id,
        platform if merchant is None else None,
        wish.name,
        created=now_ms,
        metadata=dict(wish.metadata),
        channel_accounts=_accounts(wish.channel_accounts),
        payout=receiver_payout(wish.payout or ReceiverPayoutWish()),
    )


def _accounts(wishes: tuple[ReceiverAccountWish, ...]) -> tuple[ReceiverAccount, ...]:
    return tuple(
        ReceiverAccount(each.channel, each.type, each.account, each.relation) for each in wishes
    )


def change_receiver(receiver: Receiver, wish: ReceiverChange) -> Receiver:
    """The receiver after a change."""
    return replace(
        receiver,
        name=wish.name if wish.name is not None else receiver.name,
        status=wish.status if wish.status is not None else receiver.status,
        metadata=dict(wish.metadata) if wish.metadata is not None else receiver.metadata,
        channel_accounts=_accounts(wish.channel_accounts)
        if wish.channel_accounts is not None
        else receiver.channel_accounts,
        payout=receiver_payout(wish.payout) if wish.payout is not None else receiver.payout,
    )


def refuse_full(register: Register, owner: str, kind: str, most: int) -> None:
    """QuotaExceeded when an owner has `most` objects whose ids begin with `kind`."""
    if sum(1 for each in register.members_of(owner) if each.startswith(kind)) >= most:
        raise QuotaExceeded(f"{owner} has {most} of these: no more")


# --- rules ---------------------------------------------------------------------------------------


def create_rule(
    wish: NewSplitRule,
    *,
    merchant: Merchant,
    store: Store | None,
    receiver: Callable[[str], Receiver | None],
    identifier: str,
    now_ms: int,
) -> SplitRule:
    """A new rule. `store`: that of `match.store`; `receiver`: finds one by its id."""
    refuse_closed(merchant)
    match = wish.match
    if match.store is not None and (store is None or store.merchant != merchant.id):
        raise InvalidField("no such store of this merchant", param="/match/store")
    _refuse_dates(wish)
    parts = tuple(_part(at, part) for at, part in enumerate(wish.parts))
    refuse_parts("parts", parts, merchant, receiver)
    if sum(part.remainder for part in parts) > 1:
        raise InvalidField("the remainder goes to one receiver", param="/parts")
    return SplitRule(
        identifier,
        merchant.id,
        parts,
        Base(wish.split_base),
        FeeBearer(wish.split_fee),
        match.store,
        match.tag,
        match.way,
        wish.effective_from,
        wish.effective_to,
        created=now_ms,
        metadata=dict(wish.metadata),
    )


def change_rule(rule: SplitRule, wish: SplitRuleChange) -> SplitRule:
    """The rule after a change: payments that were made by it keep what they were made with."""
    return replace(
        rule,
        status=wish.status if wish.status is not None else rule.status,
        metadata=dict(wish.metadata) if wish.metadata is not None else rule.metadata,
    )


def refuse_parts(
    field: str,
    parts: tuple[Part, ...],
    merchant: Merchant,
    receiver: Callable[[str], Receiver | None],
) -> None:
    """InvalidField for a receiver that is none or comes twice, and for more than all of it.

    `field`: the member of the request that holds the parts.
    """
    seen: set[str] = set()
    for at, part in enumerate(parts):
        if part.receiver in seen:
            raise InvalidField("this receiver comes twice", param=f"/{field}/{at}/receiver")
        seen.add(part.receiver)
        if not may_receive(receiver(part.receiver), merchant):
            raise InvalidField(
                "no such receiver of this merchant, or it is disabled",
                param=f"/{field}/{at}/receiver",
            )
    if sum(map(_ratio_max, parts)) > PPM:
        raise InvalidField("the ratios are more than all of it", param=f"/{field}")


def _ratio_max(part: Part) -> int:
    return max((tier.ratio_ppm for tier in part.tiers), default=part.ratio_ppm or 0)


def _refuse_dates(wish: NewSplitRule) -> None:
    for name in ("effective_from", "effective_to"):
        day: int | None = getattr(wish, name)
        if day is not None and not _is_date(day):
            raise InvalidField("not a date yyyymmdd", param=f"/{name}")
    if wish.effective_from and wish.effective_to and wish.effective_to < wish.effective_from:
        raise InvalidField("it would end before it begins", param="/effective_to")


def _is_date(day: int) -> bool:
    try:
        date(day // 10_000, day // 100 % 100, day % 100)
    except ValueError:
        return False
    return True


def _part(at: int, wish: RulePart) -> Part:
    given = (wish.amount is not None, wish.ratio_ppm is not None, bool(wish.tiers), wish.remainder)
    if sum(given) != 1:
        raise InvalidField(
            "say one of amount, ratio_ppm, tiers and remainder", param=f"/parts/{at}"
        )
    tiers = _tiers(at, wish.tiers or ())
    return Part(wish.receiver, wish.amount, wish.ratio_ppm, tiers, wish.remainder)


def _tiers(at: int, tiers: tuple[RuleTier, ...]) -> tuple[Tier, ...]:
    made = []
    below = 0
    for step, tier in enumerate(tiers):
        where = f"/parts/{at}/tiers/{step}"
        if (tier.ratio_ppm is None) is (tier.amount is None):
            raise InvalidField("say either ratio_ppm or amount", param=where)
        if (tier.up_to is None) is not (step == len(tiers) - 1):
            raise InvalidField("every tier but the last has up_to", param=f"{where}/up_to")
        if tier.up_to is not None:
            if tier.up_to <= below:
                raise InvalidField("tiers go upward", param=f"{where}/up_to")
            below = tier.up_to
        made.append(Tier(tier.up_to, tier.ratio_ppm or 0, tier.amount or 0))
    return tuple(made)
