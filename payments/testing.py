"""The public test kit: builders of valid objects, and a channel that follows a script.

A builder takes only what a test is about; the rest is plausible and the same every time.
`ManualClock` and `SeededEntropy` are re-exported: a test that takes time and randomness from here
can be repeated.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec.structs import replace

from payments.calendar import business_date
from payments.channels.base import Approved, OrderRef, Outcome, PayOrder, RefundOrder, Unknown
from payments.clock import ManualClock
from payments.fees import DEFAULT_PLAN, FeePlan, fee
from payments.idempotency import Digests
from payments.ids import IdMint, SeededEntropy, partition_of
from payments.payment import (
    CODE_WAYS,
    STATUS_OF,
    Assessment,
    Attempt,
    AttemptState,
    Failure,
    Moment,
    Payment,
    Route,
    Status,
    Way,
)
from payments.reference import Merchant, MerchantStatus
from payments.refund import Refund, RefundStatus
from payments.risk import Policy
from payments.routing import ChannelAccount

__all__ = [
    "DIGESTS",
    "NOW_MS",
    "ManualClock",
    "ScriptedChannel",
    "SeededEntropy",
    "a_merchant",
    "a_payment",
    "a_policy",
    "a_reference",
    "a_refund",
    "an_account",
    "an_approval",
    "an_attempt",
    "an_id",
    "an_order",
]

NOW_MS: Final = 1_795_000_000_000
"""2026-11-18T11:06:40Z: the instant at which builders stand."""

DIGESTS: Final = Digests(b"a secret for tests, no more")

_mint: Final = IdMint(SeededEntropy(7))


def an_id(prefix: str = "pay", partition: int = 17, at_ms: int = NOW_MS) -> str:
    """Another id each time."""
    return _mint.new(prefix, at_ms, partition)


MERCHANT_ID: Final = an_id("mch")


def a_merchant(**changes: Any) -> Merchant:
    """An active merchant of partition 17."""
    identifier = changes.get("id", MERCHANT_ID)
    merchant = Merchant(
        id=identifier,
        number=1,
        name="Noodles by the Bridge",
        status=MerchantStatus.ACTIVE,
        partition=partition_of(identifier),
        created=NOW_MS,
    )
    return replace(merchant, **changes)


def an_account(name: str = "simulated-1", **changes: Any) -> ChannelAccount:
    """An account of the simulated channel that serves every wallet and way."""
    account = ChannelAccount(
        name=name,
        channel="simulated",
        wallets=("alipay", "wechat", "unionpay", "ecny"),
        ways=tuple(Way),
    )
    return replace(account, **changes)


def a_policy(**changes: Any) -> Policy:
    """The limits of demos and tests, as the public contract promises them."""
    policy = Policy(
        version="1",
        effective_from_ms=0,
        source="demo and test defaults",
        single_max=5_000_000,
        terminal_per_minute=10_000,
    )
    return replace(policy, **changes)


def an_attempt(state: AttemptState = AttemptState.SENDING, **changes: Any) -> Attempt:
    """The first attempt, on simulated-1."""
    attempt = Attempt(
        number=0, channel="simulated", account="simulated-1", state=state, sent_at=NOW_MS
    )
    if state is AttemptState.FAILED:
        attempt = replace(attempt, failure=Failure("declined", "declined by the channel"))
    if state is AttemptState.SHOWN:
        attempt = replace(attempt, code="simulated://code")
    return replace(attempt, **changes)


def a_payment(
    state: AttemptState = AttemptState.SENDING,
    *,
    plan: FeePlan = DEFAULT_PLAN,
    key: str | None = None,
    **changes: Any,
) -> Payment:
    """A payment whose attempt is in `state`, with all that goes with it.

    `key`: its idempotency key (its id, if not given). `changes`: fields of Payment.
    """
    identifier = changes.get("id") or an_id("pay")
    merchant = changes.get("merchant", MERCHANT_ID)
    created = changes.get("created", NOW_MS)
    amount = changes.get("amount", 3800)
    way = changes.get("way", Way.BARCODE)
    status = STATUS_OF[state]
    payment = Payment(
        id=identifier,
        merchant=merchant,
        order_no="A-" + identifier[-12:],
        amount=amount,
        currency="cny",
        way=way,
        wallet="wechat",
        status=status,
        attempt=an_attempt(state, sent_at=created),
        created=created,
        business_date=business_date(created),
        key_digest=DIGESTS.key(merchant, key or identifier),
        fingerprint=DIGESTS.fingerprint("POST", "/v1/payments", identifier.encode()),
        verdict_by=created + 60_000 if way is Way.BARCODE else None,
        expires_at=created + 300_000 if way in CODE_WAYS else None,
        risk=Assessment("pass"),
        route=Route("only", ("simulated-1",)),
    )
    if status is Status.SUCCEEDED:
        settled = changes.get("settle_amount", amount)
        payment = replace(
            payment,
            payer_amount=amount,
            settle_amount=settled,
            fee=fee(plan, settled),
            succeeded_at=created + 300,
        )
    elif status is Status.FAILED:
        payment = replace(payment, failure=Failure("declined", "declined by the channel"))
    elif status in (Status.PROCESSING, Status.REQUIRES_PAYER):
        payment = replace(payment, next_action_at=created + 5_000)
    return replace(payment, **{"history": _history(state, created), **changes})


_ENDS: Final = {
    AttemptState.SUCCEEDED: ("succeeded",),
    AttemptState.FAILED: ("failed",),
    AttemptState.REVERSED: ("unknown", "reversing", "reversed"),
    AttemptState.CLOSED: ("code_shown", "closing", "closed"),
}


def _history(state: AttemptState, created: int) -> tuple[Moment, ...]:
    """The shortest story that leads to a state."""
    sent = Moment(created, "sending", "simulated-1")
    return (sent, *(Moment(created + 300, kind) for kind in _ENDS.get(state, ())))


def a_refund(
    payment: Payment | None = None,
    status: RefundStatus = RefundStatus.PROCESSING,
    *,
    key: str | None = None,
    **changes: Any,
) -> Refund:
    """A refund of a payment (of all that is left of it, if `amount` is not given)."""
    of = payment or a_payment(AttemptState.SUCCEEDED)
    identifier = changes.get("id") or an_id("rfd", partition_of(of.id))
    created = changes.get("created", of.created + 60_000)
    refund = Refund(
        id=identifier,
        payment=of.id,
        merchant=of.merchant,
        amount=changes.get("amount", of.refundable),
        currency=of.currency,
        status=status,
        created=created,
        business_date=business_date(created),
        key_digest=DIGESTS.key(of.merchant, key or identifier),
        fingerprint=DIGESTS.fingerprint(
            "POST", f"/v1/payments/{of.id}/refunds", identifier.encode()
        ),
        account="simulated-1",
        channel="simulated",
    )
    return replace(refund, **changes)


def an_order(payment: Payment | None = None, **changes: Any) -> PayOrder:
    """What the channel is asked for a payment's first attempt."""
    of = payment or a_payment()
    order = PayOrder(
        out_trade_no=of.id[-24:] + "00",
        amount=of.amount,
        currency=of.currency,
        way=of.way,
        wallet=of.wallet,
        merchant=of.merchant,
        auth_code="130000000000000000" if of.way is Way.BARCODE else None,
    )
    return replace(order, **changes)


