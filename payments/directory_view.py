"""Reference data as the JSON that callers see: never a secret, never a digest of one."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from payments.calendar import rfc3339
from payments.errors import InvalidField, Malformed
from payments.ids import SHARED_PARTITIONS
from payments.payout_terms import payout_view, receiver_payout_view
from payments.reference import (
    Key,
    Merchant,
    Plate,
    Receiver,
    Record,
    SettlementAccount,
    SplitRule,
    Store,
    Terminal,
)
from payments.register import is_revoked
from payments.splitting.terms import Part

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 100

MASK: Final = "****"
NUMBER_SHOWN: Final = 4
"""Last characters of an account number that are shown."""

Wish = TypeVar("Wish", bound=msgspec.Struct)


def view(record: Record, *, livemode: bool, real_ms: int) -> dict[str, Any]:
    """The object of the API: id, object, created, livemode, metadata, and what it is."""
    head = {
        "id": record.id,
        "object": record.__struct_config__.tag,
        "created": rfc3339(record.created),
        "livemode": livemode,
    }
    return {**head, **_particulars(record, real_ms)}


def _particulars(record: Record, real_ms: int) -> dict[str, Any]:
    match record:
        case Merchant():
            return {
                "metadata": record.metadata,
                "name": record.name,
                "status": record.status.value,
                "platform": record.platform,
                "dedicated": record.partition >= SHARED_PARTITIONS,
                "fee_plan": record.fee_plan,
                "payout": payout_view(record.payout),
            }
        case Store():
            return {
                "metadata": record.metadata,
                "merchant": record.merchant,
                "name": record.name,
                "closing_minute": record.closing_minute,
                "external_id": record.external_id,
            }
        case Terminal():
            return {
                "metadata": record.metadata,
                "merchant": record.merchant,
                "store": record.store,
                "name": record.name,
            }
        case Plate():
            return {
                "metadata": record.metadata,
                "merchant": record.merchant,
                "store": record.store,
                "label": record.label,
                "status": record.status.value,
            }
        case Receiver():
            return {
                "metadata": record.metadata,
                "merchant": record.merchant,
                "platform": record.platform,
                "name": record.name,
                "status": record.status.value,
                "channel_accounts": [
                    {
                        "channel": each.channel,
                        "type": each.type,
                        "account": each.account,
                        "relation": each.relation,
                    }
                    for each in record.channel_accounts
                ],
                "payout": receiver_payout_view(record.payout),
            }
        case SplitRule():
            return _rule(record)
        case SettlementAccount():
            return _account(record)
        case Key():
            return _key(record, real_ms)


def _account(record: SettlementAccount) -> dict[str, Any]:
    """Its number is shown by its end only: who must compare it has the papers."""
    account = record.account
    return {
        "metadata": record.metadata,
        "merchant": record.merchant,
        "platform": record.platform,
        "receiver": account.party if account.party.startswith("rcv_") else None,
        "name": account.name,
        "number": MASK + account.number[-NUMBER_SHOWN:],
        "bank": account.bank,
        "status": record.status.value,
        "registered_by": account.registered_by,
        "confirmed_by": account.confirmed_by,
        "confirmed_at": _instant(account.confirmed_at),
        "counts_from": _instant(record.counts_from),
    }


def _instant(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)


def _rule(rule: SplitRule) -> dict[str, Any]:
    """What it says, in the words of the request: it can be sent again as another rule."""
    return {
        "metadata": rule.metadata,
        "merchant": rule.merchant,
        "match": {"store": rule.store, "tag": rule.tag, "way": rule.way},
        "parts": [_part(part) for part in rule.parts],
        "split_base": rule.base.value,
        "split_fee": rule.fee.value,
        "effective_from": rule.effective_from,
        "effective_to": rule.effective_to,
        "status": rule.status.value,
    }


def _part(part: Part) -> dict[str, Any]:
    # Of a tier, what is not its ratio is its amount: it says one of the two, if need be of 0.
    tiers = [
        {
            "up_to": tier.up_to,
            "ratio_ppm": None if tier.amount else tier.ratio_ppm,
            "amount": tier.amount or None,
        }
        for tier in part.tiers
    ]
    return {
        "receiver": part.receiver,
        "amount": part.amount,
        "ratio_ppm": part.ratio_ppm,
        "tiers": tiers or None,
        "remainder": part.remainder,
    }


def _key(key: Key, real_ms: int) -> dict[str, Any]:
    return {
        "metadata": {},
        "type": key.type.value,
        "owner": key.owner.value,
        "merchant": key.merchant or None,
        "platform": key.platform,
        "store": key.store,
        "terminal": key.terminal,
        "scopes": list(key.scopes),
        "roles": list(key.roles),
        "name": key.name,
        "person": key.person,
        "not_before": rfc3339(key.not_before) if key.not_before else None,
        "not_after": rfc3339(key.not_after) if key.not_after else None,
        "status": key_status(key, real_ms),
    }


def key_status(key: Key, real_ms: int) -> str:
    """active, revoked, expired, or ending: it works until `not_after`."""
    if is_revoked(key):
        return "revoked"
    if key.not_after == 0:
        return "active"
    return "expired" if key.not_after <= real_ms else "ending"


def page(
    records: list[Record], url: str, query: Mapping[str, str], *, livemode: bool, real_ms: int
) -> dict[str, Any]:
    """One page of `records`, which come newest first. InvalidField for a wrong cursor or limit."""
    limit = _limit(query.get("limit"))
    after, before = query.get("starting_after"), query.get("ending_before")
    if after is not None and before is not None:
        raise InvalidField("give starting_after or ending_before", param="ending_before")
    start, end = 0, len(records)
    if after is not None:
        start = _position(records, after, "starting_after") + 1
    if before is not None:
        end = _position(records, before, "ending_before")
        start = max(0, end - limit)
        has_more = start > 0
    else:
        has_more = end - start > limit
        end = min(end, start + limit)
    return {
        "object": "list",
        "url": url,
        "has_more": has_more,
        "data": [view(r, livemode=livemode, real_ms=real_ms) for r in records[start:end]],
    }


def _limit(text: str | None) -> int:
    if text is None:
        return LIMIT_DEFAULT
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LIMIT_MAX:
        raise InvalidField(f"limit is a number from 1 to {LIMIT_MAX}", param="limit")
    return int(text)


def _position(records: list[Record], identifier: str, param: str) -> int:
    for at, record in enumerate(records):
        if record.id == identifier:
            return at
    raise InvalidField("this list has no such object", param=param)


def wish_of(kind: type[Wish], body: bytes) -> Wish:
    """The request in a body. Malformed for what is not JSON, InvalidField names the field."""
    try:
        plain = json.loads(body or b"{}", object_pairs_hook=_once, parse_float=_no_float)
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise Malformed("the body is not JSON") from None
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise InvalidField(text, param=_param(text)) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = {key for key, _ in pairs}
    if len(keys) < len(pairs):
        raise Malformed("a key stands twice in one object")
    return dict(pairs)


def _no_float(text: str) -> None:
    raise InvalidField(f"{text[:20]}: numbers are whole here")


def _param(text: str) -> str | None:
    """The field in a decoder's complaint: `… - at `$.name``, or the one that is too much."""
    _, found, path = text.partition(" - at `$.")
    if found:
        return path.rstrip("`")
    quoted = text.split("`")
    return quoted[1] if "field" in text and len(quoted) > 1 else None
