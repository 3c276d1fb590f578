"""Compare two runs of the bench: what changed, and is it a loss?

Usage: python -m load_tests.compare BEFORE/run.json AFTER/run.json [--json]

Exit codes: 0 no value lost more than a tenth, 4 one did, 2 the runs cannot be compared (another
machine or another configuration).
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

LOSS_MAX: Final = 0.10
EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_THRESHOLD: Final = 4
SAME: Final = ("machine", "configuration")


def values_of(entry: Mapping[str, Any]) -> dict[str, tuple[float, bool]]:
    """`figure: bar` -> (value, whether more is better)."""
    return {
        f"{figure['name']}: {bar['name']}": (bar["value"], bar["at_least"])
        for figure in entry["figures"]
        for bar in figure["bars"]
    }


def loss(before: float, after: float, *, more_is_better: bool) -> float:
    """The share of `before` that was lost; negative for a gain, 0 from nothing to nothing."""
    if before == 0:
        return 0.0 if after == 0 or more_is_better else 1.0
    change = (after - before) / abs(before)
    return -change if more_is_better else change


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[float, float, float]]:
    """`figure: bar` -> (before, after, loss), for what both runs measured."""
    old, new = values_of(before), values_of(after)
    return {
        name: (old[name][0], value, loss(old[name][0], value, more_is_better=better))
        for name, (value, better) in new.items()
        if name in old
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; return the exit code."""
    command = argparse.ArgumentParser("tillway bench compare")
    command.add_argument("before", type=Path)
    command.add_argument("after", type=Path)
    command.add_argument("--json", action="store_true")
    arguments = command.parse_args(argv)
    before, after = (json.loads(path.read_text()) for path in (arguments.before, arguments.after))
    for part in SAME:
        if before[part] != after[part]:
            print(f"the runs differ in their {part}: not comparable", file=sys.stderr)
            return EXIT_USAGE
    changes = compare(before, after)
    if arguments.json:
        print(json.dumps({name: list(change) for name, change in changes.items()}))
    else:
        for name, (old, new, lost) in changes.items():
            mark = "LOST" if lost > LOSS_MAX else "    "
            print(f"{mark}  {name:44} {old:>12.4g} -> {new:>12.4g}  {-lost:+.1%}")
    return EXIT_THRESHOLD if any(lost > LOSS_MAX for *_, lost in changes.values()) else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
