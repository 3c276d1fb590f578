"""What a figure depends on besides the code: the machine and the commit."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("aiohttp", "apsw", "msgspec", "ray", "uvloop")


def _first_line(path: Path, mark: str) -> str:
    """What stands behind the colon of the first line that begins with `mark`."""
    for line in path.read_text().splitlines():
        if line.startswith(mark):
            return line.partition(":")[2].strip()
    return "unknown"


def commit() -> str:
    """The commit that is measured, with `+` if files differ from it; `unknown` outside git."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def facts() -> dict[str, object]:
    """Processor, cores, memory in MiB, kernel, Python and the packages that matter."""
    memory_kib = int(_first_line(Path("/proc/meminfo"), "MemTotal").split()[0])
    return {
        "processor": _first_line(Path("/proc/cpuinfo"), "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mib": memory_kib // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }
