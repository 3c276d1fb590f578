"""A made-up day with known differences: to learn with, to measure with, to prove the comparison by.

Each payment is one row of ours and one line of a bill, unless something is planted: then the two
differ in one way, which is written down. A comparison must find exactly what was written down.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.bills.lines import BillKind, BillLine, BillState
from payments.fees import FeePlan, fee
from payments.ids import BODY_LENGTH, IdMint, SeededEntropy, out_trade_no
from payments.payment import Attempt, AttemptState, Moment, Payment, Status, Way
from payments.reconciliation.differences import Kind
from payments.reconciliation.lines import day_bounds
from payments.refund import Refund, RefundStatus
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Part, Terms

ACCOUNT: Final = "rehearsal"
CHANNEL_ACCOUNT: Final = "1900000001"
RATE: Final = FeePlan("rehearsal", 6_000)
"""What the channel is agreed to charge: 0.6 %, half up per payment."""

SPLIT_EVERY: Final = 5
"""One payment in so many is split, and rightly."""
REFUND_EVERY: Final = 20
"""One payment in so many has a refund, which agrees with the bill."""
OPENS_MS: Final = 8 * 3_600_000
TRADE_MS: Final = 14 * 3_600_000
"""The shop is open from eight to ten in the evening: nothing is near midnight unless planted."""
LAST_MS: Final = 86_398_000
"""Of the day: what is not in this day's bill may be in the next."""

_TERMS: Final = Terms(
    (
        Part("rcv_00000000000000000000000000", ratio_ppm=130_000),
        Part("rcv_00000000000000000000000001", ratio_ppm=50_000),
    )
)
"""What a payment that is split gives away."""

PLANTED: Final = (
    Kind.OURS_ONLY,
    Kind.THEIRS_ONLY,
    Kind.UNKNOWN_ORDER,
    Kind.DUPLICATE,
    Kind.CURRENCY,
    Kind.STATUS,
    Kind.LATE_SUCCESS,
    Kind.AMOUNT,
    Kind.DISCOUNT,
    Kind.FEE,
    Kind.SPLIT_MISMATCH,
    Kind.EXPECTED_LATER,
)


class Made(Struct, frozen=True, gc=False):
    """One payment of the day: rows of ours, lines of the bill, and the difference between them.

    `planted`: the kind, the line and the number of the difference; None when they agree.
    """

    payment: Payment | None
    refunds: tuple[Refund, ...]
    lines: tuple[BillLine, ...]
    planted: tuple[Kind, BillKind, str] | None


