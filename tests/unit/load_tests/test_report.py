"""The report is one well-formed file that shows every bar, and the plots say their values."""

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from load_tests import history, plots, report
from load_tests.audit import Audit
from load_tests.figures.base import Bar, Figure
from load_tests.plots import Row

PERCENTILES = {"p50": 20.0, "p90": 30.0, "p99": 40.0}
OPEN_RUN = {"target_rate": 500.0, "corrected_ms": PERCENTILES, "uncorrected_ms": PERCENTILES}
VALUES = {
    "closed": {
        "ratio": 0.31,
        "cpu_us_by_role": {"front_door": 91.0, "shard": 30.0, "ray": 2.0},
        "cpu_us_budget": {"front_door": 85, "shard": 40, "store": 45, "channel": 20},
        "runs": [
            {"echo_per_second": 20e3, "payments_per_second": 6e3, "latency_ms": PERCENTILES},
            {"echo_per_second": 21e3, "payments_per_second": 7e3, "latency_ms": PERCENTILES},
        ],
    },
    "latency": {"runs": [OPEN_RUN]},
    "sweep": {"runs": [OPEN_RUN, {**OPEN_RUN, "target_rate": 1000.0}]},
    "baselines": {"payments_per_second": 6e3, "baselines": {"ray_call": {"per_second": 1e3}}},
    "shards": {"cpu_us_per_payment": {"1": 180.0, "2": 185.0}},
    "rows": {"ratio": {"100000": [0.3], "10000000": [0.28]}},
}


class Checker(HTMLParser):
    """Finds tags that are not closed in order."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.external = []

    def handle_starttag(self, tag, attributes):
        self.external += [v for k, v in attributes if k in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert tag == self.open.pop()


def parsed(svg):
    """The drawing as a tree; refuses what is not well formed."""
    return ElementTree.fromstring(svg)


def a_figure(name, value=0.31):
    return Figure(
        name=name,
        title=f"Title of <{name}>",
        bars=(Bar("ratio", value, 0.25, at_least=True, aim=0.4),),
        values=VALUES[name],
        audit=Audit(100, 101, 0, 0, 0),
    )


def an_entry(figures, commit="abc1234"):
    return {
        "measured_at": "2026-11-21T12:00:00+00:00",
        "commit": commit,
        "machine": {"processor": "P", "cores": 2, "packages": {"ray": "2"}},
        "configuration": {"runs": 5, "generator": "shares"},
        "figures": [figure.as_json() for figure in figures],
    }


def test_the_page_is_well_formed_and_complete_in_itself():
    """All kinds of figures at once; nothing is loaded from elsewhere."""
    entry = an_entry([a_figure(name) for name in VALUES])

    page = report.render(entry, [entry])

    checker = Checker()
    checker.feed(page)
    assert [] == checker.open
    assert [] == checker.external
    assert "<script" not in page
    assert "Title of &lt;closed&gt;" in page
    assert "corrected (from due)" in page
    assert "uncorrected (from sent)" in page


@pytest.mark.parametrize(("value", "word"), [(0.31, ">met<"), (0.2, ">missed<")])
def test_each_bar_says_whether_it_was_met(value, word):
    """And beside it what was measured, the limit and the aim."""
    entry = an_entry([a_figure("rows", value)])

    page = report.render(entry, [entry])

    assert word in page.split("audit")[0]
    assert "≥ 0.25, aim 0.4" in page


def test_only_this_machines_runs_are_compared_over_time():
    """Figures of another processor say nothing about a change of the code."""
    mine = [an_entry([a_figure("closed")], commit=f"c{number}") for number in range(3)]
    other = an_entry([a_figure("closed")], commit="elsewhere")
    other["machine"] = {**other["machine"], "processor": "Q"}

    page = report.render(mine[-1], [other, *mine])

    assert "over the commits on this machine" in page
    assert ">c0<" in page
    assert "elsewhere" not in page


def test_history_keeps_every_run(tmp_path):
    """One JSON line each, oldest first."""
    assert [] == history.load(tmp_path)

    for number in range(3):
        history.append(tmp_path, {"number": number})

    assert [0, 1, 2] == [entry["number"] for entry in history.load(tmp_path)]


def test_bars_beyond_their_budget_are_marked():
    """A role that costs more than planned has another color than one that does not."""
    drawing = parsed(
        plots.bars("CPU", [Row("over", 91, 85), Row("under", 30, 40), Row("free", 2)], " µs")
    )

    assert ["over", "bar", "bar"] == [rect.get("class") for rect in drawing.iter("rect")]
    assert 2 == len(list(drawing.iter("line")))
    assert "91 µs of 85" in [text.text for text in drawing.iter("text")]


def test_lines_stay_inside_the_drawing():
    """The largest value touches the top, zero the bottom."""
    drawing = parsed(plots.lines("T", ["a", "b"], {"one": [0.0, 10.0]}, "ms"))

    heights = [float(circle.get("cy")) for circle in drawing.iter("circle")]
    assert [plots.LINE_HEIGHT - plots.MARGIN, 16] == heights


@pytest.mark.parametrize("series", [{}, {"none": []}])
def test_nothing_to_draw_is_an_empty_drawing(series):
    """No division by zero."""
    drawing = parsed(plots.lines("T", [], series))

    assert [] == list(drawing.iter("circle"))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.30512, "0.305"), (12.34, "12.3"), (12345.6, "12,346")]
)
def test_numbers_are_short(value, text):
    """Three digits are what a measurement is worth."""
    assert text == plots.number(value)
