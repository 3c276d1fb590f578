"""The channel's own time of a payment or refund: what of it is believed, and what it decides.

A channel bills and pays by the day on which *it* took the money or gave it back; we learn of that
later, at times on the next day. So its answers' time chooses the day of a claim, and nothing else:
what a payment is worth, when it succeeded and which business date it has stay ours. A time that
cannot be is not believed, and the instant at which we booked stands in for it.
"""

from typing import Final

from msgspec.structs import replace

from payments.channels.base import Approved, Outcome
from payments.clock import Clock

CHANNEL_SKEW_MS: Final = 300_000
"""How far a channel's clock may be from ours. No time zone is so near that it could hide here."""


def is_plausible(channel_at: int, asked_at: int, now: int, moved_ms: int) -> bool:
    """Whether a channel may have done what it was asked at `asked_at` at that instant. All in ms.

    `moved_ms`: how far the deployment's test clock is from real time, 0 in a real one. A sandbox
    hears of each move a little later than we do, so its time may be that much too early.
    """
    return asked_at - CHANNEL_SKEW_MS - moved_ms <= channel_at <= now + CHANNEL_SKEW_MS


def believed(outcome: Outcome, asked_at: int, clock: Clock) -> Outcome:
    """The outcome, without a time that cannot be. `asked_at`: when its attempt or refund began."""
    if not isinstance(outcome, Approved) or outcome.channel_at is None:
        return outcome
    now = clock.now_ms()
    if is_plausible(outcome.channel_at, asked_at, now, now - clock.real_ms()):
        return outcome
    return replace(outcome, channel_at=None)


def day_instant(channel_at: int | None, booked_at: int) -> int:
    """By which instant the channel's day is told, ms: its own, else that at which we booked."""
    return booked_at if channel_at is None else channel_at
