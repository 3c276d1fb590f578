"""Every route on one screen, and how a path finds its handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from gateway.auth import Caller
from gateway.errors import MethodNotAllowed, RouteNotFound

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from gateway.edge import Reply
    from gateway.front_door import FrontDoor


class Call:
    """One request on its way through: what handlers need, and nothing of aiohttp's."""

    __slots__ = (
        "body", "caller", "door", "headers", "keep_alive", "method", "params", "path", "peer",
        "query", "request_id", "version",
    )  # fmt: skip

    caller: Caller

    def __init__(
        self,
        door: FrontDoor,
        method: str,
        headers: CIMultiDictProxy[str],
        path: str,
        query: str,
        request_id: str,
        *,
        keep_alive: bool = True,
        version: tuple[int, int] = (1, 1),
        peer: str = "",
    ) -> None:
        """`peer`: the address of who is connected, which may be a proxy's."""
        self.door = door
        self.method = method
        self.headers = headers
        self.keep_alive = keep_alive
        self.version = version
        self.path = path
        self.peer = peer
        self.query = query
        self.body = b""
        self.params: tuple[str, ...] = ()
        self.request_id = request_id

    @property
    def target(self) -> str:
        """The full path with its query: what a fingerprint covers."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Route:
    """A method and a template; `{}` stands for one step of the path."""

    __slots__ = ("authenticated", "handler", "method", "template")

    def __init__(
        self,
        method: str,
        template: str,
        handler: Callable[[Call], Awaitable[Reply]],
        *,
        authenticated: bool = True,
    ) -> None:
        self.method = method
        self.template = template
        self.handler = handler
        self.authenticated = authenticated


class _Node:
    __slots__ = ("any", "routes", "steps")

    def __init__(self) -> None:
        self.steps: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.routes: dict[str, Route] = {}


NO_PARAMS: Final[tuple[str, ...]] = ()


class Router:
    """Finds routes: exact paths by one look-up, others step by step."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._exact: dict[tuple[str, str], Route] = {}
        self._root = _Node()
        for route in routes:
            node = self._root
            for step in route.template.split("/")[1:]:
                if step.startswith("{"):
                    node.any = node.any or _Node()
                    node = node.any
                else:
                    node = node.steps.setdefault(step, _Node())
            assert route.method not in node.routes, route.template
            node.routes[route.method] = route
            if "{" not in route.template:
                self._exact[route.method, route.template] = route

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route and the steps that its templates leave open. Raise an EdgeError for none."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, NO_PARAMS
        node: _Node | None = self._root
        params: list[str] = []
        for step in path.split("/")[1:]:
            assert node is not None
            following = node.steps.get(step)
            if following is None:
                following = node.any
                params.append(step)
            if following is None or not step:
                raise RouteNotFound(f"nothing is at {path[:100]}")
            node = following
        assert node is not None
        if not node.routes:
            raise RouteNotFound(f"nothing is at {path[:100]}")
        found = node.routes.get("GET" if method == "HEAD" else method)
        if found is None:
            raise MethodNotAllowed(tuple(sorted(node.routes)))
        return found, tuple(params)
