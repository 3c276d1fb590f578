"""What comes in: the body of every POST, with ranges and patterns, nothing unknown allowed.

The bodies of reference data (merchants, stores, terminals, keys) are the directory's own wishes,
checked here before they are sent on, so that there is one truth about them.
Rules that need two fields stand in `RULES`, one function a body. The field named in a refusal is a
JSON pointer.
"""

from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from actors.test_clock import ADVANCE_MAX_S
from gateway.schemas_home import EMPTY_HOME_BODIES, HOME_BODIES
from payments.directory import (
    MerchantChange,
    NewKey,
    NewMerchant,
    NewPlate,
    NewStore,
    NewTerminal,
    PlateChange,
    Rotation,
)
from payments.directory_accounts import Confirmation, NewAccount
from payments.errors import InvalidField
from payments.money import AMOUNT_MAX
from payments.reconciliation.wishes import NewReconciliation, ProposeResolution, ResolveItem
from payments.splitting.escrow import NewRelease
from payments.splitting.terms import RECEIVERS_MAX
from payments.splitting.wishes import NewReceiver, NewSplitRule, ReceiverChange, SplitRuleChange
from payments.webhook_wishes import (
    EnableEndpoint,
    EndpointChange,
    NewEndpoint,
    ResendEvent,
    ResendRange,
    RollSecret,
)

# `$` would let a line end through, so each pattern says that none may follow.
_ORDER_NO: Final = r"^[0-9A-Za-z_-]{1,64}$(?!\n)"
_AUTH_CODE: Final = r"^[0-9]{16,24}$(?!\n)"
_CHANNEL_NO: Final = r"^[!-~]{1,64}$(?!\n)"
_IP: Final = r"^[0-9A-Fa-f.:]{2,45}$(?!\n)"
_URL: Final = r"^https?://[!-~]+$(?!\n)"

EXPIRES_IN_S_MIN: Final = 30
EXPIRES_IN_S_MAX: Final = 7200
METADATA_KEYS_MAX: Final = 50

Minor = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Line = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64)]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40)],
        Annotated[str, Meta(max_length=500)],
    ],
    Meta(max_length=METADATA_KEYS_MAX),
]
WayName = Literal["barcode", "qr", "cashier", "jsapi", "app", "h5"]
WalletName = Literal["alipay", "wechat", "unionpay", "ecny"]


