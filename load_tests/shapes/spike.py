"""Nobody, then everybody within seconds, twice. Used like `lunch_rush`."""

from load_tests.shapes.base import Curve


class Spike(Curve):
    """A campaign's minute zero: from almost nothing to the peak and back."""

    points = (
        (0.0, 0.02), (0.2, 0.02), (0.22, 1.0), (0.35, 1.0), (0.37, 0.02),
        (0.6, 0.02), (0.62, 1.0), (0.75, 1.0), (0.77, 0.02), (1.0, 0.02),
    )  # fmt: skip
