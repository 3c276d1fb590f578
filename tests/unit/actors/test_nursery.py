"""The nursery: workers that are forked, or start by themselves where they cannot be."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from actors import nursery
from actors.system import RAY_MODULES
from gateway.main import IMPORTED_ONCE

PATIENCE_S = 120
ASK = "import sys; from actors.worker_start import ask; print(ask(sys.argv[1], sys.argv[2:]))"
TELL = """
import json, os, sys
told = {"pid": os.getpid(), "group": os.getpgid(0), "parent": os.getppid(), "words": sys.argv}
told |= {"folder": os.getcwd(), "color": os.environ.get("COLOR"), "name": __name__}
told |= {"colorsys": "colorsys" in sys.modules}
print(json.dumps(told), flush=True)
sys.stdin.readline()
sys.exit(3)
"""


class Nursery:
    """One process, and who asks it."""

    def __init__(self, folder, modules, **environment):
        self.path = str(folder / "n.sock")
        words = (sys.executable, "-P", nursery.__file__, self.path, *modules)
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )

    def ask(self, *words, folder=None, **environment):
        """A process that asks for a worker with these words."""
        return subprocess.Popen(
            (sys.executable, "-c", ASK, self.path, *map(str, words)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | environment,
        )

    def listens(self):
        end = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.path):
            assert time.monotonic() < end
            time.sleep(0.01)

    def end(self):
        self.process.stdin.close()
        code = self.process.wait(PATIENCE_S)
        self.process.stderr.close()
        return code


@pytest.fixture
def make(tmp_path):
    made = []

    def start(*modules, **environment):
        made.append(Nursery(tmp_path, modules, **environment))
        made[-1].listens()
        return made[-1]

    yield start
    for one in made:
        one.end()


@pytest.fixture
def tell(tmp_path):
    path = tmp_path / "tell.py"
    path.write_text(TELL)
    return path


def test_a_worker_has_all_that_is_its_own(make, tell, tmp_path):
    """Words, folder, environment, files and a group; what was imported is there already."""
    there = make("colorsys")
    with there.ask(tell, "--a", "b c", folder=tmp_path, COLOR="red") as asked:
        told = json.loads(asked.stdout.readline())
        assert told["parent"] == there.process.pid
        assert told["group"] == told["pid"]
        assert told["words"] == [str(tell), "--a", "b c"]
        assert (told["folder"], told["color"]) == (str(tmp_path), "red")
        assert (told["colorsys"], told["name"]) == (True, "__main__")
        assert asked.poll() is None, "it stays as long as the worker"

        asked.stdin.write("\n")
        asked.stdin.flush()
        assert asked.stdout.readline() == "True\n"


def test_one_workers_death_is_nobody_elses(make, tell):
    """A kill ends whoever stands for it; the others and the nursery live on."""
    there = make("colorsys")
    with there.ask(tell) as first, there.ask(tell) as second:
        pids = [json.loads(asked.stdout.readline())["pid"] for asked in (first, second)]
        os.kill(pids[0], signal.SIGKILL)
        assert first.stdout.readline() == "True\n"
        os.kill(pids[1], 0)
        with there.ask(tell) as third:
            assert json.loads(third.stdout.readline())["parent"] == there.process.pid
            third.stdin.write("\n")
        second.stdin.write("\n")


def test_workers_outlive_a_nursery(make, tell):
    """They are boxes with work; who comes later starts by itself."""
    there = make("colorsys")
    with there.ask(tell) as asked:
        told = json.loads(asked.stdout.readline())
        os.kill(there.process.pid, signal.SIGKILL)
        there.process.wait(PATIENCE_S)
        os.kill(told["pid"], 0)
        with there.ask(tell) as later:
            assert later.stdout.readline() == "False\n"
        asked.stdin.write("\n")


@pytest.mark.parametrize("name", nursery.READ_AT_IMPORT)
def test_an_environment_that_ray_read_differently_is_refused(make, tell, name):
    """Such a worker imports Ray for itself."""
    there = make("colorsys", **{name: "1"})
    for value, answer in (("2", "False\n"), ("", "False\n")):
        with there.ask(tell, **{name: value}) as asked:
            assert asked.stdout.readline() == answer


def test_a_module_that_starts_threads_lets_nobody_be_forked(tmp_path, monkeypatch):
    """A lock that a thread held at the fork would be held for ever."""
    (tmp_path / "busy.py").write_text(
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    there = Nursery(tmp_path, ["busy"], PYTHONPATH=str(tmp_path))
    assert there.process.wait(PATIENCE_S) == 1
    assert "threads" in there.process.stderr.read()
    there.end()
    assert not os.path.exists(there.path)


def test_it_ends_with_the_raylet(make):
    """Which holds its standard input."""
    assert make("colorsys").end() == 0


def test_what_is_no_request_is_refused():
    """Too few files, or more than a request has."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        socket.send_fds(theirs, [b"{}"], [0])
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError, match="1 files"):
            nursery.receive(ours)


def test_boxes_modules_and_rays_leave_one_thread(make, tell):
    """Those that a deployment is forked with."""
    with make(*RAY_MODULES, *IMPORTED_ONCE).ask(tell) as asked:
        assert json.loads(asked.stdout.readline())["words"] == [str(tell)]
        asked.stdin.write("\n")
        asked.stdin.flush()
        assert asked.stdout.readline() == "True\n"


def test_rays_program_of_a_worker_is_found_without_ray():
    """An import of Ray is what this is about."""
    code = (
        "import sys; from actors.worker_start import worker_path as at; print(at(), *sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    path, *modules = found.stdout.split()
    assert "connect(" in Path(path).read_text()
    assert "ray" not in modules
