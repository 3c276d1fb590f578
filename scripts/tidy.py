"""The rules of docs/STYLE.md that a program can check, each with its replacement.

Import contracts that import-linter can express are in pyproject.toml; here is what needs a look
into the code, the text or the folder. Each rule is a function from one source file to the
complaints about it. tests/test_tidy.py proves each rule on planted snippets and then judges the
real files with it.
"""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ("gateway/", "actors/", "payments/")
PYTHON = (*OURS, "load_tests/", "tests/", "scripts/")

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500

THIRD_PARTY_IN_PAYMENTS = {"msgspec"}
# payments/<file>.py decides; whoever needs the world sits in a folder of payments/ or in actors/.
WORLDLY = {"asyncio", "http", "io", "logging", "os", "pathlib", "shutil", "sqlite3", "subprocess"}
# The public test kit scripts a channel, ids.py takes randomness from the system.
MAY_BE_WORLDLY = {"payments/testing.py", "payments/ids.py", "payments/clock.py"}

# Pieces, so that this file does not contain what it bans.
UNFINISHED = (
    "FIX" + "ME",
    "TO" + "DO",
    "XX" + "X",
    "not " + "implemented",
    "NotImpl" + "ementedError",
)
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "proxy.golang" + ".org",
    "--find" + "-links",
    "--index" + "-url",
    "--extra-index" + "-url",
)
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:work|root|tmp)/[\w.$*{]|\.\./shared/")
SKIPS = re.compile(r"\b(?:skip|skipif|skipIf|xfail|importorskip|skipTest|SkipTest)\b")
PROOF = re.compile(r"assert|raises|check|verify|expect|prove|audit|must|warns", re.IGNORECASE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FRAGMENT = re.compile(r"[\w-]+\.(?:feature|fix|safety|performance)\.md|README\.md")


@dataclass(frozen=True)
class Source:
    """One text file: its path below the root, and what is in it."""

    path: str
    text: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @functools.cached_property
    def aliases(self) -> dict[str, str]:
        """Local name -> the dotted name that it was imported from."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    names[bound] = alias.name if alias.asname else bound
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    def dotted(self, node: ast.AST) -> str | None:
        """The full name that an expression refers to; None when it is not an imported one."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.dotted(node.value)
            return f"{base}.{node.attr}" if base else None
        return None

    @functools.cached_property
    def uses(self) -> list[tuple[int, str]]:
        """Each import and each use of an imported name, as (line, dotted name)."""
        found: list[tuple[int, str]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [(node.lineno, alias.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
            elif isinstance(node, ast.Attribute) and (name := self.dotted(node)):
                found.append((node.lineno, name))
        return found

    def at(self, line: int, complaint: str) -> str:
        return f"{self.path}:{line}: {complaint}"


Rule = Callable[[Source], Iterator[str]]


# --- Who may use what ------------------------------------------------------------------------


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
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
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
        homes=("actors/net.py",),
        instead="the dialer and listener of actors.net",
    ),
    Reserved(
        name="environment",
        uses=("os.environ", "os.getenv", "os.putenv"),
        # Ray has switches that exist only as environment variables.
        homes=("gateway/settings.py", "actors/system.py"),
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


def unseeded(source: Source) -> Iterator[str]:
    """`Random()` without a seed is the system's randomness under another name."""
    if not source.path.startswith(OURS):
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or node.args or node.keywords:
            continue
        if source.dotted(node.func) == "random.Random":
            yield source.at(node.lineno, "Random() has no seed; pass one in")


def impure(source: Source) -> Iterator[str]:
    """A file of payments/ is pure, a folder may touch the world."""
    if source.path.count("/") != 1 or not source.path.startswith("payments/"):
        return
    for line, used in source.uses:
        top = used.partition(".")[0]
        if top not in sys.stdlib_module_names | THIRD_PARTY_IN_PAYMENTS | {"payments"}:
            yield source.at(line, f"{top} is third-party; keep it in a folder of payments/")
        if source.path in MAY_BE_WORLDLY:
            continue
        if top in WORLDLY:
            yield source.at(line, f"{top} touches the world; keep it in a folder of payments/")
        base = ("payments.channels.base", "payments.storage.base")  # Words and promises only.
        if within(used, ("payments.storage", "payments.channels")) and not within(used, base):
            yield source.at(line, f"{used} touches the world; let an actor bring the two together")


# --- Shape of the code -----------------------------------------------------------------------


def long_functions(source: Source) -> Iterator[str]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield source.at(
                    node.lineno, f"{node.name} has {lines} lines; split what it decides"
                )


def long_files(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield source.at(lines, f"{lines} lines; move one noun into a file of its own")


def swallowed(source: Source) -> Iterator[str]:
    """Nothing is caught and dropped. A loop may go on after an error that it names."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield source.at(node.lineno, "bare except; name what may happen")
            dropped = (ast.Pass, ast.Continue) if is_broad(node.type) else (ast.Pass,)
            if all(isinstance(s, dropped) or is_ellipsis(s) for s in node.body):
                yield source.at(node.lineno, "caught and dropped; count it, log it or let it out")
        if not isinstance(node, ast.Call) or source.dotted(node.func) != "contextlib.suppress":
            continue
        if any(map(is_broad, node.args)):
            yield source.at(node.lineno, "suppresses everything; name what may happen")


def is_broad(caught: ast.expr | None) -> bool:
    """Whether a handler for this catches what nobody thought of."""
    if isinstance(caught, ast.Tuple):
        return any(map(is_broad, caught.elts))
    named = isinstance(caught, ast.Name) and caught.id in {"Exception", "BaseException"}
    return caught is None or named


def is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def no_docstring(source: Source) -> Iterator[str]:
    ours = source.path.startswith((*OURS, "load_tests/", "scripts/"))
    if ours and source.tree.body and not ast.get_docstring(source.tree):
        yield source.at(1, "no docstring; say in a sentence what this file is for")


def transactions(source: Source) -> Iterator[str]:
    """Only the database has transactions. We have payments, entries and attempts."""
    databases_and_wires = ("payments/storage/", "payments/channels/")
    if not source.path.startswith(OURS) or source.path.startswith(databases_and_wires):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        else:
            continue
        if "transaction" in name.lower().replace("balance_transaction", ""):
            yield source.at(node.lineno, f"{name}: say payment, entry or attempt")


# --- Tests -----------------------------------------------------------------------------------


def skipped_tests(source: Source) -> Iterator[str]:
    if not source.path.startswith("tests/"):
        return
    for node in ast.walk(source.tree):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
        if isinstance(name, str) and SKIPS.fullmatch(name):
            yield source.at(node.lineno, f"{name}: a test runs or is removed")  # type: ignore[attr-defined]


def empty_tests(source: Source) -> Iterator[str]:
    """A test that asserts nothing proves nothing."""
    if not source.path.startswith("tests/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
            node.name.startswith("test_") and not any(map(is_proof, ast.walk(node)))
        ):
            yield source.at(node.lineno, f"{node.name} asserts nothing; say what must hold")


def is_proof(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return bool(PROOF.search(name))


def packages_in_tests(source: Source) -> Iterator[str]:
    if source.path.startswith("tests/") and source.path.endswith("/__init__.py"):
        yield source.at(1, "tests are not a package; share through conftest.py or payments.testing")


# --- Text ------------------------------------------------------------------------------------


def unfinished(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        for word in UNFINISHED:
            if re.search(rf"\b{word}\b", line):
                yield source.at(number, f"{word}: finish it before merging")


def hosts_and_machines(source: Source) -> Iterator[str]:
    for number, line in enumerate(source.text.splitlines(), 1):
        for registry in REGISTRIES:
            if registry in line:
                yield source.at(number, f"{registry}: packages come from where the machine says")
        if MACHINE_PATH.search(line):
            yield source.at(number, "a path of one machine; use tmp_path, or a path below the root")


def dead_links(source: Source) -> Iterator[str]:
    if not source.path.endswith(".md"):
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        for target in LINK.findall(line):
            path = target.partition("#")[0]
            if not path or "://" in path or path.startswith("mailto:"):
                continue
            if not (ROOT / source.path).parent.joinpath(path).exists():
                yield source.at(number, f"{target} does not exist; mend the link")


def misnamed_fragments(source: Source) -> Iterator[str]:
    folder, _, name = source.path.rpartition("/")
    if folder == "changelog.d" and not FRAGMENT.fullmatch(name):
        yield source.at(1, "name it <n>.feature.md, .fix.md, .safety.md or .performance.md")


CODE_RULES: tuple[Rule, ...] = (
    *RESERVED,
    unseeded,
    impure,
    long_functions,
    long_files,
    swallowed,
    no_docstring,
    transactions,
    skipped_tests,
    empty_tests,
    packages_in_tests,
)
TEXT_RULES: tuple[Rule, ...] = (unfinished, hosts_and_machines, dead_links, misnamed_fragments)


def name_of(rule: Rule) -> str:
    return rule.name if isinstance(rule, Reserved) else rule.__name__


RULES = {name_of(rule): rule for rule in CODE_RULES + TEXT_RULES}


# --- The real files --------------------------------------------------------------------------


@functools.cache
def tracked() -> tuple[Source, ...]:
    """Every text file that is, or is about to be, in the repository."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    sources = []
    for path in sorted(filter(None, listing.stdout.decode().split("\0"))):
        file = ROOT / path
        if file.is_file() and b"\0" not in (content := file.read_bytes()):
            sources.append(Source(path, content.decode()))
    return tuple(sources)


def judged_by(rule: Rule) -> list[Source]:
    """The files that a rule has an opinion about."""
    if rule in TEXT_RULES:
        return list(tracked())
    return [s for s in tracked() if s.path.endswith(".py") and s.path.startswith(PYTHON)]
