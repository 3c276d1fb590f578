"""A whole deployment as a stranger meets it: the command line, HTTP, and nothing of our code.

`gateway` is one deployment for a whole session, `shop` a fresh merchant in it for each test. A
module that says `ON_RAY_TOO = True` runs twice: on one event loop, and on Ray (marker `ray`).
"""

import asyncio
import base64
import hashlib
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from business_time import Clock
from judge import Judge

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background: our programs would not hear a Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

TILLWAY = Path(sys.executable).with_name("tillway")
END_S = 60
SECRET_HEAD = len("hs_test_")
COVERED = ("@method", "@authority", "@path", "@query", "content-digest")
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
JUDGE = Judge(json.loads(DOCUMENT.read_text()))
"""What the gateway answers, whatever a test asks it for, is what the document says."""

_numbers = itertools.count(1)


def parsed(body: bytes) -> Any:
    """What the bytes say, if they are JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


class Answer:
    """An HTTP answer. `[name]` looks into its JSON object, `headers` ignore case."""

    def __init__(self, status: int, headers: Any, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.body = parsed(content)

    def __getitem__(self, name: str) -> Any:
        return self.body[name]

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.content[:600]!r})"


class Client:
    """Speaks for one key. `headers`: sent with every request."""

    def __init__(self, api: str, secret: str | None = None, **headers: str) -> None:
        self.api = api
        self.address = urlsplit(api).netloc
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if secret is not None:
            self.headers["Authorization"] = f"Bearer {secret}"

    def dressed(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        """All headers of a request, as they will be sent."""
        return {**self.headers, **headers}

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        timeout_s: float = 40,
        **headers: str,
    ) -> Answer:
        """One request on a connection of its own. A body that is not bytes goes as JSON."""
        content, dressed = self.prepared(method, path, body, key, **headers)
        connection = http.client.HTTPConnection(self.address, timeout=timeout_s)
        try:
            connection.request(method, path, content, dressed)
            reply = connection.getresponse()
            answer = Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()
        JUDGE.glance(method, path, answer)
        return answer

    def prepared(
        self, method: str, path: str, body: Any, key: str | None, **headers: str
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a request."""
        content = b"" if body is None else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if content:
            named.setdefault("Content-Type", "application/json")
        if key is not None:
            named["Idempotency-Key"] = key
        return content, self.dressed(method, path, content, named)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **words: Any) -> Answer:
        return self.send("POST", path, body, **words)

    def storm(
        self, requests: list[tuple[str, str, Any, str | None]], connections: int = 64
    ) -> list[Answer]:
        """Many requests (method, path, body, key) at once; the answers in their order."""

        async def run() -> list[Answer]:
            limit = aiohttp.TCPConnector(limit=connections)
            async with aiohttp.ClientSession(connector=limit) as session:

                async def one(method: str, path: str, body: Any, key: str | None) -> Answer:
                    content, headers = self.prepared(method, path, body, key)
                    async with session.request(
                        method, self.api + path, data=content, headers=headers
                    ) as reply:
                        return Answer(reply.status, reply.headers, await reply.read())

                return await asyncio.gather(*(one(*request) for request in requests))

        return asyncio.run(run())


class _Resolver(HTTPSignatureKeyResolver):
    def __init__(self, key: Any) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Any:
        return self._key

    def resolve_public_key(self, key_id: str) -> Any:
        return self._key


class _Message:
    def __init__(self, method: str, url: str, headers: dict[str, str]) -> None:
        self.method, self.url, self.headers = method, url, headers


