"""The demo as it starts by default: three channels over their real wires, each with its sandbox."""

import http.client
import json
import os
import signal
import subprocess
import time
import urllib.request
from urllib.parse import urlsplit

import psutil
import pytest

WALLETS = ("wechat", "alipay", "unionpay")
PATIENCE_S = 60


@pytest.fixture(scope="module")
def demo(kit, tmp_path_factory):
    """One demo for all tests here."""
    made = kit.Deployment(tmp_path_factory.mktemp("demo") / "data", "local")
    made.command = ["demo", "--rate", "0"]
    made.start()
    yield made
    made.close()


@pytest.fixture
def shop(demo):
    return demo.new_shop()


def sandboxes(deployment):
    """The process of each sandbox of a deployment, by name; the channels' is one and the same."""
    children = psutil.Process(deployment.process.pid).children(recursive=True)
    found = {}
    for child in children:
        try:
            line = child.cmdline()
        except psutil.Error:
            continue  # It has just ended.
        if "gateway.sandbox_process" in line:
            found |= {wanted["name"]: child for wanted in json.loads(line[-1])}
    return found


def settled(shop, payment, statuses=("succeeded",)):
    """The payment, once it has such a status."""
    until = time.monotonic() + PATIENCE_S
    while (found := shop.read(payment, wait=5))["status"] not in statuses:
        assert time.monotonic() < until, found
    return found


def callbacks_taken(deployment, channel):
    """How many callbacks of a channel were heard, made durable and acknowledged."""
    with urllib.request.urlopen(f"{deployment.admin}/metrics", timeout=PATIENCE_S) as reply:  # noqa: S310 - loopback
        lines = reply.read().decode().splitlines()
    counted = [line for line in lines if line.startswith("tillway_channel_callbacks_total{")]
    mine = [line for line in counted if f'"{channel}"' in line and '"taken"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in mine)


@pytest.mark.parametrize("wallet", WALLETS)
def test_a_code_goes_to_its_wallets_channel(shop, wallet):
    """The prefix decides the wallet, the wallet the channel, and its books have the payment."""
    made = shop.paid(auth_code=shop.code(wallet=wallet))

    assert made["channel"] == wallet
    assert made["route"] == {"reason": "only", "candidates": [wallet]}
    rows = shop.gateway.books(wallet)
    (row,) = [row for number, row in rows.items() if made["id"][-24:] in number]
    assert (row["charges"], row["amount_minor"], row["state"]) == (1, 3800, "paid")


@pytest.mark.parametrize(
    ("ending", "status", "failure"),
    [
        ("9001", "succeeded", None),
        ("9003", "failed", "insufficient_funds"),
        ("9004", "failed", "auth_code_expired"),
        ("9005", "succeeded", None),
        ("9012", "succeeded", None),
    ],
)
@pytest.mark.parametrize("wallet", WALLETS)
def test_the_endings_are_those_of_test_mode(shop, wallet, ending, status, failure):
    """Over real wires as over the simulated channel; coupons too."""
    made = shop.pay(auth_code=shop.code(ending, wallet), wait=30)

    assert (made.status, made["status"]) == (201, status), made
    assert (made["failure"] and made["failure"]["code"]) == failure
    if ending == "9012":
        assert (made["payer_amount"], made["settle_amount"]) == (3300, 3600)


def test_no_channel_serves_the_digital_yuan_yet(shop, expect_problem):
    answer = shop.pay(auth_code=shop.code(wallet="ecny"))

    expect_problem(answer, 422, "wallet_not_supported", "wallet")


@pytest.mark.parametrize("wallet", WALLETS)
def test_a_shown_code_is_paid_by_callback(demo, shop, wallet):
    """The channel told us, and we told it that we know."""
    before = callbacks_taken(demo, wallet)
    made = shop.pay(way="qr", wallet=wallet)
    assert (made.status, made["status"]) == (201, "requires_payer"), made

    acted = shop.client.post(f"/v1/test_helpers/payments/{made['id']}/pay", {})
    paid = settled(shop, made["id"])

    assert acted.status == 200, acted
    assert paid["status"] == "succeeded"
    until = time.monotonic() + PATIENCE_S
    while callbacks_taken(demo, wallet) == before:  # Boxes report their counts now and then.
        assert time.monotonic() < until, "it was a query that found it"
        time.sleep(0.1)


@pytest.mark.parametrize("wallet", WALLETS)
def test_money_goes_back_over_the_wire(shop, wallet):
    """A part, and then the rest by a cancel of the same day."""
    made = shop.paid(auth_code=shop.code(wallet=wallet))

    part = settled_refund(shop, shop.refund(made["id"], 1000)["id"])
    whole = shop.paid(auth_code=shop.code(wallet=wallet))
    canceled = shop.cancel(whole["id"])

    assert part["status"] == "succeeded", part
    assert canceled.status in (200, 202), canceled
    rows = {number[:24]: row for number, row in shop.gateway.books(wallet).items()}
    assert rows[made["id"][-24:]]["refunded_minor"] == 1000


@pytest.mark.parametrize("wallet", ["wechat", "alipay"])
def test_the_test_clock_moves_the_sandboxes(shop, wallet):
    """A code that nobody pays expires there when it expires here, in business time."""
    made = shop.pay(way="qr", wallet=wallet, expires_in=600)

    shop.gateway.clock.advance(900)

    assert settled(shop, made["id"], ("closed",))["status"] == "closed"


@pytest.mark.parametrize(
    "path",
    [
        "/callbacks/wechat/wechat/" + "0" * 32,
        "/callbacks/wechat/alipay/" + "0" * 32,
        "/callbacks/nobody/nobody/x",
    ],
)
def test_an_address_that_nobody_gave_out_is_not_there(demo, expect_problem, kit, path):
    answer = kit.Client(demo.api, "").post(path, {})

    expect_problem(answer, 404, "not_found")


def notify_url(demo, name):
    """The address that the demo gave a channel."""
    settings = json.loads((demo.data / "settings.json").read_text())
    digest = (demo.data / "digest.secret").read_bytes().strip()
    from gateway.callbacks import callback_url
    from payments.idempotency import Digests

    return callback_url(settings["public_url"], Digests(digest[:64]), name, name)


@pytest.mark.parametrize("wallet", WALLETS)
@pytest.mark.parametrize("body", [b"", b"{}", b"sign=x&out_trade_no=1", b"\xff" * 100])
def test_a_forged_callback_is_refused(demo, wallet, body):
    """Its address was guessed right, its signature was not: no 2xx that says taken."""
    url = urlsplit(notify_url(demo, wallet))
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_S)
    connection.request("POST", url.path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    connection.close()

    assert answer.status >= 400 or said != b"success", (answer.status, said)


def test_a_callback_has_a_size(demo):
    url = urlsplit(notify_url(demo, "wechat"))
    connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_S)
    connection.request("POST", url.path, b"x" * 65_537)

    assert connection.getresponse().status == 413
    connection.close()


