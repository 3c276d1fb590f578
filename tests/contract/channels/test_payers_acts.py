"""A payer who acts when told, at each sandbox: `/_sandbox/pay` and its like, by our test helpers.

Some channels hear of an order only when its payer opens it: an app's order string, a browser's
page. Telling the payer to act is telling them to open it first.
"""

import pytest

from all_rigs import over
from payments.channels.base import Approved, Awaiting, Declined
from payments.channels.sandboxed import Sandboxed
from payments.payment import Way
from rigs import NUMBER
from saying import kept


def with_payers(stand):
    return Sandboxed(stand.channel, stand.http, stand.served.url)


async def acted(stand, way, verb):
    """Show an order to a payer, and let them act. What the order's query says then."""
    channel, order = with_payers(stand), stand.shown(way=way)
    assert isinstance(await channel.pay(order), Awaiting)
    done = await channel.act(NUMBER, verb)
    assert isinstance(done, Approved), done
    return await channel.inquire(stand.about(order))


@over("qr", "wire")
async def test_a_payer_scans_and_pays(stand):
    assert isinstance(await acted(stand, Way.QR, "pay"), Approved)
    assert 3800 == kept(stand)


@over("jsapi")
async def test_a_payer_pays_on_a_wallets_page(stand):
    assert isinstance(await acted(stand, Way.JSAPI, "pay"), Approved)
    assert 3800 == kept(stand)


@over("app")
async def test_a_payer_opens_the_wallet_and_pays(stand):
    assert isinstance(await acted(stand, Way.APP, "pay"), Approved)
    assert 3800 == kept(stand)


@over("h5")
async def test_a_payer_opens_the_page_and_pays(stand):
    assert isinstance(await acted(stand, Way.H5, "pay_twice"), Approved)
    assert (3800, 1) == (kept(stand), stand.books()[NUMBER].charges)


@over("h5")
async def test_a_payer_opens_the_page_and_leaves(stand):
    assert not isinstance(await acted(stand, Way.H5, "decline"), Approved)
    assert 0 == kept(stand)


@over("wire")
@pytest.mark.parametrize("verb", ["pay", "decline", "pay_late", "pay_twice"])
async def test_nobody_acts_on_an_order_that_is_not_there(stand, verb):
    assert isinstance(await with_payers(stand).act(NUMBER, verb), Declined)
