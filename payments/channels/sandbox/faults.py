"""What goes wrong on purpose: latency, errors, hangs, cut connections, wrong signatures.

Drawn by a seeded Random, so that a run can be repeated; or ordered one by one with `next`.
"""

from collections import Counter, deque
from enum import StrEnum
from random import Random
from typing import Final

from msgspec import Struct, structs

from payments.channels.simulated.settings import PPM, Latency

NEXT_MAX: Final = 10_000
"""Most faults that can be ordered for the next calls."""

CALLBACK_MS_MAX: Final = 600_000
"""Longest time that callbacks can be held back."""


class Fate(StrEnum):
    """What happens to one call."""

    NONE = "none"
    BUSY = "busy"
    """Refused with the channel's "too many requests"; nothing was done."""
    ERROR = "error"
    """Answered with "system error"; nothing was done."""
    HANG = "hang"
    """Never answered; nothing was done."""
    LOST = "lost"
    """Done, and answered with "system error"."""
    DROP = "drop"
    """Done, and the connection cut instead of an answer."""
    UNSIGNED = "unsigned"
    """Done, and the answer carries a wrong signature."""


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of `POST /_sandbox/faults`; what is not named is off.

    `*_ppm`: how many of a million calls meet that fate; together at most a million. `next`: fates
    of the next calls one by one ("none" for a sound one), before any is drawn. `operations`: only
    calls of these operations are touched (none: all). `callback_ms`: so long after the fact its
    callback leaves, real milliseconds. `duplicate_ppm`: how many callbacks arrive
    once more than needed; `probe_ppm`: how many are preceded by a wrongly signed probe, where the
    channel has such.
    """

    latency: Latency = Latency()
    busy_ppm: int = 0
    error_ppm: int = 0
    hang_ppm: int = 0
    lost_ppm: int = 0
    drop_ppm: int = 0
    unsigned_ppm: int = 0
    callback_ms: int = 0
    duplicate_ppm: int = 0
    probe_ppm: int = 0
    next: tuple[Fate, ...] = ()
    operations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shares = [share for _, share in self.shares()]
        if min(shares) < 0 or sum(shares) > PPM:
            raise ValueError(f"the fates' ppm: from 0, together at most {PPM}")
        if not (0 <= self.duplicate_ppm <= PPM and 0 <= self.probe_ppm <= PPM):
            raise ValueError(f"duplicate_ppm and probe_ppm: from 0 to {PPM}")
        if not 0 <= self.callback_ms <= CALLBACK_MS_MAX:
            raise ValueError(f"callback_ms: from 0 to {CALLBACK_MS_MAX}")
        if len(self.next) > NEXT_MAX:
            raise ValueError(f"next: at most {NEXT_MAX} fates")

    def shares(self) -> tuple[tuple[Fate, int], ...]:
        """Each fate's share in millionths."""
        return (
            (Fate.BUSY, self.busy_ppm),
            (Fate.ERROR, self.error_ppm),
            (Fate.HANG, self.hang_ppm),
            (Fate.LOST, self.lost_ppm),
            (Fate.DROP, self.drop_ppm),
            (Fate.UNSIGNED, self.unsigned_ppm),
        )


class FaultMaker:
    """Draws the fate of each call. `drawn` counts them, sound ones left out."""

    def __init__(self, faults: Faults, random: Random) -> None:
        self.drawn: Counter[str] = Counter()
        self._random = random
        self.set(faults)

    @property
    def faults(self) -> Faults:
        """The settings as they stand; of `next`, what was not used yet."""
        return structs.replace(self._faults, next=tuple(self._next))

    def set(self, faults: Faults) -> None:
        self._faults = faults
        self._next = deque(faults.next)

    def draw(self, operation: str) -> Fate:
        """The fate of one call of this operation."""
        faults = self._faults
        if faults.operations and operation not in faults.operations:
            return Fate.NONE
        fate = self._next.popleft() if self._next else self._drawn(faults)
        if fate != Fate.NONE:
            self.drawn[fate] += 1
        return fate

    def latency_s(self) -> float:
        """How long the next answer takes, in seconds; 0: at once."""
        latency = self._faults.latency
        return 0.0 if latency.is_none else latency.draw_ms(self._random) / 1000

    def callback_s(self) -> float:
        """How long the next callback is held back, in seconds."""
        return self._faults.callback_ms / 1000

    def duplicates(self) -> int:
        """How often the next callback arrives needlessly."""
        return int(self._happens(self._faults.duplicate_ppm))

    def probes(self) -> bool:
        """Whether a wrongly signed probe goes before the next callback."""
        return self._happens(self._faults.probe_ppm)

    def _happens(self, ppm: int) -> bool:
        return ppm > 0 and self._random.randrange(PPM) < ppm

    def _drawn(self, faults: Faults) -> Fate:
        shares = faults.shares()
        if not any(share for _, share in shares):
            return Fate.NONE
        draw = self._random.randrange(PPM)
        for fate, share in shares:
            if draw < share:
                return fate
            draw -= share
        return Fate.NONE
