"""`tillway openapi`: the description of the API, without a server."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.options import Modules, modules_from
from gateway.cli.output import EXIT_CHECK_FAILED, complain


def openapi(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write it to this file.", show_default=False),
    ] = None,
    modules: Modules = None,
) -> None:
    """The OpenAPI 3.1 document of the API, as `/openapi.json` serves it.

    Example: tillway openapi --modules custody,splitting --out openapi.json
    """
    from gateway.modules import MODULES, in_order, refuse_unknown
    from gateway.openapi.document import document_text

    wanted = MODULES if modules is None else modules_from(modules)
    try:
        refuse_unknown(wanted)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--modules") from None
    text = document_text(in_order(wanted))
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        complain(f"{out}: {error.strerror}")
        raise typer.Exit(EXIT_CHECK_FAILED) from None
