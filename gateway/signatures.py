"""Signed requests: verify HTTP message signatures (RFC 9421) with a Content-Digest (RFC 9530).

What must be covered is fixed here, the algorithm comes from the key's record, and a request that
fails for a reason only the key's owner could know gets one answer, `DENIED`, after the same work.

The usual shape (one signature; created, keyid, nonce in this order) takes a short way: one cached
plan per list of components, one small pattern. Everything else takes the long way through
`fields.py`; both end in the same `_judge`.
"""

import hashlib
import hmac
import re
from binascii import b2a_base64
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, NoReturn, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from multidict import istr

from gateway.fields import (
    BadField,
    InnerList,
    Item,
    decode_bytes,
    encode_bytes,
    parse_dictionary,
    serialize_inner_list,
)
from payments.errors import Unauthorized
from payments.reference import Key, KeyType

WINDOW_S: Final = 300
NONCE_LENGTH_MAX: Final = 255
KEYS_CACHED_MAX: Final = 4096
PLANS_CACHED_MAX: Final = 256

DENIED: Final = (
    "The key is not known here, its signature does not match, or it is outside its time window. "
    "Check the key, the signed text and this machine's clock."
)

HOST: Final = istr("Host")
SIGNATURE_INPUT: Final = istr("Signature-Input")
SIGNATURE: Final = istr("Signature")
CONTENT_DIGEST: Final = istr("Content-Digest")
IDEMPOTENCY_KEY: Final = istr("Idempotency-Key")
TILLWAY_MERCHANT: Final = istr("Tillway-Merchant")

REQUIRED: Final = ("@method", "@authority", "@path", "@query", "content-digest")
_SLOTS: Final = (*REQUIRED, "idempotency-key", "tillway-merchant")
_DIGESTS: Final = {"sha-256": "sha256", "sha-512": "sha512"}
_TAIL: Final = re.compile(
    r'([1-9][0-9]{0,11});keyid="([!#-\[\]-~]{1,128})"(?:;nonce="([ !#-\[\]-~]{1,255})")?'
)
_FIELD_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_STRAY_KEY: Final = Key("", KeyType.HMAC_SHA256, "", "", b"\x00" * 32, ())  # type: ignore[arg-type]
"""Signs nothing; stands in for a key that does not exist, so that its request costs the same."""


class Headers(Protocol):
    """What is asked of a request's headers: aiohttp's multidict, or `FieldLines` of a function."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]: ...


class FieldLines:
    """Headers behind a plain look-up: lower-case name -> value, or None."""

    __slots__ = ("_look_up",)

    def __init__(self, look_up: Callable[[str], str | None]) -> None:
        self._look_up = look_up

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        value = self._look_up(key.lower())
        return default if value is None else (value.strip(" \t"),)


class Verified(Struct, frozen=True, gc=False):
    """A signature that holds. `created`: seconds since 1970, as signed."""

    key: Key
    nonce: str | None
    created: int


class _Plan(Struct, frozen=True):
    """How to build the signed text for one list of components.

    `prefix` begins its signature. `template` has a place for each component's value; `pick` takes
    them from the values in the order of `_SLOTS`, followed by those of `others` (further fields).
    """

    label: str
    prefix: str
    template: str
    pick: Callable[[tuple[str | None, ...]], tuple[str | None, ...]]
    lines: int
    covers_key: bool
    covers_merchant: bool
    others: tuple[str, ...]


class _Claim(Struct, frozen=True, gc=False):
    """What a signature says about itself. Nothing of it is believed yet."""

    plan: _Plan
    parameters: str
    signature: str
    created: int
    key_id: str
    nonce: str | None
    algorithm: str | None = None
    expires: int | None = None


def refuse(detail: str) -> NoReturn:
    raise Unauthorized(detail)


def denied() -> NoReturn:
    raise Unauthorized(DENIED)


def split_target(raw: str) -> tuple[str, str]:
    """Path and query of a request target as it was sent, nothing decoded.

    `/a?b=c` gives `/a` and `b=c`; the absolute form loses its scheme and authority.
    """
    if not raw.startswith("/") and "://" in raw:
        raw = _ORIGIN.sub("", raw)
    path, _, query = raw.partition("?")
    return path or "/", query


def verify(
    method: str,
    path: str,
    query: str,
    headers: Headers,
    body: bytes,
    key_of: Callable[[str], Key | None],
    now_ms: int,
) -> Verified:
    """Check the signature of a request. Raise Unauthorized for anything less than right.

    `path` and `query` as sent, the query without its question mark; `key_of` looks a key id up;
    `now_ms` is real time, milliseconds since 1970.
    """
    inputs = headers.getall(SIGNATURE_INPUT, ())
    signatures = headers.getall(SIGNATURE, ())
    if not inputs or not signatures:
        refuse("A signed request needs the headers Signature-Input and Signature.")
    digest = _checked_digest(headers.getall(CONTENT_DIGEST, ()), body)
    claim, key = _claimed(inputs, signatures, key_of)
    if claim.nonce is None and method == "POST":
        refuse("The signature of a POST needs the parameter nonce.")
    plan = claim.plan
    idempotency_key = _single(headers, IDEMPOTENCY_KEY, plan.covers_key)
    merchant = _single(headers, TILLWAY_MERCHANT, plan.covers_merchant)
    host = _single(headers, HOST, True)
    values: tuple[str | None, ...] = (
        method,
        _authority(host or ""),
        path or "/",
        f"?{query}",
        digest,
        idempotency_key,
        merchant,
    )
    if plan.others:
        values += tuple(_combined(headers, name) for name in plan.others)
    base = plan.template % plan.pick(values) + claim.parameters
    # A value with a line end could pretend to be another component.
    if base.count("\n") != plan.lines or not base.isascii():
        refuse("The signed components must be printable ASCII.")
    return _judge(claim, key, base.encode(), now_ms)


def _judge(claim: _Claim, key: Key | None, base: bytes, now_ms: int) -> Verified:
    """Compare the signature, then everything that only the key's owner may learn."""
    usable = key or _STRAY_KEY
    if usable.type is KeyType.ED25519:
        holds = _ed25519_holds(usable.secret, claim.signature, base)
    else:
        # A bearer key signs nothing: its record holds a digest, never to be used as a secret.
        secret = usable.secret if usable.type is KeyType.HMAC_SHA256 else _STRAY_KEY.secret
        holds = hmac.compare_digest(_hmac_text(secret, base), claim.signature.encode("ascii"))
    if (
        not holds
        or key is None
        or key.type is KeyType.BEARER
        or (claim.algorithm is not None and claim.algorithm != key.type)
        or not -WINDOW_S * 1000 <= now_ms - claim.created * 1000 <= WINDOW_S * 1000
        or (claim.expires is not None and now_ms > claim.expires * 1000)
        or not is_current(key, now_ms)
    ):
        denied()
    return Verified(key, claim.nonce, claim.created)


