"""What callers may ask of webhooks."""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from payments.addresses import URL_LENGTH_MAX, Reach, UrlRefused, target_of
from payments.errors import InvalidField
from payments.webhooks import EVENT_TYPES, is_pattern

ENDPOINTS_MAX: Final = 20
"""Endpoints of one merchant, or of one platform."""

EVENT_FILTERS_MAX: Final = 50
OVERLAP_S_DEFAULT: Final = 86_400
OVERLAP_S_MAX: Final = 7 * 86_400
RESEND_MAX: Final = 1_000
"""Events sent again by one request; more have `has_more` and go on after the last."""

Url = Annotated[str, Meta(min_length=1, max_length=URL_LENGTH_MAX)]
Filters = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...],
    Meta(min_length=1, max_length=EVENT_FILTERS_MAX),
]
Description = Annotated[str, Meta(max_length=200)]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]],
    Meta(max_length=50),
]
EndpointId = Annotated[str, Meta(min_length=1, max_length=40)]
EventId = Annotated[str, Meta(min_length=1, max_length=40)]
Instant = Annotated[str, Meta(min_length=1, max_length=40)]


class NewEndpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/webhook_endpoints. `events`: `*`, `payment.*` or exact types."""

    url: Url
    events: Filters
    description: Description | None = None
    metadata: Metadata = {}


class EndpointChange(Struct, frozen=True, forbid_unknown_fields=True):
    """PATCH or POST /v1/webhook_endpoints/{id}: what is given is changed."""

    url: Url | UnsetType = UNSET
    events: Filters | UnsetType = UNSET
    status: Literal["enabled", "disabled"] | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET


class RollSecret(Struct, frozen=True, forbid_unknown_fields=True):
    """POST …/{id}/roll. `overlap_seconds`: how long the old secret signs beside the new one."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_S_MAX)] = OVERLAP_S_DEFAULT


class EnableEndpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """POST …/{id}/enable: nothing to say."""


class ResendEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/events/{id}/resend. `endpoint`: to this one alone; else to all that want it."""

    endpoint: EndpointId | None = None


class ResendRange(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/events/resend: everything since an event, or between two instants."""

    after: EventId | None = None
    from_: Instant | None = field(name="from", default=None)
    to: Instant | None = None
    endpoint: EndpointId | None = None


def check_url(url: str, reach: Reach) -> str:
    """The host of a good URL. InvalidField for another."""
    try:
        return target_of(url, reach).host
    except UrlRefused as error:
        raise InvalidField(str(error), param="url") from None


def check_filters(filters: tuple[str, ...]) -> tuple[str, ...]:
    """Filters without doubles. InvalidField for one that covers no event."""
    for at, pattern in enumerate(filters):
        if not is_pattern(pattern):
            raise InvalidField(
                f"No event is called so; there are {', '.join(EVENT_TYPES)}, and payment.* or *.",
                param=f"events.{at}",
            )
    return tuple(dict.fromkeys(filters))
