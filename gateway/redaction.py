"""What may be written to a log: one processor, an allow-list of fields and masks for the rest.

A field whose name is not in `TEXT_FIELDS` keeps numbers and booleans, but its text is hidden: a new
field is a decision, made here. Secrets, codes, payers' ids and whatever looks like a card or a code
are masked in every text, however deep it is nested, in exceptions and in what libraries log.
"""

import hashlib
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

HIDDEN: Final = "[hidden]"
NOT_LISTED: Final = "[hidden: not in TEXT_FIELDS]"
DEPTH_MAX: Final = 6
ITEMS_MAX: Final = 50
TEXT_LENGTH_MAX: Final = 8_192
HASH_BYTES: Final = 6
NUMBER_MAX: Final = 10**13
"""Instants in milliseconds stay below; card numbers and codes do not."""

ID_FIELDS: Final = frozenset(
    {
        "request_id",
        "trace_id",
        "span_id",
        "merchant_id",
        "payment_id",
        "refund_id",
        "store_id",
        "terminal_id",
        "key_id",
        "order_no",
        "out_trade_no",
        "out_refund_no",
        "channel_trade_no",
    }
)
"""Ids may look like card numbers, and must stay whole to be found again. Secrets never."""

TEXT_FIELDS: Final = ID_FIELDS | {
    "timestamp",
    "level",
    "event",
    "logger",
    "exception",
    "stack",
    "action",
    "actor",
    "address",
    "channel",
    "account",
    "circuit",
    "code",
    "currency",
    "decision",
    "detail",
    "error",
    "errors",
    "kind",
    "lane",
    "link",
    "method",
    "name",
    "op",
    "outcome",
    "param",
    "path",
    "peer",
    "reason",
    "remote",
    "role",
    "route",
    "rule",
    "rules",
    "shard",
    "signal",
    "stage",
    "state",
    "status",
    "url",
    "verb",
    "version",
    "wallet",
    "way",
}

CODE_FIELDS: Final = frozenset({"auth_code", "code_shown", "payload"})
"""Bearers of money: the first two digits, and a keyed hash to compare two lines by."""

PERSON_FIELDS: Final = frozenset({"openid", "payer", "buyer_id", "buyer_user_id", "user_id"})
"""People: a keyed hash."""

_SECRET_NAME: Final = re.compile(
    r"secret|password|passwd|authorization|cookie|private|credential|signature|api_?key"
    r"|(?:^|_)(?:token|proof|challenge|nonce|pem)(?:$|_)",
    re.IGNORECASE,
)
_MASKS: Final = (
    # Our secrets, by their prefixes; the kind stays to be seen.
    (re.compile(r"\b((?:sk|op|hs|whsec)_(?:test_|live_)?)[A-Za-z0-9+/=_-]{6,}"), rf"\1{HIDDEN}"),
    (
        re.compile(r"(?i)\b(Bearer|Basic|WECHATPAY2-[A-Z0-9-]+)\s+[^'\"\s][^'\"\r\n]*"),
        rf"\1 {HIDDEN}",
    ),
    (
        re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)"),
        HIDDEN,
    ),
    # Byte sequences of header fields: signatures and digests of bodies.
    (re.compile(r"=:[A-Za-z0-9+/]{20,}={0,2}:"), f"=:{HIDDEN}:"),
    # WeChat's openids.
    (re.compile(r"(?<![A-Za-z0-9_-])o[A-Za-z0-9_-]{27}(?![A-Za-z0-9_-])"), HIDDEN),
    # A secret behind its name in free text, such as a representation or a query string.
    (
        re.compile(
            r"(?i)((?:secret|password|openid|auth_code|api_?key|signature)['\"]?\s*[=:]\s*['\"]?)"
            r"(?!\[hidden)[^\s'\",;&)}\]]{4,}"
        ),
        rf"\1{HIDDEN}",
    ),
)
_CARD_GROUPS: Final = re.compile(
    r"(?<![0-9])(?:[0-9]{4}(?:[ -][0-9]{4}){3}(?:[ -][0-9]{1,3})?|[0-9]{4}[ -][0-9]{6}[ -][0-9]{5})"
    r"(?![0-9])"
)
_DIGITS: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{13,}(?![0-9A-Za-z])")
_WORTH_A_LOOK: Final = re.compile(
    r"(?i)[0-9]{12}|[=:_-]|bearer|basic|[a-z0-9]{28}|[0-9]{4} [0-9]{4}"
)
"""Every mask needs one of these; most texts have none."""


class Secret:
    """A text that shows itself only when asked: `secret.reveal()`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__


class Redactor:
    """The processor. `hash_key` keys the hashes of codes and people: 18 digits can be guessed."""

    __slots__ = ("_hash_key",)

    def __init__(self, hash_key: bytes) -> None:
        self._hash_key = hash_key

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Mask one log event; the shape that structlog calls."""
        return {name: self.field(name, value) for name, value in event.items()}

    def field(self, name: str, value: Any, depth: int = 0) -> Any:
        """One named value, as it may be written."""
        if value is None or isinstance(value, bool):
            return value
        if name in CODE_FIELDS:
            return self._code(value)
        if name in PERSON_FIELDS:
            return f"#{self.hash_of(str(value))}"
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._nested(name, value, depth)
        if name in ID_FIELDS:
            return mask(as_text(value), digits=False)
        if isinstance(value, int | float):
            return value if abs(value) < NUMBER_MAX else mask(str(value))
        return mask(as_text(value)) if name in TEXT_FIELDS else NOT_LISTED

    def _nested(self, name: str, value: Any, depth: int) -> Any:
        if depth >= DEPTH_MAX:
            return HIDDEN
        if isinstance(value, Mapping):
            pairs = list(value.items())[:ITEMS_MAX]
            return {
                mask(as_text(key)): self.field(as_text(key), part, depth + 1) for key, part in pairs
            }
        return [self.field(name, part, depth + 1) for part in list(value)[:ITEMS_MAX]]

    def _code(self, value: Any) -> str:
        text = as_text(value)
        return f"{mask(text[:2])}…#{self.hash_of(text)}"

    def hash_of(self, text: str) -> str:
        """A short keyed hash: equal texts have equal ones, and nothing else is to be learned."""
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, key=self._hash_key[:64], digest_size=HASH_BYTES).hexdigest()


def as_text(value: Any) -> str:
    """Any value as text; bytes as the characters that they may be, so that masks see them."""
    return value.decode("latin-1") if isinstance(value, bytes | bytearray) else str(value)


def mask(text: str, *, digits: bool = True) -> str:
    """A text without secrets, payers' ids and (with `digits`) numbers of 13 digits and more."""
    if len(text) > TEXT_LENGTH_MAX:
        text = text[:TEXT_LENGTH_MAX] + "…"
    if not text.isascii():  # Lone surrogates, from raw bytes, would not make a line.
        text = text.encode("utf-8", "replace").decode("utf-8")
    if not _WORTH_A_LOOK.search(text):
        return text
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    if digits:
        text = _CARD_GROUPS.sub(_shorten, text)
        text = _DIGITS.sub(_shorten, text)
    return text


def _shorten(found: re.Match[str]) -> str:
    return f"{found.group()[:2]}…[{sum(map(str.isdigit, found.group()))} digits]"
