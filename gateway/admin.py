"""The admin port: liveness, readiness, metrics. Served by the supervisor's process."""

from aiohttp import web

from actors.supervision import Supervisor
from gateway.settings_shape import Settings


class AdminServer:
    """`/livez`, `/readyz` (`?verbose`), `/metrics`."""

    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self.draining = False
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        http = self._settings.http
        site = web.TCPSite(self._runner, http.host, http.admin_port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        checks = {**self._supervisor.checks(), "accepting": not self.draining}
        ready = all(checks.values())
        lines = [
            f"[{'+' if good else '-'}]{name} {'ok' if good else 'failed'}"
            for name, good in checks.items()
        ]
        text = "\n".join([*lines, ""]) if "verbose" in request.query else ""
        return web.Response(
            text=text + ("ok\n" if ready else "not ready\n"), status=200 if ready else 503
        )
