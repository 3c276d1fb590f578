"""Write the Grafana dashboards: `python scripts/dashboards.py` after a change here.

Dashboards as Grafana exports them are thousands of lines that nobody reviews; this says the same.
A test compares the files to what this makes, and each metric in a panel to gateway/metrics.py.
"""

import json
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[1] / "config" / "grafana" / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "tillway-prometheus"}
WIDTH: Final = 24
HEIGHT: Final = 8
SCHEMA: Final = 39

Query = tuple[str, str]
"""A PromQL expression, and the legend of what it gives."""


def panel(title: str, unit: str, *queries: Query, width: int = 8, kind: str = "timeseries") -> Any:
    """One panel, without its place."""
    return {
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "datasource": SOURCE,
                "expr": expression,
                "legendFormat": legend,
                "refId": chr(65 + at),
            }
            for at, (expression, legend) in enumerate(queries)
        ],
        "width": width,
    }


def heatmap(title: str, metric: str, by: str = "") -> Any:
    """Buckets of a histogram over time."""
    made = panel(
        title, "s", (f"sum by (le) (rate({metric}_bucket{by}[$__rate_interval]))", "{{le}}")
    )
    made["type"] = "heatmap"
    made["targets"][0]["format"] = "heatmap"
    made["options"] = {"calculate": False, "yAxis": {"unit": "s"}}
    return made


def quantiles(metric: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    """p50 and p99 of a histogram; `by`: a label that stays apart."""
    label = f"{{{{{by}}}}} " if by else ""
    group = f"le, {by}" if by else "le"
    rate = f"sum by ({group}) (rate({metric}_bucket{where}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({share}, {rate})", f"{label}{name}")
        for share, name in (("0.5", "p50"), ("0.99", "p99"))
    )


