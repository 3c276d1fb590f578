"""`alipay`: the sandbox on a real socket, and a plain client that signs by the wire's rules."""

import json
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import urlencode

import aiohttp
import pytest

from alipay_answers import World
from payments.channels.alipay import wire
from payments.channels.alipay.identity import Identity
from payments.channels.alipay.sandbox import AlipaySandbox
from payments.channels.alipay.units import china_time
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.clock import SystemClock
from rigs import rsa_key

AES_KEY = bytes(range(16))


class Client:
    """Everything in the body of a POST, unless told otherwise. Each answer is verified."""

    def __init__(self, sandbox, url, session):
        self.sandbox, self.url, self.session = sandbox, url, session
        self.identity = sandbox.identity
        self.headers = {}

    def params(self, method, biz=None, /, **changed):
        """Signed parameters; `changed` may take one away with None. `sign` as given, if given."""
        params = {
            "app_id": self.identity.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": china_time(self.sandbox.clock.real_ms()),
            "version": "1.0",
            "biz_content": "" if biz is None else json.dumps(biz, ensure_ascii=False),
        } | changed
        params = {name: value for name, value in params.items() if value is not None}
        if "sign" not in changed:
            text = wire.request_text(params).encode(_codec(params))
            sign_type = params.get("sign_type", "RSA2")
            params["sign"] = wire.sign(self.identity.app_key, text, sign_type)
        return {name: value for name, value in params.items() if value is not None}

    async def send(self, params, query=None):
        """The answer's text as bytes. `query`: names that go there."""
        codec = _codec(params)
        query = query or ()
        url = urlencode({k: v for k, v in params.items() if k in query}, encoding=codec)
        body = urlencode({k: v for k, v in params.items() if k not in query}, encoding=codec)
        type_ = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.session.post(
            f"{self.url}/gateway.do?{url}", data=body.encode(), headers=type_
        ) as answer:
            assert answer.status == 200
            self.headers = dict(answer.headers)
            return await answer.read()

    async def call(self, method, biz=None, /, **changed):
        """One call, its answer verified: the response object."""
        return await self.ask(self.params(method, biz, **changed))

    async def ask(self, params, query=None):
        body = await self.send(params, query)
        charset = params.get("charset", "utf-8")
        answer = wire.split(body, params.get("method", ""), charset)
        public = self.identity.alipay_key.public_key()
        kind = params.get("sign_type", "RSA2")
        assert answer.signature is not None, body
        assert wire.verify(public, answer.content, answer.signature, kind)
        key = AES_KEY if answer.is_encrypted else None
        return json.loads(wire.opened(answer, key).decode(wire.codec_of(charset)))

    async def pay(self, number, amount="38.00", ending="0000", **more):
        biz = {
            "out_trade_no": number, "scene": "bar_code", "auth_code": f"28123456789012{ending}",
            "subject": "noodles", "total_amount": amount,
        } | more  # fmt: skip
        return await self.call("alipay.trade.pay", biz)

    async def precreate(self, number, amount="38.00", **more):
        biz = {"out_trade_no": number, "subject": "noodles", "total_amount": amount} | more
        return await self.call("alipay.trade.precreate", biz)

    async def create(self, number, amount="38.00", **more):
        biz = {
            "out_trade_no": number, "subject": "noodles", "total_amount": amount,
            "buyer_id": "2088102169481075",
        } | more  # fmt: skip
        return await self.call("alipay.trade.create", biz)

    async def query(self, number, *options):
        biz = {"out_trade_no": number, "query_options": list(options)}
        return await self.call("alipay.trade.query", biz)

    async def refund(self, number, amount, request_no=None, **more):
        biz = {"out_trade_no": number, "refund_amount": amount} | more
        if request_no is not None:
            biz["out_request_no"] = request_no
        return await self.call("alipay.trade.refund", biz)

    def advance(self, seconds):
        clock = self.sandbox.clock
        self.sandbox.engine.move_clock(clock.offset_ms + round(seconds * 1000))

    def book(self, number):
        books = {book.out_trade_no: book for book in self.sandbox.engine.books()}
        return books.get(number)

    async def helper(self, name, **body):
        """`POST /_sandbox/name`: status and what it says."""
        async with self.session.post(f"{self.url}/_sandbox/{name}", json=body) as answer:
            return answer.status, await answer.json()


def _codec(params):
    return wire.CHARSETS.get(params.get("charset", "utf-8").lower(), "utf-8")


@asynccontextmanager
async def running(settings, identity=None, aes_key=AES_KEY):
    """A sandbox that is served, and its client."""
    clock = SystemClock()
    sandbox = AlipaySandbox(settings, clock, Random(1), identity=identity, aes_key=aes_key)
    served = await serve(sandbox)
    async with aiohttp.ClientSession() as session:
        yield Client(sandbox, served.url, session)
    await served.stop()


@pytest.fixture
async def alipay():
    identity = Identity(rsa_key("shop"), rsa_key("channel"))
    async with running(SandboxSettings(), identity) as client:
        yield client


@pytest.fixture
def restarted(tmp_path):
    """Starts a sandbox over the same folder each time it is called."""
    return lambda **more: running(SandboxSettings(folder=tmp_path), **more)


@pytest.fixture
def make():
    worlds = []

    def make(*args, **kwargs):
        worlds.append(World(*args, **kwargs))
        return worlds[-1]

    yield make
    for world in worlds:
        world.pool.close()


@pytest.fixture
def world(make):
    return make()
