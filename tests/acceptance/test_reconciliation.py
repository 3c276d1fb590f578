"""Bills of real sandboxes against the shards' rows: exactly what was planted, and nothing else."""

import hashlib
import json
import os
import signal
import time
from datetime import UTC, datetime

import psutil
import pytest

PATIENCE_S = 60
DAY_S = 86_400
CHINA_S = 8 * 3_600
HALF_PAST_TEN_S = 10 * 3_600 + 1_800


class Operators:
    """A maker and a checker: two keys of two people."""

    def __init__(self, deployment, kit):
        made = json.loads((deployment.data / "seed-keys.json").read_text())
        first = next(key["secret"] for key in made if key["owner"] == "operator")
        self.one = kit.Client(deployment.api, first)
        second = self.one.post("/v1/keys", {"type": "bearer", "roles": ["checker"]})
        assert second.status == 201, second
        self.other = kit.Client(deployment.api, second["secret"])


@pytest.fixture(scope="module")
def demo(kit, tmp_path_factory):
    """One demo with its sandboxes for all tests here."""
    made = kit.Deployment(tmp_path_factory.mktemp("reconciled") / "data", "local")
    made.command = ["demo", "--rate", "0"]
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def operators(demo, kit):
    return Operators(demo, kit)


def until(ask, found):
    """Ask until the answer is right; it."""
    ends = time.monotonic() + PATIENCE_S
    while not found(answer := ask()):
        assert time.monotonic() < ends, answer
        time.sleep(0.1)
    return answer


def ended(shop, payment, *statuses):
    return until(lambda: shop.read(payment), lambda found: found["status"] in statuses)


class Planter:
    """Changes a sandbox's books under it: it dies, and comes back with what they say then."""

    def __init__(self, demo, channel):
        self.channel = channel
        self.path = demo.data / "sandboxes" / channel / "books.jsonl"
        self.demo = demo

    def plant(self, change):
        """`change`: from a line's parts to the lines that are there instead."""
        children = psutil.Process(self.demo.process.pid).children(recursive=True)
        name = f'"name":"{self.channel}"'
        process = next(each for each in children if name in "".join(each.cmdline()))
        os.kill(process.pid, signal.SIGSTOP)
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        kept = [new for line in lines for new in change(line)]
        self.path.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
        os.kill(process.pid, signal.SIGKILL)
        path = f"/v1/test_helpers/channels/{self.channel}/books"
        until(
            lambda: self.demo.operator.get(path),
            lambda answer: answer.status == 200 and b"STRANGER" in json.dumps(answer.body).encode(),
        )


def to_next_morning(demo):
    """Half past ten in China, of the next day: all bills are due."""
    now = demo.clock.now().timestamp()
    into_day = (now + CHINA_S) % DAY_S
    demo.clock.advance(int(DAY_S - into_day + HALF_PAST_TEN_S))


def china_date(demo):
    """The day in China now, yyyymmdd."""
    now = demo.clock.now().timestamp() + CHINA_S
    return int(datetime.fromtimestamp(now, UTC).strftime("%Y%m%d"))


def run_of(operators, channel, date):
    """The comparison of a day, made by itself."""
    path = f"/v1/reconciliations?channel={channel}&bill_date={date}"
    return until(lambda: operators.one.get(path), lambda page: page["data"])["data"][0]


def items_of(operators, run, **query):
    more = "".join(f"&{name}={value}" for name, value in query.items())
    page = operators.one.get(f"/v1/reconciliation_items?limit=100&reconciliation={run}{more}")
    assert page.status == 200, page
    return page["data"]


