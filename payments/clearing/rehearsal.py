"""A made-up business day of many shops: to measure clearing with, and to learn it by.

Every shop splits each sale among three receivers that live elsewhere. Some sales have a coupon of
the shop's, which the channel does not settle, and some are refunded whole the same day. The same
arguments make the same day.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments import bookings
from payments.bookings import Drawn
from payments.calendar import DAY_MS
from payments.clearing.workdays import cut_off_ms, plus_days
from payments.fees import DEFAULT_PLAN, fee
from payments.ids import SHARED_PARTITIONS, IdMint, SeededEntropy
from payments.ledger import Postings
from payments.payment import (
    Assessment,
    Attempt,
    AttemptState,
    Discount,
    Moment,
    Payment,
    Route,
    Status,
    Way,
)
from payments.reference import (
    AccountStatus,
    Merchant,
    MerchantStatus,
    PayoutTerms,
    Receiver,
    SettlementAccount,
)
from payments.refund import Refund, RefundStatus
from payments.settlement.accounts import BankAccount
from payments.splitting.sharing import shares_of
from payments.splitting.terms import Part, ShareBack, Terms

ACCOUNT: Final = "simulated"
"""The channel account that everything was paid through: one that every gateway has."""

DATE: Final = 20261116
"""A Monday; what is sold on it is due on Tuesday."""

SEED: Final = 1
SINCE: Final = 20250101
"""From when on every shop has traded: nothing is held back because somebody is young."""

RATIOS_PPM: Final = (100_000, 50_000, 20_000)
"""What the three receivers get of a sale's net."""

COUPON_EVERY: Final = 10
REFUND_EVERY: Final = 20
"""One sale in so many, by lot."""

KINDS: Final = 64
AMOUNT_MIN: Final = 500
AMOUNT_MAX: Final = 15_000
"""Minor units. So a million sales come to less than the largest amount that a bank may credit."""

OPENS_MS: Final = 8 * 3_600_000
TRADE_MS: Final = 12 * 3_600_000
PAID_AFTER_MS: Final = 20
REFUNDED_AFTER_MS: Final = 60_000


class Shop(Struct, frozen=True):
    """A merchant, its receivers, where its money goes, and how its sales are split."""

    merchant: Merchant
    receivers: tuple[Receiver, ...]
    account: SettlementAccount
    terms: Terms


class Sale(Struct, frozen=True):
    """A payment as it is at the end of the day, its refund, and what each booked."""

    payment: Payment
    paid: Postings
    refund: Refund | None = None
    returned: Postings = ()


def shops(count: int, date: int = DATE, seed: int = SEED) -> list[Shop]:
    """Shops and their receivers, spread over all partitions."""
    mint = IdMint(SeededEntropy(seed))
    opened = _midnight(date)
    return [_shop(mint, number, opened) for number in range(1, count + 1)]


def _shop(mint: IdMint, number: int, opened: int) -> Shop:
    partition = number % SHARED_PARTITIONS
    identifier = mint.new("mch", opened, partition)
    merchant = Merchant(
        id=identifier,
        number=number,
        name=f"Shop {number}",
        status=MerchantStatus.ACTIVE,
        partition=partition,
        created=opened,
        payout=PayoutTerms(onboarded_on=SINCE, trading_since=SINCE),
    )
    receivers = tuple(
        Receiver(
            mint.new("rcv", opened, (partition + step) % SHARED_PARTITIONS),
            identifier,
            None,
            f"No. {step}",
        )
        for step in range(1, len(RATIOS_PPM) + 1)
    )
    bank = BankAccount(
        mint.new("acc", opened, partition), identifier, f"Shop {number}", f"62220000{number:06}00",
        "ICBKCNBJ", 1, "op_maker", 1, "op_checker", 1,
    )  # fmt: skip
    account = SettlementAccount(bank.id, identifier, None, bank, AccountStatus.CONFIRMED, 1)
    parts = tuple(
        Part(receiver.id, ratio_ppm=ratio)
        for receiver, ratio in zip(receivers, RATIOS_PPM, strict=True)
    )
    return Shop(merchant, receivers, account, Terms(parts))


def seed_of(shop: Shop) -> dict[str, object]:
    """The shop in a gateway's seed file, with the bank account that its money goes to."""
    bank = shop.account.account
    return {
        "id": shop.merchant.id,
        "name": shop.merchant.name,
        "account": {
            "name": bank.name,
            "number": bank.number,
            "bank": bank.bank,
            "registered_by": bank.registered_by,
            "confirmed_by": bank.confirmed_by,
        },
    }


