"""What the pages name exists: links, anchors, commands, flags, settings, metrics, exit codes."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from doc_pages import ROOT, pages, read_page
from gateway.cli.app import build
from gateway.settings import load

ALL = pages()
COMMAND = re.compile(r"(?<![\w/.'-])tillway((?: [a-z][a-z-]*)+)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
METRIC = re.compile(r"\btillway_[a-z_]+\b")
ENDPOINT = re.compile(r"/v1/[a-z_]+(?:/[a-z_]+\b(?!…))*")
INSTRUMENTS = ("_bucket", "_count", "_sum")
METRICS = {"tillway_build_info"} | set(
    METRIC.findall((ROOT / "gateway" / "metrics.py").read_text(encoding="utf-8"))
) - {"tillway_build"}
FILES = {"ray.token"}
"""What looks like a setting and is the name of a file."""


def by_name(page):
    return page.name


@cache
def commands():
    """Every command of the command line: its words -> its flags."""
    found = {}

    def walk(command, words):
        inner = getattr(command, "commands", None)
        if inner is None:
            found[words] = {flag for option in command.params for flag in option.opts}
        for name, each in (inner or {}).items():
            walk(each, (*words, name))

    walk(typer.main.get_command(build()), ())
    return found


def named_commands(text):
    """The words after each `tillway` in code, the longest that is a command; others as they are."""
    known = commands()
    groups = {words[:1] for words in known}
    for found in COMMAND.finditer(text):
        words = tuple(found.group(1).split())
        for size in (2, 1):
            if words[:size] in known:
                yield words[:size]
                break
        else:
            yield words[:1] if words[:1] in groups else words[:2]


def code_of(page):
    """Everything on a page that is set as code."""
    spans = re.findall(r"`([^`]+)`", page.prose)
    return "\n".join([*spans, *(block.text for block in page.blocks)])


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_links_lead_somewhere(page):
    """Files are there, and so are the headings that links point to."""
    wrong = []
    for link in page.links:
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists() or (anchor and anchor not in read_page(target).anchors):
            wrong.append(link)
    assert [] == wrong


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_commands_exist(page):
    """Each `tillway …` that is set as code is a command or a group of commands."""
    groups = {words[:1] for words in commands()}
    named = set(named_commands(code_of(page)))
    assert set() == {words for words in named if words not in commands() and words not in groups}


def test_every_command_is_on_its_page():
    """docs/CLI.md shows each command, and none that there is not."""
    shown = set(named_commands(code_of(read_page(ROOT / "docs" / "CLI.md"))))
    assert set(commands()) == {words for words in shown if words in commands()}


def test_flags_of_the_command_line_exist():
    """docs/CLI.md names no flag that no command has."""
    named = set(FLAG.findall(code_of(read_page(ROOT / "docs" / "CLI.md"))))
    known = set().union(*commands().values())
    known |= {"--help", "--install-completion", "--no-color", "--figure", "--url", "--api-key"}
    known |= {flag for option in typer.main.get_command(build()).params for flag in option.opts}
    assert set() == named - known - {"--merchant"}


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_metrics_exist(page):
    """A metric that a page names is one that the gateway has."""
    named = set(METRIC.findall(code_of(page)))
    for suffix in INSTRUMENTS:
        named = {name.removesuffix(suffix) for name in named}
    assert set() == named - METRICS


def test_every_metric_is_told():
    """docs/OPERATIONS.md has a line for each metric."""
    text = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    assert set() == METRICS - set(METRIC.findall(text))


def test_every_alert_is_told():
    """docs/OPERATIONS.md names the alerts that config/prometheus has, and no other."""
    rules = (ROOT / "config" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    there = set(re.findall(r"alert: (\w+)", rules))
    assert there == set(re.findall(r"`(Tillway[A-Z]\w+)`", text))


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_paths_of_the_api_exist(page):
    """`/v1/…` that a page names is the beginning of a path of the API's description."""
    from gateway.routing_table import ROUTES

    known = {"/".join(s for s in route.template.split("/") if "{" not in s) for route in ROUTES}
    prefixes = {path[: len(path) - cut] for path in known for cut in range(len(path))}
    named = {found.rstrip("/") for found in ENDPOINT.findall(code_of(page))}
    assert set() == {path for path in named if path not in prefixes}


SETTING = re.compile(r"`((?:http|shards|drain|ray|risk|webhooks|channels|fees)\.[a-z_.]+)`")


@pytest.mark.parametrize("page", ALL, ids=by_name)
def test_settings_exist(page):
    """A setting that a page names with its table is one."""
    import msgspec

    tree = msgspec.to_builtins(load(None, {}, {}))
    tree["channels"] = tree["channels"][0] | {"timeouts": dict.fromkeys(["pay_ms"])}
    wrong = []
    for name in set(SETTING.findall(page.prose)) - FILES:
        inner = tree
        for step in name.split("."):
            inner = inner.get(step) if isinstance(inner, dict) else None
        if inner is None and name.split(".")[-1] not in str(tree):
            wrong.append(name)
    assert [] == wrong


def test_exit_codes_are_those_of_the_program():
    """The table of docs/CLI.md says what the program's constants say."""
    from gateway.cli import output

    page = (ROOT / "docs" / "CLI.md").read_text(encoding="utf-8")
    told = {
        int(number): text for number, text in re.findall(r"^\| ([0-9]) \| (.+) \|$", page, re.M)
    }
    codes = {v for k, v in vars(output).items() if k.startswith("EXIT_")} | {0}
    assert codes == set(told)


def test_anchors_are_made_as_renderers_make_them():
    """Lower case, no punctuation, hyphens for blanks, a number for doubles."""
    page = read_page(ROOT / "README.md")
    page.headings = ["A `sandbox` of your own!", "Twice", "Twice"]
    assert {"a-sandbox-of-your-own", "twice", "twice-1"} == page.anchors


def test_every_page_is_in_the_index():
    """docs/README.md leads to each page but itself and the decisions, which have their folder."""
    index = ROOT / "docs" / "README.md"
    led_to = {(index.parent / link.partition("#")[0]).resolve() for link in read_page(index).links}
    missing = [
        path.name
        for path in sorted((ROOT / "docs").rglob("*.md"))
        if path not in led_to and path != index and path.parent.name != "adr"
    ]
    assert [] == missing
    assert Path(ROOT / "docs" / "adr").resolve() in led_to
