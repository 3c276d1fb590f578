"""The courier's own store: endpoints, how far each shard was read, deliveries and their tries.

A write is a list of statements by name, in the order they were decided: what depends on rows (who
is next of a payment) is said in SQL, so that it is true at the moment of the commit.
"""

from itertools import groupby
from operator import itemgetter
from typing import Final

import apsw
from msgspec.msgpack import Decoder, Encoder

from payments.storage.side import NONCE_KEPT_S, SideStore
from payments.storage.side import Step as Step
from payments.storage.sql import load
from payments.webhooks import Endpoint

FILE_NAME: Final = "courier.db"

KEPT_MS: Final = 30 * 86_400_000
"""Deliveries that ended are listed for so long, and their events kept with them."""

PRUNED_MAX: Final = 500
"""Rows of each kind that one pruning removes: it shares the commits with everybody else."""

_encode: Final = Encoder().encode
_endpoint: Final = Decoder(Endpoint).decode
_statement: Final = itemgetter(0)

DueRow = tuple[int, str, str, int, int, int, str, bytes]
"""no, event, source, step, tries, created_ms, type, body"""

DeliveryRow = tuple[int, str, str, str, int, int, int | None, int | None]
"""no, endpoint, event, status, tries, created_ms, due_ms, ended_ms"""

AttemptRow = tuple[int, int, int, int, str, str, str]
"""number, at_ms, status, took_ms, outcome, trouble, excerpt"""


def set_endpoint(endpoint: Endpoint) -> Step:
    """The write of an endpoint as it now is."""
    return "set_endpoint", (endpoint.id, _encode(endpoint))


class CourierStore(SideStore[list[Step]]):
    """One owner; the steps of a commit are written in their order."""

    KIND = "courier"
    SQL = load("courier")
    LAST = "last_delivery"

    def _write(self, writer: apsw.Connection, write: list[Step]) -> None:
        for name, group in groupby(write, _statement):
            writer.executemany(self.SQL[name], [values for _, values in group])

    def pruning(self) -> list[Step]:
        """What removes some of what is older than anybody may ask for."""
        before = self._clock.real_ms() - KEPT_MS
        return [
            ("prune_attempts", (before, PRUNED_MAX)),
            ("prune_deliveries", (before, PRUNED_MAX)),
            ("prune_events", (PRUNED_MAX,)),
            ("prune_nonces", (self._clock.real_ms() // 1_000 - NONCE_KEPT_S,)),
        ]

    # --- reading ------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        """All of them, the oldest first."""
        return [_endpoint(body) for (body,) in self._all("endpoints")]

    def cursors(self) -> dict[int, int]:
        """Shard -> the number of the last event whose deliveries are here."""
        return dict(self._all("cursors"))

    def due(self, endpoint: str, now_ms: int, limit: int) -> list[DueRow]:
        """What should leave for an endpoint by now, the longest due first."""
        return self._all("due", endpoint, now_ms, limit)

    def next_due(self, endpoint: str, after_ms: int) -> int | None:
        """When the next try after an instant is due, if one is."""
        found: int | None = self._one("next_due", endpoint, after_ms)[0]
        return found

    def open_counts(self) -> dict[str, int]:
        """Endpoint -> deliveries that have not ended."""
        return dict(self._all("open_counts"))

    def open_count(self, endpoint: str) -> int:
        return int(self._one("open_count", endpoint)[0])

    def deliveries_of_event(self, event: str) -> list[DeliveryRow]:
        """To every endpoint, the newest first."""
        return self._all("deliveries_of_event", event)

    def deliveries_of_endpoint(self, endpoint: str, before: int, limit: int) -> list[DeliveryRow]:
        """Those with no < before, the newest first."""
        return self._all("deliveries_of_endpoint", endpoint, before, limit)

    def deliveries_of_source(self, source: str, limit: int) -> list[DeliveryRow]:
        """Of all events of a payment, the oldest first."""
        return self._all("deliveries_of_source", source, limit)

    def delivery(self, event: str, endpoint: str) -> DeliveryRow | None:
        rows: list[DeliveryRow] = self._all("delivery", event, endpoint)
        return rows[0] if rows else None

    def attempts(self, delivery: int, limit: int) -> list[AttemptRow]:
        """The latest tries, the newest first."""
        return self._all("attempts", delivery, limit)

    def type_of(self, event: str) -> str:
        """The type of an event that is kept."""
        return str(self._one("type_of", event)[0])

    def answered(self, scope: str, key_digest: bytes) -> tuple[bytes, int, str] | None:
        """(fingerprint, status, object id) of the request that used this key before."""
        rows: list[tuple[bytes, int, str]] = self._all("answered", scope, key_digest)
        return rows[0] if rows else None

    def recent_nonces(self) -> list[tuple[str, int, int]]:
        """(caller, digest, created in seconds) of those that still count."""
        return self._all("recent_nonces", self._clock.real_ms() // 1_000 - NONCE_KEPT_S)
