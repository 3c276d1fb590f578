"""`tillway migrate …`: where the stores' schema stands, and bringing it up to this release's."""

from typing import Any, Final

import msgspec
import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, data_files
from gateway.cli.output import EXIT_CHECK_FAILED, say, table

app: Final = typer.Typer(no_args_is_help=True)
COLUMNS: Final = ("path", "schema", "newest", "pending")


@app.command()
def status(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Each store's schema. Exit code 1 when a migration is pending."""
    from payments.storage.migrate import status as status_of

    found = [status_of(path) for path in data_files(config, data)]
    _show(found, as_json)
    if any(one.pending for one in found):
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command()
def up(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the stores of a stopped gateway up to date."""
    from payments.storage.migrate import up as bring_up

    _show([bring_up(path) for path in data_files(config, data)], as_json)


def _show(found: list[Any], as_json: bool) -> None:
    rows = [msgspec.to_builtins(one) for one in found]
    say({"stores": rows}, as_json=as_json, text=table(rows, COLUMNS))
