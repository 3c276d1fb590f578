"""The bench's report: one HTML file with its plots inside, no script, nothing from elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from load_tests.plots import Row, bars, lines, number

FILE_NAME: Final = "report.html"
HISTORY_MAX: Final = 60
"""Runs that the plot over time shows."""

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --soft: #6b7684; --grid: #e3e7ec;
  --s0: #2563a8; --s1: #c2571a; --s2: #2d8a57; --s3: #8a4fb0; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #14181e; --soft: #98a3b2;
  --grid: #2b323c; --s0: #6aa9ea; --s1: #ef9a5f; --s2: #6cc796; --s3: #c49ae0; --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 780px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--grid); }
svg { width: 100%; height: auto; font-size: 12px; } svg text { fill: var(--ink); }
.bar { fill: var(--s0); } .over { fill: var(--bad); } .grid { stroke: var(--grid); }
.mark { stroke: var(--ink); stroke-width: 2; } .line { fill: none; stroke-width: 2; }
.line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); }
.line.s2 { stroke: var(--s2); } .line.s3 { stroke: var(--s3); }
circle.s0, svg text.s0 { fill: var(--s0); } circle.s1, svg text.s1 { fill: var(--s1); }
circle.s2, svg text.s2 { fill: var(--s2); } circle.s3, svg text.s3 { fill: var(--s3); }
.met { color: var(--s2); } .missed { color: var(--bad); font-weight: 600; }
.soft { color: var(--soft); }
"""


def _verdict(met: bool) -> str:
    return '<td class="met">met</td>' if met else '<td class="missed">missed</td>'


def _bars_table(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for figure in figures:
        for bar in figure["bars"]:
            sign = "≥" if bar["at_least"] else "≤"
            aim = f", aim {number(bar['aim'])}" if bar["aim"] is not None else ""
            rows.append(
                f"<tr><td>{escape(figure['name'])}</td><td>{escape(bar['name'])}</td>"
                f"<td>{number(bar['value'])}{escape(bar['unit'])}</td>"
                f"<td>{sign} {number(bar['limit'])}{aim}</td>{_verdict(bar['met'])}</tr>"
            )
        audit = figure["audit"]
        rows.append(
            f"<tr><td>{escape(figure['name'])}</td><td>audit</td>"
            f"<td>{audit['acknowledged']:,} acknowledged, {audit['in_ledger']:,} in the ledger</td>"
            f"<td>{audit['lost']} lost, {audit['doubled']} doubled, trial balance "
            f"{audit['trial_balance']}</td>{_verdict(audit['passed'])}</tr>"
        )
    head = "<tr><th>figure</th><th>value</th><th>measured</th><th>bar</th><th></th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def _closed(values: Mapping[str, Any]) -> str:
    labels = [f"run {number}" for number in range(1, len(values["runs"]) + 1)]
    budget = values["cpu_us_budget"]
    roles = {**dict.fromkeys(budget, 0.0), **values["cpu_us_by_role"]}
    percentiles = values["runs"][0]["latency_ms"]
    return (
        lines(
            "Requests and payments a second",
            labels,
            {
                "echo": [run["echo_per_second"] for run in values["runs"]],
                "durable payments": [run["payments_per_second"] for run in values["runs"]],
            },
            "a second",
        )
        + "<h2>CPU microseconds a payment, by process and stage, against the budget</h2>"
        + bars(
            "CPU by role",
            [Row(role, used, budget.get(role)) for role, used in roles.items()],
            " µs",
        )
        + "<h2>Latency at saturation, 256 connections (uncorrected: a closed loop)</h2>"
        + lines(
            "Latency at saturation",
            list(percentiles),
            {"first run": list(percentiles.values())},
            "ms",
        )
    )


def _open(values: Mapping[str, Any]) -> str:
    runs = values["runs"]
    last = runs[-1]
    names = list(last["corrected_ms"])
    shown = lines(
        "Latency percentiles of the last run",
        names,
        {
            "corrected (from due)": [last["corrected_ms"][name] for name in names],
            "uncorrected (from sent)": [last["uncorrected_ms"][name] for name in names],
        },
        "ms",
    )
    if len({run["target_rate"] for run in runs}) > 1:
        shown += "<h2>Latency over offered load</h2>" + lines(
            "Latency over offered load",
            [number(run["target_rate"]) for run in runs],
            {
                "corrected p50": [run["corrected_ms"]["p50"] for run in runs],
                "corrected p99": [run["corrected_ms"]["p99"] for run in runs],
                "uncorrected p99": [run["uncorrected_ms"]["p99"] for run in runs],
            },
            "ms",
        )
    return shown


def _baselines(values: Mapping[str, Any]) -> str:
    rows = [Row("this gateway", values["payments_per_second"])]
    rows += [Row(name, of["per_second"]) for name, of in values["baselines"].items()]
    return bars("Payments a second", rows, "/s")


def _shards(values: Mapping[str, Any]) -> str:
    cost = values["cpu_us_per_payment"]
    return bars("CPU a payment", [Row(f"{n} shards", of) for n, of in cost.items()], " µs")


PLOTS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "closed": _closed,
    "latency": _open,
    "sweep": _open,
    "baselines": _baselines,
    "shards": _shards,
}


def _over_time(history: Sequence[Mapping[str, Any]]) -> str:
    """The ratio over the runs of this machine: other machines' figures are not comparable."""
    ratios = [
        (entry["commit"][:8], figure["values"]["ratio"])
        for entry in history
        if entry["machine"]["processor"] == history[-1]["machine"]["processor"]
        for figure in entry["figures"]
        if figure["name"] == "closed"
    ][-HISTORY_MAX:]
    if len(ratios) < 2:
        return ""
    plot = lines("Ratio over time", [at for at, _ in ratios], {"ratio": [r for _, r in ratios]})
    return f"<h2>Payments ÷ echo, over the commits on this machine</h2>{plot}"


def _facts(entry: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{k} {v}" for k, v in entry["machine"]["packages"].items())
    machine = {k: v for k, v in entry["machine"].items() if k != "packages"}
    facts = {**machine, "packages": packages, **entry["configuration"]}
    rows = "".join(
        f"<tr><td>{escape(name.replace('_', ' '))}</td><td>{escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table>{rows}</table>"


def render(entry: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> str:
    """The page for one run; `history` ends with it."""
    sections = "".join(
        f"<h2>{escape(figure['title'])}</h2>{PLOTS[figure['name']](figure['values'])}"
        for figure in entry["figures"]
        if figure["name"] in PLOTS
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Tillway bench {escape(entry['commit'])}</title><style>{STYLE}</style></head>"
        f"<body><h1>Tillway bench</h1>"
        f'<p class="soft">Commit {escape(entry["commit"])}, {escape(entry["measured_at"])}. '
        "Load generator and servers share the processors; absolute figures move from run to run, "
        "the ratios are the point.</p>"
        f"{_bars_table(entry['figures'])}{sections}{_over_time(history)}"
        f"<h2>Measured on</h2>{_facts(entry)}</body></html>\n"
    )


def write(folder: Path, entry: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Path:
    """Write the report; return its path."""
    path = folder / FILE_NAME
    path.write_text(render(entry, history), encoding="utf-8")
    return path
