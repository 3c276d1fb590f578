"""Webhook endpoints, events and deliveries, described."""

from typing import Final

from gateway.handlers import webhooks
from gateway.openapi.operation import (
    ASKED,
    WEBHOOKS,
    WRITTEN,
    Operation,
    Operations,
    Said,
    listing,
)
from payments.webhook_views import (
    DeletedView,
    DeliveryView,
    EndpointView,
    EventView,
    ResendView,
)
from payments.webhook_wishes import (
    EnableEndpoint,
    EndpointChange,
    NewEndpoint,
    ResendEvent,
    ResendRange,
    RollSecret,
)

_CHANGED: Final = {200: Said("The endpoint.", EndpointView)}
_ONE: Final = "/v1/webhook_endpoints/{id}"
_UPDATE: Final = Operation(
    "updateWebhookEndpoint",
    WEBHOOKS,
    "Change an endpoint",
    _CHANGED,
    "What is given is changed. Disabled, it gets nothing, and what waits for it is canceled.",
    body=EndpointChange,
    key="optional",
    scope=webhooks.WRITE,
    prefix="whk",
    problems=WRITTEN,
)

ENDPOINTS: Final[Operations] = {
    ("POST", "/v1/webhook_endpoints"): Operation(
        "createWebhookEndpoint",
        WEBHOOKS,
        "Create an endpoint",
        {201: Said("The endpoint, with its secret: it is shown this once.", EndpointView)},
        "A merchant's endpoint hears of the merchant, a platform's of all its merchants. In live "
        "mode the address is https and public; in test mode http, any port and loopback will do.",
        body=NewEndpoint,
        key="optional",
        scope=webhooks.WRITE,
        problems=(*WRITTEN, "conflict"),
    ),
    ("GET", "/v1/webhook_endpoints"): listing(
        "listWebhookEndpoints", WEBHOOKS, EndpointView, {}, scope=webhooks.READ, cursor="endpoint",
        kinds="endpoints",
    ),
    ("GET", _ONE): Operation(
        "getWebhookEndpoint", WEBHOOKS, "Read an endpoint", _CHANGED, scope=webhooks.READ,
        prefix="whk", problems=ASKED,
    ),
    ("POST", _ONE): _UPDATE,
    ("PATCH", _ONE): Operation(
        "patchWebhookEndpoint",
        WEBHOOKS,
        "Change an endpoint, by PATCH",
        _CHANGED,
        "The same as by POST.",
        body=EndpointChange,
        scope=webhooks.WRITE,
        prefix="whk",
        problems=ASKED,
    ),
    ("DELETE", _ONE): Operation(
        "deleteWebhookEndpoint",
        WEBHOOKS,
        "Delete an endpoint",
        {200: Said("It is no more; what waited for it is canceled.", DeletedView)},
        scope=webhooks.WRITE,
        prefix="whk",
        problems=ASKED,
    ),
    ("POST", f"{_ONE}/roll"): Operation(
        "rollWebhookSecret",
        WEBHOOKS,
        "Make a new secret",
        {200: Said("The endpoint, with its new secret.", EndpointView)},
        "Messages are signed by both until `overlap_seconds` have passed.",
        body=RollSecret,
        key="optional",
        scope=webhooks.WRITE,
        prefix="whk",
        problems=WRITTEN,
    ),
    ("POST", f"{_ONE}/enable"): Operation(
        "enableWebhookEndpoint",
        WEBHOOKS,
        "Enable an endpoint again",
        _CHANGED,
        "After a 410, or a backlog that was too long. It hears of what happens from now on; send "
        "the rest again by range.",
        body=EnableEndpoint,
        key="optional",
        scope=webhooks.WRITE,
        prefix="whk",
        problems=WRITTEN,
    ),
    ("GET", f"{_ONE}/deliveries"): listing(
        "listDeliveriesOfEndpoint", WEBHOOKS, DeliveryView, {}, scope=webhooks.READ, prefix="whk",
        cursor="delivery", back=False, kinds="deliveries",
    ),
}  # fmt: skip

EVENTS: Final[Operations] = {
    ("GET", "/v1/events"): listing(
        "listEvents", WEBHOOKS, EventView, webhooks.EVENT_FILTERS, scope=webhooks.READ,
        cursor="event",
    ),
    ("GET", "/v1/events/{id}"): Operation(
        "getEvent",
        WEBHOOKS,
        "Read an event",
        {200: Said("The event.", EventView)},
        scope=webhooks.READ,
        prefix="evt",
        problems=ASKED,
    ),
    ("GET", "/v1/events/{id}/deliveries"): Operation(
        "listDeliveriesOfEvent",
        WEBHOOKS,
        "List an event's deliveries",
        {200: Said("One to each endpoint, with its latest tries.", DeliveryView, "page")},
        scope=webhooks.READ,
        prefix="evt",
        problems=ASKED,
    ),
    ("POST", "/v1/events/{id}/resend"): Operation(
        "resendEvent",
        WEBHOOKS,
        "Send an event again",
        {202: Said("Its deliveries; it is on its way.", DeliveryView, "page")},
        body=ResendEvent,
        key="optional",
        scope=webhooks.WRITE,
        prefix="evt",
        problems=(*WRITTEN, "conflict"),
    ),
    ("POST", "/v1/events/resend"): Operation(
        "resendEvents",
        WEBHOOKS,
        "Send a range of events again",
        {202: Said("How many; while `has_more`, go on after `last`.", ResendView)},
        "All `after` an event, or those between two instants.",
        body=ResendRange,
        key="optional",
        scope=webhooks.WRITE,
        problems=(*WRITTEN, "conflict"),
    ),
}  # fmt: skip

COURIER: Final[Operations] = {**ENDPOINTS, **EVENTS}
