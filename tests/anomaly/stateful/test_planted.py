"""The search finds every planted defect: a proof that cannot fail proves nothing."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from machine import Shop
from planted import PLANTED

BOUNDED = settings(
    max_examples=400,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(PLANTED))
def test_the_search_finds(name, monkeypatch):
    """A shop with this defect breaks an invariant within a bounded search."""
    PLANTED[name](monkeypatch)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Shop, settings=BOUNDED)
