"""A shape drawn as a curve."""

import os
from itertools import pairwise
from typing import Final

from locust import LoadTestShape

PEAK_DEFAULT: Final = 100
MINUTES_DEFAULT: Final = 10.0
SPAWN_S: Final = 2.0
"""Whoever is missing comes within this long."""


class Curve(LoadTestShape):
    """People over time as straight lines between points (share of the time, share of the peak)."""

    abstract = True
    points: tuple[tuple[float, float], ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.peak = int(os.environ.get("TILLWAY_PEAK", PEAK_DEFAULT))
        self.seconds = float(os.environ.get("TILLWAY_MINUTES", MINUTES_DEFAULT)) * 60

    def at(self, run_s: float) -> int | None:
        """How many people there are; None when it is over."""
        share = run_s / self.seconds
        for (begin, low), (end, high) in pairwise(self.points):
            if begin <= share <= end:
                return max(
                    1, round(self.peak * (low + (high - low) * (share - begin) / (end - begin)))
                )
        return None

    def tick(self) -> tuple[int, float] | None:
        """(people, arrivals a second), as locust asks every second."""
        people = self.at(self.get_run_time())
        return None if people is None else (people, max(1.0, self.peak / SPAWN_S))
