"""UnionPay's sandbox on a real socket, our connector, and a stranger that knows only the rule."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, urlencode

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from payments.channels.base import Book, OrderRef, PayOrder, RefundOrder
from payments.channels.http import PooledClient
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.signing import SigningPool
from payments.channels.transport import Callback, CallbackAnswer, Heard
from payments.channels.unionpay.certificates import Trust
from payments.channels.unionpay.connector import UnionpayChannel
from payments.channels.unionpay.exchange import UnionpaySettings
from payments.channels.unionpay.identity import SIGNER_NAME, Identity
from payments.channels.unionpay.sandbox import UnionpaySandbox
from payments.clock import SystemClock
from payments.payment import Way

TRADE = "0ABCDEFGHJKMNPQRSTVWXYZ001"
CODES = {"wechat": "13123456789012", "alipay": "28123456789012", "unionpay": "621234567890123"}
WAIT_S = 60


@cache
def private_key(pem: str) -> RSAPrivateKey:
    """Checked once a run: that takes a tenth of a second."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    return key


class Stranger:
    """Somebody else's client: written from the rule alone, with nothing of our wire."""

    def __init__(self, url: str, credentials: dict[str, str]) -> None:
        self.url = url
        self.credentials = credentials
        self.key = private_key(credentials["merchant_private_key_pem"])
        self.public = load_pem_public_key(credentials["platform_public_key_pem"].encode())

    def sign(self, fields: dict[str, str]) -> str:
        text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "signature")
        digest = sha256(text.encode("utf-8")).hexdigest()
        return base64.b64encode(self.key.sign(digest.encode(), PKCS1v15(), SHA256())).decode()

    def check(self, fields: dict[str, str]) -> dict[str, str]:
        """The fields, if the platform signed them."""
        text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "signature")
        digest = sha256(text.encode("utf-8")).hexdigest()
        signature = base64.b64decode(fields["signature"])
        self.public.verify(signature, digest.encode(), PKCS1v15(), SHA256())
        return fields

    async def post(self, path: str, body: bytes, kind: str) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.url + path, data=body, headers={"Content-Type": kind}) as answer,
        ):
            return answer.status, await answer.read()

    async def json(self, operation: str, **changes: str | None) -> dict[str, str]:
        """One signed call of the JSON interface; a change to None leaves the field out."""
        fields = {
            "serProvId": self.credentials["serv_prov_id"],
            "merId": self.credentials["mer_id"],
            "orderNo": TRADE,
            "orderType": "wechat",
        }
        if operation in ("micropay", "unifiedorder"):
            fields |= {"orderTime": "20261122080000", "txnAmt": "3800", "currencyCode": "156"}
        if operation == "micropay":
            fields |= {"authCode": "131234567890120000", "termId": "00000001"}
        if operation == "unifiedorder":
            fields |= {"orderType": "wechatJs", "userId": "openid", "subAppId": "wx1"}
        fields = {k: v for k, v in (fields | changes).items() if v is not None}
        fields.setdefault("signature", self.sign(fields))
        path = f"/gateway/api/pay/{operation}"
        status, body = await self.post(path, json.dumps(fields).encode(), "application/json")
        assert status == 200
        return self.check(json.loads(body))

    async def acp(self, kind: str, path: str = "backTransReq", **changes: str | None):
        """One signed call of ACP."""
        txn_type, txn_sub_type = kind.split("/")
        fields = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "certId": self.credentials["cert_id"],
            "txnType": txn_type,
            "txnSubType": txn_sub_type,
            "bizType": "000000",
            "channelType": "08",
            "accessType": "0",
            "merId": self.credentials["mer_id"],
            "orderId": TRADE,
            "txnTime": "20261122080000",
        }
        if kind in ("01/07", "01/06"):
            fields |= {"txnAmt": "3800", "currencyCode": "156", "backUrl": "http://127.0.0.1:9/"}
        fields = {k: v for k, v in (fields | changes).items() if v is not None}
        fields.setdefault("signature", self.sign(fields))
        form = "application/x-www-form-urlencoded"
        status, body = await self.post(f"/gateway/api/{path}.do", urlencode(fields).encode(), form)
        assert status == 200
        answer = dict(pair.split("=", 1) for pair in body.decode().split("&"))
        chain = x509.load_pem_x509_certificates(
            self.credentials["platform_certificate_pem"].encode()
        )
        inside = x509.load_pem_x509_certificate(answer["signPubKeyCert"].encode())
        assert chain[0] == inside, "the signer's certificate comes first"
        inside.verify_directly_issued_by(chain[-1])
        assert str(inside.serial_number) == answer["certId"]
        return self.check(answer)


