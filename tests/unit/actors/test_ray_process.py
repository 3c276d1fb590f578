"""What happens inside a process of boxes, looked at without Ray: it ends, or one box does."""

import subprocess
import sys
from pathlib import Path

import pytest

from actors.system import EXIT_FATAL

BEGINNING = """
import asyncio, threading, time
from actors.process import Spec
from actors.system import BoxRefused, RayProcess
from payments.storage.base import StoreRefused

ran, networks = [], []

class Box:
    is_supervised = True

    def __init__(self, name, network):
        self.name, self.network = name, network

    async def run(self):
        if self.name == "refused":
            raise StoreRefused("this store is newer than the release")
        if self.name == "failing":
            raise OSError("the disk is gone")
        listener = await self.network.listen("unix:living", lambda wire: wire.bind(self))
        await self.network.dial("unix:living")
        while "stop" not in ran:
            await asyncio.sleep(0.01)

def build(spec, network):
    ran.append(spec.name)
    networks.append(network)
    return Box(spec.name, network)

def place(network, *_):
    return network

def spec(name):
    return Spec("shard", name, 0, 1, "", "")

def start(process, name):
    thread = threading.Thread(target=process.run, args=(build, place, spec(name)))
    thread.start()
    return thread

process = RayProcess()
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run what follows the beginning in a process of its own."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    def running(text):
        return subprocess.run(
            [sys.executable, "-c", BEGINNING + text],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
        )

    return running


def test_a_box_that_fails_ends_the_process_and_its_neighbours(run):
    done = run("start(process, 'living'); start(process, 'failing'); time.sleep(100)")
    assert done.returncode == EXIT_FATAL, done.stderr
    assert "failing: OSError: the disk is gone" in done.stderr


def test_a_box_that_is_refused_says_why_and_its_neighbour_goes_on(run):
    done = run(
        "neighbour = start(process, 'living')\n"
        "try:\n    process.run(build, place, spec('refused'))\n"
        "except BoxRefused as error:\n    print(error)\n"
        "print(neighbour.is_alive())\n"
        "ran.append('stop'); neighbour.join(); print('both ended')\n"
    )
    assert done.stdout.splitlines() == [
        "this store is newer than the release",
        "True",
        "both ended",
    ], done.stderr
    assert done.returncode == 0


def test_a_loop_that_ends_ends_the_process(run):
    """Whoever waits for its boxes would wait for ever."""
    done = run(
        "start(process, 'living')\n"
        "process._loop.call_soon_threadsafe(process._loop.stop)\n"
        "time.sleep(100)\n"
    )
    assert done.returncode == EXIT_FATAL, done.stderr
    assert "the loop of the boxes ended" in done.stderr


def test_a_box_that_ended_has_no_wires_while_its_process_goes_on(run):
    """Frames would still come to a store that is closed."""
    done = run(
        "box = start(process, 'living')\n"
        "while not networks or len(networks[0]._open) < 2: time.sleep(0.01)\n"
        "ran.append('stop'); box.join()\n"
        "until = time.monotonic() + 30\n"
        "while networks[0]._open and time.monotonic() < until: time.sleep(0.01)\n"
        "print(len(networks[0]._open), process._loop.is_running())\n"
    )
    assert done.stdout.split() == ["0", "True"], done.stderr
