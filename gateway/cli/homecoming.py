"""What happened to a shop's money while the test clock moved: two looks, and the difference."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from gateway.cli.client import call

NEWEST: Final = {"limit": "100"}
"""How many of each kind are looked at: more than a few test days have."""

RECEIVERS_MAX: Final = 20
"""Receivers that are looked at, the newest: each costs some requests."""

KINDS: Final = {
    "batches": "/v1/clearing_batches",
    "instructions": "/v1/settlement_instructions",
    "withdrawals": "/v1/withdrawals",
}
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
    }


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
    told["balances"] = [
        {"of": name, "before": before["balances"].get(name, dict.fromkeys(PURSE, 0)), "after": now}
        for name, now in after["balances"].items()
    ]
    told["trial_balance"] = after["trial_balance"]
    return told


def in_words(told: Look) -> str:
    """The story for people, one thing a line."""
    lines = [*_batches(told["batches"]), *_paid(told["instructions"], "instruction")]
    lines += _paid(told["withdrawals"], "withdrawal")
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
