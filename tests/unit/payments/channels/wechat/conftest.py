"""A sandbox on a socket, a client that signs by hand, and an address for callbacks."""

import asyncio
import json
import shutil
from pathlib import Path
from random import Random

import aiohttp
import pytest
from aiohttp import web

from payments.channels.http import PooledClient
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.signing import SigningPool
from payments.channels.transport import Callback
from payments.channels.wechat import crypto, wire
from payments.channels.wechat.connector import WeChatChannel
from payments.channels.wechat.keys import PlatformKeys
from payments.channels.wechat.requests import WeChatSettings
from payments.channels.wechat.sandbox import WeChatSandbox
from payments.channels.wechat.sandbox_keys import KEYS_FILE, Keyring
from payments.clock import ManualClock, SystemClock

WAIT_S = 60

LOADED: dict = {}
"""RSA keys by name: reading one checks it, which takes longer than a test."""


def private_key(pem: str):
    if pem not in LOADED:
        LOADED[pem] = crypto.load_private_key(pem.encode())
    return LOADED[pem]


class Said:
    """An answer, raw."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["code"]


class Shop:
    """Everything around one sandbox. `clock` is the sandbox's."""

    def __init__(self, sandbox: WeChatSandbox, clock: ManualClock | SystemClock) -> None:
        self.sandbox = sandbox
        sandbox.keys._loaded = LOADED
        self.clock = clock
        self.given = sandbox.credentials()
        self.url = ""
        self.notify_url = ""
        self.heard: asyncio.Queue[Callback] = asyncio.Queue()
        self.statuses: list[int] = []
        self.session: aiohttp.ClientSession | None = None

    # --- the merchant's side, by hand --------------------------------------------------------

    async def call(self, method, target, body=None, *, partner=False, headers=None, **changes):
        """Send a signed request. `changes` go into the header in place of what is right."""
        raw = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        sent = {"Accept": "application/json", "User-Agent": "tests"}
        sent["Authorization"] = self.authorization(method, target, raw, partner=partner, **changes)
        if raw:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        sent = {name: value for name, value in sent.items() if value is not None}
        return await self.plain(method, target, raw, sent)

    def authorization(self, method, target, raw=b"", *, partner=False, **changes):
        mchid = self.given["sp_mchid" if partner else "mchid"]
        stamp = {"mchid": mchid, "serial": self.given["merchant_serial"], "nonce": "n0nce"}
        stamp["timestamp"] = self.clock.real_ms() // 1000
        stamp |= {name: value for name, value in changes.items() if name in stamp}
        key = private_key(self.given["merchant_private_key_pem"])
        text = wire.request_text(
            method, changes.get("signed", target), stamp["timestamp"], stamp["nonce"], raw
        )
        return wire.authorization(wire.Credentials(**stamp, signature=crypto.sign(key, text)))

    async def plain(self, method, target, raw=b"", headers=None):
        async with self.session.request(
            method,
            aiohttp.client.URL(self.url + target, encoded=True),
            data=raw,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Content-Type"),
        ) as answer:
            return Said(answer.status, dict(answer.headers), await answer.read())

    async def control(self, path, body):
        said = await self.plain(
            "POST",
            f"/_sandbox/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        assert said.status == 200, said.body
        return said.json

    def order(self, number="order-0001", total=3800, *, partner=False, **more):
        """The fields that every order needs."""
        body = {
            "description": "午餐",
            "out_trade_no": number,
            "notify_url": self.notify_url,
            "amount": {"total": total, "currency": "CNY"},
        }
        return body | self.parties(partner=partner) | more

    def parties(self, *, partner=False):
        names = ("sp_appid", "sp_mchid", "sub_mchid") if partner else ("appid", "mchid")
        return {name: self.given[name] for name in names}

    def codepay(self, number="order-0001", ending="0000", total=3800, *, partner=False, **more):
        body = self.order(number, total, partner=partner)
        del body["notify_url"]
        body["payer"] = {"auth_code": f"13000000000000{ending}"}
        body["scene_info"] = {"store_info": {"id": "1"}}
        return body | more

    def query_of(self, *, partner=False, number="order-0001"):
        names = ("sp_mchid", "sub_mchid") if partner else ("mchid",)
        query = "&".join(f"{name}={self.given[name]}" for name in names)
        path = "/v3/pay/partner/transactions" if partner else "/v3/pay/transactions"
        return f"{path}/out-trade-no/{number}?{query}"

    async def paid(self, number="order-0001", ending="0000", total=3800):
        """An order that was paid with a payment code."""
        body = self.codepay(number, ending, total)
        said = await self.call("POST", "/v3/pay/transactions/codepay", body)
        assert said.status == 200, said.body
        return said.json

    @staticmethod
    def refund_of(number="order-0001", amount=100, refund="refund-1", total=3800, **more):
        asked = {"refund": amount, "total": total, "currency": "CNY"}
        return {"out_trade_no": number, "out_refund_no": refund, "amount": asked} | more

    def verifies(self, said, pem_name="platform_certificate_pem") -> bool:
        seal = wire.parse_seal(said.headers)
        text = wire.answer_text(seal.timestamp, seal.nonce, said.body)
        key = crypto.load_public_key(self.given[pem_name].encode())
        return crypto.verify(key, text, seal.signature)

    def opened(self, callback):
        """The plaintext of a callback's resource."""
        box = json.loads(callback.body)["resource"]
        plain = crypto.unseal(
            self.given["api_v3_key"].encode(),
            box["nonce"],
            box["associated_data"],
            box["ciphertext"],
        )
        return json.loads(plain)

    async def callback(self) -> Callback:
        async with asyncio.timeout(WAIT_S):
            return await self.heard.get()

    async def _hear(self, request):
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        self.heard.put_nowait(Callback(request.method, request.query_string, headers, body))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    # --- our connector -----------------------------------------------------------------------

    def channel(self, http=None, clock=None, **changes):
        """A connector to this sandbox; with an http client of the test's own, to anything."""
        clock = clock or self.clock
        given = self.given
        partner = changes.get("mode") == "partner"
        settings = {
            "mchid": given["sp_mchid" if partner else "mchid"],
            "appid": given["sp_appid" if partner else "appid"],
            "sub_mchid": given["sub_mchid"] if partner else None,
            "merchant_serial": given["merchant_serial"],
            "base_url": self.url,
            "notify_url": self.notify_url,
            "public_key_id": given["public_key_id"],
        }
        known = {given["public_key_id"]: self.verifier(given["public_key_pem"].encode())}
        keys = PlatformKeys(
            changes.pop("known", known), given["api_v3_key"].encode(), self.verifier, clock
        )
        private = crypto.load_private_key(given["merchant_private_key_pem"].encode())
        made = WeChatChannel(
            WeChatSettings(**(settings | changes)),
            http or self.http,
            self.pool.signer(private),
            keys,
            clock,
            Random(5),
        )
        self.keys = keys
        return made

    def verifier(self, pem: bytes):
        return self.pool.verifier(crypto.load_public_key(pem))

    async def __aenter__(self):
        self.served = await serve(self.sandbox)
        self.url = self.served.url
        self.session = aiohttp.ClientSession()
        self.http = PooledClient()
        self.pool = SigningPool("test")
        app = web.Application()
        app.router.add_post("/callbacks/{rest:.*}", self._hear)
        self.runner = web.AppRunner(app, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        host, port = self.runner.addresses[0][:2]
        self.notify_url = f"http://{host}:{port}/callbacks/wechat"
        return self

    async def __aexit__(self, *_):
        await self.session.close()
        await self.http.close()
        self.pool.close()
        await self.served.stop()
        await self.runner.cleanup()


@pytest.fixture(scope="session")
def kept_keys(tmp_path_factory) -> Path:
    """Keys that are made once for all tests: RSA keys take a while."""
    folder = tmp_path_factory.mktemp("wechat")
    Keyring(folder, Random(11), SystemClock().real_ms())
    return folder / KEYS_FILE


@pytest.fixture
def folder(tmp_path, kept_keys) -> Path:
    shutil.copy(kept_keys, tmp_path / KEYS_FILE)
    return tmp_path


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(SystemClock().real_ms())


@pytest.fixture
async def shop(folder, clock):
    """Over a clock that the test moves; callbacks are tried again after milliseconds."""
    settings = SandboxSettings(folder=folder, retry_factor=0.0001)
    async with Shop(WeChatSandbox(settings, clock, Random(7)), clock) as made:
        yield made


@pytest.fixture
def open_shop(folder, clock):
    """Another one, over books that were left behind; the caller enters it."""
    return lambda: Shop(WeChatSandbox(SandboxSettings(folder=folder), clock, Random(8)), clock)


@pytest.fixture
def sign(shop):
    """Makes headers that sign a body as WeChat Pay would, with what is asked to be different."""
    key = private_key(shop.sandbox.keys.newest("public_key").private_pem)

    def made(body: bytes, **changes):
        stamp = {"serial": shop.given["public_key_id"], "nonce": "n"}
        stamp["timestamp"] = shop.clock.real_ms() // 1000
        stamp |= {name: value for name, value in changes.items() if name in stamp}
        text = wire.answer_text(stamp["timestamp"], stamp["nonce"], body)
        seal = wire.Seal(
            stamp["serial"], stamp["nonce"], stamp["timestamp"], crypto.sign(key, text)
        )
        return {name.lower(): value for name, value in wire.seal_headers(seal).items()}

    return made


@pytest.fixture
def shown(shop):
    """A transaction object of ours, as bytes, with what is asked to be different."""

    def made(**changes):
        whole = {
            "appid": shop.given["appid"],
            "mchid": shop.given["mchid"],
            "out_trade_no": "01K5AZ00000000000000000000",
            "transaction_id": "4200000001202611220000000001",
            "trade_state": "SUCCESS",
            "amount": {"total": 3800, "payer_total": 3800, "currency": "CNY"},
        }
        whole |= changes
        return json.dumps({k: v for k, v in whole.items() if v is not None}).encode()

    return made
