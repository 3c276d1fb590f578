"""Schema components: what msgspec says of the structs, and what `fields.py` adds to it."""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct
from msgspec.json import schema_components

from gateway.openapi.fields import FIELDS

Schema = dict[str, Any]

PREFIX: Final = "#/components/schemas/"
LINE_END: Final = r"(?!\n)"
"""Stands after `$` in our patterns, for Python; in ECMA's dialect `$` lets no line end through."""

NULL: Final = {"type": "null"}

WORDS: Final = {
    "Refund": "Money that goes back. Every field is always there.",
    "Discount": "A coupon.",
    "Failure": "Why it did not happen.",
    "Risk": "What risk said.",
    "Route": "Where it was sent, and why.",
    "Code": "A code to show to the payer.",
    "MerchantStatus": "How far a merchant is.",
    "KeyType": "How requests are authenticated.",
    "PlateStatus": "Whether a plate takes payments.",
    "ReceiverStatus": "Whether a receiver gets new shares.",
    "SplitRuleStatus": "Whether a rule applies to new payments.",
    "Split": "A receiver's share of a payment.",
    "AccountStatus": "Whether somebody else has compared it with its papers.",
    "KeyOwner": "Whose key it is.",
}
"""Structs and enums that have no sentence of their own in the code."""


def name_of(kind: type[Struct]) -> str:
    """The name of a struct in the document: `PaymentView` is `Payment` there."""
    return _plain(kind.__name__)


def _plain(name: str) -> str:
    return name.removesuffix("View")


def ref(kind: type[Struct] | str) -> Schema:
    """A reference to a component."""
    return {"$ref": PREFIX + (kind if isinstance(kind, str) else name_of(kind))}


def page_name(kind: type[Struct]) -> str:
    return f"{name_of(kind)}List"


def page_of(kind: type[Struct]) -> Schema:
    """The schema of a page of objects."""
    return {
        "description": f"A page of {name_of(kind)} objects, newest first.",
        "type": "object",
        "properties": {
            "object": {"const": "list", "description": "What kind of object this is."},
            "url": {"type": "string", "description": "The path of the list."},
            "has_more": {
                "type": "boolean",
                "description": "Whether there are more: ask with `starting_after` and the last id.",
            },
            "data": {
                "type": "array", "items": ref(kind), "description": "The objects, newest first.",
            },
        },
        "required": ["object", "url", "has_more", "data"],
    }  # fmt: skip


def components(kinds: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of structs and of all that they are made of, by name."""
    listed = list(kinds)
    _, found = schema_components(listed, ref_template=PREFIX + "{name}")
    parents = {
        name_of(kind): [_plain(base.__name__) for base in kind.__mro__ if base is not Struct]
        for kind in listed
    }
    made: dict[str, Schema] = {}
    for raw, schema in found.items():
        name = _plain(raw)
        made[name] = _improved(name, schema, parents.get(name, [name]))
        if raw.endswith("View"):
            _require_all(made[name])
    return dict(sorted(made.items()))


def fields_of(schemas: dict[str, Schema]) -> set[tuple[str, str]]:
    """Every (struct, field) of some schemas."""
    return {(name, field) for name, one in schemas.items() for field in one.get("properties", ())}


def extra_of(names: Iterable[str], field: str) -> Schema | None:
    """What `fields.py` says of a field of a struct, whose own name comes before its parents'."""
    keys = [*(f"{name}.{field}" for name in names), field]
    return next((FIELDS[key] for key in keys if key in FIELDS), None)


def _improved(name: str, schema: Schema, names: list[str]) -> Schema:
    made: Schema = _renamed(schema)
    made.pop("title", None)
    if name in WORDS:
        made["description"] = WORDS[name]
    properties = made.get("properties")
    if properties is not None:
        made["properties"] = {
            field: _with(one, extra_of(names, field) or {}) for field, one in properties.items()
        }
        if not made.get("required"):
            made.pop("required", None)
    return made


def _require_all(schema: Schema) -> None:
    """What an answer may leave out has no default; what has one is always there."""
    properties = schema["properties"]
    given = [field for field, one in properties.items() if "default" in one]
    for field in given:
        del properties[field]["default"]
    required = {*schema.get("required", ()), *given}
    schema["required"] = [field for field in properties if field in required]


def _renamed(value: Any) -> Any:
    """The same with references to our names, types beside values, and patterns as ECMA has them."""
    if isinstance(value, list):
        return [_renamed(part) for part in value]
    if not isinstance(value, dict):
        return value
    made: Schema = {}
    for key, part in value.items():
        if key == "$ref":
            made[key] = PREFIX + _plain(part.removeprefix(PREFIX))
        elif key == "pattern" and isinstance(part, str):
            made[key] = part.removesuffix(LINE_END)
        elif key == "default" and part is None:
            continue
        elif key == "enum" and isinstance(part, list):
            made["type"] = "integer" if all(isinstance(one, int) for one in part) else "string"
            made[key] = part
        else:
            made[key] = _renamed(part)
    return made


def _with(schema: Schema, extra: Schema) -> Schema:
    """A field's schema and what is said about it, put where it belongs if null is allowed too."""
    words = {"description": extra["description"]} if "description" in extra else {}
    rules = {key: part for key, part in extra.items() if key != "description"}
    variants = schema.get("anyOf")
    if rules and variants is not None and NULL in variants and "$ref" not in variants[0]:
        first = {**variants[0], **rules}
        return {**words, **schema, "anyOf": [first, *variants[1:]]}
    return {**words, **schema, **rules}
