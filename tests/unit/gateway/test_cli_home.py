"""Commands of the way home: what they send, and what they tell of a shop's money."""

import copy
import csv
import hashlib
import io
import json
import re
from types import SimpleNamespace

import pytest

from gateway.cli import app as cli
from gateway.cli import client, homecoming
from gateway.settings import READY_FILE

OK, CHECK_FAILED, USAGE = 0, 1, 2
PAGE = {"object": "list", "has_more": False, "data": []}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line; (exit code, output, complaints)."""
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("TILLWAY_API_KEY", "sk_test_1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(client, "_flags", {})

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tillway", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def sent(monkeypatch):
    """Requests that would go to the server; `answer` says what comes back."""
    wire = SimpleNamespace(requests=[], answer=lambda method, path, query: PAGE)

    async def call(method, url, key, body, query, headers):
        path = url.removeprefix("http://127.0.0.1:9")
        wire.requests.append((f"{method} {path}", body, query, headers))
        return wire.answer(method, path, query)

    monkeypatch.setattr(client, "_call", call)
    return wire


WHY = {"reason": "why"}
TEN = {"amount": 1_000, "currency": "cny"}
LIMIT = {"limit": "10"}
SENT = [
    ("clearing run", "POST /v1/clearing_batches/run", {}, {}),
    ("clearing run --business-date 20261122", "POST /v1/clearing_batches/run",
     {"business_date": 20261122}, {}),
    ("clearing list --status filed", "GET /v1/clearing_batches", None,
     {**LIMIT, "status": "filed"}),
    ("clearing show bat_1", "GET /v1/clearing_batches/bat_1", None, {}),
    ("clearing export", "GET /v1/clearing_batches", None, {"limit": "100"}),
    ("settlements list", "GET /v1/settlement_instructions", None, LIMIT),
    ("settlements show ins_1", "GET /v1/settlement_instructions/ins_1", None, {}),
    ("settlements check ins_1", "POST /v1/settlement_instructions/ins_1/check", {}, {}),
    ("settlements turn-down ins_1 --reason why",
     "POST /v1/settlement_instructions/ins_1/turn_down", WHY, {}),
    ("withdrawals create --amount 1000", "POST /v1/withdrawals", TEN, {}),
    ("withdrawals create --amount 1000 --receiver rcv_1", "POST /v1/withdrawals",
     {**TEN, "receiver": "rcv_1"}, {}),
    ("withdrawals list --receiver rcv_1", "GET /v1/withdrawals", None,
     {**LIMIT, "receiver": "rcv_1"}),
    ("withdrawals show wdr_1", "GET /v1/withdrawals/wdr_1", None, {}),
    ("withdrawals approve wdr_1", "POST /v1/withdrawals/wdr_1/approve", {}, {}),
    ("withdrawals reject wdr_1 --reason why", "POST /v1/withdrawals/wdr_1/reject", WHY, {}),
    ("freezes create --amount 1000 --reason why", "POST /v1/freezes", {**TEN, **WHY}, {}),
    ("freezes list", "GET /v1/freezes", None, LIMIT),
    ("freezes show frz_1", "GET /v1/freezes/frz_1", None, {}),
    ("freezes release frz_1 --reason why", "POST /v1/freezes/frz_1/release", WHY, {}),
    ("accounts register --name Wang --number 6222 --bank icbc", "POST /v1/settlement_accounts",
     {"name": "Wang", "number": "6222", "bank": "icbc"}, {}),
    ("accounts confirm acc_1", "POST /v1/settlement_accounts/acc_1/confirm", {}, {}),
    ("accounts list --status registered", "GET /v1/settlement_accounts", None,
     {**LIMIT, "status": "registered"}),
    ("accounts show acc_1", "GET /v1/settlement_accounts/acc_1", None, {}),
    ("balances --receiver rcv_1", "GET /v1/balances", None, {"receiver": "rcv_1"}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "target", "body", "query"), SENT, ids=[each[0] for each in SENT])
def test_a_command_is_a_request(run, sent, line, target, body, query):
    """Only what was given is sent; what moves money has an Idempotency-Key of its own."""
    code, out, _ = run(*line.split(), "--json")

    assert (OK, []) == (code, json.loads(out)["data"])
    ((asked, told, words, headers),) = sent.requests
    assert (target, body, query) == (asked, told, words)
    assert ("Idempotency-Key" in headers) is line.startswith(
        ("withdrawals create", "freezes create")
    )


@pytest.mark.parametrize(
    "line",
    ["withdrawals create", "withdrawals create --amount 0", "settlements turn-down ins_1",
     "freezes create --amount 5", "accounts register --name x", "clearing show"],
)  # fmt: skip
def test_what_makes_no_sense_is_usage(run, sent, line):
    """Nothing is sent."""
    assert (USAGE, []) == (run(*line.split())[0], sent.requests)


def test_batches_are_exported_page_by_page(run, sent, tmp_path):
    """All of them, as CSV with the figures in minor units."""
    pages = {
        None: {"has_more": True, "data": [{"id": "bat_2", "net": 5, "status": "filed"}]},
        "bat_2": {"has_more": False, "data": [{"id": "bat_1", "net": -3, "status": "closed"}]},
    }
    sent.answer = lambda method, path, query: pages[query.get("starting_after")]

    code, out, _ = run("clearing", "export")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (OK, [("bat_2", "5"), ("bat_1", "-3")]) == (code, [(r["id"], r["net"]) for r in rows])

    file = tmp_path / "batches.csv"
    assert OK == run("clearing", "export", "--out", file)[0]
    assert rows == list(csv.DictReader(io.StringIO(file.read_text())))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = json.loads((tmp_path / "batches.csv.manifest.json").read_text())
    assert f"{digest}  batches.csv\n" == (tmp_path / "batches.csv.sha256").read_text()
    assert ("clearing_batches.summary.1", 2, digest) == tuple(
        manifest[name] for name in ("type", "rows", "sha256")
    )


@pytest.mark.parametrize("command", ["clearing list", "recon exceptions", "settlements list"])
def test_people_are_told_that_a_list_goes_on(run, sent, command):
    """Twenty differences of a thousand look like all of them; programs have `has_more`."""
    row = {"id": "one_2", "proposal": {"act": "claim"}}
    for has_more, told in ((True, True), (False, False)):
        sent.answer = lambda method, path, query, more=has_more: {"data": [row], "has_more": more}
        _, _, err = run(*command.split())
        assert told == ("there are more: --starting-after one_2" in err)
        _, out, err = run(*command.split(), "--json")
        assert (has_more, "") == (json.loads(out)["has_more"], err)


def test_where_no_file_can_be_nothing_is_left(run, sent, tmp_path):
    """A folder, or a folder that is not there: usage, in words."""
    sent.answer = lambda method, path, query: {"has_more": False, "data": []}
    for out in (tmp_path, tmp_path / "no" / "batches.csv"):
        code, _, err = run("clearing", "export", "--out", out)
        assert (USAGE, True) == (code, "folder" in err), err
    assert [] == list(tmp_path.iterdir())
    assert [] == list(tmp_path.parent.glob("*.sha256"))


# --- what the money did -------------------------------------------------------------------------

PURSE = {"pending": 3286, "available": 0, "frozen": 0, "in_transit": 0, "debt": 0}
BATCH = {
    "id": "bat_1", "business_date": 20261122, "sequence": 1, "status": "filed", "gross": 3800,
    "refunds": 0, "fees": 14, "splits": 500, "net": 3286,
}  # fmt: skip
PAYOUT = {"id": "ins_1", "status": "paid", "amount": 3286, "reason": None}


class Server:
    """A gateway whose shop is paid after some advances of its clock."""

    def __init__(self, paid_after=1, *, refuses=False):
        self.advances = 0
        self.paid_after = paid_after
        self.refuses = refuses

    def __call__(self, method, path, query):
        is_paid = self.advances >= self.paid_after
        if path.endswith("/advance"):
            self.advances += 1
        if "clocks" in path:
            return {"id": "clk_1", "now": "x", "status": "ready"}
        if self.refuses:
            raise client.Problem(403, {"code": "insufficient_scope", "detail": "no"})
        if path == "/v1/balances":
            mine = {**PURSE, "pending": 0} if is_paid else PURSE
            return {"data": [mine]}
        if path == "/v1/ledger/trial_balance":
            return {"currencies": {"cny": {"residual": 0}}}
        rows = {"/v1/clearing_batches": [BATCH], "/v1/settlement_instructions": [PAYOUT]}
        return {"data": rows.get(path, []) if is_paid else []}


def test_an_advance_tells_what_the_money_did(run, sent):
    """In words and figures, and as JSON beside the clock."""
    sent.answer = Server()
    code, out, _ = run("clock", "advance", "1d")
    assert OK == code
    assert (
        "batch 20261122/1 filed: sold ¥38.00, refunds ¥0.00, fees ¥0.14, shares ¥5.00, net ¥32.86"
        in out
    )
    assert "instruction of ¥32.86 paid" in out
    assert "the shop: pending ¥32.86 -> ¥0.00" in out
    assert "The books balance." in out

    sent.answer = Server()
    code, out, _ = run("clock", "advance", "1d", "--json")
    told = json.loads(out)
    assert (OK, "ready") == (code, told["status"])
    money = told["money"]
    assert (["bat_1"], ["ins_1"], []) == tuple(
        [row["id"] for row in money[kind]] for kind in ("batches", "instructions", "withdrawals")
    )
    (own,) = money["balances"]
    assert (3286, 0, 0) == (
        own["before"]["pending"], own["after"]["pending"], money["trial_balance"],
    )  # fmt: skip


def test_receivers_payouts_are_told_too(run, sent):
    """Their purses, withdrawals and instructions; batches are the shop's alone."""
    server = Server()
    withdrawal = {"id": "wdr_1", "status": "paid", "amount": 500}

    def answer(method, path, query):
        if path == "/v1/receivers":
            return {"data": [{"id": "rcv_1", "name": "rider"}]}
        if query.get("receiver") == "rcv_1" and path != "/v1/balances":
            rows = [withdrawal] if path == "/v1/withdrawals" and server.advances else []
            return {"data": rows}
        return server(method, path, query)

    sent.answer = answer
    code, out, _ = run("clock", "advance", "1d")

    assert (OK, True) == (code, "withdrawal of ¥5.00 paid" in out)
    assert "rider: pending ¥32.86 -> ¥0.00" in out
    asked = [path for path, _, query, _ in sent.requests if query.get("receiver")]
    assert "GET /v1/clearing_batches" not in asked


