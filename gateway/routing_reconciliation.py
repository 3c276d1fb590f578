"""The routes of reconciliation, on one screen."""

from typing import Final

from gateway.handlers.reconciliations import (
    CHECKS,
    ITEM_FILTERS,
    MAKES,
    RUN_FILTERS,
    RUNS,
    changing,
    listing,
    reading,
)
from gateway.routes import Route
from payments.reconciliation.wishes import NewReconciliation, ProposeResolution, ResolveItem

RECONCILIATION_ROUTES: Final = (
    Route(
        "POST",
        "/v1/reconciliations",
        changing("reconciliations.create", NewReconciliation, RUNS),
    ),
    Route("GET", "/v1/reconciliations", listing("reconciliations.list", RUN_FILTERS)),
    Route("GET", "/v1/reconciliations/{id}", reading("reconciliations.get")),
    Route("GET", "/v1/reconciliation_items", listing("reconciliation_items.list", ITEM_FILTERS)),
    Route("GET", "/v1/reconciliation_items/{id}", reading("reconciliation_items.get")),
    Route(
        "POST",
        "/v1/reconciliation_items/{id}/propose",
        changing("reconciliation_items.propose", ProposeResolution, MAKES),
    ),
    Route(
        "POST",
        "/v1/reconciliation_items/{id}/resolve",
        changing("reconciliation_items.resolve", ResolveItem, CHECKS),
    ),
)
