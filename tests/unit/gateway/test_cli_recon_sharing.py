"""`tillway recon import --dialect wechat-sharing`: a bill of divided money, by hand."""

import json

import pytest

from gateway.cli import app as cli
from held_money import Divides
from payments.bills.lines import BillKind
from payments.bills.shares import ShareLine
from payments.calendar import business_date
from payments.channels.wechat import sharing_bill
from world import ACCOUNTS

OK, CHECK_FAILED, USAGE = 0, 1, 2


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
def day(tmp_path):
    """(data directory, lines of the bill): a payment that the channel has divided."""
    folder = tmp_path / "data"
    folder.mkdir()
    world = Divides(path=folder).start()
    world.sell()
    world.until_over()
    at_ms = world.clock.now_ms() // 1000 * 1000
    (order,) = world.held.orders.values()
    world.close()
    return folder, [
        ShareLine(
            "wechat", "1900000001", BillKind.SHARE, order.number, "3", "36", "42", part.account,
            at_ms, business_date(at_ms), part.amount, 10_000,
        )
        for part in order.portions
    ]  # fmt: skip


def bring(run, folder, data, *more):
    file = folder / "shares.csv"
    file.write_bytes(data)
    dialect = ("--dialect", "wechat-sharing")
    return run("recon", "import", file, *dialect, "--data", folder, "--json", *more)


def test_what_receivers_got_agrees_with_the_bill(run, day):
    folder, lines = day

    code, out, err = bring(run, folder, b"".join(sharing_bill.write(lines)))

    assert OK == code, err
    view = json.loads(out)
    assert (f"{ACCOUNTS[0]}:sharing", {"matched": 2}) == (view["account"], view["counts"])
    assert "1900000001" == view["channel_account"]


def test_what_is_missing_is_open(run, day):
    folder, lines = day

    code, out, _ = bring(run, folder, b"".join(sharing_bill.write(lines[:1])))
    assert CHECK_FAILED == code
    view = json.loads(out)
    assert {"split_mismatch": 1} == view["open"]
    code, out, _ = run("recon", "show", view["id"], "--data", folder)

    assert CHECK_FAILED == code
    assert lines[1].number in out


def test_a_cut_file_is_refused_whole(run, day):
    folder, lines = day

    code, _, err = bring(run, folder, b"".join(sharing_bill.write(lines))[:-9])

    assert CHECK_FAILED == code
    assert "is refused" in err
    assert OK == bring(run, folder, b"".join(sharing_bill.write(lines)))[0]


def test_an_empty_bill_needs_its_day_and_account(run, day):
    folder, lines = day
    empty = b"".join(sharing_bill.write([]))

    assert USAGE == bring(run, folder, empty)[0]
    assert USAGE == bring(run, folder, empty, "--bill-date", lines[0].bill_date)[0]
    told = ("--bill-date", lines[0].bill_date, "--account", ACCOUNTS[0])
    code, out, _ = bring(run, folder, empty, *told)

    assert CHECK_FAILED == code
    assert {"split_mismatch": 2} == json.loads(out)["open"]


def test_another_accounts_bill_is_refused(run, day):
    """Than the bills before, or than is said: every line of it would be a difference."""
    folder, lines = day
    right = b"".join(sharing_bill.write(lines))
    other = right.replace(b"1900000001", b"1900000002")
    assert OK == bring(run, folder, right)[0]

    code, _, err = bring(run, folder, other)

    assert (CHECK_FAILED, True) == (code, "is refused" in err)
    assert CHECK_FAILED == bring(run, folder, right, "--number", "1900000002")[0]


def test_a_day_that_is_not_over_is_refused_where_money_is_real(run, day, monkeypatch):
    folder, lines = day
    monkeypatch.setattr("payments.storage.expected.is_live", lambda path: True)
    monkeypatch.setattr("payments.clock.SystemClock.now_ms", lambda clock: lines[0].at_ms)

    code, _, err = bring(run, folder, b"".join(sharing_bill.write(lines)))

    assert CHECK_FAILED == code
    assert "is not over" in err


def test_the_account_may_be_named_either_way(run, day):
    folder, lines = day
    data = b"".join(sharing_bill.write(lines))

    assert OK == bring(run, folder, data, "--account", ACCOUNTS[0])[0]
    assert OK == bring(run, folder, data, "--account", f"{ACCOUNTS[0]}:sharing")[0]
