"""Every point at which a box may be ended, read out of the code; and those that tests name.

A point comes about where something tells a `reach` hook: with a constant's value, or with a name
made of a question's or message's. What a lane can be asked is what it tells apart by `.op`, what
custody can be told is what is given to `tell_custody`: so a new one is here before its test is.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from actors import crash
from payments.storage.base import Batch

ROOT = Path(__file__).parents[2]
ACTORS = ROOT / "actors"
DISPATCHERS = ("channel.py", "lane_sharing.py")
"""Who tells questions apart by their `op`."""

HOOKS = {"reach", "_reach", "reached", "_unheard"}
SIDE_COMMITS = ("BEFORE_COMMIT", "AFTER_COMMIT")
"""How the boxes beside the shards call the points around their own commits."""

IMPORT = re.compile(r"^from actors\.(\w+) import ([A-Z_, ]+)$", re.MULTILINE)

COMPARES = "test_all_points.py"
PASSED_ON = {"point", "_before", "_after_name", "op"}
"""Variables through which a hook is told what another place has named."""


@cache
def _trees() -> dict[str, ast.Module]:
    return {path.name: ast.parse(path.read_text()) for path in sorted(ACTORS.glob("*.py"))}


def _name(node: ast.AST) -> str:
    """The last part of a name: `reach` of `self.core.reach`."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _texts(nodes: Iterator[ast.AST] | list[ast.expr]) -> set[str]:
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _constants(tree: ast.Module) -> dict[str, str]:
    """A module's constants, by name."""
    return {
        _name(node.target): node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Constant)
    }


@cache
def questions() -> set[str]:
    """What a shard can ask a lane about a payment, refund or division, but for paying itself."""
    found: set[str] = set()
    trees = _trees()
    for tree in (trees[name] for name in DISPATCHERS):
        for node in ast.walk(tree):
            chosen = isinstance(node, ast.Subscript) and _name(node.slice) == "op" and node.value
            if isinstance(chosen, ast.Dict):
                found |= _texts([key for key in chosen.keys if key is not None])
    for node in ast.walk(trees["lane_sharing.py"]):
        if isinstance(node, ast.Compare) and _name(node.left) == "op":
            found |= _texts(ast.walk(node))
    return found


@cache
def calls() -> set[str]:
    """What a lane does at its channel, after which the answer may get lost."""
    found = set(questions())
    for node in ast.walk(_trees()["channel.py"]):
        if isinstance(node, ast.Call) and _name(node.func) in ("Call", "unheard"):
            at = 3 if _name(node.func) == "Call" else 0
            found |= _texts(node.args[at : at + 1])
    return found


@cache
def told() -> set[str]:
    """The messages that a shard says to the custody box once they are durable."""
    found = set()
    for tree in _trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) == "tell_custody":
                (message,) = node.args
                assert isinstance(message, ast.Call), "name the message where it is told"
                found.add(_name(message.func))
    return found


def commits() -> set[str]:
    """Before and after each kind of commit of a shard."""
    whole = Batch(*([[0]] * len(Batch.__struct_fields__)))
    return {*crash.before(whole), *crash.after(whole)}


@cache
def points() -> set[str]:
    """All of them. AssertionError for a hook that is told something this page cannot read."""
    found, names = set[str](), _constants(_trees()["crash.py"])
    for module, tree in _trees().items():
        values = names | _constants(tree)
        found |= {values[name] for name in SIDE_COMMITS if name in values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in HOOKS:
                found |= _said(node.args[0], values, f"{module}:{node.lineno}")
    return found


def _said(said: ast.expr, values: dict[str, str], where: str) -> set[str]:
    name = _name(said.func) if isinstance(said, ast.Call) else _name(said)
    if isinstance(said, ast.Call):
        made = {"sent": (crash.sent, questions()), "unheard": (crash.unheard, calls())}
        if name == "told":
            return {f"after_{kind}_sent" for kind in told()}
        assert name in made, f"{where}: this hook is told what no page of tests can list"
        return {made[name][0](op) for op in made[name][1]}
    if name in ("before", "after"):
        return commits()
    if name in PASSED_ON:
        return set()
    assert name in values, f"{where}: {ast.unparse(said)} is no constant and no name of crash.py"
    return {values[name]}


def named_by_tests() -> set[str]:
    """Points that some test of crashes names, in its own text or by a constant of the actors.

    The test that compares this list names some, too, and ends nothing.
    """
    found = set[str]()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        if path.name != COMPARES and ("reach" in text or "crash" in text):
            found |= {point for point in points() if f'"{point}"' in text}
            for module, names in IMPORT.findall(text):
                tree = _trees().get(f"{module}.py")
                values = {} if tree is None else _constants(tree)
                found |= {values[name] for name in names.split(", ") if name in values}
    return found