class SignedClient(Client):
    """Signs every request by an independent implementation of RFC 9421.

    `key`: the HMAC key's bytes, or an Ed25519 private key. `nonce` and `shift_s` of the next.
    """

    def __init__(self, api: str, key_id: str, key: Any, **headers: str) -> None:
        super().__init__(api, None, **headers)
        self.key_id, self.key = key_id, key
        self.nonce: str | None = None
        self.shift_s = 0
        self.nonce_on: tuple[str, ...] = ("POST",)

    def dressed(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> dict[str, str]:
        sent = {**super().dressed(method, path, body, headers), "Host": self.address}
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        sent["Content-Digest"] = f"sha-256=:{digest}:"
        is_hmac = isinstance(self.key, bytes)
        signer = HTTPMessageSigner(
            signature_algorithm=algorithms.HMAC_SHA256 if is_hmac else algorithms.ED25519,
            key_resolver=_Resolver(self.key),
        )
        covered = list(COVERED)
        lower = {name.lower() for name in sent}
        covered += [name for name in ("idempotency-key", "tillway-merchant") if name in lower]
        message = _Message(method, self.api + path, sent)
        signer.sign(
            message,
            key_id=self.key_id,
            created=datetime.now(UTC) + timedelta(seconds=self.shift_s),
            nonce=(self.nonce or uuid.uuid4().hex) if method in self.nonce_on else None,
            include_alg=False,
            covered_component_ids=covered,
            use_existing_digest=True,
        )
        return dict(message.headers)


class Deployment:
    """A running `tillway serve`, with its data directory. Ended by its process id only."""

    def __init__(self, data: Path, runtime: str, config: str = "", port: int = 0) -> None:
        self.data, self.runtime, self.config = data, runtime, config
        self.port = port
        self.command = ["serve", "--drain-grace", "0"]
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> "Deployment":
        self.process = self.launch(self.port)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.kill()
            self.reap()
            pytest.fail(f"it did not start: {self.errors()}")
        self.ready = json.loads(line)
        self.api, self.admin = self.ready["api"], self.ready["admin"]
        self.operator = Client(self.api, self.operator_secret())
        self._clock: Clock | None = None
        return self

    def launch(self, port: int = 0) -> "subprocess.Popen[str]":
        """Start the program on our data directory, and do not wait."""
        self.data.mkdir(parents=True, exist_ok=True)
        command = [str(TILLWAY), *self.command, "--json", "--data", str(self.data)]
        command += ["--port", str(port), "--admin-port", "0", "--runtime", self.runtime]
        if self.config:
            path = self.data.with_suffix(".toml")
            path.write_text(self.config)
            command += ["--config", str(path)]
        log = self.data.with_suffix(".log").open("a")
        with log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)

    def errors(self) -> str:
        return self.data.with_suffix(".log").read_text()[-3000:]

    def operator_secret(self) -> str:
        made = json.loads((self.data / "seed-keys.json").read_text())
        return next(key["secret"] for key in made if key["owner"] == "operator")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and wait. The exit code."""
        process = self.process
        assert process is not None
        os.kill(process.pid, number)
        return self.reap()

    def reap(self) -> int:
        """Wait for the end. The exit code."""
        process, self.process = self.process, None
        assert process is not None
        assert process.stdout is not None
        try:
            return process.wait(END_S)
        finally:
            process.stdout.close()

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()

    @property
    def clock(self) -> Clock:
        if self._clock is None:
            self._clock = Clock(self.operator)
        return self._clock

    def books(self, channel: str = "simulated") -> dict[str, Any]:
        """What the channel really took: order number -> its row."""
        answer = self.operator.get(f"/v1/test_helpers/channels/{channel}/books")
        return {row["out_trade_no"]: row for row in answer.body}

    def counts(self) -> dict[str, int]:
        """How much was ever written; residuals are asserted to be zero on the way."""
        answer = self.operator.get("/v1/ledger/trial_balance")
        assert answer.status == 200, answer
        for currency, sums in answer["currencies"].items():
            assert sums["debits"] == sums["credits"], (currency, sums)
            assert sums["residual"] == 0, (currency, sums)
        return {name: answer[name] for name in ("payments", "refunds", "entries", "events")}

    def new_shop(self, **fields: Any) -> "Shop":
        return Shop(self, **fields)


class Shop:
    """A fresh merchant with a store, a till and a key that may do everything."""

    def __init__(self, gateway: Deployment, **fields: Any) -> None:
        self.gateway = gateway
        operator = gateway.operator
        made = operator.post("/v1/merchants", {"name": f"Noodles {next(_numbers)}", **fields})
        assert made.status == 201, made
        self.id = made["id"]
        self._acting = Client(
            gateway.api, gateway.operator_secret(), **{"Tillway-Merchant": self.id}
        )
        self.key = self.new_key(type="bearer", scopes=["*"])
        self.client = Client(gateway.api, self.key["secret"])
        self._store: str | None = None
        self._terminal: str | None = None
        self._number = 0

    def new_key(self, **wish: Any) -> Answer:
        made = self._acting.post("/v1/keys", wish)
        assert made.status == 201, made
        return made

    def signed(self, **wish: Any) -> SignedClient:
        """A client that signs with a new HMAC key."""
        key = self.new_key(type="hmac-sha256", **{"scopes": ["*"], **wish})
        secret = base64.b64decode(key["secret"][SECRET_HEAD:])
        return SignedClient(self.gateway.api, key["id"], secret)

    @property
    def store(self) -> str:
        if self._store is None:
            self._store = self.client.post("/v1/stores", {"name": "Corner"})["id"]
        return self._store

    @property
    def terminal(self) -> str:
        if self._terminal is None:
            wish = {"name": "Till", "store": self.store}
            self._terminal = self.client.post("/v1/terminals", wish)["id"]
        return self._terminal

    def code(self, ending: str = "0001", wallet: str = "alipay") -> str:
        """A payer's code, another each time."""
        self._number += 1
        head = {"alipay": "28", "wechat": "13", "unionpay": "62", "ecny": "01"}[wallet]
        width = {"alipay": 12, "wechat": 12, "unionpay": 13, "ecny": 13}[wallet]
        return f"{head}{self._number:0{width}d}{ending}"

    def order(self, **fields: Any) -> dict[str, Any]:
        """The body of a barcode payment. `ending`: of its auth code."""
        ending = fields.pop("ending", "0001")
        body = {"order_no": uuid.uuid4().hex[:20], "amount": 3800, "currency": "cny"}
        body["way"] = fields.get("way", "barcode")
        if body["way"] == "barcode" and "auth_code" not in fields:
            body["auth_code"] = self.code(ending)
        return {**body, **fields}

    def pay(self, key: str | None = None, wait: int | None = None, **fields: Any) -> Answer:
        """POST a payment. `wait`: of the Prefer header."""
        headers = {} if wait is None else {"Prefer": f"wait={wait}"}
        key = key or uuid.uuid4().hex
        return self.client.post("/v1/payments", self.order(**fields), key=key, **headers)

    def paid(self, **fields: Any) -> Answer:
        """A payment that succeeded."""
        made = self.pay(**fields)
        assert (made.status, made["status"]) == (201, "succeeded"), made
        return made

    def read(self, identifier: str, wait: int = 0) -> Answer:
        kind = "refunds" if identifier.startswith("rfd_") else "payments"
        path = f"/v1/{kind}/{identifier}"
        return self.client.get(f"{path}?wait={wait}" if wait else path)

    def refund(self, payment: str, amount: int | None = None, **words: Any) -> Answer:
        body = {} if amount is None else {"amount": amount}
        body |= words.pop("body", {})
        key = words.pop("key", None) or uuid.uuid4().hex
        return self.client.post(f"/v1/payments/{payment}/refunds", body, key=key, **words)

    def cancel(self, payment: str, **words: Any) -> Answer:
        return self.client.post(f"/v1/payments/{payment}/cancel", {}, **words)

    def refunds_of(self, payment: str) -> list[Any]:
        page = self.client.get(f"/v1/refunds?payment={payment}")
        assert page.status == 200, page
        return list(page["data"])

    def charged(self, payment: str) -> dict[str, Any]:
        """What the channel's books say of a payment over all its attempts."""
        rows = [row for number, row in self.gateway.books().items() if is_of(number, payment)]
        return {
            "charges": sum(row["charges"] for row in rows),
            "kept": sum(
                row["amount_minor"] - row["refunded_minor"] for row in rows if row["charges"]
            ),
            "states": [row["state"] for row in rows],
        }


