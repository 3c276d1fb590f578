"""Defects that a connector can have. Each is planted into a finished one, and must be found.

A defect is a function of the connector: it replaces one of its calls by a wrong one. The product
code has no switches for them.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from payments.channels.base import Approved, Declined, Unknown, Unpaid

Plant = Callable[[Any], None]
PLANTED: dict[str, Plant] = {}
REFUSED = Declined("channel_error", "planted")


def defect(plant: Plant) -> Plant:
    PLANTED[plant.__name__] = plant
    return plant


def changed(channel: Any, names: str, change: Callable[[Any, Any], Any]) -> None:
    """Let `change(order, outcome)` have the last word in these calls."""

    def wrap(call: Any) -> Any:
        async def wrong(order: Any) -> Any:
            return change(order, await call(order))

        return wrong

    for name in names.split():
        setattr(channel, name, wrap(getattr(channel, name)))


def verifiers_of(channel: Any, seen: set[int] | None = None) -> list[Any]:
    """Every verifier that a connector holds, however deep."""
    seen = set() if seen is None else seen
    if id(channel) in seen:
        return []
    seen.add(id(channel))
    if hasattr(channel, "verify"):
        return [channel]
    if isinstance(channel, dict):
        inside: Any = channel.values()
    elif isinstance(channel, list | tuple):
        inside = channel
    elif type(channel).__module__.startswith("payments.channels."):
        slots = getattr(type(channel), "__slots__", ())
        inside = [getattr(channel, name, None) for name in slots]
        inside += list(getattr(channel, "__dict__", {}).values())
    else:
        return []
    return [found for each in inside for found in verifiers_of(each, seen)]


@defect
def signatures_not_checked(channel: Any) -> None:
    async def always(text: bytes, signature: bytes) -> bool:
        return True

    found = verifiers_of(channel)
    assert found, "a connector without a verifier"
    for verifier in found:
        verifier.verify = always


@defect
def another_amount_believed(channel: Any) -> None:
    def believe(order: Any, outcome: Any) -> Any:
        is_success = isinstance(outcome, Approved)
        return replace(outcome, amount=order.amount) if is_success else outcome

    changed(channel, "pay inquire", believe)


@defect
def a_lost_answer_taken_for_a_decline(channel: Any) -> None:
    changed(channel, "pay", lambda _, told: REFUSED if isinstance(told, Unknown) else told)


@defect
def a_lost_answer_taken_for_not_sent(channel: Any) -> None:
    not_sent = replace(REFUSED, not_sent=True)
    changed(channel, "pay", lambda _, told: not_sent if isinstance(told, Unknown) else told)


@defect
def sent_again_under_a_new_number(channel: Any) -> None:
    pay = channel.pay

    async def stubborn(order: Any) -> Any:
        told = await pay(order)
        if not isinstance(told, Unknown):
            return told
        number = order.out_trade_no
        told = await pay(replace(order, out_trade_no=number[:-1] + "9"))
        return replace(told, out_trade_no=number) if isinstance(told, Approved) else told

    channel.pay = stubborn


@defect
def a_reverse_believed_without_an_answer(channel: Any) -> None:
    def believe(order: Any, outcome: Any) -> Any:
        is_done = isinstance(outcome, Unknown)
        return Approved(order.out_trade_no, order.amount) if is_done else outcome

    changed(channel, "reverse", believe)


@defect
def a_refund_under_a_new_number_each_time(channel: Any) -> None:
    refund, asked = channel.refund, []

    async def forgetful(order: Any) -> Any:
        asked.append(order)
        return await refund(replace(order, out_refund_no=f"{order.out_refund_no}{len(asked)}"))

    channel.refund = forgetful
    changed(channel, "inquire_refund", lambda _, __: Unpaid("absent"))


@defect
def a_lost_refund_taken_for_refused(channel: Any) -> None:
    changed(channel, "refund", lambda _, told: REFUSED if isinstance(told, Unknown) else told)


@defect
def an_unpaid_order_taken_for_closed(channel: Any) -> None:
    over = Unpaid("closed")
    changed(channel, "inquire", lambda _, told: over if told == Unpaid("absent") else told)


@defect
def coupons_left_out(channel: Any) -> None:
    def forget(_: Any, outcome: Any) -> Any:
        if not isinstance(outcome, Approved):
            return outcome
        return replace(outcome, payer_amount=None, settle_amount=None, discounts=())

    changed(channel, "pay inquire", forget)


@defect
def the_raw_bytes_not_kept(channel: Any) -> None:
    """Parsed and written again before the signature is checked: it never fits."""

    async def never(text: bytes, signature: bytes) -> bool:
        return False

    for verifier in verifiers_of(channel):
        verifier.verify = never
