"""One demo for all pages: three sandboxes, on ports of its own, in a home of its own."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
END_S = 60
FLAGS = ["--json", "--runtime", "local", "--rate", "2", "--port", "0", "--admin-port", "0"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Demo:
    """The reader's machine: a home with a demo in it, and the ports that pages name."""

    def __init__(self, home):
        self.home = home
        log = (home / "demo.log").open("w")
        with log:
            self.process = subprocess.Popen(
                [BIN / "tillway", "demo", *FLAGS],
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self.process.stdout.readline()
        assert line, (home / "demo.log").read_text()[-3000:]
        self.ready = json.loads(line)
        self.ports = {
            "8080": self.ready["api"].rpartition(":")[2],
            "8081": self.ready["admin"].rpartition(":")[2],
        }

    def environment(self):
        """What the reader's shell has, and nothing of ours."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TILLWAY_", "XDG_", "PYTEST_")) and name != "VIRTUAL_ENV"
        }
        path = f"{BIN}:{kept.get('PATH', '/usr/bin:/bin')}"
        return kept | {"HOME": str(self.home), "PATH": path, "LC_ALL": "C.UTF-8", "TERM": "dumb"}

    def localized(self, text, ports, folder):
        """The text with this demo's ports, and a folder of ours for /etc."""
        text = text.replace("/etc/tillway", str(folder / "etc" / "tillway"))
        table = self.ports | ports
        return re.sub(r"\b[0-9]{4}\b", lambda found: table.get(found.group(), found.group()), text)

    def close(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(END_S)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """A running demo; it ends with exit code 0."""
    running = Demo(tmp_path_factory.mktemp("home"))
    yield running
    assert 0 == running.close(), (running.home / "demo.log").read_text()[-3000:]


@pytest.fixture
def ports():
    """A page's own ports in the place of those of its receivers and sandboxes."""
    return {"9000": str(free_port()), "9100": str(free_port())}
