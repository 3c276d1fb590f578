"""The documentation as data: pages, their headings, links and blocks; and a shell that runs blocks.

The convention, as docs/README.md tells it to readers:

    console   lines that begin with `$ ` are typed (a backslash at the end or an open quote goes on
              in the next line, as in a shell), the others are what the machine says; `…` stands
              for anything
    sh        typed in the same shell; it must succeed, what it says is not compared
    python    with `# name.py` as its first line: a file of that name in the page's folder;
              without: a program of its own, run at once
    toml      a settings file, complete or in part, which `tillway config check` must accept; with
              `# name` as its first line it is kept as a file
    others, and blocks without a word: shown only

The ports that pages name are those of the reader's machine; a test has its own in their place.
"""

import re
import select
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
RUN: Final = frozenset({"console", "sh", "python", "toml"})
COMMAND_S: Final = 30.0
SENTINEL: Final = "end-of-command-7f3a"

_FENCE = re.compile(r"^( *)```(.*)$")
_HEADING = re.compile(r"^(#{1,6}) (.+?)\s*$")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_FILE = re.compile(r"^# (\S+\.(?:py|toml))\b.*$")


@dataclass
class Block:
    """A fenced block. `line`: of its first line of text, from 1."""

    language: str
    text: str
    line: int

    @property
    def file_name(self) -> str | None:
        """The file that the first line names."""
        found = _FILE.match(self.text.partition("\n")[0])
        return found.group(1) if found else None


@dataclass
class Page:
    """A page. `prose`: its text without blocks."""

    path: Path
    blocks: list[Block] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    prose: str = ""

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def links(self) -> list[str]:
        return _LINK.findall(_CODE.sub("``", self.prose))

    @property
    def anchors(self) -> set[str]:
        """Where links may point to, as the usual renderers make them."""
        found: set[str] = set()
        for heading in self.headings:
            text = re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", ""))
            anchor = text.replace(" ", "-")
            number = 0
            while (name := anchor + (f"-{number}" if number else "")) in found:
                number += 1
            found.add(name)
        return found


def read_page(path: Path) -> Page:
    """A page of Markdown. ValueError for a block that never ends."""
    page = Page(path)
    prose: list[str] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    fence: re.Match[str] | None = None
    begin = 0
    for number, line in enumerate(lines):
        found = _FENCE.match(line)
        if fence is not None:
            if found and not found.group(2):
                indent = len(fence.group(1))
                text = "\n".join(each[indent:] for each in lines[begin:number])
                page.blocks.append(Block(fence.group(2).strip(), text, begin + 1))
                fence = None
        elif found:
            fence, begin = found, number + 1
        else:
            prose.append(line)
            if heading := _HEADING.match(line):
                page.headings.append(heading.group(2))
    if fence is not None:
        raise ValueError(f"{path}:{begin}: a block without an end")
    page.prose = "\n".join(prose)
    return page


def pages() -> list[Page]:
    """Every page that readers see."""
    paths = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
    return [read_page(path) for path in paths]


@dataclass
class Exchange:
    """One command of a `console` block, and what is shown after it. `line`: of the command."""

    command: str
    shown: str
    line: int


def exchanges(block: Block) -> Iterator[Exchange]:
    """The commands of a `console` or `sh` block, in order."""
    if block.language == "sh":
        yield Exchange(block.text, "…", block.line)
        return
    command: list[str] = []
    shown: list[str] = []
    begin = block.line
    lines = block.text.splitlines()
    for number, line in enumerate(lines):
        goes_on = bool(command) and not shown and is_open("\n".join(command))
        if line.startswith("$ "):
            if command:
                yield Exchange("\n".join(command), "\n".join(shown), begin)
            command, shown, begin = [line[2:]], [], block.line + number
        elif goes_on:
            command.append(line)
        elif not command:
            raise ValueError(f"line {block.line + number}: a console block begins with `$ `")
        else:
            shown.append(line)
    if command:
        yield Exchange("\n".join(command), "\n".join(shown), begin)


def is_open(command: str) -> bool:
    """Whether a shell would ask for another line: a backslash at the end, or an open quote."""
    try:
        shlex.split(command)
    except ValueError:
        return True
    return command.endswith("\\")


def is_as_shown(shown: str, said: str) -> bool:
    """Whether what the machine said is what the page shows; `…` stands for anything."""
    wanted = [line.rstrip() for line in shown.strip().splitlines()]
    heard = "\n".join(line.rstrip() for line in said.strip().splitlines())
    pattern = ".*".join(re.escape(part) for part in "\n".join(wanted).split("…"))
    return re.fullmatch(pattern, heard, re.DOTALL) is not None


class Shell:
    """One bash, in a folder of its own. Ended by its process group, with all that it started."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._said = folder / ".said"
        self._typed = folder / ".typed"
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    @property
    def group(self) -> int:
        """The process group of everything that was started here."""
        return self._process.pid

    def run(self, command: str) -> tuple[int, str]:
        """Type a command; its exit code and what it said. TimeoutError after COMMAND_S."""
        self._typed.write_text(f"{command}\n", encoding="utf-8")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f". {self._typed} > {self._said} 2>&1; echo {SENTINEL} $?\n")
        self._process.stdin.flush()
        is_over, _, _ = select.select([self._process.stdout], [], [], COMMAND_S)
        said = self._said.read_text(encoding="utf-8", errors="replace")
        if not is_over:
            raise TimeoutError(f"longer than {COMMAND_S} s: {command}\n{said}")
        line = self._process.stdout.readline()
        if not line.startswith(SENTINEL):
            raise AssertionError(f"the shell ended in the midst of: {command}\n{said}")
        return int(line.split()[1]), said

    def close(self) -> None:
        """Wait for the shell's end, after its group was ended."""
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
