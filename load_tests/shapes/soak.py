"""The same for long: what leaks or drifts shows. Used like `lunch_rush`; TILLWAY_MINUTES=480."""

from load_tests.shapes.base import Curve


class Soak(Curve):
    """Up within a twentieth of the time, then level."""

    points = ((0.0, 0.1), (0.05, 1.0), (0.95, 1.0), (1.0, 0.1))
