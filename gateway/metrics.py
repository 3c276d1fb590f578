"""Every Prometheus name, and the only importer of its client.

Boxes report plain numbers (actors/stats.py); here the latest of all of them are merged. What an
incarnation had counted when it ended is kept, so that no counter goes back when a box is replaced;
what it counted after its last report, up to a second, is lost with it. No label names a merchant,
a payment or a terminal: values of labels are as few as routes, channels, rules and boxes.
"""

import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from typing import Final, Literal

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from actors.stats import grows, process_numbers

SERIES_MAX: Final = 20_000
"""Numbers remembered of one box; more would be a label that is not bounded, and are dropped."""

OWN_ROLE: Final = "supervisor"

_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

Labels = tuple[str, ...]


class Metric(Struct, frozen=True):
    """One Prometheus name, and the number of the boxes it comes from.

    `number`: its name in the reports (of a histogram: without `_bucket`, `_sum`, `_count`).
    `box`: the label that says which box it is from (`role`: which kind); empty: boxes are merged.
    `roles`: only their reports count; empty: all. `merge`: how equal labels of several boxes meet.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    number: str
    labels: Labels = ()
    box: str = ""
    roles: Labels = ()
    merge: Literal["sum", "max"] = "sum"

    @property
    def all_labels(self) -> Labels:
        return (*self.labels, self.box) if self.box else self.labels


def _c(name: str, number: str, help: str, *labels: str, **more: str) -> Metric:
    return _m("counter", name, number, help, labels, more)


def _g(name: str, number: str, help: str, *labels: str, **more: str) -> Metric:
    return _m("gauge", name, number, help, labels, more)


def _h(name: str, number: str, help: str, *labels: str, **more: str) -> Metric:
    return _m("histogram", name, number, help, labels, more)


def _m(
    kind: Literal["counter", "gauge", "histogram"],
    name: str,
    number: str,
    text: str,
    labels: Labels,
    more: dict[str, str],
) -> Metric:
    roles = tuple(more.get("roles", "").split())
    merge: Literal["sum", "max"] = "max" if more.get("merge") == "max" else "sum"
    return Metric(name, kind, text, number, labels, more.get("box", ""), roles, merge)


BUILD: Final = "tillway_build"
READY: Final = "tillway_box_ready"
RESTARTS: Final = "tillway_box_restarts_total"
SHARD_RESTARTS: Final = "tillway_shard_restarts_total"
CPU: Final = "tillway_process_cpu_seconds_total"
MEMORY: Final = "tillway_process_resident_memory_bytes"

METRICS: Final = (
    _h("tillway_http_request_duration_seconds", "http_request_duration_seconds",
       "From the head of a request to its answer, at a front door.", "route", "method", "status"),
    _g("tillway_http_connections", "connections", "Open client connections.",
       box="worker", roles="front_door"),
    _g("tillway_http_requests_in_flight", "in_flight", "Requests being answered.",
       box="worker", roles="front_door"),
    _c("tillway_payment_total", "payments_total", "Payments that came to an outcome.",
       "channel", "way", "outcome"),
    _c("tillway_payment_amount_minor_total", "payment_amount_minor_total",
       "Asked amounts of payments that succeeded, in minor units.", "currency", "channel"),
    _g("tillway_payment_live", "live", "Payments in memory: under way, or waited for.",
       box="shard", roles="shard"),
    _c("tillway_payment_overdue_total", "payments_overdue_total",
       "Payments that passed their verdict_by without a verdict.", "channel"),
    _h("tillway_payment_stage_duration_seconds", "payment_stage_duration_seconds",
       "Where payments spend their time: one in 64 is measured, journal once a commit.", "stage"),
    _c("tillway_risk_decision_total", "risk_decisions_total",
       "Decisions of risk; a payment that several rules speak about counts for each.",
       "rule", "decision"),
    _g("tillway_channel_circuit_state", "channel_circuit_state",
       "0 closed, 1 half open, 2 open; the worst lane of the channel.", "channel", merge="max"),
    _h("tillway_channel_request_duration_seconds", "channel_request_seconds",
       "Calls to a channel; one that answers within our own process counts as no time.",
       "channel", "op", "outcome"),
    _g("tillway_channel_calls_running", "channel_calls_running",
       "Calls that the channel has not answered.", "channel"),
    _g("tillway_channel_calls_queued", "channel_calls_queued",
       "Calls that wait for room at the channel.", "channel"),
    _c("tillway_channel_timeouts_total", "channel_timeouts_total",
       "Calls given up without an answer.", "channel"),
    _c("tillway_channel_callbacks_total", "channel_callbacks_total",
       "Callbacks of a channel by what it was told; late ones are told again.",
       "channel", "outcome"),
    _g("tillway_channel_credits", "channel_credits",
       "Attempts that the channel's lanes would take from the shards now.", "channel"),
    _g("tillway_shard_mailbox_depth", "mailbox", "Commands that wait for a commit.",
       box="shard", roles="shard"),
    _h("tillway_shard_batch_size", "batch_size", "Payments and refunds written in one commit."),
    _g("tillway_shard_merchants_active", "merchants_active", "Merchants with counters in memory.",
       box="shard", roles="shard"),
    _g("tillway_shard_nonces", "nonces", "Signatures remembered so that none counts twice.",
       box="shard", roles="shard"),
    _h("tillway_journal_fsync_duration_seconds", "journal_fsync_seconds",
       "The disk's share of a commit: waiting for it to be durable."),
    _g("tillway_journal_wal_bytes", "wal_bytes", "Bytes in the log not yet in the main file.",
       box="shard", roles="shard"),
    _g("tillway_journal_file_bytes", "file_bytes", "Size of the store's main file.",
       box="shard", roles="shard"),
    _c("tillway_webhook_delivery_total", "webhook_deliveries_total",
       "Tries of webhooks by what came of them.", "outcome"),
    _h("tillway_webhook_request_duration_seconds", "webhook_request_seconds",
       "From the first step of a webhook's request to the end of its answer."),
    _g("tillway_webhook_backlog", "webhook_backlog",
       "Deliveries that were not taken and are not given up."),
    _g("tillway_webhook_in_flight", "webhook_in_flight", "Webhooks on the wire."),
    _g("tillway_webhook_endpoints", "webhook_endpoints", "Endpoints.", "status"),
    _g("tillway_webhook_unread_events", "webhook_unread_events",
       "Events that shards have and the courier has not read."),
    _g("tillway_reconciliation_open", "reconciliation_open",
       "Differences between bills and our rows that are open, by kind and age in days (7: more).",
       "type", "age_days"),
    _c("tillway_reconciliations_total", "reconciliations_total",
       "Bills by what became of them, and late successes that were given back.", "outcome"),
    _g("tillway_bill_refused", "bill_refused",
       "A channel's bill that cannot be believed, with the reason.",
       "channel", "bill_date", "reason"),
    _g("tillway_custody_orders_waiting", "custody_orders_waiting",
       "Payouts that were taken from a shard and have not left for the bank."),
    _g("tillway_custody_orders_at_bank", "custody_orders_at_bank",
       "Payouts that the bank has and has not carried out yet."),
    _g("tillway_custody_orders_unknown", "custody_orders_unknown",
       "Payouts of which nobody knows what became: they are asked about."),
    _g("tillway_custody_oldest_unknown_seconds", "custody_oldest_unknown_seconds",
       "For how long the oldest of those has been in doubt, business time.", merge="max"),
    _g("tillway_custody_untold", "custody_untold",
       "News of the bank that a shard was told and has not made durable."),
    _g("tillway_custody_carries", "custody_carries",
       "Second steps of transits under way between shards."),
    _g("tillway_custody_credits_waiting", "custody_credits_waiting",
       "Credits of channels that are not matched to the last claim."),
    _g("tillway_custody_credits_foreign", "custody_credits_foreign",
       "Credits whose text names no channel account and day: a person must look."),
    _g("tillway_custody_credit_short_minor", "custody_credit_short_minor",
       "How far waiting credits are from what is claimed, either way, in minor units."),
    _c("tillway_custody_unread_total", "custody_unread_total",
       "Readings of the account that the bank did not answer in a way to be believed."),
    _c("tillway_custody_missed_total", "custody_missed_total",
       "Movements that no notice told of and the day's statement had."),
    _c("tillway_custody_mismatched_total", "custody_orders_mismatched_total",
       "Payouts that came with another payment's number: nothing was sent; our bug."),
    _g("tillway_settlement_instructions_open", "instructions_open",
       "Payouts that are drafted, checked or under way at the bank.", "state"),
    _c("tillway_coverage_faults_total", "coverage_faults_total",
       "Entries after which a party had more than lies at the bank for it: must be 0; our bug."),
    _g("tillway_ledger_imbalance_minor", "imbalance_minor",
       "Debits minus credits of everything booked since the start: must be 0."),
    _g("tillway_reference_age_seconds", "reference_age_seconds",
       "Since the directory was last heard of; over 10 means not ready.", box="box"),
    _g("tillway_event_loop_lag_seconds", "loop_lag_seconds",
       "How late the box's event loop woke for its last report.", box="box"),
    _c("tillway_bugs_total", "bugs_total", "Requests answered as a fault of ours.", box="role"),
    _c(CPU, "cpu_seconds_total", "Processor time of our processes.", box="role"),
    _g(MEMORY, "resident_bytes", "Resident memory of our processes.", box="role"),
)  # fmt: skip

PROCESS_NUMBERS: Final = ("cpu_seconds_total", "resident_bytes")


class _Box:
    """What is known of one box. `base`: what its ended incarnations had counted."""

    __slots__ = ("base", "incarnation", "latest", "role")

    def __init__(self, role: str) -> None:
        self.role = role
        self.incarnation = 0
        self.latest: dict[str, float] = {}
        self.base: dict[str, float] = {}

    def take(self, incarnation: int, values: dict[str, float]) -> None:
        if incarnation < self.incarnation:
            return  # The last word of one that was replaced already: its end was reckoned.
        if incarnation > self.incarnation:
            for name, value in self.latest.items():
                if grows(name):
                    self.base[name] = self.base.get(name, 0.0) + value
            self.incarnation = incarnation
        if len(values) > SERIES_MAX:
            values = dict(list(values.items())[:SERIES_MAX])
        self.latest = values

    def numbers(self) -> Iterator[tuple[str, float]]:
        base = self.base
        for name, value in self.latest.items():
            yield name, value + base.get(name, 0.0)
        for name, value in base.items():
            if name not in self.latest:
                yield name, value


class Metrics(Collector):
    """The merged numbers of a deployment.

    metrics = Metrics({"mode": "test", "runtime": "ray"})
    metrics.take("shard-0", "shard", 1, {"live": 3.0})      # each report, as it comes
    body, content_type = metrics.expose(accept_header)
    """

    def __init__(
        self,
        facts: dict[str, str],
        restarts: Callable[[], dict[str, int]] = dict,
        checks: Callable[[], dict[str, bool]] = dict,
    ) -> None:
        """`facts`: for the build's labels. `restarts`: role to number; `checks`: box to ready."""
        self._facts = {"version": version(), "python": platform.python_version(), **facts}
        self.restarts = restarts
        self.checks = checks
        self._boxes: dict[str, _Box] = {}
        self._parsed: dict[str, tuple[str, dict[str, str]]] = {}
        self._pid = os.getpid()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def take(self, box: str, role: str, incarnation: int, values: dict[str, float]) -> None:
        """Remember a box's report. A new incarnation adds to what the earlier ones counted."""
        known = self._boxes.get(box)
        if known is None:
            known = self._boxes[box] = _Box(role)
        known.take(incarnation, values)

    def gone(self, box: str) -> None:
        """A box ended: its states are no longer true; its counts stay."""
        known = self._boxes.get(box)
        if known is not None:
            known.latest = {name: value for name, value in known.latest.items() if grows(name)}

    def expose(self, accept: str) -> tuple[bytes, str]:
        """The exposition in the format that an Accept header prefers, and its content type."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self._registry), content_type

    # --- collecting --------------------------------------------------------------------------

    def collect(self) -> Iterable[Family]:
        yield InfoMetricFamily(BUILD, "What is running.", value=self._facts)
        yield from self._supervised()
        sums = self._merged()
        for metric in METRICS:
            yield _family(metric, sums)

    def _supervised(self) -> Iterator[Family]:
        ready = GaugeMetricFamily(READY, "1: the box reports and says it is ready.", labels=["box"])
        for box, good in self.checks().items():
            ready.add_metric([box], good)
        yield ready
        restarts = self.restarts()
        family = CounterMetricFamily(RESTARTS, "Boxes started anew after a death.", labels=["role"])
        for role, count in restarts.items():
            family.add_metric([role], count)
        yield family
        shards = restarts.get("shard", 0)
        yield CounterMetricFamily(SHARD_RESTARTS, "Shards started anew after a death.", shards)

    def _merged(self) -> dict[tuple[str, Labels], dict[str, float]]:
        """(metric's name, label values) -> {"" or a bucket's edge or "sum": value}."""
        merged: dict[tuple[str, Labels], dict[str, float]] = {}
        for name, value in process_numbers(self._pid).items():
            if name in PROCESS_NUMBERS:
                self._add(merged, OWN_ROLE, OWN_ROLE, name, value)
        for box, known in self._boxes.items():
            is_own_process = known.latest.get("pid") == self._pid
            for name, value in known.numbers():
                if not (is_own_process and name in PROCESS_NUMBERS):
                    self._add(merged, box, known.role, name, value)
        return merged

    def _add(
        self,
        merged: dict[tuple[str, Labels], dict[str, float]],
        box: str,
        role: str,
        name: str,
        value: float,
    ) -> None:
        number, labels = self._parse(name)
        metric, part = _PARTS.get(number, (None, ""))
        if metric is None or (metric.roles and role not in metric.roles):
            return
        if part == "bucket":
            part = labels.get("le", "+Inf")
        values = [labels.get(label, "") for label in metric.labels]
        if metric.box:
            values.append(role if metric.box == "role" else box)
        row = merged.setdefault((metric.name, tuple(values)), {})
        if metric.merge == "max":
            row[part] = max(row.get(part, value), value)
        else:
            row[part] = row.get(part, 0.0) + value

    def _parse(self, text: str) -> tuple[str, dict[str, str]]:
        parsed = self._parsed.get(text)
        if parsed is None:
            name, _, labels = text.partition("{")
            if len(self._parsed) >= SERIES_MAX:
                self._parsed.clear()
            parsed = self._parsed[text] = name, dict(_LABEL.findall(labels))
        return parsed


def _parts() -> dict[str, tuple[Metric, str]]:
    """A number's name in the reports -> its metric, and which part of a histogram it is."""
    found: dict[str, tuple[Metric, str]] = {}
    for metric in METRICS:
        if metric.kind == "histogram":
            found[f"{metric.number}_bucket"] = metric, "bucket"
            found[f"{metric.number}_sum"] = metric, "sum"
        else:
            found[metric.number] = metric, ""
    return found


_PARTS: Final = _parts()


def _family(metric: Metric, merged: dict[tuple[str, Labels], dict[str, float]]) -> Family:
    rows = [(labels, row) for (name, labels), row in merged.items() if name == metric.name]
    rows.sort(key=lambda each: each[0])
    labels = metric.all_labels
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=labels)
        for values, row in rows:
            total = row.pop("sum", 0.0)
            buckets = sorted(row.items(), key=lambda each: float(each[0].replace("+Inf", "inf")))
            histogram.add_metric(values, buckets, total)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=labels)
    for values, row in rows:
        family.add_metric(values, row[""])
    return family


def names() -> list[str]:
    """Every name, as the exposition's series or families have it."""
    own = [f"{BUILD}_info", READY, RESTARTS, SHARD_RESTARTS]
    return sorted([*own, *(metric.name for metric in METRICS)])


def version() -> str:
    """The installed version; "unknown" in a checkout that was never installed."""
    try:
        return metadata.version("tillway")
    except metadata.PackageNotFoundError:
        return "unknown"
