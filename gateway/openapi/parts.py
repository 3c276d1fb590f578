"""Parameters, headers, security schemes and problem answers: the parts that operations share."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from msgspec.json import decode

from gateway.edge import VERSION
from gateway.errors import EdgeError, FieldProblem, Problem, problem
from gateway.headers import IDEMPOTENCY_KEY_MAX, WAIT_S_MAX
from gateway.lists import LIMIT_DEFAULT, LIMIT_MAX, OneOf, day, instant
from gateway.openapi.problems import KINDS
from gateway.openapi.schemas import Schema, ref
from gateway.openapi.words import id_of
from payments.errors import InvalidField, by_code

PROBLEM_MEDIA: Final = "application/problem+json"
EXAMPLE_REQUEST: Final = "req_5T0QK3ZN00000042"

ID: Final = "^[a-z]{3}_[0-9A-Z]{24}$"
CURSORS: Final = {
    "entry": "^ent_[0-9A-Z]{25}$",
    "any": ID,
    "endpoint": "^whk_[0-9A-Z]{24}$",
    "event": "^evt_[0-9A-Z]{25}$",
    "delivery": "^evt_[0-9A-Z]{25}\\.whk_[0-9A-Z]{24}$",
}
"""What the ids of a list look like, by kind."""

FILTER_TEXTS: Final = {
    "order_no": "Only of this order number.",
    "store": "Only of this store.",
    "terminal": "Only of this terminal.",
    "status": "Only in this status.",
    "channel": "Only over this channel.",
    "way": "Only of this way.",
    "business_date": "Only of this business day, `yyyymmdd`.",
    "payment": "Only of this payment.",
    "platform": "Only of this platform.",
    "merchant": "Of this merchant.",
    "receiver": "Of this receiver.",
    "source": "Only about this object.",
    "account": "An account of the chart, or what the names begin with.",
    "format": "How it is written; `json` if nothing is said.",
    "type": "Only of this type; `payment.*` is all of payments.",
    "bill_date": "Only of this day's bill, `yyyymmdd`.",
    "owner": "Only of this owner.",
    "reconciliation": "Only of this comparison.",
    "created[gt]": "Only after this instant.",
    "created[gte]": "Only at this instant or after it.",
    "created[lt]": "Only before this instant.",
    "created[lte]": "Only at this instant or before it.",
}
"""What each filter of a list does, by name; `PREFIXES` says of which kind an id is."""

PREFIXES: Final = {
    "store": "sto",
    "terminal": "trm",
    "payment": "pay",
    "merchant": "mch",
    "receiver": "rcv",
    "reconciliation": "rec",
}

HEADERS: Final[dict[str, Schema]] = {
    "Request-Id": {
        "description": "Names this answer in our logs.",
        "required": True,
        "schema": {"type": "string", "examples": [EXAMPLE_REQUEST]},
    },
    "Tillway-Version": {
        "description": "The version that answered.",
        "required": True,
        "schema": {"const": VERSION},
    },
    "Idempotent-Replayed": {
        "description": "`true`: this Idempotency-Key was used before; nothing was done again.",
        "schema": {"const": "true"},
    },
    "Retry-After": {
        "description": "Seconds to wait before asking again.",
        "schema": {"type": "string", "pattern": "^[0-9]+$", "examples": ["1"]},
    },
    "RateLimit": {
        "description": "The quota: `r` requests remain, `t` seconds until there are more.",
        "schema": {"type": "string", "examples": ['"default";r=0;t=1']},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "schema": {"type": "string", "examples": ['Bearer realm="tillway"']},
    },
    "Accept": {
        "description": "The media type that is taken here.",
        "schema": {"const": "application/json"},
    },
}

PARAMETERS: Final[dict[str, Schema]] = {
    "TillwayMerchant": {
        "name": "Tillway-Merchant",
        "in": "header",
        "description": "The merchant that a platform's or an operator's key acts for. A "
        "merchant's own key needs none.",
        "schema": {"type": "string", "pattern": id_of("mch", "")["pattern"]},
    },
    "TillwayVersion": {
        "name": "Tillway-Version",
        "in": "header",
        "description": "Pins behavior: another version than the server's is refused.",
        "schema": {"type": "string", "enum": [VERSION]},
    },
    "IdempotencyKeyRequired": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "description": "Names your intent, so that repeating the request has no second effect. "
        "Make one for each payment or refund (a UUID is fine) and keep it until you have an "
        "answer. Bare or quoted; keys never expire. A refusal does not use it up.",
        "schema": {
            "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_MAX,
            "pattern": "^[!#-~]([ -~]*[!-~])?$",
        },
        "example": "9f1c2c0e-7c58-4c0a-b5a3-4f1a7e0f1d55",
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Names your intent, so that repeating the request has no second effect.",
        "schema": {
            "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_MAX,
            "pattern": "^[!#-~]([ -~]*[!-~])?$",
        },
    },
    "Prefer": {
        "name": "Prefer",
        "in": "header",
        "description": "How long the answer may wait for a verdict (RFC 7240): `wait=n` seconds, "
        f"at most {WAIT_S_MAX}; 5 if left out. A wish: what cannot be read is passed over.",
        "schema": {"type": "string"},
        "example": "wait=10",
    },
    "Wait": {
        "name": "wait",
        "in": "query",
        "description": "Seconds to hold the answer until the status changes.",
        "schema": {"type": "integer", "minimum": 1, "maximum": WAIT_S_MAX},
    },
    "Limit": {
        "name": "limit",
        "in": "query",
        "description": "Objects on a page.",
        "schema": {
            "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT,
        },
    },
}  # fmt: skip

SECURITY: Final[dict[str, Schema]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "`Authorization: Bearer sk_test_…`. Test mode only.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature",
        "description": "A signed request: RFC 9421 with `hmac-sha256` or `ed25519`, as the key's "
        'record says. Live mode takes nothing else.\n\nCovered: `"@method" "@authority" '
        '"@path" "@query" "content-digest"`, and `"idempotency-key"` and '
        '`"tillway-merchant"` where they are sent. Parameters: `created` (within 300 s of our '
        "clock), `keyid` (`key_…`), and on POST a `nonce`, which counts once. `Content-Digest` "
        "(RFC 9530, `sha-256` or `sha-512`) covers an empty body too; an empty `@query` is `?`. "
        "The HMAC key is the base64-decoded part of the secret after `hs_test_` or `hs_live_`."
        "\n\n`Signature: sig1=:…:`",
    },
    "signatureInput": {
        "type": "apiKey",
        "in": "header",
        "name": "Signature-Input",
        "description": 'What `Signature` covers: `sig1=("@method" "@authority" "@path" '
        '"@query" "content-digest");created=1795234350;keyid="key_…";nonce="…"`.',
    },
    "contentDigest": {
        "type": "apiKey",
        "in": "header",
        "name": "Content-Digest",
        "description": "`sha-256=:…:` of the body, an empty one too (RFC 9530).",
    },
}
NEEDED: Final[list[dict[str, list[str]]]] = [
    {"bearer": []},
    {"signature": [], "signatureInput": [], "contentDigest": []},
]
"""Either of the two ways to authenticate."""


def cursor_parameters(kind: str, *, back: bool) -> list[Schema]:
    """Where a page begins or ends. `back`: it can be paged backward."""
    schema = {"type": "string", "pattern": CURSORS[kind]}
    texts = {"starting_after": "The id of the last object you have: the page begins after it."}
    if back:
        texts["ending_before"] = "The id of the first object you have: the page ends before it."
    return [
        {"name": name, "in": "query", "description": text, "schema": schema}
        for name, text in texts.items()
    ]


def filter_parameter(name: str, check: Any) -> Schema:
    """A filter of a list as a query parameter; its check says what may stand there."""
    schema: Schema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
    if isinstance(check, OneOf):
        schema = {"type": "string", "enum": list(check.allowed)}
    elif check is instant:
        schema = {"type": "string", "format": "date-time"}
    elif check is day:
        schema = {"type": "string", "pattern": "^[0-9]{8}$"}
    elif name == "type":
        schema = {"type": "string", "pattern": "^[a-z_.*]+$", "maxLength": 64}
    elif name in PREFIXES:
        schema = {"type": "string", "pattern": ID.replace("[a-z]{3}", PREFIXES[name])}
    return {"name": name, "in": "query", "description": FILTER_TEXTS[name], "schema": schema}


def header_refs(*names: str) -> Schema:
    return {
        name: {"$ref": f"#/components/headers/{name}"}
        for name in ("Request-Id", "Tillway-Version", *names)
    }


# --- Problems ---------------------------------------------------------------------------------


def problem_headers(status: int) -> Schema:
    """The headers of a problem of some status."""
    more = {
        401: ("WWW-Authenticate",),
        415: ("Accept",),
        429: ("Retry-After", "RateLimit"),
        503: ("Retry-After",),
        504: ("Retry-After",),
    }
    return header_refs(*more.get(status, ()))


def response_name(codes: Iterable[str]) -> str:
    """The name of the shared answer for some codes of one status."""
    return "-".join(codes)


def by_status(codes: Iterable[str]) -> dict[int, tuple[str, ...]]:
    """Codes in order, by their status."""
    found: dict[int, tuple[str, ...]] = {}
    for code in sorted(set(codes), key=lambda code: (KINDS[code].status, code)):
        status = KINDS[code].status
        found[status] = (*found.get(status, ()), code)
    return found


def problem_response(codes: tuple[str, ...]) -> Schema:
    """The answer with one of some codes, all of the same status."""
    status = KINDS[codes[0]].status
    lines = [f"- [`{code}`](/docs/errors#{code}): {KINDS[code].happened}" for code in codes]
    return {
        "description": f"{HTTPStatus(status).phrase}.\n\n" + "\n".join(lines),
        "headers": problem_headers(status),
        "content": {
            PROBLEM_MEDIA: {
                "schema": {
                    "allOf": [
                        ref(Problem),
                        {
                            "properties": {
                                "status": {"const": status}, "code": {"enum": list(codes)},
                            }
                        },
                    ]
                },
                "examples": {
                    code: {"$ref": f"#/components/examples/problem_{code}"} for code in codes
                },
            }
        },
    }  # fmt: skip


def problem_examples() -> dict[str, Schema]:
    """One example for each code, worded by the code that words problems."""
    return {
        f"problem_{code}": {"summary": kind.happened.partition(". ")[0], "value": _example(code)}
        for code, kind in KINDS.items()
    }


def _example(code: str) -> Any:
    edges: dict[str, Any] = {edge.code: edge for edge in EdgeError.__subclasses__()}
    if code == "not_found" or code not in edges:
        kind = by_code(code)
        param = "/amount" if kind is InvalidField else None
        error: Any = kind("Expected int, got str." if param else "", param=param)
    elif code == "method_not_allowed":
        error = edges[code](("GET", "POST"))
    else:
        error = edges[code]()
    return decode(problem(error, EXAMPLE_REQUEST, "/v1/payments")[2])


SHARED_STRUCTS: Final = (Problem, FieldProblem)
