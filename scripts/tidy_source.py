"""One file of the repository, as the rules of tidy.py look at it."""

import ast
import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OURS = ("gateway/", "actors/", "payments/")


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


@functools.cache
def tracked() -> tuple[Source, ...]:
    """Every text file that is, or is about to be, in the repository."""
    listing = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ],
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
