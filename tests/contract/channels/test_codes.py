"""The contract of what is shown to a payer: codes, and payments that begin in the wallet."""

from all_rigs import over, over_each
from payments.channels.base import Approved, Awaiting, Unpaid
from payments.payment import Way
from rigs import NUMBER
from saying import OVER, is_taken, kept


def is_open(stand, answer):
    """How a channel says that nobody has paid yet."""
    said = [Unpaid("open"), Unpaid("absent")] if "shown_is_absent" in stand.rig.can else []
    return isinstance(answer, Awaiting) or answer in (said or [Unpaid("open")])


@over("qr")
async def test_a_code_waits_for_its_payer(stand):
    """It is shown, open, paid, and then it is money like any other."""
    order = stand.shown()
    answer = await stand.channel.pay(order)

    assert isinstance(answer, Awaiting)
    assert answer.code
    assert is_open(stand, await stand.channel.inquire(stand.about(order)))
    assert "" == stand.act(NUMBER)
    paid = await stand.channel.inquire(stand.about(order))
    assert isinstance(paid, Approved)
    assert (NUMBER, 3800) == (paid.out_trade_no, paid.amount)
    assert 3800 == kept(stand)


@over("qr")
async def test_the_same_code_is_shown_again(stand):
    """A request whose answer was lost is sent again: the payer sees one code."""
    order = stand.shown()
    first, again = await stand.channel.pay(order), await stand.channel.pay(order)

    assert isinstance(first, Awaiting)
    assert first.code
    assert first == again or is_taken(stand, again)


@over("qr", "close")
async def test_a_code_can_be_closed(stand):
    """Closed is confirmed or not said at all; it may be asked twice, and nobody pays after it."""
    order = stand.shown()
    await stand.channel.pay(order)
    answers = [await stand.channel.close(stand.about(order)) for _ in range(2)]

    if "codes_expire_only" in stand.rig.can:
        assert not any(isinstance(answer, Approved) for answer in answers)
        return
    assert all(isinstance(answer, Approved) for answer in answers)
    assert await stand.channel.inquire(stand.about(order)) == Unpaid("closed")
    assert "" != stand.act(NUMBER)
    assert 0 == kept(stand)


@over("qr")
async def test_a_code_expires_at_the_channel_too(stand):
    """Every code carries an expiry: after it nobody can pay any more."""
    order = stand.shown()
    await stand.channel.pay(order)
    stand.advance(301)

    assert "" != stand.act(NUMBER)
    answer = await stand.channel.inquire(stand.about(order))
    assert answer in (*OVER, Unpaid("absent"))
    assert 0 == kept(stand)


@over("qr", "close")
async def test_a_code_that_was_paid_cannot_be_closed(stand):
    """The race of every till: the payer was faster."""
    order = stand.shown()
    await stand.channel.pay(order)
    stand.act(NUMBER)

    assert not isinstance(await stand.channel.close(stand.about(order)), Approved)
    assert isinstance(await stand.channel.inquire(stand.about(order)), Approved)


@over_each(("jsapi", "app", "h5"), "way")
async def test_a_payment_in_the_wallet_begins_with_what_the_wallet_needs(stand, way):
    """Parameters for the wallet's own script or SDK, or an address for the payer's browser."""
    order = stand.shown(way=Way(way))
    answer = await stand.channel.pay(order)

    assert isinstance(answer, Awaiting)
    assert answer.pay_url if way == "h5" else answer.client_params or answer.pay_url
    assert 0 == kept(stand)


@over_each(("jsapi", "app", "h5"), "way")
async def test_a_payment_in_the_wallet_is_money_when_the_payer_has_paid(stand, way):
    """A query finds it under our number and amount."""
    order = stand.shown(way=Way(way))
    await stand.channel.pay(order)
    await stand.open_in_wallet(order)
    assert "" == stand.act(NUMBER)

    paid = await stand.channel.inquire(stand.about(order))
    assert isinstance(paid, Approved)
    assert (NUMBER, 3800, 3800) == (paid.out_trade_no, paid.amount, kept(stand))
