"""What a channel tells us unasked: verified before it is read, and acknowledged when it is durable.

The callbacks are the sandbox's own, brought by its courier over a real socket.
"""

import pytest
from msgspec.structs import replace

from all_rigs import over
from payments.channels.base import Approved
from payments.channels.transport import Callback
from rigs import NUMBER, put

SOON = 0.001
"""The channel's retry plan, that much faster."""
JUNK = [b"", b"{}", b"[]", b"null", b"\xff" * 40, b"{" * 100_000, b"a=b", b"<xml/>", b"sign=a"]


async def told(stand, verb="pay"):
    """A code, paid by its payer: the first callback that came of it."""
    await stand.channel.pay(stand.shown())
    assert "" == stand.act(NUMBER, verb)
    (heard, *_) = await stand.inbox.wait(1)
    return stand.inbox.came[0], heard


@over("wire", "qr", "callbacks")
async def test_a_payment_is_told_under_our_number_and_amount(stand):
    """As a query would say it, and acknowledged in the channel's own words."""
    _, heard = await told(stand)

    assert heard.notice.out_trade_no == NUMBER
    assert heard.notice.out_refund_no is None
    assert isinstance(heard.notice.outcome, Approved)
    assert (NUMBER, 3800) == (heard.notice.outcome.out_trade_no, heard.notice.outcome.amount)
    assert heard.notice.outcome == await stand.channel.inquire(stand.about(stand.shown()))
    assert 200 <= heard.answer.status < 300
    assert not stand.sandbox.accepted(heard.refusal.status, heard.refusal.body)
    assert stand.sandbox.accepted(heard.answer.status, heard.answer.body)


@over("wire", "qr", "callbacks")
async def test_a_duplicate_says_the_same_again(stand):
    """Normal with every channel: whoever hears it twice knows by the order's number."""
    await told(stand, "pay_twice")
    first, second, *_ = await stand.inbox.wait(2)

    assert first.notice == second.notice


@over("wire", "qr", "callbacks")
async def test_what_was_not_made_durable_is_told_again(stand):
    """The refusal makes the channel come again; the acknowledgment ends it."""
    stand.sandbox.courier.retry_factor = SOON
    stand.inbox.reply = lambda heard: heard.refusal
    await told(stand)
    stand.inbox.reply = lambda heard: heard.answer
    first, second, *_ = await stand.inbox.wait(2)

    assert first.notice == second.notice


@over("wire", "qr", "refund_callbacks")
async def test_a_refund_is_told_under_its_number(stand):
    await told(stand)
    back = stand.back(stand.shown(), 1000)
    assert isinstance(await stand.channel.refund(back), Approved)
    _, heard, *_ = await stand.inbox.wait(2)

    assert (NUMBER, "R1AZ0000") == (heard.notice.out_trade_no, heard.notice.out_refund_no)
    assert isinstance(heard.notice.outcome, Approved)
    assert 1000 == heard.notice.outcome.amount


@over("wire", "qr", "callbacks")
async def test_a_callback_signed_by_somebody_else_says_nothing(stand):
    """And is refused, so that the channel, if it was the channel, comes again."""
    callback, _ = await told(stand)
    forged = stand.rig.forged_callback(callback, lambda facts: None, key="stranger")
    heard = await stand.hear(forged)

    assert heard.notice is None
    assert not stand.sandbox.accepted(heard.answer.status, heard.answer.body)


@over("wire", "qr", "callbacks")
async def test_signed_again_by_the_channel_it_is_heard(stand):
    """The forger's tool works: it is the key that makes the difference."""
    callback, heard = await told(stand)
    again = stand.rig.forged_callback(callback, lambda facts: None)

    assert (await stand.hear(again)).notice == heard.notice


@over("wire", "qr", "callbacks")
@pytest.mark.parametrize("what", ["merchant", "app"])
async def test_a_callback_for_somebody_else_says_nothing(stand, what):
    """Signed by the channel, and for another merchant or app: none of our business."""
    callback, _ = await told(stand)
    path = stand.rig.callback_fields.get(what)
    forged = callback
    if path is not None:
        forged = stand.rig.forged_callback(callback, lambda f: put(f, path, "2088000000000000"))
    heard = await stand.hear(forged)

    assert (heard.notice is None) == (path is not None)


@over("wire", "qr", "callbacks")
async def test_another_order_or_amount_is_told_as_it_was_signed(stand):
    """The shard knows whether it is an order of ours, and of how much."""
    callback, _ = await told(stand)
    fields = stand.rig.callback_fields
    order = stand.rig.forged_callback(callback, lambda f: put(f, fields["order"], "01K5AZOTHER"))
    amount = stand.rig.forged_callback(
        callback, lambda f: put(f, fields["amount"], stand.rig.amount(3801))
    )

    assert "01K5AZOTHER" == (await stand.hear(order)).notice.out_trade_no
    heard = await stand.hear(amount)
    assert heard.notice is None or getattr(heard.notice.outcome, "amount", 3801) == 3801


@over("wire", "qr", "callbacks")
async def test_every_cut_and_every_flipped_bit_says_nothing_new(stand):
    """Of the body, and of each header: no notice, or the very same one."""
    callback, honest = await told(stand)
    body = callback.body
    damaged = [replace(callback, body=body[:cut]) for cut in range(0, len(body), 7)]
    for place in range(0, len(body), 5):
        flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        damaged.append(replace(callback, body=flipped))
    for name, text in callback.headers.items():
        kept = {other: value for other, value in callback.headers.items() if other != name}
        damaged += [replace(callback, headers=kept)]
        damaged += [replace(callback, headers={**kept, name: value}) for value in ("", text[:-1])]

    for each in damaged:
        heard = await stand.hear(each)
        assert heard.notice in (None, honest.notice), each
        accepted = stand.sandbox.accepted(heard.answer.status, heard.answer.body)
        assert heard.notice is not None or not accepted, each


@over("wire", "qr", "callbacks")
async def test_junk_says_nothing_and_is_refused(stand):
    """Anybody can send anything there."""
    callback, _ = await told(stand)
    for method in ("GET", "POST"):
        for body in JUNK:
            for headers in ({}, callback.headers):
                heard = await stand.hear(Callback(method, "a=b&c", headers, body))
                assert heard.notice is None
                assert not stand.sandbox.accepted(heard.answer.status, heard.answer.body)
