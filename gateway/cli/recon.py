"""`tillway recon …`: a channel's bill against our rows, and what is different between them."""

import gc
from collections.abc import Callable
from functools import partial
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from gateway.cli import recon_asking, recon_bank, recon_shares
from gateway.cli.journals import write_sealed, write_text
from gateway.cli.options import AsJson, ConfigFile, DataDir, data_files, settings_from
from gateway.cli.output import (
    EXIT_CHECK_FAILED,
    complain,
    fields,
    note,
    progress,
    say,
    say_rows,
    table,
)

app: Final = typer.Typer(no_args_is_help=True)
recon_asking.add_to(app)

Dialect = Literal["wechat", "alipay", "unionpay", "wechat-sharing", "camt053", "camt054"]
PEEKED_LINES: Final = 1_000
"""Lines of a bill that are looked up to learn whose account and what day it is about."""
SHOWN_ITEMS: Final = 100
LISTED_RUNS: Final = 100
RUN_COLUMNS: Final = ("id", "account", "bill_date", "status", "matched", "found", "open")
ITEM_COLUMNS: Final = ("id", "type", "status", "amount", "currency", "owner", "proposal", "number")
HIDDEN: Final = frozenset({"object", "file_sha256", "totals"})
"""Of a comparison, what people are not shown at once."""
BillDate = Annotated[
    int | None,
    typer.Option("--bill-date", help="The bill's day, yyyymmdd; else the day of its lines."),
]
RunId = Annotated[str | None, typer.Argument(help="A comparison, rec_…", show_default=False)]


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="The bill as the channel gave it, or a bank's statement.")
    ],
    dialect: Annotated[Dialect, typer.Option("--dialect", help="Whose layout it has.")],
    bill_date: BillDate = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Our name of the channel account.")
    ] = None,
    rate_ppm: Annotated[
        int | None,
        typer.Option(
            "--rate-ppm",
            min=0,
            max=1_000_000,
            help="What the channel agreed to charge; 6000: 0.6 %. Else as the settings say.",
        ),
    ] = None,
    number: Annotated[
        str | None,
        typer.Option("--number", help="The channel's number of the account, if it is a new one."),
    ] = None,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Compare a bill with the payments and refunds of its day, and keep what is different.

    The same file again changes nothing; another file for the same day takes its place. Works on a
    running or a stopped gateway. Exit code 1 when differences are open. A bill of divided money
    (wechat-sharing) is compared with what receivers got and gave back. A statement (camt053) or
    notice (camt054) of the custody account is compared with the bills that are kept.

    Example: tillway recon import bill.csv --dialect wechat --data ./data
    """
    from payments.bills.lines import BillRefused

    if dialect in ("camt053", "camt054"):
        recon_bank.import_statement(file, dialect, config, data, as_json=as_json)
        return
    if bill_date is not None:
        _valid(bill_date)
    paths = data_files(config, data)
    try:
        rate_of = _rate_of(rate_ppm, config, data)
        others = _others(config, data)
        if dialect == "wechat-sharing":
            view = recon_shares.compared(
                file, "wechat", bill_date, account, paths, partial(_refuse_another, number=number)
            )
        else:
            day, name = _about(file, dialect, bill_date, account, number, paths)
            view = _compared(file, dialect, day, name, rate_of, paths, others, quiet=as_json)
    except BillRefused as error:
        complain(f"{file.name} is refused: {error}")
        raise typer.Exit(EXIT_CHECK_FAILED) from error
    except FileNotFoundError as error:
        raise typer.BadParameter(f"{file.name} does not exist", param_hint="FILE") from error
    _say_run(view, as_json=as_json)


@app.command()
def show(
    identifier: RunId = None,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The comparisons of a data directory; or one, with what it found: 1 when some are open.

    Example: tillway recon show rec_01KAR8VY000000000000000000 --data ./data
    """
    from payments.reconciliation.exceptions import item_view, run_view

    reader = _reader(_folder(config, data))
    try:
        if identifier is None:
            runs = [run_view(run, reader.open_counts(run.id)) for run in reader.runs(LISTED_RUNS)]
            _say_runs(runs, as_json=as_json)
            return
        run, now = _known(reader, identifier), _now()
        view = run_view(run, reader.open_counts(run.id))
        first = islice(reader.items(run.id), SHOWN_ITEMS)
        items = [item_view(item, each, run, now) for item, each in first]
    finally:
        reader.close()
    if as_json:
        view["items"] = items
    else:
        say(items, as_json=False, text=table([_line(item) for item in items], ITEM_COLUMNS))
        if sum(run.by_kind.values()) > len(items):
            note(f"the first {len(items)}; all of them: tillway recon export {run.id}")
    _say_run(view, as_json=as_json)


