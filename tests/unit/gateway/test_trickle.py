"""The demo's crowd: repeatable by its seed, with codes that nobody showed before."""

import asyncio
from collections import Counter

from gateway.trickle import NUMBERS_MAX, PLAIN_ENDINGS, POOR, SCANS, Trickle, shop_of
from payments.barcodes import wallet_of

GUESTS = 20_000


def crowd(seed=7, start_s=1_795_000_000, count=GUESTS):
    trickle = Trickle("http://h", "k", 10, seed, start_s)
    return [trickle.next_guest() for _ in range(count)]


def test_the_same_seed_brings_the_same_guests():
    """With the same orders, wallets and troubles, at whatever time; only numbers are new."""

    def told(guests):
        return [
            (
                guest.order["amount"],
                guest.order["subject"],
                guest.order.get("wallet") or wallet_of(guest.order["auth_code"]),
                guest.habit,
                guest.wants_back,
                guest.takes_s,
            )
            for guest in guests
        ]

    assert told(crowd()) == told(crowd(start_s=1_795_086_400))
    assert told(crowd()) != told(crowd(seed=8))


def test_no_code_and_no_order_number_comes_twice():
    """A code is taken once: not again in this run, nor in one that was begun before or after."""
    guests = [guest for start in (0, 1, 86_400) for guest in crowd(start_s=1_795_000_000 + start)]
    codes = [guest.order["auth_code"] for guest in guests if "auth_code" in guest.order]
    orders = [guest.order["order_no"] for guest in guests]
    assert len(codes) == len(set(codes))
    assert len(orders) == len(set(orders))
    assert GUESTS > PLAIN_ENDINGS
    assert GUESTS < NUMBERS_MAX


def test_codes_are_of_a_wallet_that_the_sandboxes_have_and_mostly_plain():
    """A few wait for a PIN, fewer are poor, some scan; everybody else just pays."""
    guests = crowd()
    habits = Counter(guest.habit for guest in guests)
    assert 0.9 < habits[""] / GUESTS < 0.94
    assert 0.05 < habits[SCANS] / GUESTS < 0.09
    assert 0 < habits[POOR] / GUESTS < 0.01
    for guest in guests:
        code = guest.order.get("auth_code")
        if code is None:
            assert guest.order["wallet"] in ("alipay", "wechat", "unionpay")
        else:
            assert wallet_of(code) in ("alipay", "wechat", "unionpay")
            assert (code[-4:] < "9000") is (guest.habit == "")


def test_the_shop_is_the_seeds_first_merchant():
    """And a seed without one is no error."""
    table = {"merchants": [{"name": "Wang", "stores": [{"terminals": [{}, {}]}, {}]}, {}]}
    assert ("Wang", 2, 2) == shop_of(table)
    assert ("", 0, 0) == shop_of({})


async def test_who_is_served_when_it_stops_leaves_before_the_connections_close(monkeypatch):
    """Cancelled in the middle of a visit: nobody asks through a session that is closed."""
    served, began, ended = [], asyncio.Event(), []

    async def serve(self, session, guest):
        served.append(asyncio.current_task())
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(session.closed)

    monkeypatch.setattr(Trickle, "_serve", serve)
    running = asyncio.create_task(Trickle("http://h", "k", 1_000.0, 7, 0).run())
    await began.wait()

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert all(task.done() for task in served)
    assert [False] * len(served) == ended
