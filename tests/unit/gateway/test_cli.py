"""The command line: what it sends, what it says, and the exit codes that scripts rely on."""

import asyncio
import json
from types import SimpleNamespace

import apsw
import pytest
from msgspec.msgpack import encode

from gateway.cli import app as cli
from gateway.cli import client
from gateway.settings import SettingsError
from payments.bookings import payment_booked, payment_entry_id
from payments.idempotency import index_of
from payments.ids import partition_of
from payments.ledger import GENESIS, Entry, row_of
from payments.payment import AttemptState
from payments.storage.base import Batch
from payments.storage.owner import OwnerLock
from payments.storage.sqlite import SqliteStore
from payments.testing import DIGESTS, MERCHANT_ID, NOW_MS, a_payment
from payments.view import event_id

OK, CHECK_FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No server, no settings of the machine's."""
    for name in ("TILLWAY_URL", "TILLWAY_API_KEY", "TILLWAY_CONFIG"):
        monkeypatch.delenv(name, raising=False)
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
def sent(monkeypatch):
    """Requests that would go to the server, each answered with the next of `answers`."""

    wire = SimpleNamespace(requests=[], answers=[])

    async def call(method, url, key, body, query, headers):
        wire.requests.append((method, url, key, body, query, headers))
        answer = wire.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(client, "_call", call)
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("TILLWAY_API_KEY", "sk_test_1")
    return wire


# --- the books -------------------------------------------------------------------------------


def rows_of(payments):
    """Rows as a shard would write them: payments, and the entries of those that succeeded."""
    batch = Batch.empty()
    chain, seq = GENESIS, 0
    for no, payment in enumerate(payments, 1):
        order = DIGESTS.order(MERCHANT_ID, payment.order_no)
        key = index_of(payment.key_digest)
        partition = partition_of(payment.id)
        row = (no, payment.id, 1, partition, key, order, None, None, encode(payment))
        batch.payments.append(row)
        if payment.succeeded_at is not None:
            seq += 1
            postings = payment_booked("simulated-1", MERCHANT_ID, partition, 3800, payment.fee)
            entry = Entry(
                payment_entry_id(payment.id), payment.id, partition, "cny", NOW_MS, postings
            )
            batch.entries.append(row_of(entry, seq, seq, chain))
            chain = batch.entries[-1][8]
        kind = f"payment.{payment.status}"
        batch.events.append(
            (no, partition, 1, event_id(payment.id, kind), kind, NOW_MS, b"{}"),
        )
    return batch


@pytest.fixture
def books(tmp_path):
    """A data directory with three payments, two of which succeeded."""

    def make(*payments):
        data = tmp_path / "data"
        data.mkdir()
        store = SqliteStore(data / "shard-0.db", 0)
        store.open()
        asyncio.run(store.commit(rows_of(payments)))
        store.close()
        return data

    return make


def three():
    return [
        a_payment(AttemptState.SUCCEEDED),
        a_payment(AttemptState.SUCCEEDED),
        a_payment(AttemptState.FAILED),
    ]


def test_sound_books_are_verified(books, run):
    """Counts by status, entries, and a balance of zero."""
    code, out, _ = run("ledger", "verify", "--data", books(*three()), "--json")
    report = json.loads(out)

    assert (OK, True, {"succeeded": 2, "failed": 1}) == (code, report["ok"], report["payments"])
    assert (2, 0, 0, True) == (
        report["entries"],
        report["doubled"],
        report["trial_balance"],
        report["chain_ok"],
    )


DAMAGE = {
    "UPDATE entry SET at_ms = at_ms + 1 WHERE no = 1": "chain_ok",
    "DELETE FROM entry WHERE no = 1": "chain_ok",
    "DELETE FROM entry WHERE no = 2": "unbooked",
    "DELETE FROM payment WHERE no = 2": "broken",
    "UPDATE event SET id = 'evt_7' || substr(id, 6) WHERE no = 3": "broken",
    "INSERT INTO 'commit' VALUES (2, 0, 1, x'80', x'90')": "broken",
    "INSERT INTO balance VALUES ('fees:income#17', 'cny', 5, 1)": "balances_ok",
}


@pytest.mark.parametrize("statement", DAMAGE)
def test_damage_to_the_books_is_found(books, run, statement):
    """Whatever was changed behind the gateway's back: exit code 1, and where."""
    data = books(*three())
    connection = apsw.Connection(str(data / "shard-0.db"))
    connection.execute(statement)
    connection.close()

    code, out, _ = run("ledger", "verify", "--data", data, "--json")
    report = json.loads(out)

    assert (CHECK_FAILED, False) == (code, report["ok"])
    assert report[DAMAGE[statement]] in (False, 1, 2)
    assert report["complaints"]


