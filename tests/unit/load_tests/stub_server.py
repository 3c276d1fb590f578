"""The part of the stub that serves HTTP. It believes every signature."""

import asyncio
import collections
import json
import signal

from aiohttp import web


class Stub:
    """Payments by order number."""

    def __init__(self, options):
        self.asked_whether_ready = 0
        self.stored = collections.defaultdict(list)
        self.cheat = options.runtime
        self.latency_s = options.channel_latency_ms / 1e3

    async def ready(self, request):
        """Not at the first time of asking."""
        self.asked_whether_ready += 1
        return web.Response(status=503 if self.asked_whether_ready == 1 else 200)

    async def pay(self, request):
        body = await request.read()
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
        found = self.stored.get(request.query["order_no"], ())
        return web.json_response({"object": "list", "data": [{"id": one} for one in found]})


async def serve(options, books):
    stub = Stub(options)
    app = web.Application()
    app.router.add_post("/v1/payments", stub.pay)
    app.router.add_get("/v1/payments", stub.list)
    app.router.add_get("/readyz", stub.ready)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    if books.exists():
        for order_no, count in json.loads(books.read_text()).items():
            stub.stored[order_no] = [f"pay_{order_no}"] * count
    url = f"http://127.0.0.1:{port}"
    ready = {"ready": True, "api": url, "admin": url, "api_key": "sk_test_stub"}
    print("starting", json.dumps(ready), sep="\n", flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await runner.cleanup()
    counts = {order_no: len(payments) for order_no, payments in stub.stored.items()}
    books.write_text(json.dumps(counts))


def run(options, books):
    """Serve until told to end; keep in `books` how often each order was paid."""
    asyncio.run(serve(options, books))
