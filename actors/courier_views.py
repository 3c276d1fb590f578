"""Events and deliveries as the API shows them: JSON made of rows."""

from typing import Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

from payments.calendar import rfc3339
from payments.storage.base import EventRow
from payments.storage.courier import AttemptRow, CourierStore, DeliveryRow
from payments.webhook_views import AttemptView, DeliveryView, EventView

TRIES_SHOWN_MAX: Final = 50
"""The latest tries of a delivery that are shown with it."""

encode: Final = Encoder().encode


class _Body(Struct):
    timestamp: str
    data: Raw


_body: Final = Decoder(_Body).decode


def event_json(row: EventRow, merchant: str | None, *, livemode: bool) -> bytes:
    """The event object: what the webhook says, and whose it is; None: a platform's own."""
    body = _body(row[6])
    return encode(
        EventView(
            id=row[3],
            created=rfc3339(row[5]),
            livemode=livemode,
            type=row[4],
            timestamp=body.timestamp,
            merchant=merchant,
            data=body.data,
        )
    )


def delivery_view(
    row: DeliveryRow, kind: str, attempts: list[AttemptRow], url: str | None, *, livemode: bool
) -> DeliveryView:
    """A delivery with its tries, the newest first. `url`: None when its endpoint is gone."""
    _, endpoint, event, status, tries, created, due, ended = row
    return DeliveryView(
        id=f"{event}.{endpoint}",
        created=rfc3339(created),
        livemode=livemode,
        event=event,
        type=kind,
        endpoint=endpoint,
        url=url,
        status=status,
        tries=tries,
        next_attempt_at=rfc3339(due) if due is not None else None,
        ended_at=rfc3339(ended) if ended is not None else None,
        attempts=tuple(
            AttemptView(
                number=number,
                at=rfc3339(at),
                outcome=outcome,
                status_code=status_code or None,
                duration_ms=took,
                trouble=trouble or None,
                answer=excerpt or None,
            )
            for number, at, status_code, took, outcome, trouble, excerpt in attempts
        ),
    )


def list_json(url: str, data: list[Any], *, has_more: bool) -> bytes:
    """A page. `data`: objects, or their JSON as Raw."""
    return encode({"object": "list", "url": url, "has_more": has_more, "data": data})


def timeline_lines(store: CourierStore, rows: list[DeliveryRow]) -> list[dict[str, Any]]:
    """One line a try, and one for what waits: a payment's time line has them beside the rest."""
    lines: list[dict[str, Any]] = []
    for no, endpoint, event, status, _, _, due, _ in rows:
        kind = store.type_of(event)
        for number, at, status_code, took, outcome, trouble, _ in store.attempts(
            no, TRIES_SHOWN_MAX
        ):
            lines.append(
                {
                    "at": rfc3339(at),
                    "kind": "webhook",
                    "event": event,
                    "type": kind,
                    "endpoint": endpoint,
                    "attempt": number,
                    "outcome": outcome,
                    "status_code": status_code or None,
                    "duration_ms": took,
                    "trouble": trouble or None,
                }
            )
        if status == "pending" and due is not None:
            lines.append(
                {
                    "at": rfc3339(due),
                    "kind": "webhook_planned",
                    "event": event,
                    "type": kind,
                    "endpoint": endpoint,
                }
            )
    lines.sort(key=lambda line: str(line["at"]))
    return lines
