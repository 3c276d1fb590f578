"""`tillway recon import … --dialect wechat-sharing`: a bill of divided money against our rows."""

from collections.abc import Callable
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, Final

import typer

PEEKED_LINES: Final = 1_000
"""Lines that are looked up to learn whose account and what day it is about."""


def compared(
    file: Path,
    channel: str,
    bill_date: int | None,
    account: str | None,
    paths: list[Path],
    refuse_another: Callable[[Path, str, str], None],
) -> dict[str, Any]:
    """Compare, and tell what came out. Raise BillRefused, FileNotFoundError; exit with usage.

    `refuse_another`: (folder, our name, the channel's number) raises BillRefused for a bill of
    another account than the ones before.
    """
    from payments.bills.lines import BillRefused
    from payments.channels.bills import SHARE_READERS
    from payments.clock import SystemClock
    from payments.reconciliation.exceptions import run_view
    from payments.reconciliation.lines import day_bounds
    from payments.reconciliation.shared import SUFFIX, sharing_account
    from payments.storage.comparing import Bill, Comparing
    from payments.storage.expected import is_live

    read = SHARE_READERS[channel]
    with file.open("rb") as content:
        digest = file_digest(content, "sha256").hexdigest()
    with file.open("rb") as content:
        first = list(islice(read(content, bill_date), PEEKED_LINES))
    date = bill_date or (first[0].bill_date if first else None)
    if date is None:
        raise typer.BadParameter("an empty bill does not say its day", param_hint="--bill-date")
    known = account or _account_of([line.number for line in first], paths)
    if known is None:
        raise typer.BadParameter(
            "no line of it is known here; name the channel account", param_hint="--account"
        )
    name = sharing_account(known.removesuffix(SUFFIX))
    if first:
        refuse_another(paths[0].parent, name, first[0].account)
    clock, livemode = SystemClock(), is_live(paths[0])
    if livemode and day_bounds(date)[1] > clock.now_ms():
        remedy = "wait for the channel's bill of the whole day"
        raise BillRefused(f"the day {date} is not over in China", remedy=remedy)
    comparing = Comparing(paths[0].parent, paths, clock, livemode=livemode)
    with file.open("rb") as content:
        bill = Bill(name, channel, date, file.name, digest)
        run = comparing.compare_shares(bill, content, read)
    reader = comparing.reader()
    assert reader is not None
    try:
        return run_view(run, reader.open_counts(run.id))
    finally:
        reader.close()


def _account_of(numbers: list[str], paths: list[Path]) -> str | None:
    """Our name of the account of the first number that is known here."""
    from payments.storage.shared import SharedRows

    rows = SharedRows(paths, "")
    try:
        return next((one for one in map(rows.account_of, numbers) if one), None)
    finally:
        rows.close()
