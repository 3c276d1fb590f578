"""Flags that several commands share, and the settings that come of them."""

from pathlib import Path
from typing import Annotated, Any

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A settings file (TOML).", show_default=False)
]
DataDir = Annotated[
    Path | None, typer.Option("--data", help="The data directory.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]
Modules = Annotated[
    str | None,
    typer.Option("--modules", help="Only these: acquiring, custody, splitting."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100, help="How many.")]
StartingAfter = Annotated[
    str | None, typer.Option("--starting-after", help="The last id of the page before.")
]


def minor_units(given: str | int) -> int:
    """An amount as it is asked for: 3800 for 38.00. A decimal point is a slip, never rounded."""
    text = str(given)
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        raise typer.BadParameter(f"{text!r} is no amount in minor units: 3800 is 38.00")
    return int(text)


def query_of(**wanted: str | int | None) -> dict[str, str]:
    """Parameters of a request: what was given, as text."""
    return {name: str(value) for name, value in wanted.items() if value is not None}


def settings_from(config: Path | None, flags: dict[str, Any]) -> Any:
    """gateway.settings.Settings of a file and flags (None: not given)."""
    from gateway.settings import load

    return load(config, {key: str(v) if isinstance(v, Path) else v for key, v in flags.items()})


def data_files(config: Path | None, data: Path | None) -> list[Path]:
    """The shards' files of a data directory. Exit with usage when there are none."""
    settings = settings_from(config, {"data_dir": data})
    found = sorted(settings.data_path.glob("shard-*.db"))
    if not found:
        raise typer.BadParameter(
            f"{settings.data_path} holds no shards; say where with --data", param_hint="--data"
        )
    return found


def modules_from(listed: str) -> tuple[str, ...]:
    """The names in a list with commas, as they were given."""
    return tuple(name.strip() for name in listed.split(","))
