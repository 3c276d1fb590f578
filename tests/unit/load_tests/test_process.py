"""Servers are started, waited for and ended by their id, with everything they started."""

import sys
import time

import pytest

from load_tests import cpu, process
from load_tests.process import Server, ServerFailed

READY = 'print(\'hello\\n{"ready": true, "api": "http://127.0.0.1:1"}\', flush=True)'
PARENT = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
{READY}
time.sleep(60)
"""


def test_the_ready_line_is_found_among_others(tmp_path):
    """Only a JSON line that says ready counts."""
    with Server([sys.executable, "-c", PARENT], tmp_path / "log") as server:
        assert "http://127.0.0.1:1" == server.url
        assert server.is_running()


def test_orphans_are_ended_too(tmp_path):
    """A server that dies without ending its children leaves none behind."""
    with Server([sys.executable, "-c", PARENT], tmp_path / "log") as server:
        family = cpu.snapshot([server.pid])

    deadline = time.monotonic() + 60
    while any(alive := [pid for pid in family if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert 2 == len(family)
    assert [] == alive


def _runs(pid):
    """Whether it is there and not just waiting to be forgotten."""
    try:
        return (cpu.PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_that_ends_early_says_why(tmp_path):
    """The end of its log is in the error."""
    with pytest.raises(ServerFailed, match="no such merchant"):
        Server([sys.executable, "-c", "raise SystemExit('no such merchant')"], tmp_path / "log")


def test_a_server_that_never_gets_ready_is_ended(tmp_path):
    """After the time that it was given."""
    began = time.monotonic()

    with pytest.raises(ServerFailed):
        Server(
            [sys.executable, "-c", "import time; time.sleep(60)"],
            tmp_path / "log",
            ready_timeout_s=0.3,
        )

    assert time.monotonic() - began < 50


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path, monkeypatch):
    """Draining has a limit."""
    monkeypatch.setattr(process, "STOP_TIMEOUT_S", 0.2)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{PARENT}"

    server = Server([sys.executable, "-c", deaf], tmp_path / "log")

    assert -9 == server.stop()
    assert not server.is_running()


def test_settings_reach_the_server(tmp_path):
    """The environment is added to, not replaced."""
    shows = (
        "import os; print('{\"ready\":true,\"api\":\"' + os.environ['MARK'] + '\"}', flush=True)"
    )

    with Server(
        [sys.executable, "-c", shows], tmp_path / "log", environment={"MARK": "seen"}
    ) as server:
        assert "seen" == server.url
