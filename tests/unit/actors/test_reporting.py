"""Payments that another gateway took: booked once with their split, refunded, and nobody asked."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.live import decode_payment, decode_refund
from actors.messages import ReadList
from actors.reported_messages import ReportPayment, ReportRefund
from oracle import judge, rows_of
from payments import chart
from payments.calendar import DAY_MS, business_date
from payments.clearing.lines import lines_of
from payments.idempotency import index_of
from payments.ledger import fold
from payments.limits import Counters
from payments.reported import AGE_MAX_MS, AHEAD_MAX_MS
from payments.splitting.terms import Part, Terms
from payments.testing import DIGESTS, NOW_MS, an_account
from world import World

ELSEWHERE = "elsewhere"
HOUR_MS = 3_600_000


class Reported(World):
    """A world with an account on which somebody else's gateway takes payments."""

    def accounts(self):
        external = an_account(ELSEWHERE, channel="otherpay", ways=(), is_external=True)
        return (*super().accounts(), external)

    def reported(self, **changes):
        """A command as a front door makes it of POST /v1/reported_payments."""
        number = self.unique()
        owner = self.merchants[changes.pop("merchant", 0)]
        key = changes.pop("key", f"key-{number}")
        order = changes.pop("order", f"order-{number}")
        trade = changes.pop("trade", f"T{number}")
        given_ = {
            "account": ELSEWHERE,
            "amount": 3800,
            "currency": "cny",
            "settle_amount": None,
            "fee": 14,
            "paid_at": self.clock.now_ms() - HOUR_MS,
            "way": "external",
            **changes,
        }
        body = f"{order} {trade} {sorted(changes.items())}".encode()
        return ReportPayment(
            0,
            self.mint.new("pay", self.clock.now_ms(), owner.partition),
            owner.id,
            DIGESTS.key(owner.id, key),
            DIGESTS.fingerprint("POST", "/v1/reported_payments", body),
            number,
            self.clock.real_ms() // 1000,
            order,
            DIGESTS.order(owner.id, order),
            channel_trade_no=trade,
            trade_digest=DIGESTS.auth(owner.id, f"{given_['account']} {trade}"),
            **given_,
        )

    def report(self, **changes):
        return self.wait(self.client.send(self.reported(**changes)))

    def give_back(self, payment, amount=None, **changes):
        return self.wait(self.client.send(self.back_command(payment, amount, **changes)))

    def back_command(self, payment, amount=None, *, merchant=0, key=None, **changes):
        """As a front door makes it of POST /v1/reported_payments/{id}/refunds."""
        number = self.unique()
        owner = self.merchants[merchant]
        return ReportRefund(
            0,
            self.mint.new("rfd", self.clock.now_ms(), owner.partition),
            owner.id,
            payment,
            DIGESTS.key(owner.id, key or f"key-{number}"),
            DIGESTS.fingerprint("POST", payment, f"{amount}".encode()),
            number,
            self.clock.real_ms() // 1000,
            amount,
            changes.pop("refunded_at", self.clock.now_ms()),
            changes.pop("channel_refund_no", f"R{number}"),
        )

    def balance(self, account):
        return self.core.books.balance(account, "cny")


@pytest.fixture
def world():
    made = Reported().start()
    yield made
    assert [] == judge(made)
    assert [] == made.loop.failures
    assert {} == made.taken()["sim-a"] == made.taken()["sim-b"], "a channel was asked"
    made.close()


def test_it_is_booked_as_our_own_would_be(world):
    """Receivable of the named account, our fee, the receiver's share, the rest the merchant's."""
    merchant, receiver = world.merchants[0], world.receivers[0].id
    split = Terms((Part(receiver, 500),))

    told = world.report(settle_amount=3700, split=split)

    assert 201 == told.reply.status
    facts = ("status", "entry", "way", "channel", "amount", "settle_amount", "fee", "net")
    assert ("succeeded", "reported", "external", "otherpay", 3800, 3700, 14, 3686) == tuple(
        told.body[name] for name in facts
    )
    partition = merchant.partition
    assert 3700 == world.balance(chart.receivable(ELSEWHERE, partition))
    assert -3186 == world.balance(chart.merchant_pending(merchant.id))
    assert -500 == world.balance(chart.receiver_pending(receiver, partition))
    assert -14 == world.balance(chart.fees_income(partition))
    assert ["payment.succeeded"] == [row[4] for row in rows_of(world).events]