def test_no_key_stands_in_settings_or_logs(demo):
    """Keys are in files of their own, which only the owner reads."""
    settings = (demo.data / "settings.json").read_text()
    keys = [path for path in (demo.data / "sandboxes").iterdir() if path.is_file()]

    assert len(keys) >= 6
    for path in keys:
        assert path.stat().st_mode & 0o077 == 0, path
        content = path.read_text().strip()
        for line in content.splitlines():
            if "-----" not in line:
                assert line not in settings
                assert line not in demo.errors()


def test_a_sandbox_that_dies_comes_back_with_its_books(shop):
    """On the same port, so that nobody else has to know."""
    made = shop.paid(auth_code=shop.code(wallet="alipay"))
    victim = sandboxes(shop.gateway)["alipay"]
    os.kill(victim.pid, signal.SIGKILL)
    until = time.monotonic() + PATIENCE_S
    while True:
        again = sandboxes(shop.gateway).get("alipay")
        answer = shop.pay(auth_code=shop.code(wallet="alipay"), wait=10)
        if again is not None and again.pid != victim.pid and answer.body["status"] == "succeeded":
            break
        assert time.monotonic() < until, answer
        time.sleep(0.1)

    refund = shop.refund(made["id"])

    assert refund["status"] in ("succeeded", "processing"), refund
    assert settled_refund(shop, refund["id"])["status"] == "succeeded"


def settled_refund(shop, refund):
    until = time.monotonic() + PATIENCE_S
    while (found := shop.read(refund))["status"] == "processing":
        assert time.monotonic() < until, found
        time.sleep(0.05)
    return found


def test_the_sandboxes_end_with_the_demo(kit, tmp_path):
    """In good order, and however it dies."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        made = kit.Deployment(tmp_path / "data", "local")
        made.command = ["demo", "--rate", "0"]
        made.start()
        found = sandboxes(made)
        assert {*WALLETS, "bank"} == set(found)
        children = list({child.pid: child for child in found.values()}.values())
        assert len(children) == 2  # The bank is never in the channels' process.

        made.stop(number)

        _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
        assert alive == [], number


def test_a_sandbox_alone_says_what_a_client_needs(kit, tmp_path):
    """One line, exactly as the contract has it; the same keys and books after a restart."""
    seen = []
    for _ in range(2):
        process = subprocess.Popen(
            [str(kit.TILLWAY), "sandbox", "wechat", "--port", "0", "--json", "--data", tmp_path],
            stdout=subprocess.PIPE,
            text=True,
        )
        seen.append(json.loads(process.stdout.readline()))
        url = urlsplit(seen[-1]["url"])
        connection = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_S)
        connection.request("GET", "/_sandbox/books")
        assert json.loads(connection.getresponse().read()) == []
        connection.close()
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        process.stdout.close()

    assert set(seen[0]) == {"ready", "channel", "url", "credentials"}
    assert (seen[0]["ready"], seen[0]["channel"]) == (True, "wechat")
    assert seen[0]["credentials"] == seen[1]["credentials"]


CREDENTIALS = {
    "wechat": "mchid appid api_v3_key merchant_serial merchant_private_key_pem public_key_id "
    "public_key_pem platform_serial platform_certificate_pem sp_mchid sp_appid sub_mchid",
    "alipay": "app_id seller_id app_private_key_pem app_public_key_pem alipay_public_key_pem "
    "gateway",
    "unionpay": "serv_prov_id mer_id merchant_private_key_pem platform_public_key_pem cert_id "
    "merchant_certificate_pem platform_certificate_pem",
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_credentials_have_the_names_of_the_contract(kit, name):
    with subprocess.Popen(
        [str(kit.TILLWAY), "sandbox", name, "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        line = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(PATIENCE_S) == 0

    assert set(CREDENTIALS[name].split()) <= set(line["credentials"])
    assert all(isinstance(value, str) and value for value in line["credentials"].values())
