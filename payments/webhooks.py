"""Webhooks decided: what an endpoint is and wants, how a message is signed, when it is retried.

Source of the wire: Standard Webhooks 1.0.0. The headers of a message are `webhook-id` (the event's
id, the same in every try), `webhook-timestamp` (seconds, of this try) and `webhook-signature`
(`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, one for each secret that is valid now,
with blanks between). A secret is `whsec_` and the base64 of its bytes.

Everything here decides and changes nothing. Instants are real-time milliseconds: the test clock
moves no retry.
"""

import base64
import hmac
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import sha256
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from payments.view import EVENT_LETTER

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - how a secret begins, not one
SECRET_BYTES: Final = 32
SECRETS_MAX: Final = 2
"""Of one endpoint, valid at one time: a roll during a roll ends the oldest."""

EVENT_TYPES: Final = tuple(EVENT_LETTER)
_PATTERN: Final = re.compile(r"\*|[a-z_]+(?:\.[a-z_]+)*(?:\.\*)?")

PLAN_MS: Final = (
    0,
    5_000,
    300_000,
    1_800_000,
    7_200_000,
    18_000_000,
    36_000_000,
    50_400_000,
    72_000_000,
    86_400_000,
)
"""How long after the try before it each try follows: at once, then 5 s to 24 h. Ten tries."""

JITTER_PPM_MAX: Final = 100_000
"""A wait is longer by up to a tenth, so that a receiver that is back is not run over."""

RETRY_AFTER_MAX_MS: Final = 3_600_000
"""A receiver may ask for so much patience, not more."""

RETRY_AFTER_MIN_MS: Final = 1_000
THROTTLES: Final = frozenset({429, 503})
GONE: Final = 410
EXCERPT_LENGTH_MAX: Final = 200

PPM: Final = 1_000_000
PLATFORM_BYTES: Final = 7

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"


class Secret(Struct, frozen=True, array_like=True):
    """A key that signs. `expires`: real-time ms, 0 for the one that stays."""

    key: bytes
    expires: int = 0

    def __repr__(self) -> str:
        return "Secret(…)"


class Endpoint(Struct, frozen=True, array_like=True):
    """Where somebody's events go.

    Of a merchant (`merchant`, and its number), or of a platform for all its merchants. `created`:
    business ms. `reason`: why it is disabled: `asked`, `gone` or `backlog`.
    """

    id: str
    url: str
    events: tuple[str, ...]
    secrets: tuple[Secret, ...]
    created: int
    merchant: str | None = None
    merchant_no: int = 0
    platform: str | None = None
    status: str = ENABLED
    reason: str | None = None
    description: str | None = None
    metadata: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Endpoint({self.id}, {self.status})"

    def wants(self, kind: str) -> bool:
        """Whether events of that type are for it."""
        if self.status != ENABLED:
            return False
        return any(matches(pattern, kind) for pattern in self.events)


def platform_number(platform: str) -> int:
    """What stands in an event of a platform's own receiver, where a merchant's number would.

    Negative, since merchants count from 1; made of the name alone, so that shards and courier
    agree without a register: 56 bits of SHA-256, which no two of a deployment's platforms share.
    """
    return -1 - int.from_bytes(sha256(platform.encode()).digest()[:PLATFORM_BYTES])


def matches(pattern: str, kind: str) -> bool:
    """Whether `*`, `payment.*` or an exact name covers the type of an event."""
    if pattern == "*" or pattern == kind:
        return True
    return pattern.endswith(".*") and kind.startswith(pattern[:-1])


def is_pattern(pattern: str) -> bool:
    """Whether a filter covers at least one type of event that there is."""
    return bool(_PATTERN.fullmatch(pattern)) and any(matches(pattern, k) for k in EVENT_TYPES)


# --- secrets and signatures -------------------------------------------------------------------


def secret_text(key: bytes) -> str:
    """A secret as it is shown, once."""
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def valid_secrets(endpoint: Endpoint, real_ms: int) -> list[Secret]:
    """Those that sign now, the newest first."""
    return [s for s in endpoint.secrets if not s.expires or s.expires > real_ms]