def a_reference(order: PayOrder | None = None, **changes: Any) -> OrderRef:
    """An order (or one of that number) as a question about it names it."""
    of = order or an_order()
    reference = OrderRef(
        of.out_trade_no, of.amount, of.currency, of.way, of.wallet, of.merchant, of.created
    )
    return replace(reference, **changes)


def an_approval(order: PayOrder | OrderRef | RefundOrder, **changes: Any) -> Approved:
    """The answer of a channel that took, or gave back, what was asked."""
    approved = Approved(
        out_trade_no=order.out_trade_no,
        amount=order.amount,
        channel_trade_no="ch" + order.out_trade_no,
        payer_amount=order.amount,
        settle_amount=order.amount,
    )
    return replace(approved, **changes)


Step = Outcome | Callable[[Any], Outcome]
"""An answer, or a function from the question (an order, or a reference to one) to the answer."""


class ScriptedChannel:
    """A channel that answers what the test wrote down, in order, and remembers what it was asked.

    >>> channel = ScriptedChannel(pay=[Unknown("no answer")], inquire=[Awaiting(), an_approval])

    `an_approval` fits every question. A script that has ended answers Unknown, as a channel
    that cannot be reached does. `calls` lists (operation, number) in the order they came.
    """

    OPERATIONS: Final = ("pay", "inquire", "reverse", "close", "refund", "inquire_refund")

    def __init__(self, **scripts: Sequence[Step]) -> None:
        strange = scripts.keys() - set(self.OPERATIONS)
        if strange:
            raise ValueError(f"a channel cannot {', '.join(sorted(strange))}")
        self._scripts = {name: list(scripts.get(name, ())) for name in self.OPERATIONS}
        self.calls: list[tuple[str, str]] = []
        self.orders: list[PayOrder] = []
        self.refunds: list[RefundOrder] = []

    async def pay(self, order: PayOrder) -> Outcome:
        self.orders.append(order)
        return self._answer("pay", order.out_trade_no, order)

    async def inquire(self, order: OrderRef) -> Outcome:
        return self._answer("inquire", order.out_trade_no, order)

    async def reverse(self, order: OrderRef) -> Outcome:
        return self._answer("reverse", order.out_trade_no, order)

    async def close(self, order: OrderRef) -> Outcome:
        return self._answer("close", order.out_trade_no, order)

    async def refund(self, order: RefundOrder) -> Outcome:
        self.refunds.append(order)
        return self._answer("refund", order.out_refund_no, order)

    async def inquire_refund(self, order: RefundOrder) -> Outcome:
        return self._answer("inquire_refund", order.out_refund_no, order)

    def then(self, operation: str, *steps: Step) -> "ScriptedChannel":
        """Write more lines at the end of an operation's script."""
        self._scripts[operation].extend(steps)
        return self

    def count(self, operation: str, number: str | None = None) -> int:
        """How often it was asked, for one out_trade_no or out_refund_no or for all."""
        return sum(1 for op, no in self.calls if op == operation and number in (None, no))

    def left(self) -> Iterable[str]:
        """Operations whose scripts have lines that nobody has asked for."""
        return [name for name, steps in self._scripts.items() if steps]

    def _answer(self, operation: str, number: str, question: object) -> Outcome:
        self.calls.append((operation, number))
        script = self._scripts[operation]
        if not script:
            return Unknown("the script has ended")
        step = script.pop(0)
        return step(question) if callable(step) else step
