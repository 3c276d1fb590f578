"""`tillway config …`: the settings, masked; whether they are right; what there is to set."""

import json
from typing import Any, Final

import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, complain, say

app: Final = typer.Typer(no_args_is_help=True)


@app.command()
def show(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """The settings in force: environment, file and defaults together; secrets masked.

    Example: TILLWAY_HTTP__PORT=8090 tillway config show --config tillway.toml --json
    """
    shown = settings_from(config, {"data_dir": data}).to_public_dict()
    lines = [f"{name} = {value}" for name, value in _flat("", shown)]
    say(shown, as_json=as_json, text="\n".join(lines))


@app.command()
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Whether the settings are right. Exit code 1, and what to write instead, when not.

    Example: tillway config check --config /etc/tillway/tillway.toml
    """
    from gateway.settings import SettingsError

    try:
        _check(settings_from(config, {}))
    except SettingsError as error:
        if as_json:
            say({"ok": False, "error": str(error)}, as_json=True)
        complain(str(error))
        raise typer.Exit(EXIT_CHECK_FAILED) from None
    say({"ok": True}, as_json=as_json, text="ok")


@app.command()
def schema(as_json: AsJson = False) -> None:
    """The JSON Schema of a settings file, for editors and checkers.

    Example: tillway config schema > tillway.schema.json
    """
    from gateway.settings import schema as json_schema

    found = json_schema()
    say(found, as_json=as_json, text=json.dumps(found, indent=2))


def _check(settings: Any) -> None:
    """What only reading keys and certificates tells. Raise SettingsError, never with a key."""
    from gateway.bank_keys import bank_keys
    from gateway.channels import account_of
    from gateway.settings import SECRET_BYTES
    from payments.idempotency import Digests

    if settings.bank is not None:
        bank_keys(settings.bank, livemode=settings.livemode)
    for account in settings.channels:
        if account.is_wired:
            # A secret of nobody's: only the address for callbacks comes of it.
            account_of(settings, account, Digests(bytes(SECRET_BYTES)))


def _flat(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict) and value:
        found = [_flat(f"{prefix}.{key}" if prefix else key, one) for key, one in value.items()]
        return [pair for pairs in found for pair in pairs]
    return [(prefix, value)]
