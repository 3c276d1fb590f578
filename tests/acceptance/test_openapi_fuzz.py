"""A stranger's fuzzer reads the document and asks everything it says one may ask, and may not.

Schemathesis makes good and bad requests of each operation. Whatever comes back must be described:
its status, its type, its headers, its body; no 5xx but 503 and 504; nothing without a key.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

# A minute at most on a quiet machine; a busy one may take its time.
pytestmark = pytest.mark.timeout(300)

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
FUZZER = Path(sys.executable).with_name("schemathesis")
RUN_S = 280
PASSED_OVER = ("/callbacks/", "/docs/scalar.js")
"""Spoken by channels on wires that have tests of their own; and a file of four megabytes."""

CONFIG = """
seed = 20261201
base-url = "{api}"
continue-on-failure = true
request-timeout = 20
warnings = false
headers = {{ Authorization = "Bearer {secret}", Tillway-Merchant = "{merchant}" }}

[generation]
deterministic = true
database = "none"
with-security-parameters = false
no-shrink = true

[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]
positive_data_acceptance.enabled = false

[phases]
examples.enabled = true
coverage.enabled = true
fuzzing.enabled = true
stateful.enabled = true

[[operations]]
include-path-regex = "^/v1/(merchants|test_helpers|ledger)"
headers = {{ Authorization = "Bearer {operator}", Tillway-Merchant = "{merchant}" }}
"""
"""A rule over two fields is no part of a schema, so that good data may be refused: by a 422."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory, kit):
    """A deployment of its own: its clock, its merchants and its keys are the fuzzer's."""
    deployment = kit.Deployment(tmp_path_factory.mktemp("fuzzed") / "data", "local").start()
    yield deployment
    deployment.close()


@pytest.fixture(scope="module")
def pool(fuzzed):
    """Objects that are there, by the prefix of their ids: the fuzzer finds more than 404."""
    shop, spare = fuzzed.new_shop(), fuzzed.new_shop()
    client = shop.client
    paid = [shop.paid() for _ in range(2)]
    code = shop.pay(way="qr", wallet="wechat")
    cashier = shop.pay(way="cashier")
    pending = shop.pay(ending="9002", wait=0)
    failed = shop.pay(ending="9003")
    refund = shop.refund(paid[0]["id"], 100)
    hook = client.post(
        "/v1/webhook_endpoints", {"url": "http://127.0.0.1:9/nobody", "events": ["*"]}
    )
    events = client.get("/v1/events?limit=3")
    plate = client.post("/v1/qr_plates", {"store": shop.store, "label": "Counter"})
    receiver = client.post("/v1/receivers", {"name": "rider"})
    parts = [{"receiver": receiver["id"], "amount": 1}]
    rule = client.post("/v1/split_rules", {"match": {"tag": "x"}, "parts": parts})
    throwaway = shop.new_key(type="bearer", scopes=["payments:read"])
    found = {
        "pay": [each["id"] for each in (*paid, code, cashier, pending, failed)],
        "final": [each["id"] for each in (*paid, failed)],
        "rfd": [refund["id"]],
        "mch": [spare.id],
        "sto": [shop.store],
        "trm": [shop.terminal],
        "key": [throwaway["id"]],
        "clk": [fuzzed.clock.id],
        "whk": [hook["id"]],
        "evt": [event["id"] for event in events["data"]],
        "qrp": [plate["id"]],
        "rcv": [receiver["id"]],
        "spl": [rule["id"]],
        "token": [cashier["pay_url"].rpartition("/")[2], plate["url"].rpartition("/")[2]],
        "name": ["simulated", "simulated-1"],
    }
    account = client.post(
        "/v1/settlement_accounts", {"name": "Lao Wang", "number": "62220000001", "bank": "icbc"}
    )
    found["acc"] = [account["id"]]
    for prefix in ("bat", "ins", "wdr", "frz", "adv", "rec", "rci"):
        # Made by days that pass, which other tests let pass: here they are asked for in vain.
        found[prefix] = [f"{prefix}_{shop.id[4:]}"]
    found["own"] = [shop.id]
    assert all(found.values()), found
    return shop, found


def tuned(document, shop, pool):
    """The document, with values for the fuzzer that exist; nothing that it promises is changed."""
    for path in [path for path in document["paths"] if path.startswith(PASSED_OVER)]:
        del document["paths"][path]
    document["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for item in document["paths"].values():
        for operation in item.values():
            operation["security"] = operation["security"][:1]
            for parameter in operation.get("parameters", ()):
                if parameter.get("in") == "path":
                    pattern = parameter["schema"].get("pattern", "")
                    values = pool.get(pattern[1:4]) or pool[parameter["name"]]
                    parameter["schema"] = {"type": "string", "enum": values}
    parameters = document["components"]["parameters"]
    parameters["TillwayMerchant"]["schema"] = {"type": "string", "enum": [shop.id]}
    read = document["paths"]["/v1/payments/{id}"]["get"]["parameters"]
    read[0]["schema"]["enum"] = pool["final"]  # The others hold an answer for as long as asked.
    bodies = document["components"]["schemas"]
    for name, field, prefix in (
        ("CreatePayment", "store", "sto"),
        ("CreatePayment", "terminal", "trm"),
        ("NewTerminal", "store", "sto"),
        ("NewPlate", "store", "sto"),
        ("AskedSplit", "receiver", "rcv"),
        ("RulePart", "receiver", "rcv"),
        ("RuleMatch", "store", "sto"),
        ("NewReceiver", "merchant", "own"),
        ("NewKey", "terminal", "trm"),
        ("ResendEvent", "endpoint", "whk"),
    ):
        bodies[name]["properties"][field] = {"type": "string", "enum": pool[prefix]}
    bodies["CreatePayment"]["properties"]["auth_code"] = {
        "type": "string", "pattern": "^28[0-9]{16}$",
    }  # fmt: skip
    return document


@pytest.fixture(scope="module")
def files(fuzzed, pool, tmp_path_factory):
    """The tuned document and the fuzzer's settings, as files."""
    shop, found = pool
    folder = tmp_path_factory.mktemp("fuzzer")
    document = folder / "openapi.json"
    document.write_text(json.dumps(tuned(json.loads(DOCUMENT.read_text()), shop, found)))
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(
        api=fuzzed.api, merchant=shop.id, secret=shop.key["secret"],
        operator=fuzzed.operator_secret(),
    ))  # fmt: skip
    return document, config


def cases_without_complaint(files, *options, timeout_s=RUN_S):
    """Let the fuzzer run; it must have nothing to complain of. How many cases it made."""
    document, config = files
    command = [FUZZER, "--config-file", config, "run", document, "--no-color", *options]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, cwd=config.parent, check=False
    )
    assert 0 == run.returncode, run.stdout[-20_000:] + run.stderr[-2_000:]
    made = re.search(r"([0-9]+) generated", run.stdout)
    assert made is not None, run.stdout
    return int(made[1])


def test_every_answer_is_described(files):
    """Good and bad requests of each operation, and chains of them."""
    options = ("--phases", "examples,fuzzing,stateful", "--max-examples", "5")

    assert 400 <= cases_without_complaint(files, *options)


def test_what_moves_money_holds_at_every_limit(files):
    """Each boundary of each field and header of payments and refunds, in and out."""
    options = ("--phases", "coverage", "--include-tag", "Payments", "--include-tag", "Refunds")

    assert 500 <= cases_without_complaint(files, *options)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_every_limit_of_everything_holds(files):
    """The same for all operations, with more examples."""
    assert 5_000 <= cases_without_complaint(files, "--max-examples", "40", timeout_s=1_100)
