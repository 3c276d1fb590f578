"""Where the payer is goes to the channel with the attempt, and into no file."""

import pytest

from actors.messages import (
    Answer,
    LaneCredit,
    LaneIdentify,
    LanePay,
    LaneReply,
    PageAsk,
    Pay,
)
from home_shard import HomeShard, KeptLink
from payments.channels.base import Known
from payments.payment import Way
from payments.routing import Router
from payments.testing import DIGESTS, a_merchant, an_account

MERCHANT = a_merchant()
IP = "203.0.113.7"


@pytest.fixture
def shop(tmp_path):
    """A shard on a file, with a lane to a channel of the outside world."""
    world = HomeShard([MERCHANT], path=tmp_path / "shard.db")
    world.core.lanes.wired = frozenset({"wx"})
    world.lane = KeptLink("lane-wx-0", "lane")
    world.hear(world.lane, LaneCredit("wx", 0, 8, "closed"))
    yield world
    world.close()


def paid(shop, ip):
    identifier = shop.mint.new("pay", shop.clock.now_ms(), MERCHANT.partition)
    asked = Pay(
        1, identifier, MERCHANT.id, DIGESTS.key(MERCHANT.id, "k"), b"f" * 16, 0, 0, "o-1", 3800,
        "cny", "h5", 0, "wechat", order_hash=DIGESTS.order(MERCHANT.id, "o-1"), payer_ip=ip,
    )  # fmt: skip
    shop.hear(shop.front, asked)
    return shop.lane.take(LanePay)


@pytest.mark.parametrize("ip", [IP, None])
def test_the_lane_is_told_what_the_request_said(shop, ip):
    """None where it said nothing: nobody makes an address up here."""
    (sent,) = paid(shop, ip)

    assert ("h5", ip) == (sent.way, sent.payer_ip)


@pytest.mark.parametrize("ip", [IP, None])
def test_a_payers_page_says_where_its_browser_is(shop, ip):
    """The till cannot know it; where no proxy says it, the channel is told nothing."""
    shop.core.lanes.router = Router((an_account("wx", ways=(Way.JSAPI,)),))
    identifier = shop.mint.new("pay", shop.clock.now_ms(), MERCHANT.partition)
    made = Pay(
        1, identifier, MERCHANT.id, DIGESTS.key(MERCHANT.id, "k"), b"f" * 16, 0, 0, "o-1", 3800,
        "cny", "cashier", 0, order_hash=DIGESTS.order(MERCHANT.id, "o-1"),
    )  # fmt: skip
    shop.hear(shop.front, made)
    chosen = PageAsk(
        2, identifier, "choose", "wechat", "code", consent=b"c" * 16, account="wx", payer_ip=ip
    )
    shop.hear(shop.front, chosen)
    (asked,) = shop.lane.take(LaneIdentify)

    shop.hear(shop.lane, LaneReply(asked.ref, "", Known("openid-1")))

    (sent,) = shop.lane.take(LanePay)
    assert ("jsapi", "openid-1", ip) == (sent.way, sent.payer, sent.payer_ip)


def test_it_is_in_no_file_and_no_answer(shop, tmp_path):
    """It is personal, and what is not kept cannot leak."""
    paid(shop, IP)
    shop.store.abandon()

    assert all(IP.encode() not in path.read_bytes() for path in tmp_path.iterdir())
    assert all(IP.encode() not in each.body for each in shop.front.take(Answer))
