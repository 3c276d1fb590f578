"""The memory of the bench: one JSON line a run, with what it was measured on."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from load_tests import machine
from load_tests.figures.base import Figure, Lab

FILE_NAME: Final = "history.jsonl"


def record(lab: Lab, figures: list[Figure]) -> dict[str, Any]:
    """Everything that is known about a run, as plain JSON."""
    options = lab.options
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.facts(),
        "configuration": {
            "runs": lab.runs,
            "duration_s": lab.duration_s,
            "front_doors": options.front_doors,
            "shards": options.shards,
            "runtime": options.runtime,
            "merchants": options.seed.merchants,
            "generator": "shares the processors with the servers",
        },
        "figures": [figure.as_json() for figure in figures],
    }


def append(folder: Path, entry: dict[str, Any]) -> Path:
    """Add a run to the history; return its file."""
    path = folder / FILE_NAME
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")
    return path


def load(folder: Path) -> list[dict[str, Any]]:
    """All runs, oldest first; none if there is no history yet."""
    path = folder / FILE_NAME
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
