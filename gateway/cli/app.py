"""The command `tillway`: its groups, and what an error means as an exit code.

0 ok, 1 a check failed, 2 usage (a wrong flag or setting), 3 the server cannot be reached, 4 a
threshold was missed.
"""

import sys
from typing import Final

import typer

from gateway.cli import (
    client,
    clock,
    config,
    doctor,
    ledger,
    migrate,
    openapi,
    payments,
    qr,
    sandbox,
    server,
    status,
)
from gateway.cli.output import EXIT_CHECK_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, complain
from gateway.settings import SettingsError

app: Final = typer.Typer(
    name="tillway",
    help="An aggregated-payment gateway: acquiring, risk, routing, and books that balance.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.command()(server.demo)
app.command()(server.serve)
app.command()(sandbox.sandbox)
# Every flag of it belongs to the bench itself, --help too.
app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(server.bench)
app.command(cls=client.Asking)(status.status)
app.command()(doctor.doctor)
app.command()(openapi.openapi)
app.add_typer(payments.app, name="payments", help="Create, read, refund and cancel payments.")
app.add_typer(qr.app, name="qr", help="Codes: draw them, and read what stands in them.")
app.add_typer(clock.app, name="clock", help="The test clock of the deployment.")
app.add_typer(ledger.app, name="ledger", help="The books: recompute them, see that they balance.")
app.add_typer(migrate.app, name="migrate", help="The schema of the stores.")
app.add_typer(config.app, name="config", help="The settings: what they are and may be.")


def main() -> None:
    """Run the command line; end the process with its exit code."""
    from payments.storage.base import StoreError

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
