"""Return orders over the wire: a lane asks our connector, that the sandbox; then money goes back.

What the sandbox's books say is shared, held and refunded must be what the rules of
`payments/splitting/taking_back.py` make of its answers.
"""

import asyncio

import pytest

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.messages import LanePay, LaneRefund, LaneReply
from actors.sharing_messages import LaneShare, LaneShared
from payments.channels.base import Approved, Declined
from payments.channels.sharing import Absent, Holder, NotDone, Registered, Returned, Unclear
from payments.channels.transport import NoAnswer
from payments.channels.wechat import crypto
from payments.channels.wechat import sandbox_sharing_books as log
from payments.splitting import taking_back as rules
from payments.splitting.dividing import Division, Piece, Stage, heard, order_of, sent

PAYMENT = "pay_01M7Y4WH5A000W7H0V64525C"
ORDER = "01M7Y4WH5A000W7H0V64525C00"
REFUND = "rfd_01M7Y4WH5A000W7H0V64525D"
RIDER, POOR, GONE = "1900000201", "1900009502", "1900009501"
WAIT_S = 20


class Peer:
    """The shard's side of a link."""

    peer_name, peer_role = "shard-0", "shard"

    def __init__(self):
        self.got = asyncio.Queue()

    def send(self, message):
        if isinstance(message, LaneReply | LaneShared):
            self.got.put_nowait(message)
        return True


class Till:
    """One lane over the connector, and one payment of ¥100 that was divided."""

    def __init__(self, shop):
        channel = shop.channel()
        key = crypto.load_public_key(shop.given["public_key_pem"].encode())
        channel.sharing._encrypt = lambda text: crypto.encrypt_field(key, text)
        self.shop, self.peer = shop, Peer()
        limits = LaneLimits()
        self.lane = ChannelLane("lane", "wechat-1", 0, channel, shop.clock, limits, lambda *_: True)
        self.lane.on_link(self.peer)

    async def ask(self, message):
        self.lane.on_messages(self.peer, [message])
        async with asyncio.timeout(WAIT_S):
            return await self.peer.got.get()

    async def sell(self, *parts):
        """The division of ¥100 among (account, fen), over at the channel."""
        pay = LanePay(
            1, ORDER, 10_000, "cny", "barcode", "mch_1", "wechat", "130000000000000000",
            created=1, is_shared=True,
        )  # fmt: skip
        trade_no = (await self.ask(pay)).outcome.channel_trade_no
        holders = [Holder("MERCHANT_ID", account, "STORE", "店") for account, _ in parts]
        for holder in holders:
            said = await self.ask(LaneShare(0, "register", "dvn_1", "mch_1", holder))
            assert Registered(holder.account) == said.answer
        pieces = tuple(
            Piece(f"rcv_{at}", amount, holder)
            for at, (holder, (_, amount)) in enumerate(zip(holders, parts, strict=True))
        )
        division = sent(Division(PAYMENT, "mch_1", 1, "wechat-1", trade_no, 10_000, 0, pieces))
        for op in ("share", "inquire_share"):
            order = order_of(division)
            said = await self.ask(LaneShare(0, op, "dvn_1", "mch_1", None, order))
            division = heard(division, said.answer, 1)
        assert Stage.OVER is division.stage
        return division

    async def take_back(self, division):
        """All return orders of the turn, asked and asked about."""
        turn = division.turn
        division, _ = rules.asked_back(division, turn)
        for op in ("take_back", "inquire_return"):
            for back in rules.open_backs(division.turn):
                said = await self.back(op, rules.return_of(division, turn, back))
                division = rules.heard_back(division, said.number, said.answer)
        return division

    async def back(self, op, asked):
        return await self.ask(LaneShare(0, op, "dvn_1", "mch_1", back=asked))

    async def refund(self, amount):
        asked = LaneRefund(
            2,
            "refund",
            ORDER,
            REFUND[4:],
            amount,
            10_000,
            "cny",
            "barcode",
            "wechat",
            "mch_1",
            1,
            1,
        )
        said = (await self.ask(asked)).outcome
        if isinstance(said, Approved | Declined):
            return said
        inquire = LaneRefund(
            2, "inquire_refund", ORDER, REFUND[4:], amount, 10_000, "cny", "barcode", "wechat",
            "mch_1", 1, 1,
        )  # fmt: skip
        return (await self.ask(inquire)).outcome

    def position(self):
        order = next(iter(self.shop.sandbox.books))
        return self.shop.sandbox.sharing.position(order, log.shared_of(order))


