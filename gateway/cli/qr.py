"""`tillway qr …`: draw a code of any text or of a payment, and read what stands in one."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from gateway.cli.client import Asking, call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import EXIT_CHECK_FAILED, complain, say, table

DEFAULT: Final = "encode"
HIDDEN_BYTES: Final = "({} bytes)"


class TextOrCommand(TyperGroup):
    """`tillway qr TEXT` is `tillway qr encode TEXT`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


app: Final = typer.Typer(cls=TextOrCommand, no_args_is_help=True)


@app.command(cls=Asking)
def encode(
    text: Annotated[str | None, typer.Argument(help="What the code says.")] = None,
    payment: Annotated[str | None, typer.Option("--payment", help="pay_…: its own code.")] = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write an SVG file.")] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write a PNG file.")] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Draw a code: in the terminal, or into a file.

    Example: tillway qr encode --payment pay_… --png code.png
    """
    import sys

    from gateway import qr
    from payments.errors import InvalidField

    if (text is None) is (payment is None):
        raise typer.BadParameter("say a text, or --payment", param_hint="TEXT")
    if payment is not None:
        text = _payload_of(payment, data)
    assert text is not None
    written: list[str] = []
    try:
        drawn = qr.terminal(text, colors=sys.stdout.isatty())
        for path, draw in ((svg, qr.svg), (png, qr.png)):
            if path is not None:
                path.write_bytes(draw(text))
                written.append(str(path))
    except InvalidField as error:
        raise typer.BadParameter(error.detail, param_hint="TEXT") from None
    except OSError as error:
        raise typer.BadParameter(str(error), param_hint="--svg, --png") from None
    shown = {"object": "code", "payload": text, "payment": payment, "files": written}
    say(shown, as_json=as_json, text="\n".join(f"wrote {name}" for name in written) or drawn)


def _payload_of(payment: str, data: Path | None) -> str:
    """What the code of a payment says. Exit 1 when it has none any more."""
    answer = call("GET", f"/v1/payments/{payment}", data=data)
    code = answer.get("code")
    if code is None:
        complain(f"{payment} shows no code: it is {answer.get('status')}")
        raise typer.Exit(EXIT_CHECK_FAILED)
    return str(code["payload"])


@app.command()
def decode(
    text: Annotated[str, typer.Argument(help="What a reader read.")],
    as_json: AsJson = False,
) -> None:
    """What a code's text says: EMVCo's objects, or the wallet of a payer's digits.

    Example: tillway qr decode 000201…6304A13A
    """
    from payments.barcodes import is_consumer_presented, wallet_of
    from payments.emv import BadCode

    wallet = wallet_of(text)
    try:
        if wallet is not None:
            # The digits are money while they live: the wallet is told, the code is not repeated.
            kind, rows = "payer_barcode", [{"object": "", "value": wallet}]
        elif is_consumer_presented(text):
            kind, rows = "consumer_presented", _consumer_rows(text)
        elif text.startswith("0002"):
            kind, rows = "merchant_presented", _merchant_rows(text)
        else:
            kind, rows = "text", [{"object": "", "value": text}]
    except BadCode as error:
        complain(str(error))
        raise typer.Exit(EXIT_CHECK_FAILED) from None
    shown = {"object": "code", "kind": kind, "wallet": wallet, "fields": rows}
    say(shown, as_json=as_json, text=f"{kind}\n{table(rows, ('object', 'value'))}")


def _merchant_rows(text: str) -> list[dict[str, str]]:
    from payments.emv import Field, parse

    rows: list[dict[str, str]] = []

    def add(fields: tuple[Field, ...], above: str) -> None:
        for field in fields:
            path = f"{above}{field.id}"
            if field.fields:
                add(field.fields, f"{path}.")
            else:
                rows.append({"object": path, "value": field.value})

    add(parse(text, is_complete=False).fields, "")
    return rows


def _consumer_rows(text: str) -> list[dict[str, str]]:
    """Tags and application ids; of card data only how long it is."""
    from payments.emv_cpm import AID, Data, parse

    rows: list[dict[str, str]] = []

    def add(parts: tuple[Data, ...], above: str) -> None:
        for part in parts:
            path = f"{above}{part.tag}"
            if part.parts:
                add(part.parts, f"{path}.")
            elif part.tag == AID:
                rows.append({"object": path, "value": part.value.hex().upper()})
            else:
                rows.append({"object": path, "value": HIDDEN_BYTES.format(len(part.value))})

    code = parse(text)
    add((*code.applications, *((code.common,) if code.common is not None else ())), "")
    return rows
