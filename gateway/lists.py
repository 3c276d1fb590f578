"""Lists: what may be asked in a query string, and the page that answers."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.json import encode

from payments.calendar import parse_rfc3339
from payments.clearing.batch import BatchState
from payments.errors import InvalidField, Malformed
from payments.payment import Status, Way
from payments.reference import (
    AccountStatus,
    MerchantStatus,
    PlateStatus,
    ReceiverStatus,
    SplitRuleStatus,
)
from payments.settlement.instruction import State as InstructionState
from payments.settlement.withdrawal import Status as WithdrawalStatus

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 100
PARAMETERS_MAX: Final = 20
VALUE_LENGTH_MAX: Final = 128
WAIT_S_MAX: Final = 30

_NUMBER: Final = re.compile(r"[0-9]{1,6}")
_ID: Final = re.compile(r"[a-z]{3}_[0-9A-Z]{24}")
_NAME: Final = re.compile(r"[!-~]{1,128}")
_DAY: Final = re.compile(r"[0-9]{8}")


class ListQuery(Struct, frozen=True, gc=False):
    """One page asked for. Instants in `filters` are milliseconds since 1970, in decimal."""

    limit: int = LIMIT_DEFAULT
    starting_after: str | None = None
    ending_before: str | None = None
    filters: dict[str, str] = {}


def instant(text: str) -> str:
    """An instant, RFC 3339, as milliseconds in decimal. ValueError."""
    # An unescaped plus sign before the offset arrives as a space.
    if text[-6:-5] == " ":
        text = f"{text[:-6]}+{text[-5:]}"
    return str(parse_rfc3339(text))


def day(text: str) -> str:
    """A date yyyymmdd. ValueError."""
    if not _DAY.fullmatch(text):
        raise ValueError("not a date yyyymmdd")
    date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}")
    return text


def identifier(text: str) -> str:
    """An id. ValueError."""
    if not _ID.fullmatch(text):
        raise ValueError("not an id of this API")
    return text


def name_of(text: str) -> str:
    """A name or a number of the caller's. ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("1 to 128 printable characters without spaces")
    return text


class OneOf:
    """A check for one of a few words, which are known to who describes it."""

    def __init__(self, values: Iterable[str]) -> None:
        self.allowed = tuple(str(value) for value in values)

    def __call__(self, text: str) -> str:
        if text not in self.allowed:
            raise ValueError(f"one of {', '.join(self.allowed)}")
        return text


Filters = Mapping[str, Callable[[str], str]]

CREATED: Final[dict[str, Callable[[str], str]]] = {
    f"created[{bound}]": instant for bound in ("gt", "gte", "lt", "lte")
}
PAYMENT_FILTERS: Final[Filters] = {
    "order_no": name_of,
    "store": identifier,
    "terminal": identifier,
    "status": OneOf(Status),
    "channel": name_of,
    "way": OneOf(Way),
    "business_date": day,
    **CREATED,
}
REFUND_FILTERS: Final[Filters] = {
    "payment": identifier,
    "status": OneOf(("processing", "succeeded", "failed")),
    **CREATED,
}
# What the directory filters by.
MERCHANT_FILTERS: Final[Filters] = {"status": OneOf(MerchantStatus), "platform": name_of}
STORE_FILTERS: Final[Filters] = {}
TERMINAL_FILTERS: Final[Filters] = {"store": identifier}
KEY_FILTERS: Final[Filters] = {}
RECEIVER_FILTERS: Final[Filters] = {"status": OneOf(ReceiverStatus)}
SPLIT_RULE_FILTERS: Final[Filters] = {"store": identifier, "status": OneOf(SplitRuleStatus)}
BALANCE_FILTERS: Final[Filters] = {"merchant": identifier, "receiver": identifier}
ACCOUNT_FILTERS: Final[Filters] = {"receiver": identifier, "status": OneOf(AccountStatus)}
_WHOSE: Final[dict[str, Callable[[str], str]]] = {"merchant": identifier, "receiver": identifier}
BATCH_FILTERS: Final[Filters] = {
    "merchant": identifier,
    "business_date": day,
    "status": OneOf(BatchState),
}
INSTRUCTION_FILTERS: Final[Filters] = {**_WHOSE, "status": OneOf(InstructionState)}
WITHDRAWAL_FILTERS: Final[Filters] = {**_WHOSE, "status": OneOf(WithdrawalStatus)}
FREEZE_FILTERS: Final[Filters] = _WHOSE
ADVANCE_FILTERS: Final[Filters] = _WHOSE
PLATE_FILTERS: Final[Filters] = {"store": identifier, "status": OneOf(PlateStatus)}


