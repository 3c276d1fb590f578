"""Rows of finished payments, made fast: what `bulk.py` writes and the benchmark measures with.

A payment is rendered once for each *kind* (amount, wallet, date), with gaps for its particulars:
rendering each anew would take three times as long.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from random import Random
from struct import Struct as Layout
from typing import Final

from msgspec import msgpack

from payments import chart
from payments.bookings import payment_entry_id
from payments.calendar import business_date, rfc3339
from payments.fees import DEFAULT_PLAN, fee
from payments.ids import IdMint, SeededEntropy
from payments.ledger import GENESIS, chain_hash
from payments.payment import (
    Assessment,
    Attempt,
    AttemptState,
    Moment,
    Payment,
    Route,
    Status,
    Way,
)
from payments.reference import Merchant
from payments.storage.base import EntryRow, EventRow, PaymentRow
from payments.view import EVENT_LETTER, Presentation, event_json, payment_json

GROUP: Final = 32
"""Payments that share their instants."""
CHANNEL_MS: Final = 20
VERDICT_MS: Final = 60_000
KINDS: Final = 64
AMOUNT_MIN: Final = 200
"""From here on the default plan charges something, so that every entry has three postings."""

PARTICULARS: Final = (
    "body", "merchant", "order", "key", "auth", "print",
    "created", "done", "verdict", "created_text", "done_text", "verdict_text",
)  # fmt: skip
"""What differs between payments of a kind, in the order in which it is made."""

_EVENT: Final = "payment.succeeded"
_LETTER: Final = EVENT_LETTER[_EVENT]
_START: Final = (0, GENESIS, 0)
Picker = Callable[[tuple[bytes, ...]], tuple[bytes, ...]]
_encode: Final = msgpack.Encoder().encode
_dice: Final = Layout(">Qq8xq24xq").unpack
"""A number to pick the shop by, and the first 8 bytes of the key's, auth code's, order's digest."""

# What stands for the particulars while a kind is rendered. Neither I, O nor U occurs in an id.
_BODY, _MERCHANT, _ORDER = "I" * 24, "mch_" + "U" * 24, "O" * 20
_KEY, _PRINT, _AUTH = b"key digest here!", b"fingerprint here", b"auth digest here"
_MARK_MS: Final = 0x0123_4567_89AB_CD00
_CREATED, _DONE, _VERDICT = 1_600_000_000_001, 1_600_000_001_002, 1_600_000_002_003


class Kind:
    """One kind of payment on one date, with gaps where the particulars go."""

    def __init__(self, amount: int, wallet: str, account: str, date: int, livemode: bool) -> None:
        self.amount = amount
        self.fee = fee(DEFAULT_PLAN, amount)
        self.net = amount - self.fee
        assert self.fee > 0, "three postings each"
        self.packed_amount = _encode(amount)
        self.packed_net = _encode(-self.net)
        self.packed_fee = _encode(-self.fee)
        stored = self._payment(_MARK_MS, _MARK_MS + 1, _MARK_MS + 2, wallet, account, date)
        shown = self._payment(_CREATED, _DONE, _VERDICT, wallet, account, date)
        instants = (_MARK_MS, _MARK_MS + 1, _MARK_MS + 2)
        texts = [rfc3339(ms) for ms in (_CREATED, _DONE, _VERDICT)]
        rendered = event_json(_EVENT, _DONE, payment_json(shown, Presentation(livemode=livemode)))
        names = {_BODY.encode(): "body", _MERCHANT.encode(): "merchant", _ORDER.encode(): "order"}
        self.body, self.of_body = _with_gaps(
            _encode(stored),
            names
            | {_KEY: "key", _PRINT: "print", _AUTH: "auth"}
            | dict(zip(map(_encode, instants), ("created", "done", "verdict"), strict=True)),
        )
        self.event, self.of_event = _with_gaps(
            rendered,
            names
            | {
                text.encode(): name
                for text, name in zip(
                    texts, ("created_text", "done_text", "verdict_text"), strict=True
                )
            },
        )

    def _payment(
        self, created: int, done: int, verdict: int, wallet: str, account: str, date: int
    ) -> Payment:
        return Payment(
            id=f"pay_{_BODY}",
            merchant=_MERCHANT,
            order_no=_ORDER,
            amount=self.amount,
            currency="cny",
            way=Way.BARCODE,
            wallet=wallet,
            status=Status.SUCCEEDED,
            attempt=Attempt(
                number=0,
                channel="simulated",
                account=account,
                state=AttemptState.SUCCEEDED,
                sent_at=created,
                channel_trade_no=f"SIM{_BODY}",
            ),
            created=created,
            business_date=date,
            key_digest=_KEY,
            fingerprint=_PRINT,
            auth_digest=_AUTH,
            verdict_by=verdict,
            payer_amount=self.amount,
            settle_amount=self.amount,
            fee=self.fee,
            succeeded_at=done,
            risk=Assessment("pass"),
            route=Route("priority", (account,)),
            history=(
                Moment(created, "sending", account),
                Moment(done, "succeeded"),
            ),
        )


