"""Routes and their descriptions -> the `paths` of the document."""

import re
from collections.abc import Iterable
from typing import Any, Final

from gateway.openapi import examples, examples_home, examples_reported, examples_webhooks
from gateway.openapi.examples_papers import SHAPES as PAPER_SHAPES
from gateway.openapi.examples_reconciliation import RECONCILIATION_SHAPES
from gateway.openapi.operation import HTML, JSON, Operation, Operations, Said
from gateway.openapi.parts import (
    NEEDED,
    by_status,
    cursor_parameters,
    filter_parameter,
    header_refs,
    problem_response,
    response_name,
)
from gateway.openapi.schemas import PREFIX, Schema, page_name, ref
from gateway.openapi.words import id_of
from gateway.routes import Route
from gateway.schemas import EMPTY_ALLOWED

SHAPES: Final = {
    **examples.SHAPES, **examples_webhooks.SHAPES, **examples_home.SHAPES, **PAPER_SHAPES,
    **RECONCILIATION_SHAPES,
}  # fmt: skip
REQUESTS: Final = {
    **examples.REQUESTS,
    **examples_home.REQUESTS,
    **examples_reported.REQUESTS,
}
ANSWERS: Final = {
    **examples.ANSWERS,
    **examples_webhooks.ANSWERS,
    **examples_reported.ANSWERS,
}
PARAMETER: Final = "#/components/parameters/"
_STEP: Final = re.compile(r"\{([a-z_]+)\}")

ANY_REQUEST: Final = (
    "malformed", "not_found", "receive_timeout", "body_too_large", "headers_too_large",
    "overloaded",
)  # fmt: skip
AUTHENTICATED: Final = (*ANY_REQUEST, "unauthorized", "invalid_field", "quota_exceeded")

NO_CONTENT: Final = frozenset({303, 304})

STEPS: Final = {
    "id": "The object's id.",
    "name": "The channel, or one of its accounts.",
    "channel": "The channel.",
    "account": "The channel account.",
    "token": "The unguessable part of the address.",
}


def paths(routes: Iterable[Route], operations: Operations) -> Schema:
    """Every route that is described, by path and method."""
    made: Schema = {}
    for route in routes:
        operation = operations.get((route.method, route.template))
        if operation is not None:
            item = made.setdefault(route.template, {})
            item[route.method.lower()] = _operation(route, operation)
    return made


def codes_of(route: Route, operation: Operation) -> tuple[str, ...]:
    """Every problem code that the operation can answer with."""
    codes = AUTHENTICATED if route.authenticated else ANY_REQUEST
    if operation.scope:
        codes = (*codes, "insufficient_scope")
    if operation.body is not None:
        codes = (*codes, "unsupported_media_type")
    return tuple(dict.fromkeys((*codes, *operation.problems)))


def problem_sets(routes: Iterable[Route], operations: Operations) -> dict[str, tuple[str, ...]]:
    """The shared problem answers: name -> codes of one status."""
    return {
        response_name(codes): codes
        for route in routes
        if (operation := operations.get((route.method, route.template))) is not None
        and not operation.is_page
        for codes in by_status(codes_of(route, operation)).values()
    }


def _operation(route: Route, operation: Operation) -> Schema:
    text = operation.text
    if operation.scope:
        text = f"{text}\n\nScope: `{operation.scope}`.".strip()
    made: Schema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
    }
    if text:
        made["description"] = text
    parameters = _parameters(route, operation)
    if parameters:
        made["parameters"] = parameters
    body = _body(operation)
    if body is not None:
        made["requestBody"] = body
    made["responses"] = _responses(route, operation)
    made["security"] = NEEDED if route.authenticated else []
    return made


def _parameters(route: Route, operation: Operation) -> list[Schema]:
    found: list[Schema] = []
    for step in _STEP.findall(route.template):
        schema: Schema = {"type": "string", "minLength": 1}
        if operation.prefix and step == "id":
            schema = {"type": "string", "pattern": id_of(operation.prefix, "")["pattern"]}
        found.append(
            {
                "name": step,
                "in": "path",
                "required": True,
                "description": STEPS[step],
                "schema": schema,
            }
        )
    named: list[str] = []
    if operation.key != "none":
        required = operation.key == "required"
        named.append("IdempotencyKeyRequired" if required else "IdempotencyKey")
    if operation.prefers:
        named.append("Prefer")
    if operation.waits:
        named.append("Wait")
    found += operation.query
    if operation.filters is not None:
        named.append("Limit")
        found += cursor_parameters(operation.cursor, back=operation.back)
        found += [filter_parameter(*pair) for pair in operation.filters.items()]
    if route.authenticated:
        named += ["TillwayMerchant", "TillwayVersion"]
    return found + [{"$ref": PARAMETER + name} for name in named]


def _body(operation: Operation) -> Schema | None:
    if operation.body is None:
        if operation.media == (JSON,):
            return None
        return {"content": {media: {} for media in operation.media}}
    content: Schema = {"schema": ref(operation.body)}
    given = REQUESTS.get(operation.id)
    if given:
        content["examples"] = {
            name: {"summary": summary, "value": value} for name, (summary, value) in given.items()
        }
    return {"required": operation.body not in EMPTY_ALLOWED, "content": {JSON: content}}


def _responses(route: Route, operation: Operation) -> Schema:
    made: Schema = {}
    for status, said in operation.answers.items():
        names = said.headers
        if status == 202:
            names = (*names, "Retry-After")
        if operation.key != "none":
            names = (*names, "Idempotent-Replayed")
        answer: Schema = {"description": said.text, "headers": header_refs(*names)}
        content = _content(route, operation, status, said)
        if status not in NO_CONTENT:
            # What we describe is JSON; other media say the same in their own way.
            answer["content"] = {
                media: content if media == JSON or said.shape is None else {}
                for media in said.media
            }
        made[str(status)] = answer
    for status, codes in by_status(codes_of(route, operation)).items():
        shared: Schema = {"$ref": f"#/components/responses/{response_name(codes)}"}
        if operation.is_page:
            shared = problem_response(codes)
            shared["content"][HTML] = {}
        made.setdefault(str(status), shared)
    return dict(sorted(made.items()))


def _content(route: Route, operation: Operation, status: int, said: Said) -> Schema:
    shape = said.shape
    if shape is None:
        return {}
    schema: Schema = ref(shape)
    example: Any = SHAPES.get(shape)
    if said.form == "page":
        schema = {"$ref": PREFIX + page_name(shape)}
        example = {"object": "list", "url": route.template, "has_more": False, "data": [example]}
    elif said.form == "array":
        schema, example = {"type": "array", "items": schema}, [example]
    given = ANSWERS.get((operation.id, status))
    if given is None:
        return {"schema": schema, "example": example}
    shown = {name: {"summary": summary, "value": value} for name, (summary, value) in given.items()}
    return {"schema": schema, "examples": shown}
