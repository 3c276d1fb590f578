"""The unguessable names of payers' pages: an id's body and a keyed digest of the whole id."""

from hmac import compare_digest
from typing import Final

from payments.idempotency import Digests
from payments.ids import BODY_LENGTH, is_body

MAC_LENGTH: Final = 16
PAYMENT: Final = "pay"
PLATE: Final = "qrp"
SESSION_LENGTH: Final = BODY_LENGTH + MAC_LENGTH


def token_of(digests: Digests, identifier: str) -> str:
    """The name of an object's page; a shard makes the same of its payments (`Core.token`)."""
    return identifier[-BODY_LENGTH:] + _mac(digests, "payer page", identifier)


def object_of(digests: Digests, prefix: str, token: str) -> str | None:
    """The id of the object whose page a token names; None for one that is none of this kind."""
    body = token[:BODY_LENGTH]
    identifier = f"{prefix}_{body}"
    if not is_body(body) or not _is_same(token, token_of(digests, identifier)):
        return None
    return identifier


def session_of(digests: Digests, plate: str, body: str) -> str:
    """A showing of a plate's page: `body` is a fresh id's, so it carries its time."""
    return body + _mac(digests, "plate session", f"{plate} {body}")


def read_session(digests: Digests, plate: str, session: str) -> str | None:
    """The body of a session that we made for this plate; None for any other text."""
    body = session[:BODY_LENGTH]
    if not is_body(body) or not _is_same(session, session_of(digests, plate, body)):
        return None
    return body


def _mac(digests: Digests, kind: str, text: str) -> str:
    return digests.key(kind, text).hex()[:MAC_LENGTH]


def _is_same(one: str, other: str) -> bool:
    return compare_digest(one.encode(errors="replace"), other.encode())
