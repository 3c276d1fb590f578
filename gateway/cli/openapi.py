"""`tillway openapi`: the description of the API, without a server."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import EXIT_CHECK_FAILED, complain


def openapi(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write it to this file.", show_default=False),
    ] = None,
) -> None:
    """The OpenAPI 3.1 document of the API, as `/openapi.json` serves it."""
    from gateway.openapi.document import document_text

    text = document_text()
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        complain(f"{out}: {error.strerror}")
        raise typer.Exit(EXIT_CHECK_FAILED) from None
