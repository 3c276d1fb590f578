"""The bench from end to end, against a stub of the gateway and a stand-in for wrk."""

import json
import time
from dataclasses import replace

import pytest
import uvloop

from load_tests import bench, gateway, http1, presign, saturation, wrk
from load_tests.audit import Audit
from load_tests.baselines.common import is_signed
from load_tests.figures import baselines, closed, latency, merchants, rows, shards
from load_tests.figures.base import Bar, Figure
from load_tests.gateway import CommandFailed, Options
from load_tests.saturation import ClosedRun
from load_tests.seed import SeedPlan, read_seed, write_seed
from load_tests.signing import STAND_IN_KEY
from load_tests.wrk import WrkResult

REPLAYED = 100
HANGS_UP_ON = 4
AN_ECHO = WrkResult(10_000, 1.0, 10_000.0, {"p50": 1.0, "p99": 2.0}, 0, 0, 0, 0, 0)


def replay(url, requests, duration_s, *, connections=256):
    """What wrk does, with our own client: replay a file, leave the last answers unread."""
    host, port = http1.host_and_port(url)
    began = time.monotonic()
    lines = requests.read_text().splitlines()[1:REPLAYED]
    raw = [presign.raw_request(line, f"{host}:{port}") for line in lines]
    answers = uvloop.run(http1.ask_all(url, raw, 8))
    seconds = time.monotonic() - began
    good = sum(answer.acknowledged for answer in answers) - HANGS_UP_ON
    refused = sum(not answer.acknowledged for answer in answers)
    return WrkResult(
        good + refused, seconds, good / seconds, {"p50": 1.0, "p99": 2.0}, refused, 0, 0, 0, 0
    )


@pytest.fixture
def small_bench(stub_gateway, monkeypatch, tmp_path):
    """Run the bench with few requests; return its exit code and its output folder."""
    monkeypatch.setattr(wrk, "run", replay)
    monkeypatch.setattr(saturation, "ECHO_PER_SECOND_MAX", 1)
    # As many as are replayed: to sign what a real run might need would take most of the test.
    monkeypatch.setattr(saturation, "expected", lambda *_: 2 * REPLAYED)
    monkeypatch.setattr(closed, "echo_run", lambda *_: AN_ECHO)
    monkeypatch.setattr(rows, "echo_run", lambda *_: AN_ECHO)
    monkeypatch.setattr(saturation, "SETTLE_S", 0.0)
    monkeypatch.setattr(closed, "CPU_US_MAX", 1e9)
    monkeypatch.setattr(closed, "RATIO_MIN", 1e-6)
    monkeypatch.setattr(gateway, "READY_POLL_S", 0.02)
    monkeypatch.setitem(bench.RUNTIMES, "loses", "for the stub")
    monkeypatch.setitem(bench.RUNTIMES, "doubles", "for the stub")
    monkeypatch.setattr(latency, "WARM_UP_S", 1)

    def run(*arguments):
        argv = ["--runs", "1", "--duration", "1", "--merchants", "4", "--json"]
        argv += ["--out", str(tmp_path / "out"), "--work", str(tmp_path)]
        return bench.main([*argv, *arguments]), tmp_path / "out"

    return run


def test_a_run_ends_with_its_json_line_history_and_report(small_bench, capsys):
    """Every bar met and the audit passed: exit code 0."""
    code, out = small_bench("--figure", "closed")

    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert bench.EXIT_OK == code
    assert [*bench.LINE_FIELDS, "audit"] == list(line)
    assert line["ratio"] == pytest.approx(
        line["payments_per_second"] / line["ceiling_per_second"], abs=0.01
    )
    kept = 2 * (REPLAYED - 1)
    expected = Audit(kept - 2 * HANGS_UP_ON, kept, 0, 0, 0)
    assert expected.as_json() == line["audit"]
    entry = json.loads((out / "history.jsonl").read_text())
    assert {"commit", "machine", "configuration"} <= set(entry)
    assert "Durable payments" in (out / "report.html").read_text()


