"""`tillway sandbox NAME`: a channel's sandbox or the bank's, for anybody's client."""

from pathlib import Path
from typing import Annotated, Final

import typer

from gateway.cli.options import AsJson

NAMES: Final = ("wechat", "alipay", "unionpay", "bank")

Port = Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 picks a free one.")]
Host = Annotated[str, typer.Option("--host", help="Where it listens. It asks nobody who he is.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", help="Keeps keys and books over a restart.", show_default=False),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Makes its numbers repeatable.")]
WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True)]


def sandbox(
    name: Annotated[str, typer.Argument(help=", ".join(NAMES))],
    port: Port = 0,
    host: Host = "127.0.0.1",
    data: Data = None,
    seed: Seed = None,
    as_json: AsJson = False,
    with_parent: WithParent = False,
) -> None:
    """Run one channel's sandbox, or the bank's, until SIGTERM or Ctrl-C.

    The bank takes orders in files, too: with --data DIR, from DIR/in.

    Example: tillway sandbox wechat --port 0 --json

    Example: tillway sandbox bank --data bank
    """
    if name not in NAMES:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(NAMES)}", param_hint="NAME")
    from gateway.sandbox_process import run

    code = run(
        name, host=host, port=port, folder=data, seed=seed, as_json=as_json, with_parent=with_parent
    )
    raise typer.Exit(code)
