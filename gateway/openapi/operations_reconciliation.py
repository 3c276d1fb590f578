"""Reconciliation, described."""

from typing import Final

from gateway.handlers.reconciliations import ITEM_FILTERS, READ, RUN_FILTERS
from gateway.openapi.operation import ASKED, RUNNING, WRITTEN, Operation, Operations, Said, listing
from gateway.openapi.shapes_reconciliation import ReconciliationItemView, ReconciliationView
from payments.reconciliation.wishes import NewReconciliation, ProposeResolution, ResolveItem

_ITEM: Final = "/v1/reconciliation_items/{id}"
_DONE: Final = {200: Said("The difference as it now is.", ReconciliationItemView)}
_OPERATORS: Final = "For operators: a channel's bill shows the payments of all merchants."

RECONCILED: Final[Operations] = {
    ("POST", "/v1/reconciliations"): Operation(
        "createReconciliation",
        RUNNING,
        "Fetch a bill and compare it now",
        {
            200: Said("The comparison. The same bill again is the same comparison.",
                      ReconciliationView),
            202: Said("It runs; ask again.", ReconciliationView),
        },
        f"{_OPERATORS} It happens by itself on the morning after; this is for a day that was "
        "missed, or a bill that was corrected. The role `operator`.",
        body=NewReconciliation,
        scope=READ,
        problems=(*WRITTEN, "conflict"),
    ),
    ("GET", "/v1/reconciliations"): listing(
        "listReconciliations", RUNNING, ReconciliationView, RUN_FILTERS, scope=READ,
        back=False, kinds="comparisons", text=_OPERATORS,
    ),
    ("GET", "/v1/reconciliations/{id}"): Operation(
        "getReconciliation", RUNNING, "Read a comparison",
        {200: Said("The comparison.", ReconciliationView)}, scope=READ, prefix="rec",
        problems=ASKED,
    ),
    ("GET", "/v1/reconciliation_items"): listing(
        "listReconciliationItems", RUNNING, ReconciliationItemView, ITEM_FILTERS, scope=READ,
        back=False, kinds="differences",
        text="Those of the comparisons that count, or of one.",
    ),
    ("GET", _ITEM): Operation(
        "getReconciliationItem", RUNNING, "Read a difference",
        {200: Said("The difference.", ReconciliationItemView)}, scope=READ, prefix="rci",
        problems=ASKED,
    ),
    ("POST", f"{_ITEM}/propose"): Operation(
        "proposeReconciliationItem",
        RUNNING,
        "Propose how a difference ends",
        _DONE,
        "The maker's step, with the role `maker` or `operator`. Without an `act`, what the "
        "comparison proposes.",
        body=ProposeResolution,
        scope=READ,
        prefix="rci",
        problems=(*WRITTEN, "conflict"),
    ),
    ("POST", f"{_ITEM}/resolve"): Operation(
        "resolveReconciliationItem",
        RUNNING,
        "Agree to what was proposed, or not",
        _DONE,
        "The checker's step, by another key than the maker's, with the role `checker` or "
        "`operator`. Accepted, the entry is booked once, or the channel is asked and what it "
        "says is folded; rejected, somebody proposes anew.",
        body=ResolveItem,
        scope=READ,
        prefix="rci",
        problems=(*WRITTEN, "conflict"),
    ),
}  # fmt: skip