def rehearse(count: int, bill_date: int, channel: str, share: int, seed: int) -> Iterator[Made]:
    """A day of `count` payments, in the order of time.

    `share`: one payment in so many is of a planted kind, for every kind. The same arguments make
    the same day.
    """
    day = _Day(bill_date, channel, seed)
    for no in range(count):
        at = no % share
        kind = PLANTED[at] if at < len(PLANTED) else None
        yield day.made(no, OPENS_MS + no * TRADE_MS // count, kind)


class _Day:
    def __init__(self, bill_date: int, channel: str, seed: int) -> None:
        self._begins, _ = day_bounds(bill_date)
        self._bill_date = bill_date
        self._channel = channel
        self._mint = IdMint(SeededEntropy(seed))
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, no secret
        self._merchant = self._mint.new("mch", self._begins, 1)
        self._payment = self._model()

    def _model(self) -> Payment:
        return Payment(
            id="",
            merchant=self._merchant,
            order_no="",
            amount=0,
            currency="cny",
            way=Way.BARCODE,
            wallet=self._channel,
            status=Status.SUCCEEDED,
            attempt=None,
            created=0,
            business_date=self._bill_date,
            key_digest=bytes(16),
            fingerprint=bytes(16),
        )

    def made(self, no: int, since_ms: int, kind: Kind | None) -> Made:
        """One payment, with what is planted in it."""
        if kind is Kind.EXPECTED_LATER:
            since_ms = LAST_MS
        at = self._begins + since_ms
        amount = self._random.randrange(100, 100_000)
        identifier = self._mint.new("pay", at, self._random.randrange(256))
        payment = self._paid(identifier, no, amount, at)
        if kind is Kind.SPLIT_MISMATCH or (kind is None and no % SPLIT_EVERY == 0):
            payment = _divided(payment)
        line = self._line(payment, amount, at)
        number = line.out_trade_no
        if kind is None:
            if no % REFUND_EVERY == REFUND_EVERY - 1:
                return self._refunded(payment, line, at)
            return Made(payment, (), (line,), None)
        planted = (kind, BillKind.PAYMENT, number)
        match kind:
            case Kind.OURS_ONLY | Kind.EXPECTED_LATER:
                return Made(payment, (), (), planted)
            case Kind.UNKNOWN_ORDER:
                return Made(None, (), (line,), planted)
            case Kind.THEIRS_ONLY:
                refund = self._refund_line(line, identifier[-BODY_LENGTH:], amount // 2, at)
                planted = (kind, BillKind.REFUND, refund.out_refund_no)
                return Made(payment, (), (line, refund), planted)
            case Kind.DUPLICATE:
                return Made(payment, (), (line, line), planted)
            case Kind.CURRENCY:
                return Made(replace(payment, currency="usd"), (), (line,), planted)
            case Kind.STATUS:
                return Made(self._unclear(payment, at), (), (line,), planted)
            case Kind.LATE_SUCCESS:
                return self._late(
                    payment, line, at, planted, is_given_back=self._random.randrange(2) == 0
                )
            case Kind.SPLIT_MISMATCH:
                first, last = payment.shares
                wrong = (replace(first, amount=first.amount + 1), last)
                return Made(replace(payment, shares=wrong), (), (line,), planted)
            case _:
                return Made(payment, (), (_changed(line, kind),), planted)

    def _paid(self, identifier: str, no: int, amount: int, at: int) -> Payment:
        attempt = Attempt(0, self._channel, ACCOUNT, AttemptState.SUCCEEDED, at)
        return replace(
            self._payment,
            id=identifier,
            order_no=f"R-{no}",
            amount=amount,
            attempt=attempt,
            created=at,
            payer_amount=amount,
            settle_amount=amount,
            fee=fee(RATE, amount),
            succeeded_at=at + 300,
            history=(Moment(at, "sending", ACCOUNT), Moment(at + 300, "succeeded")),
        )

    def _unclear(self, payment: Payment, at: int) -> Payment:
        assert payment.attempt is not None
        return replace(
            payment,
            status=Status.PROCESSING,
            attempt=replace(payment.attempt, state=AttemptState.UNKNOWN),
            payer_amount=None,
            settle_amount=None,
            fee=0,
            succeeded_at=None,
            history=(Moment(at, "sending", ACCOUNT), Moment(at + 300, "unknown")),
        )

    def _late(
        self,
        payment: Payment,
        line: BillLine,
        at: int,
        planted: tuple[Kind, BillKind, str],
        *,
        is_given_back: bool,
    ) -> Made:
        """We said no, and the channel took the money. Half of them we noticed ourselves."""
        unclear = self._unclear(payment, at)
        assert unclear.attempt is not None
        ended = replace(
            unclear,
            status=Status.CLOSED,
            attempt=replace(unclear.attempt, state=AttemptState.CLOSED),
            history=(Moment(at, "sending", ACCOUNT), Moment(at + 300, "closed")),
        )
        if not is_given_back:
            return Made(ended, (), (line,), planted)
        known = replace(
            ended,
            late_success=True,
            settle_amount=payment.amount,
            payer_amount=payment.amount,
            history=(*ended.history, Moment(at + 600, "late_success")),
        )
        refund = self._refund(known, payment.amount, at, automatic=True)
        back = self._refund_line(line, refund.id[-BODY_LENGTH:], payment.amount, at)
        return Made(known, (refund,), (line, back), planted)

    def _refunded(self, payment: Payment, line: BillLine, at: int) -> Made:
        refund = self._refund(payment, payment.amount // 2, at, automatic=False)
        back = self._refund_line(line, refund.id[-BODY_LENGTH:], refund.amount, at)
        return Made(payment, (refund,), (line, back), None)

    def _refund(self, payment: Payment, amount: int, at: int, *, automatic: bool) -> Refund:
        return Refund(
            f"rfd_{payment.id[-BODY_LENGTH:]}",
            payment.id,
            payment.merchant,
            amount,
            payment.currency,
            RefundStatus.SUCCEEDED,
            at + 60_000,
            self._bill_date,
            bytes(16),
            bytes(16),
            settle_back=amount,
            succeeded_at=at + 61_000,
            automatic=automatic,
            account=ACCOUNT,
            channel=self._channel,
        )

    def _line(self, payment: Payment, amount: int, at: int) -> BillLine:
        number = out_trade_no(payment.id, 0)
        return BillLine(
            channel=self._channel,
            account=CHANNEL_ACCOUNT,
            kind=BillKind.PAYMENT,
            out_trade_no=number,
            out_refund_no="",
            channel_trade_no=f"42{number}",
            channel_refund_no="",
            at_ms=at // 1_000 * 1_000,
            bill_date=self._bill_date,
            state=BillState.SUCCEEDED,
            currency="cny",
            amount=amount,
            settle_amount=amount,
            payer_amount=amount,
            discount_channel=0,
            discount_merchant=0,
            fee=fee(RATE, amount),
        )

    def _refund_line(self, line: BillLine, number: str, amount: int, at: int) -> BillLine:
        return replace(
            line,
            kind=BillKind.REFUND,
            out_refund_no=number,
            channel_refund_no=f"50{number}",
            at_ms=(at + 61_000) // 1_000 * 1_000,
            amount=amount,
            settle_amount=amount,
            payer_amount=amount,
            fee=0,
        )


def _divided(payment: Payment) -> Payment:
    """Split between a courier and a brand, as its terms say."""
    assert payment.settle_amount is not None
    shares = shares_of(_TERMS, payment.settle_amount, payment.fee)
    return replace(payment, split=_TERMS, shares=shares)


def _changed(line: BillLine, kind: Kind) -> BillLine:
    """The line with one of its amounts another."""
    if kind is Kind.AMOUNT:
        more = line.amount + 7
        return replace(line, amount=more, settle_amount=more, payer_amount=more)
    if kind is Kind.DISCOUNT:
        less = line.amount - 10
        return replace(line, settle_amount=less, payer_amount=less, discount_merchant=10)
    assert kind is Kind.FEE, kind
    return replace(line, fee=line.fee + 1)
