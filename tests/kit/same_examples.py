"""Examples that do not depend on what else was imported.

Hypothesis tries, now and then, a constant that stands in one of our modules that are loaded: which
ones are depends on the tests that ran before in the same process. Searches that must come out the
same on every machine and in every order leave these constants out; long searches keep them.
"""

from hypothesis.internal.conjecture import providers


def leave_out_local_constants() -> None:
    """For this process, before its first example."""
    providers._get_local_constants = lambda: providers._local_constants  # Still none.
