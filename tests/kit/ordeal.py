"""All endings of test mode and the worst cuts, in one short run of a world; what is wrong after it.

`EXPECTED` is the table of the public contract: how a payment of each ending ends, and what the
channel keeps of 3800.
"""

from typing import Any

from actors.live import decode_payment
from cutting_proxy import HALF_OPEN, LOSE_ANSWER, RESET
from oracle import rows_of, settled
from payments.ids import out_trade_no
from payments.payment import Payment
from wires import WireWorld

EXPECTED = {
    "0000": ("succeeded", None, 3800),
    "9001": ("succeeded", None, 3800),
    "9002": ("reversed", None, 0),
    "9003": ("failed", "insufficient_funds", 0),
    "9004": ("failed", "auth_code_expired", 0),
    "9005": ("succeeded", None, 3800),
    "9006": ("succeeded", None, 3800),
    "9007": ("reversed", None, 0),
    "9008": ("reversed", None, 0),
    "9009": ("succeeded", None, 3800),
    "9010": ("succeeded", None, 3800),
    "9011": ("reversed", None, 0),
    "9012": ("succeeded", None, 3800),
}
VERDICT_MS = 60_000
NEVER_MS = 1 << 50
VERDICTS = ("payment.succeeded", "payment.failed", "payment.reversed", "payment.closed")
BODY = 24
"""Characters of an id that its events share."""

COUPONS = (3300, 3600, [("channel", 300), ("merchant", 200)])
WITHOUT_A_PROMISE = frozenset(("unionpay",))
"""Channels without a reverse: final, but not within the minute."""


def stored_payments(world: WireWorld) -> dict[str, Payment]:
    rows = [decode_payment(row[8]) for row in rows_of(world).payments]
    return {payment.id: payment for payment in rows}


def misendings(world: WireWorld, asked: dict[str, str]) -> list[str]:
    """What did not end as the table says. `asked`: payment id to ending."""
    payments, taken, ends = stored_payments(world), world.taken(), _ends(world)
    wrong = []
    for identifier, ending in asked.items():
        payment = payments[identifier]
        wrong += _misending(payment, ending, taken)
        took_ms = ends.get(identifier[-BODY:], NEVER_MS) - payment.created
        if took_ms > (NEVER_MS if world.kind in WITHOUT_A_PROMISE else VERDICT_MS):
            wrong.append(f"{ending}: final after {took_ms} ms")
    return wrong


def _ends(world: WireWorld) -> dict[str, int]:
    """When each payment became final: body of its id to business ms."""
    return {row[3][4 : 4 + BODY]: row[5] for row in rows_of(world).events if row[4] in VERDICTS}


def _misending(payment: Payment, ending: str, taken: dict[str, Any]) -> list[str]:
    status, failure, keeps = EXPECTED[ending]
    wrong = []
    told = payment.failure.code if payment.failure is not None else None
    if (payment.status, told) != (status, failure):
        wrong.append(f"{ending} ended {payment.status}, {told}")
    attempts = (*payment.earlier, payment.attempt)
    books = [
        taken[attempt.account].get(out_trade_no(payment.id, attempt.number))
        for attempt in attempts
        if attempt is not None
    ]
    kept = sum(b.charges * b.amount_minor - b.refunded_minor for b in books if b is not None)
    if kept != keeps:
        wrong.append(f"{ending}: the channel keeps {kept}")
    if payment.late_success != (ending == "9008"):
        wrong.append(f"{ending}: late_success is {payment.late_success}")
    if ending == "9012":
        discounts = sorted((each.funder, each.amount) for each in payment.discounts)
        if (payment.payer_amount, payment.settle_amount, discounts) != COUPONS:
            wrong.append(f"9012: {payment.payer_amount}, {payment.settle_amount}, {discounts}")
    return wrong


def ordeal(world: WireWorld) -> list[str]:
    """Live through it and say what is wrong in the end; nothing for a sound gateway."""
    asked = {world.post(ending=ending).command.id: ending for ending in EXPECTED}
    world.advance(6)
    paid = [world.pay() for _ in range(2)]
    asked |= {ack.command.id: "0000" for ack in paid}
    for cut, operation in ((LOSE_ANSWER, "pay"), (RESET, "query"), (HALF_OPEN, "reverse")):
        world.cut(cut, operation)
        asked[world.post(ending="0000").command.id] = "0000"
        world.advance(6)
    asked[world.post(ending="9002").command.id] = "9002"
    for cut in (LOSE_ANSWER, HALF_OPEN):
        world.cut(cut, "undo")
        asked[world.post(ending="9011").command.id] = "9011"
        world.advance(3)
    world.advance(63)
    complaints = settled(world) + misendings(world, asked)
    first = paid[0].body["id"]
    world.deaf = True  # A callback would tell what the lost answer did not.
    world.cut(LOSE_ANSWER, "refund")
    world.refund(first, 1_000)
    world.refund(first, 1_078)
    world.advance(30)
    world.deaf = False
    return complaints + settled(world)
