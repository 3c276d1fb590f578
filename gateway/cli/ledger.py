"""`tillway ledger …`: the books of a data directory, recomputed from their rows."""

from typing import Any, Final

import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, data_files
from gateway.cli.output import EXIT_CHECK_FAILED, complain, fields, progress, say, say_rows

app: Final = typer.Typer(no_args_is_help=True)
SUMS: Final = ("currency", "debits", "credits", "residual")


@app.command()
def verify(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Walk the hash chain, fold all balances anew, look for payments unbooked or doubled.

    Exit code 1 when anything is wrong. Works on a running or a stopped gateway.

    Example: tillway ledger verify --data ./data --json
    """
    report = _report(config, data, quiet=as_json)
    shown = {name: value for name, value in report.items() if name != "currencies"}
    say(report, as_json=as_json, text=fields(shown))
    if not report["ok"]:
        complain("the books are not sound: stop paying out, keep a copy of the files, report it")
        raise typer.Exit(EXIT_CHECK_FAILED)


@app.command("trial-balance")
def trial_balance(config: ConfigFile = None, data: DataDir = None, as_json: AsJson = False) -> None:
    """Debits and credits by currency. Exit code 1 unless they are equal.

    Example: tillway ledger trial-balance --data ./data
    """
    report = _report(config, data, quiet=as_json)
    sums = report["currencies"]
    shown = {"trial_balance": report["trial_balance"], "currencies": sums}
    say_rows(shown, sums, SUMS, as_json=as_json)
    if report["trial_balance"]:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _report(config: Any, data: Any, *, quiet: bool) -> dict[str, Any]:
    """All shards together."""
    from payments.storage.audit import audit

    paths = data_files(config, data)
    audits = []
    with progress("recomputing the books", len(paths), quiet=quiet) as step:
        for path in paths:
            audits.append(audit(path))
            step(len(audits))
    payments: dict[str, int] = {}
    sums: dict[str, dict[str, Any]] = {}
    for one in audits:
        for status, count in one.payments.items():
            payments[status] = payments.get(status, 0) + count
        for each in one.currencies:
            total = sums.setdefault(
                each.currency,
                {"currency": each.currency, "debits": 0, "credits": 0, "residual": 0},
            )
            for name in SUMS[1:]:
                total[name] += getattr(each, name)
    return {
        "ok": all(one.ok for one in audits),
        "payments": payments,
        "entries": sum(one.entries for one in audits),
        "doubled": sum(one.doubled for one in audits),
        "unbooked": sum(one.unbooked for one in audits),
        "broken": sum(one.broken for one in audits),
        "trial_balance": sum(one.residual for one in audits),
        "chain_ok": all(one.chain_ok for one in audits),
        "balances_ok": all(one.balances_ok for one in audits),
        "currencies": [sums[name] for name in sorted(sums)],
        "complaints": [complaint for one in audits for complaint in one.complaints],
    }