def parameters(query: str) -> dict[str, str]:
    """The parameters of a query string. Raise Malformed, or InvalidField for a repeated one."""
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX
        )
    except ValueError:
        raise Malformed(
            f"The query string cannot be read, or has more than {PARAMETERS_MAX} parameters."
        ) from None
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidField("This parameter comes twice.", param=twice[:64])
    return found


def no_parameters(query: str) -> None:
    """Refuse every parameter. Raise Malformed or InvalidField."""
    for name in parameters(query):
        raise InvalidField("This parameter is not known here.", param=name[:64])


def wait_s(query: str) -> int:
    """Seconds of `?wait=1…30` on a GET of one object; 0 without. Raise Malformed, InvalidField."""
    if not query:
        return 0
    found = parameters(query)
    for name in found:
        if name != "wait":
            raise InvalidField("This parameter is not known here.", param=name[:64])
    return _whole(found["wait"], WAIT_S_MAX, "wait")


def list_query(query: str, filters: Filters) -> ListQuery:
    """Read the query string of a list. Raise Malformed, or InvalidField naming the parameter."""
    if not query:
        return ListQuery()
    limit, after, before = LIMIT_DEFAULT, None, None
    chosen: dict[str, str] = {}
    for name, value in parameters(query).items():
        check = identifier if name in ("starting_after", "ending_before") else filters.get(name)
        if name == "limit":
            limit = _whole(value, LIMIT_MAX, "limit")
            continue
        if check is None:
            raise InvalidField("This parameter is not known here.", param=name[:64])
        try:
            checked = check(value[: VALUE_LENGTH_MAX + 1])
        except ValueError as error:
            raise InvalidField(f"Not allowed here: {error}.", param=name) from None
        if name == "starting_after":
            after = checked
        elif name == "ending_before":
            before = checked
        else:
            chosen[name] = checked
    if after is not None and before is not None:
        raise InvalidField("Say either starting_after or ending_before.", param="ending_before")
    return ListQuery(limit, after, before, chosen)


def _whole(text: str, most: int, name: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise InvalidField(f"A whole number from 1 to {most}.", param=name)
    return int(text)


def list_page(url: str, data: Iterable[bytes], has_more: bool) -> bytes:
    """The JSON of one page; `data` holds the JSON of each object, newest first."""
    return b'{"object":"list","url":%s,"has_more":%s,"data":[%s]}' % (
        encode(url),
        b"true" if has_more else b"false",
        b",".join(data),
    )


def cursor_over_all(query: ListQuery, prefix: str) -> str | None:
    """Below which id a list over many owners goes on; None from its beginning.

    `prefix`: how the ids of its objects begin, without `_`. InvalidField for another list's
    object, which the order of ids would put before or behind all of this one's; and for the way
    back, which such a list does not have.
    """
    if query.ending_before is not None:
        raise InvalidField(
            "Page back with Tillway-Merchant; over all merchants lists go forward only.",
            param="ending_before",
        )
    after = query.starting_after
    if after is not None and not after.startswith(prefix + "_"):
        raise InvalidField("This list has no such object.", param="starting_after")
    return after
