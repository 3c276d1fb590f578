"""A process that is killed, and a disk that is full: real ones."""

import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

COMMITTER = [sys.executable, str(Path(__file__).with_name("committer.py"))]
KILLS = 5
REFUSED = 3

# A file system of a megabyte where the tests may mount one, and a limit on file sizes anywhere.
TMPFS = 'mount -t tmpfs -o size=1m none "$1" && "${@:2}"; status=$?; cp "$1"/* "$0"; exit $status'
MAY_MOUNT = [
    "unshare",
    "-m",
    "mount",
    "-t",
    "tmpfs",
    "-o",
    "size=1m",
    "none",
    tempfile.gettempdir(),
]


def may_mount():
    """Whether this machine lets us mount (in a namespace that ends with the command)."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(MAY_MOUNT, capture_output=True, check=False).returncode == 0


FULL = ["file size", "file system"] if may_mount() else ["file size"]


def acknowledged(output):
    """The last number that was wholly written; numbers come one after another."""
    numbers = [int(line) for line in output.split("\n")[:-1]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
    return numbers[-1] if numbers else 0


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_in_the_middle_of_commits_loses_nothing(tmp_path, survivors, seed):
    """Again and again on the same file: what was acknowledged is there, whole, and no more."""
    dice = random.Random(seed)
    path = tmp_path / "shard-0.db"
    found = 0
    for _ in range(KILLS):
        with subprocess.Popen([*COMMITTER, path], stdout=subprocess.PIPE, text=True) as process:
            wanted = found + dice.randrange(1, 150)
            output = ""
            while acknowledged(output) < wanted:
                line = process.stdout.readline()
                assert line, "the committer ended by itself"
                output += line
            process.kill()
            output += process.stdout.read()
        last = max(found, acknowledged(output))
        found = survivors(path)
        assert last <= found <= last + 1, f"seed {seed}"


@pytest.mark.parametrize("what", FULL)
def test_a_full_disk_refuses_and_keeps_what_it_had(tmp_path, survivors, what):
    """The commit that finds no room is refused, and so is all after it; the rest is whole."""
    path = tmp_path / "shard-0.db"
    if what == "file size":
        command = [*COMMITTER, path, "600000"]
    else:
        small = tmp_path / "small"
        small.mkdir()
        inside = ["bash", "-c", TMPFS, tmp_path, small, *COMMITTER, small / path.name]
        command = ["unshare", "-m", *inside]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert REFUSED == done.returncode, done.stderr
    assert "full" in done.stderr or "I/O" in done.stderr
    last = acknowledged(done.stdout)
    assert last > 10
    assert last <= survivors(path) <= last + 1
