"""The OpenAPI 3.1 document, put together; its bytes are made once a process."""

from functools import cache
from typing import Final

import orjson
from msgspec import Struct

from gateway.edge import VERSION
from gateway.modules import MODULES, is_served
from gateway.openapi import webhooks
from gateway.openapi.operation import TAGS, WEBHOOKS
from gateway.openapi.operations import OPERATIONS
from gateway.openapi.parts import (
    HEADERS,
    PARAMETERS,
    SECURITY,
    SHARED_STRUCTS,
    problem_examples,
    problem_response,
)
from gateway.openapi.paths import paths, problem_sets
from gateway.openapi.schemas import PREFIX, Schema, components, page_name, page_of

OPENAPI: Final = "3.1.0"
TITLE: Final = "Tillway"
EVENT_SUFFIX: Final = "Event"
"""Of the schema of an event, after the name of the object in it."""

LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}

DESCRIPTION: Final = """\
Aggregated payments: one API for the wallets that guests carry.

**Words and types.** JSON over HTTP/1.1. Amounts are whole numbers of minor units (`3800` is
¥38.00); floats and strings are refused. Instants are RFC 3339 in UTC. Ids are a prefix and 24
characters that sort by time. Fields that are not known, keys that come twice, control characters
and bodies over 64 KiB are refused with a problem that names the field.

**HTTP and money.** The HTTP status says whether the request was understood; `status` says what
happened to the money. A declined payment is a 201 with `status: failed`. While `status` is
`processing` nobody knows yet: read again, wait for the webhook, or repeat the request with its key.

**Authentication.** In test mode `Authorization: Bearer sk_test_…`; in live mode signed requests
(RFC 9421), which test mode takes too. A platform's key acts for a merchant with
`Tillway-Merchant`.

**Idempotency.** Every POST that moves money needs an `Idempotency-Key`. The same key with the same
request never has a second effect: the answer is the object as it stands now, with
`Idempotent-Replayed: true`. After a time-out, a 503 or a 504 repeat the request with the same key.

**Lists.** Newest first. `limit` is 1 to 100; while `has_more`, ask again with `starting_after` and
the id of the last object. Nothing is skipped or shown twice when new objects arrive meanwhile.

**Problems.** Errors are `application/problem+json` (RFC 9457). Programs look at `code`; each has a
paragraph on the [page of errors](/docs/errors). No other 5xx than 503 and 504 is meant to happen.
Any path answers a method that it does not take with 405 and `Allow`; HEAD is taken wherever GET is.

**Webhooks.** Standard Webhooks 1.0, at least once, in order for each payment. `data` is the object
as the API shows it.
"""


def document(modules: tuple[str, ...] = MODULES) -> Schema:
    """The whole document, for every route of these modules."""
    # Here, because the handler that serves the document is a route itself.
    from gateway.routing_table import ROUTES as EVERY_ROUTE

    routes = [each for each in EVERY_ROUTE if is_served(each.method, each.template, modules)]
    there = {(route.method, route.template) for route in routes}
    operations = {where: each for where, each in OPERATIONS.items() if where in there}
    structs: list[type[Struct]] = [*SHARED_STRUCTS]
    for operation in operations.values():
        for shape in (operation.body, *(said.shape for said in operation.answers.values())):
            if shape is not None and shape not in structs:
                structs.append(shape)
    for shape in webhooks.shapes(modules):
        if shape not in structs:
            structs.append(shape)
    structs.sort(key=lambda kind: kind.__name__)
    pages = {
        page_name(said.shape): page_of(said.shape)
        for operation in operations.values()
        for said in operation.answers.values()
        if said.form == "page" and said.shape is not None
    }
    responses = {
        name: problem_response(codes) for name, codes in problem_sets(routes, operations).items()
    }
    shapes = components(structs)
    told = shapes["Event"]["properties"]
    there_is = [
        each for each in told["data"]["anyOf"] if each["$ref"].removeprefix(PREFIX) in shapes
    ]
    told["data"] = {**told["data"], "anyOf": there_is}
    events = {
        name: schema
        for name, schema in webhooks.schemas().items()
        if name.removesuffix(EVENT_SUFFIX) in shapes
    }
    used = {operation.tag for operation in operations.values()} | {WEBHOOKS}
    return {
        "openapi": OPENAPI,
        "info": {
            "title": TITLE,
            "version": VERSION,
            "summary": "Take payments over every wallet, with books that balance.",
            "description": DESCRIPTION,
            "license": LICENSE,
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": [
            {"name": name, "description": text} for name, text in TAGS.items() if name in used
        ],
        "paths": paths(routes, operations),
        "webhooks": webhooks.webhooks(modules),
        "components": {
            "schemas": {**shapes, **pages, **events},
            "responses": dict(sorted(responses.items())),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": problem_examples(),
            "securitySchemes": SECURITY,
        },
    }


@cache
def document_bytes(modules: tuple[str, ...] = MODULES) -> bytes:
    """The document as it is served: compact JSON."""
    return orjson.dumps(document(modules))


def document_text(modules: tuple[str, ...] = MODULES) -> str:
    """The document as it is kept in the repository: one line a member, so that changes show."""
    text = orjson.dumps(document(modules), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return text.decode()