def test_a_key_that_cannot_look_moves_the_clock_all_the_same(run, sent):
    """And is told why nothing is told."""
    sent.answer = Server(refuses=True)

    code, out, err = run("clock", "advance", "1d", "--json")

    assert (OK, False) == (code, "money" in json.loads(out))
    assert "insufficient_scope" in err
    code, _, err = run("clock", "advance", "to-next-settlement")
    assert (CHECK_FAILED, True) == (code, "--merchant" in err)


def test_the_clock_goes_on_until_a_payout_has_ended(run, sent, monkeypatch):
    """In steps, and not for ever."""
    sent.answer = server = Server(paid_after=3)
    code, out, _ = run("clock", "advance", "to-next-settlement")
    assert (OK, 3, True) == (code, server.advances, "instruction of ¥32.86 paid" in out)

    monkeypatch.setattr("gateway.cli.clock.STEPS_MAX", 2)
    sent.answer = server = Server(paid_after=3)
    code, _, err = run("clock", "advance", "to-next-settlement")
    assert (CHECK_FAILED, 2, True) == (code, server.advances, "nothing was paid" in err)


def test_a_story_is_of_what_changed_and_of_nothing_else():
    """What stood so before is not news; a balance that is the same is not told."""
    look = {
        "balances": {"the shop": PURSE},
        "trial_balance": 0,
        "batches": {"bat_1": BATCH},
        "instructions": {"ins_1": PAYOUT},
        "withdrawals": {},
        "bills": {},
    }
    assert "Nothing happened to the shop's money.\nThe books balance." == homecoming.in_words(
        homecoming.story(look, copy.deepcopy(look))
    )
    after = copy.deepcopy(look)
    after["instructions"]["ins_1"] |= {"status": "returned", "reason": "account closed"}
    after["balances"]["rider"] = {**PURSE, "pending": 0, "available": 500}
    after["trial_balance"] = 7
    assert [
        "instruction of ¥32.86 returned (account closed)",
        "rider: available ¥0.00 -> ¥5.00",
        "The books are off by 7.",
    ] == homecoming.in_words(homecoming.story(look, after)).splitlines()


