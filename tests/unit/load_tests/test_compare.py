"""Two runs on the same machine are compared; a loss of more than a tenth is a failure."""

import json

import pytest

from load_tests import bench, compare

LOSSES = [
    # before, after, more is better, loss
    (0.30, 0.33, True, -0.1),
    (0.30, 0.24, True, 0.2),
    (200, 180, False, -0.1),
    (200, 230, False, 0.15),
    (0, 0, False, 0.0),
    (0, 3, False, 1.0),
    (-2.0, -1.0, False, 0.5),
]


@pytest.mark.parametrize(("before", "after", "more_is_better", "lost"), LOSSES)
def test_a_loss_is_a_share_of_what_was(before, after, more_is_better, lost):
    """For a cost, more is a loss; for a rate, less is."""
    assert lost == pytest.approx(compare.loss(before, after, more_is_better=more_is_better))


def a_run(ratio, cores=2):
    bars = [{"name": "ratio", "value": ratio, "at_least": True}]
    return {
        "machine": {"cores": cores},
        "configuration": {"runs": 5},
        "figures": [{"name": "closed", "bars": bars}],
    }


@pytest.mark.parametrize(
    ("after", "code"), [(a_run(0.28), 0), (a_run(0.26), 4), (a_run(0.3, cores=8), 2)]
)
def test_exit_codes(tmp_path, capsys, after, code):
    """4 for a loss of more than a tenth, 2 for another machine."""
    for name, run in (("before", a_run(0.3)), ("after", after)):
        (tmp_path / name).write_text(json.dumps(run))

    assert code == bench.main(
        ["compare", str(tmp_path / "before"), str(tmp_path / "after"), "--json"]
    )

    shown = capsys.readouterr()
    if code != 2:
        assert 0.3 == json.loads(shown.out)["closed: ratio"][0]
    else:
        assert "machine" in shown.err
