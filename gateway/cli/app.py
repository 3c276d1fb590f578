"""The command `tillway`: its groups, and what an error means as an exit code.

0 ok, 1 a check failed, 2 usage (a wrong flag or setting), 3 the server cannot be reached, 4 a
threshold was missed.
"""

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from io import UnsupportedOperation
from types import MappingProxyType
from typing import Annotated, Any, Final, NamedTuple

import typer

from gateway.cli import client
from gateway.cli.output import EXIT_CHECK_FAILED, EXIT_UNREACHABLE, EXIT_USAGE, complain
from gateway.settings import SettingsError, forbid_color

USERS_TO_MEND: Final = {
    errno.EACCES: "change its owner or mode, or choose another place",
    errno.EPERM: "change its owner or mode, or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOTDIR: "choose a folder",
    errno.EISDIR: "choose a file",
    errno.ENOENT: "look at its name",
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room, or raise the quota",
}
"""Errors of files that a user named, and what to do about them."""

NO_COLOR: Final = "--no-color"
RUN: Final = "Run"
LOOK: Final = "Look after it"
ASK: Final = "Ask a running gateway"
TRY: Final = "Try things"


class Entry(NamedTuple):
    """A command, or with a `text` a group of them, and the module under `gateway.cli` it is in."""

    panel: str
    name: str
    module: str
    text: str = ""
    asks: bool = False
    """Whether it asks a running gateway, and takes the options that all of those take."""
    words: Mapping[str, Any] = MappingProxyType({})


# Every flag of the bench belongs to it, --help too.
ITS_OWN_FLAGS: Final = {
    "add_help_option": False,
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}
ENTRIES: Final = (
    Entry(RUN, "demo", "demo"),
    Entry(RUN, "serve", "server"),
    Entry(RUN, "sandbox", "sandbox"),
    Entry(RUN, "bench", "server", words=ITS_OWN_FLAGS),
    Entry(LOOK, "status", "status", asks=True),
    Entry(LOOK, "doctor", "doctor"),
    Entry(LOOK, "logs", "logs", "The deployment's log, to read."),
    Entry(LOOK, "ledger", "ledger", "The books: recompute them, see that they balance."),
    Entry(LOOK, "report", "report"),
    Entry(
        LOOK,
        "recon",
        "recon",
        "Channels' bills against our rows: what is different, and what to do.",
    ),
    Entry(LOOK, "migrate", "migrate", "The schema of the stores."),
    Entry(LOOK, "config", "config", "The settings: what they are and may be."),
    Entry(ASK, "payments", "payments", "Create, read, refund and cancel payments."),
    Entry(ASK, "refunds", "refunds", "Refunds, to read."),
    Entry(ASK, "balances", "accounts", asks=True),
    Entry(ASK, "clearing", "clearing", "Batches: what was sold, added up and filed."),
    Entry(ASK, "settlements", "settlements", "Instructions to the bank, and their checks."),
    Entry(ASK, "withdrawals", "withdrawals", "Take money out; let it go on, or not."),
    Entry(ASK, "freezes", "freezes", "Money that is held for a reason."),
    Entry(ASK, "accounts", "accounts", "Bank accounts that money may go to."),
    Entry(ASK, "webhooks", "webhooks", "Endpoints that events are sent to."),
    Entry(ASK, "events", "events", "What happened; read it, send it again."),
    Entry(ASK, "get", "raw", asks=True),
    Entry(ASK, "post", "raw", asks=True),
    Entry(ASK, "delete", "raw", asks=True),
    Entry(TRY, "listen", "listen", asks=True),
    Entry(TRY, "trigger", "trigger", asks=True),
    Entry(TRY, "clock", "clock", "The test clock of the deployment."),
    Entry(TRY, "qr", "qr", "Codes: draw them, and read what stands in them."),
    Entry(TRY, "openapi", "openapi"),
    Entry(TRY, "completion", "completion"),
)


def build(named: str = "") -> typer.Typer:
    """The command line: all of it, or the one entry that was named.

    To import every command and describe its options takes longer than most commands do.
    """
    app = typer.Typer(
        name="tillway",
        help="An aggregated-payment gateway: acquiring, risk, routing, and books that balance.\n\n"
        "Begin with `tillway demo`; while it runs, every other command finds it by itself.\n\n"
        "Exit codes: 0 ok, 1 a check failed or a refusal, 2 usage, 3 nobody answers, 4 a threshold "
        "was missed. `--no-color` anywhere, or NO_COLOR, for plain text.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=True,
    )
    app.callback()(_options)
    chosen = [entry for entry in ENTRIES if entry.name == named]
    for entry in chosen or ENTRIES:
        module = import_module(f"gateway.cli.{entry.module}")
        if entry.text:
            app.add_typer(module.app, name=entry.name, rich_help_panel=entry.panel, help=entry.text)
        else:
            cls = client.Asking if entry.asks else None
            command = app.command(entry.name, cls=cls, rich_help_panel=entry.panel, **entry.words)
            command(getattr(module, entry.name))
    return app


def _tell_version(wanted: bool) -> None:
    if wanted:
        from gateway.metrics import version

        print(f"tillway {version()}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    assert not version, "it was told, and that was all"


def main() -> None:
    """Run the command line; end the process with its exit code."""
    from payments.storage.base import StoreError

    if NO_COLOR in sys.argv:
        sys.argv.remove(NO_COLOR)
        forbid_color()
    try:
        build(next(iter(sys.argv[1:]), ""))()
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
    except OSError as error:
        if error.filename is None or error.errno not in USERS_TO_MEND:
            raise
        complain(f"{error.filename}: {error.strerror}; {USERS_TO_MEND[error.errno]}")
        sys.exit(EXIT_USAGE)