def _with_gaps(rendered: bytes, marks: Mapping[bytes, str]) -> tuple[bytes, Picker]:
    """A format for `%`, and what picks its particulars out of those in the order of PARTICULARS."""
    parts = re.split(b"(" + b"|".join(map(re.escape, marks)) + b")", rendered)
    gaps = [PARTICULARS.index(marks[part]) for part in parts[1::2]]
    picker: Picker = itemgetter(*gaps)
    return b"%b".join(part.replace(b"%", b"%%") for part in parts[::2]), picker


class Shop:
    """A merchant with its names ready: in bytes, and as the packed postings have them."""

    __slots__ = ("accounts", "id", "number", "packed", "partition")

    def __init__(self, merchant: Merchant, account: str) -> None:
        self.id = merchant.id.encode()
        self.number = merchant.number
        self.partition = merchant.partition
        self.accounts = (
            chart.receivable(account, merchant.partition),
            chart.merchant_pending(merchant.id),
            chart.fees_income(merchant.partition),
        )
        first, second, third = (_encode((name, 0))[:-1] for name in self.accounts)
        self.packed = (_encode((0, 0, 0))[:1] + first, second, third)


class Maker:
    """Makes rows in order, and keeps the chain ends and balances that follow from them."""

    def __init__(
        self, merchants: Sequence[Merchant], account: str, livemode: bool, seed: int
    ) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, no secret
        self._mint = IdMint(SeededEntropy(seed))
        self._shops = [Shop(merchant, account) for merchant in merchants]
        self._account = account
        self._livemode = livemode
        amounts = Random(seed + 1)  # noqa: S311
        self._variants = [
            (amounts.randrange(AMOUNT_MIN, 50_000), amounts.choice(("wechat", "alipay")))
            for _ in range(KINDS)
        ]
        self._kinds: list[Kind] = []
        self._date = 0
        self.no = 0
        self.heads: dict[int, tuple[int, bytes, int]] = {}
        self.balances: dict[str, list[int]] = {}
        """account -> [minor, number of the last entry]"""

    def rows(
        self, count: int, at_ms: Callable[[int], int]
    ) -> tuple[list[PaymentRow], list[EntryRow], list[EventRow]]:
        """The next `count` payments. `at_ms`: when the payment of a number was made."""
        payments: list[PaymentRow] = []
        entries: list[EntryRow] = []
        events: list[EventRow] = []
        instants: tuple[bytes, ...] = ()
        created = 0
        shops, body_of, randbytes = self._shops, self._mint.body, self._random.randbytes
        for no in range(self.no + 1, self.no + count + 1):
            if not instants or no % GROUP == 0:
                created = at_ms(no)
                instants = self._instants(created)
            dice = randbytes(64)
            pick, key_hash, auth_hash, order_hash = _dice(dice)
            shop = shops[pick % len(shops)]
            body = body_of(created, shop.partition)
            kind = self._kinds[no % KINDS]
            source = "pay_" + body
            done = created + CHANNEL_MS
            digests = dice[8:24], dice[24:40], dice[40:56]
            facts = (body.encode(), shop.id, b"%020d" % no, *digests, *instants)
            rendered = kind.body % kind.of_body(facts)
            payments.append(
                (
                    no, source, shop.number, shop.partition,
                    key_hash, order_hash, auth_hash, None, rendered,
                )
            )  # fmt: skip
            entries.append(self._booked(no, source, shop, kind, done))
            told = kind.event % kind.of_event(facts)
            events.append(
                (no, shop.partition, shop.number, f"evt_{body}{_LETTER}", _EVENT, done, told)
            )
        self.no += count
        return payments, entries, events

    def _instants(self, created: int) -> tuple[bytes, ...]:
        date = business_date(created)
        if date != self._date:
            self._date = date
            self._kinds = [
                Kind(amount, wallet, self._account, date, self._livemode)
                for amount, wallet in self._variants
            ]
        instants = (created, created + CHANNEL_MS, created + VERDICT_MS)
        return (*map(_encode, instants), *(rfc3339(ms).encode() for ms in instants))

    def _booked(self, no: int, source: str, shop: Shop, kind: Kind, at_ms: int) -> EntryRow:
        """What `bookings.payment_booked` says, packed from parts that are ready."""
        first, second, third = shop.packed
        packed = b"".join(
            (first, kind.packed_amount, second, kind.packed_net, third, kind.packed_fee)
        )
        partition = shop.partition
        identifier = payment_entry_id(source)
        seq, chain, _ = self.heads.get(partition, _START)
        seq += 1
        chain = chain_hash(chain, identifier, seq, "cny", at_ms, packed)
        self.heads[partition] = (seq, chain, no)
        receivable, pending, income = shop.accounts
        self._fold(receivable, kind.amount, no)
        self._fold(pending, -kind.net, no)
        self._fold(income, -kind.fee, no)
        return (no, partition, seq, identifier, source, at_ms, "cny", packed, chain)

    def _fold(self, account: str, minor: int, no: int) -> None:
        balance = self.balances.get(account)
        if balance is None:
            self.balances[account] = [minor, no]
        else:
            balance[0] += minor
            balance[1] = no