def test_bills_are_told_of_where_the_gateways_files_lie(run, sent, tmp_path, monkeypatch):
    """A shop's key may not ask for them. What stood so before, and other gateways', is not told."""
    sent.answer, data = Server(paid_after=9), tmp_path / "data"
    assert OK == run("recon", "rehearse", data, "--payments", 100)[0]
    (data / READY_FILE).write_text(json.dumps({"api": "http://127.0.0.1:9"}))
    before = homecoming.look(data)
    bill = ("recon", "import", data / "bill.csv", "--dialect", "wechat", "--data", data)
    assert CHECK_FAILED == run(*bill, "--rate-ppm", 6000)[0]

    after = homecoming.look(data)

    assert {} == before["bills"]
    told, *_ = homecoming.in_words(homecoming.story(before, after)).splitlines()
    assert re.match(r"bill of rehearsal 20261121: \d+ lines agree, .*1 late_success", told), told
    assert told.endswith(f", {sum(open_kinds(after).values())} open")
    assert homecoming.in_words(homecoming.story(after, after)).startswith("Nothing happened")
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:8")
    assert {} == homecoming.look(data)["bills"]


def open_kinds(look):
    (run,) = look["bills"].values()
    return run["open"]


def test_a_bill_that_agrees_is_one_line():
    """And what the bank made of it."""
    run = {
        "id": "rec_1", "status": "finished", "account": "wechat", "bill_date": 20261122,
        "counts": {"matched": 113}, "open": {}, "bank": {"status": "matched"},
    }  # fmt: skip
    look = {"balances": {}, "trial_balance": 0, "bills": {}}
    look |= {kind: {} for kind in homecoming.KINDS}
    matched = {**look, "bills": {"rec_1": run}}
    waiting = {**look, "bills": {"rec_1": {**run, "bank": {"status": "not_there_yet"}}}}
    line = "bill of wechat 20261122: 113 lines agree, nothing open, at the bank: matched"
    for before in (look, waiting):
        told = homecoming.in_words(homecoming.story(before, matched))
        assert [line, "The books balance."] == told.splitlines()


@pytest.mark.parametrize(("minor", "text"), [(0, "¥0.00"), (3286, "¥32.86"), (-5, "-¥0.05")])
def test_amounts_are_written_as_people_write_them(minor, text):
    """In yuan, with both digits of the fen."""
    assert text == homecoming.yuan(minor)
