"""Live mode: signed requests only, nothing of the test kit, and never on a test store."""

import base64
import json
import uuid

import pytest

SEED = """
[[merchants]]
label = "wang"
name = "Noodles"
keys = [{ label = "till", type = "hmac-sha256" }]
stores = [{ name = "Corner", terminals = [{ name = "Till" }] }]
"""
HELPERS = """
    POST  /v1/test_helpers/clocks
    GET   /v1/test_helpers/channels/simulated/books
    POST  /v1/test_helpers/payments/{}/pay
"""


@pytest.fixture(scope="module")
def live(kit, tmp_path_factory):
    """A live deployment with one merchant: (deployment, client of its till)."""
    folder = tmp_path_factory.mktemp("live")
    seed = folder / "seed.toml"
    seed.write_text(SEED)
    seed.chmod(0o600)
    config = f'mode = "live"\nrehearsal = true\nseed_file = "{seed}"\n'
    deployment = kit.Deployment(folder / "data", "local", config).start()
    made = json.loads((deployment.data / "seed-keys.json").read_text())
    key = next(each for each in made if each["label"] == "wang/till")
    secret = base64.b64decode(key["secret"].removeprefix("hs_live_"))
    yield deployment, kit.SignedClient(deployment.api, key["key_id"], secret)
    deployment.close()


def order():
    return {
        "order_no": uuid.uuid4().hex[:20],
        "amount": 3800,
        "currency": "cny",
        "way": "barcode",
        "auth_code": f"28{uuid.uuid4().int % 10**12:012}0001",
    }


def test_a_signed_payment_is_taken(live):
    """Every object says that it is live."""
    _, client = live
    made = client.post("/v1/payments", order(), key="k")

    assert (201, "succeeded", True) == (made.status, made["status"], made["livemode"]), made
    assert client.get(f"/v1/payments/{made['id']}").body == made.body


@pytest.mark.parametrize("secret", ["sk_test_" + "0" * 64, "sk_live_" + "0" * 64, "hs_live_x"])
def test_no_bearer_key_is_let_in(live, kit, expect_problem, secret):
    """Whatever it says."""
    deployment, _ = live

    expect_problem(kit.Client(deployment.api, secret).get("/v1/payments"), 401, "unauthorized")


def test_no_bearer_key_is_made_either(live, expect_problem):
    """It could never be used; the other kinds are made."""
    _, client = live

    asked = {"type": "bearer", "scopes": ["payments:read"]}
    expect_problem(client.post("/v1/keys", asked), 422, "invalid_field")
    made = client.post("/v1/keys", asked | {"type": "hmac-sha256"})
    assert (201, "hs_live_") == (made.status, made["secret"][:8]), made


@pytest.mark.parametrize("line", HELPERS.strip().splitlines())
def test_the_test_kit_is_not_there(live, expect_problem, line):
    """404 for clocks, books and payers."""
    _, client = live
    method, path = line.split()
    made = client.post("/v1/payments", order(), key=uuid.uuid4().hex)
    body = {} if method == "POST" else None

    expect_problem(client.send(method, path.format(made["id"]), body), 404, "not_found")


def test_no_simulated_channel_without_saying_so(live, tmp_path, kit):
    """It would approve whatever it is asked, and the goods would be gone."""
    config = "\n".join(line for line in live[0].config.splitlines() if "rehearsal" not in line)
    process = kit.Deployment(tmp_path / "data", "local", config).launch()
    with process.stdout:
        assert 2 == process.wait(30)
    assert "nobody is charged by a simulated channel" in (tmp_path / "data.log").read_text()


def test_a_live_store_is_no_test_store(live, kit):
    """The same data directory in test mode: refused, with the reason."""
    deployment, _ = live
    deployment.stop()
    other = kit.Deployment(deployment.data, "local")

    process = other.launch()
    output, _ = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "ready" not in output
    assert "Traceback" not in other.errors()[-800:]
    deployment.start()
