"""The locust kit against a live deployment: journeys, thresholds, the money check, the page."""

import csv
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KIT = ROOT / "load_tests"
RUN_MAX_S = 80
"""Locust counts from its own start, imports included: a run ends when it has seen enough."""
AT_MOST = ("-t", f"{RUN_MAX_S}s")
PATIENCE_S = 60
NAMES = {
    "POST barcode",
    "POST barcode, double tap",
    "POST qr",
    "POST refund",
    "GET list",
}

ENOUGH = """
from gevent import spawn
from locust import events

WANTED, COUNT = {wanted}, {count}
seen = []

@events.init.add_listener
def watch(environment, **_):
    def look(request_type, name, **_):
        seen.append(name)
        if len(seen) >= COUNT and WANTED <= set(seen) and "over" not in seen:
            seen.append("over")
            spawn(environment.runner.quit)

    environment.events.request.add_listener(look)
"""


def enough(tmp_path, count, wanted=()):
    """A file for locust that ends a run after so many requests, all the `wanted` among them."""
    file = tmp_path / "enough.py"
    file.write_text(ENOUGH.format(wanted=set(wanted) or "set()", count=count))
    return str(file)


def command(shop, *arguments, files=("locustfile.py",)):
    """The command line of locust against the shop's deployment."""
    paths = ",".join(str(KIT / name) for name in files)
    line = [sys.executable, "-m", "locust", "-f", paths, "--host", shop.gateway.api]
    return [*line, "--api-key", shop.key["secret"], *arguments]


def headless(shop, tmp_path, *arguments, files=("locustfile.py",), **environment):
    """A run without a page: (finished process, {name of a request: its row})."""
    line = command(
        shop,
        "--headless",
        "--csv",
        str(tmp_path / "run"),
        "--only-summary",
        *arguments,
        files=files,
    )
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, timeout=110, env=os.environ | environment
    )
    with (tmp_path / "run_stats.csv").open() as file:
        return done, {row["Name"]: row for row in csv.DictReader(file)}


@pytest.mark.timeout(120)
def test_people_pay_and_all_of_it_is_there(shop, tmp_path):
    """Every journey is taken, nothing fails, each promise is looked up, exit code 0."""
    files = ("locustfile.py", enough(tmp_path, 200, NAMES))
    done, rows = headless(shop, tmp_path, "-u", "22", "-r", "22", *AT_MOST, files=files)

    assert 0 == done.returncode, done.stderr[-3000:]
    assert set() == NAMES - set(rows)
    assert "0" == rows["Aggregated"]["Failure Count"]
    looked_up, promised = re.search(r"money check: (\d+) of (\d+)", done.stderr).groups()
    assert looked_up == promised
    assert int(promised) > 20
    assert "threshold missed" not in done.stderr


@pytest.mark.timeout(120)
@pytest.mark.parametrize("threshold", ["--p99-ms-max=0.001", "--failures-max=-1"])
def test_a_missed_threshold_is_exit_code_4(shop, tmp_path, threshold):
    """And it is said which."""
    files = ("locustfile.py", enough(tmp_path, 20))
    done, _ = headless(shop, tmp_path, "-u", "8", "-r", "8", *AT_MOST, threshold, files=files)

    assert 4 == done.returncode
    assert "threshold missed" in done.stderr
    assert "nothing was sent" not in done.stderr


@pytest.mark.timeout(120)
def test_a_run_in_which_nothing_was_sent_is_no_success(shop, tmp_path):
    """A limit that is over before anybody came proves nothing, and says so."""
    done, _ = headless(shop, tmp_path, "-u", "1", "-r", "1", "-t", "1s", "--tags", "nobody")

    assert 4 == done.returncode
    assert "nothing was sent" in done.stderr


@pytest.mark.timeout(120)
def test_a_payment_that_is_not_there_is_found(shop, tmp_path):
    """The money check is no decoration: one promise is made up, and the run ends badly."""
    liar = tmp_path / "liar.py"
    liar.write_text(
        "from locust import events\n"
        "@events.test_stopping.add_listener\n"
        "def lie(environment, **_):\n"
        "    import sys\n"
        "    kit = next(m for m in list(sys.modules.values()) if hasattr(m, 'PROMISES'))\n"
        "    kit.PROMISES.append(kit.Promise('loc-never', 'pay_never', 100))\n"
    )
    files = ("locustfile.py", enough(tmp_path, 20), str(liar))
    done, _ = headless(shop, tmp_path, "-u", "8", "-r", "8", *AT_MOST, files=files)

    assert 4 == done.returncode, done.stderr
    assert "1 payments are not what was acknowledged" in done.stderr
    assert "loc-never: promised pay_never, kept []" in done.stdout + done.stderr


@pytest.mark.timeout(120)
def test_a_shape_draws_the_day(shop, tmp_path):
    """Six seconds of lunch: up to the peak, and it ends by itself."""
    done, rows = headless(
        shop,
        tmp_path,
        files=("locustfile.py", "shapes/lunch_rush.py"),
        TILLWAY_PEAK="12",
        TILLWAY_MINUTES="0.1",
    )

    assert 0 == done.returncode, done.stderr[-3000:]
    assert "Shape test updating to 12 users" in done.stderr or "to 11 users" in done.stderr
    assert "Shape test stopping" in done.stderr
    assert int(rows["POST barcode"]["Request Count"]) > 10


@pytest.mark.timeout(120)
def test_the_page_works(shop):
    """Somebody opens it, starts a run by its button, sees requests, stops it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = command(shop, "--web-host", "127.0.0.1", "--web-port", str(port))
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    try:
        assert b"locust" in until(lambda: fetch(port, "/")).lower()
        form = b"user_count=6&spawn_rate=6&host=" + shop.gateway.api.encode()
        assert fetch(port, "/swarm", form)
        until(lambda: b"POST barcode" in (fetch(port, "/stats/requests") or b""))
        assert fetch(port, "/stop", b"")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


def fetch(port, path, form=None):
    """The body of a page, or None while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", form, timeout=5) as reply:
            return reply.read()
    except (OSError, http.client.HTTPException):
        return None


def until(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.2)
    return found
