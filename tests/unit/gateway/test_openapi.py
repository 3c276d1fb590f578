"""The OpenAPI document says what the code does: each route, field, code and event, and no more."""

import inspect
import json
import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.decode import decode
from gateway.errors import EdgeError
from gateway.openapi import examples, paths, webhooks
from gateway.openapi.document import document, document_bytes, document_text
from gateway.openapi.fields import FIELDS
from gateway.openapi.operation import TAGS
from gateway.openapi.operations import OPERATIONS
from gateway.openapi.problems import ABSTRACT, KINDS, WORDS
from gateway.openapi.schemas import extra_of
from gateway.routing_table import ROUTES
from gateway.schemas import BODIES
from judge import closed
from payments.errors import error_classes
from payments.view import EVENT_LETTER

KEPT = Path(__file__).parents[3] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def described():
    """The document, as a client reads it."""
    return json.loads(document_bytes())


@pytest.fixture(scope="module")
def check(described):
    """check(schema, value): the complaints; objects have no more fields than are described."""

    components = closed(described["components"])

    def complaints(schema, value):
        whole = {**schema, "components": components}
        found = Draft202012Validator(whole).iter_errors(value)
        return [f"{error.json_path}: {error.message}" for error in found]

    return complaints


def operations(described):
    """(path, method, operation) of each."""
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_the_document_is_openapi_3_1(described):
    """The validator of the specification finds nothing."""
    assert [] == [str(error) for error in OpenAPIV31SpecValidator(described).iter_errors()]


def test_the_kept_document_is_the_served_one():
    """A change of the contract shows in a review: `make openapi` writes docs/openapi.json anew."""
    assert KEPT.read_text() == document_text(), "run `make openapi` and look at what changed"


def test_each_route_is_described_and_nothing_else():
    """A new route has its entry in gateway/openapi/operations.py."""
    assert {(route.method, route.template) for route in ROUTES} == set(OPERATIONS)


def test_the_document_has_each_route(described):
    """Method and path, with the security that the route asks for."""
    found = {
        (method.upper(), path): bool(operation["security"])
        for path, method, operation in operations(described)
    }

    assert {(route.method, route.template): route.authenticated for route in ROUTES} == found


def test_ids_of_operations_are_unique_and_tags_are_explained():
    """Generators make a function of each id."""
    ids = [operation.id for operation in OPERATIONS.values()]

    assert len(set(ids)) == len(ids)
    assert {operation.tag for operation in OPERATIONS.values()} | {"Webhooks"} == set(TAGS)


def test_handlers_take_the_bodies_and_filters_that_are_described():
    """Where a handler was made for a body or for filters, they are those of its description."""
    seen = 0
    for route in ROUTES:
        kept = inspect.getclosurevars(route.handler).nonlocals
        operation = OPERATIONS[route.method, route.template]
        if "kind" in kept:
            assert kept["kind"] is operation.body, route.template
            seen += 1
        if "filters" in kept:
            assert kept["filters"] == operation.filters, route.template
            seen += 1
    assert seen > 10


def test_each_body_is_described():
    """Every struct that is decoded from a request belongs to an operation."""
    assert set(BODIES) == {op.body for op in OPERATIONS.values() if op.body is not None}


def test_each_field_is_explained(described):
    """A schema without words is half a description."""
    silent = [
        f"{name}.{field}"
        for name, schema in described["components"]["schemas"].items()
        for field, one in schema.get("properties", {}).items()
        if not one.get("description")
    ]

    assert [] == silent


def test_no_explanation_is_left_over(described):
    """An entry of fields.py that nothing uses is a field that was renamed."""
    schemas = described["components"]["schemas"]
    names = {name for schema in schemas.values() for name in schema.get("properties", ())}
    used = {
        key
        for key in FIELDS
        if (key in names)
        or ("." in key and key.partition(".")[2] in schemas[key.partition(".")[0]]["properties"])
    }

    assert set() == set(FIELDS) - used
    assert extra_of(["Payment"], "id") is FIELDS["Payment.id"]