@pytest.mark.parametrize(("cheat", "field"), [("loses", "lost"), ("doubles", "doubled")])
def test_a_gateway_that_cheats_fails_the_audit(small_bench, capsys, cheat, field):
    """Whatever its figures are: exit code 1."""
    code, _ = small_bench("--figure", "closed", "--runtime", cheat)

    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert bench.EXIT_AUDIT == code
    assert 0 < line["audit"][field]


def test_an_open_loop_run_looks_every_payment_up(small_bench, capsys):
    """A rate of 100 a second: latency percentiles from due times, histograms beside."""
    code, out = small_bench(
        *("--target-rate", "100", "--arrivals", "uniform"),
        *("--channel-latency-ms", "5", "--max-in-flight", "128"),
    )

    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert bench.EXIT_OK == code
    assert (100, 0) == (line["payments"], line["errors"])
    assert Audit(200, 200, 0, 0, 0).as_json() == line["audit"]
    assert 5 <= line["latency_ms"]["p50"] <= line["latency_ms"]["p99"]
    assert "Percentile" in (out / "run.corrected.hgrm").read_text()


def test_stored_payments_do_not_count_as_this_runs(small_bench, monkeypatch, capsys):
    """Twenty and two hundred are there beforehand; books are kept over the runs."""
    monkeypatch.setattr(rows, "STORED", (20, 200))
    monkeypatch.setattr(rows, "FALL_MAX", 1.0)

    code, out = small_bench("--figure", "rows")

    assert bench.EXIT_OK == code
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 2 * 2 * (REPLAYED - 1) == line["audit"]["in_ledger"]
    (figure,) = json.loads((out / "run.json").read_text())["figures"]
    assert {"20": 1, "200": 1} == {n: len(of) for n, of in figure["values"]["ratio"].items()}


def test_kept_stores_are_filled_once_and_used_again(small_bench, monkeypatch, tmp_path):
    """What was cut off while it was filled is made anew, while it was used: counted."""
    monkeypatch.setattr(rows, "STORED", (20, 200))
    monkeypatch.setattr(rows, "FALL_MAX", 1.0)
    made = []
    fill = gateway.seed_bulk
    monkeypatch.setattr(gateway, "seed_bulk", lambda *all_: (made.append(all_[2]), fill(*all_)))
    arguments = ("--figure", "rows", "--stores", str(tmp_path / "stores"))

    codes = [small_bench(*arguments)[0] for _ in range(2)]
    (tmp_path / "stores" / "200-of-4.complete").unlink()
    (tmp_path / "stores" / "20-of-4.complete").write_text("")
    codes.append(small_bench(*arguments)[0])
    (tmp_path / "stores" / "20-of-4.complete").write_text("21")
    codes.append(small_bench(*arguments)[0])

    assert [*[bench.EXIT_OK] * 3, bench.EXIT_AUDIT] == codes
    assert [20, 200, 200] == made


def test_merchants_are_woken_one_by_one(small_bench, monkeypatch, capsys):
    """Each of five pays twice; memory is compared between few and many."""
    monkeypatch.setattr(merchants, "FEW", 10)
    monkeypatch.setattr(merchants, "REGISTERED", 20)
    monkeypatch.setattr(merchants, "WOKEN", 5)
    monkeypatch.setattr(merchants, "SETTLE_S", 0.0)
    monkeypatch.setattr(merchants, "ACTIVATION_MS_MAX", 1e9)
    monkeypatch.setattr(merchants, "IDLE_BYTES_MAX", 1e9)

    code, out = small_bench("--figure", "merchants")

    assert bench.EXIT_OK == code
    assert Audit(10, 10, 0, 0, 0).as_json() == json.loads(capsys.readouterr().out)["audit"]
    (figure,) = json.loads((out / "run.json").read_text())["figures"]
    assert 0 < figure["values"]["first_payment_ms"]["p50"]


