"""Dashboards and alerts: each name in them exists, and promtool agrees."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.metrics import BUILD, METRICS, READY, RESTARTS, SHARD_RESTARTS

TOOLS = Path(sys.executable).parent
ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config"
ALERTS = CONFIG / "prometheus" / "alerts.yml"
BOARDS = sorted((CONFIG / "grafana" / "dashboards").glob("*.json"))
NAME = re.compile(r"\btillway_[a-z_]+")
NAMES = {BUILD + "_info", READY, RESTARTS, SHARD_RESTARTS} | {metric.name for metric in METRICS}
NAMES |= {
    metric.name + part
    for metric in METRICS
    if metric.kind == "histogram"
    for part in ("_bucket", "_sum", "_count")
}


def expressions(board):
    """Every PromQL expression of a dashboard."""
    panels = json.loads(board.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_dashboards_are_what_their_program_makes():
    """Whoever edits one by hand loses it at the next change."""
    made = runpy.run_path(str(ROOT / "scripts" / "dashboards.py"))["files"]()

    assert {path: path.read_text() for path in BOARDS} == made


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_every_metric_in_a_panel_exists(board):
    """A panel about nothing stays empty for ever, and nobody notices."""
    named = {name for expression in expressions(board) for name in NAME.findall(expression)}

    assert named
    assert set() == named - NAMES


def test_every_metric_in_an_alert_exists():
    """An alert about nothing never fires."""
    rules = [line for line in ALERTS.read_text().splitlines() if "alert:" not in line]
    named = {name for line in rules for name in NAME.findall(line)}

    assert len(named) > 10
    assert set() == named - NAMES


def test_every_metric_is_on_a_dashboard():
    """What is worth a name is worth a look."""
    shown = " ".join(expression for board in BOARDS for expression in expressions(board))
    shown += ALERTS.read_text()

    assert set() == {metric.name for metric in METRICS if metric.name not in shown}


@pytest.mark.parametrize(
    "line", ["check rules alerts.yml", "check config prometheus.yml", "test rules tests.yml"]
)
def test_promtool_agrees(line):
    """The rules' own tests play the numbers of an accident and see the alert fire."""
    promtool = shutil.which("promtool", path=f"{TOOLS}:{os.environ['PATH']}")
    assert promtool is not None, "make setup fetches it"

    done = subprocess.run(
        [promtool, *line.split()], cwd=ALERTS.parent, capture_output=True, text=True, check=False
    )

    assert 0 == done.returncode, done.stdout + done.stderr