@app.command()
def export(
    identifier: Annotated[str, typer.Argument(help="A comparison, rec_…")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to; else ID.csv here.")] = None,
    config: ConfigFile = None,
    data: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """All its differences as CSV, with a manifest and its SHA-256 beside it.

    Example: tillway recon export rec_01KAR8VY000000000000000000 --data ./data --out found.csv
    """
    from payments.reconciliation import exceptions
    from payments.reports.amounts import MINOR
    from payments.reports.csv_text import csv_text
    from payments.reports.tables import Tally

    reader = _reader(_folder(config, data))
    try:
        run = _known(reader, identifier)
        found = exceptions.table(run, reader.items(run.id), _now())
        tally = Tally(found)
        pieces = csv_text(found, tally, MINOR, bom=False)
        manifest = write_sealed(
            out or Path(f"{run.id}.csv"),
            lambda path: write_text(path, pieces),
            lambda: {"type": found.type, "run": run.id, "rows": tally.rows, "sums": tally.sums()},
        )
    finally:
        reader.close()
    say(manifest, as_json=as_json)


@app.command()
def rehearse(
    folder: Annotated[Path, typer.Argument(help="A folder to make.")],
    payments: Annotated[int, typer.Option("--payments", min=1, max=10_000_000)] = 10_000,
    share: Annotated[
        int, typer.Option("--share", min=13, help="One payment in so many of each kind is wrong.")
    ] = 100,
    bill_date: BillDate = 20261121,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same day.")] = 1,
) -> None:
    """Make a day with known differences: rows, a bill in WeChat Pay's layout, and what is wrong.

    Example: tillway recon rehearse ./rehearsal --payments 10000
    """
    from payments.channels.wechat import bill
    from payments.reconciliation import rehearsal
    from payments.storage.rehearsal import write

    date = 20261121 if bill_date is None else _valid(bill_date)
    day = rehearsal.rehearse(payments, date, bill.CHANNEL, share, seed)
    details = bill.Details(rate_ppm=rehearsal.RATE.rate_ppm)
    write(
        folder,
        day,
        date,
        lambda lines: bill.write(bill.BillType.ALL, ((line, details) for line in lines)),
    )
    say(
        {
            "next": f"tillway recon import {folder}/bill.csv --dialect wechat --data {folder} "
            f"--rate-ppm {rehearsal.RATE.rate_ppm}"
        },
        as_json=False,
    )


# --- comparing -------------------------------------------------------------------------------


def _reader_of(dialect: str) -> Any:
    """The function that reads a channel's bill: (file, bill date or None) -> lines."""
    from payments.channels.bills import READERS

    return READERS[dialect]


def _rate_of(rate_ppm: int | None, config: Any, data: Any) -> Callable[[str], int | None]:
    """Channel account -> what it agreed to charge: by the flag, else by the settings."""
    channels = settings_from(config, {"data_dir": data}).channels
    rates: dict[str, int | None] = {each.account: each.fee_ppm for each in channels}
    return lambda account: rates.get(account) if rate_ppm is None else rate_ppm


def _others(config: Any, data: Any) -> frozenset[str]:
    """The channel accounts on which somebody else's gateway takes payments."""
    channels = settings_from(config, {"data_dir": data}).channels
    return frozenset(each.account for each in channels if each.is_external)


def _compared(
    file: Path,
    dialect: str,
    date: int,
    name: str,
    rate_of: Callable[[str], int | None],
    paths: list[Path],
    others: frozenset[str],
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Compare, and tell what came out; without a word when the file was compared before."""
    from payments.bills.lines import BillRefused
    from payments.clock import SystemClock
    from payments.fees import FeePlan
    from payments.reconciliation.exceptions import run_view
    from payments.reconciliation.lines import day_bounds
    from payments.storage.comparing import Bill, Comparing
    from payments.storage.expected import is_live

    with file.open("rb") as content:
        digest = file_digest(content, "sha256").hexdigest()
    rate_ppm = rate_of(name)
    plan = None if rate_ppm is None else FeePlan("agreed", rate_ppm)
    clock, livemode = SystemClock(), is_live(paths[0])
    if livemode and day_bounds(date)[1] > clock.now_ms():
        # In test mode the day may be over by the test clock, which only the gateway knows.
        remedy = "wait for the channel's bill of the whole day"
        raise BillRefused(f"the day {date} is not over in China", remedy=remedy)
    comparing = Comparing(paths[0].parent, paths, clock, livemode=livemode)
    gc.disable()  # Nothing here is cyclic, and so many rows make the collector look all the time.
    try:
        with (
            file.open("rb") as content,
            progress("reading and comparing the bill", None, quiet=quiet) as step,
        ):
            bill = Bill(name, dialect, date, file.name, digest)
            reader_of = _reader_of(dialect)
            run = comparing.compare(bill, content, reader_of, plan, step, is_others=name in others)
    finally:
        gc.enable()
    reader = comparing.reader()
    assert reader is not None
    try:
        return run_view(run, reader.open_counts(run.id))
    finally:
        reader.close()


def _about(
    file: Path,
    dialect: str,
    bill_date: int | None,
    account: str | None,
    number: str | None,
    paths: list[Path],
) -> tuple[int, str]:
    """The bill's day and our name of its account. Exit with usage when nobody says so.

    Raise BillRefused for a bill of another account than the ones before.
    """
    from payments.storage.expected import ShardBooks

    date, name = bill_date, account
    with file.open("rb") as bill:
        first = list(islice(_reader_of(dialect)(bill, bill_date), PEEKED_LINES))
    if date is None and first:
        date = first[0].bill_date
    if name is None:
        books = ShardBooks(paths, "")
        try:
            found = (books.account_of(line.out_trade_no) for line in first)
            name = next((one for one in found if one), None)
        finally:
            books.close()
    if date is None:
        raise typer.BadParameter("an empty bill does not say its day", param_hint="--bill-date")
    if name is None:
        raise typer.BadParameter(
            "no line of it is known here; name the channel account", param_hint="--account"
        )
    if first:
        _refuse_another(paths[0].parent, name, first[0].account, number)
    return date, name


def _refuse_another(folder: Path, name: str, told: str, number: str | None) -> None:
    """Raise BillRefused unless a bill is of the account `number`, else of that of those before.

    Somebody else's bill would make a difference of every line, and take the place of the right one.
    """
    from payments.bills.lines import BillRefused
    from payments.storage.reconciliation import FILE_NAME

    known = number
    if known is None and (folder / FILE_NAME).exists():
        reader = _reader(folder)
        try:
            runs = reader.runs_page(name, 0, "", "", LISTED_RUNS)
            known = next((run.channel_account for run in runs if run.channel_account), None)
        finally:
            reader.close()
    if known is not None and told != known:
        raise BillRefused(
            f"it is of another account of the channel than {known}, which {name} is there",
            remedy=f"say whose it is with --account, or with --number the new number of {name}",
        )


def _valid(date: int) -> int:
    from payments.reconciliation.lines import day_bounds

    try:
        day_bounds(date)
    except ValueError as error:
        raise typer.BadParameter(f"{date} is no day, yyyymmdd", param_hint="--bill-date") from error
    return date


# --- showing ---------------------------------------------------------------------------------


def _folder(config: Any, data: Any) -> Path:
    folder: Path = settings_from(config, {"data_dir": data}).data_path
    return folder


def _reader(folder: Path) -> Any:
    from payments.storage.reconciliation import FILE_NAME, ReconciliationReader

    return ReconciliationReader(folder / FILE_NAME)


def _known(reader: Any, identifier: str) -> Any:
    run = reader.run(identifier)
    if run is None or run.counts is None:
        raise typer.BadParameter(f"no comparison {identifier!r} has finished here")
    return run


def _now() -> int:
    from payments.clock import SystemClock

    return SystemClock().now_ms()


def _say_runs(views: list[dict[str, Any]], *, as_json: bool) -> None:
    rows = [
        view
        | {
            "matched": view["counts"]["matched"],
            "found": sum(view["counts"].values()) - view["counts"]["matched"],
            "open": sum(view["open"].values()),
        }
        for view in views
    ]
    say_rows({"data": views}, rows, RUN_COLUMNS, as_json=as_json)


def _line(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"proposal": item["proposal"]["act"]}


def _say_run(view: dict[str, Any], *, as_json: bool) -> None:
    """What a comparison came to; exit with 1 when differences are open."""
    opened = sum(view["open"].values())
    shown = {name: one for name, one in view.items() if name not in HIDDEN}
    say(view, as_json=as_json, text=fields(shown))
    if opened:
        if not as_json:
            note(f"{opened} open: tillway recon show {view['id']}")
        raise typer.Exit(EXIT_CHECK_FAILED)
