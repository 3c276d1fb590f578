"""Statements of a month whose money came home: batches, payouts, and how a bank tells it."""

import csv
import io
import json
from decimal import Decimal

import pytest
from typer.testing import CliRunner

import busy_month
from gateway.cli.app import build
from home_month import Month
from iso_messages import Judges
from payments.calendar import business_date
from payments.iso20022 import camt053
from payments.settlement.entries import accounts_of, home_of
from payments.testing import NOW_MS
from workbooks import load_workbook

TODAY = business_date(NOW_MS)
LEFT = ("refunds", "discounts", "fees", "splits")


class Desk:
    """The data directory, what the rules decided over it, and a folder to write into."""

    def __init__(self, folder):
        self.data, self.out = folder / "data", folder
        busy_month.make(self.data)
        self.month = Month(self.data).walk(NOW_MS + 1_000_000).write()
        self.batches = [b for b in self.month.state.all("batch") if b.netted.totals.items]

    def report(self, *more, code=0):
        command = ["report", "settlement", *map(str, more), "--data", str(self.data)]
        done = CliRunner().invoke(build(), command, catch_exceptions=False)
        assert code == done.exit_code, done.output
        return done.stdout

    def rows(self, *more):
        """The lines of a statement, without its totals."""
        text = self.report(*more, "--out", "-")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        return [row for row in rows if row["batch_id"] != "total"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return Desk(tmp_path_factory.mktemp("statements"))


def summed(rows, column):
    return sum(int(row[column]) for row in rows)


def test_the_lines_of_a_batch_come_to_its_figures(desk):
    """What was filed is what the entries say, each fen: net, fees, splits, and what was settled."""
    everything = desk.rows()
    assert len(desk.batches) == 8
    for batch in desk.batches:
        totals = batch.netted.totals
        rows = [row for row in everything if row["batch_id"] == batch.id]
        splits = [row for row in rows if row["reporting_category"] == "split"]
        assert (
            totals.net
            == summed(rows, "net")
            == totals.gross - sum(getattr(totals, name) for name in LEFT)
        )
        assert totals.fees == summed(rows, "fee")
        assert totals.splits == -summed(splits, "net")
        assert totals.settle == summed(rows, "gross") + totals.splits
        own = {row["balance_transaction_id"] for row in rows if row not in splits}
        assert totals.items == len({row["balance_transaction_id"] for row in rows} | own)


def test_a_business_date_is_that_of_the_batch(desk):
    """Whoever asks for a date has its batches' members whole: late ones, and none of another."""
    merchant = desk.month.merchants[-1]
    first, second = [b for b in desk.batches if b.merchant == merchant]
    assert first.business_date < second.business_date == TODAY
    for batch in (first, second):
        rows = desk.rows("--merchant", merchant, "--business-date", batch.business_date)
        members = [row for row in rows if row["batch_id"]]
        assert {batch.id} == {row["batch_id"] for row in members}
        assert (batch.netted.totals.items, batch.netted.totals.net) == (
            len(members), summed(members, "net"),
        )  # fmt: skip


def test_a_line_says_when_the_money_was_there_and_when_it_left(desk):
    """The payout of its batch, with the day on which the bank paid; none where it came back."""
    paid = {i.id: i for i in desk.month.state.all("instruction")}
    seen = set()
    for row in desk.rows():
        if not row["batch_id"] or row["reporting_category"] == "split":
            continue
        assert row["available_on"] == str(TODAY), row
        one = paid.get(row["payout_id"])
        seen.add(None if one is None else one.state)
        if one is not None:
            assert row["batch_id"] in dict(one.parts)
            assert one.state == "paid"
            assert row["payout_effective_on"] == str(TODAY)
    assert {None, "paid"} == seen


def test_a_payout_is_a_line_of_its_own(desk):
    """And so is its return; what a fee was taken for a withdrawal stands in its column."""
    rows = [row for row in desk.rows() if row["reporting_category"] == "payout"]
    instructions = [
        i for i in desk.month.state.all("instruction")
        if i.party.startswith("mch_") and any(m.kind == "paid" for m in i.history)
    ]  # fmt: skip
    expected = [-i.amount for i in instructions]
    expected += [i.amount for i in instructions if i.state == "returned"]
    assert sorted(expected) == sorted(int(row["net"]) for row in rows)
    assert all(row["payout_id"] for row in rows)


def test_the_workbook_proves_the_batches(desk):
    """A sheet with each batch's sum as a formula; and in Check, that its lines come to it."""
    out = desk.out / "statement.xlsx"
    desk.report("--business-date", TODAY, "--format", "xlsx", "--out", out)
    shown = load_workbook(out, data_only=True)
    formulas = load_workbook(out)
    lines = list(formulas["Batches"].iter_rows(min_row=2, values_only=True))
    assert [b.id for b in desk.month.state.all("batch") if b.business_date == TODAY] == [
        line[0] for line in lines
    ]
    for at, line in enumerate(lines, 2):
        assert f"=E{at}-F{at}-G{at}-H{at}-I{at}-J{at}" == line[10]
        assert 0 == line[4] - sum(line[5:10])
    items = list(shown["Items"].iter_rows(min_row=2, values_only=True))
    heads = [cell.value for cell in shown["Items"][1]]
    checks = {row[0]: row for row in shown["Check"].iter_rows(min_row=2, values_only=True)}
    for batch in lines:
        mine = [row for row in items if row[heads.index("batch_id")] == batch[0]]
        for says, column in (("fees", "fee"), ("net", "net")):
            counted = sum(row[heads.index(column)] for row in mine)
            what, _, by_formula, as_counted, verdict = checks[f"{batch[0]}: {says}"]
            assert (counted, counted, "ok") == (by_formula, as_counted, verdict), what
    manifest = json.loads((desk.out / "statement.xlsx.manifest.json").read_text("utf-8"))
    assert [line[0] for line in lines] == [each["batch"] for each in manifest["batches"]]


def test_a_slice_of_time_proves_no_batch(desk):
    """Half of a batch's lines cannot come to its figures, so nothing is said of them."""
    out = desk.out / "slice.csv"
    desk.report("--business-date", TODAY, "--to", "2026-11-18T00:00:00Z", "--out", out)
    assert "batches" not in json.loads((desk.out / "slice.csv.manifest.json").read_text("utf-8"))


# --- as a bank tells it ----------------------------------------------------------------------


def parties(desk):
    """Everybody who has, or had, something available."""
    return [
        party for party in desk.month.parties
        if any(
            account == accounts_of(party, home_of(party)).available
            for entry in desk.month.state.booked.values() for account, _ in entry.postings
        )
    ]  # fmt: skip


def test_a_day_of_available_money_opens_moves_and_closes(desk):
    """For everybody: what an independent reader finds adds up to the balance of the ledger."""
    judges = Judges()
    assert len(parties(desk)) >= 7
    for party in parties(desk):
        flag = "--receiver" if party.startswith("rcv_") else "--merchant"
        out = desk.out / f"{party}.xml"
        desk.report(flag, party, "--business-date", TODAY, "--format", "camt053", "--out", out)
        (found,) = judges.read("camt.053", out.read_bytes()).bk_to_cstmr_stmt.stmt
        opening, closing = (signed(balance) for balance in found.bal)
        moved = sum(signed(entry) for entry in found.ntry)
        expected = desk.month.state.natural(accounts_of(party, home_of(party)).available)
        assert (0, expected) == (opening, closing)
        assert closing == opening + moved
        assert party == found.acct.id.othr.id
        again = camt053.decode(out.read_bytes())
        assert out.read_bytes() == camt053.encode(again)
        assert len(found.ntry) == again.count > 0


def signed(told):
    """An amount of the reader in minor units, with its side as its sign."""
    minor = Decimal(told.amt.value) * 100
    return int(minor) if told.cdt_dbt_ind.value == "CRDT" else -int(minor)


def test_the_next_day_opens_where_this_one_closed(desk):
    """And the day before had nothing."""
    party = parties(desk)[0]
    days = {}
    for day in (TODAY - 1, TODAY, TODAY + 1):
        text = desk.report(
            "--merchant", party, "--business-date", day, "--format", "camt053", "--out", "-"
        )
        days[day] = camt053.decode(text.encode())
    assert (0, 0, 0) == (
        days[TODAY - 1].opening_minor, days[TODAY - 1].closing_minor, days[TODAY - 1].count,
    )  # fmt: skip
    assert days[TODAY].closing_minor == days[TODAY + 1].opening_minor
    assert (0, days[TODAY].count + 0) == (days[TODAY + 1].count, len(days[TODAY].entries))


def test_steps_have_the_codes_of_what_they_are(desk):
    """Cover and payouts are transfers; what a freeze moves is between one's own accounts."""
    said = {}
    for party in parties(desk):
        flag = "--receiver" if party.startswith("rcv_") else "--merchant"
        text = desk.report(
            flag, party, "--business-date", TODAY, "--format", "camt053", "--out", "-"
        )
        for entry in camt053.decode(text.encode()).entries:
            said.setdefault(entry.reference[-1], set()).add((entry.kind.value, entry.is_internal))
    assert {
        "C": {("credit", False)}, "J": {("credit", False)}, "S": {("payout", False)},
        "H": {("payout", False)}, "N": {("return", False)}, "X": {("credit", True)},
        "F": {("payout", True)}, "U": {("credit", True)},
    } == said  # fmt: skip


@pytest.mark.parametrize(
    "asked",
    [
        ("--format", "camt053"),
        ("--format", "camt053", "--business-date", TODAY),
        ("--format", "camt053", "--business-date", TODAY, "--merchant", "mch_1"),
        ("--format", "camt053", "--business-date", TODAY, "--from", "2026-11-01"),
        ("--receiver", "rcv_1"),
    ],
)
def test_what_is_no_days_statement_is_refused(desk, asked):
    """Told as a wrong use, and nothing is printed."""
    assert "" == desk.report(*asked, "--out", "-", code=2)
