"""What is agreed about a difference is carried out by the shard that owns the payment or partition.

An entry is posted under the difference's id; a doubtful payment is asked about at its channel, and
what the channel says reaches the shard as its callbacks do. Either may be done again at any time.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from actors.adjusting_messages import Adjust, Adjusted
from actors.courier_tail import Asks, Away
from actors.link import Dialer
from actors.messages import LaneNotice, NoticeTaken
from payments.bills.lines import BillKind
from payments.channels.base import Approved, Channel, OrderRef, Outcome, RefundOrder, Unknown
from payments.channels.fetching import Fetched
from payments.clock import Clock
from payments.errors import Conflict, Overloaded
from payments.fees import FeePlan
from payments.ids import BODY_LENGTH, out_trade_no, partition_of
from payments.payment import Payment
from payments.reconciliation.adjustment import ACTS_THAT_BOOK, Adjustment, partition_of_entry
from payments.reconciliation.differences import Act, Difference
from payments.refund import Refund
from payments.storage.comparing import Comparing, Read, ReadShares, aside

ASKS: Final = frozenset({Act.ASK_CHANNEL, Act.REFUND_LATE_SUCCESS})
"""What the channel is asked about before anything else happens."""


T = TypeVar("T", Adjusted, NoticeTaken)


class NotBrought(Exception):
    """There is no comparison now. `is_refused`: the channel's file cannot be believed."""

    def __init__(self, reason: str, *, is_refused: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_refused = is_refused


class BillAccount(Struct, frozen=True):
    """A channel account whose bills can be had. `channel`: wechat, alipay, unionpay.

    `fetch`: the bill of a day, yyyymmdd. `asked`: who is asked about single payments. `plan`: what
    the channel agreed to charge; None when nobody told us. `shares`: what reads it, where the
    bill is of divided money; then it does not have the lines that `read` gives.
    """

    name: str
    channel: str
    fetch: Callable[[int], Awaitable[Fetched]]
    asked: Channel
    read: Read
    plan: FeePlan | None = None
    shares: ReadShares | None = None


class Carrying:
    """`shards`: dialers in the order of numbers; `shard_of`: partition to number."""

    def __init__(
        self,
        accounts: Sequence[BillAccount],
        comparing: Comparing,
        clock: Clock,
        shard_of: Callable[[int], int],
    ) -> None:
        self.asks = Asks()
        self.shards: Sequence[Dialer] = ()
        self._accounts = {account.name: account for account in accounts}
        self._comparing = comparing
        self._clock = clock
        self.shard_of = shard_of

    async def carry_out(
        self, item: str, difference: Difference, account: str, checker: str
    ) -> None:
        """Do what the difference's proposal says. Raise Conflict, Overloaded; then do it again."""
        proposal = difference.proposal
        if proposal.act in ASKS:
            await self.ask_channel(difference, account)
        elif proposal.act in ACTS_THAT_BOOK and proposal.postings:
            wish = Adjustment(
                item,
                account,
                proposal.act,
                difference.currency,
                proposal.postings,
                difference.maker,
                checker,
                self._clock.now_ms(),
            )
            await self._post(wish)

    async def _post(self, wish: Adjustment) -> None:
        answer = await self._tell(partition_of_entry(wish), Adjust(0, wish), Adjusted)
        if answer.why:
            raise Conflict(f"the shard does not book it: {answer.why}")

    async def ask_channel(self, difference: Difference, account: str) -> None:
        """Ask the channel under the same number, and let the shard fold a success.

        Raise Conflict when the number is none of ours, Overloaded when the channel says nothing.
        """
        asked = self._accounts.get(account)
        if asked is None:
            raise Conflict(f"the channel account {account} is no longer configured")
        if difference.line is BillKind.PAYMENT:
            await self._about_payment(asked.asked, difference.number)
        else:
            await self._about_refund(asked.asked, difference.number)

    async def _about_payment(self, channel: Channel, number: str) -> None:
        found = await aside(self._comparing.payment, number)
        if found is None:
            raise Conflict("this number leads to no payment of ours")
        payment, attempt_no = found
        outcome = _believed(await channel.inquire(_order(payment, attempt_no, number)))
        if outcome is not None:
            await self._hear(payment, LaneNotice(0, number, outcome))

    async def _about_refund(self, channel: Channel, number: str) -> None:
        found = await aside(self._comparing.refund, number)
        if found is None:
            raise Conflict("this number leads to no refund of ours")
        refund, payment = found
        order = _refund_order(refund, payment)
        outcome = _believed(await channel.inquire_refund(order))
        if outcome is not None:
            await self._hear(payment, LaneNotice(0, order.out_trade_no, outcome, number))

    async def _hear(self, payment: Payment, notice: LaneNotice) -> None:
        await self._tell(partition_of(payment.id), notice, NoticeTaken)

    async def _tell(self, partition: int, message: Adjust | LaneNotice, kind: type[T]) -> T:
        try:
            return await self.asks.ask(self.shards[self.shard_of(partition)], message, kind)
        except Away as error:
            raise Overloaded(f"a shard does not answer: {error}", retry_after_s=1) from error


def _believed(outcome: Outcome) -> Approved | None:
    """A success; None for a plain answer that it did not happen. Raise Overloaded for no answer."""
    if isinstance(outcome, Approved):
        return outcome
    if isinstance(outcome, Unknown):
        raise Overloaded("the channel did not answer; try again", retry_after_s=1)
    return None


def _order(payment: Payment, attempt_no: int, number: str) -> OrderRef:
    attempt = payment.attempt_of(attempt_no)
    return OrderRef(
        number,
        payment.amount,
        payment.currency,
        (attempt and attempt.way) or payment.way,
        (attempt and attempt.wallet) or payment.wallet,
        payment.merchant,
        payment.created if attempt is None else attempt.sent_at,
    )


def _refund_order(refund: Refund, payment: Payment) -> RefundOrder:
    attempt = payment.attempt_of(refund.attempt_no)
    return RefundOrder(
        out_trade_no(payment.id, refund.attempt_no),
        refund.id[-BODY_LENGTH:],
        refund.amount,
        payment.amount,
        refund.currency,
        (attempt and attempt.way) or payment.way,
        (attempt and attempt.wallet) or payment.wallet,
        payment.merchant,
        payment.created if attempt is None else attempt.sent_at,
        refund.created,
    )
