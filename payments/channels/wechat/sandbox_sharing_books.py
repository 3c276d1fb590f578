"""The sandbox's books of profit sharing: what of an order is held back, shared, taken back, free.

Pure: an order's sharing is a value that every step replaces. Nothing is kept twice: what is held
back follows from what was settled, shared, refunded and let go.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from payments.bills.lines import BillKind
from payments.bills.shares import ShareLine
from payments.bills.text import china_date
from payments.channels.sandbox.books import Order
from payments.channels.wechat import sharing_wire as wire

NOTE: Final = "sharing"
"""Where an order keeps it among its notes."""

DAY_MS: Final = 86_400_000

ENDINGS: Final = {
    "9401": "ACCOUNT_ABNORMAL",
    "9402": "RECEIVER_HIGH_RISK",
    "9403": "NO_AUTH",
    "9404": "RECEIVER_REAL_NAME_NOT_VERIFIED",
    "9405": "RECEIVER_RECEIPT_LIMIT",
}
"""A part for an account that ends like this is closed, for this reason."""

RETURN_ENDINGS: Final = {"9501": "ACCOUNT_ABNORMAL", "9502": "BALANCE_NOT_ENOUGH"}
"""Taking a part back from such an account fails, for this reason."""


class Part(Struct):
    """One receiver of a sharing order. `reason`: why it will be closed; empty: it succeeds."""

    type: str
    account: str
    amount: int
    description: str
    detail_id: str
    reason: str = ""


class Sharing(Struct):
    """A sharing order, or (`is_rest`) the letting go of the rest."""

    number: str
    order_id: str
    fingerprint: str
    created_ms: int
    parts: list[Part]
    let_go: int = 0
    is_rest: bool = False


class Return(Struct):
    """A part, or a part of one, that was taken back. `reason`: why it failed."""

    number: str
    return_id: str
    of: str
    account: str
    amount: int
    description: str
    fingerprint: str
    created_ms: int
    reason: str = ""


class Shared(Struct):
    """All that was shared of one order."""

    orders: dict[str, Sharing] = field(default_factory=dict)
    returns: dict[str, Return] = field(default_factory=dict)
    is_over: bool = False
    """The rest was let go: nothing more can be shared."""


def shared_of(order: Order) -> Shared:
    """What was shared of an order so far."""
    return msgspec.convert(order.extra.get(NOTE, {}), Shared)


def noted(shared: Shared) -> Any:
    """The value as books keep it."""
    return msgspec.to_builtins(shared)


class Position(Struct, frozen=True):
    """Where an order's settled money is, in fen: `held + own + shared + refunded = settled`.

    `held`: back at the channel. `own`: let go to the merchant. `shared`: with the receivers, less
    what was taken back. `asked`: of what was shared ever, for the limit.
    """

    held: int
    own: int
    shared: int
    refunded: int
    asked: int


def position(order: Order, shared: Shared, settled: int, refunded: int, now_ms: int) -> Position:
    """`refunded`: of what was settled, refunds under way included."""
    asked = sum(part.amount for each in shared.orders.values() for part in each.parts)
    closed = sum(
        part.amount for each in shared.orders.values() for part in each.parts if part.reason
    )
    back = sum(each.amount for each in shared.returns.values() if not each.reason)
    out = asked - closed - back
    left = settled - refunded - out
    let_go = closed + sum(each.let_go for each in shared.orders.values())
    held = 0 if is_over(order, shared, now_ms) else max(0, left - let_go)
    return Position(held, left - held, out, refunded, asked - closed)


def is_over(order: Order, shared: Shared, now_ms: int) -> bool:
    """Whether the order's money is held back no more, by request or by age."""
    return shared.is_over or now_ms - order.paid_ms > wire.SHARING_DAYS_MAX * DAY_MS


def is_done(each: Sharing, now_ms: int, share_ms: int) -> bool:
    """Whether a sharing order has got past its processing."""
    return now_ms >= each.created_ms + share_ms


def returnable(shared: Shared, number: str, account: str) -> int:
    """What is still with a receiver of what the order `number` gave it."""
    order = shared.orders[number]
    got = sum(part.amount for part in order.parts if part.account == account and not part.reason)
    back = sum(
        each.amount
        for each in shared.returns.values()
        if (each.of, each.account) == (number, account) and not each.reason
    )
    return got - back


def lines(order: Order, share_ms: int, account: str, merchant: str) -> Iterator[ShareLine]:
    """What receivers got of an order and gave back, as the bill says it; failures are no lines."""
    shared = shared_of(order)
    for made in shared.orders.values():
        at_ms = made.created_ms + share_ms
        for part in made.parts:
            if not part.reason:
                yield ShareLine(
                    "wechat", account, BillKind.SHARE, made.number, made.order_id, part.detail_id,
                    order.trade_no, part.account, at_ms // 1000 * 1000, china_date(at_ms),
                    part.amount, order.amount, merchant, part.description,
                )  # fmt: skip
    for back in shared.returns.values():
        at_ms = back.created_ms + share_ms
        if not back.reason:
            yield ShareLine(
                "wechat", account, BillKind.SHARE_RETURN, back.number, back.return_id,
                back.return_id, order.trade_no, back.account, at_ms // 1000 * 1000,
                china_date(at_ms), back.amount, order.amount, merchant, back.description,
            )  # fmt: skip
