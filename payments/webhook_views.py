"""Webhook endpoints, events and deliveries as callers see them."""

from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from payments.calendar import rfc3339
from payments.webhooks import Endpoint, valid_secrets


class EndpointView(Struct, frozen=True, kw_only=True):
    """Where events go. `secret` is in the answers that made it, and nowhere else."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    created: str
    livemode: bool
    metadata: dict[str, str]
    merchant: str | None
    platform: str | None
    url: str
    events: tuple[str, ...]
    status: str
    disabled_reason: str | None
    description: str | None
    old_secret_expires_at: str | None
    secret: str | UnsetType = UNSET


class DeletedView(Struct, frozen=True, kw_only=True):
    """An endpoint that is no more."""

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    deleted: bool = True


class EventView(Struct, frozen=True, kw_only=True):
    """Something that happened. `data`: the object as it then was."""

    id: str
    object: Literal["event"] = "event"
    created: str
    livemode: bool
    metadata: dict[str, str] = {}
    type: str
    timestamp: str
    merchant: str | None
    data: Raw


class AttemptView(Struct, frozen=True, kw_only=True):
    """One try. `answer`: the beginning of what the receiver said, masked."""

    number: int
    at: str
    outcome: str
    status_code: int | None
    duration_ms: int
    trouble: str | None
    answer: str | None


class DeliveryView(Struct, frozen=True, kw_only=True):
    """One event on its way to one endpoint, with its latest tries, the newest first."""

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    created: str
    livemode: bool
    metadata: dict[str, str] = {}
    event: str
    type: str
    endpoint: str
    url: str | None
    status: str
    tries: int
    next_attempt_at: str | None
    ended_at: str | None
    attempts: tuple[AttemptView, ...]


class ResendView(Struct, frozen=True, kw_only=True):
    """What a range came to. `last`: go on after it while there is `has_more`."""

    object: Literal["resend"] = "resend"
    events: int
    deliveries: int
    has_more: bool
    last: str | None


def endpoint_view(
    endpoint: Endpoint, *, livemode: bool, real_ms: int, secret: str | None = None
) -> EndpointView:
    """The object of the API. `secret`: in the answer to its creation or roll alone."""
    ending = [s.expires for s in valid_secrets(endpoint, real_ms) if s.expires]
    return EndpointView(
        id=endpoint.id,
        created=rfc3339(endpoint.created),
        livemode=livemode,
        metadata=endpoint.metadata,
        merchant=endpoint.merchant,
        platform=endpoint.platform,
        url=endpoint.url,
        events=endpoint.events,
        status=endpoint.status,
        disabled_reason=endpoint.reason,
        description=endpoint.description,
        old_secret_expires_at=rfc3339(max(ending)) if ending else None,
        secret=UNSET if secret is None else secret,
    )
