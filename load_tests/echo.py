"""The ceiling: the least that an aiohttp endpoint taking JSON can do.

Usage: python -m load_tests.echo PORT. Start it once per front door, on the same port: the
kernel spreads the connections over the processes (SO_REUSEPORT).
"""

import asyncio
import sys

import orjson
import uvloop
from aiohttp import web

BODY_BYTES_MAX = 65_536


async def pay(request: web.Request) -> web.Response:
    """Read the order number, say that it succeeded."""
    asked = orjson.loads(await request.read())
    told = {"order_no": asked["order_no"], "status": "succeeded"}
    return web.Response(body=orjson.dumps(told), content_type="application/json")


async def serve(port: int) -> None:
    """Serve on the loopback port until the process is ended."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.router.add_post("/v1/payments", pay)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_port=True).start()
    sys.stdout.write(f'{{"ready":true,"api":"http://127.0.0.1:{port}"}}\n')
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
