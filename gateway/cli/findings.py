"""What the doctor finds."""

from enum import Enum

from msgspec import Struct


class Level(Enum):
    """Well; worth knowing; keeps the gateway from working (or from being safe)."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


class Finding(Struct, frozen=True):
    """One thing that was looked at. `fix`: what to do; empty for what is well."""

    name: str
    level: Level
    found: str
    fix: str = ""


def finding(name: str, is_well: bool, found: str, fix: str, *, is_mild: bool = False) -> Finding:
    """A finding that is well, or has a fix. `is_mild`: not well is a warning only."""
    if is_well:
        return Finding(name, Level.OK, found)
    return Finding(name, Level.WARNING if is_mild else Level.WRONG, found, fix)