def test_a_gateway_that_does_not_start_is_exit_code_3(small_bench, monkeypatch):
    """And there is no line of figures."""
    monkeypatch.setattr(gateway, "COMMAND", ("false",))

    code, out = small_bench("--figure", "latency")

    assert bench.EXIT_UNREACHABLE == code
    assert not (out / "history.jsonl").exists()


def a_figure(*, met, passed):
    bar = Bar("ratio", 0.3 if met else 0.2, 0.25, at_least=True)
    return Figure("closed", "t", (bar,), {}, Audit(1, 1, 0, 0 if passed else 1, 0))


@pytest.mark.parametrize(
    ("met", "passed", "code"),
    [(True, True, 0), (False, True, 4), (True, False, 1), (False, False, 1)],
)
def test_exit_codes(met, passed, code):
    """4 for a missed bar, 1 for a failed audit, which is worse."""
    figures = [a_figure(met=True, passed=True), a_figure(met=met, passed=passed)]

    assert code == bench.exit_code(figures)


@pytest.mark.parametrize("value", [float("nan"), 0.2])
def test_a_bar_without_a_number_is_missed(value):
    """A figure that was not measured has not been met."""
    assert not Bar("ratio", value, 0.25, at_least=True).met


def a_closed_run(per_second, cpu_us):
    result = WrkResult(1000, 1.0, per_second, {"p50": 1.0, "p99": 9.0}, 0, 0, 0, 0, 0)
    return ClosedRun(result, {"front_door": cpu_us / 2, "shard": cpu_us / 2}, Audit(1, 1, 0, 0, 0))


def test_the_ratio_is_the_median_of_each_runs_own_ratio():
    """Not the ratio of medians: a run's echo and gateway saw the same neighbors."""
    echoes = [10_000.0, 20_000.0, 40_000.0]
    pairs = [
        (a_closed_run(echo, 1).wrk, a_closed_run(per_second, cpu_us))
        for echo, per_second, cpu_us in zip(echoes, [4e3, 5e3, 4e3], [200, 210, 400], strict=True)
    ]

    figure = closed.figure_of(pairs)

    assert 0.25 == figure.summary["ratio"]
    assert 210 == figure.summary["cpu_us_per_payment"]
    assert figure.met


def test_a_baseline_takes_what_is_signed_and_nothing_else():
    """As the replayed requests are; any other body, key, path or host is refused."""
    plan = presign.Plan([STAND_IN_KEY], "127.0.0.1:1234", 7, 1)
    line = next(presign.request_lines(plan, presign.now_s()))
    path, *fields, body = line.split("\t")
    headers = dict(field.split(": ", 1) for field in fields)
    sent = {name.lower(): value for name, value in headers.items()} | {"host": "127.0.0.1:1234"}

    assert is_signed("POST", path, sent, body.encode())
    for wrong in (
        {"host": "127.0.0.1:1235"},
        {"idempotency-key": "k"},
        {"signature": "sig1=:AA==:"},
    ):
        assert not is_signed("POST", path, sent | wrong, body.encode())
    assert not is_signed("POST", path, sent, body.encode() + b" ")
    assert not is_signed("PUT", path, sent, body.encode())
    assert not is_signed("POST", path + "/", sent, body.encode())
    assert not is_signed("POST", path, {}, b"")


def test_baselines_are_beaten_by_the_median_of_each_runs_quotient():
    """And one that answered with errors proves nothing."""
    ours = [a_closed_run(per_second, 1) for per_second in (4e3, 6e3, 9e3)]
    theirs = {
        baseline.module: [a_closed_run(per_second, 1).wrk for per_second in (1e3, 2e3, 1e3)]
        for baseline in baselines.BASELINES
    }

    figure = baselines.figure_of(ours, theirs)

    assert 6e3 == figure.summary["payments_per_second"]
    assert [4.0, 4.0, 4.0, 0] == [bar.value for bar in figure.bars]
    assert [True, True, False, True] == [bar.met for bar in figure.bars]
    theirs["ray_call"][0] = replace(theirs["ray_call"][0], refused=1)
    assert not baselines.figure_of(ours, theirs).bars[-1].met