class Payer(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Who pays: as the wallet knows them, and where they are on the network."""

    openid: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    ip: Annotated[str, Meta(pattern=_IP)] | None = None


class AskedSplit(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A receiver's share: `amount` in minor units, or `ratio_ppm`."""

    receiver: Identifier
    amount: Minor | None = None
    ratio_ppm: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None


class CreatePayment(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/payments`. Amounts in minor units; `amount` includes `tip_amount`."""

    order_no: Annotated[str, Meta(pattern=_ORDER_NO)]
    amount: Minor
    currency: Literal["cny"]
    way: WayName
    auth_code: Annotated[str, Meta(pattern=_AUTH_CODE)] | None = None
    wallet: WalletName | None = None
    payer: Payer | None = None
    subject: Line | None = None
    store: Identifier | None = None
    terminal: Identifier | None = None
    operator: Name | None = None
    order_ref: Name | None = None
    table: Name | None = None
    tip_amount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] = 0
    expires_in: Annotated[int, Meta(ge=EXPIRES_IN_S_MIN, le=EXPIRES_IN_S_MAX)] | None = None
    splits: Annotated[tuple[AskedSplit, ...], Meta(max_length=RECEIVERS_MAX)] | None = None
    split_base: Literal["net", "gross"] | None = None
    split_fee: Literal["merchant", "pro_rata"] | None = None
    escrow: bool = False
    escrow_release_at: Annotated[datetime, Meta(tz=True)] | None = None
    channel_hint: Name | None = None
    metadata: Metadata = {}
    return_url: Annotated[str, Meta(max_length=2048, pattern=_URL)] | None = None


class CreateRefund(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/payments/{id}/refunds`. Without `amount`: all that is left."""

    amount: Minor | None = None
    reason: Line | None = None
    metadata: Metadata = {}


class CreateReportedPayment(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/reported_payments`: a payment that another gateway took. Amounts in minor units.

    Without `settle_amount`: all of `amount`. `fee`: ours, which the merchant pays. `merchant`: for
    keys that act for several, in the place of the header.
    """

    order_no: Annotated[str, Meta(pattern=_ORDER_NO)]
    channel_account: Name
    channel_trade_no: Annotated[str, Meta(pattern=_CHANNEL_NO)]
    amount: Minor
    paid_at: Annotated[datetime, Meta(tz=True)]
    currency: Literal["cny"] = "cny"
    settle_amount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    fee: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] = 0
    merchant: Identifier | None = None
    way: WayName | Literal["external"] = "external"
    wallet: WalletName | None = None
    store: Identifier | None = None
    terminal: Identifier | None = None
    operator: Name | None = None
    subject: Line | None = None
    order_ref: Name | None = None
    splits: Annotated[tuple[AskedSplit, ...], Meta(max_length=RECEIVERS_MAX)] | None = None
    split_base: Literal["net", "gross"] | None = None
    split_fee: Literal["merchant", "pro_rata"] | None = None
    metadata: Metadata = {}


class CreateReportedRefund(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/reported_payments/{id}/refunds`. Without `amount`: all that is left."""

    refunded_at: Annotated[datetime, Meta(tz=True)]
    channel_refund_no: Annotated[str, Meta(pattern=_CHANNEL_NO)]
    amount: Minor | None = None
    reason: Line | None = None
    metadata: Metadata = {}


class CancelRequest(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/payments/{id}/cancel`: nothing to say."""


class CreateClock(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/test_helpers/clocks`: nothing to say."""


class AdvanceClock(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/test_helpers/clocks/{id}/advance`: by `seconds` or `to` an instant, forward."""

    seconds: Annotated[int, Meta(ge=1, le=ADVANCE_MAX_S)] | None = None
    to: Annotated[datetime, Meta(tz=True)] | None = None

    @property
    def to_ms(self) -> int | None:
        """`to` in milliseconds since 1970."""
        return None if self.to is None else round(self.to.timestamp() * 1000)


EMPTY_ALLOWED: Final = frozenset(
    {
        CancelRequest,
        NewRelease,
        Rotation,
        CreateClock,
        RollSecret,
        EnableEndpoint,
        ResendEvent,
        Confirmation,
    }
    | EMPTY_HOME_BODIES
)
"""Bodies that need not say anything may be left out."""


# --- Rules over more than one field -----------------------------------------------------------


def _payment(body: CreatePayment) -> None:
    way = body.way
    if way == "barcode":
        if body.auth_code is None:
            raise InvalidField("A barcode payment needs the payer's code.", param="/auth_code")
    elif body.auth_code is not None:
        raise InvalidField("Only a barcode payment has a payer's code.", param="/auth_code")
    elif body.wallet is None and way != "cashier":
        raise InvalidField(f"{way} needs the wallet it is for.", param="/wallet")
    elif way == "jsapi" and (body.payer is None or body.payer.openid is None):
        raise InvalidField("jsapi needs the payer's openid.", param="/payer/openid")
    if body.payer is not None and body.payer.ip is not None:
        _address(body.payer.ip)
    if body.tip_amount > body.amount:
        raise InvalidField("The tip is part of the amount.", param="/tip_amount")
    if body.escrow_release_at is not None and not body.escrow:
        raise InvalidField("This says something of `escrow` only.", param="/escrow_release_at")
    if body.splits is not None or body.split_base or body.split_fee:
        _splits(body)


def _address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise InvalidField("This is no IPv4 or IPv6 address.", param="/payer/ip") from None


def _splits(body: CreatePayment | CreateReportedPayment) -> None:
    if not body.splits:
        for name in ("split_base", "split_fee"):
            if getattr(body, name):
                raise InvalidField("This says something of `splits` only.", param=f"/{name}")
    for at, split in enumerate(body.splits or ()):
        if (split.amount is None) is (split.ratio_ppm is None):
            raise InvalidField("Say either amount or ratio_ppm.", param=f"/splits/{at}")


def _advance(body: AdvanceClock) -> None:
    if (body.seconds is None) is (body.to is None):
        raise InvalidField("Say either seconds or to.", param="/seconds")


RULES: Final[dict[type[Struct], Callable[[Any], None]]] = {
    CreatePayment: _payment,
    CreateReportedPayment: _splits,
    AdvanceClock: _advance,
}

BODIES: Final[tuple[type[Struct], ...]] = (
    CreatePayment,
    CreateRefund,
    CreateReportedPayment,
    CreateReportedRefund,
    CancelRequest,
    NewRelease,
    NewMerchant,
    MerchantChange,
    NewStore,
    NewTerminal,
    NewPlate,
    PlateChange,
    NewKey,
    Rotation,
    NewReceiver,
    ReceiverChange,
    NewSplitRule,
    SplitRuleChange,
    NewAccount,
    Confirmation,
    *HOME_BODIES,
    NewReconciliation,
    ProposeResolution,
    ResolveItem,
    CreateClock,
    AdvanceClock,
    NewEndpoint,
    EndpointChange,
    RollSecret,
    EnableEndpoint,
    ResendEvent,
    ResendRange,
)

CARD_FREE: Final = frozenset(
    {"subject", "metadata", "reason", "name", "table", "operator", "label", "description"}
)
"""Free text, where nobody may leave a card number. Never codes, numbers of orders, or ids."""

MULTILINE: Final = frozenset({"/public_key"})
"""Where line ends are part of the value: a key may come as PEM."""
