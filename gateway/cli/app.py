"""The command `tillway`: its groups, and what an error means as an exit code.

0 ok, 1 a check failed, 2 usage (a wrong flag or setting), 3 the server cannot be reached, 4 a
threshold was missed.
"""

import os
import sys
from contextlib import suppress
from io import UnsupportedOperation
from typing import Annotated, Final

import typer

from gateway.cli import (
    accounts,
    clearing,
    client,
    clock,
    completion,
    config,
    demo,
    doctor,
    events,
    freezes,
    ledger,
    listen,
    logs,
    migrate,
    openapi,
    payments,
    qr,
    raw,
    recon,
    refunds,
    report,
    sandbox,
    server,
    settlements,
    status,
    trigger,
    webhooks,
    withdrawals,
)
from gateway.cli.output import EXIT_CHECK_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, complain
from gateway.settings import SettingsError, forbid_color

NO_COLOR: Final = "--no-color"
RUN: Final = "Run"
LOOK: Final = "Look after it"
ASK: Final = "Ask a running gateway"
TRY: Final = "Try things"

app: Final = typer.Typer(
    name="tillway",
    help="An aggregated-payment gateway: acquiring, risk, routing, and books that balance.\n\n"
    "Begin with `tillway demo`; while it runs, every other command finds it by itself.\n\n"
    "Exit codes: 0 ok, 1 a check failed or a refusal, 2 usage, 3 nobody answers, 4 a threshold "
    "was missed. `--no-color` anywhere, or NO_COLOR, for plain text.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from gateway.metrics import version

        print(f"tillway {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    assert not version, "it was told, and that was all"


app.command(rich_help_panel=RUN)(demo.demo)
app.command(rich_help_panel=RUN)(server.serve)
app.command(rich_help_panel=RUN)(sandbox.sandbox)
# Every flag of it belongs to the bench itself, --help too.
app.command(
    rich_help_panel=RUN,
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(server.bench)
app.command(cls=client.Asking, rich_help_panel=LOOK)(status.status)
app.command(rich_help_panel=LOOK)(doctor.doctor)
app.add_typer(logs.app, name="logs", rich_help_panel=LOOK, help="The deployment's log, to read.")
app.add_typer(
    ledger.app,
    name="ledger",
    rich_help_panel=LOOK,
    help="The books: recompute them, see that they balance.",
)
app.command(rich_help_panel=LOOK)(report.report)
app.add_typer(
    recon.app,
    name="recon",
    rich_help_panel=LOOK,
    help="Channels' bills against our rows: what is different, and what to do.",
)
app.add_typer(migrate.app, name="migrate", rich_help_panel=LOOK, help="The schema of the stores.")
app.add_typer(
    config.app, name="config", rich_help_panel=LOOK, help="The settings: what they are and may be."
)
app.add_typer(
    payments.app,
    name="payments",
    rich_help_panel=ASK,
    help="Create, read, refund and cancel payments.",
)
app.add_typer(refunds.app, name="refunds", rich_help_panel=ASK, help="Refunds, to read.")
app.command(cls=client.Asking, rich_help_panel=ASK)(accounts.balances)
for group, name, text in (
    (clearing.app, "clearing", "Batches: what was sold, added up and filed."),
    (settlements.app, "settlements", "Instructions to the bank, and their checks."),
    (withdrawals.app, "withdrawals", "Take money out; let it go on, or not."),
    (freezes.app, "freezes", "Money that is held for a reason."),
    (accounts.app, "accounts", "Bank accounts that money may go to."),
):
    app.add_typer(group, name=name, rich_help_panel=ASK, help=text)
app.add_typer(
    webhooks.app, name="webhooks", rich_help_panel=ASK, help="Endpoints that events are sent to."
)
app.add_typer(
    events.app, name="events", rich_help_panel=ASK, help="What happened; read it, send it again."
)
for method in raw.METHODS:
    app.command(method.__name__, cls=client.Asking, rich_help_panel=ASK)(method)
app.command(cls=client.Asking, rich_help_panel=TRY)(listen.listen)
app.command(cls=client.Asking, rich_help_panel=TRY)(trigger.trigger)
app.add_typer(
    clock.app, name="clock", rich_help_panel=TRY, help="The test clock of the deployment."
)
app.add_typer(
    qr.app, name="qr", rich_help_panel=TRY, help="Codes: draw them, and read what stands in them."
)
app.command(rich_help_panel=TRY)(openapi.openapi)
app.command(rich_help_panel=TRY)(completion.completion)


def main() -> None:
    """Run the command line; end the process with its exit code."""
    from payments.storage.base import StoreError

    if NO_COLOR in sys.argv:
        sys.argv.remove(NO_COLOR)
        forbid_color()
    try:
        app()
    except SettingsError as error:
        complain(str(error))
        sys.exit(EXIT_USAGE)
    except StoreError as error:
        complain(str(error))
        sys.exit(EXIT_CHECK_FAILED)
    except client.Unreachable as error:
        complain(str(error))
        sys.exit(EXIT_UNREACHABLE)
    except client.Problem as error:
        complain(str(error))
        sys.exit(EXIT_CHECK_FAILED)
    except BrokenPipeError:
        # Whoever read us has seen enough (`| head`): nothing is left to be said.
        with suppress(UnsupportedOperation):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_CHECK_FAILED)
