"""Processor time of a process and everything below it, by role, from /proc.

A role is what the process does for a payment: `front_door`, `shard`, `store` (the shard's
writer thread, if it names itself so), `channel`, `directory`, `supervisor` (the root), `ray`
(Ray's own processes), `actor` (one that does not say which), `sandbox` (a channel's side of the
wire, where it runs here). Anything else is `other`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICK_US: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")
STORE_THREAD: Final = "store"
"""Threads of a shard whose name begins so are counted as the store."""

BUDGET_US: Final = {"front_door": 85, "shard": 40, "store": 45, "channel": 20}
"""What a payment may cost, in CPU microseconds, by role."""

_NAMES: Final = (
    ("front-door", "front_door"),
    ("shard", "shard"),
    ("channel", "channel"),
    ("lane", "channel"),
    ("directory", "directory"),
)
"""How a process that names itself after its actor begins its name (at most 15 characters)."""

_COMMANDS: Final = (
    ("ray::front-door", "front_door"),
    ("ray::merchantshard", "shard"),
    ("ray::shard", "shard"),
    ("ray::lane", "channel"),
    ("ray::directory", "directory"),
    ("ray::idle", "ray"),
    ("ray::dashboardagent", "ray"),
    ("ray::runtimeenvagent", "ray"),
    ("ray::", "actor"),
    ("raylet", "ray"),
    ("gcs_server", "ray"),
    ("ray/autoscaler", "ray"),
    ("ray/dashboard", "ray"),
    ("ray/_private", "ray"),
    ("ray/core", "ray"),
    ("actors/nursery.py", "ray"),
    ("gateway.cli sandbox", "sandbox"),
    ("gateway.sandbox_process", "sandbox"),
    ("postgres", "postgres"),
)
"""What a command line or title shows; the first that fits. `actor`: some actor, no more known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment: CPU ticks so far, by thread name for a shard."""

    role: str
    started: int
    ticks: int
    store_ticks: int


Snapshot = Mapping[int, Sample]
"""Process id -> sample."""


def role_of(name: str, command: str) -> str | None:
    """The role that a process's own name or else its command line shows; None if neither does."""
    for mark, role in _NAMES:
        if name.startswith(mark):
            return role
    lowered = command.lower()
    return next((role for mark, role in _COMMANDS if mark in lowered), None)


def _stat(path: Path) -> tuple[str, list[str]]:
    """Name and the fields after it of a stat file; the name may hold spaces and brackets."""
    text = path.read_text()
    start, end = text.index("("), text.rindex(")")
    return text[start + 1 : end], text[end + 2 :].split()


def _parents() -> dict[int, int]:
    """Process id -> parent's id, of all processes that can be seen."""
    parents = {}
    for entry in os.listdir(PROC):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(_stat(PROC / entry / "stat")[1][1])
            except (FileNotFoundError, ProcessLookupError):
                continue  # It ended while we looked.
    return parents


def tree(root: int) -> list[int]:
    """Ids of the process and all its descendants, root first. Empty if it is gone."""
    parents = _parents()
    if root not in parents:
        return []
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _store_ticks(pid: int) -> int:
    """Ticks of the threads that call themselves a store."""
    ticks = 0
    for thread in (PROC / str(pid) / "task").iterdir():
        try:
            name, fields = _stat(thread / "stat")
        except (FileNotFoundError, ProcessLookupError):
            continue  # The thread ended while we looked.
        if name.startswith(STORE_THREAD):
            ticks += int(fields[11]) + int(fields[12])
    return ticks


def sample(pid: int, *, is_root: bool = False) -> Sample | None:
    """Look at one process. None if it is gone."""
    try:
        name, fields = _stat(PROC / str(pid) / "stat")
        command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        role = role_of(name, command) or ("supervisor" if is_root else "other")
        store_ticks = _store_ticks(pid) if role == "shard" else 0
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Sample(role, int(fields[19]), int(fields[11]) + int(fields[12]), store_ticks)


def snapshot(roots: Iterable[int]) -> Snapshot:
    """Look at whole trees of processes."""
    found: dict[int, Sample] = {}
    for root in roots:
        for pid in tree(root):
            seen = sample(pid, is_root=pid == root)
            if seen is not None:
                found[pid] = seen
    return found


def used_us(before: Snapshot, after: Snapshot) -> dict[str, int]:
    """CPU microseconds by role between two snapshots of the same trees.

    A process that began in between counts in full, one that ended in between not at all.
    """
    used: dict[str, int] = {}
    for pid, late in after.items():
        early = before.get(pid)
        if early is None or early.started != late.started:
            early = Sample(late.role, late.started, 0, 0)
        store = (late.store_ticks - early.store_ticks) * TICK_US
        whole = (late.ticks - early.ticks) * TICK_US
        used[late.role] = used.get(late.role, 0) + whole - store
        if store:
            used["store"] = used.get("store", 0) + store
    return used


def memory_bytes(roots: Iterable[int]) -> dict[str, int]:
    """Proportional memory (PSS) of whole trees by role: pages that processes share count once."""
    used: dict[str, int] = {}
    for pid, seen in snapshot(roots).items():
        try:
            rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended while we looked.
        lines = (line for line in rollup.splitlines() if line.startswith("Pss:"))
        kib = sum(int(line.split()[1]) for line in lines)
        used[seen.role] = used.get(seen.role, 0) + kib * 1024
    return used
