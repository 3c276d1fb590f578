"""`tillway clearing …`: batches of a running gateway, and clearing on demand."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from gateway.cli.client import Asking, call
from gateway.cli.journals import write_sealed
from gateway.cli.options import AsJson, DataDir, Limit, StartingAfter, query_of
from gateway.cli.output import note, progress, say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
PATH: Final = "/v1/clearing_batches"
COLUMNS: Final = ("id", "business_date", "sequence", "status", "gross", "net", "items")
EXPORTED: Final = (
    "id", "merchant", "business_date", "sequence", "status", "currency", "gross", "refunds",
    "discounts", "fees", "splits", "net", "items", "cut_off_at", "filed_at", "closed_at",
)  # fmt: skip
EXPORT: Final = "clearing_batches.summary.1"
PAGE: Final = 100

Date = Annotated[int | None, typer.Option("--business-date", help="20261122")]
Status = Annotated[str | None, typer.Option("--status", help="E.g. filed.")]


@app.command(cls=Asking)
def run(business_date: Date = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Clear now: cut off, add up and file what was sold by now.

    Example: tillway clearing run
    """
    body = {} if business_date is None else {"business_date": business_date}
    say(call("POST", f"{PATH}/run", body, data=data), as_json=as_json)


@app.command("list", cls=Asking)
def list_batches(
    business_date: Date = None,
    status: Status = None,
    limit: Limit = 10,
    starting_after: StartingAfter = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The latest batches, newest first; an operator's key sees everybody's.

    Example: tillway clearing list --business-date 20261122
    """
    query = query_of(
        limit=limit, business_date=business_date, status=status, starting_after=starting_after
    )
    answer = call("GET", PATH, data=data, query=query)
    say_rows(answer, answer.get("data", []), COLUMNS, as_json=as_json)


@app.command(cls=Asking)
def show(
    batch: Annotated[str, typer.Argument(help="bat_…")],
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a batch with its figures.

    Example: tillway clearing show bat_… --json
    """
    say(call("GET", f"{PATH}/{batch}", data=data), as_json=as_json)


@app.command(cls=Asking)
def export(
    business_date: Date = None,
    status: Status = None,
    out: Annotated[Path | None, typer.Option("--out", help="A file; else standard output.")] = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """All batches as CSV (with --json: as one JSON list), amounts in minor units.

    A file comes with its checksum (FILE.sha256) and manifest (FILE.manifest.json).

    Example: tillway clearing export --business-date 20261122 --out batches.csv
    """
    rows = _all(query_of(limit=PAGE, business_date=business_date, status=status), data)
    if as_json:
        say({"object": "list", "url": PATH, "has_more": False, "data": list(rows)}, as_json=True)
        return
    if out is None:
        _put(sys.stdout, rows)
        return
    count = [0]

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            count[0] = _put(file, rows)

    write_sealed(out, write, lambda: {"type": EXPORT, "rows": count[0]})
    note(f"{count[0]} batches in {out}")


def _put(file: TextIO, rows: Iterable[dict[str, Any]]) -> int:
    """The batches as CSV; how many."""
    writer = csv.DictWriter(file, EXPORTED, extrasaction="ignore")
    writer.writeheader()
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


@app.command()
def rehearse(
    folder: Annotated[Path, typer.Argument(help="A folder to make.")],
    payments: Annotated[int, typer.Option("--payments", min=1, max=10_000_000)] = 10_000,
    merchants: Annotated[int, typer.Option("--merchants", min=1, max=100_000)] = 10,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same day.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Make a shard's file with a day of sales: split, with coupons and refunds, not yet cleared.

    A seed file beside it names the shops and their bank accounts, for a gateway that shall clear
    the day while it serves.

    Example: tillway clearing rehearse ./day --payments 10000
    """
    from payments.clearing import rehearsal
    from payments.storage.clearing_day import SEED, write

    sellers = rehearsal.shops(merchants, seed=seed)
    facts = {"payments": payments, "merchants": merchants, "seed": seed}
    with progress("making payments", payments, quiet=as_json) as step:
        write(
            folder,
            rehearsal.sales(sellers, payments, seed=seed),
            facts | {"business_date": rehearsal.DATE},
            step,
        )
    known = json.dumps({"merchants": [rehearsal.seed_of(each) for each in sellers]})
    (folder / SEED).write_text(known + "\n", encoding="utf-8")
    say({**facts, "next": f"tillway clearing drill {folder}"}, as_json=as_json)


@app.command()
def drill(
    folder: Annotated[Path, typer.Argument(help="As `tillway clearing rehearse` made it.")],
    as_json: AsJson = False,
) -> None:
    """Clear, cover and pay out a rehearsed day up to signed orders, and say what it took.

    Example: tillway clearing drill ./day --json
    """
    from gateway.clearing_drill import drill as run_drill
    from payments.storage.clearing_day import FACTS, SHARD

    if not all((folder / name).exists() for name in (FACTS, SHARD)):
        raise typer.BadParameter(
            f"{folder} is no rehearsal; make one with `tillway clearing rehearse`",
            param_hint="FOLDER",
        )
    say(run_drill(folder), as_json=as_json)


def _all(query: dict[str, str], data: Path | None) -> Iterator[dict[str, Any]]:
    """Every batch, page by page."""
    while True:
        answer = call("GET", PATH, data=data, query=query)
        rows = answer.get("data", [])
        yield from rows
        if not answer.get("has_more") or not rows:
            return
        query = {**query, "starting_after": rows[-1]["id"]}