class Inbox:
    """Where notifications arrive. `answers`: what is said to the next ones; then 200 `success`."""

    def __init__(self) -> None:
        self.came: list[tuple[str, dict[str, str]]] = []
        self.heard: list[Heard] = []
        self.answers: list[tuple[int, bytes]] = []
        self.hear = None
        self.url = ""
        self._more = asyncio.Condition()
        app = web.Application()
        app.router.add_post("/notify", self._take)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}/notify".format(*self._runner.addresses[0][:2])

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        kind = request.headers["Content-Type"].partition(";")[0]
        if kind == "application/json":
            fields = json.loads(body)
        else:
            parsed = parse_qs(body.decode(), strict_parsing=True, keep_blank_values=True)
            fields = {name: values[0] for name, values in parsed.items()}
        if self.hear is not None:
            headers = {name.lower(): value for name, value in request.headers.items()}
            heard = await self.hear(Callback("POST", "", headers, body))
            self.heard.append(heard)
            said: CallbackAnswer = heard.answer
            status, text = said.status, said.body
        else:
            status, text = self.answers.pop(0) if self.answers else (200, b"success")
        async with self._more:
            self.came.append((kind, fields))
            self._more.notify_all()
        return web.Response(status=status, body=text)

    async def wait(self, count: int) -> list[tuple[str, dict[str, str]]]:
        async with asyncio.timeout(WAIT_S), self._more:
            await self._more.wait_for(lambda: len(self.came) >= count)
        return self.came

    async def close(self) -> None:
        await self._runner.cleanup()


class Bay:
    """A sandbox, a connector to it, a stranger and an inbox."""

    sandbox: UnionpaySandbox
    channel: UnionpayChannel

    def __init__(self, identity: Identity, folder: Path | None = None) -> None:
        self.clock = SystemClock()
        self.inbox = Inbox()
        self.http = PooledClient()
        self.pool = SigningPool("bay")
        self._identity = identity
        self._folder = folder

    async def start(self) -> "Bay":
        settings = SandboxSettings(self._folder, retry_factor=0.0001)
        self.sandbox = UnionpaySandbox(settings, self.clock, Random(3), self._identity)
        self.served = await serve(self.sandbox)
        await self.inbox.start()
        self.stranger = Stranger(self.served.url, self.sandbox.credentials())
        self.channel = self.connect(self.served.url)
        return self

    def connect(self, url: str, http=None, clock=None, **more) -> UnionpayChannel:
        credentials = self.sandbox.credentials()
        settings = UnionpaySettings(
            serv_prov_id=credentials["serv_prov_id"],
            mer_id=credentials["mer_id"],
            base_url=url,
            acp_url=url,
            notify_url=self.inbox.url,
            cert_id=credentials["cert_id"],
            sub_app_id="wx1",
            pay_timeout_s=more.pop("pay_timeout_s", 10),
            ask_timeout_s=10,
            **more,
        )
        signer = self.pool.signer(private_key(credentials["merchant_private_key_pem"]))
        verifier = self.pool.verifier(
            load_pem_public_key(credentials["platform_public_key_pem"].encode())
        )
        trust = Trust(credentials["platform_certificate_pem"].encode(), (SIGNER_NAME,))
        return UnionpayChannel(
            settings, http or self.http, signer, (verifier,), clock or self.clock, trust
        )

    async def close(self) -> None:
        await self.http.close()
        await self.inbox.close()
        await self.served.stop()
        self.pool.close()

    # --- orders ----------------------------------------------------------------------------

    def order(
        self,
        ending: str = "0000",
        number: str = TRADE,
        amount: int = 3800,
        way: Way = Way.BARCODE,
        wallet: str = "unionpay",
        seconds: int = 300,
    ) -> PayOrder:
        now = self.clock.now_ms()
        return PayOrder(
            number,
            amount,
            "cny",
            way,
            wallet,
            "mch_1",
            auth_code=CODES[wallet] + ending if way is Way.BARCODE else None,
            subject="牛肉面 & 可乐=1",
            expires_at=None if way is Way.BARCODE else now + seconds * 1000,
            payer="openid" if way is Way.JSAPI else None,
            created=now,
        )

    def about(self, order: PayOrder) -> OrderRef:
        return OrderRef(
            order.out_trade_no,
            order.amount,
            order.currency,
            order.way,
            order.wallet,
            order.merchant,
            order.created,
        )

    def back(self, order: PayOrder, amount: int, number: str = "R0000001") -> RefundOrder:
        return RefundOrder(
            order.out_trade_no,
            number,
            amount,
            order.amount,
            order.currency,
            order.way,
            order.wallet,
            order.merchant,
            order.created,
            self.clock.now_ms(),
        )

    def act(self, number: str = TRADE, verb: str = "pay") -> str:
        [order] = self.sandbox.books.all_with(number)
        return self.sandbox.engine.act(order, verb)

    def advance(self, seconds: float) -> None:
        self.sandbox.engine.move_clock(self.clock.offset_ms + round(seconds * 1000))

    def book(self, number: str = TRADE) -> Book | None:
        return next((b for b in self.sandbox.engine.books() if b.out_trade_no == number), None)


@pytest.fixture(scope="session")
def identity() -> Identity:
    """One for all tests: three keys take a second to make."""
    return Identity.open(None, Random(1), SystemClock().real_ms())


@pytest.fixture
async def bay(identity) -> AsyncIterator[Bay]:
    bay = await Bay(identity).start()
    yield bay
    await bay.close()