def is_of(out_trade_no: str, payment: str) -> bool:
    """Whether an order number of a channel belongs to a payment: it begins with the id's body."""
    return out_trade_no.startswith(payment.partition("_")[2])


def check_problem(answer: Answer, status: int, code: str, param: str | None = None) -> None:
    """An RFC 9457 problem with everything that api.md promises of it."""
    assert (answer.status, answer.body and answer["code"]) == (status, code), answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer["status"] == status
    assert answer["title"]
    assert answer["detail"]
    assert answer["type"]
    assert answer["instance"].startswith("/")
    assert answer["doc_url"]
    assert answer["request_id"] == answer.headers["Request-Id"]
    assert isinstance(answer["retryable"], bool)
    if param is not None:
        assert answer["param"] == param, answer
        if status == 422:
            pointers = [error["pointer"] for error in answer.body.get("errors", ())]
            assert pointers in ([], ["/" + param.replace(".", "/")]), answer
    if status in (429, 503, 504):
        assert int(answer.headers["Retry-After"]) >= 1


# --- fixtures -------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Modules with ON_RAY_TOO run on both systems, others on the local one."""
    if "runtime" not in metafunc.fixturenames:
        return
    on_ray = pytest.param("ray", marks=[pytest.mark.ray, pytest.mark.xdist_group("ray")])
    both = getattr(metafunc.module, "ON_RAY_TOO", False)
    runtimes = ["local", on_ray] if both else ["local"]
    metafunc.parametrize("runtime", runtimes, scope="session")


@pytest.fixture(scope="session")
def gateway(runtime, tmp_path_factory):
    """One deployment for all tests of a session on one runtime."""
    data = tmp_path_factory.mktemp(f"deployment-{runtime}") / "data"
    deployment = Deployment(data, runtime).start()
    yield deployment
    deployment.close()


@pytest.fixture
def shop(gateway):
    """A merchant that nobody else has."""
    return gateway.new_shop()


@pytest.fixture
def expect_problem():
    """The check of a problem."""
    return check_problem


@pytest.fixture
def deploy(tmp_path):
    """Start deployments of a test's own: deploy(name, config=…)."""
    started: list[Deployment] = []

    def start(name: str = "own", *, config: str = "", runtime: str = "local") -> Deployment:
        deployment = Deployment(tmp_path / name, runtime, config).start()
        started.append(deployment)
        return deployment

    yield start
    for deployment in started:
        deployment.close()


@pytest.fixture(scope="session")
def kit():
    """The classes of this file, for tests that build their own clients."""
    return sys.modules[__name__]


@pytest.fixture(scope="module")
def seller(gateway):
    """A merchant whom nobody else uses while this module runs."""
    return gateway.new_shop()


@pytest.fixture
def unchanged(gateway):
    """Nothing may be written by the test."""
    before = gateway.counts()
    yield
    assert before == gateway.counts()
