"""A payer's page among channels that answer late, twice or not at all: one charge at most."""

import random

import pytest
from msgspec.structs import replace

from page_shop import ALIPAY, SHEET, WECHAT, Shop
from payments.channels.base import Approved, Awaiting, Declined, Unknown, Unpaid
from payments.lifecycle import DEFAULT_SCHEDULE, answered_look, number_of
from payments.pages import CHOICES_MAX
from payments.payment import Status


class Channels:
    """Channels that do what they are asked, late, twice or not at all, and payers who pay."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.shop = Shop()
        self.orders = {}
        self.sheets = set()

    def answer(self):
        """Take one question that waits, do it, and perhaps lose the answer."""
        if not self.shop.asks:
            return
        ask, number = self.shop.asks.pop(self.random.randrange(len(self.shop.asks)))
        outcome = getattr(self, ask)(number)
        attempt = self.shop.payment.attempt
        if attempt is None or number != number_of(self.shop.payment):
            return
        if self.random.random() < 0.2:
            outcome = Unknown("lost")
        if isinstance(outcome, Awaiting):
            self.sheets.add(number)
        if self.shop.payment.is_final:
            self.shop.did(
                answered_look(self.shop.payment, outcome, self.shop.now, DEFAULT_SCHEDULE)
            )
        elif ask == "pay":
            self.shop.pay_answered(outcome)
        elif ask == "close":
            self.shop.undo_answered(outcome)
        else:
            self.shop.inquiry_answered(outcome)

    def pay(self, number):
        if self.random.random() < 0.2:
            return Declined("channel_error", "no")
        self.orders.setdefault(number, "open")
        return SHEET if self.orders[number] == "open" else Declined("channel_error", "closed")

    def close(self, number):
        if self.orders.get(number) == "paid":
            return Declined("channel_error", "paid", "ORDERPAID")
        self.orders[number] = "closed"
        return Approved(number, self.shop.payment.amount)

    def inquire(self, number):
        state = self.orders.get(number, "absent")
        return Approved(number, self.shop.payment.amount) if state == "paid" else Unpaid(state)

    def step(self):
        dice = self.random.random()
        page = self.shop.payment
        if dice < 0.25 and page.is_page_open and page.page.choices < CHOICES_MAX:
            self.shop.choose(self.random.choice([WECHAT, ALIPAY, replace(ALIPAY, payer="x")]))
        elif dice < 0.35:
            # Whoever has a sheet may pay, also one that was closed meanwhile: the channel decides.
            for number in sorted(self.sheets):
                if self.orders[number] == "open" and self.random.random() < 0.5:
                    self.orders[number] = "paid"
        elif dice < 0.37 and not page.is_final and not page.cancel_requested:
            self.shop.cancel()
        elif dice < 0.7:
            self.answer()
        else:
            self.shop.pass_ms(self.random.choice([100, 2_000, 20_000]))


@pytest.mark.parametrize("seed", range(200))
def test_one_charge_at_most(seed):
    """Whatever is chosen, lost or late: never two open orders with a sheet, never two charges."""
    world = Channels(seed)
    for _ in range(150):
        world.step()
        open_sheets = [n for n in world.sheets if world.orders[n] == "open"]
        charged = [n for n, state in world.orders.items() if state == "paid"]
        assert len(open_sheets) <= 1, seed
        assert len(charged) <= 1, seed
        if world.shop.payment.status is Status.SUCCEEDED:
            assert charged == [number_of(world.shop.payment)], seed