def test_the_merchants_split_rule_applies(world):
    """Where the report says nothing of splits, the rule of the second merchant does."""
    told = world.report(merchant=1)

    (row,) = rows_of(world).payments
    assert 201 == told.reply.status
    assert [946, 1262] == [share.amount for share in decode_payment(row[8]).shares]


def test_splits_are_held_against_what_was_really_settled(world):
    """Without a fee all of it can be shared; with less settled than that, it cannot."""
    whole = Terms((Part(world.receivers[0].id, 3800),))

    assert "" == world.report(fee=0, split=whole).code
    assert "invalid_field" == world.report(fee=0, settle_amount=3799, split=whole).code


def test_the_same_report_is_one_payment(world):
    """Repeated, all at once and after a crash: one payment, one entry, one event."""
    command = world.reported(key="k", order="o", trade="t")
    acks = []
    for _ in range(1_000):
        number = world.unique()
        again = replace(
            command,
            id=world.mint.new("pay", world.clock.now_ms(), world.merchants[0].partition),
            nonce=number,
        )
        acks.append(world.client.send(again))
    for ack in acks:
        world.wait(ack)

    assert {201} == {ack.reply.status for ack in acks}
    assert 1 == len({ack.body["id"] for ack in acks})
    assert [False] + [True] * 999 == [ack.reply.replayed for ack in acks]
    world.restart("shard-0")
    late = world.wait(world.client.send(replace(command, id=acks[0].body["id"], nonce=99_999)))
    assert acks[0].reply.body == late.reply.body
    rows = rows_of(world)
    assert (1, 1, 1) == (len(rows.payments), len(rows.entries), len(rows.events))


def test_what_is_another_request_or_another_order_is_refused(world):
    """A key for one body, an order paid once, a channel's number for one order."""
    world.report(key="k", order="o", trade="t")

    assert "idempotency_mismatch" == world.report(key="k", order="o2", trade="t2").code
    assert "order_already_paid" == world.report(order="o", trade="t3").code
    twice = world.report(order="o4", trade="t")
    assert ("conflict", "channel_trade_no") == (twice.code, twice.reply.param)
    assert "order_already_paid" == world.pay(order="o").code


