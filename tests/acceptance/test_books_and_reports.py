"""`tillway ledger` and `tillway report` over a busy month, as a bookkeeper uses them."""

import csv
import errno
import hashlib
import io
import json
import threading
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

import busy_month
from gateway.cli.app import build
from payments.calendar import business_date
from payments.storage.bulk import make_payments
from payments.testing import NOW_MS, a_merchant, an_id
from workbooks import load_workbook
from world import World

TODAY = str(business_date(NOW_MS))
MIDDLE = "2026-11-01"


class Month:
    """The data directory, its merchants, and a folder to write into."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.merchants = busy_month.make(self.data)
        self.out = folder

    def run(self, *command):
        """The command line in this process; (exit code, output, complaints)."""
        command = [*map(str, command), "--data", str(self.data)]
        done = CliRunner().invoke(build(), command, catch_exceptions=False)
        return done.exit_code, done.stdout, done.stderr

    def json(self, *command):
        code, out, err = self.run(*command, "--json")
        assert 0 == code, err
        return json.loads(out)

    def csv(self, *command):
        """A report as dictionaries, without its totals; and its totals."""
        code, out, err = self.run("report", *command, "--out", "-")
        assert 0 == code, err
        rows = list(csv.reader(io.StringIO(out, newline=""), strict=True))
        end = rows.index([]) if [] in rows else len(rows)
        made = [[dict(zip(rows[0], row, strict=True)) for row in part]
                for part in (rows[1:end], rows[end + 1 :])]  # fmt: skip
        return made[0], made[1]

    def balance(self, account, *more):
        rows = self.json("ledger", "balances", *more)["balances"]
        return next((row["balance"] for row in rows if row["account"] == account), 0)


@pytest.fixture(scope="module")
def month(tmp_path_factory):
    return Month(tmp_path_factory.mktemp("reports"))


# --- statements ------------------------------------------------------------------------------


def test_a_merchants_statement_ends_at_its_balance(month):
    """In two halves: the first closes where the second opens."""
    for merchant in month.merchants[1:3]:
        whole = month.json("ledger", "statement", "--merchant", merchant)
        first = month.json("ledger", "statement", "--merchant", merchant, "--to", MIDDLE)
        second = month.json("ledger", "statement", "--merchant", merchant, "--from", MIDDLE)

        assert -month.balance(f"merchant:{merchant}:pending") == whole["closing"]["cny"]
        assert whole["closing"] == second["closing"]
        assert first["closing"] == second["opening"]
        assert whole["lines"] == first["lines"] + second["lines"]
        assert -month.balance(f"merchant:{merchant}:pending", "--at", MIDDLE) == first[
            "closing"
        ].get("cny", 0)


def test_a_shared_account_has_one_statement_over_all_shards(month):
    """In the order of booking, from opening to closing."""
    made = month.json("ledger", "statement", "fees:income", "--from", "2026-10-25T00:00:00Z")
    times = [line["at"] for line in made["lines"]]
    assert len({line["account"] for line in made["lines"]}) >= 5
    assert sorted(times) == times
    assert -month.balance("fees:income") == made["closing"]["cny"]
    assert (
        made["opening"]["cny"] + sum(line["amount"] for line in made["lines"])
        == (made["closing"]["cny"])
    )


def test_people_read_the_statement_as_lines(month):
    """A header, the opening balance, the postings, the closing balance."""
    merchant = month.merchants[0]
    code, out, _ = month.run("ledger", "statement", "--merchant", merchant, "--from", MIDDLE)
    whole = month.json("ledger", "statement", "--merchant", merchant, "--from", MIDDLE)
    lines = out.splitlines()
    assert 0 == code
    assert len(whole["lines"]) + 1 + len(whole["opening"]) + len(whole["closing"]) == len(lines)
    assert lines[-1].split() == ["closing", "balance", str(whole["closing"]["cny"]), "cny"]


@pytest.mark.parametrize(
    "command",
    [
        ("ledger", "statement"),
        ("ledger", "statement", "fees:income", "--merchant", "mch_1"),
        ("ledger", "statement", "fees:outgo"),
        ("ledger", "statement", "--merchant", "sto_1"),
        ("ledger", "balances", "--at", "yesterday"),
        ("ledger", "statement", "fees:income", "--from", "20261301"),
        ("ledger", "statement", "fees:income", "--to", "2026-11-01T25:00:00Z"),
        ("ledger", "export", "--format", "sage"),
        ("report", "taxes"),
        ("report", "store-day"),
        ("report", "entries", "--merchant", "mch_1"),
        ("report", "settlement", "--business-date", "20260230"),
        ("report", "settlement", "--format", "xlsx", "--out", "-"),
        ("report", "payments", *(f"--metadata=m{n}" for n in range(51))),
        ("report", "settlement", "--merchant", "Noodles"),
        ("report", "store-day", "--business-date", TODAY, "--store", "mch_1"),
        ("report", "settlement", "--from", MIDDLE, "--to", MIDDLE),
        ("report", "payments", "--out", "no-folder/payments.csv"),
        ("report", "payments", "--out", "/"),
        ("ledger", "export", "--format", "csv", "--out", "no-folder/entries.csv"),
        ("ledger", "export", "--format", "csv", "--json"),
    ],
)
def test_wrong_usage_is_refused(month, command):
    """2, with the reason, and nothing is written."""
    before = sorted(month.out.iterdir())
    code, out, err = month.run(*command)
    assert (2, "") == (code, out)
    assert "Error" in err
    assert before == sorted(month.out.iterdir())


# --- reports ---------------------------------------------------------------------------------


def test_a_settlement_statement_earns_what_the_ledger_owes(month):
    """A merchant's lines, their totals and its balance are one number, shares of others and all."""
    for merchant in month.merchants[1:3]:
        lines, (total,) = month.csv("settlement", "--merchant", merchant)
        net = sum(int(line["net"]) for line in lines)
        assert -month.balance(f"merchant:{merchant}:pending") == net == int(total["net"])
        assert {merchant} == {line["merchant_id"] for line in lines}
    categories = [line["reporting_category"] for line in month.csv("settlement")[0]]
    assert {"payment", "refund", "split"} == set(categories)
    assert categories.count("refund") > 30


