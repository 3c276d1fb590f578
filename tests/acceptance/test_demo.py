"""`tillway demo` as people see it: on a terminal, in plain lines, and to its end."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest

READY_S = 20
MACHINE_FACTOR = 6
"""The promise is for a machine that has nothing else to do; here tests run beside it."""

PROCESSORS = 2
"""Of the machine that the promise is for."""

PATIENCE_S = 90
STEPS = ("ledger", "runtime", "channels", "front doors", "merchant")


def command(kit, data, *arguments):
    ports = ("--port", "0", "--admin-port", "0", "--runtime", "local", "--data", str(data))
    return [str(kit.TILLWAY), "demo", *ports, *arguments]


class Terminal:
    """The demo on a terminal of 50 lines of 110 characters."""

    def __init__(self, words):
        self.text = ""
        pid, self._file = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.environ.pop("NO_COLOR", None)
            os.execv(words[0], words)  # noqa: S606 - our own program, on its terminal
        self.pid = pid
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 110, 0, 0))

    def wait_for(self, pattern):
        """Until that was shown."""
        end = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, (pattern, self.text[:4000])
            assert self._read(), (pattern, self.text[-4000:])
        return re.search(pattern, self.text)

    def _read(self):
        ready, _, _ = select.select([self._file], [], [], 1)
        if not ready:
            return True
        try:
            piece = os.read(self._file, 65_536)
        except OSError:
            return False
        self.text += piece.decode("utf-8", "replace")
        return bool(piece)

    def end(self):
        """Ctrl-C, and the exit code."""
        os.write(self._file, b"\x03")
        end = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < end, self.text
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        os.close(self._file)
        return os.waitstatus_to_exitcode(status)

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGTERM)
            os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(kit, tmp_path):
    made = Terminal(command(kit, tmp_path / "d", "--rate", "20", "--seed", "7"))
    yield made
    made.close()


def test_a_terminal_shows_the_shop_and_what_happens_in_it(terminal, tmp_path):
    """Steps, addresses that answer, a code, a line that moves; after Ctrl-C five lines."""
    began = time.monotonic()
    url = terminal.wait_for(r"API +(http://\S+)\s")[1]
    page = terminal.wait_for(r"payer page +(http://\S+)\s")[1]
    terminal.wait_for(r"\^C stops")
    assert time.monotonic() - began < READY_S * MACHINE_FACTOR
    for step in STEPS:
        assert f"✓ \x1b[0m{step}" in terminal.text or f"✓ {step}" in terminal.text, step
    for address in (f"{url}/docs", page):
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310 - its own
            assert answer.status == 200
    assert "▀▀▀▀▀█" in terminal.text
    terminal.wait_for(r"tps [1-9]\d*\.\d .{1,20}ok \d+\.\d %  p50 \d+\.\d ms .*?ledger 0")

    assert terminal.end() == 0

    summary = terminal.text.split("draining")[-1]
    assert re.search(r"payments +[1-9]\d*", summary), summary
    assert re.search(r"amount +¥[1-9][\d,]*\.\d\d", summary), summary
    assert re.search(r"success +\d+\.\d %", summary), summary
    assert re.search(r"trial +balance 0, recomputed from [1-9]\d* entries", summary), summary
    assert str(tmp_path / "d") in summary
    assert '"event"' not in terminal.text, "logs belong into the file"
    log = tmp_path / "d" / "demo.log"
    assert [json.loads(line) for line in log.read_text().splitlines()]
    assert log.stat().st_mode & 0o077 == 0


def test_without_a_terminal_there_are_plain_lines(kit, tmp_path):
    """No colors, no pictures: and the same data directory serves a second time."""
    for _ in range(2):
        with subprocess.Popen(
            command(kit, tmp_path / "d", "--rate", "0", "--channels", "simulated"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            text = ""
            while "tillway status" not in text:
                line = process.stdout.readline()
                assert line, text + process.stderr.read()
                text += line
            process.send_signal(signal.SIGINT)
            rest, complaints = process.communicate(timeout=PATIENCE_S)

        assert (process.returncode, complaints) == (0, "")
        assert "\x1b" not in text + rest
        assert "▀" not in text
        assert len(rest.split("draining")[1].splitlines()) == 6


def test_json_is_exactly_one_line(kit, tmp_path):
    """As the contract has it; whatever else there is to say goes to standard error."""
    with subprocess.Popen(
        command(kit, tmp_path / "d", "--json", "--rate", "5", "--channels", "simulated"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        line = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(PATIENCE_S) == 0

    assert set(line) == {"ready", "api", "admin", "api_key", "merchant", "pid"}
    assert (line["ready"], line["pid"], rest) == (True, process.pid, "")


def test_a_port_that_is_taken_is_told_with_the_flag_that_helps(kit, tmp_path, demo_port):
    """Also while the screen has standard error."""
    words = command(kit, tmp_path / "d")
    words[words.index("--port") + 1] = str(demo_port)
    found = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (found.returncode, "--port" in found.stderr) == (2, True), found


@pytest.fixture
def demo_port():
    """A port that somebody has."""
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def visits(page, browser):
    """Every address that a wallet's browser is led over once its guest wants to pay."""
    seen = [page]

    class Following(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, request, *details):
            seen.append(details[-1])
            return super().redirect_request(request, *details)

    opener = urllib.request.build_opener(Following, urllib.request.HTTPCookieProcessor())
    headers = {
        "User-Agent": browser,
        "Accept": "text/html",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    request = urllib.request.Request(f"{page}/pay", b"", headers)  # noqa: S310 - its own
    with opener.open(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200
    return seen


def test_open_to_the_local_network(kit, tmp_path):
    """It says so, names the address, pages are under it, and the admin port stays inside."""
    from actors.net import lan_address

    address = lan_address()
    words = command(kit, tmp_path / "d", "--rate", "0", "--lan")
    if address is None:
        found = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S)
        assert (found.returncode, "--lan" in found.stderr) == (2, True)
        return
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        text = ""
        while "tillway status" not in text:
            text += process.stdout.readline()
        page = re.search(r"payer page +(http://\S+)", text)[1]
        admin = re.search(r"metrics +(http://\S+)", text)[1]
        with urllib.request.urlopen(page, timeout=PATIENCE_S) as answer:  # noqa: S310 - its own
            assert answer.status == 200
        visited = visits(page, "Mozilla/5.0 (iPhone) MicroMessenger/8.0.50")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 0
    assert "OPEN TO THE LOCAL NETWORK" in text
    assert page.startswith(f"http://{address}:")
    # The wallet asks its channel who pays, and comes back: all of it from a phone.
    assert any("/oauth/authorize" in url for url in visited)
    assert {address} == {urlsplit(url).hostname for url in visited}
    assert admin.startswith("http://127.0.0.1:")


def processor_s(pid):
    """Seconds of processor time that a process and all below it have used."""
    used = 0.0
    above = psutil.Process(pid)
    for process in (above, *above.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # Ended while we looked.
            used += sum(process.cpu_times()[:4])
    return used


@pytest.mark.ray
def test_the_default_demo_is_ready_within_its_promise(kit, tmp_path):
    """On Ray, over the sandboxes: no more work than two processors do in 20 s, whoever is beside.

    Started before, as at home.
    """
    words = [*command(kit, tmp_path / "d", "--rate", "0", "--json"), "--runtime", "ray"]
    for _ in range(2):
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            assert json.loads(process.stdout.readline())["ready"] is True
            used_s = processor_s(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0

    assert used_s < READY_S * PROCESSORS
