"""The admin port: liveness, readiness, metrics. Served by the supervisor's process.

It opens before anything else is up, so that whoever starts us can watch. `/livez` looks at nothing
but this process: a restart would not help anybody whose dependency is away, nor one that drains.
"""

import asyncio
from typing import Final, Protocol

from aiohttp import web

from gateway.edge import EdgeServer
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.settings_shape import Http

RECEIVE_DEADLINE_S: Final = 5.0
BODY_BYTES_MAX: Final = 1_024
"""Nobody has to send one; what comes is refused beyond this."""

AT_ONCE_MAX: Final = 32
"""Requests being answered; more get 503."""

BACKLOG: Final = 64
CLOSE_S: Final = 0.2
"""How long a connection that is being answered may hold up the end."""

TEXT: Final = "text/plain; charset=utf-8"

log = get_logger(__name__)


class Supervised(Protocol):
    """The supervisor, as far as readiness is concerned."""

    def checks(self) -> dict[str, bool]:
        """Each part by name, and whether it is ready; empty before the start."""
        ...


class AdminServer:
    """`/livez`, `/healthz`, `/readyz` (`?verbose` lists the parts) and `/metrics`, GET or HEAD.

    `draining`: set when the end begins; readiness fails from then on, liveness never.
    """

    def __init__(self, http: Http, metrics: Metrics, supervised: Supervised | None = None) -> None:
        self._http = http
        self._metrics = metrics
        self.supervised = supervised
        self.draining = False
        self.port = 0
        self._at_once = 0
        self._runner: web.ServerRunner | None = None
        self._sweep: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; `port` is the real one then. Raise OSError when somebody has it."""
        server = EdgeServer(
            self._handle, body_max=BODY_BYTES_MAX, receive_deadline_s=RECEIVE_DEADLINE_S
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=CLOSE_S)
        await self._runner.setup()
        http = self._http
        host = http.admin_host or http.host
        await web.TCPSite(self._runner, host, http.admin_port, backlog=BACKLOG).start()
        self.port = self._runner.addresses[0][1]
        self._sweep = asyncio.create_task(server.sweep(), name="admin sweep")

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def checks(self) -> dict[str, bool]:
        """What readiness stands on, by name."""
        parts = self.supervised.checks() if self.supervised is not None else {}
        return {"started": bool(parts), **parts, "accepting": not self.draining}

    # --- requests ------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if self._at_once >= AT_ONCE_MAX:
            return web.Response(status=503, text="too many requests at once\n")
        self._at_once += 1
        try:
            return self._answer(request)
        except Exception as error:
            log.error("the admin port failed", path=request.path, exc_info=error)
            return web.Response(status=500, text="our bug; see the log\n")
        finally:
            self._at_once -= 1

    def _answer(self, request: web.BaseRequest) -> web.Response:
        answers = {
            "/livez": self._livez,
            "/healthz": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._expose,
        }
        answer = answers.get(request.path)
        if answer is None:
            known = ", ".join(answers)
            return web.Response(status=404, text=f"there is only {known}\n")
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"}, text="read only\n")
        return answer(request)

    def _livez(self, _: web.BaseRequest) -> web.Response:
        return web.Response(text="ok\n")

    def _readyz(self, request: web.BaseRequest) -> web.Response:
        checks = self.checks()
        ready = all(checks.values())
        lines = ["ok" if ready else "not ready"]
        if "verbose" in request.query:
            lines = [
                f"[+]{name} ok" if good else f"[-]{name} failed" for name, good in checks.items()
            ]
            lines.append("ok" if ready else "not ready")
        return web.Response(status=200 if ready else 503, text="\n".join([*lines, ""]))

    def _expose(self, request: web.BaseRequest) -> web.Response:
        body, content_type = self._metrics.expose(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})
