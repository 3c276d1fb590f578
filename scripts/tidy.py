"""The rules of docs/STYLE.md that a program can check, each with its replacement.

Import contracts that import-linter can express are in pyproject.toml; here is what needs a look
into the code, the text or the folder. Each rule is a function from one source file to the
complaints about it. tests/test_tidy.py proves each rule on planted snippets and then judges the
real files with it.
"""

import ast
import functools
import re
import sys
from collections.abc import Callable, Iterator

from tidy_reserved import RESERVED, Reserved, within
from tidy_source import OURS, ROOT, Source, tracked, walk

PYTHON = (*OURS, "load_tests/", "tests/", "scripts/")

FUNCTIONS: tuple[type[ast.FunctionDef], type[ast.AsyncFunctionDef]] = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)
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
PAGE = re.compile(r"(?<![\w./>}-])([\w-]+\.md)\b")
FRAGMENT = re.compile(r"[\w-]+\.(?:feature|fix|safety|performance)\.md|README\.md")


Rule = Callable[[Source], Iterator[str]]


# --- Purity ----------------------------------------------------------------------------------


def unseeded(source: Source) -> Iterator[str]:
    """`Random()` without a seed is the system's randomness under another name."""
    if not source.path.startswith(OURS):
        return
    for node in source.nodes(ast.Call):
        if node.args or node.keywords:
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
    for node in source.nodes(*FUNCTIONS):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            yield source.at(node.lineno, f"{node.name} has {lines} lines; split what it decides")


def long_files(source: Source) -> Iterator[str]:
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield source.at(lines, f"{lines} lines; move one noun into a file of its own")


def swallowed(source: Source) -> Iterator[str]:
    """Nothing is caught and dropped. A loop may go on after an error that it names."""
    for node in source.nodes(ast.ExceptHandler):
        if node.type is None:
            yield source.at(node.lineno, "bare except; name what may happen")
        dropped = (ast.Pass, ast.Continue) if is_broad(node.type) else (ast.Pass,)
        if all(isinstance(s, dropped) or is_ellipsis(s) for s in node.body):
            yield source.at(node.lineno, "caught and dropped; count it, log it or let it out")
    for call in source.nodes(ast.Call):
        if source.dotted(call.func) == "contextlib.suppress" and any(map(is_broad, call.args)):
            yield source.at(call.lineno, "suppresses everything; name what may happen")


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
    named = [(node.lineno, node.name) for node in source.nodes(*FUNCTIONS, ast.ClassDef)]
    named += [(node.lineno, node.arg) for node in source.nodes(ast.arg)]
    for line, name in named:
        if "transaction" in name.lower().replace("balance_transaction", ""):
            yield source.at(line, f"{name}: say payment, entry or attempt")


# --- Tests -----------------------------------------------------------------------------------


def skipped_tests(source: Source) -> Iterator[str]:
    if not source.path.startswith("tests/"):
        return
    named = [(node.lineno, node.attr) for node in source.nodes(ast.Attribute)]
    named += [(node.lineno, node.id) for node in source.nodes(ast.Name)]
    for line, name in named:
        if SKIPS.fullmatch(name):
            yield source.at(line, f"{name}: a test runs or is removed")


def empty_tests(source: Source) -> Iterator[str]:
    """A test that asserts nothing proves nothing."""
    if not source.path.startswith("tests/"):
        return
    for node in source.nodes(*FUNCTIONS):
        if node.name.startswith("test_") and not any(map(is_proof, walk(node))):
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
    # A search of the whole text first: hardly any file has one, and there are many lines.
    present = [word for word in UNFINISHED if word in source.text]
    for number, line in enumerate(source.text.splitlines() if present else (), 1):
        for word in present:
            if re.search(rf"\b{word}\b", line):
                yield source.at(number, f"{word}: finish it before merging")


def hosts_and_machines(source: Source) -> Iterator[str]:
    present = [registry for registry in REGISTRIES if registry in source.text]
    if not present and not MACHINE_PATH.search(source.text):
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        for registry in present:
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


def missing_pages(source: Source) -> Iterator[str]:
    """A page that the code sends its reader to can be opened."""
    if not source.path.startswith((*OURS, "load_tests/", "config/", "scripts/")):
        return
    if ".md" not in source.text:
        return
    pages = all_pages()
    for number, line in enumerate(source.text.splitlines(), 1):
        for page in set(PAGE.findall(line)) - pages:
            yield source.at(number, f"{page} is not in the repository; say it here, or in docs/")


@functools.cache
def all_pages() -> frozenset[str]:
    """The names of all pages of the repository."""
    return frozenset(
        each.path.rpartition("/")[2] for each in tracked() if each.path.endswith(".md")
    )


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
TEXT_RULES: tuple[Rule, ...] = (
    unfinished,
    hosts_and_machines,
    dead_links,
    missing_pages,
    misnamed_fragments,
)


def name_of(rule: Rule) -> str:
    return rule.name if isinstance(rule, Reserved) else rule.__name__


RULES = {name_of(rule): rule for rule in CODE_RULES + TEXT_RULES}


def rules_for(source: Source) -> tuple[Rule, ...]:
    """The rules that have an opinion about a file."""
    is_code = source.path.endswith(".py") and source.path.startswith(PYTHON)
    return CODE_RULES + TEXT_RULES if is_code else TEXT_RULES
