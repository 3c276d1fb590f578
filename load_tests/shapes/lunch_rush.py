"""A restaurant's noon: quiet, a steep rise, a plateau, the tail.

`locust -f load_tests/locustfile.py,load_tests/shapes/lunch_rush.py …`; TILLWAY_PEAK people at most
(100), over TILLWAY_MINUTES minutes (10).
"""

from load_tests.shapes.base import Curve


class LunchRush(Curve):
    """Shares of the peak at shares of the time; in between, straight lines."""

    points = ((0.0, 0.05), (0.2, 0.2), (0.35, 1.0), (0.65, 0.9), (0.8, 0.3), (1.0, 0.05))
