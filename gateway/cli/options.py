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