@pytest.fixture
def till(shop):
    made = Till(shop)
    yield made
    made.lane.close()


def owed(division, settle_back, *backs):
    return rules.given(division, settle_back, backs)[1]


async def test_parts_come_back_and_all_of_it_is_refunded(till):
    division = await till.sell((RIDER, 500), ("1900000202", 1_000))
    assert isinstance(await till.refund(10_000), Declined), "the receivers still have some of it"
    division = await till.take_back(rules.started(division, REFUND, (500, 1_000)))
    assert rules.is_back(division.turn)
    assert (0, 10_000, 0) == where(till)

    assert isinstance(await till.refund(10_000), Approved)

    assert (0, 0) == owed(division, 10_000, 500, 1_000)
    assert (0, 0, 0) == where(till)


def where(till):
    position = till.position()
    return position.held, position.own, position.shared


@pytest.mark.parametrize(
    ("account", "reason"), [(POOR, "BALANCE_NOT_ENOUGH"), (GONE, "ACCOUNT_ABNORMAL")]
)
async def test_what_a_receiver_cannot_return_is_its_debt_and_the_merchant_pays(
    till, account, reason
):
    division = await till.sell((RIDER, 500), (account, 1_000))
    division = await till.take_back(rules.started(division, REFUND, (250, 500)))

    assert ["", reason] == [back.reason for back in division.turn.backs]
    assert isinstance(await till.refund(5_000), Approved)
    assert (0, 500) == owed(division, 5_000, 250, 500)
    # 8500 were the merchant's and 250 came back: 5000 went to the guest.
    assert (0, 3_750, 1_250) == where(till)


async def test_the_guest_cannot_have_what_nobody_has(till):
    """The merchant has nothing else at the channel: the refund is declined, in a word."""
    division = await till.sell((POOR, 1_000))
    await till.take_back(rules.started(division, REFUND, (1_000,)))

    said = await till.refund(10_000)

    assert ("channel_error", "NOT_ENOUGH") == (said.code, said.channel_code)


async def test_more_than_was_given_is_refused(till):
    division = await till.sell((RIDER, 500))
    started = rules.started(division, REFUND, (500,))
    asked = rules.return_of(started, started.turn, started.turn.backs[0])

    assert (
        NotDone("NOT_ENOUGH")
        == (
            await till.back(
                "take_back", type(asked)(*[*_values(asked)[:4], 501, asked.description])
            )
        ).answer
    )
    assert Absent() == (await till.back("inquire_return", asked)).answer
    said = await till.back("take_back", asked)
    assert (Returned(asked.return_no, 500, "pending"), asked.return_no) == (
        said.answer,
        said.number,
    )


def _values(struct):
    return [getattr(struct, name) for name in struct.__struct_fields__]


async def test_after_180_days_it_is_a_debt(till, shop):
    division = await till.sell((RIDER, 500))
    shop.clock.offset_ms += 180 * 86_400_000 + 1
    division = await till.take_back(rules.started(division, REFUND, (500,)))

    assert ["INVALID_REQUEST"] == [back.reason for back in division.turn.backs]
    assert (500,) == owed(division, 10_000, 500)


class Deaf:
    """An HTTP client that does as it is told and loses the next answer."""

    def __init__(self, http):
        self._http, self.is_deaf = http, True

    async def send(self, request):
        answer = await self._http.send(request)
        if self.is_deaf:
            self.is_deaf = False
            raise NoAnswer
        return answer


async def test_a_lost_answer_is_asked_about_by_its_number(till, shop):
    division = await till.sell((RIDER, 500))
    started = rules.started(division, REFUND, (500,))
    asked = rules.return_of(started, started.turn, started.turn.backs[0])
    deaf = shop.channel(Deaf(shop.http)).sharing

    assert isinstance(await deaf.take_back(asked), Unclear)
    said = await till.back("inquire_return", asked)
    assert Returned(asked.return_no, 500, "success") == said.answer
    assert 0 == till.position().shared
    again = await till.back("take_back", asked)
    assert Returned(asked.return_no, 500, "pending") == again.answer, "the same number, once"
    assert 0 == till.position().shared


async def test_before_it_is_divided_the_refund_comes_out_of_what_is_held(till):
    pay = LanePay(
        1, ORDER, 10_000, "cny", "barcode", "mch_1", "wechat", "130000000000000000",
        created=1, is_shared=True,
    )  # fmt: skip
    assert isinstance((await till.ask(pay)).outcome, Approved)

    assert isinstance(await till.refund(2_500), Approved)

    assert (7_500, 0, 0) == where(till)
