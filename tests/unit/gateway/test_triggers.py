"""Every type of event is either made by `tillway trigger`, or it says how else it comes about."""

import json

import pytest

from gateway.cli import app as cli
from gateway.cli import triggers_home
from gateway.cli.trigger import TRIGGERS
from gateway.cli.triggers_home import ELSEWHERE, how_else
from gateway.openapi.document import document
from payments.view import EVENT_LETTER

USAGE = 2


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run `tillway trigger`; nobody may be asked. (exit code, output, complaints as one line)."""

    def asked(*_, **__):
        raise AssertionError("a wrong command asks nobody")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", "trigger", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, " ".join(err.replace("│", " ").split())

    monkeypatch.setattr("gateway.cli.client.ask", asked)
    monkeypatch.setattr(triggers_home, "call", asked)
    return run


@pytest.mark.parametrize("event", EVENT_LETTER)
def test_no_event_is_without_a_word(event):
    """A new type is made by a trigger, or somebody says how it comes about."""
    assert event in TRIGGERS or how_else(event)
    assert event in document()["webhooks"]


def test_nothing_is_triggered_that_never_happens():
    assert set(TRIGGERS) <= set(EVENT_LETTER)
    groups = {each.partition(".")[0] for each in EVENT_LETTER}
    assert {each.partition(".")[0] for each in ELSEWHERE} <= groups


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ("payment.overdue", "stop the channel's sandbox"),
        ("settlement.returned", "docs/BANK.md"),
        ("withdrawal.unknown", "docs/BANK.md"),
        ("split.sent", "docs/SPLITTING.md"),
        ("payment.imagined", "is none of payment.succeeded"),
    ],
)
def test_what_no_command_makes_is_usage_and_says_why(run, event, words):
    code, out, complaint = run(event)

    assert (USAGE, "") == (code, out)
    assert words in complaint


def test_endings_are_of_payments(run):
    """The bank does not look at a guest's code."""
    code, _, complaint = run("settlement.paid", "--ending", "9006")

    assert USAGE == code
    assert "is no ending of a payment" in complaint


def test_the_list_has_both_and_asks_nobody(run):
    code, out, _ = run("--list")

    assert code == 0
    assert all(name in out for name in (*TRIGGERS, *ELSEWHERE))
    _, as_json, _ = run("--list", "--json")
    assert set(TRIGGERS) == set(json.loads(as_json))
