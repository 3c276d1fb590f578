"""Sales and refunds put straight into a shard's books, and its clearing driven by hand."""

from msgspec.structs import replace

from actors.live import LivePayment, encode
from home_payouts import made
from payments import bookings
from payments.calendar import business_date
from payments.clearing.batch import Batch
from payments.ids import partition_of
from payments.payment import AttemptState
from payments.refund import RefundStatus
from payments.splitting.terms import Share
from payments.testing import a_payment, a_refund

FEE = 14


class Till:
    """Books sales in a `HomeShard`, each in a commit of its own unless told otherwise."""

    def __init__(self, shard):
        self.shard = shard
        self.count = 0
        self.sold = []

    def sell(self, merchant, amount=3800, shares=(), date=None, account="wx", settle=None):
        """A payment that has just succeeded. `shares`: (receiver, minor units)."""
        core = self.shard.core
        self.count += 1
        now = core.clock.now_ms()
        partition = partition_of(merchant.id)
        settle = amount if settle is None else settle
        payment = a_payment(
            AttemptState.SUCCEEDED,
            id=made("pay", now, partition, self.count),
            merchant=merchant.id,
            amount=amount,
            created=now,
            settle_amount=settle,
            fee=FEE,
            business_date=date or business_date(now),
            shares=tuple(Share(who, minor) for who, minor in shares),
        )
        core.payment_no += 1
        live = LivePayment(payment, core.payment_no, merchant.number, partition, *[self.count] * 3)
        core.batch.payments.append(live.row())
        postings = bookings.split_payment_booked(
            account, merchant.id, partition, settle, FEE, payment.shares
        )
        core.books.book(
            core.batch,
            partition,
            bookings.payment_entry_id(payment.id),
            payment.id,
            now,
            "cny",
            postings,
        )
        core.wake.set()
        self.sold.append(payment)
        return payment

    def give_back(self, payment, date=None, account="wx"):
        """All of it, with the fee and every share: what a receiver has not there, it owes."""
        core = self.shard.core
        now = core.clock.now_ms()
        partition = partition_of(payment.id)
        refund = a_refund(
            payment,
            RefundStatus.SUCCEEDED,
            id=made("rfd", now, partition, payment.id),
            created=now,
            business_date=date or business_date(now),
        )
        core.refund_no += 1
        row = (core.refund_no, refund.id, 1, 1, partition, core.refund_no, None, encode(refund))
        core.batch.refunds.append(row)
        booked = bookings.split_payment_booked(
            account, payment.merchant, partition, payment.settle_amount, FEE, payment.shares
        )
        postings = []
        for name, minor in booked:
            have = -core.books.balance(name, "cny") if name.startswith("receiver:") else None
            if have is not None and have < -minor:
                debt = name.replace(":pending#", ":debt#")
                postings += [(name, have), (debt, -minor - have)]
            else:
                postings.append((name, -minor))
        core.books.book(
            core.batch,
            partition,
            bookings.refund_entry_id(refund.id),
            refund.id,
            now,
            "cny",
            tuple(each for each in postings if each[1]),
        )
        core.wake.set()
        return replace(payment, amount_refunded=payment.amount)


def work(shard):
    """Commit, and do every slice that is due, until the shard rests."""
    shard.commit()
    for _ in range(100_000):
        more = shard.desk.slices.step()
        shard.commit()
        if not more and not shard.desk.slices.step() and not shard.core.wake.is_set():
            return
    raise AssertionError("it never rests")


def clear(shard, merchant=None, date=None):
    """Ask for a run and let it end."""
    body = {} if date is None else {"business_date": date}
    shard.made("clearing_batch.run", body, "" if merchant is None else merchant.id)
    work(shard)


def batches(shard, merchant):
    """The merchant's batches, oldest first, as they are kept."""
    found = [kept.value for kept in shard.core.records.of("batch", merchant.id, limit=1_000)]
    assert all(isinstance(each, Batch) for each in found)
    return found[::-1]
