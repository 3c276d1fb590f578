"""Examples of webhooks: an endpoint, an event, a delivery."""

from typing import Any, Final

from msgspec import Raw, Struct, to_builtins
from msgspec.json import decode, encode

from gateway.openapi.examples import AT_MS, ENDPOINT, EVENT, HOOK_URL, MERCHANT, PAID
from payments.calendar import rfc3339
from payments.webhook_views import (
    AttemptView,
    DeletedView,
    DeliveryView,
    EndpointView,
    EventView,
    ResendView,
    endpoint_view,
)
from payments.webhooks import Endpoint, Secret

_ENDPOINT: Final = Endpoint(
    ENDPOINT, HOOK_URL, ("*",), (Secret(b""),), AT_MS - 137_000, MERCHANT, 1
)
_EVENT: Final = EventView(
    id=EVENT,
    created=PAID["succeeded_at"],
    livemode=False,
    type="payment.succeeded",
    timestamp=PAID["succeeded_at"],
    merchant=MERCHANT,
    data=Raw(encode(PAID)),
)
_DELIVERY: Final = DeliveryView(
    id=f"{EVENT}.{ENDPOINT}",
    created=PAID["succeeded_at"],
    livemode=False,
    event=EVENT,
    type="payment.succeeded",
    endpoint=ENDPOINT,
    url=HOOK_URL,
    status="delivered",
    tries=1,
    next_attempt_at=None,
    ended_at=rfc3339(AT_MS + 480),
    attempts=(
        AttemptView(
            number=1,
            at=rfc3339(AT_MS + 440),
            outcome="delivered",
            status_code=204,
            duration_ms=38,
            trouble=None,
            answer=None,
        ),
    ),
)

A_SECRET: Final = "whsec_…"  # noqa: S105 - shows where one would stand
SHAPES: Final[dict[type[Struct], Any]] = {
    EndpointView: to_builtins(endpoint_view(_ENDPOINT, livemode=False, real_ms=AT_MS)),
    DeletedView: to_builtins(DeletedView(id=ENDPOINT)),
    EventView: decode(encode(_EVENT)),
    DeliveryView: to_builtins(_DELIVERY),
    ResendView: to_builtins(ResendView(events=42, deliveries=42, has_more=False, last=EVENT)),
}
WITH_SECRET: Final = {**SHAPES[EndpointView], "secret": A_SECRET}
ANSWERS: Final[dict[tuple[str, int], dict[str, tuple[str, Any]]]] = {
    ("createWebhookEndpoint", 201): {"created": ("With its secret", WITH_SECRET)},
    ("rollWebhookSecret", 200): {"rolled": ("With its new secret", WITH_SECRET)},
}
