"""`tillway migrate …`: the stores' schema, and filling new stores for figures at size."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, data_files, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, complain, progress, say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
PAYMENTS_MAX: Final = 1_000_000_000
COLUMNS: Final = ("path", "schema", "newest", "pending")


@app.command()
def status(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Each store's schema. Exit code 1 when a migration is pending.

    Example: tillway migrate status --json
    """
    from payments.storage.migrate import status as status_of

    found = [status_of(path) for path in data_files(config, data)]
    _show(found, as_json)
    if any(one.pending for one in found):
        complain("migrations are pending: stop the gateway, back up, then `tillway migrate up`")
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command()
def up(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the stores of a stopped gateway up to date. Make a backup first.

    Example: tillway migrate up --data /var/lib/tillway
    """
    from payments.storage.migrate import up as bring_up

    paths = data_files(config, data)
    found = []
    with progress("migrating", len(paths), quiet=as_json) as step:
        for path in paths:
            found.append(bring_up(path))
            step(len(found))
    _show(found, as_json)


@app.command("seed-bulk")
def seed_bulk(
    payments: Annotated[int, typer.Option("--payments", min=1, max=PAYMENTS_MAX)],
    seed_file: Annotated[Path | None, typer.Option("--seed-file", help="Whose payments.")] = None,
    shards: Annotated[int | None, typer.Option("--shards", min=1)] = None,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same file.")] = 1,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Fill an empty data directory with finished payments of the seed's merchants.

    Example: tillway migrate seed-bulk --data ./data --seed-file seed.json --payments 1000000
    """
    from gateway.planting import merchants_of, plant
    from payments.clock import SystemClock
    from payments.ids import Entropy
    from payments.storage.bulk import make_payments

    flags = {"data_dir": data, "seed_file": seed_file, "shards.count": shards}
    settings = settings_from(config, flags)
    if settings.livemode:
        raise typer.BadParameter("made-up payments are for test mode only", param_hint="--config")
    plant(settings, SystemClock(), Entropy())
    shares = _shares(merchants_of(settings), settings, payments)
    done = 0
    with progress("making payments", payments, quiet=as_json) as step:
        for number, (mine, count) in enumerate(shares):
            make_payments(
                settings.data_path / f"shard-{number}.db",
                count,
                mine,
                shard=number,
                shards=len(shares),
                account=settings.channels[0].account,
                seed=seed + number,
                progress=lambda made, before=done: step(before + made),  # type: ignore[misc]
            )
            done += count
    say({"payments": payments, "shards": len(shares)}, as_json=as_json)


def _shares(merchants: list[Any], settings: Any, payments: int) -> list[tuple[list[Any], int]]:
    """Each shard's merchants, and how many payments it gets: the first ones the remainder."""
    from actors.placement import Placement

    dedicated = settings.shards.partitions_dedicated
    shards = settings.shards.count
    placed = Placement(shards, {int(name): shard for name, shard in dedicated.items()})
    mine = [
        [one for one in merchants if placed.shard_of[one.partition] == n] for n in range(shards)
    ]
    if not all(mine):
        raise typer.BadParameter(
            "every shard needs a merchant of its own", param_hint="--seed-file"
        )
    counts = [payments // shards + (n < payments % shards) for n in range(shards)]
    return list(zip(mine, counts, strict=True))


def _show(found: list[Any], as_json: bool) -> None:
    rows = [msgspec.to_builtins(one) for one in found]
    say_rows({"stores": rows}, rows, COLUMNS, as_json=as_json)
