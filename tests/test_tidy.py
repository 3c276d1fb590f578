"""Style is a test, and every ban names its replacement.

The rules are in scripts/tidy.py. Each is first proved here on a planted bad snippet (it complains)
and on a good twin (it is silent), and then it judges the files of the repository.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tidy import FILE_LINES_MAX, FUNCTION_LINES_MAX, RULES, rules_for
from tidy_source import ROOT, Source, tracked

TOO_LONG_FUNCTION = "def f():\n" + "    g()\n" * FUNCTION_LINES_MAX
LONGEST_FUNCTION = "def f():\n" + "    g()\n" * (FUNCTION_LINES_MAX - 1)

# rule, where the snippet would stand, bad, good
PLANTED = [
    ("ray", "gateway/app.py", "import ray", "import raylib"),
    (
        "ray",
        "actors/shard.py",
        "from ray.actor import ActorHandle",
        "from actors.refs import Shard",
    ),
    ("ray", "load_tests/bench.py", "import ray", "import asyncio"),
    ("http", "payments/risk.py", "import aiohttp", "import msgspec"),
    ("http", "actors/shard.py", "from aiohttp import web", "from actors import link"),
    ("prometheus", "gateway/app.py", "import prometheus_client", "from gateway import metrics"),
    ("prometheus", "actors/stats.py", "from prometheus_client import Counter", "import msgspec"),
    ("sockets", "actors/link.py", "import socket", "from actors import net"),
    ("sockets", "actors/link.py", "import asyncio as a\na.start_server(f)", "import asyncio"),
    ("sockets", "gateway/main.py", "loop.create_unix_server(f)", "net.listen(f)"),
    ("environment", "actors/shard.py", "import os\nos.environ['A']", "import os\nos.getpid()"),
    ("environment", "gateway/main.py", "from os import getenv", "from os import getpid"),
    ("configuration", "gateway/app.py", "import tomllib", "import json"),
    ("time", "actors/shard.py", "import time", "clock.now()"),
    ("time", "payments/risk.py", "from time import monotonic_ns as t", "clock.monotonic_ns()"),
    (
        "time",
        "gateway/auth.py",
        "from datetime import datetime as d, UTC\nd.now(UTC)",
        "from datetime import datetime as d\nd.fromtimestamp(0)",
    ),
    ("randomness", "gateway/auth.py", "import secrets", "from payments import ids"),
    ("randomness", "actors/shard.py", "import os\nos.urandom(8)", "import os\nos.fsync(8)"),
    (
        "randomness",
        "payments/channels/simulated/channel.py",
        "import random\nrandom.random()",
        "import random\nr = random.Random(7)\nr.random()",
    ),
    ("unseeded", "actors/shard.py", "from random import Random\nRandom()", "r = Random(7)"),
    ("threads", "actors/shard.py", "import threading", "import asyncio"),
    ("threads", "gateway/app.py", "loop.run_in_executor(None, f)", "await f()"),
    ("hash", "payments/ids.py", "hash(key)", "def __hash__(self): ..."),
    ("floats", "payments/fees.py", "float(amount)", "int(amount)"),
    ("print", "actors/shard.py", "print(1)", "log.info('one')"),
    ("impure", "payments/risk.py", "import cryptography", "import hashlib"),
    ("impure", "payments/risk.py", "from asyncio import sleep", "from payments import money"),
    (
        "impure",
        "payments/risk.py",
        "import payments.storage.sqlite",
        "import payments.storage.base",
    ),
    ("long_functions", "gateway/app.py", TOO_LONG_FUNCTION, LONGEST_FUNCTION),
    ("long_functions", "tests/a.py", "async " + TOO_LONG_FUNCTION, "async " + LONGEST_FUNCTION),
    ("long_files", "tests/a.py", "\n" * (FILE_LINES_MAX + 1), "\n" * FILE_LINES_MAX),
    ("swallowed", "tests/a.py", "try: f()\nexcept OSError: pass", "try: f()\nexcept OSError: g()"),
    ("swallowed", "tests/a.py", "try: f()\nexcept: g()", "try: f()\nexcept (A, B): g()"),
    (
        "swallowed",
        "gateway/a.py",
        "for x in y:\n try: f()\n except (A, Exception): continue",
        "for x in y:\n try: f()\n except (A, B): continue",
    ),
    (
        "swallowed",
        "gateway/a.py",
        "import contextlib\nwith contextlib.suppress(Exception): f()",
        "import contextlib\nwith contextlib.suppress(KeyError): f()",
    ),
    ("no_docstring", "gateway/app.py", "import msgspec", '"""What it is for."""\nimport msgspec'),
    ("transactions", "payments/payment.py", "class Transaction: ...", "class Payment: ..."),
    ("transactions", "actors/shard.py", "def f(transaction_id): ...", "def f(payment_id): ..."),
    ("transactions", "gateway/a.py", "def transactions(): ...", "def balance_transactions(): ..."),
    (
        "skipped_tests",
        "tests/a.py",
        "@pytest.mark.skip\ndef f(): ...",
        "@pytest.mark.ray\nclass A: ...",
    ),
    ("skipped_tests", "tests/a.py", "pytest.importorskip('ray')", "import ray"),
    ("empty_tests", "tests/a.py", "def test_a(): f()", "def test_a(): assert f()"),
    ("empty_tests", "tests/a.py", "async def test_a(): await f()", "def helper(): f()"),
    ("packages_in_tests", "tests/unit/__init__.py", "", None),
    ("unfinished", "docs/A.md", "and so on, TO" + "DO", "and so on, today"),
    ("unfinished", "gateway/app.py", "raise NotImpl" + "ementedError", "raise Refused"),
    ("hosts_and_machines", "a.lock", "--index" + "-url x", "index of urls"),
    ("hosts_and_machines", "README.md", "https://py" + "pi.org/x", "https://example.org/x"),
    ("hosts_and_machines", "a.sh", "cd /wor" + "k/main", "cd net/work/main"),
    ("hosts_and_machines", "tests/a.py", "open('/tm" + "p/a')", "open(tmp_path / 'a')"),
    ("dead_links", "README.md", "[a](docs/NO_SUCH.md)", "[a](LICENSE) [b](https://e.org) [c](#d)"),
    ("dead_links", "docs/A.md", "[a](LICENSE#x)", "[a](../LICENSE#x)"),
    ("missing_pages", "gateway/app.py", "# see NO_SUCH.md", "# see LEDGER.md, <n>.fix.md"),
    ("misnamed_fragments", "changelog.d/2.news.md", "a", None),
]


@pytest.mark.parametrize(("name", "path", "bad", "good"), PLANTED)
def test_each_rule_sees_what_is_planted_and_only_that(name, path, bad, good):
    """A rule complains about the bad snippet, naming its place, and is silent about its twin."""
    rule = RULES[name]

    complaints = list(rule(Source(path, bad)))

    assert complaints
    assert all(complaint.startswith(f"{path}:") for complaint in complaints)
    assert good is None or not list(rule(Source(path, good)))


def test_each_rule_is_planted_at_least_once():
    """A rule that was never seen to complain is no rule."""
    assert {name for name, *_ in PLANTED} == set(RULES)


@pytest.mark.parametrize(
    ("name", "home"),
    [(rule.name, home) for rule in RULES.values() for home in getattr(rule, "homes", ())],
)
def test_a_home_may_use_what_it_owns(name, home):
    """The file or folder that owns something is not told to use it elsewhere."""
    path = home + "some_file.py" if home.endswith("/") else home
    planted = [bad for planted_name, _, bad, _ in PLANTED if planted_name == name]
    assert planted

    assert not [c for bad in planted for c in RULES[name](Source(path, bad))]


# file, what it must not say, the contract that says so
UNWANTED_IMPORTS = [
    ("payments/fees.py", "import actors", "gateway -> actors -> payments"),
    ("load_tests/bench.py", "import payments", "load_tests imports nothing of ours"),
    ("gateway/app.py", "import load_tests", "nothing of ours imports load_tests"),
    ("actors/shard.py", "import ray", "only actors/system.py says ray"),
    ("payments/risk.py", "import aiohttp", "only channels and the courier speak HTTP"),
    ("gateway/app.py", "import prometheus_client", "only gateway/metrics.py knows Prometheus"),
]


@pytest.mark.parametrize(("path", "statement", "contract"), UNWANTED_IMPORTS)
def test_each_import_contract_sees_what_is_planted(tmp_path, path, statement, contract):
    """Four empty packages with one unwanted import among them break exactly that contract."""
    for package in ("gateway", "actors", "payments", "load_tests"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / path).write_text(statement)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)

    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=30,
    )

    broken = [line for line in result.stdout.splitlines() if line.endswith(" BROKEN")]
    assert [contract] == [c for _, _, c in UNWANTED_IMPORTS if any(c in line for line in broken)]
    assert len(broken) == 1, result.stdout + result.stderr


def test_the_files_keep_the_rules():
    """No file of the repository breaks a rule. A file at a time: its tree is read once, and let go.

    The list of files comes from git; were it empty, every rule would be kept.
    """
    complaints, seen = [], set()
    for source in tracked():
        seen.add(source.path.partition("/")[0])
        complaints += [complaint for rule in rules_for(source) for complaint in rule(source)]

    assert not complaints, "\n" + "\n".join(complaints)
    assert {"gateway", "actors", "payments", "load_tests", "tests", "scripts"} <= seen


def test_every_dependency_says_why_it_is_here():
    """docs/DEPENDENCIES.md has a line for each dependency, and for nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    names = {re.split(r"[\[<>=~! ]", item)[0] for item in declared}

    table = (ROOT / "docs" / "DEPENDENCIES.md").read_text()
    explained = set(re.findall(r"^\| `([\w.-]+)", table, re.MULTILINE))

    assert names == explained


def test_every_lock_pins_with_hashes():
    """Each line of a lock names one version, and each package has a hash."""
    for lock in sorted(ROOT.glob("requirements*.lock")):
        blocks = re.split(r"\n(?=\S)", lock.read_text().split("make lock\n", 1)[1])
        assert blocks
        assert not [b for b in blocks if "==" not in b or "--hash=sha256:" not in b], lock.name