def sales(
    sellers: Sequence[Shop], count: int, date: int = DATE, seed: int = SEED
) -> Iterator[tuple[Shop, Sale]]:
    """A day of `count` sales in the order of time, shop by shop in turn."""
    day = _Day(date, seed)
    for no in range(count):
        shop = sellers[no % len(sellers)]
        yield shop, day.sale(no, shop, OPENS_MS + no * TRADE_MS // count)


def _midnight(date: int) -> int:
    """The first millisecond of a date in China."""
    return cut_off_ms(plus_days(date, -1))


class _Day:
    def __init__(self, date: int, seed: int) -> None:
        self._date = date
        self._begins = _midnight(date)
        assert OPENS_MS + TRADE_MS + REFUNDED_AFTER_MS < DAY_MS
        self._mint = IdMint(SeededEntropy(seed + 1))
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, no secret
        self._amounts = [self._random.randrange(AMOUNT_MIN, AMOUNT_MAX) for _ in range(KINDS)]

    def sale(self, no: int, shop: Shop, since_ms: int) -> Sale:
        merchant = shop.merchant
        at = self._begins + since_ms
        identifier = self._mint.new("pay", at, merchant.partition)
        amount = self._amounts[no % KINDS]
        off = 0 if self._random.randrange(COUPON_EVERY) else amount // 10
        settled = amount - off
        charged = fee(DEFAULT_PLAN, settled)
        shares = shares_of(shop.terms, settled, charged)
        paid_at = at + PAID_AFTER_MS
        digests = self._random.randbytes(48)
        payment = Payment(
            id=identifier,
            merchant=merchant.id,
            order_no=f"R-{no:012}",
            amount=amount,
            currency="cny",
            way=Way.BARCODE,
            wallet="wechat",
            status=Status.SUCCEEDED,
            attempt=Attempt(
                0, "simulated", ACCOUNT, AttemptState.SUCCEEDED, at,
                channel_trade_no="R" + identifier[-24:],
            ),
            created=at,
            business_date=self._date,
            key_digest=digests[:16],
            fingerprint=digests[16:32],
            auth_digest=digests[32:],
            verdict_by=at + 60_000,
            payer_amount=settled,
            settle_amount=settled,
            discounts=(Discount("merchant", off),) if off else (),
            fee=charged,
            succeeded_at=paid_at,
            risk=Assessment("pass"),
            route=Route("only", (ACCOUNT,)),
            history=(Moment(at, "sending", ACCOUNT), Moment(paid_at, "succeeded")),
            split=shop.terms,
            shares=shares,
        )  # fmt: skip
        paid = bookings.split_payment_booked(
            ACCOUNT, merchant.id, merchant.partition, settled, charged, shares
        )
        if self._random.randrange(REFUND_EVERY):
            return Sale(payment, paid)
        return self._refunded(payment, paid, merchant.partition)

    def _refunded(self, payment: Payment, paid: Postings, partition: int) -> Sale:
        """All of it goes back: every receiver has its share pending still."""
        assert payment.settle_amount is not None
        assert payment.succeeded_at is not None
        at = payment.succeeded_at + REFUNDED_AFTER_MS
        digests = self._random.randbytes(32)
        refund = Refund(
            id=self._mint.new("rfd", at, partition),
            payment=payment.id,
            merchant=payment.merchant,
            amount=payment.amount,
            currency="cny",
            status=RefundStatus.SUCCEEDED,
            created=at,
            business_date=self._date,
            key_digest=digests[:16],
            fingerprint=digests[16:],
            settle_back=payment.settle_amount,
            fee_back=payment.fee,
            succeeded_at=at,
            account=ACCOUNT,
            channel="simulated",
            shares_back=tuple(
                ShareBack(share.receiver, share.amount, 0) for share in payment.shares
            ),
        )
        returned = bookings.split_refund_booked(
            ACCOUNT,
            payment.merchant,
            partition,
            payment.settle_amount,
            payment.fee,
            [Drawn(share.receiver, share.amount, 0, 0) for share in payment.shares],
        )
        after = replace(
            payment,
            amount_refunded=payment.amount,
            settle_returned=payment.settle_amount,
            fee_returned=payment.fee,
            shares=tuple(replace(share, returned=share.amount) for share in payment.shares),
        )
        return Sale(after, paid, refund, returned)
