"""An independent client, unchanged, against Alipay's sandbox over real HTTP.

`python-alipay-sdk` sends everything in the query of a GET, finds the signed part of an answer by
counting braces, and raises for whatever does not verify. Nothing of ours is on its side: a step
that succeeds here was signed and laid out as the interface documents it.
"""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from random import Random
from typing import ClassVar
from urllib.parse import parse_qsl
from urllib.request import urlopen

import pytest
from alipay import AliPay, DCAliPay, ISVAliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from Cryptodome.PublicKey import RSA
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from payments.channels.alipay.identity import Identity
from payments.channels.alipay.sandbox import AlipaySandbox
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.clock import SystemClock
from rigs import rsa_key

CODE = "28763443825664394"
HEARD_S = 60


class Shop(BaseHTTPRequestHandler):
    """A shop's own server: keeps the forms it is sent, and says thanks."""

    forms: ClassVar[list[dict[str, str]]] = []
    came: ClassVar[threading.Semaphore] = threading.Semaphore(0)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        Shop.forms.append(dict(parse_qsl(body, keep_blank_values=True)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"success")
        Shop.came.release()

    def log_message(self, *args):
        """Nothing to say."""


@pytest.fixture(scope="module")
def shop():
    Shop.forms.clear()
    server = HTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/notify"
    server.shutdown()
    thread.join()
    server.server_close()


class Running:
    """The sandbox in a thread with a loop of its own: the client blocks its thread."""

    def __init__(self):
        self.started = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.thread.start()
        assert self.started.wait(HEARD_S)

    async def _run(self):
        identity = Identity(rsa_key("shop"), rsa_key("channel"))
        sandbox = AlipaySandbox(SandboxSettings(), SystemClock(), Random(1), identity=identity)
        served = await serve(sandbox)
        self.url, self.credentials = served.url, sandbox.credentials(served.url)
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        self.sandbox = sandbox
        self.started.set()
        await self.ended.wait()
        await served.stop()

    def get(self, url, body=None):
        """A page of the sandbox's, or what `/_sandbox/` says."""
        with urlopen(url, body, HEARD_S) as page:  # noqa: S310 - our own address on loopback
            return page.read().decode()

    def pay(self, number):
        """The payer pays."""
        body = json.dumps({"out_trade_no": number}).encode()
        assert '"paid"' in self.get(f"{self.url}/_sandbox/pay", body)

    def token(self, merchant):
        return self.sandbox.identity.app_auth_token(merchant, SystemClock().real_ms())

    def stop(self):
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join()


@pytest.fixture(scope="module")
def running():
    running = Running()
    yield running
    running.stop()


def client_of(running, shop=None, kind=AliPay, **more):
    credentials = running.credentials
    client = kind(
        appid=credentials["app_id"],
        app_notify_url=shop,
        app_private_key_string=credentials["app_private_key_pem"],
        alipay_public_key_string=credentials["alipay_public_key_pem"],
        **more,
    )
    client._gateway = credentials["gateway"]
    return client


@pytest.fixture(scope="module")
def client(running, shop):
    return client_of(running, shop)


def test_a_barcode_is_paid_queried_refunded_and_the_refund_found(client):
    """All steps of a sale at the till; the subject has everything that breaks texts apart."""
    subject = '大杯 {latte} "a/b" \\ & = 100%'
    paid = client.api_alipay_trade_pay("SDK001", "bar_code", CODE, subject, total_amount=38.8)
    asked = client.api_alipay_trade_query(out_trade_no="SDK001")
    by_trade_no = client.api_alipay_trade_query(trade_no=paid["trade_no"])
    back = client.api_alipay_trade_refund("8.80", out_trade_no="SDK001", out_request_no="R1")
    again = client.api_alipay_trade_refund("8.80", out_trade_no="SDK001", out_request_no="R1")
    found = client.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="SDK001")

    assert ("10000", "38.80", "SDK001") == (
        paid["code"], paid["total_amount"], paid["out_trade_no"],
    )  # fmt: skip
    assert "TRADE_SUCCESS" == asked["trade_status"] == by_trade_no["trade_status"]
    assert ("Y", "8.80") == (back["fund_change"], back["refund_fee"])
    assert ("N", "8.80") == (again["fund_change"], again["refund_fee"])
    assert ("REFUND_SUCCESS", "8.80") == (found["refund_status"], found["refund_amount"])


def test_a_precreated_code_is_no_trade_until_it_is_paid(running, client):
    shown = client.api_alipay_trade_precreate("noodles", "SDK002", "0.01")
    before = client.api_alipay_trade_query(out_trade_no="SDK002")
    running.pay("SDK002")
    after = client.api_alipay_trade_query(out_trade_no="SDK002")

    assert shown["qr_code"].startswith("https://qr.alipay.com/bax")
    assert "ACQ.TRADE_NOT_EXIST" == before["sub_code"]
    assert "TRADE_SUCCESS" == after["trade_status"]


def test_an_order_in_the_wallet_is_made_and_closed(client):
    """The client's own `create` looks for another method's answer, so it is asked plainly."""
    biz = {
        "out_trade_no": "SDK003", "total_amount": "1.00", "subject": "tea",
        "buyer_id": "2088102169481075",
    }  # fmt: skip
    made = client.server_api("alipay.trade.create", biz)
    waits = client.api_alipay_trade_query(out_trade_no="SDK003")
    closed = client.api_alipay_trade_close(out_trade_no="SDK003")
    over = client.api_alipay_trade_query(out_trade_no="SDK003")

    assert made["trade_no"] == closed["trade_no"]
    assert ("WAIT_BUYER_PAY", "TRADE_CLOSED") == (waits["trade_status"], over["trade_status"])


