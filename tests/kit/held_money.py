"""A world whose channel holds back what is split, divides it itself, and takes parts back.

The channel's side is a double that keeps to the words of `payments/channels/sharing.py`: a number
is one order (or one return), and what was made is done when it is asked about. Refunds themselves
go to the simulated channel.
"""

from oracle import judge, rows_of
from payments import chart
from payments.channels.base import Declined
from payments.channels.sharing import (
    Absent,
    Divided,
    NotDone,
    Portion,
    Registered,
    Returned,
    Unclear,
)
from payments.reference import ReceiverAccount
from payments.splitting.dividing import division_id
from payments.splitting.repaying import Repay, repay_id
from payments.splitting.taking_back import Owed, owed_id
from payments.splitting.terms import Part, Terms
from payments.testing import an_account
from world import ACCOUNTS, World

DECLINED = Declined("insufficient_funds", "The merchant has no money.", "NOT_ENOUGH")
RIDER, PLATFORM = "1900000201", "1900000202"


class Books:
    """What the channel holds, and what it paid. `lose`: operations whose next answer is lost;
    `refuse`: codes that the next sharing order is refused with; `closed`: accounts it cannot pay;
    `poor`: accounts that cannot return anything; `refuse_back`: as `refuse`, of return orders.
    """

    def __init__(self):
        self.orders = {}
        self.known = set()
        self.returns = {}
        self.lose, self.refuse, self.closed = [], [], set()
        self.refuse_back, self.poor, self.failed = [], set(), set()
        self.is_strange = False
        self.asked = []

    async def register(self, holder, merchant):
        self.asked.append("register")
        if holder.account in self.closed and self.is_strange:
            return NotDone("PARAM_ERROR")
        self.known.add(holder.account)
        return self._said("register", Registered(holder.account))

    async def share(self, order):
        self.asked.append("share")
        if order.number not in self.orders:
            if self.refuse:
                return NotDone(*self.refuse.pop(0))
            assert all(each.account in self.known for each in order.portions)
            self.orders[order.number] = order
        assert order == self.orders[order.number], "one number, two orders"
        return self._said("share", Divided(order.number, order.portions, False))

    async def inquire_share(self, order):
        self.asked.append("inquire_share")
        made = self.orders.get(order.number)
        if made is None:
            return self._said("inquire_share", Absent())
        parts = tuple(
            Portion(p.kind, p.account, p.amount, *self._end(p.account)) for p in made.portions
        )
        return self._said("inquire_share", Divided(order.number, parts, True))

    def _end(self, account):
        return ("closed", "ACCOUNT_ABNORMAL") if account in self.closed else ("success", "")

    async def unfreeze(self, order):
        raise AssertionError("an order without portions is shared")

    async def take_back(self, asked):
        self.asked.append("take_back")
        if asked.return_no not in self.returns:
            if self.refuse_back:
                return NotDone(*self.refuse_back.pop(0))
            if asked.amount > self._given(asked) - self._back(asked):
                return NotDone("NOT_ENOUGH")
            self.returns[asked.return_no] = asked
            if asked.account in self.poor:
                self.failed.add(asked.return_no)
        assert asked == self.returns[asked.return_no], "one number, two returns"
        return self._said("take_back", Returned(asked.return_no, asked.amount, "pending"))

    async def inquire_return(self, asked):
        self.asked.append("inquire_return")
        made = self.returns.get(asked.return_no)
        if made is None:
            return self._said("inquire_return", Absent())
        is_failed = made.return_no in self.failed
        result = ("closed", "BALANCE_NOT_ENOUGH") if is_failed else ("success", "")
        return self._said("inquire_return", Returned(made.return_no, made.amount, *result))

    def _given(self, asked):
        parts = self.orders[asked.number].portions
        return sum(p.amount for p in parts if p.account == asked.account not in self.closed)

    def _back(self, asked):
        where = (asked.number, asked.account)
        return sum(r.amount for r in self._came() if (r.number, r.account) == where)

    def _came(self):
        return [each for number, each in self.returns.items() if number not in self.failed]

    def _said(self, op, answer):
        if op in self.lose:
            self.lose.remove(op)
            return Unclear("lost")
        return answer

    def paid(self):
        """{account: minor units} that receivers have got, and kept."""
        paid = {}
        for order in self.orders.values():
            for part in order.portions:
                if part.account not in self.closed:
                    paid[part.account] = paid.get(part.account, 0) + part.amount
        for each in self._came():
            paid[each.account] -= each.amount
        return {account: minor for account, minor in paid.items() if minor}