def is_current(key: Key, now_ms: int) -> bool:
    """Whether a key is within its own window. `now_ms`: real time."""
    return key.not_before <= now_ms and (key.not_after == 0 or now_ms < key.not_after)


# --- The signatures ---------------------------------------------------------------------------


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _hmac_states(secret: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """SHA-256 after the inner and the outer padded key (RFC 2104): half of each HMAC's work."""
    padded = (hashlib.sha256(secret).digest() if len(secret) > 64 else secret).ljust(64, b"\x00")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    return inner, outer


def _hmac_text(secret: bytes, base: bytes) -> bytes:
    """HMAC-SHA256 in base64. The text is compared, so that only the canonical one passes."""
    inner, outer = _hmac_states(secret)
    first = inner.copy()
    first.update(base)
    second = outer.copy()
    second.update(first.digest())
    return b2a_base64(second.digest(), newline=False)


@lru_cache(maxsize=KEYS_CACHED_MAX)
def _ed25519_key(public_key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public_key)


def _ed25519_holds(public_key: bytes, signature: str, base: bytes) -> bool:
    try:
        _ed25519_key(public_key).verify(decode_bytes(signature), base)
    except (InvalidSignature, BadField):
        return False
    return True


# --- What the signature covers ----------------------------------------------------------------


def _claimed(
    inputs: Sequence[str], signatures: Sequence[str], key_of: Callable[[str], Key | None]
) -> tuple[_Claim, Key | None]:
    """The claim to judge and its key. With several signatures, the first whose key we know."""
    if len(inputs) == 1 and len(signatures) == 1:
        head, _, tail = inputs[0].partition(";created=")
        found = _TAIL.fullmatch(tail)
        plan = _plan_of_head(head) if found else None
        if found and plan:
            signature = signatures[0]
            start = len(plan.prefix)
            text = signature[start:-1]
            if (
                signature.startswith(plan.prefix)
                and signature.endswith(":")
                and text.isascii()
                and ":" not in text
            ):
                created, key_id, nonce = found.groups()
                parameters = inputs[0][start - 1 :]
                claim = _Claim(plan, parameters, text, int(created), key_id, nonce)
                return claim, key_of(key_id)
    return _claimed_by_any(", ".join(inputs), ", ".join(signatures), key_of)


def _claimed_by_any(
    inputs: str, signatures: str, key_of: Callable[[str], Key | None]
) -> tuple[_Claim, Key | None]:
    try:
        offered = parse_dictionary(inputs)
        values = parse_dictionary(signatures)
    except BadField as error:
        refuse(f"Signature-Input or Signature cannot be read: {error}.")
    pairs: list[tuple[str, InnerList, bytes]] = []
    for label, member in offered.items():
        item = values.get(label)
        if not isinstance(member, InnerList) or not isinstance(item, Item):
            refuse("Signature-Input takes lists, and Signature one byte sequence for each.")
        if not isinstance(item.value, bytes):
            refuse("Signature takes byte sequences.")
        pairs.append((label, member, item.value))
    if not pairs:
        refuse("Signature-Input is empty.")
    for label, member, value in pairs:
        key_id = member.parameters.get("keyid")
        if type(key_id) is str and (key := key_of(key_id)) is not None:
            return _claim_of(label, member, value), key
    return _claim_of(*pairs[0]), None


def _claim_of(label: str, member: InnerList, value: bytes) -> _Claim:
    """Take a parsed signature apart. Raise Unauthorized where a parameter is missing or odd."""
    parameters = member.parameters
    for name in ("created", "expires"):
        if name in parameters and type(parameters[name]) is not int:
            refuse(f"The signature parameter {name} must be an integer.")
    for name in ("keyid", "nonce", "alg", "tag"):
        if name in parameters and type(parameters[name]) is not str:
            refuse(f"The signature parameter {name} must be a string.")
    key_id, created = parameters.get("keyid"), parameters.get("created")
    if key_id is None or created is None:
        refuse("The signature needs the parameters created and keyid.")
    nonce = parameters.get("nonce")
    if nonce is not None and not 0 < len(str(nonce)) <= NONCE_LENGTH_MAX:
        refuse(f"The nonce must have 1 to {NONCE_LENGTH_MAX} characters.")
    return _Claim(
        plan=_plan_of(label, member.items),
        parameters=serialize_inner_list(member),
        signature=encode_bytes(value),
        created=created,  # type: ignore[arg-type]  # the types were checked above
        key_id=key_id,  # type: ignore[arg-type]
        nonce=nonce,  # type: ignore[arg-type]
        algorithm=parameters.get("alg"),  # type: ignore[arg-type]
        expires=parameters.get("expires"),  # type: ignore[arg-type]
    )


@lru_cache(maxsize=PLANS_CACHED_MAX)
def _plan_of_head(head: str) -> _Plan | None:
    """The plan for `label=("@method" …)`; None where it is not written in the one usual way."""
    try:
        ((label, member),) = parse_dictionary(head).items()
    except ValueError:  # BadField, or not exactly one member: the long way words the refusal.
        return None
    if not isinstance(member, InnerList) or f"{label}={serialize_inner_list(member)}" != head:
        return None
    return None if member.parameters else _plan_of(label, member.items)


def _plan_of(label: str, items: Sequence[Item]) -> _Plan:
    """Check a list of components and prepare for it. Raise Unauthorized where it falls short."""
    names: list[str] = []
    for item in items:
        name = item.value
        if type(name) is not str or item.parameters:
            refuse("Signature components must be plain strings without parameters.")
        if name not in _SLOTS and not _FIELD_NAME.fullmatch(name):
            refuse(f"The signature component {name[:40]!r} is not supported.")
        if name in names:
            refuse(f"The signature component {name[:40]!r} comes twice.")
        names.append(name)
    for name in REQUIRED:
        if name not in names:
            refuse(f"The signature must cover {name}.")
    others = tuple(name for name in names if name not in _SLOTS)
    slots = (*_SLOTS, *others)
    # A percent sign may stand in a field name; the template must show it, not read it.
    template = "".join(f'"{name.replace("%", "%%")}": %s\n' for name in names)
    return _Plan(
        label=label,
        prefix=f"{label}=:",
        template=template + '"@signature-params": ',
        pick=itemgetter(*(slots.index(name) for name in names)),
        lines=len(names),
        covers_key="idempotency-key" in names,
        covers_merchant="tillway-merchant" in names,
        others=others,
    )


# --- The values it covers ---------------------------------------------------------------------


def _single(headers: Headers, name: str, covered: bool) -> str | None:
    """A header that comes at most once, and must be covered exactly if it comes."""
    lines = headers.getall(name, ())
    if len(lines) > 1:
        refuse(f"The header {name} comes twice.")
    if bool(lines) is not covered:
        refuse(
            f"The header {name} is covered by the signature and missing."
            if covered
            else f"The signature must cover {name.lower()}, since it is sent."
        )
    return lines[0] if lines else None


def _combined(headers: Headers, name: str) -> str:
    """Any other covered header, its lines joined as RFC 9421 section 2.1 says."""
    lines = headers.getall(name, ())
    if not lines:
        refuse(f"The header {name[:40]} is covered by the signature and missing.")
    return ", ".join(line.strip(" \t") for line in lines)


def _authority(host: str) -> str:
    """The Host header in lower case, without a scheme's default port."""
    host = host.lower()
    if host.endswith((":80", ":443")):
        return host.rpartition(":")[0]
    return host


def _checked_digest(lines: Sequence[str], body: bytes) -> str:
    """The Content-Digest as sent, if it is the body's. Raise Unauthorized otherwise."""
    if not lines:
        refuse("A signed request needs the header Content-Digest, for an empty body too.")
    sent = ", ".join(lines)
    if sent == f"sha-256=:{encode_bytes(hashlib.sha256(body).digest())}:":
        return sent
    try:
        members = parse_dictionary(sent)
    except BadField as error:
        refuse(f"Content-Digest cannot be read: {error}.")
    known = [name for name in members if name in _DIGESTS]
    if not known:
        refuse("Content-Digest needs sha-256 or sha-512.")
    for name in known:
        member = members[name]
        digest = hashlib.new(_DIGESTS[name], body).digest()
        if not isinstance(member, Item) or member.value != digest:
            refuse("Content-Digest is not the digest of the body.")
    return sent