def test_a_payment_is_canceled(client):
    client.api_alipay_trade_pay("SDK004", "bar_code", CODE, "soup", total_amount="2.00")
    canceled = client.api_alipay_trade_cancel(out_trade_no="SDK004")

    assert ("refund", "N") == (canceled["action"], canceled["retry_flag"])
    over = client.api_alipay_trade_query(out_trade_no="SDK004")
    assert "TRADE_CLOSED" == over["trade_status"]


def test_notifications_verify_as_they_came_and_not_otherwise(client):
    """One of the payment and one of a refund."""
    while Shop.came.acquire(timeout=0):
        Shop.forms.clear()
    client.api_alipay_trade_pay("SDK005", "bar_code", CODE, "汤", total_amount="3.00")
    client.api_alipay_trade_refund("1.00", out_trade_no="SDK005", out_request_no="R5")
    wanted = []
    while len(wanted) < 2:
        assert Shop.came.acquire(timeout=HEARD_S)
        wanted = [form for form in Shop.forms if form["out_trade_no"] == "SDK005"]

    paid, refunded = wanted
    assert ("TRADE_SUCCESS", "3.00") == (paid["trade_status"], paid["total_amount"])
    assert ("R5", "1.00") == (refunded["out_biz_no"], refunded["refund_fee"])
    for form in wanted:
        signature = form.pop("sign")
        assert client.verify(dict(form), signature)
        assert not client.verify({**form, "total_amount": "0.01"}, signature)


def test_a_page_payment_leads_a_browser_to_the_cashier(running, client):
    """The string that the client makes for a browser opens an order; no server call before it."""
    query = client.api_alipay_trade_wap_pay("cake", "SDK006", "5.00", return_url="https://e.org/")
    text = running.get(f"{client._gateway}?{query}")
    running.pay("SDK006")
    paid = client.api_alipay_trade_query(out_trade_no="SDK006")

    assert "cake" in text
    assert "TRADE_SUCCESS" == paid["trade_status"]


def test_a_partner_acts_for_its_merchants_each_with_numbers_of_its_own(running, client):
    token = running.token("2021000000000042")
    partner = client_of(running, kind=ISVAliPay, app_auth_token=token)
    client.api_alipay_trade_pay("SDK007", "bar_code", CODE, "rice", total_amount="38.80")
    partner.api_alipay_trade_pay("SDK007", "bar_code", CODE, "rice", total_amount="9.00")

    theirs = partner.api_alipay_trade_query(out_trade_no="SDK007")
    ours = client.api_alipay_trade_query(out_trade_no="SDK007")
    assert ("9.00", "38.80") == (theirs["total_amount"], ours["total_amount"])
    known = partner.api_alipay_open_auth_token_app_query()
    assert "2021000000000042" == known["auth_app_id"]


def test_a_token_that_nobody_gave_is_refused(running):
    stranger = client_of(running, kind=ISVAliPay, app_auth_token="202611BB" + "0" * 32)

    refused = stranger.api_alipay_trade_query(out_trade_no="SDK001")
    assert ("20001", "aop.invalid-app-auth-token") == (refused["code"], refused["sub_code"])


# The client reads certificates by functions that its library has given up.
@pytest.mark.filterwarnings("ignore:X509:DeprecationWarning", "ignore:dump_:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:X509Name:DeprecationWarning")
def test_certificates_are_named_and_taken_as_the_client_names_them(running):
    """Certificate mode: the client computes both serials and reads the channel's certificate."""
    chain = json.loads(running.get(f"{running.url}/_sandbox/certificates"))
    client = DCAliPay(
        appid=running.credentials["app_id"],
        app_private_key_string=running.credentials["app_private_key_pem"],
        app_public_key_cert_string=chain["app_cert_pem"],
        alipay_public_key_cert_string=chain["alipay_cert_pem"],
        alipay_root_cert_string=chain["alipay_root_cert_pem"],
    )
    client._gateway = running.credentials["gateway"]
    paid = client.api_alipay_trade_pay("SDK009", "bar_code", CODE, "egg", total_amount="1.00")

    assert "10000" == paid["code"]
    ours = running.sandbox.identity.chain
    assert (ours.app_serial, ours.root_serial) == (client.app_cert_sn, client.alipay_root_cert_sn)


def test_the_legacy_signature_is_taken_and_given(running):
    """RSA with SHA-1, by clients that still ask for it."""
    old = client_of(running, sign_type="RSA")

    old.api_alipay_trade_pay("SDK008", "bar_code", CODE, "rice", total_amount="1.00")
    assert "TRADE_SUCCESS" == old.api_alipay_trade_query(out_trade_no="SDK008")["trade_status"]


def test_a_wrong_key_on_either_side_is_noticed(running):
    """The gateway refuses the request; the client refuses the answer."""
    wrong = client_of(running)
    wrong._app_private_key = _rsa("stranger")
    refused = wrong.api_alipay_trade_query(out_trade_no="SDK001")
    assert "isv.invalid-signature" == refused["sub_code"]

    deaf = client_of(running)
    deaf._alipay_public_key = _rsa("stranger").public_key()
    with pytest.raises(AliPayValidationError):
        deaf.api_alipay_trade_query(out_trade_no="SDK001")


def test_an_unknown_application_gets_an_unsigned_error(running):
    """Nobody's key: the client raises, as it does with the real gateway."""
    nobody = client_of(running)
    nobody._appid = "2021000000000000"

    with pytest.raises(AliPayException, match=r"isv\.invalid-app-id"):
        nobody.api_alipay_trade_query(out_trade_no="SDK001")


def _rsa(name):
    """A key in the client's own form."""
    private = PrivateFormat.TraditionalOpenSSL
    return RSA.import_key(rsa_key(name).private_bytes(Encoding.PEM, private, NoEncryption()))
