"""`tillway recon`: what is planted is found, kept and exported, and nothing else."""

import csv
import hashlib
import json
from collections import Counter

import pytest

from gateway.cli import app as cli

OK, CHECK_FAILED, USAGE = 0, 1, 2
PAYMENTS = 10_000
KINDS = 12


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No settings of the machine's."""
    monkeypatch.delenv("TILLWAY_CONFIG", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command line; (exit code, output, complaints)."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def rehearsal(run, tmp_path):
    """A folder with a day of which it is known what is wrong."""

    def rehearsal(payments, *more):
        folder = tmp_path / f"day-{payments}"
        code, _, err = run("recon", "rehearse", folder, "--payments", payments, *more)
        assert OK == code, err
        return folder

    return rehearsal


def bring(run, folder, *more):
    """Import the folder's bill; (exit code, answer)."""
    code, out, err = run(
        "recon", "import", folder / "bill.csv", "--dialect", "wechat", "--data", folder,
        "--rate-ppm", 6000, "--json", *more,
    )  # fmt: skip
    return code, json.loads(out) if out else err


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_planted_difference_is_found_and_no_other(run, rehearsal, tmp_path):
    """The small twin of `tillway bench --figure reconciliation`."""
    folder = rehearsal(PAYMENTS)
    code, answer = bring(run, folder)
    out = tmp_path / "found.csv"
    exported, said, _ = run(
        "recon", "export", answer["id"], "--data", folder, "--out", out, "--json"
    )

    found = Counter((row["type"], row["line"], row["number"]) for row in rows_of(out))
    planted = Counter(tuple(row.values()) for row in rows_of(folder / "planted.csv"))
    assert (CHECK_FAILED, OK, planted) == (code, exported, found)
    assert PAYMENTS // 100 * KINDS == len(rows_of(out))
    totals, manifest = answer["totals"], json.loads(said)
    assert totals["theirs"] - totals["ours"] == totals["differences"]
    assert ("recon_exceptions.itemized.1", len(rows_of(out))) == (
        manifest["type"],
        manifest["rows"],
    )


def test_an_export_is_sealed(run, rehearsal, tmp_path):
    """The checksum beside it is that of the file; the evidence leads to a line of the bill."""
    folder = rehearsal(200)
    _, answer = bring(run, folder)
    out = tmp_path / "found.csv"
    run("recon", "export", answer["id"], "--data", folder, "--out", out)

    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    assert f"{digest}  found.csv\n" == (tmp_path / "found.csv.sha256").read_text()
    bill = (folder / "bill.csv").read_text(encoding="utf-8").splitlines()
    wrong = [row for row in rows_of(out) if row["type"] == "amount"]
    for row in wrong:
        assert row["number"] in bill[int(row["file_lines"]) - 1]
        assert hashlib.sha256((folder / "bill.csv").read_bytes()).hexdigest() == row["file_sha256"]
    assert 2 == len(wrong)


def test_the_same_file_again_changes_nothing(run, rehearsal):
    """The same answer, word for word; the list has one comparison."""
    folder = rehearsal(200)
    first, second = bring(run, folder), bring(run, folder)
    _, out, _ = run("recon", "show", "--data", folder, "--json")

    assert first == second
    assert [first[1]["id"]] == [one["id"] for one in json.loads(out)["data"]]


def test_another_merchants_bill_does_not_take_the_place_of_ours(run, rehearsal):
    """Refused whole, with what to do; a new number at the channel must be told, and be right."""
    folder = rehearsal(200)
    _, first = bring(run, folder)
    bill, own = folder / "bill.csv", first["channel_account"]
    bill.write_text(bill.read_text("utf-8").replace(own, "1999999999"), "utf-8")

    code, err = bring(run, folder)
    assert CHECK_FAILED == code
    assert f"than {own}, which rehearsal is there; say whose it is with --account" in err
    assert CHECK_FAILED == bring(run, folder, "--number", "1999999998")[0]
    _, out, _ = run("recon", "show", "--data", folder, "--json")
    assert [first["id"]] == [one["id"] for one in json.loads(out)["data"]]

    _, moved = bring(run, folder, "--number", "1999999999")
    assert ("1999999999", first["id"]) == (moved["channel_account"], moved["supersedes"])
    assert moved == bring(run, folder)[1], "from now on it is known"


def test_a_day_that_is_not_over_has_no_bill(run, rehearsal, monkeypatch):
    """With real money the machine's clock says so; a test clock may be ahead of it."""
    folder = rehearsal(100, "--bill-date", 29991231)
    with monkeypatch.context() as live:
        live.setattr("payments.storage.expected.is_live", lambda path: True)
        code, err = bring(run, folder)
    assert CHECK_FAILED == code
    assert "the day 29991231 is not over in China; wait for the channel's bill" in err
    assert not (folder / "reconciliation.db").exists()

    _, answer = bring(run, folder)
    assert 29991231 == answer["bill_date"]


def test_a_day_without_differences_is_code_0(run, rehearsal):
    """Of so few each has another kind of difference; without a payment there is none."""
    folder = rehearsal(KINDS, "--share", 1000, "--seed", 4)
    code, answer = bring(run, folder)
    assert (CHECK_FAILED, KINDS) == (
        code,
        sum(answer["counts"].values()) - answer["counts"]["matched"],
    )

    good = "\n".join((folder / "bill.csv").read_text(encoding="utf-8").splitlines()[:1])
    empty = folder / "empty.csv"
    foot = (folder / "bill.csv").read_text(encoding="utf-8").splitlines()[-2]
    empty.write_text(f"{good}\n{foot}\n`0,`0.00,`0.00,`0.00,`0.00000,`0.00,`0.00\n", "utf-8")
    code, out, _ = run(
        "recon", "import", empty, "--dialect", "wechat", "--data", folder, "--account", "quiet",
        "--bill-date", 20261121, "--json",
    )  # fmt: skip
    assert (OK, {"matched": 0}) == (code, json.loads(out)["counts"])


def test_people_see_a_table(run, rehearsal):
    """Each difference on a line with its id, and where the rest is."""
    folder = rehearsal(1_100)
    _, answer = bring(run, folder)
    code, out, err = run("recon", "show", answer["id"], "--data", folder)

    assert CHECK_FAILED == code
    assert 100 == out.count("rci_")
    assert f"tillway recon export {answer['id']}" in err


def test_an_item_as_json(run, rehearsal):
    """Both sides, evidence, and the balanced entry that is proposed."""
    folder = rehearsal(200)
    _, answer = bring(run, folder)
    _, out, _ = run("recon", "show", answer["id"], "--data", folder, "--json")

    items = {item["type"]: item for item in json.loads(out)["items"]}
    fee = items["fee"]
    assert (1, fee["ours"]["fee"] + 1) == (fee["amount"], fee["theirs"]["fee"])
    assert ("adjust_fee", 0) == (
        fee["proposal"]["act"],
        sum(posting["amount"] for posting in fee["proposal"]["entry"]),
    )
    assert fee["ours"]["id"].startswith("pay_")
    assert [20261121, 20261122] == items["expected_later"]["expected_in"]


BAD = [
    # words of the command -> exit code, part of the complaint
    (("--bill-date", "20261345"), USAGE, "no day"),
    (("--bill-date", "20261120"), CHECK_FAILED, "refused"),
    (("--rate-ppm", "-1"), USAGE, "rate-ppm"),
    (("--dialect", "alipay"), CHECK_FAILED, "refused"),
    (("--dialect", "paypal"), USAGE, "paypal"),
]


@pytest.mark.parametrize(("more", "code", "words"), BAD)
def test_what_is_refused(run, rehearsal, more, code, words):
    """With the reason, and nothing is kept."""
    folder = rehearsal(20)
    ended, _, err = run(
        "recon", "import", folder / "bill.csv", "--dialect", "wechat", "--data", folder, *more
    )
    assert (code, True) == (ended, words in err), err
    _, out, _ = run("recon", "show", "--data", folder, "--json")
    assert not out or {"data": []} == json.loads(out)


def test_a_cut_file_is_refused_whole(run, rehearsal):
    """Nothing of it is believed; the right file works afterwards."""
    folder = rehearsal(200)
    whole = (folder / "bill.csv").read_bytes()
    (folder / "cut.csv").write_bytes(whole[: len(whole) // 2])
    code, _, err = run(
        "recon", "import", folder / "cut.csv", "--dialect", "wechat", "--data", folder
    )

    assert (CHECK_FAILED, True) == (code, "cut.csv is refused" in err)
    assert "finished" == bring(run, folder)[1]["status"]


def test_a_bill_nobody_knows_wants_an_account(run, rehearsal, tmp_path):
    """Without a line of ours nobody can tell whose bill it is."""
    bill = rehearsal(20) / "bill.csv"
    other = rehearsal(30, "--seed", 9)
    words = ("recon", "import", bill, "--dialect", "wechat", "--data", other)
    code, _, err = run(*words)
    known, out, _ = run(*words, "--account", "rehearsal", "--json")

    assert (USAGE, True) == (code, "--account" in err)
    assert CHECK_FAILED == known
    assert json.loads(out)["counts"]["unknown_order"] >= 20


def test_missing_things(run, rehearsal, tmp_path):
    """A file, a comparison, a folder: each complaint names what to do."""
    folder = rehearsal(20)
    there, _, first = run(
        "recon", "import", tmp_path / "no.csv", "--dialect", "wechat", "--data", folder
    )
    empty, _, second = run("recon", "show", "--data", folder)
    bring(run, folder)
    unknown, _, third = run("recon", "show", "rec_1", "--data", folder)
    twice, _, fourth = run("recon", "rehearse", folder)

    assert (USAGE, CHECK_FAILED, USAGE, CHECK_FAILED) == (there, empty, unknown, twice)
    assert "does not exist" in first
    assert "no bill was compared" in second
    assert "rec_1" in third
    assert "exists" in fourth


def test_the_rate_of_the_settings_counts_where_no_flag_says_another(run, rehearsal, tmp_path):
    """Fees are compared by the account's contract: the differences are those of the flag's."""
    folder = rehearsal(600)
    account = account_of_a_bill_without_rate(run, folder)
    config = tmp_path / "tillway.toml"
    config.write_text(
        f'[[channels]]\nname = "w"\naccount = "{account}"\nwallets = ["wechat"]\n'
        'ways = ["qr"]\nfee_ppm = 6000\n'
    )
    (folder / "reconciliation.db").unlink()
    _, out, err = run(
        "recon", "import", folder / "bill.csv", "--dialect", "wechat", "--data", folder,
        "--config", config, "--json",
    )  # fmt: skip
    assert "fee" in json.loads(out)["counts"], err


def account_of_a_bill_without_rate(run, folder):
    """Whose bill it is; compared without a rate it says nothing of fees."""
    _, out, _ = run(
        "recon", "import", folder / "bill.csv", "--dialect", "wechat", "--data", folder, "--json"
    )
    view = json.loads(out)
    assert "fee" not in view["counts"]
    return view["account"]
