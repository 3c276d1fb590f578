"""A busy month whose money came home, added up by programs of others: hledger and Beancount."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import busy_month
from gateway.cli.app import build
from home_month import bring_home
from payments.reports.names import account_of, plain_name
from payments.testing import NOW_MS

BIN = Path(sys.executable).parent
MIDDLE = "2026-11-01"
POSTING = re.compile(r"^(    Income\S+  -?\d+\.\d)(\d)( CNY)$", re.MULTILINE)


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def tillway(*command):
    """The command line, in this process: a start of its own takes a second each."""
    done = CliRunner().invoke(build(), list(map(str, command)), catch_exceptions=False)
    assert 0 == done.exit_code, done.output
    return done.stdout


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    """The data directory, with its journals beside it."""
    folder = tmp_path_factory.mktemp("month")
    busy_month.make(folder / "data")
    bring_home(folder / "data", NOW_MS + 1_000_000)
    for format_ in ("hledger", "beancount"):
        out = folder / f"books.{format_}"
        tillway("ledger", "export", "--data", folder / "data", "--format", format_, "--out", out)
    return folder


def ours(month, *more):
    """account -> minor units, a debit positive, by `tillway ledger balances`."""
    text = tillway("ledger", "balances", "--stripes", "--json", "--data", month / "data", *more)
    found = {row["account"]: row["balance"] for row in json.loads(text)["balances"]}
    return {account: minor for account, minor in found.items() if minor}


def theirs(month, *more):
    """The same by `hledger balance`."""
    done = run(
        "hledger", "-f", month / "books.hledger", "balance", "--flat", "--no-total",
        "--output-format", "csv", *more,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found = {}
    for row in csv.DictReader(io.StringIO(done.stdout)):
        amount, currency = row["balance"].split()
        assert "CNY" == currency
        found[account_of(row["account"])] = int(amount.replace(".", "").replace(",", ""))
    return found


def test_hledger_finds_nothing_wrong(month):
    """Every entry balances, accounts and currencies are declared, dates are in order."""
    done = run("hledger", "-f", month / "books.hledger", "check", "--strict", "ordereddates")
    assert (0, "") == (done.returncode, done.stderr)


def test_hledger_and_we_have_the_same_balances(month):
    """Account by account, now and in the middle of the month; suspense is back at nothing."""
    assert ours(month) == theirs(month)
    assert len(ours(month)) > 12
    until = theirs(month, "--end", MIDDLE)
    assert ours(month, "--at", MIDDLE) == until
    assert until != theirs(month)
    assert not [account for account in ours(month) if account.startswith("suspense")]
    assert {"custody", "receiver", "merchant", "fees"} <= {a.partition(":")[0] for a in ours(month)}
    assert not [account for account in ours(month) if account.startswith("transit")]


def test_hledger_has_as_many_entries_as_the_ledger(month):
    """None is missing, late successes and refunds included; the manifest says the same."""
    report = json.loads(tillway("ledger", "verify", "--json", "--data", month / "data"))
    said = run("hledger", "-f", month / "books.hledger", "stats").stdout
    manifest = json.loads((month / "books.hledger.manifest.json").read_text("utf-8"))
    assert str(report["entries"]) == re.search(r"Transactions\s*:\s*(\d+)", said).group(1)
    assert report["entries"] == manifest["rows"] > busy_month.SALES + busy_month.PAYMENTS
    late = run("hledger", "-f", month / "books.hledger", "register", "Liabilities:Suspense").stdout
    assert late.count("\n") >= 2 * busy_month.PAYMENTS // 20


def test_beancount_finds_the_balances_that_we_say(month, tmp_path):
    """Its checker is told each of our balances as an assertion, and none fails."""
    text = (month / "books.beancount").read_text("utf-8")
    for account, minor in ours(month).items():
        sign = "-" if minor < 0 else ""
        amount = f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02}"
        text += f"2027-01-01 balance {plain_name(account)}  {amount} CNY\n"
    file = tmp_path / "asserted.beancount"
    file.write_text(text, "utf-8")
    done = run(BIN / "bean-check", "--no-cache", file)
    assert (0, "") == (done.returncode, done.stdout + done.stderr)

    file.write_text(text + "2027-01-01 balance Income:Fees:Income:300  0.01 CNY\n", "utf-8")
    assert run(BIN / "bean-check", "--no-cache", file).returncode


def test_one_unit_too_many_is_found_by_both(month, tmp_path):
    """The programs do look: a fee that is a fen off is refused."""
    for format_, program in (
        ("hledger", ("hledger", "check", "-f")),
        ("beancount", ("bean-check",)),
    ):
        text = (month / f"books.{format_}").read_text("utf-8").replace("  Income:", "    Income:")
        text = text.replace("      Income", "    Income")
        wrong, count = POSTING.subn(lambda f: f"{f[1]}{(int(f[2]) + 1) % 10}{f[3]}", text, count=1)
        assert 1 == count
        file = tmp_path / f"wrong.{format_}"
        file.write_text(wrong, "utf-8")
        command = program if format_ == "hledger" else (BIN / program[0], "--no-cache")
        assert 0 != run(*command, file).returncode, format_


def test_the_checksum_beside_a_journal_is_its_own(month):
    """As coreutils read it."""
    done = subprocess.run(
        ["sha256sum", "--check", "books.hledger.sha256"], cwd=month, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (0, "books.hledger: OK\n") == (done.returncode, done.stdout)
