"""What a type alone does not say of a field: words, formats, values, patterns."""

from typing import Any, Final

from payments.ids import ALPHABET, BODY_LENGTH

Extra = dict[str, Any]

_BODY: Final = f"[{ALPHABET}]{{{BODY_LENGTH}}}"


def id_of(prefix: str, text: str) -> Extra:
    """The schema additions of an id."""
    body = f"{_BODY}[A-Z]" if prefix == "evt" else _BODY
    return {"description": text, "pattern": f"^{prefix}_{body}$"}


def instant(text: str) -> Extra:
    """The schema additions of an instant: RFC 3339, UTC, milliseconds."""
    return {"description": text, "format": "date-time"}


def one_of(text: str, *values: str) -> Extra:
    """The schema additions of a text with known values."""
    return {"description": text, "enum": list(values)}


def says(text: str) -> Extra:
    """Only words."""
    return {"description": text}