def test_days_add_up_to_the_month(month):
    """A day has just the lines of its date, at the ends of the month and in between."""
    merchant = month.merchants[2]
    whole, _ = month.csv("settlement", "--merchant", merchant)
    dates = sorted({line["business_date"] for line in whole})
    assert len(dates) > 25
    for date in (dates[0], dates[12], dates[-1]):
        lines, _ = month.csv("settlement", "--merchant", merchant, "--business-date", date)
        assert [line for line in whole if line["business_date"] == date] == lines


def test_a_summary_is_the_sum_of_the_lines(month):
    """By category and currency."""
    lines, _ = month.csv("settlement")
    for row in month.csv("settlement-summary")[0]:
        mine = [line for line in lines if line["reporting_category"] == row["reporting_category"]]
        assert int(row["count"]) == len(mine)
        for name in ("gross", "fee", "net"):
            assert int(row[name]) == sum(int(line[name]) for line in mine)


def test_a_trial_balance_and_its_entries_agree(month):
    """Every posting, added up by account, is the trial balance; both sides are equal."""
    found = {}
    for row in month.csv("entries")[0]:
        account = row["account"].partition("#")[0]
        found[account] = found.get(account, 0) + int(row["amount"])
    rows, (total,) = month.csv("trial-balance")
    assert found == {row["account"]: int(row["balance"]) for row in rows}
    assert total["debit"] == total["credit"]
    assert "0" == total["balance"]