@pytest.fixture(scope="module")
def day(demo, operators, kit):
    """A day at WeChat Pay on which five things went wrong, compared the morning after."""
    shop = demo.new_shop()

    def pay(ending="0001"):
        return shop.paid(auth_code=shop.code(ending, "wechat"))

    good, coupons, back = pay(), pay("9012"), pay()
    for part in (1_001, 1_333, 1_466):
        refund = shop.refund(coupons["id"], part)
        ended(shop, refund["id"], "succeeded")
    ended(shop, shop.refund(back["id"])["id"], "succeeded")
    dearer, missing = pay(), pay()
    late = shop.pay(way="qr", wallet="wechat", expires_in=60)
    elsewhere = pay()
    demo.clock.advance(300)
    ended(shop, late["id"], "closed")
    bodies = {
        each["id"][-24:]: name
        for name, each in {
            "dearer": dearer,
            "missing": missing,
            "late": late,
            "other": elsewhere,
        }.items()
    }
    serials = {}

    def change(line):
        if line[0] == "open":
            body = line[1]["number"][:24]
            name = bodies.get(body)
            serials[line[1]["serial"]] = name
            if name == "missing":
                return []
            if name == "dearer":
                line[1]["amount"] += 100
            if name == "late":
                return [line, ["pay", line[1]["serial"], line[1]["created_ms"] + 1_000]]
            if name == "other":
                return [line, *stranger(line)]
            return [line]
        name = serials.get(line[1]) if len(line) > 1 and isinstance(line[1], int) else None
        if name == "missing" or (name == "late" and line[0] in ("close", "due")):
            return []
        return [line]

    def stranger(line):
        """An order of the channel's that nobody here ever made."""
        order = dict(line[1], serial=line[1]["serial"] + 500_000, trade_no="42000000999")
        order["number"] = "STRANGER" + order["number"][8:]
        return [["open", order], ["pay", order["serial"], order["created_ms"] + 1_000]]

    date = china_date(demo)
    Planter(demo, "wechat").plant(change)
    to_next_morning(demo)
    run = run_of(operators, "wechat", date)
    return {
        "shop": shop, "date": date, "run": run, "good": good, "late": late,
        "dearer": dearer, "missing": missing,
    }  # fmt: skip


def test_exactly_what_was_planted_is_found(day, operators):
    """Partial refunds of a couponed payment, back to the last fen, are no difference."""
    items = items_of(operators, day["run"]["id"])
    found = {item["type"]: item for item in items if item["line"] != "credit"}

    assert {"amount", "ours_only", "late_success", "unknown_order"} == set(found)
    assert day["dearer"]["id"] == found["amount"]["ours"]["id"]
    assert 100 == found["amount"]["amount"]
    assert day["missing"]["id"] == found["ours_only"]["ours"]["id"]
    assert found["unknown_order"]["number"].startswith("STRANGER")
    totals = day["run"]["totals"]
    assert totals["theirs"] - totals["ours"] == totals["differences"]


def test_the_day_has_its_leg_at_the_bank(day, operators):
    """The channel pays by its own bill, on the next working day: matched, or not there yet."""
    path = f"/v1/reconciliations/{day['run']['id']}"
    bank = until(lambda: operators.one.get(path), lambda run: run["bank"] is not None)["bank"]
    assert bank["due"] == day["run"]["totals"]["theirs"]
    paid = {"matched": bank["due"], "not_there_yet": 0}
    assert paid[bank["status"]] == bank["credited"]
    waiting = items_of(operators, day["run"]["id"], type="not_there_yet", status="open")
    assert (bank["status"] == "not_there_yet") == bool(waiting)


def test_a_late_success_goes_back_by_itself(day, operators, demo):
    """Its callback never came; the bill told of it, the shard gave the money back."""
    (item,) = items_of(operators, day["run"]["id"], type="late_success")

    (refund,) = day["shop"].refunds_of(day["late"]["id"])
    assert ("resolved", refund["id"]) == (item["status"], item["resolved_by"])
    assert day["shop"].read(day["late"]["id"])["late_success"] is True
    assert demo.counts()


def test_two_people_move_a_difference_to_suspense(day, operators, demo, expect_problem):
    """The maker cannot agree; agreed to, the entry is booked once."""
    (item,) = items_of(operators, day["run"]["id"], type="amount")
    path = f"/v1/reconciliation_items/{item['id']}"
    before = demo.counts()["entries"]

    early = operators.other.post(f"{path}/resolve", {"decision": "accept", "reason": "?"})
    proposed = operators.one.post(f"{path}/propose", {"note": "their letter"})
    alone = operators.one.post(f"{path}/resolve", {"decision": "accept", "reason": "me"})
    rejected = operators.other.post(f"{path}/resolve", {"decision": "reject", "reason": "why?"})
    operators.one.post(f"{path}/propose", {"note": "their letter of Monday"})
    agreed = operators.other.post(f"{path}/resolve", {"decision": "accept", "reason": "seen"})
    again = operators.other.post(f"{path}/resolve", {"decision": "accept", "reason": "seen"})

    expect_problem(early, 409, "conflict")
    expect_problem(alone, 409, "conflict")
    assert ("open", None) == (rejected["status"], rejected["maker"])
    assert [200, 200, 200] == [proposed.status, agreed.status, again.status]
    assert ("resolved", "resolved") == (agreed["status"], again["status"])
    assert proposed["maker"] != agreed["checker"]
    assert before + 1 == demo.counts()["entries"]


