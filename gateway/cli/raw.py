"""`tillway get|post|delete /v1/…`: any request, as the API has it."""

from typing import Annotated, Any

import typer

from gateway.cli.client import call
from gateway.cli.options import AsJson, DataDir
from gateway.cli.output import is_terminal, say

Path = Annotated[str, typer.Argument(help="/v1/payments, or without the slash: v1/payments")]
Pairs = Annotated[
    list[str] | None,
    typer.Option("-d", "--data-field", help="name=value, a[b]=c for tables; more than once."),
]
Key = Annotated[str | None, typer.Option("-i", "--idempotency-key", help="Default: a new one.")]


def get(path: Path, fields: Pairs = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Read something. -d gives the parameters of the query.

    Example: tillway get /v1/payments -d limit=3 -d status=succeeded
    """
    query = dict(_split(pair) for pair in fields or ())
    _say(call("GET", _rooted(path), data=data, query=query), as_json=as_json)


def post(path: Path, fields: Pairs = None, key: Key = None, data: DataDir = None) -> None:
    """Make or change something. -d gives the fields; numbers, true, false and null are those.

    Quotes make a number a text: -d 'order_no="7"'.

    Example: tillway post /v1/payments -d order_no=A7 -d amount=3800 -d currency=cny -d way=cashier
    """
    from gateway.cli.payments import new_key

    body: dict[str, Any] = {}
    for name, text in map(_split, fields or ()):
        _put(body, name, _value(text))
    headers = {"Idempotency-Key": key or new_key()}
    _say(call("POST", _rooted(path), body, data=data, headers=headers))


def delete(path: Path, data: DataDir = None) -> None:
    """Remove something.

    Example: tillway delete /v1/keys/key_…
    """
    _say(call("DELETE", _rooted(path), data=data))


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


def _split(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{pair!r} is not name=value", param_hint="-d")
    return name, value


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """`a[b]=c` is {"a": {"b": "c"}}, `a[]=c` adds to a list."""
    head, bracket, rest = name.partition("[")
    if not bracket:
        body[head] = value
        return
    inner = rest.removesuffix("]")
    table = body.setdefault(head, {} if inner else [])
    if isinstance(table, list) and not inner:
        table.append(value)
    elif isinstance(table, dict) and inner:
        table[inner] = value
    else:
        raise typer.BadParameter(f"{name} is both a list and a table", param_hint="-d")


def _value(text: str) -> Any:
    """What JSON has a word for is that; everything else is text, as are numbers in quotes."""
    import json

    if text in ("true", "false", "null") or text.lstrip("-").isdigit() or text[:1] in '"[{':
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _say(answer: dict[str, Any], *, as_json: bool = False) -> None:
    """JSON always: one line for programs, with shape for people."""
    if as_json or not is_terminal():
        say(answer, as_json=True)
        return
    from rich.console import Console

    Console().print_json(data=answer, ensure_ascii=False)