class Divides(World):
    """A world whose first channel account holds back what is split."""

    def __init__(self, **options):
        self.held = Books()
        self.is_declining = False
        """Whether the channel refuses refunds, for the merchant has no money there."""
        super().__init__(**options)
        one, two = self.receivers[:2]
        self.receivers[:2] = [
            one.__class__(*fields_of(one), (account_at(RIDER),)),
            two.__class__(*fields_of(two), (account_at(PLATFORM),)),
        ]

    def accounts(self):
        first = an_account(ACCOUNTS[0], channel="wechat", settles_to="channel_frozen")
        return first, an_account(ACCOUNTS[1], priority=1)

    def _lane(self, spec, host, account):
        box = super()._lane(spec, host, account)
        if account == ACCOUNTS[0]:
            self.lanes[account]._sharing._shares = self.held
            channel = self.channels[account]
            known = channel.refund

            async def refund(order):
                return DECLINED if self.is_declining else await known(order)

            channel.refund = refund
        return box

    def sell(self, amount=10_000, rider=500, platform=1_000, **asked):
        one, two = (each.id for each in self.receivers[:2])
        return self.pay(
            amount=amount, split=Terms((Part(one, rider), Part(two, platform))), **asked
        )

    def states(self, payment):
        read = self.read(payment, kind="splits").body["data"]
        return [each["status"] for each in read]

    def until_over(self, seconds=60):
        for _ in range(seconds):
            self.advance(1)
            if self.store.next_due_record() is None and not self.core.records:
                return

    def has(self):
        """{account: minor units} of everything that the channel is to pay."""
        balances = self.core.books.under("")
        return {name: minor for (name, _), minor in balances.items() if minor}

    def of_merchant(self, part):
        """What the books say of the first merchant's account; signed minor units."""
        return self.core.books.balance(f"merchant:{self.merchants[0].id}:{part}", "cny")

    def events(self):
        return [row[4] for row in rows_of(self).events if row[4].startswith("split.")]

    def division(self, payment):
        return self.core.records.kept(division_id(payment)).value


def fields_of(receiver):
    return (
        receiver.id, receiver.merchant, receiver.platform, receiver.name, receiver.status,
        receiver.created, receiver.metadata,
    )  # fmt: skip


def account_at(account):
    return ReceiverAccount("wechat", "MERCHANT_ID", account, "PARTNER")


def complaints(world):
    """What the oracle says of payments; entries and events of divisions are about none."""
    return [each for each in judge(world) if "is about nothing" not in each]


def refunded(world, payment, amount=None):
    """The refund as it stands in the end."""
    ack = world.wait(world.refund(payment, amount))
    until_ended(world)
    return shown(world, ack)


def shown(world, ack):
    return world.read(ack.body["id"], kind="refund").body


def until_ended(world, seconds=120):
    for _ in range(seconds):
        if not world.store.due_refunds(1 << 50, 1) and not world.core.refunds:
            return
        world.advance(1)


def owed(world, receiver):
    """(what the record says, what the books say) that a receiver owes the first merchant."""
    merchant = world.merchants[0]
    record = world.core.records.get(owed_id(merchant.id, receiver, "cny"), Owed)
    booked = world.core.books.balance(chart.receiver_owed(receiver, merchant.partition), "cny")
    return 0 if record is None else record.minor, booked


def repay(world, receiver):
    """What the record says that the first merchant owes a receiver."""
    record = world.core.records.get(repay_id(world.merchants[0].id, receiver, "cny"), Repay)
    return 0 if record is None else record.minor


def given_back(world):
    """What the channel gave back to payers, by its own books."""
    return sum(book.refunded_minor for books in world.taken().values() for book in books.values())


def backs(refund):
    return [each["amount"] for each in refund["splits_returned"]]
