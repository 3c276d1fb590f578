"""How a simulated channel behaves: numbers read from the configuration by the gateway."""

import math
from random import Random
from typing import Final

from msgspec import Struct

LATENCY_MS_MAX: Final = 30_000
"""Longest single latency that a distribution may draw."""

PPM: Final = 1_000_000


class Latency(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a call takes, in real milliseconds.

    `kind`: fixed (`ms`), uniform (from `ms` to `spread`) or lognormal (median `ms`, sigma
    `spread`). Zero `ms` of the kind fixed means at once: then no task is made per payment.
    """

    kind: str = "fixed"
    ms: float = 0
    spread: float = 0

    def __post_init__(self) -> None:
        if self.kind not in ("fixed", "uniform", "lognormal"):
            raise ValueError(f"latency kind {self.kind!r}: use fixed, uniform or lognormal")
        if not 0 <= self.ms <= LATENCY_MS_MAX:
            raise ValueError(f"latency ms {self.ms}: use 0 to {LATENCY_MS_MAX}")
        if self.spread < 0 or (self.kind == "uniform" and self.spread < self.ms):
            raise ValueError(f"latency spread {self.spread}: at least 0, uniform: at least ms")
        if self.kind == "lognormal" and self.ms <= 0:
            raise ValueError("a lognormal latency needs a median `ms` above 0")

    @property
    def is_none(self) -> bool:
        """Whether answers come at once."""
        return self.kind == "fixed" and self.ms == 0

    @property
    def longest_ms(self) -> float:
        """No draw is above it."""
        most = {"fixed": self.ms, "uniform": self.spread}.get(self.kind, LATENCY_MS_MAX)
        return min(most, LATENCY_MS_MAX)

    def draw_ms(self, random: Random) -> float:
        """One latency in milliseconds, never above LATENCY_MS_MAX."""
        if self.kind == "fixed":
            return self.ms
        if self.kind == "uniform":
            return min(random.uniform(self.ms, self.spread), LATENCY_MS_MAX)
        return min(random.lognormvariate(math.log(self.ms), self.spread), LATENCY_MS_MAX)


class SimulatedSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """One simulated channel account.

    `decline_ppm`, `error_ppm`: how many of a million barcode payments are declined, or answered
    with "system error" (the money was taken in half of those). Which ones follows from `seed` and
    the order number alone, so a repeated number meets the same fate, restarts included.
    `capacity`: calls at one time; more are refused as not sent.
    """

    seed: int = 0
    latency: Latency = Latency()
    refund_latency: Latency = Latency()
    decline_ppm: int = 0
    error_ppm: int = 0
    wallets: tuple[str, ...] = ("alipay", "wechat", "unionpay", "ecny")
    ways: tuple[str, ...] = ("barcode", "qr", "cashier")
    capacity: int = 4096

    def __post_init__(self) -> None:
        if min(self.decline_ppm, self.error_ppm) < 0 or self.decline_ppm + self.error_ppm > PPM:
            raise ValueError("decline_ppm and error_ppm: from 0, together at most 1000000")
        if self.capacity < 1:
            raise ValueError(f"capacity {self.capacity}: at least 1")
