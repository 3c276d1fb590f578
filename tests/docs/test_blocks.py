"""What the pages tell a reader to type is typed, and what they show is what comes."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from doc_pages import RUN, Block, Shell, exchanges, is_as_shown, pages, read_page

SAID_MAX = 3_000
"""Of what the machine said, in a complaint."""

PAGES = [page for page in pages() if any(block.language in RUN for block in page.blocks)]


@pytest.fixture
def shell(demo, tmp_path):
    """A shell in a folder of the page's own."""
    opened = Shell(tmp_path, demo.environment())
    yield opened
    with suppress(ProcessLookupError):
        os.killpg(opened.group, signal.SIGKILL)
    opened.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_does_what_it_shows(page, demo, ports, shell, tmp_path):
    """Its blocks in order, in one shell, against one demo."""
    for block in page.blocks:
        if block.language not in RUN:
            continue
        local = Block(block.language, demo.localized(block.text, ports, tmp_path), block.line)
        where = f"{page.name}:{block.line}"
        if block.language in ("python", "toml"):
            write(local, where, shell, tmp_path)
            continue
        for each in exchanges(local):
            code, said = shell.run(each.command)
            where = f"{page.name}:{each.line}\n{each.command}"
            if block.language == "sh":
                assert 0 == code, f"{where}\n{said}"
            if not is_as_shown(each.shown, said):
                pytest.fail(f"{where}\n--- shown\n{each.shown}\n--- said\n{said[:SAID_MAX]}")


def write(block, where, shell, folder):
    """A file of the page, or a program or settings that need no file."""
    name = block.file_name or f"block-{block.line}.{'py' if block.language == 'python' else 'toml'}"
    (folder / name).write_text(block.text + "\n", encoding="utf-8")
    if block.language == "toml":
        code, said = shell.run(f"tillway config check --config {name}")
    elif block.file_name:
        code, said = shell.run(f"python -m py_compile {name}")
    else:
        code, said = shell.run(f"python {name}")
    assert 0 == code, f"{where}\n{said}"


def test_shown_output_is_compared():
    """The comparison would notice: other words, a missing line, another order."""
    assert is_as_shown('{"a":1,…}', '{"a":1,"b":2}\n')
    assert is_as_shown("…last", "first\nlast")
    assert not is_as_shown('{"a":1,…}', '{"a":2,"b":2}')
    assert not is_as_shown("one\ntwo", "two\none")
    assert not is_as_shown("", "something")


def test_commands_are_found():
    """A backslash goes on; what follows a command is its output."""
    block = Block("console", "$ one \\\n  more\nsaid\n$ two", 10)
    found = [(each.command, each.shown, each.line) for each in exchanges(block)]
    assert [("one \\\n  more", "said", 10), ("two", "", 13)] == found


def test_an_endless_block_is_refused(tmp_path):
    """A fence that is never closed would hide the rest of a page."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```sh\necho\n")
    with pytest.raises(ValueError, match="without an end"):
        read_page(page)


def test_the_bash_of_the_pages_is_there():
    """Pages are written for bash and curl."""
    for program in ("bash", "curl"):
        assert (
            0 == subprocess.run([program, "--version"], capture_output=True, check=True).returncode
        )
    assert sys.version_info >= (3, 11)
