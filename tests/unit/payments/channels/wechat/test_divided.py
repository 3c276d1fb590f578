"""A lane asks our connector, that the sandbox: its books and the decisions of shards agree."""

import asyncio

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.messages import LanePay, LaneReply
from actors.sharing_messages import LaneShare, LaneShared
from payments.channels.sharing import Absent, Divided, Holder, NotDone, Registered
from payments.channels.wechat import crypto
from payments.channels.wechat import sandbox_sharing_books as log
from payments.splitting.dividing import (
    Division,
    Piece,
    PieceState,
    Stage,
    asked,
    heard,
    order_of,
    sent,
)

PAYMENT = "pay_01M7Y4WH5A000W7H0V64525C"
ORDER = "01M7Y4WH5A000W7H0V64525C00"
RIDER = Holder("MERCHANT_ID", "1900000201", "PARTNER", "河边餐饮有限公司")
CLOSED = Holder("MERCHANT_ID", "1900009401", "STORE", "店")
GUEST = Holder("PERSONAL_OPENID", "openid-of-a-rider", "STAFF")
WAIT_S = 60


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
    """One lane over the connector."""

    def __init__(self, shop):
        channel = shop.channel()
        key = crypto.load_public_key(shop.given["public_key_pem"].encode())
        channel.sharing._encrypt = lambda text: crypto.encrypt_field(key, text)
        self.peer = Peer()
        limits = LaneLimits()
        self.lane = ChannelLane("lane", "wechat-1", 0, channel, shop.clock, limits, lambda *_: True)
        self.lane.on_link(self.peer)

    async def ask(self, message):
        self.lane.on_messages(self.peer, [message])
        async with asyncio.timeout(WAIT_S):
            return await self.peer.got.get()

    async def sell(self, total, *, is_shared=True):
        pay = LanePay(
            1, ORDER, total, "cny", "barcode", "mch_1", "wechat", "130000000000000000",
            created=1, is_shared=is_shared,
        )  # fmt: skip
        return (await self.ask(pay)).outcome

    async def share(self, op, division):
        order = order_of(division)
        return (await self.ask(LaneShare(0, op, "dvn_1", "mch_1", None, order))).answer

    async def name(self, *holders):
        for holder in holders:
            said = await self.ask(LaneShare(0, "register", "dvn_1", "mch_1", holder))
            assert Registered(holder.account) == said.answer


def division_of(trade_no, settled, *parts):
    pieces = tuple(Piece(f"rcv_{at}", amount, holder) for at, (holder, amount) in enumerate(parts))
    return Division(PAYMENT, "mch_1", 1, "wechat-1", trade_no, settled, 0, pieces)


def position(shop):
    order = next(iter(shop.sandbox.books))
    shared = log.shared_of(order)
    return shop.sandbox.sharing.position(order, shared)


async def test_what_the_sandbox_paid_is_what_we_say_it_paid(shop):
    """¥100: 500 to a merchant, 700 to a person, 300 to one it cannot pay; the rest is let go."""
    till = Till(shop)
    trade_no = (await till.sell(10_000)).channel_trade_no
    division = division_of(trade_no, 10_000, (RIDER, 500), (GUEST, 700), (CLOSED, 300))
    assert (10_000, 0) == (position(shop).held, position(shop).own)
    await till.name(RIDER, GUEST, CLOSED)

    division = sent(division)
    assert Absent() == await till.share("inquire_share", division)
    said = await till.share("share", division)
    assert isinstance(said, Divided)
    assert division == heard(division, said, 1)
    assert said == await till.share("share", division), "the same number is the same order"
    over = heard(asked(division)[0], await till.share("inquire_share", division), 1)

    assert Stage.OVER is over.stage
    states = [piece.state for piece in over.pieces]
    assert [PieceState.SETTLED, PieceState.SETTLED, PieceState.FAILED] == states
    assert "ACCOUNT_ABNORMAL" == over.pieces[2].reason
    where = position(shop)
    paid = sum(piece.amount for piece in over.pieces if piece.state is PieceState.SETTLED)
    assert (0, 10_000 - paid, paid) == (where.held, where.own, where.shared)
    till.lane.close()


async def test_a_refused_order_lets_go_under_its_second_number(shop):
    till = Till(shop)
    trade_no = (await till.sell(1_000)).channel_trade_no
    await till.name(RIDER)
    division = sent(division_of(trade_no, 1_000, (RIDER, 301)))

    refused = await till.share("share", division)
    assert NotDone("RULE_LIMIT") == refused
    second = sent(heard(division, refused, 1))
    await till.share("share", second)
    over = heard(second, await till.share("inquire_share", second), 1)

    assert (2, Stage.OVER) == (over.step, over.stage)
    assert [PieceState.FAILED] == [piece.state for piece in over.pieces]
    assert (0, 1_000, 0) == (position(shop).held, position(shop).own, position(shop).shared)
    till.lane.close()


async def test_without_the_mark_nothing_is_held_back(shop):
    till = Till(shop)
    trade_no = (await till.sell(1_000, is_shared=False)).channel_trade_no

    division = sent(division_of(trade_no, 1_000, (RIDER, 100)))
    assert NotDone("INVALID_REQUEST") == await till.share("share", division)
    rest = sent(division_of(trade_no, 1_000))
    over = heard(rest, await till.share("share", rest), 1)
    assert Stage.OVER is over.stage, "there is nothing to let go of"
    till.lane.close()