def roll(endpoint: Endpoint, key: bytes, overlap_ms: int, real_ms: int) -> Endpoint:
    """The endpoint with a new secret; the one before it signs beside it for `overlap_ms`."""
    kept = [
        replace(secret, expires=min(secret.expires or real_ms + overlap_ms, real_ms + overlap_ms))
        for secret in valid_secrets(endpoint, real_ms)
    ]
    kept = [secret for secret in kept if secret.expires > real_ms]
    return replace(endpoint, secrets=(Secret(key), *kept)[:SECRETS_MAX])


def signature(key: bytes, event_id: str, timestamp_s: int, body: bytes) -> str:
    """One `v1,…` of a message."""
    text = b"%b.%d.%b" % (event_id.encode("ascii"), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.digest(key, text, "sha256")).decode("ascii")


def message_headers(endpoint: Endpoint, event_id: str, real_ms: int, body: bytes) -> dict[str, str]:
    """The headers of one try that belong to the standard."""
    second = real_ms // 1_000
    signatures = [
        signature(secret.key, event_id, second, body) for secret in valid_secrets(endpoint, real_ms)
    ]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(second),
        "webhook-signature": " ".join(signatures),
    }


# --- what an answer means ---------------------------------------------------------------------


class Answered(Struct, frozen=True):
    """What came of one try. `status` 0: no answer, and `trouble` says why in a word."""

    status: int
    retry_after: str | None = None
    excerpt: str = ""
    trouble: str = ""


class Verdict(Struct, frozen=True):
    """What follows. `retry_ms`: when to try again, counted from now; None: not any more.

    `outcome`: delivered, refused (an answer that is no 2xx), no_answer or address_refused.
    `is_gone`: the endpoint wants no more at all. `hold_ms`: it wants nothing for so long.
    """

    outcome: str
    retry_ms: int | None = None
    is_gone: bool = False
    hold_ms: int = 0


ADDRESS_REFUSED: Final = "address_refused"


def judge(answer: Answered, step: int, real_ms: int, scale_ppm: int, random: Random) -> Verdict:
    """Read the answer to try number `step` (from 0) of the plan."""
    if 200 <= answer.status < 300:
        return Verdict("delivered")
    outcome = "refused" if answer.status else "no_answer"
    if answer.trouble == ADDRESS_REFUSED:
        outcome = ADDRESS_REFUSED
    if answer.status == GONE:
        return Verdict(outcome, is_gone=True)
    if step + 1 >= len(PLAN_MS):
        return Verdict(outcome)
    if answer.status in THROTTLES and answer.retry_after is not None:
        asked_ms = retry_after_ms(answer.retry_after, real_ms)
        if asked_ms is not None:
            return Verdict(outcome, asked_ms, hold_ms=asked_ms)
    wait_ms = PLAN_MS[step + 1] * scale_ppm // PPM
    return Verdict(outcome, wait_ms + wait_ms * random.randrange(JITTER_PPM_MAX + 1) // PPM)


def retry_after_ms(text: str, real_ms: int) -> int | None:
    """The wait that a Retry-After header asks for (RFC 9110, 10.2.3), within our bounds."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        wait_ms = int(text) * 1_000
    else:
        try:
            when = parsedate_to_datetime(text)
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=UTC)
        wait_ms = round(when.timestamp() * 1_000) - real_ms
    return max(RETRY_AFTER_MIN_MS, min(wait_ms, RETRY_AFTER_MAX_MS))


_NOT_SHOWN: Final = re.compile(r"[^ -~\u00a1-\u1fff\u3000-\ud7ff\uf900-\ufdfb\uff00-\uffef]+")
_LONG_NUMBER: Final = re.compile(r"\d[\d -]{4,}\d")
_TOKEN: Final = re.compile(r"[0-9A-Za-z_+/=.-]{24,}")
_ADDRESS: Final = re.compile(r"[^\s@\"'<>]+@[^\s@\"'<>]+")


def masked(body: bytes) -> str:
    """The beginning of an answer, for whoever looks why it failed; nothing secret or personal.

    Numbers of six digits and more, long tokens and mail addresses become `*`.
    """
    text = body[: EXCERPT_LENGTH_MAX * 4].decode("utf-8", "replace")
    for pattern in (_ADDRESS, _TOKEN, _LONG_NUMBER):
        text = pattern.sub("*", text)
    return _NOT_SHOWN.sub(" ", text).strip()[:EXCERPT_LENGTH_MAX]
