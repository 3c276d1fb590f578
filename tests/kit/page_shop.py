"""A payer's page without a shard: its payment, and what would be asked of the channels."""

from msgspec.structs import replace

from payments.channels.base import Approved, Awaiting
from payments.choosing import choose
from payments.fees import DEFAULT_PLAN
from payments.folding import apply
from payments.ids import out_trade_no
from payments.lifecycle import (
    DEFAULT_SCHEDULE,
    answered_inquiry,
    answered_pay,
    answered_undo,
    cancel,
    due,
    number_of,
)
from payments.pages import begin, is_ready
from payments.payment import AttemptState, Choice, Page, Status, Way
from payments.testing import NOW_MS, a_payment

WECHAT = Choice("wechat", "openid-1", "wechat-1", b"browser-1")
ALIPAY = Choice("alipay", "2088000000000001", "alipay-1", b"browser-2")
SHEET = Awaiting(None, {"package": "prepay_id=1"})
EXPIRES_AT = NOW_MS + 300_000
S = AttemptState


def a_page(**changes):
    """A cashier payment that nobody has opened yet."""
    fields = {
        "attempt": None,
        "way": Way.CASHIER,
        "wallet": None,
        "status": Status.REQUIRES_PAYER,
        "page": Page(),
        "expires_at": EXPIRES_AT,
        "next_action_at": EXPIRES_AT,
        "verdict_by": EXPIRES_AT + 120_000,
    }
    return replace(a_payment(), **{**fields, **changes})


class Shop:
    """A page, and what its shard would have asked the channels."""

    def __init__(self, payment=None):
        self.payment = payment or a_page()
        self.now = NOW_MS
        self.asks = []

    def did(self, decision):
        for event in decision.events:
            self.payment = apply(self.payment, event)
        if decision.ask is not None:
            self.asks.append((decision.ask, number_of(self.payment)))
        if is_ready(self.payment, self.now):
            choice = self.payment.page.wanted
            sent = begin(self.payment, choice.wallet, choice.account, self.now, self.now + 2_000)
            self.payment = apply(self.payment, sent)
            self.asks.append(("pay", number_of(self.payment)))
        return decision

    def choose(self, choice):
        return self.did(choose(self.payment, choice, self.now, DEFAULT_SCHEDULE))

    def pay_answered(self, outcome):
        return self.did(
            answered_pay(self.payment, outcome, self.now, DEFAULT_SCHEDULE, DEFAULT_PLAN)
        )

    def inquiry_answered(self, outcome):
        return self.did(
            answered_inquiry(self.payment, outcome, self.now, DEFAULT_SCHEDULE, DEFAULT_PLAN)
        )

    def undo_answered(self, outcome):
        return self.did(answered_undo(self.payment, outcome, self.now, DEFAULT_SCHEDULE))

    def cancel(self):
        return self.did(cancel(self.payment, self.now, DEFAULT_SCHEDULE, None))

    def pass_ms(self, ms):
        self.now += ms
        at = self.payment.next_action_at
        if at is not None and at <= self.now:
            self.did(due(self.payment, self.now, DEFAULT_SCHEDULE))

    def paid(self, attempt=None):
        number = number_of(self.payment)
        if attempt is not None:
            number = out_trade_no(self.payment.id, attempt)
        return Approved(number, self.payment.amount, "ch-1")

    @property
    def state(self):
        attempt = self.payment.attempt
        return (self.payment.status, None if attempt is None else attempt.state)
