"""What happened to a shop's money while the test clock moved: two looks, and the difference."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.cli.client import call, target

NEWEST: Final = {"limit": "100"}
"""How many of each kind are looked at: more than a few test days have."""

RECEIVERS_MAX: Final = 20
"""Receivers that are looked at, the newest: each costs some requests."""

KINDS: Final = {
    "batches": "/v1/clearing_batches",
    "instructions": "/v1/settlement_instructions",
    "withdrawals": "/v1/withdrawals",
}
BILLS: Final = 100
"""How many comparisons with bills are looked at, the newest."""

PURSE: Final = ("pending", "available", "frozen", "in_transit", "debt")

Look = dict[str, Any]


def look(data: Path | None) -> Look:
    """How the money of the key's shop stands: its own, its receivers', and the books of all.

    Problem for a key that acts for no merchant, or may not look.
    """
    query = {"limit": str(RECEIVERS_MAX)}
    receivers = call("GET", "/v1/receivers", data=data, query=query).get("data", [])
    owners: dict[str, dict[str, str]] = {"the shop": {}}
    owners |= {each["name"]: {"receiver": each["id"]} for each in receivers}
    return {
        "balances": {
            name: _purse(call("GET", "/v1/balances", data=data, query=query))
            for name, query in owners.items()
        },
        "trial_balance": _residual(call("GET", "/v1/ledger/trial_balance", data=data)),
        **{kind: _of_all(kind, path, owners.values(), data) for kind, path in KINDS.items()},
        "bills": _bills(data),
    }


def _bills(data: Path | None) -> dict[str, Look]:
    """The comparisons that are kept, where the gateway's own files lie here; else nothing.

    A bill shows what all shops sell, so a shop's key may not ask for it. Whoever has the files may
    read them: in the demo that is everybody who moves its clock.
    """
    from gateway.settings import default_data_dir, read_ready
    from payments.reconciliation.exceptions import run_view
    from payments.storage.reconciliation import FILE_NAME, ReconciliationReader

    folder = default_data_dir("demo") if data is None else data
    is_here = read_ready(folder).get("api") == target(data)[0]
    if not is_here or not (folder / FILE_NAME).exists():
        return {}
    reader = ReconciliationReader(folder / FILE_NAME)
    try:
        runs = [run_view(run, reader.open_counts(run.id)) for run in reader.runs(BILLS)]
    finally:
        reader.close()
    return {run["id"]: run for run in runs if run["status"] == "finished"}


def _of_all(
    kind: str, path: str, owners: Iterable[dict[str, str]], data: Path | None
) -> dict[str, Look]:
    """The newest objects of a kind by their ids: the shop's, and its receivers'."""
    found: dict[str, Look] = {}
    for owner in owners:
        if not owner or kind != "batches":
            found |= _by_id(call("GET", path, data=data, query={**NEWEST, **owner}))
    return found


def _purse(answer: Look) -> dict[str, int]:
    """The sums of a purse, over currencies there is but one of."""
    rows = answer.get("data", [])
    return {name: sum(row[name] for row in rows) for name in PURSE}


def _residual(answer: Look) -> int:
    return sum(abs(each["residual"]) for each in answer.get("currencies", {}).values())


def _by_id(answer: Look) -> dict[str, Look]:
    return {row["id"]: row for row in answer.get("data", [])}


def story(before: Look, after: Look) -> Look:
    """What is new or stands otherwise, and the balances of both looks; oldest first."""
    told: Look = {
        kind: [
            row
            for identifier, row in sorted(after[kind].items())
            if row["status"] != before[kind].get(identifier, {}).get("status")
        ]
        for kind in KINDS
    }
    told["bills"] = [
        run
        for identifier, run in sorted(after["bills"].items())
        if _stands(run) != _stands(before["bills"].get(identifier, {}))
    ]
    told["balances"] = [
        {"of": name, "before": before["balances"].get(name, dict.fromkeys(PURSE, 0)), "after": now}
        for name, now in after["balances"].items()
    ]
    told["trial_balance"] = after["trial_balance"]
    return told


def _stands(run: Look) -> tuple[Any, ...]:
    """What of a comparison may change after it was made."""
    return run.get("status"), run.get("open"), run.get("bank")


def in_words(told: Look) -> str:
    """The story for people, one thing a line."""
    lines = [*_batches(told["batches"]), *_paid(told["instructions"], "instruction")]
    lines += _paid(told["withdrawals"], "withdrawal")
    lines += [_bill(run) for run in told["bills"]]
    lines += [line for each in told["balances"] for line in _balance(each)]
    if not lines:
        lines.append("Nothing happened to the shop's money.")
    residual = told["trial_balance"]
    lines.append("The books balance." if not residual else f"The books are off by {residual}.")
    return "\n".join(lines)


def _batches(rows: Iterable[Look]) -> Iterable[str]:
    for row in rows:
        yield (
            f"batch {row['business_date']}/{row['sequence']} {row['status']}: sold "
            f"{yuan(row['gross'])}, refunds {yuan(row['refunds'])}, fees {yuan(row['fees'])}, "
            f"shares {yuan(row['splits'])}, net {yuan(row['net'])}"
        )


def _paid(rows: Iterable[Look], what: str) -> Iterable[str]:
    for row in rows:
        why = f" ({row['reason']})" if row.get("reason") else ""
        yield f"{what} of {yuan(row['amount'])} {row['status']}{why}"


def _bill(run: Look) -> str:
    """How a channel's bill, and the bank's credit for it, agree with our rows."""
    others = [f"{count} {kind}" for kind, count in run["counts"].items() if kind != "matched"]
    opened = sum(run["open"].values())
    said = [f"{run['counts']['matched']} lines agree", *others]
    said.append(f"{opened} open" if opened else "nothing open")
    if run.get("bank") is not None:
        said.append(f"at the bank: {run['bank']['status']}")
    return f"bill of {run['account']} {run['bill_date']}: " + ", ".join(said)


def _balance(each: Look) -> Iterable[str]:
    """What of a purse has changed."""
    before, after = each["before"], each["after"]
    changed = [
        f"{name.replace('_', ' ')} {yuan(before[name])} -> {yuan(after[name])}"
        for name in PURSE
        if before[name] != after[name]
    ]
    if changed:
        yield f"{each['of']}: " + ", ".join(changed)


def yuan(minor: int) -> str:
    """Minor units as people write them."""
    sign = "-" if minor < 0 else ""
    return f"{sign}¥{abs(minor) // 100}.{abs(minor) % 100:02}"
