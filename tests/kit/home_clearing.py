"""Sales and refunds put straight into a shard's books, and its clearing driven by hand."""

from msgspec.structs import replace

from actors.live import LivePayment, encode
from home_payouts import made
from payments import bookings, chart
from payments.calendar import business_date
from payments.clearing.batch import Batch
from payments.ids import partition_of
from payments.payment import AttemptState
from payments.refund import RefundStatus
from payments.splitting.terms import Share, ShareBack
from payments.testing import a_payment, a_refund
from payments.view import refund_json

FEE = 14


class Till:
    """Books sales in a `HomeShard`, each in a commit of its own unless told otherwise."""

    def __init__(self, shard):
        self.shard = shard
        self.count = 0
        self.sold = []

    def sell(
        self,
        merchant,
        amount=3800,
        shares=(),
        date=None,
        account="wx",
        settle=None,
        channel_at=None,
    ):
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
        payment = replace(payment, attempt=replace(payment.attempt, channel_at=channel_at))
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
        core.emit(live, "payment.succeeded", payment.id, now, core.render(live))
        self.sold.append(live)
        core.wake.set()
        return live

    def give_back(self, live, date=None, account="wx", channel_at=None):
        """All of it, with the fee and every share: what a receiver has not there, it owes."""
        core, payment = self.shard.core, live.payment
        now = core.clock.now_ms()
        partition = live.partition
        refund = a_refund(
            payment,
            RefundStatus.SUCCEEDED,
            id=made("rfd", now, partition, payment.id),
            created=now,
            business_date=date or business_date(now),
            channel_at=channel_at,
        )
        booked = bookings.split_payment_booked(
            account, payment.merchant, partition, payment.settle_amount, FEE, payment.shares
        )
        postings, back = [], []
        for name, minor in booked:
            if not name.startswith("receiver:"):
                postings.append((name, -minor))
                continue
            drawn = min(-minor, -core.books.balance(name, "cny"))
            debt = name.replace(":pending#", ":debt#")
            postings += [(name, drawn), (debt, -minor - drawn)]
            back.append(ShareBack(chart.parse(name).owner, -minor, -minor - drawn))
        refund = replace(
            refund,
            settle_back=payment.settle_amount,
            fee_back=FEE,
            succeeded_at=now,
            shares_back=tuple(back),
        )
        live.payment = replace(
            payment,
            amount_refunded=payment.amount,
            settle_returned=payment.settle_amount,
            fee_returned=FEE,
            shares=tuple(replace(share, returned=share.amount) for share in payment.shares),
        )
        core.refund_no += 1
        row = (
            core.refund_no, refund.id, live.no, live.merchant_no, partition, core.refund_no, None,
            encode(refund),
        )  # fmt: skip
        core.batch.refunds.append(row)
        core.batch.payment_changes.append((None, encode(live.payment), live.no))
        body = refund_json(refund, core.presentation)
        core.emit(live, "refund.succeeded", refund.id, now, body)
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


def work(shard):
    """Commit, and do every slice that is due, until the shard rests."""
    shard.commit()
    for _ in range(100_000):
        shard.desk.slices.step()
        shard.commit()
        if not shard.desk.slices.is_due:
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
