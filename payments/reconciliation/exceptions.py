"""The differences of a comparison for people and programs: `recon_exceptions.itemized.1`."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from payments.calendar import rfc3339
from payments.reconciliation.bank import BankLeg, Booked
from payments.reconciliation.differences import Difference, Side
from payments.reconciliation.runs import Run, age_days
from payments.reports.tables import Cell, Column, Kind, Row, Table

TYPE: Final = "recon_exceptions.itemized.1"

COLUMNS: Final = (
    Column("item_id"),
    Column("run_id"),
    Column("account"),
    Column("channel"),
    Column("bill_date"),
    Column("type"),
    Column("status"),
    Column("owner"),
    Column("age_days"),
    Column("line"),
    Column("number"),
    Column("payment_or_refund_id"),
    Column("currency"),
    Column("amount", Kind.AMOUNT),
    Column("ours_state"),
    Column("ours_amount", Kind.AMOUNT),
    Column("ours_settle_amount", Kind.AMOUNT),
    Column("ours_fee", Kind.AMOUNT),
    Column("ours_at"),
    Column("theirs_state"),
    Column("theirs_amount", Kind.AMOUNT),
    Column("theirs_settle_amount", Kind.AMOUNT),
    Column("theirs_fee", Kind.AMOUNT),
    Column("theirs_at"),
    Column("proposal"),
    Column("proposed_entry"),
    Column("expected_from"),
    Column("expected_to"),
    Column("resolved_by"),
    Column("maker"),
    Column("maker_note"),
    Column("checker"),
    Column("checker_note"),
    Column("file_sha256"),
    Column("file_lines"),
)


def table(run: Run, items: Iterable[tuple[str, Difference]], now: int) -> Table:
    """The differences as rows, in the order in which they were found. `now`: for their age, ms."""
    return Table(type=TYPE, columns=COLUMNS, rows=_rows(run, items, now), key="item_id")


def _rows(run: Run, items: Iterable[tuple[str, Difference]], now: int) -> Iterator[Row]:
    age = age_days(run.bill_date, now)
    for identifier, each in items:
        yield (
            identifier,
            run.id,
            run.account,
            run.channel,
            run.bill_date,
            each.kind.value,
            each.standing.value,
            each.owner.value,
            age,
            each.line.value,
            each.number,
            each.ours.object if each.ours else None,
            each.currency,
            each.amount,
            *_side(each.ours),
            *_side(each.theirs),
            each.proposal.act.value,
            "; ".join(f"{account} {minor}" for account, minor in each.proposal.postings),
            each.until[0] or None,
            each.until[1] or None,
            each.resolved_by,
            each.maker,
            each.maker_note,
            each.checker,
            each.checker_note,
            run.file_sha256,
            " ".join(map(str, each.rows)),
        )


def _side(side: Side | None) -> tuple[Cell, ...]:
    if side is None:
        return (None,) * 5
    return (side.state.value, side.amount, side.settle_amount, side.fee, rfc3339(side.at_ms))


def item_view(identifier: str, each: Difference, run: Run, now: int) -> dict[str, Any]:
    """A difference as JSON. Amounts in minor units of `currency`; `age_days` since its bill."""
    return {
        "id": identifier,
        "object": "reconciliation_item",
        "reconciliation": run.id,
        "type": each.kind.value,
        "status": each.standing.value,
        "owner": each.owner.value,
        "age_days": age_days(run.bill_date, now),
        "line": each.line.value,
        "number": each.number,
        "currency": each.currency,
        "amount": each.amount,
        "ours": _side_view(each.ours),
        "theirs": _side_view(each.theirs),
        "evidence": {
            "file_sha256": run.file_sha256,
            "lines": list(each.rows),
            "credits": [_booked_view(credit) for credit in each.credits],
        },
        "proposal": {
            "act": each.proposal.act.value,
            "entry": [
                {"account": account, "amount": minor} for account, minor in each.proposal.postings
            ],
        },
        "expected_in": list(each.until) if each.until != (0, 0) else None,
        "resolved_by": each.resolved_by or None,
        "maker": each.maker or None,
        "checker": each.checker or None,
    }


def _booked_view(credit: Booked) -> dict[str, Any]:
    return {
        "reference": credit.reference,
        "movement": credit.movement,
        "statement_on": credit.statement_on,
        "amount": credit.amount,
    }


def _bank_view(leg: BankLeg | None) -> dict[str, Any] | None:
    if leg is None:
        return None
    return {
        "status": leg.state.value,
        "due": leg.due,
        "credited": leg.credited,
        "amount": leg.amount,
        "credits": [_booked_view(credit) for credit in leg.credits],
    }


def _side_view(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "id": side.object or None,
        "state": side.state.value,
        "currency": side.currency,
        "amount": side.amount,
        "settle_amount": side.settle_amount,
        "discount_channel": side.discount_channel,
        "fee": side.fee,
        "at": rfc3339(side.at_ms),
    }


def run_view(run: Run, open_counts: dict[str, int]) -> dict[str, Any]:
    """A comparison as JSON. `open_counts`: kind -> differences that are open now."""
    counts = run.counts
    assert counts is not None, run.id
    return {
        "id": run.id,
        "object": "reconciliation",
        "account": run.account,
        "channel": run.channel,
        "channel_account": run.channel_account,
        "bill_date": run.bill_date,
        "status": run.status.value,
        "file": run.file_name,
        "file_sha256": run.file_sha256,
        "supersedes": run.supersedes or None,
        "counts": {"matched": counts.matched, **run.by_kind},
        "open": open_counts,
        "lines": {"ours": counts.ours_lines, "theirs": counts.theirs_lines},
        "totals": {
            "ours": counts.ours,
            "theirs": counts.theirs,
            "differences": counts.differences,
            "of_other_days": counts.crossed,
            "in_other_bills": counts.elsewhere,
            "fees": counts.fees,
        },
        "bank": _bank_view(run.bank),
    }
