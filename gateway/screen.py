"""Whoever watches a deployment start, run and end; and the figures that are worth watching.

The figures come from the metrics that everybody may read; nothing is measured for a screen alone.
"""

import itertools
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from msgspec import Struct

from gateway.metrics import Metrics
from gateway.settings_shape import Settings

WINDOW: Final = 10
"""Readings of the past that the live figures look over, one a second."""

PAYMENTS: Final = "tillway_payment_total"
AMOUNT: Final = "tillway_payment_amount_minor_total"
DURATION: Final = "tillway_http_request_duration_seconds"
IMBALANCE: Final = "tillway_ledger_imbalance_minor"
ROUTE: Final = "/v1/payments"
LATE: Final = "late_success"
"""Counts a payment that had its outcome already."""

COUNTED: Final = frozenset({"succeeded", "failed", "reversed", "closed"})
TRIED: Final = frozenset({"succeeded", "failed", "reversed"})
"""A code that nobody paid is no failure."""


class Figures(Struct, frozen=True):
    """What was counted since the start. `buckets`: seconds -> POSTs of payments up to so long."""

    outcomes: dict[str, int]
    amounts: dict[str, int]
    imbalance: int
    buckets: tuple[tuple[float, int], ...]

    @property
    def payments(self) -> int:
        return sum(self.outcomes.get(name, 0) for name in COUNTED)

    @property
    def success_percent(self) -> float | None:
        return percent(self.outcomes)


def percent(outcomes: dict[str, int]) -> float | None:
    """Succeeded among those that somebody tried to pay; None before the first."""
    tried = sum(outcomes.get(name, 0) for name in TRIED)
    return 100 * outcomes.get("succeeded", 0) / tried if tried else None


def read(metrics: Metrics) -> Figures:
    """The figures as they stand."""
    outcomes: dict[str, int] = {}
    amounts: dict[str, int] = {}
    buckets: dict[float, int] = {}
    imbalance = 0.0
    for family in metrics.collect():
        for sample in family.samples:
            labels, value = sample.labels, sample.value
            if sample.name == PAYMENTS:
                outcomes[labels["outcome"]] = outcomes.get(labels["outcome"], 0) + int(value)
            elif sample.name == AMOUNT:
                amounts[labels["currency"]] = amounts.get(labels["currency"], 0) + int(value)
            elif sample.name == IMBALANCE:
                imbalance += value
            elif sample.name == f"{DURATION}_bucket" and _is_payment(labels):
                edge = float(labels["le"])
                buckets[edge] = buckets.get(edge, 0) + int(value)
    return Figures(outcomes, amounts, int(imbalance), tuple(sorted(buckets.items())))


def _is_payment(labels: dict[str, str]) -> bool:
    return labels["route"] == ROUTE and labels["method"] == "POST"


class Now(Struct, frozen=True):
    """The last seconds. `rates`: payments in each of them. Latencies in ms; None: no payment."""

    tps: float
    rates: tuple[int, ...]
    success_percent: float | None
    p50_ms: float | None
    p99_ms: float | None
    imbalance: int


class Pulse:
    """The latest readings, one a second, and what they say of the last seconds."""

    def __init__(self) -> None:
        self._past: deque[Figures] = deque(maxlen=WINDOW + 1)

    def take(self, figures: Figures) -> Now:
        self._past.append(figures)
        past = list(self._past)
        first, last = past[0], past[-1]
        rates = tuple(
            max(0, after.payments - before.payments) for before, after in itertools.pairwise(past)
        )
        since = {name: count - first.outcomes.get(name, 0) for name, count in last.outcomes.items()}
        known = dict(first.buckets)
        buckets = [(edge, count - known.get(edge, 0)) for edge, count in last.buckets]
        return Now(
            sum(rates) / len(rates) if rates else 0.0,
            rates,
            percent(since),
            quantile_ms(buckets, 0.5),
            quantile_ms(buckets, 0.99),
            last.imbalance,
        )


def quantile_ms(buckets: list[tuple[float, int]], share: float) -> float | None:
    """The value below which `share` lies, by the straight line through its bucket."""
    total = buckets[-1][1] if buckets else 0
    if total <= 0:
        return None
    wanted = share * total
    low, below = 0.0, 0
    for edge, count in buckets:
        if count >= wanted:
            if edge == float("inf"):
                return low * 1_000
            inside = (wanted - below) / max(1, count - below)
            return (low + (edge - low) * inside) * 1_000
        low, below = edge, count
    return low * 1_000


class Ready(Struct, frozen=True):
    """The deployment is up. `code`: the payment with a code to scan, where one was made."""

    line: dict[str, Any]
    merchant_name: str
    stores: int
    terminals: int
    code: dict[str, Any] | None


class Screen(Protocol):
    """What is told to somebody who watches. Without one the deployment says its one line."""

    def began(self, settings: Settings) -> None:
        """Before anything is started."""
        ...

    def step(self, name: str, detail: str, took_s: float) -> None:
        """A part of the start is done."""
        ...

    def ready(self, told: Ready, settings: Settings) -> None:
        """Payments are taken from now on."""
        ...

    async def watch(self, look: Callable[[], Figures]) -> None:
        """Show the live figures until cancelled."""
        ...

    def draining(self) -> None:
        """The end begins."""
        ...

    def ended(self, figures: Figures, settings: Settings) -> None:
        """Everything is closed."""
        ...
