"""What people ask of reconciliation over HTTP: the bodies of requests, checked by their types."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from payments.reconciliation.differences import Act
from payments.reconciliation.resolving import NOTE_MAX

Note = Annotated[str, Meta(max_length=NOTE_MAX)]


class NewReconciliation(Struct, frozen=True, forbid_unknown_fields=True):
    """`channel`: our name of the channel account. `bill_date`: the channel's day, yyyymmdd."""

    channel: Annotated[str, Meta(min_length=1, max_length=64)]
    bill_date: Annotated[int, Meta(ge=20_000_101, le=99_991_231)]


class ProposeResolution(Struct, frozen=True, forbid_unknown_fields=True):
    """`act`: what to do; without it, what the comparison proposes. `note`: why, for the checker."""

    note: Note = ""
    act: Act | None = None


class ResolveItem(Struct, frozen=True, forbid_unknown_fields=True):
    """The checker's word. `reason`: kept with it."""

    decision: Literal["accept", "reject"]
    reason: Annotated[str, Meta(min_length=1, max_length=NOTE_MAX)]