def test_an_order_that_was_paid_twice_is_doubled(books, run):
    """One order number, two successes; a failure beside a success is fine."""
    first, second, third = three()
    twin = a_payment(AttemptState.SUCCEEDED, order_no=first.order_no)
    fine = a_payment(AttemptState.FAILED, order_no=second.order_no)
    code, out, _ = run(
        "ledger", "verify", "--data", books(first, second, third, twin, fine), "--json"
    )

    assert (CHECK_FAILED, 1) == (code, json.loads(out)["doubled"])


def test_the_trial_balance_is_shown_by_currency(books, run):
    """Debits equal credits."""
    code, out, _ = run("ledger", "trial-balance", "--data", books(*three()), "--json")
    (row,) = json.loads(out)["currencies"]
    assert (OK, 7600, 7600, 0) == (code, row["debits"], row["credits"], row["residual"])


def test_migrations_are_shown(books, run):
    """None is pending in a file of this release."""
    code, out, _ = run("migrate", "status", "--data", books(*three()), "--json")
    (store,) = json.loads(out)["stores"]
    assert (OK, [], store["newest"]) == (code, store["pending"], store["schema"])


# --- settings and usage ----------------------------------------------------------------------


def test_settings_are_shown_checked_and_described(run, tmp_path, monkeypatch):
    """A wrong one is exit code 1 for `check`, and usage for everything else."""
    file = tmp_path / "t.toml"
    file.write_text("[http]\nport = 7\n")
    assert 7 == json.loads(run("config", "show", "--config", file, "--json")[1])["http"]["port"]
    assert OK == run("config", "check", "--config", file)[0]
    assert "$defs" in json.loads(run("config", "schema")[1])

    file.write_text("[http]\nprot = 7\n")
    code, _, err = run("config", "check", "--config", file)
    assert (CHECK_FAILED, True) == (code, "did you mean http.port" in err)
    code, _, err = run("config", "show", "--config", file)
    assert (USAGE, True) == (code, "did you mean http.port" in err)


@pytest.mark.parametrize(
    "arguments",
    [
        ("payments", "create"),
        ("payments", "create", "--amount", "0"),
        ("serve", "--channels", "carrier-pigeon"),
        ("serve", "--front-doors", "0"),
        ("ledger", "verify", "--data", "nowhere"),
        ("fly",),
    ],
)
def test_wrong_usage_has_its_exit_code(run, arguments):
    """2, with the reason on standard error."""
    code, out, err = run(*arguments)
    assert (USAGE, "") == (code, out)
    assert err


# --- the client ------------------------------------------------------------------------------


def test_a_server_that_is_not_there_has_its_exit_code(run, monkeypatch):
    """3: with no address known, and with one where nobody answers."""
    assert UNREACHABLE == run("status")[0]
    monkeypatch.setenv("TILLWAY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TILLWAY_API_KEY", "k")
    code, _, err = run("payments", "list")
    assert (UNREACHABLE, True) == (code, "nobody answers" in err)


def test_a_payment_is_sent_with_a_key_of_its_own(run, sent):
    """Only what was given is in the body."""
    sent.answers += [{"id": "pay_1", "status": "succeeded"}] * 2
    for _ in range(2):
        code, out, _ = run("payments", "create", "--amount", "3800", "--auth-code", "13", "--json")
        assert (OK, "pay_1") == (code, json.loads(out)["id"])
    (method, url, key, body, _, headers), second = sent.requests

    assert ("POST", "http://127.0.0.1:9/v1/payments", "sk_test_1") == (method, url, key)
    assert {"order_no", "amount", "currency", "way", "auth_code"} == set(body)
    assert headers["Idempotency-Key"] != second[5]["Idempotency-Key"]
    assert body["order_no"] != second[3]["order_no"]


def test_a_refusal_is_said_and_has_its_exit_code(run, sent):
    """1, with the code and what to do."""
    sent.answers.append(client.Problem(404, {"code": "not_found", "detail": "no such payment"}))
    code, out, err = run("payments", "get", "pay_1")
    assert (CHECK_FAILED, "", True) == (code, out, "404 not_found: no such payment" in err)


def test_a_gateway_that_is_not_ready_fails_the_check(run, sent):
    """The answer is shown all the same."""
    sent.answers += [{"ready": False, "shards": [{"name": "shard-0", "ready": False}]}]
    code, out, _ = run("status")
    assert (CHECK_FAILED, True) == (code, "shard-0" in out)