def test_an_order_that_was_paid_here_is_not_paid_elsewhere():
    """Order numbers are the merchant's: they do not care who took the money."""
    world = Reported().start()
    paid = world.pay(order="own")

    assert "succeeded" == paid.body["status"]
    assert "order_already_paid" == world.report(order="own").code
    refused = world.give_back(paid.body["id"])
    assert "not_refundable" == refused.code
    world.close()


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"account": "sim-a"}, "/channel_account"),
        ({"account": "nowhere"}, "/channel_account"),
        ({"settle_amount": 3801}, "/settle_amount"),
        ({"settle_amount": 13}, "/fee"),
        ({"fee": 3801}, "/fee"),
        ({"paid_at": NOW_MS + DAY_MS}, "/paid_at"),
        ({"paid_at": NOW_MS - AGE_MAX_MS - DAY_MS}, "/paid_at"),
        ({"store": "sto_01ZZZZZZZZ0000000000000Z"}, "store"),
        ({"split": Terms((Part("rcv_nobody", 1),))}, "/splits/0/receiver"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(world, changes, param):
    """And nothing was written: the key can be used again."""
    refused = world.report(key="k", **changes)

    assert ("invalid_field", param) == (refused.code, refused.reply.param)
    assert 201 == world.report(key="k").reply.status


def test_a_clock_a_little_ahead_is_believed_as_now(world):
    """The instant that counts is never in the future."""
    now = world.clock.now_ms()

    told = world.report(paid_at=now + AHEAD_MAX_MS)

    assert told.body["succeeded_at"] <= told.body["created"]


def test_the_business_date_is_that_of_the_payment(world):
    """Yesterday's takings stay yesterday's, by the store's closing hour."""
    at = world.clock.now_ms() - DAY_MS

    yesterday = world.report(paid_at=at, store=world.stores[0].id)
    today = world.report()

    assert yesterday.body["business_date"] < today.body["business_date"]
    assert yesterday.body["succeeded_at"] < yesterday.body["created"]


def test_a_refund_only_books(world):
    """Share and fee go back in proportion, all of it in the end; more than there is cannot."""
    receiver = world.receivers[0].id
    paid = world.report(split=Terms((Part(receiver, 500),))).body["id"]

    half = world.give_back(paid, 1900, key="half", refunded_at=world.clock.now_ms() - 60_000)
    again = world.give_back(paid, 1900, key="half", refunded_at=half.command.refunded_at)
    rest = world.give_back(paid)
    more = world.give_back(paid, 1)

    assert (201, "succeeded", half.command.channel_refund_no) == (
        half.reply.status,
        half.body["status"],
        half.body["channel_refund_no"],
    )
    assert half.body["succeeded_at"] < half.body["created"]
    assert (half.body["id"], True) == (again.body["id"], again.reply.replayed)
    assert 1900 == rest.body["amount"]
    assert "exceeds_paid" == more.code
    rows = rows_of(world)
    booked = fold({}, rows.entries)
    assert {0} == {world.balance(account) for account, _ in booked}
    assert 3800 == decode_payment(rows.payments[0][8]).amount_refunded
    assert ["succeeded"] * 2 == [decode_refund(row[7]).status for row in rows.refunds]
    kinds = [row[4] for row in rows.events]
    refunds = ["refund.succeeded", "split.returned", "refund.succeeded"]
    assert ["payment.succeeded", *refunds] == kinds


def test_money_that_went_back_once_is_booked_once(world):
    """The channel's number of a refund counts once for a payment, also with another key."""
    paid, other = world.report().body["id"], world.report().body["id"]
    first = world.give_back(paid, 1000, channel_refund_no="R-1")
    world.give_back(paid, 100, channel_refund_no="R-2")

    again = world.give_back(paid, 1000, channel_refund_no="R-1")
    elsewhere = world.give_back(other, 1000, channel_refund_no="R-1")

    assert ("conflict", "channel_refund_no") == (again.code, again.reply.param)
    assert first.body["id"] in again.reply.detail
    assert 201 == elsewhere.reply.status, "another payment's refunds have numbers of their own"
    rows = rows_of(world)
    assert [1000, 100, 1000] == [decode_refund(row[7]).amount for row in rows.refunds]


def test_two_reports_of_one_refund_in_one_commit_are_one(world):
    """The second is judged before the first is stored."""
    paid = world.report().body["id"]
    sent = [
        world.client.send(world.back_command(paid, 1000, channel_refund_no="R-1")) for _ in range(2)
    ]

    answers = [world.wait(ref) for ref in sent]

    assert ["", "conflict"] == sorted(each.code for each in answers)
    assert 1 == len(rows_of(world).refunds)


def test_a_refund_is_booked_whatever_is_left(world):
    """The money has gone back already: not to book it would hide it. Our own would fail."""
    merchant = world.merchants[0].id
    all_of_it = Terms((Part(world.receivers[0].id, 3786),))
    first = world.report(split=all_of_it).body["id"]
    pending, key = chart.receiver_pending(world.receivers[0].id, world.merchants[0].partition), "k"
    world.core.books._balances[pending, "cny"] = 0  # As if it had been paid out to the receiver.

    given_back = world.give_back(first, key=key)
    world.core.books._balances[pending, "cny"] -= 3786

    assert 3786 == given_back.body["splits_returned"][0]["debt"]
    assert 0 == world.balance(chart.merchant_pending(merchant))


def test_what_was_taken_here_is_not_refunded_there(world):
    """Nor the other way round: each gateway gives back what it took; nothing cancels a report."""
    told = world.report().body["id"]

    assert "not_refundable" == world.wait(world.refund(told)).code
    assert "not_cancelable" == world.wait(world.cancel(told)).code
    early = world.give_back(told, refunded_at=world.clock.now_ms() - 2 * HOUR_MS)
    assert ("invalid_field", "/refunded_at") == (early.code, early.reply.param)
    assert "not_found" == world.give_back(told, merchant=1).code


def test_reports_are_listed_by_themselves(world):
    """And among the payments, where they are payments like any other."""
    told = world.report().body["id"]
    owner = world.merchants[0].id

    def listed(kind, filters):
        asked = ReadList(0, owner, kind, 10, filters)
        page = world.wait(world.client.send(asked)).body
        return page["url"], [each["id"] for each in page["data"]]

    assert ("/v1/reported_payments", [told]) == listed("reported_payment", {"entry": "reported"})
    assert ("/v1/payments", [told]) == listed("payment", {})
    assert ("/v1/payments", []) == listed("payment", {"entry": "api"})


def test_reports_take_up_no_limits(world):
    """What another gateway let through does not count as risk of ours."""
    world.report(amount=10**9)

    payments = [decode_payment(row[8]) for row in rows_of(world).payments]
    assert Counters() == Counters.from_payments(payments)


def test_the_channels_day_is_that_of_the_payment(world):
    """The channel pays for the day on which it took the money, whenever we were told."""
    now = world.clock.now_ms()
    paid = world.report(paid_at=now - 3 * DAY_MS, metadata={"note": "plain"}).body["id"]
    world.give_back(paid, 100, refunded_at=now - DAY_MS)
    said = world.report(metadata={"note": "reported"})

    rows = rows_of(world)
    bodies = {row[1]: row[8] for row in rows.payments} | {row[1]: row[7] for row in rows.refunds}
    entries = [(row[0], row[2], row[3], row[5], row[7], bodies[row[4]]) for row in rows.entries]
    days = [line[6] for line in lines_of(entries)]

    assert [business_date(now - 3 * DAY_MS), business_date(now - DAY_MS)] == days[:2]
    assert business_date(said.command.paid_at) == days[2]


def test_our_own_day_is_that_of_the_entry():
    """A word in the metadata does not make a payment somebody else's."""
    world = Reported().start()
    world.pay(metadata={"note": "reported"})

    rows = rows_of(world)
    (entry,), (payment,) = rows.entries, rows.payments
    row = (entry[0], entry[2], entry[3], NOW_MS - 5 * DAY_MS, entry[7], payment[8])
    assert business_date(NOW_MS - 5 * DAY_MS) == next(lines_of([row]))[6]
    world.close()


@settings(max_examples=25, deadline=None)
@given(
    amount=st.integers(1, 10**8),
    cut=st.integers(0, 10**6),
    fee=st.integers(0, 10**6),
    ratios=st.lists(st.integers(1, 400_000), max_size=2),
    refunds=st.lists(st.integers(1, 10**8), max_size=4),
)
def test_whatever_is_reported_adds_up(amount, cut, fee, ratios, refunds):
    """Postings balance, shares are never below zero, a full refund leaves nothing anywhere."""
    world = Reported().start()
    parts = tuple(
        Part(receiver.id, None, ratio)
        for receiver, ratio in zip(world.receivers, ratios, strict=False)
    )
    settles = max(0, amount - cut)
    terms = Terms(parts) if parts else None

    told = world.report(amount=amount, settle_amount=settles, fee=min(fee, settles), split=terms)
    given_back = [world.give_back(told.body["id"], each) for each in refunds]
    last = world.give_back(told.body["id"])

    done = sum(ack.command.amount for ack in given_back if ack.code == "")
    assert done <= amount
    assert ("exceeds_paid" if done == amount else "") == last.code
    assert all(world.balance(row[0]) == 0 for row in rows_of(world).balances)
    assert [] == judge(world)
    world.close()


def test_the_row_keeps_the_channels_number_by_its_digest_only(world):
    """An index finds the second report of a trade; it needs no text for that."""
    told = world.report(trade="T-1")

    (row,) = rows_of(world).payments
    assert index_of(told.command.trade_digest) == row[6]
    assert "T-1" == msgspec.json.decode(told.reply.body)["channel_trade_no"]
