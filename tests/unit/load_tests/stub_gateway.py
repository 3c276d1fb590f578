"""A gateway that is only as good as the load tests need it: in memory, one process.

It takes the gateway's command line (`serve`, `ledger verify`, `migrate seed-bulk`), verifies
every signature with an independent implementation, and can be told to cheat by its runtime:
`--runtime loses` forgets one payment, `--runtime doubles` keeps one twice.
"""

import argparse
import asyncio
import base64
import collections
import json
import re
import signal
import sys
from pathlib import Path

from aiohttp import web
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)
from requests import Request

BOOKS = "books.json"
VERIFIED_MAX = 50
"""Verifying takes long in plain Python: the first requests stand for all."""


class Keys(HTTPSignatureKeyResolver):
    """The keys of the seed file."""

    def __init__(self, seed_file):
        rows = json.loads(Path(seed_file).read_text())["merchants"]
        self.secrets = {
            key["id"]: base64.b64decode(key["secret"].removeprefix("hs_test_"))
            for row in rows
            for key in row.get("keys", ())
        }

    def resolve_public_key(self, key_id):
        return self.secrets[key_id]


class Stub:
    """Payments by order number."""

    def __init__(self, options):
        self.verifier = HTTPMessageVerifier(
            signature_algorithm=algorithms.HMAC_SHA256, key_resolver=Keys(options.seed_file)
        )
        self.stored = collections.defaultdict(list)
        self.verified = 0
        self.cheat = options.runtime
        self.latency_s = options.channel_latency_ms / 1e3

    def verify(self, request, body):
        if self.verified < VERIFIED_MAX:
            self.verified += 1
            message = Request(
                request.method, str(request.url), headers=dict(request.headers), data=body
            ).prepare()
            self.verifier.verify(message)

    async def pay(self, request):
        body = await request.read()
        self.verify(request, body)
        order_no = json.loads(body)["order_no"]
        await asyncio.sleep(self.latency_s)
        payment = f"pay_{len(self.stored):024d}"
        self.stored[order_no].append(payment)
        if self.cheat == "doubles" and len(self.stored) == 1:
            self.stored[order_no].append("pay_again")
        if self.cheat == "loses" and len(self.stored) == 10:
            self.stored.clear()
        return web.json_response({"id": payment, "order_no": order_no}, status=201)

    async def list(self, request):
        self.verify(request, b"")
        found = self.stored.get(request.query["order_no"], ())
        return web.json_response({"object": "list", "data": [{"id": one} for one in found]})


async def serve(options):
    stub = Stub(options)
    app = web.Application()
    app.router.add_post("/v1/payments", stub.pay)
    app.router.add_get("/v1/payments", stub.list)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    ready = {"ready": True, "api": f"http://127.0.0.1:{port}", "api_key": "sk_test_stub"}
    print("starting", json.dumps(ready), sep="\n", flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()
    counts = {order_no: len(payments) for order_no, payments in stub.stored.items()}
    options.data.joinpath(BOOKS).write_text(json.dumps(counts))


def verify(data):
    counts = json.loads(data.joinpath(BOOKS).read_text()).values()
    return {
        "ok": True,
        "payments": {"succeeded": sum(counts)},
        "entries": sum(counts),
        "doubled": sum(count - 1 for count in counts),
        "trial_balance": 0,
        "chain_ok": True,
    }


def main():
    command = argparse.ArgumentParser()
    command.add_argument("words", nargs="+")
    command.add_argument("--data", type=Path)
    command.add_argument("--seed-file")
    command.add_argument("--runtime", default="honest")
    command.add_argument("--channel-latency-ms", type=int, default=0)
    options, _ = command.parse_known_args([a for a in sys.argv[1:] if not re.match("--json$", a)])
    if options.words[0] == "serve":
        asyncio.run(serve(options))
    else:
        print(json.dumps(verify(options.data)))


if __name__ == "__main__":
    main()