ADVANCES = [("90", {"seconds": 90}), ("5m", {"seconds": 300}), ("1d", {"seconds": 86_400})]


@pytest.mark.parametrize(
    ("by", "body"), [*ADVANCES, ("2030-01-01T00:00:00Z", {"to": "2030-01-01T00:00:00Z"})]
)
def test_time_is_advanced_and_waited_for(run, sent, by, body):
    """Until the clock is ready."""
    clock = {"id": "clk_1", "now": "x"}
    # This key may not look at money: tests/unit/gateway/test_cli_home.py has one that may.
    sent.answers.append(client.Problem(403, {"code": "insufficient_scope"}))
    for status in ("ready", "advancing", "advancing", "ready"):
        sent.answers.append(clock | {"status": status})
    code, out, _ = run("clock", "advance", by, "--json")

    assert (OK, "ready") == (code, json.loads(out)["status"])
    assert body == sent.requests[2][3]
    assert sent.requests[2][1].endswith("/clocks/clk_1/advance")


def test_the_doctor_says_what_to_do(run, tmp_path, monkeypatch):
    """A healthy machine is exit code 0 or names the fix of each thing that is not well."""
    monkeypatch.setenv("TILLWAY_HTTP__PORT", "0")
    monkeypatch.setenv("TILLWAY_HTTP__ADMIN_PORT", "0")
    monkeypatch.setenv("TILLWAY_RUNTIME", "local")
    code, out, _ = run("doctor", "--data", tmp_path / "d", "--json")
    report = json.loads(out)

    assert {"python", "sqlite", "port", "disk sync"} <= {one["name"] for one in report["checks"]}
    assert (code == OK) is report["ok"]
    assert all(one["ok"] or one["fix"] for one in report["checks"])


# --- starting ----------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch):
    """What main would have been started with."""
    import gateway.main

    calls = []

    def run(settings, **options):
        calls.append((settings, options))
        return 0

    monkeypatch.setattr(gateway.main, "run", run)
    return calls


def test_serve_hands_flags_over_as_settings(run, started, tmp_path):
    """The same flags that the load tests use."""
    code, _, _ = run(
        "serve", "--json", "--port", "0", "--admin-port", "0", "--data", tmp_path,
        "--runtime", "local", "--front-doors", "2", "--shards", "3",
        "--channels", "simulated", "--channel-latency-ms", "20", "--seed-file", "s.json",
    )  # fmt: skip
    ((settings, options),) = started

    assert (OK, True, False) == (code, options["json_ready"], options["demo"])
    assert (0, 0, 2, 3) == (
        settings.http.port,
        settings.http.admin_port,
        settings.http.front_doors,
        settings.shards.count,
    )
    assert ("local", "s.json", 20) == (
        settings.runtime,
        settings.seed_file,
        settings.channels[0].latency_ms,
    )


def test_the_demo_has_a_place_and_a_shop_of_its_own(run, started, tmp_path):
    """`--reset` empties that place, and nothing that is not ours."""
    home = tmp_path / "home" / "tillway" / "demo"
    home.mkdir(parents=True)
    (home / "directory.db").touch()
    assert OK == run("demo", "--rate", "0", "--seed", "7", "--reset")[0]
    ((settings, options),) = started
    assert (home, True, 0, 7) == (
        settings.data_path,
        options["demo"],
        options["rate"],
        options["seed"],
    )
    assert options["table"]["merchants"][0]["label"] == "wang"
    assert not (home / "directory.db").exists()

    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    assert USAGE == run("demo", "--reset", "--data", tmp_path / "photos")[0]
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_wrong_setting_at_start_is_usage(run, monkeypatch):
    """Whoever finds it."""
    monkeypatch.setattr("gateway.cli.server.settings_from", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("serve")

    def refuse(*_):
        raise SettingsError("http.port: no")

    monkeypatch.setattr("gateway.cli.server.settings_from", refuse)
    code, _, err = run("serve")
    assert (USAGE, True) == (code, "http.port: no" in err)


def test_a_data_directory_is_filled_in_bulk_and_its_books_are_sound(run, tmp_path):
    """Over two shards, with payments of the seed's merchants."""
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps({"generate": {"merchants": 6, "keyed": 1}}))
    arguments = ("--data", tmp_path / "d", "--json")
    code, out, _ = run(
        "migrate", "seed-bulk", "--payments", 501, "--shards", 2, "--seed-file", seed, *arguments
    )
    assert (OK, {"payments": 501, "shards": 2}) == (code, json.loads(out))

    report = json.loads(run("ledger", "verify", *arguments)[1])
    assert (True, {"succeeded": 501}, 501) == (report["ok"], report["payments"], report["entries"])