def test_shards_are_judged_by_the_largest_difference_from_one():
    """Cheaper counts as different too: the figure is about being flat."""
    runs = {
        1: [a_closed_run(1, cpu_us) for cpu_us in (90, 100, 110)],
        2: [a_closed_run(1, 114)],
        4: [a_closed_run(1, 80)],
    }

    figure = shards.figure_of(runs)

    assert pytest.approx(0.2) == figure.bars[0].value
    assert not figure.met
    roles = figure.values["cpu_us_by_role"]
    assert {"1": 100, "2": 114, "4": 80} == {n: sum(of.values()) for n, of in roles.items()}


@pytest.mark.parametrize(
    ("sweep", "rates"),
    [("500:1500:500", (500.0, 1000.0, 1500.0)), ("10:10:5", (10.0,)), ("10:19:5", (10.0, 15.0))],
)
def test_a_sweep_names_its_rates(sweep, rates):
    """FROM:TO:STEP, both ends included."""
    assert rates == latency.rates(sweep, None)


@pytest.mark.parametrize("sweep", ["5:1:1", "1:5:0", "0:5:1", "1:1000:1"])
def test_an_impossible_sweep_is_refused(sweep):
    """Rising, above zero, and with an end."""
    with pytest.raises(ValueError, match="FROM:TO:STEP"):
        latency.rates(sweep, None)


def test_a_command_that_fails_says_what_it_printed(monkeypatch, tmp_path):
    """Standard output and error are in the exception."""
    monkeypatch.setattr(gateway, "COMMAND", ("sh", "-c", "echo no books here; exit 3"))

    with pytest.raises(CommandFailed, match="no books here"):
        gateway.verify_ledger(tmp_path)


def test_the_gateway_is_started_as_asked(tmp_path):
    """Free ports, simulated channel, and everything that an experiment varies."""
    options = Options(front_doors=3, runtime="local", channel_latency_ms=20).with_shards(4)

    line = " ".join(gateway.serve_argv(options, tmp_path, tmp_path / "seed"))

    for part in ("--port 0", "--admin-port 0", "--front-doors 3", "--shards 4", "--runtime local"):
        assert part in line
    assert "--channel-latency-ms 20" in line
    assert "--channels simulated" in line
    assert "--seed-file" in line
    assert "--seed-file" not in gateway.serve_argv(options, tmp_path, None)


def test_a_seed_registers_many_and_gives_keys_to_some(tmp_path):
    """Ids are unique and well formed, partitions in rotation, secrets only in a private file."""
    path = tmp_path / "seed.json"

    keys = write_seed(SeedPlan(merchants=300, keyed=10, terminals=2), path)

    rows = json.loads(path.read_text())["merchants"]
    assert keys == read_seed(path)
    assert (300, 10) == (len(rows), len(keys))
    assert 300 == len({row["id"] for row in rows})
    terminals = [one["id"] for row in rows for one in row["stores"][0]["terminals"]]
    assert 600 == len(set(terminals))
    assert {28} == {len(row["id"]) for row in rows}
    assert 256 == len({row["id"][14:17] for row in rows})
    assert [key.merchant for key in keys] == [row["id"] for row in rows if "keys" in row]
    assert 32 == len(keys[0].hmac_key)
    assert 0o600 == path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    "plan",
    [{"merchants": 1, "keyed": 2}, {"merchants": 1, "keyed": 0}, {"keyed": 1, "terminals": 64}],
)
def test_an_impossible_seed_is_refused(plan):
    """Not more keys than merchants, not none, and no more terminals than ids are kept for."""
    with pytest.raises(ValueError, match=r"keys|terminals"):
        SeedPlan(**{"merchants": 1, **plan})
