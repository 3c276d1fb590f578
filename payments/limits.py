"""Limit counters: what a merchant has taken today and a terminal has tried this minute.

Counters are reserved with the payment's intent, without awaiting between the check and the
reservation: otherwise parallel requests would all pass a limit that has room for one. They are a
cache: at any time they equal what `Counters.from_payments` computes from the merchant's payments.

- The day's amount counts payments that are not finally unpaid; a definite failure, a reversal or a
  close lets its amount go. Refunds do not: the sale happened.
- A terminal's minute counts what was tried; nothing lets a try go. What risk refused is no try.
"""

from collections.abc import Iterable
from typing import Final

from msgspec.msgpack import Decoder, Encoder

from payments.payment import UNPAID, Payment

MINUTE_MS: Final = 60_000
DATES_MAX: Final = 4
"""Business dates kept: stores close at different hours, so two can be current at once."""

MINUTES_MAX: Final = 2
"""Minutes kept, the current and the one before: front doors' clocks differ a little."""

Packed = tuple[dict[int, int], dict[int, dict[str, int]]]
_encode: Final = Encoder().encode
_decode: Final = Decoder(Packed).decode


class DayCounter:
    """Amounts (minor units) reserved on each of the newest business dates (yyyymmdd)."""

    __slots__ = ("amounts",)

    def __init__(self, amounts: dict[int, int] | None = None) -> None:
        self.amounts = amounts if amounts is not None else {}

    def on(self, date: int) -> int:
        return self.amounts.get(date, 0)

    def reserve(self, date: int, amount: int, maximum: int | None = None) -> bool:
        """Count `amount` unless that would exceed `maximum`; say whether it was counted."""
        amounts = self.amounts
        total = amounts.get(date, 0) + amount
        if maximum is not None and total > maximum:
            return False
        amounts[date] = total
        if len(amounts) > DATES_MAX:
            del amounts[min(amounts)]
        return True

    def release(self, date: int, amount: int) -> None:
        """Let go what was reserved. A date that is no longer kept has nothing to let go."""
        total = self.amounts.get(date)
        if total is not None:
            assert total >= amount, (date, total, amount)
            # A zero stays: were the date forgotten, an older one could come back with a part only.
            self.amounts[date] = total - amount


class MinuteCounter:
    """Tries of each terminal in the newest minutes (numbered since 1970)."""

    __slots__ = ("minutes",)

    def __init__(self, minutes: dict[int, dict[str, int]] | None = None) -> None:
        self.minutes = minutes if minutes is not None else {}

    def of(self, terminal: str, at_ms: int) -> int:
        counts = self.minutes.get(at_ms // MINUTE_MS)
        return counts.get(terminal, 0) if counts else 0

    def reserve(self, terminal: str, at_ms: int, maximum: int | None = None) -> bool:
        """Count a try unless the minute has `maximum` already; say whether it may go on."""
        minute = at_ms // MINUTE_MS
        counts = self.minutes.get(minute)
        count = counts.get(terminal, 0) if counts is not None else 0
        if maximum is not None and count >= maximum:
            return False
        if counts is None:
            self.minutes[minute] = {terminal: 1}
            if len(self.minutes) > MINUTES_MAX:
                del self.minutes[min(self.minutes)]
        else:
            counts[terminal] = count + 1
        return True


def holds_amount(payment: Payment) -> bool:
    """Whether a payment counts in its day's amount."""
    return payment.status not in UNPAID


def was_tried(payment: Payment) -> bool:
    """Whether risk let a payment through: only then did it reserve anything.

    What another gateway took was not ours to let through, and takes up none of our limits.
    """
    if payment.is_reported:
        return False
    return payment.risk is None or payment.risk.decision != "reject"


class Counters:
    """All limit counters of one merchant: what the store's counter row holds, packed."""

    __slots__ = ("day", "minute")

    def __init__(self, day: DayCounter | None = None, minute: MinuteCounter | None = None) -> None:
        self.day = day if day is not None else DayCounter()
        self.minute = minute if minute is not None else MinuteCounter()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Counters):
            return NotImplemented
        return self._counted() == other._counted()

    def __repr__(self) -> str:
        return f"Counters({self.day.amounts}, {self.minute.minutes})"

    def _counted(self) -> tuple[dict[int, int], dict[int, dict[str, int]]]:
        amounts = {date: amount for date, amount in self.day.amounts.items() if amount}
        return amounts, self.minute.minutes

    def count(self, payment: Payment) -> None:
        """Add a payment as it stands."""
        if not was_tried(payment):
            return
        self.day.reserve(payment.business_date, payment.amount if holds_amount(payment) else 0)
        if payment.terminal is not None:
            self.minute.reserve(payment.terminal, payment.created)

    def changed(self, before: Payment, after: Payment) -> None:
        """Follow a payment's change: one that ended unpaid lets its amount go."""
        if after.status in UNPAID and before.status not in UNPAID:
            self.day.release(after.business_date, after.amount)

    def pack(self) -> bytes:
        return _encode((self.day.amounts, self.minute.minutes))

    @classmethod
    def unpack(cls, body: bytes) -> "Counters":
        amounts, minutes = _decode(body)
        return cls(DayCounter(amounts), MinuteCounter(minutes))

    @classmethod
    def from_payments(cls, payments: Iterable[Payment], base: bytes | None = None) -> "Counters":
        """Compute the counters anew; `base`: packed counters of the payments before these."""
        counters = cls() if base is None else cls.unpack(base)
        for payment in payments:
            counters.count(payment)
        return counters