def test_config_check_reads_the_channels_keys(run, tmp_path):
    """A key that is not there is told before a payment needs it; a key itself never."""
    file = tmp_path / "t.toml"
    file.write_text(
        "[[channels]]\n"
        'name = "alipay"\naccount = "alipay"\nkind = "alipay"\n'
        'wallets = ["alipay"]\nways = ["barcode"]\n'
        f'[channels.alipay]\napp_id = "1"\napp_private_key = "file:{tmp_path}/none.pem"\n'
        f'public_keys = {{ a = "file:{tmp_path}/none.pem" }}\n'
    )
    code, out, err = run("config", "check", "--config", file, "--json")
    assert (CHECK_FAILED, False) == (code, json.loads(out)["ok"])
    assert "none.pem" in err


@pytest.mark.parametrize("amount", ["38.00", "1_000", "1e3", "0", "-1", "many", "３８"])
def test_an_amount_is_whole_minor_units(run, amount):
    """38.00 is a slip for 3800: it must not become 38 fen."""
    code, _, said = run("payments", "create", "--amount", amount, "--way", "cashier")

    assert code == USAGE
    assert "minor units" in said


def a_demos_folder(path, livemode=False):
    """What a demo leaves: its stores, a log, a folder."""
    store = SqliteStore(path / "shard-0.db", livemode=livemode)
    store.open()
    store.close()
    (path / "directory.db").touch()
    (path / "demo.log").write_text("one\n")
    (path / "ray").mkdir()
    (path / "deployment.owner").touch()
    return path


@pytest.fixture
def runs(monkeypatch):
    """What the demo would have been started with."""
    calls = []

    def start(settings, **words):
        calls.append(settings)
        return 0

    monkeypatch.setattr("gateway.main.run", start)
    return calls


def test_a_reset_empties_a_folder_that_nobody_uses(run, runs, tmp_path):
    """All but the lock's own file, which two owners would otherwise both make."""
    folder = a_demos_folder(tmp_path)

    for _ in range(2):  # The second after a start that came to nothing.
        assert run("demo", "--reset", "--json", "--data", folder)[0] == OK
        assert [each.name for each in folder.iterdir()] == ["deployment.owner"]
    assert len(runs) == 2


def test_a_reset_leaves_a_running_deployment_alone(run, runs, tmp_path):
    """Its files, its secrets and its log, for a refused second demo without a reset as well."""
    folder = a_demos_folder(tmp_path)
    before = sorted(folder.iterdir())
    lock = OwnerLock(folder / "deployment")
    lock.take()

    code, _, said = run("demo", "--reset", "--data", folder)
    assert code == CHECK_FAILED
    assert "is owned by process" in said
    assert run("demo", "--data", folder)[0] == OK  # The stand-in takes no lock.
    lock.release()
    assert sorted(folder.iterdir()) == before
    assert (folder / "demo.log").read_text() == "one\n"
    assert len(runs) == 1


@pytest.mark.parametrize("kind", ["live", "stranger", "damaged", "file"])
def test_a_reset_leaves_live_money_and_strangers_alone(run, runs, tmp_path, kind):
    folder = tmp_path / "data"
    if kind == "file":
        folder.write_text("a file")
    else:
        folder.mkdir()
        a_demos_folder(folder, livemode=kind == "live")
    if kind == "stranger":
        (folder / "directory.db").unlink()
        (folder / "deployment.owner").unlink()
    if kind == "damaged":
        (folder / "shard-0.db").write_bytes(b"no database" * 100)

    code, _, said = run("demo", "--reset", "--json", "--data", folder)
    assert code in (USAGE, CHECK_FAILED)
    assert str(folder) in said.replace("\n", "").replace("│", "").replace(" ", "")
    assert folder.is_file() or (folder / "demo.log").read_text() == "one\n"
    assert runs == []


def test_a_folder_that_cannot_be_written_is_told_in_a_line(run, runs, tmp_path):
    (tmp_path / "file").write_text("a file")

    for command in (("demo", "--data"), ("recon", "rehearse")):
        code, _, said = run(*command, tmp_path / "file" / "below")
        assert (code, "Traceback" in said) == (USAGE, False), said


def test_the_bench_names_the_extra_that_it_needs(run, monkeypatch):
    monkeypatch.setattr("gateway.cli.server.BENCH_NEEDS", ("no_such_module",))

    code, _, said = run("bench", "--help")
    assert code == USAGE
    assert "tillway[bench]" in said