def test_a_days_sheet_is_the_days_payments(month):
    """Sales and refunds of today, by operator; a late success was never sold."""
    rows, _ = month.csv("store-day", "--business-date", TODAY)
    payments, _ = month.csv("payments", "--business-date", TODAY)
    sold = [row for row in payments if row["status"] == "succeeded"]
    refunds = [row for row in month.csv("settlement")[0] if row["reporting_category"] == "refund"]

    assert {"op0", "op1", "op2"} <= {row["operator"] for row in rows}
    for column, name in (("gross", "amount"), ("tips", "tip"), ("discounts", "discount")):
        assert sum(int(row[column]) for row in rows) == sum(int(row[name]) for row in sold)
    assert len(sold) == sum(int(row["payments"]) for row in rows)
    assert len(refunds) == sum(int(row["refund_count"]) for row in rows)
    assert "reversed" in {row["status"] for row in payments}


@pytest.mark.parametrize("amounts", ["minor", "decimal"])
@pytest.mark.parametrize("format_", ["csv", "xlsx", "html"])
def test_a_file_comes_with_its_checksum_and_manifest(month, format_, amounts):
    """The same rows and sums in every format, and text is text."""
    path = month.out / f"{amounts}.{format_}"
    said = month.json(
        "report", "settlement", "--business-date", TODAY, "--format", format_, "--out", path,
        "--amount-format", amounts,
    )  # fmt: skip
    lines, _ = month.csv("settlement", "--business-date", TODAY)
    manifest = json.loads((month.out / f"{path.name}.manifest.json").read_text("utf-8"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()

    assert {"path": str(path), **manifest} == said
    assert (digest, path.stat().st_size) == (manifest["sha256"], manifest["bytes"])
    assert f"{digest}  {path.name}\n" == (month.out / f"{path.name}.sha256").read_text("utf-8")
    assert ("settlement_statement.itemized.1", len(lines)) == (manifest["type"], manifest["rows"])
    assert sum(int(line["net"]) for line in lines) == manifest["sums_minor"]["cny"]["net"]
    assert {"shard-0.db", "shard-1.db"} == manifest["entries_up_to"].keys()
    assert not list(month.out.glob("*.part"))
    if format_ == "xlsx":
        sheet = load_workbook(path)["Items"]
        assert "f" not in {cell.data_type for cell in sheet["Y"]}
        assert busy_month.EVIL in {cell.value for cell in sheet["Y"]}
    else:
        evil = {"csv": "'=1+1", "html": "=1+1,&lt;b&gt;&amp;"}[format_]
        assert evil in path.read_text("utf-8")


def test_a_manifest_says_what_was_asked_in_the_words_of_the_flags(month):
    out = month.out / "asked.csv"
    said = month.json(
        "report", "payments", "--metadata", "table", "--metadata", "seat", "--from", MIDDLE,
        "--out", out,
    )  # fmt: skip
    assert {"metadata": "table, seat", "from": MIDDLE} == said["of"]


def test_an_export_for_others_says_what_it_wrote(month):
    """As reports do: one object for programs, with what stands in the manifest."""
    out = month.out / "books.journal"
    said = month.json("ledger", "export", "--format", "hledger", "--out", out)
    manifest = json.loads((month.out / "books.journal.manifest.json").read_text("utf-8"))
    assert {"path": str(out), **manifest} == said
    assert ("hledger", hashlib.sha256(out.read_bytes()).hexdigest()) == (
        said["format"],
        said["sha256"],
    )


def test_a_disk_that_takes_no_more_is_told_in_words(month, monkeypatch):
    """1, and nothing is left behind."""

    def full(path, pieces):
        path.write_text("a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gateway.cli.report.write_text", full)
    code, out, err = month.run("report", "payments", "--out", month.out / "full.csv")
    assert (1, "") == (code, out)
    assert "full.csv was not written: No space left on device; say another place" in err
    assert [] == list(month.out.glob("full.csv*"))


def test_a_report_that_fails_leaves_nothing_behind(month, monkeypatch):
    """Too many rows for a sheet: exit code 1, why, and no half of a file."""
    monkeypatch.setattr("payments.reports.workbook.ROWS_MAX", 10)
    path = month.out / "large.xlsx"
    code, _, err = month.run("report", "payments", "--format", "xlsx", "--out", path)
    assert 1 == code
    assert "10 rows" in err
    assert not list(month.out.glob("large*"))


def test_a_report_is_named_after_what_it_is_of(month, monkeypatch):
    """And lies in the folder that one is in; Excel finds its mark."""
    monkeypatch.chdir(month.out)
    month.json("report", "settlement", "--merchant", month.merchants[0], "--bom")
    path = month.out / f"settlement.{month.merchants[0]}.csv"
    assert path.read_bytes().startswith(b"\xef\xbb\xbfbatch_id,")


# --- beside a running gateway, and much of it ------------------------------------------------


def test_books_are_read_while_they_are_written(tmp_path):
    """Each reading is whole: it balances, and later ones hold more; the owner is not disturbed."""
    data = tmp_path / "data"
    data.mkdir()
    world = World(data, seed=5).start()
    counts = []
    try:
        for _ in range(4):
            acks = [world.post(amount=1000 + n) for n in range(10)]
            for ack in acks:
                world.wait(ack)
            done = CliRunner().invoke(
                build(), ["report", "trial-balance", "--out", "-", "--data", str(data)]
            )
            rows = list(csv.DictReader(io.StringIO(done.stdout)))
            assert 0 == sum(int(row["balance"]) for row in rows if row["account"] != "total")
            entries = CliRunner().invoke(
                build(), ["ledger", "export", "--format", "csv", "--data", str(data)]
            )
            counts.append(
                len({row["entry_id"] for row in csv.DictReader(io.StringIO(entries.stdout))})
            )
        assert [] == world.settle()
    finally:
        world.close()
    assert [10, 20, 30, 40] == counts


def test_a_reader_takes_pages_and_holds_no_lock(tmp_path):
    """While an export stands still between two pages, the log can be copied and emptied."""
    from payments.storage import connect
    from payments.storage.journal import PAGE_ROWS, Journal

    path = tmp_path / "shard-0.db"
    make_payments(path, PAGE_ROWS + 500, [a_merchant(id=an_id("mch"), number=1)])
    with Journal(path) as journal:
        rows = journal.entries()
        read = [next(rows) for _ in range(10)]
        writer = connect.writer(path)
        writer.execute("UPDATE owner SET epoch = epoch + 1")
        busy = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        writer.close()
        assert 0 == busy
        read.extend(rows)
    assert list(range(1, PAGE_ROWS + 501)) == [row[0] for row in read]


def test_many_readers_see_the_same(month):
    """Four exports at once make one text."""
    texts = []

    def export():
        from gateway.cli.journals import merged, open_journals, rows_of
        from payments.reports.journals import hledger

        with open_journals(None, month.data) as journals:
            texts.append("".join(hledger(rows_of(merged(journals)))))

    threads = [threading.Thread(target=export) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 == len(texts)
    assert 1 == len(set(texts))


def test_the_demos_books_are_read_where_nobody_said_where(month, monkeypatch, tmp_path):
    """And that is said; a directory that was named, or has books, is never passed over."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    runner, command = CliRunner(), ["ledger", "balances", "--json"]
    assert 2 == runner.invoke(build(), command).exit_code
    (tmp_path / "tillway").mkdir()
    (tmp_path / "tillway" / "demo").symlink_to(month.data)
    told = runner.invoke(build(), command)
    assert (0, True) == (told.exit_code, "reading the demo's books" in told.stderr)
    assert json.loads(told.stdout) == month.json("ledger", "balances")
    assert 2 == runner.invoke(build(), [*command, "--data", str(tmp_path)]).exit_code
    monkeypatch.setenv("TILLWAY_DATA_DIR", str(tmp_path))
    assert 2 == runner.invoke(build(), command).exit_code


def test_dates_are_midnights_in_china(month):
    """`2026-11-18` is 2026-11-17T16:00:00Z."""
    by_date = month.json("ledger", "balances", "--at", TODAY)["balances"]
    eve = datetime.strptime(TODAY, "%Y%m%d").replace(tzinfo=UTC)
    by_instant = month.json("ledger", "balances", "--at", f"{eve:%Y-%m-}{eve.day - 1:02}T16:00:00Z")
    assert by_date == by_instant["balances"]
    assert by_date != month.json("ledger", "balances")["balances"]
