"""Who may use what: things that belong to few files, and what everybody else uses instead."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidy_source import OURS, Source


@dataclass(frozen=True)
class Reserved:
    """Something that belongs to few files; everybody else in `scope` uses `instead`."""

    name: str
    homes: tuple[str, ...]
    instead: str
    uses: tuple[str, ...] = ()  # modules and names, dotted
    methods: tuple[str, ...] = ()  # attributes called on anything
    builtins: tuple[str, ...] = ()
    fine: tuple[str, ...] = ()  # what is allowed inside `uses`
    scope: tuple[str, ...] = field(default=OURS)

    def __call__(self, source: Source) -> Iterator[str]:
        if source.path.startswith(self.scope) and not source.path.startswith(self.homes):
            for line, used in sorted(set(self.offences(source))):
                yield source.at(line, f"{used} belongs to {self.owners}; use {self.instead}")

    @property
    def owners(self) -> str:
        return " and ".join(self.homes) or "nobody"

    def offences(self, source: Source) -> Iterator[tuple[int, str]]:
        for line, used in source.uses:
            if within(used, self.uses) and not within(used, self.fine) and used not in self.hosts:
                yield line, used
        for node in source.nodes(ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in self.methods:
                yield node.lineno, f".{node.func.attr}()"
            if isinstance(node.func, ast.Name) and node.func.id in self.builtins:
                yield node.lineno, f"{node.func.id}()"

    @property
    def hosts(self) -> set[str]:
        """Modules that may be imported for the sake of what is fine in them."""
        return {name.rpartition(".")[0] for name in self.fine}


def within(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


RESERVED = (
    Reserved(
        name="ray",
        uses=("ray",),
        homes=("actors/system.py", "load_tests/baselines/"),
        instead="the references of actors.refs",
        scope=(*OURS, "load_tests/"),
    ),
    Reserved(
        name="http",
        uses=("aiohttp",),
        homes=("gateway/", "payments/channels/", "actors/channel.py", "actors/courier.py"),
        instead="a link, or ask the gateway",
    ),
    Reserved(
        name="prometheus",
        uses=("prometheus_client",),
        homes=("gateway/metrics.py",),
        instead="plain numbers in actors.stats",
    ),
    Reserved(
        name="sockets",
        uses=(
            "socket",
            "socketserver",
            "http.client",
            "http.server",
            "urllib.request",
            "asyncio.open_connection",
            "asyncio.open_unix_connection",
            "asyncio.start_server",
            "asyncio.start_unix_server",
        ),
        methods=(
            "create_server",
            "create_unix_server",
            "create_connection",
            "create_unix_connection",
            "create_datagram_endpoint",
        ),
        # A channel's way is dialed with its own TLS and its own word for "not sent"; programs that
        # stand for Ray's are none of a box's, and import nothing of ours.
        homes=(
            "actors/net.py",
            "payments/channels/http.py",
            "actors/agent_stand_in.py",
            "actors/nursery.py",
            "actors/worker_start.py",
        ),
        instead="the dialer and listener of actors.net",
    ),
    Reserved(
        name="environment",
        uses=("os.environ", "os.getenv", "os.putenv"),
        # Ray has switches that exist only as environment variables, for its workers, too.
        homes=(
            "gateway/settings.py",
            "actors/system.py",
            "actors/agent_stand_in.py",
            "actors/nursery.py",
            "actors/worker_start.py",
        ),
        instead="the settings passed in",
    ),
    Reserved(
        name="configuration",
        uses=("tomllib", "configparser", "yaml"),
        homes=("gateway/settings.py",),
        instead="the settings passed in",
    ),
    Reserved(
        name="time",
        uses=(
            "time",
            "datetime.datetime.now",
            "datetime.datetime.utcnow",
            "datetime.datetime.today",
            "datetime.date.today",
        ),
        homes=("payments/clock.py",),
        instead="the clock passed in",
    ),
    Reserved(
        name="randomness",
        uses=("random", "secrets", "uuid", "os.urandom"),
        fine=("random.Random",),  # Seeded, and passed in.
        homes=("payments/ids.py",),
        instead="payments.ids, or the Random passed in",
    ),
    Reserved(
        name="threads",
        uses=("threading", "concurrent.futures", "asyncio.to_thread"),
        methods=("run_in_executor",),
        homes=("payments/storage/", "payments/channels/", "actors/system.py"),
        instead="await, or the store's writer thread",
    ),
    Reserved(
        name="hash",
        builtins=("hash",),  # It is salted: another process gets another number.
        homes=(),
        instead="hashlib",
        scope=(*OURS, "load_tests/"),
    ),
    Reserved(
        name="floats",
        builtins=("float",),
        homes=("payments/channels/",),
        instead="whole numbers in the smallest unit",
        scope=("payments/",),
    ),
    Reserved(
        name="print",
        builtins=("print",),
        homes=("gateway/cli/",),
        instead="the log, or answer to the caller",
    ),
)
