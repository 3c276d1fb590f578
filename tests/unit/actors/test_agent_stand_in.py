"""The stand-in of Ray's agents: ports that the raylet reads, held until it is gone."""

import socket
import subprocess
import sys
import time

import pytest

from actors import agent_stand_in

PATIENCE_S = 60
NODE = "9e091cee"
PORTS = ("metrics_agent_port", "dashboard_agent_listen_port")


@pytest.fixture
def started(tmp_path):
    words = (
        *(sys.executable, "-I", "-S", agent_stand_in.__file__, ",".join(PORTS), ""),
        *("agent.py", f"--session-dir={tmp_path}", "--head", f"--node-id={NODE}"),
    )
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        yield process
        process.stdin.close()


def wait_for(paths):
    end = time.monotonic() + PATIENCE_S
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end, paths
        time.sleep(0.01)


def test_its_ports_are_written_and_nobody_elses(started, tmp_path):
    """Each file is one number; the port cannot be taken, and nothing answers on it."""
    paths = [tmp_path / f"{name}_{NODE}" for name in PORTS]
    wait_for(paths)

    ports = [int(path.read_text()) for path in paths]
    assert len(set(ports)) == len(PORTS)
    for port in ports:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port)) != 0


def test_it_ends_with_the_raylet(started, tmp_path):
    """Whose death closes the pipe, however it came."""
    wait_for([tmp_path / f"{PORTS[0]}_{NODE}"])
    assert started.poll() is None

    started.stdin.close()
    assert started.wait(PATIENCE_S) == 0


def test_words_without_a_folder_are_refused():
    """Rather than ports where the raylet does not look."""
    with pytest.raises(ValueError, match="session-dir"):
        agent_stand_in.main(["a_port", "", "agent.py", "--node-id=1"])
