"""Every route of the public API on one screen."""

from collections.abc import Collection

from gateway.edge import Reply
from gateway.errors import ModuleNotServed
from gateway.handlers import (
    balances,
    callbacks,
    docs,
    escrow,
    helpers,
    operations,
    pages,
    payments,
    plates,
    reference,
    reported,
    webhooks,
)
from gateway.lists import RECEIVER_FILTERS, SPLIT_RULE_FILTERS
from gateway.modules import MODULES, how_to_serve, is_served, modules_of
from gateway.routes import Call, Route, Router
from gateway.routing_home import HOME_ROUTES
from gateway.routing_papers import PAPER_ROUTES
from gateway.routing_reconciliation import RECONCILIATION_ROUTES
from gateway.schemas import AdvanceClock, CreateClock
from payments.directory import (
    MerchantChange,
    NewKey,
    NewMerchant,
    NewStore,
    NewTerminal,
    Rotation,
)
from payments.splitting.wishes import (
    NewReceiver,
    NewSplitRule,
    ReceiverChange,
    SplitRuleChange,
)
from payments.webhook_wishes import (
    EnableEndpoint,
    EndpointChange,
    NewEndpoint,
    ResendEvent,
    ResendRange,
    RollSecret,
)

ROUTES = [
    Route("POST", "/v1/payments", payments.create),
    Route("GET", "/v1/payments", payments.list_payments),
    Route("GET", "/v1/payments/{id}", payments.read),
    Route("GET", "/v1/payments/{id}/timeline", webhooks.timeline),
    Route("GET", "/v1/payments/{id}/splits", payments.splits),
    Route("POST", "/v1/payments/{id}/cancel", payments.cancel),
    Route("POST", "/v1/payments/{id}/refunds", payments.refund),
    Route("POST", "/v1/payments/{id}/release", escrow.release),
    Route("GET", "/v1/refunds", payments.list_refunds),
    Route("POST", "/v1/reported_payments", reported.create),
    Route("GET", "/v1/reported_payments", reported.list_reported),
    Route("POST", "/v1/reported_payments/{id}/refunds", reported.refund),
    Route("GET", "/v1/refunds/{id}", payments.read_refund),
    Route("POST", "/v1/merchants", reference.creating("merchants.create", NewMerchant)),
    Route("GET", "/v1/merchants", reference.listing("merchants.list", reference.MERCHANT_FILTERS)),
    Route("GET", "/v1/merchants/{id}", reference.reading("merchants.get")),
    Route("POST", "/v1/merchants/{id}", reference.creating("merchants.update", MerchantChange)),
    Route("POST", "/v1/stores", reference.creating("stores.create", NewStore)),
    Route("GET", "/v1/stores", reference.listing("stores.list", reference.STORE_FILTERS)),
    Route("GET", "/v1/stores/{id}", reference.reading("stores.get")),
    Route("POST", "/v1/terminals", reference.creating("terminals.create", NewTerminal)),
    Route("GET", "/v1/terminals", reference.listing("terminals.list", reference.TERMINAL_FILTERS)),
    Route("GET", "/v1/terminals/{id}", reference.reading("terminals.get")),
    Route("POST", "/v1/qr_plates", plates.create),
    Route("GET", "/v1/qr_plates", plates.list_plates),
    Route("GET", "/v1/qr_plates/{id}", plates.read),
    Route("POST", "/v1/qr_plates/{id}", plates.update),
    Route("POST", "/v1/receivers", reference.creating("receivers.create", NewReceiver)),
    Route("GET", "/v1/receivers", reference.listing("receivers.list", RECEIVER_FILTERS)),
    Route("GET", "/v1/receivers/{id}", reference.reading("receivers.get")),
    Route("POST", "/v1/receivers/{id}", reference.creating("receivers.update", ReceiverChange)),
    Route("POST", "/v1/split_rules", reference.creating("split_rules.create", NewSplitRule)),
    Route("GET", "/v1/split_rules", reference.listing("split_rules.list", SPLIT_RULE_FILTERS)),
    Route("GET", "/v1/split_rules/{id}", reference.reading("split_rules.get")),
    Route(
        "POST", "/v1/split_rules/{id}", reference.creating("split_rules.update", SplitRuleChange)
    ),
    Route("GET", "/v1/balances", balances.list_balances),
    *PAPER_ROUTES,
    *HOME_ROUTES,
    *RECONCILIATION_ROUTES,
    Route("POST", "/v1/keys", reference.creating("keys.create", NewKey)),
    Route("GET", "/v1/keys", reference.listing("keys.list", reference.KEY_FILTERS)),
    Route("GET", "/v1/keys/{id}", reference.reading("keys.get")),
    Route("POST", "/v1/keys/{id}/rotate", reference.creating("keys.rotate", Rotation)),
    Route("DELETE", "/v1/keys/{id}", reference.removing("keys.revoke")),
    Route("POST", "/v1/webhook_endpoints", webhooks.creating("endpoints.create", NewEndpoint)),
    Route(
        "GET",
        "/v1/webhook_endpoints",
        webhooks.listing("endpoints.list", webhooks.ENDPOINT, {}),
    ),
    Route("GET", "/v1/webhook_endpoints/{id}", webhooks.reading("endpoints.get")),
    Route(
        "POST", "/v1/webhook_endpoints/{id}", webhooks.creating("endpoints.update", EndpointChange)
    ),
    Route(
        "PATCH", "/v1/webhook_endpoints/{id}", webhooks.creating("endpoints.update", EndpointChange)
    ),
    Route("DELETE", "/v1/webhook_endpoints/{id}", webhooks.removing("endpoints.delete")),
    Route(
        "POST", "/v1/webhook_endpoints/{id}/roll", webhooks.creating("endpoints.roll", RollSecret)
    ),
    Route(
        "POST",
        "/v1/webhook_endpoints/{id}/enable",
        webhooks.creating("endpoints.enable", EnableEndpoint),
    ),
    Route(
        "GET",
        "/v1/webhook_endpoints/{id}/deliveries",
        webhooks.listing("endpoints.deliveries", webhooks.DELIVERY, {}, back=False),
    ),
    Route(
        "GET",
        "/v1/events",
        webhooks.listing("events.list", webhooks.EVENT, webhooks.EVENT_FILTERS),
    ),
    Route("POST", "/v1/events/resend", webhooks.creating("events.resend_range", ResendRange)),
    Route("GET", "/v1/events/{id}", webhooks.reading("events.get")),
    Route("POST", "/v1/events/{id}/resend", webhooks.creating("events.resend", ResendEvent)),
    Route("GET", "/v1/events/{id}/deliveries", webhooks.reading("events.deliveries")),
    Route("POST", "/v1/test_helpers/clocks", reference.creating("clocks.create", CreateClock)),
    Route("GET", "/v1/test_helpers/clocks/{id}", reference.reading("clocks.get")),
    Route(
        "POST",
        "/v1/test_helpers/clocks/{id}/advance",
        reference.creating("clocks.advance", AdvanceClock),
    ),
    Route("POST", "/v1/test_helpers/payments/{id}/pay", helpers.acting("pay")),
    Route("POST", "/v1/test_helpers/payments/{id}/decline", helpers.acting("decline")),
    Route("POST", "/v1/test_helpers/payments/{id}/pay_late", helpers.acting("pay_late")),
    Route("POST", "/v1/test_helpers/payments/{id}/pay_twice", helpers.acting("pay_twice")),
    Route("GET", "/v1/test_helpers/channels/{name}/books", helpers.books),
    Route(
        "POST",
        "/callbacks/{channel}/{account}/{token}",
        callbacks.take,
        authenticated=False,
    ),
    Route("GET", "/v1/status", operations.status),
    Route("GET", "/v1/ledger/trial_balance", operations.trial_balance),
    Route("GET", "/p/{token}", pages.show, authenticated=False),
    Route("GET", "/p/{token}/status", pages.status, authenticated=False),
    Route("POST", "/p/{token}/pay", pages.pay, authenticated=False),
    Route("GET", "/p/{token}/code.svg", pages.code_svg, authenticated=False),
    Route("GET", "/openapi.json", docs.serving("openapi.json"), authenticated=False),
    Route("GET", "/docs", docs.serving("docs"), authenticated=False),
    Route("GET", "/docs/errors", docs.serving("errors"), authenticated=False),
    Route("GET", "/docs/reader.css", docs.serving("reader.css"), authenticated=False),
    Route("GET", "/docs/scalar.js", docs.serving("scalar.js"), authenticated=False),
]


def make_router(modules: Collection[str] = MODULES) -> Router:
    """The router over the routes of these modules; those of others say whose they are."""
    return Router([_served_or_not(route, modules) for route in ROUTES])


def _served_or_not(route: Route, modules: Collection[str]) -> Route:
    if is_served(route.method, route.template, modules):
        return route
    said = how_to_serve(modules_of(route.method, route.template))

    async def refuse(call: Call) -> Reply:
        raise ModuleNotServed(said)

    return Route(route.method, route.template, refuse, authenticated=False)
