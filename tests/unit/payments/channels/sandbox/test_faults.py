"""Faults are drawn as often as asked, the same from the same seed, and only where asked."""

from collections import Counter
from random import Random

import pytest

from payments.channels.sandbox.faults import NEXT_MAX, Fate, FaultMaker, Faults
from payments.channels.simulated.settings import Latency

DRAWS = 20_000


def drawn(faults: Faults, seed: int = 1) -> list[Fate]:
    maker = FaultMaker(faults, Random(seed))
    return [maker.draw("pay") for _ in range(DRAWS)]


def test_nothing_goes_wrong_unasked() -> None:
    assert set(drawn(Faults())) == {Fate.NONE}
    assert FaultMaker(Faults(), Random(1)).latency_s() == 0


def test_each_fate_comes_as_often_as_asked() -> None:
    shares = {
        Fate.BUSY: 10_000,
        Fate.ERROR: 20_000,
        Fate.HANG: 30_000,
        Fate.LOST: 40_000,
        Fate.DROP: 50_000,
        Fate.UNSIGNED: 60_000,
    }
    faults = Faults(**{f"{fate}_ppm": ppm for fate, ppm in shares.items()})
    counts = Counter(drawn(faults))
    for fate, ppm in shares.items():
        assert counts[fate] == pytest.approx(DRAWS * ppm / 1_000_000, rel=0.2)


def test_the_same_seed_draws_the_same() -> None:
    faults = Faults(error_ppm=300_000, drop_ppm=300_000)
    assert drawn(faults, 5) == drawn(faults, 5)
    assert drawn(faults, 5) != drawn(faults, 6)


def test_ordered_fates_come_first_and_once() -> None:
    maker = FaultMaker(Faults(next=(Fate.NONE, Fate.DROP)), Random(1))
    assert maker.faults.next == (Fate.NONE, Fate.DROP)
    assert [maker.draw("pay") for _ in range(3)] == [Fate.NONE, Fate.DROP, Fate.NONE]
    assert maker.faults.next == ()
    assert maker.drawn == {"drop": 1}


def test_other_operations_are_left_alone() -> None:
    maker = FaultMaker(Faults(next=(Fate.DROP,), operations=("refund",)), Random(1))
    assert maker.draw("pay") == Fate.NONE
    assert maker.draw("refund") == Fate.DROP


def test_duplicates_and_probes_follow_their_shares() -> None:
    always = FaultMaker(Faults(duplicate_ppm=1_000_000, probe_ppm=1_000_000), Random(1))
    never = FaultMaker(Faults(), Random(1))
    assert (always.duplicates(), always.probes()) == (1, True)
    assert (never.duplicates(), never.probes()) == (0, False)


def test_latency_is_in_seconds() -> None:
    assert FaultMaker(Faults(latency=Latency(ms=250)), Random(1)).latency_s() == 0.25


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_ppm": -1},
        {"error_ppm": 600_000, "drop_ppm": 400_001},
        {"duplicate_ppm": 1_000_001},
        {"probe_ppm": -1},
        {"callback_ms": 600_001},
        {"next": (Fate.NONE,) * (NEXT_MAX + 1)},
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"ppm|next|callback_ms"):
        Faults(**wrong)  # type: ignore[arg-type]