def per_second(metric: str, *by: str, where: str = "") -> Query:
    """The rate of a counter, kept apart by labels."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by) or "all"
    group = f" by ({', '.join(by)})" if by else ""
    return f"sum{group} (rate({metric}{where}[$__rate_interval]))", legend


def dashboard(uid: str, title: str, panels: list[Any]) -> dict[str, Any]:
    """The panels laid out in rows of 24 columns."""
    x = y = 0
    for number, each in enumerate(panels, 1):
        width = each.pop("width")
        if x + width > WIDTH:
            x, y = 0, y + HEIGHT
        each |= {"id": number, "gridPos": {"x": x, "y": y, "w": width, "h": HEIGHT}}
        x += width
    return {
        "uid": uid,
        "title": title,
        "tags": ["tillway"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": []},
        "annotations": {"list": []},
        "panels": panels,
    }


OUTCOMES: Final = 'outcome!="late_success"'
SUCCEEDED: Final = '{outcome="succeeded"}'


def payments() -> dict[str, Any]:
    """What the business sees."""
    succeeded = f"sum by (channel) (rate(tillway_payment_total{SUCCEEDED}[$__rate_interval]))"
    ended = f"sum by (channel) (rate(tillway_payment_total{{{OUTCOMES}}}[$__rate_interval]))"
    calls = "tillway_channel_request_duration_seconds"
    hook = "tillway_webhook"
    amounts = per_second("tillway_payment_amount_minor_total", "channel", "currency")
    return dashboard(
        "tillway-payments",
        "Tillway: payments",
        [
            panel("Payments a second", "ops", per_second("tillway_payment_total", "outcome")),
            panel("Success by channel", "percentunit", (f"{succeeded} / {ended}", "{{channel}}")),
            panel(
                "Ledger out of balance", "none", ("tillway_ledger_imbalance_minor", "minor units")
            ),
            panel("Amount a second, minor units", "short", amounts),
            panel("By way", "ops", per_second("tillway_payment_total", "channel", "way")),
            panel("Risk", "ops", per_second("tillway_risk_decision_total", "rule", "decision")),
            panel("Channel: time of calls", "s", *quantiles(calls, "channel")),
            panel("Channel: outcomes", "ops", per_second(f"{calls}_count", "channel", "outcome")),
            panel(
                "Channel: circuit (0 closed, 1 half open, 2 open)",
                "none",
                ("tillway_channel_circuit_state", "{{channel}}"),
            ),
            panel(
                "Channel: calls under way",
                "none",
                ("tillway_channel_calls_running", "{{channel}} running"),
                ("tillway_channel_calls_queued", "{{channel}} queued"),
                ("tillway_channel_credits", "{{channel}} credits"),
            ),
            panel(
                "Doubtful",
                "ops",
                per_second("tillway_payment_overdue_total", "channel"),
                per_second("tillway_channel_timeouts_total", "channel"),
            ),
            panel("Under way", "none", ("sum(tillway_payment_live)", "payments in memory")),
            panel(
                "Callbacks a second",
                "ops",
                per_second("tillway_channel_callbacks_total", "channel", "outcome"),
            ),
            panel("Webhooks a second", "ops", per_second(f"{hook}_delivery_total", "outcome")),
            panel("Webhooks: answers", "s", *quantiles(f"{hook}_request_duration_seconds")),
            panel(
                "Webhooks that wait",
                "none",
                (f"{hook}_backlog", "deliveries"),
                (f"{hook}_in_flight", "on the wire"),
                (f"{hook}_unread_events", "events not read yet"),
                (f"{hook}_endpoints", "endpoints {{status}}"),
            ),
            *bank_panels(),
        ],
    )


def bank_panels() -> list[dict[str, Any]]:
    """What goes home, and what is in doubt on its way."""
    bank = "tillway_custody"
    return [
        panel(
            "Payouts at the bank",
            "none",
            (f"{bank}_orders_waiting", "not sent"),
            (f"{bank}_orders_at_bank", "at the bank"),
            (f"{bank}_orders_unknown", "in doubt"),
            (f"{bank}_untold", "news not taken"),
            (f"{bank}_carries", "between shards"),
        ),
        panel(
            "Payouts in the shards",
            "none",
            ("tillway_settlement_instructions_open", "{{state}}"),
            ("increase(tillway_coverage_faults_total[1h])", "not covered: must be 0"),
        ),
        panel("Longest doubt", "s", (f"{bank}_oldest_unknown_seconds", "oldest")),
        panel(
            "Credits that wait",
            "none",
            (f"{bank}_credits_waiting", "for claims"),
            (f"{bank}_credits_foreign", "for a person"),
            (f"{bank}_credit_short_minor", "difference, minor units"),
        ),
        panel(
            "The bank's account",
            "none",
            (f"increase({bank}_unread_total[1h])", "not read in an hour"),
            (f"increase({bank}_missed_total[1h])", "missed by notices"),
        ),
    ]


def inside() -> dict[str, Any]:
    """What the operator sees."""
    http = "tillway_http_request_duration_seconds"
    cpu = per_second("tillway_process_cpu_seconds_total", "role")
    return dashboard(
        "tillway-inside",
        "Tillway: inside",
        [
            panel("Requests a second", "reqps", per_second(f"{http}_count", "route", "status")),
            panel("Time of an answer", "s", *quantiles(http, "route", '{route!="unknown"}')),
            heatmap("Answers to POST /v1/payments", http, '{route="/v1/payments",method="POST"}'),
            panel(
                "Stages, mean",
                "s",
                (
                    "sum by (stage) (rate(tillway_payment_stage_duration_seconds_sum"
                    "[$__rate_interval])) / sum by (stage) (rate("
                    "tillway_payment_stage_duration_seconds_count[$__rate_interval]))",
                    "{{stage}}",
                ),
            ),
            panel("Sync of the disk", "s", *quantiles("tillway_journal_fsync_duration_seconds")),
            panel(
                "Rows in a commit",
                "none",
                *quantiles("tillway_shard_batch_size"),
                ("tillway_shard_mailbox_depth", "{{shard}} waiting"),
            ),
            panel("Ready", "none", ("tillway_box_ready", "{{box}}")),
            panel(
                "Restarts",
                "none",
                ("increase(tillway_box_restarts_total[10m])", "{{role}}"),
                ("increase(tillway_shard_restarts_total[10m])", "shards"),
                ("increase(tillway_bugs_total[10m])", "{{role}} answered 500"),
            ),
            panel(
                "Late",
                "s",
                ("tillway_event_loop_lag_seconds", "{{box}} loop"),
                ("tillway_reference_age_seconds", "{{box}} reference"),
            ),
            panel("Processors in use", "none", cpu),
            panel("Memory", "bytes", ("tillway_process_resident_memory_bytes", "{{role}}")),
            panel(
                "Files",
                "bytes",
                ("tillway_journal_file_bytes", "{{shard}} main"),
                ("tillway_journal_wal_bytes", "{{shard}} log"),
            ),
            panel(
                "Clients",
                "none",
                ("tillway_http_connections", "{{worker}} connections"),
                ("tillway_http_requests_in_flight", "{{worker}} in flight"),
            ),
            panel("Merchants in memory", "none", ("tillway_shard_merchants_active", "{{shard}}")),
            panel("Signatures remembered", "none", ("tillway_shard_nonces", "{{shard}}")),
        ],
    )


def files() -> dict[Path, str]:
    """Every dashboard as it should stand."""
    made = {"payments": payments(), "inside": inside()}
    return {
        FOLDER / f"tillway-{name}.json": json.dumps(board, indent=1) + "\n"
        for name, board in made.items()
    }


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