def test_a_merchant_hears_of_its_own_payments_alone(day, operators):
    """As events like all others: what was found, what mended itself, what two people ended."""

    def told(kind):
        page = day["shop"].client.get(f"/v1/events?type=reconciliation.{kind}&limit=100")
        return [event["data"] for event in page["data"]]

    (item,) = items_of(operators, day["run"]["id"], type="amount")
    if item["status"] == "open":  # The test before this one ran in another process.
        path = f"/v1/reconciliation_items/{item['id']}"
        operators.one.post(f"{path}/propose", {"note": "their letter"})
        operators.other.post(f"{path}/resolve", {"decision": "accept", "reason": "seen"})
    ended = until(lambda: told("resolved"), lambda found: len(found) == 2)
    opened = told("opened")
    (summary,) = told("finished")

    assert {("amount", day["dearer"]["id"]), ("ours_only", day["missing"]["id"])} == {
        (data["type"], data["payment"]) for data in opened
    }
    assert {("amount", day["dearer"]["id"]), ("late_success", day["late"]["id"])} == {
        (data["type"], data["payment"]) for data in ended
    }
    assert (day["run"]["id"], {"amount": 1, "late_success": 1, "ours_only": 1}) == (
        summary["id"],
        summary["counts"],
    )
    assert not [data for data in (*opened, *ended) if "evidence" in data or "theirs" in data]


def test_the_same_day_again_changes_nothing(day, operators):
    wish = {"channel": "wechat", "bill_date": day["date"]}

    again = operators.one.post("/v1/reconciliations", wish)

    assert (200, day["run"]["id"]) == (again.status, again["id"])
    assert day["run"]["counts"] == again["counts"]
    page = operators.one.get(f"/v1/reconciliations?bill_date={day['date']}&channel=wechat")
    assert 1 == len(page["data"])


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/reconciliations"),
        ("GET", "/v1/reconciliation_items"),
        ("GET", "/v1/reconciliations/{run}"),
        ("GET", "/v1/reconciliation_items/{item}"),
        ("POST", "/v1/reconciliations"),
        ("POST", "/v1/reconciliation_items/{item}/propose"),
        ("POST", "/v1/reconciliation_items/{item}/resolve"),
    ],
)
def test_merchants_do_not_see_a_channels_bill(day, operators, expect_problem, method, path):
    """It shows what everybody sells."""
    run = day["run"]["id"]
    item = items_of(operators, run)[0]["id"]
    client = day["shop"].client
    path = path.format(run=run, item=item)

    answer = client.get(path) if method == "GET" else client.post(path, {})

    expect_problem(answer, 403, "insufficient_scope")


@pytest.mark.parametrize(
    ("wish", "status", "param"),
    [
        ({"channel": "nobody", "bill_date": 20261121}, 422, "channel"),
        ({"channel": "wechat", "bill_date": 20261399}, 422, "bill_date"),
        ({"channel": "wechat", "bill_date": 20991231}, 422, "bill_date"),
        ({"channel": "wechat"}, 422, None),
    ],
)
def test_what_cannot_be_compared_is_refused(operators, expect_problem, wish, status, param):
    answer = operators.one.post("/v1/reconciliations", wish)

    expect_problem(answer, status, "invalid_field", param)


def test_the_bill_is_kept_as_it_came(day, demo):
    """Beside its hash, under the name that the comparison tells."""
    folder = demo.data / "bills" / "wechat" / "wechat"
    file = folder / day["run"]["file"]

    assert hashlib.sha256(file.read_bytes()).hexdigest() == day["run"]["file_sha256"]
    assert (folder / f"{file.name}.sha256").exists()
