"""`tillway recon import --dialect camt053`: a bank's file by hand, believed whole or not at all."""

import json

import pytest

from gateway.cli import app as cli
from payments.iso20022 import camt053, camt054
from payments.iso20022.entries import Entry, Kind
from payments.reconciliation import rehearsal
from payments.reconciliation.lines import day_bounds

OK, CHECK_FAILED = 0, 1
DAY = 20261121
_, ENDED = day_bounds(DAY)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line; (exit code, output, complaints)."""
    monkeypatch.delenv("TILLWAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def day(run, tmp_path):
    """A compared day: (its folder, a settings file with its account, what its bill owes)."""
    folder, config = tmp_path / "day", tmp_path / "tillway.toml"
    assert OK == run("recon", "rehearse", folder, "--payments", 200)[0]
    config.write_text(
        f'[[channels]]\nname = "w"\naccount = "{rehearsal.ACCOUNT}"\nwallets = ["wechat"]\n'
        'ways = ["qr"]\nmerchant_number = "1900000109"\n'
    )
    _, out, _ = run(
        "recon", "import", folder / "bill.csv", "--dialect", "wechat", "--data", folder, "--json"
    )
    view = json.loads(out)
    assert view["bank"] is None
    return folder, config, view["totals"]["theirs"]


def movement(no, amount, text, kind=Kind.CREDIT):
    reason = "AC01" if kind is Kind.RETURN else ""
    return Entry(
        no, kind, amount, ENDED + 9 * 3_600_000, 20261122, f"ref-{no}", f"e-{no}", "W",
        remittance=text, return_reason=reason,
    )  # fmt: skip


def statement(*entries, **more):
    moved = sum(each.signed_minor for each in entries)
    facts = {"opening_minor": 5, "closing_minor": 5 + moved, "count": len(entries)} | more
    return camt053.encode(
        camt053.Statement("m", ENDED, "s", "1102", 20261122, entries=entries, **facts)
    )


def bring(run, day, dialect, message):
    folder, config, _ = day
    file = folder / "bank.xml"
    file.write_bytes(message)
    return run(
        "recon",
        "import",
        file,
        "--dialect",
        dialect,
        "--data",
        folder,
        "--config",
        config,
        "--json",
    )


def test_a_statement_and_a_notice_say_the_same(run, day):
    """By the account's name or its number; payouts of the day are nobody's business here."""
    owed = day[2]
    first = movement(1, 7, f"WX 1900000109/{DAY}")
    code, out, err = bring(
        run, day, "camt054", camt054.encode(camt054.Notice("m", ENDED, "1102", (first,)))
    )
    assert CHECK_FAILED == code, err
    assert ("short", owed, 7) == tuple(
        json.loads(out)["data"][0][name] for name in ("status", "due", "credited")
    )
    rest = movement(2, owed - 7, f"{rehearsal.ACCOUNT} {DAY}")
    paid = movement(3, 4, "salaries", Kind.PAYOUT)
    code, out, err = bring(run, day, "camt053", statement(first, rest, paid))
    assert (OK, "matched") == (code, json.loads(out)["data"][0]["status"]), err
    shown = run("recon", "show", "--data", day[0], "--json")[1]
    assert ["matched"] == [each["bank"]["status"] for each in json.loads(shown)["data"]]


def test_a_credit_of_nobody_is_an_open_difference(run, day):
    code, out, _ = bring(run, day, "camt053", statement(movement(1, 9, "flowers")))
    assert (CHECK_FAILED, 1) == (code, json.loads(out)["credits"])
    _, out, _ = run("recon", "show", "--data", day[0], "--json")
    strange = [each for each in json.loads(out)["data"] if each["channel"] == "bank"]
    assert [{"unexpected_credit": 1}] == [each["open"] for each in strange]


GOOD = statement(movement(1, 9, f"{rehearsal.ACCOUNT} {DAY}"))


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        ("camt053", b""),
        ("camt053", b"out_trade_no,amount\n1,2\n"),
        ("camt053", GOOD[:-40]),
        ("camt053", GOOD.replace(b"0.09", b"0.10", 1)),
        ("camt053", statement(movement(1, 9, "x"), page=1, is_last=False, count=2)),
        ("camt053", b'<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD),
        ("camt054", GOOD),
        ("camt053", b" " * (16 * 1024 * 1024 + 1)),
    ],
)
def test_a_bad_file_is_refused_whole(run, day, dialect, message):
    """Nothing of it is kept, not even the credits that could be read."""
    code, out, err = bring(run, day, dialect, message)
    assert (CHECK_FAILED, "") == (code, out)
    assert "bank.xml is refused" in err
    assert f"; ask the bank for camt.{dialect[4:]}.001.08 again" in err
    shown = json.loads(run("recon", "show", "--data", day[0], "--json")[1])
    assert [None] == [each["bank"] for each in shown["data"]]