def test_each_code_of_the_trees_has_words_and_a_status():
    """A new problem code is explained before anybody meets it."""
    codes = {error.code for error in error_classes()}
    codes |= {error.code for error in EdgeError.__subclasses__()}

    assert codes - ABSTRACT == set(WORDS) == set(KINDS)


def test_only_two_statuses_beyond_500_are_announced(described):
    """503 and 504; callbacks excepted, whose answers are the channels' own."""
    found = {
        status
        for path, _, operation in operations(described)
        if not path.startswith("/callbacks/")
        for status in operation["responses"]
        if status.startswith("5")
    }

    assert {"503", "504"} == found


def test_examples_of_requests_are_taken_by_the_decoder():
    """Each is a body of its operation."""
    by_id = {operation.id: operation for operation in OPERATIONS.values()}
    for name, given in paths.REQUESTS.items():
        kind = by_id[name].body
        for _, value in given.values():
            assert isinstance(decode(kind, json.dumps(value).encode()), kind)


def test_every_example_fits_its_schema(described, check):
    """Requests, answers and events."""
    tried = 0
    contents = [
        (f"{method} {path}", content)
        for path, method, operation in operations(described)
        for part in (operation.get("requestBody", {}), *operation["responses"].values())
        for content in part.get("content", {}).values()
        if "$ref" not in str(content.get("examples"))
    ]
    contents += [
        (kind, item["post"]["requestBody"]["content"]["application/json"])
        for kind, item in described["webhooks"].items()
    ]
    for where, content in contents:
        values = [each["value"] for each in content.get("examples", {}).values()]
        values += [content["example"]] if "example" in content else []
        for value in values:
            assert [] == check(content["schema"], value), where
            tried += 1
    assert tried > 60


def test_examples_of_problems_fit_the_answers_that_show_them(described, check):
    """Each code under its own status."""
    kept = described["components"]["examples"]
    for name, answer in described["components"]["responses"].items():
        content = answer["content"]["application/problem+json"]
        for code in content["examples"]:
            assert [] == check(content["schema"], kept[f"problem_{code}"]["value"]), name


def test_a_wrong_answer_is_seen(check):
    """The check is no rubber stamp: a missing, a new and a wrong field are each found."""
    schema = {"$ref": "#/components/schemas/Payment"}
    lacking = {key: one for key, one in examples.PAID.items() if key != "fee"}

    assert [] == check(schema, examples.PAID)
    assert check(schema, lacking)
    assert check(schema, {**examples.PAID, "colour": "red"})
    assert check(schema, {**examples.PAID, "status": "paid"})
    assert check(schema, {**examples.PAID, "amount": "3800"})


def test_each_type_of_event_is_a_webhook(described):
    """All that a payment and a refund may announce, each with words and an example of its own."""
    assert set(EVENT_LETTER) == set(described["webhooks"]) == set(webhooks.TEXTS)
    for kind, item in described["webhooks"].items():
        content = item["post"]["requestBody"]["content"]["application/json"]
        assert kind == content["example"]["type"]


def test_every_reference_leads_somewhere(described):
    """No dangling `$ref`, and no component that nobody needs."""
    text = json.dumps(described)
    wanted = set(re.findall(r'"\$ref": "#/components/([^"]+)"', text))
    there = {
        f"{part}/{name}"
        for part, members in described["components"].items()
        if part != "securitySchemes"
        for name in members
    }

    assert set() == wanted - there
    # What no operation of its own answers with: codes of any path, and our bugs.
    assert {
        f"examples/problem_{code}"
        for code in ("internal_error", "method_not_allowed", "module_not_served")
    } == there - wanted


def test_patterns_are_read_alike_everywhere(described):
    """No look-around and no Python dialect: generators of other languages compile them."""
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(described))

    assert patterns
    assert [] == [each for each in patterns if "(?" in each or "\\\\Z" in each]


def test_the_document_is_made_once():
    """The bytes are kept; making them again gives the same."""
    assert document_bytes() is document_bytes()
    assert json.loads(document_bytes()) == json.loads(json.dumps(document()))
