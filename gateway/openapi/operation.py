"""What a description of a route is made of, and the shapes that most routes have."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from gateway.lists import Filters

JSON: Final = "application/json"
HTML: Final = "text/html; charset=utf-8"


class Said(Struct, frozen=True):
    """An answer that is not a problem. `shape`: a struct, a list of it, or nothing of ours."""

    text: str
    shape: type[Struct] | None = None
    form: Literal["object", "page", "array"] = "object"
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()


class Operation(Struct, frozen=True):
    """One route. `key`: whether it takes an Idempotency-Key. `problems`: codes of its own.

    `prefix`: of the ids in its path. `cursor`, `back`: what a list is paged by, and whether
    backward too. `is_page`: people see its problems as pages.
    """

    id: str
    tag: str
    summary: str
    answers: Mapping[int, Said]
    text: str = ""
    body: type[Struct] | None = None
    filters: Filters | None = None
    query: tuple[dict[str, Any], ...] = ()
    """Parameters of a query that no list has, as OpenAPI writes them."""
    key: Literal["required", "optional", "none"] = "none"
    scope: str = ""
    problems: tuple[str, ...] = ()
    prefers: bool = False
    waits: bool = False
    prefix: str = ""
    cursor: str = "any"
    back: bool = True
    media: tuple[str, ...] = (JSON,)
    is_page: bool = False


PAYMENTS: Final = "Payments"
REFUNDS: Final = "Refunds"
REPORTED: Final = "Reported payments"
MERCHANTS: Final = "Merchants, stores, terminals"
KEYS: Final = "Keys"
SPLITTING: Final = "Splitting"
HOME: Final = "Clearing, settlement, withdrawal"
TEST: Final = "Test helpers"
RUNNING: Final = "Operations"
CHANNELS: Final = "Channels"
PAYERS: Final = "Payer pages"
WEBHOOKS: Final = "Webhooks"
DESCRIPTION: Final = "This description"

TAGS: Final = {
    PAYMENTS: "Take money, watch it, undo it. HTTP says whether the request was understood; "
    "`status` says what happened to the money.",
    REFUNDS: "Money that goes back.",
    REPORTED: "What another gateway took, so that it is cleared and split here.",
    MERCHANTS: "Who sells, where, and on which device.",
    KEYS: "Credentials. A secret is shown once.",
    SPLITTING: "Who gets which part of a payment, and what everybody has.",
    HOME: "How the money comes home: batches, bank accounts, instructions to the bank.",
    TEST: "Test mode only: the clock, the payer's part, and what the channel really took.",
    RUNNING: "How the gateway is, and whether its books balance.",
    CHANNELS: "Called by payment channels, not by you.",
    PAYERS: "What a payer's phone opens. The token in the path is the only key it has.",
    WEBHOOKS: "Where events go, what happened, and how often we tried to tell.",
    DESCRIPTION: "What you are reading.",
}

MOVED: Final = ("idempotency_mismatch", "quota_exceeded", "outcome_unknown")
WRITTEN: Final = ("idempotency_mismatch", "outcome_unknown")
ASKED: Final = ("outcome_unknown",)
"""What the directory answers is not a read of a shard: a lost answer is an unknown outcome."""


def making(name: str, tag: str, shape: type[Struct], body: type[Struct], **more: Any) -> Operation:
    """POST of a new object of reference data."""
    kind = more.pop("kind", name.removeprefix("create").lower())
    problems = (*WRITTEN, "conflict", "quota_exceeded", *more.pop("problems", ()))
    said = {201: Said(f"The new {kind}; its state now, if the key was used before.", shape)}
    return Operation(
        name, tag, f"Create a {kind}", said, body=body, key="optional", problems=problems, **more
    )


def reading(name: str, tag: str, shape: type[Struct], prefix: str, **more: Any) -> Operation:
    kind = more.pop("kind", name.removeprefix("get").lower())
    said = {200: Said(f"The {kind}.", shape)}
    return Operation(name, tag, f"Read a {kind}", said, prefix=prefix, problems=ASKED, **more)


def listing(name: str, tag: str, shape: type[Struct], filters: Filters, **more: Any) -> Operation:
    kinds = more.pop("kinds", name.removeprefix("list").lower())
    said = {200: Said(f"A page of {kinds}, newest first.", shape, "page")}
    problems = more.pop("problems", ASKED)
    return Operation(name, tag, f"List {kinds}", said, filters=filters, problems=problems, **more)


Operations = dict[tuple[str, str], Operation]
"""Descriptions by method and template."""
