"""Holds answers against the OpenAPI document: status, headers, media type and body.

Objects may have no field beyond those described: what a client may not rely on is not sent.
"""

import re
from typing import Any

from jsonschema import Draft202012Validator

STEP = re.compile(r"\{[a-z]+\}")
FORMATS = Draft202012Validator.FORMAT_CHECKER
UNDESCRIBED = (400, 401, 404, 405, 408, 413, 431)
"""What is said where nothing is, or before anybody looks at the path."""

ALIKE_MAX = 50
"""Answers of one operation and status that `glance` looks at; the thousandth tells nothing new."""

ONLY_WHERE_DESCRIBED = ("Retry-After", "Idempotent-Replayed", "RateLimit")


class Judge:
    """Holds answers against a document; remembers which (operation, status) it has seen."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int]] = set()
        self._components = closed(document["components"])
        self._glances: dict[tuple[str, int], int] = {}
        self._validators: dict[Any, Draft202012Validator] = {}
        # A path without open steps comes before one that would take it too.
        self._paths = [
            (re.compile("/".join(_step(step) for step in path.split("/"))), item)
            for path, item in sorted(document["paths"].items(), key=lambda pair: "{" in pair[0])
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """The description of what was asked; None for what is not there."""
        bare = path.partition("?")[0]
        for pattern, item in self._paths:
            if pattern.fullmatch(bare):
                return item.get("get" if method == "HEAD" else method.lower())
        return None

    def check(self, method: str, path: str, answer: Any) -> None:
        """Assert that an answer is one of those described. `answer`: status, headers, body."""
        operation = self.operation(method, path)
        if operation is None:
            if path.startswith("/v1/"):
                assert answer.status in UNDESCRIBED, (method, path, answer)
            return
        where = (operation["operationId"], answer.status)
        described = operation["responses"].get(str(answer.status))
        assert described is not None, (where, answer)
        self.seen.add(where)
        described = self._resolved(described)
        headers = described["headers"]
        for name, header in headers.items():
            rule = self._resolved(header)
            value = answer.headers.get(name)
            assert value is not None or not rule.get("required"), (where, name)
            if value is not None:
                self._fits(rule["schema"], value, name)
        for name in ONLY_WHERE_DESCRIBED:
            assert name in headers or name not in answer.headers, (where, name)
        if method != "HEAD":
            self._check_body(described.get("content", {}), answer, where)

    def glance(self, method: str, path: str, answer: Any) -> None:
        """The same for the first answers of a kind, so that whole suites can afford it."""
        operation = self.operation(method, path)
        where = ("" if operation is None else operation["operationId"], answer.status)
        count = self._glances[where] = self._glances.get(where, 0) + 1
        if count <= ALIKE_MAX:
            self.check(method, path, answer)

    def _check_body(self, contents: dict[str, Any], answer: Any, where: tuple[str, int]) -> None:
        kind = answer.headers["Content-Type"]
        assert not contents or kind in contents or "*/*" in contents, (where, kind)
        schema = contents.get(kind, {}).get("schema")
        if schema is not None:
            self._fits(schema, answer.body, (*where, kind))

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = self.document
            for step in node["$ref"].split("/")[1:]:
                found = found[step]
            node = found
        return node

    def _fits(self, schema: dict[str, Any], value: Any, where: Any) -> None:
        validator = self._validators.get(where)
        if validator is None:
            whole = {**schema, "components": self._components}
            validator = Draft202012Validator(whole, format_checker=FORMATS)
            self._validators[where] = validator
        complaints = [f"{one.json_path}: {one.message}" for one in validator.iter_errors(value)]
        assert not complaints, (where, complaints)


def _step(step: str) -> str:
    return "[^/]+" if STEP.fullmatch(step) else re.escape(step)


def closed(value: Any) -> Any:
    """The same schemas, with no property beyond those that they name."""
    if isinstance(value, list):
        return [closed(part) for part in value]
    if not isinstance(value, dict):
        return value
    made = {key: closed(part) for key, part in value.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made
