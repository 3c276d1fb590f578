"""The client of our bank: orders out, answers and statements in, each believed only when proven.

It never raises. An answer counts when the bank signed it for this very request and it is about the
numbers and amounts that were asked for; whatever is unsigned, cut off, late, or not to be read is
UNKNOWN. So is "this number was used before": it says nothing about what the first use came to.
The bytes of an order are made and kept by the caller, who sends the same ones however often it
must; the bank takes a message id and an EndToEndId once.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import msgspec
from msgspec import Struct

from payments.calendar import rfc3339
from payments.channels.bank import endings, wire
from payments.channels.http import HttpSettings
from payments.channels.transport import (
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Signer,
    Verifier,
)
from payments.clock import Clock
from payments.iso20022 import camt053, camt054, pain001, pain002
from payments.iso20022.camt053 import Statement
from payments.iso20022.entries import Entry
from payments.iso20022.pain001 import PaymentOrder
from payments.iso20022.pain002 import ItemStatus, StatusReport
from payments.iso20022.trees import MESSAGE_MAX_BYTES, MessageRefused

HTTP: Final = HttpSettings(connections_max=4, answer_bytes_max=MESSAGE_MAX_BYTES)
"""For the pool of this client alone: a report about 10 000 payments is longer than any channel's
answer."""

TIMEOUT_S: Final = 5.0
ITEM_S: Final = 0.003
"""What each payment of an order adds to the patience with its answer: 30 s for 10 000."""

LONG_TIMEOUT_S: Final = 30.0
"""For statements, which may have megabytes."""

PAGES_MAX: Final = 1_000
"""Pages of one day: ten million movements."""

SETTLED: Final = ("ACSC", "ACCC")
"""Settled on the debtor's account, or even on the creditor's."""

ACCEPTED: Final = ("ACTC", "ACCP", "ACSP", "ACWC")
PENDING: Final = ("RCVD", "PDNG")
REPEATS: Final = (endings.DUPLICATE, endings.DUPLICATE_MESSAGE, "DU02", "DU03", "DU04", "AM05")
"""Refusals of a number, not of a payment: what it was first used for may have been carried out."""


class State(StrEnum):
    """What is known of a payment."""

    PENDING = "pending"
    """The bank has it and looks at it."""
    ACCEPTED = "accepted"
    """The bank has it and will carry it out."""
    PAID = "paid"
    REJECTED = "rejected"
    """It was not and will not be carried out under this number."""
    RETURNED = "returned"
    """It was paid, and the money came back."""
    ABSENT = "absent"
    """The bank says that it has no such number: an order may still be under way to it."""
    UNKNOWN = "unknown"


class Verdict(Struct, frozen=True):
    """What is known of one payment. `reason`: an ISO code for rejected and returned, a sentence
    for unknown. `bank_reference`: the bank's number for it, empty where it gave none.
    """

    end_to_end_id: str
    state: State
    reason: str = ""
    bank_reference: str = ""


class Untold(Struct, frozen=True):
    """Asked for news of the account, and no answer that may be believed."""

    reason: str


class BankSettings(Struct, frozen=True):
    """`base_url` without a slash at its end; the paths as the bank gave them."""

    base_url: str
    customer_id: str
    custody_account: str
    payments: str = wire.PAYMENTS
    status: str = wire.STATUS
    statements: str = wire.STATEMENTS
    timeout_s: float = TIMEOUT_S


class _Error(Struct, frozen=True):
    error: str


class _Disbelieved(Exception):
    """There is no answer that may be believed. Its text says why."""


class BankClient:
    """One account at one bank. `new_nonce`: 16 to 64 letters or digits that were never used."""

    def __init__(
        self,
        settings: BankSettings,
        http: HttpClient,
        signer: Signer,
        verifier: Verifier,
        clock: Clock,
        new_nonce: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._http = http
        self._signer = signer
        self._verifier = verifier
        self._clock = clock
        self._new_nonce = new_nonce

    # --- orders ------------------------------------------------------------------------------

    async def submit(self, message: bytes) -> list[Verdict]:
        """Send an order; a verdict for each of its payments, in its order.

        `message`: the bytes of a pain.001 of ours; raise MessageRefused for anything else.
        """
        order = pain001.decode(message)
        return await self._ask_about(order, "POST", self._settings.payments, message)

    async def inquire_order(self, order: PaymentOrder) -> list[Verdict]:
        """What became of an order's payments. All ABSENT: the bank does not have the order."""
        target = f"{self._settings.status}?message_id={quote(order.message_id, safe='')}"
        return await self._ask_about(order, "GET", target, b"")

    async def inquire(self, end_to_end_id: str, amount_minor: int) -> Verdict:
        """What became of one payment, whatever message it came in."""
        target = f"{self._settings.status}?end_to_end_id={quote(end_to_end_id, safe='')}"
        try:
            answer = await self._ask("GET", target, b"", self._settings.timeout_s)
            if _is_absent(answer):
                return Verdict(end_to_end_id, State.ABSENT)
            return _verdict(_report(answer), end_to_end_id, amount_minor)
        except _Disbelieved as error:
            return Verdict(end_to_end_id, State.UNKNOWN, str(error))

    async def _ask_about(
        self, order: PaymentOrder, method: str, target: str, body: bytes
    ) -> list[Verdict]:
        numbers = [item.end_to_end_id for item in order.items]
        timeout_s = max(self._settings.timeout_s, ITEM_S * len(numbers))
        try:
            answer = await self._ask(method, target, body, timeout_s)
            if method == "GET" and _is_absent(answer):
                return [Verdict(number, State.ABSENT) for number in numbers]
            report = _report(answer)
            if report.original_id != order.message_id:
                raise _Disbelieved("the answer is about another order")
        except _Disbelieved as error:
            return [Verdict(number, State.UNKNOWN, str(error)) for number in numbers]
        told = _by_number(report)
        return [
            _group_verdict(report, item.end_to_end_id)
            if not report.items
            else _item_verdict(told.get(item.end_to_end_id), item.end_to_end_id, item.amount_minor)
            for item in order.items
        ]

    # --- the account -------------------------------------------------------------------------

    async def movements(self, after: int) -> tuple[Entry, ...] | Untold:
        """What was booked after movement number `after` (0: from the beginning), without a gap.

        Empty: nothing. At most some hundreds at a time: ask again after the last one.
        """
        target = f"{self._settings.statements}/camt.054?after={after}"
        try:
            answer = await self._ask("GET", target, b"", LONG_TIMEOUT_S)
            if answer.status == 204:
                return ()
            notice = camt054.decode(_message(answer))
        except (_Disbelieved, MessageRefused) as error:
            return Untold(str(error))
        if notice.account != self._settings.custody_account:
            return Untold("the notice is about another account")
        if notice.entries[0].sequence != after + 1:
            return Untold("the notice does not begin where it was asked to")
        return notice.entries

    async def statement(self, day: int) -> Statement | Untold:
        """The whole statement of a day (yyyymmdd) that is over: all its pages, adding up."""
        pages: list[Statement] = []
        try:
            while not pages or not pages[-1].is_last:
                if len(pages) >= PAGES_MAX:
                    return Untold(f"more than {PAGES_MAX} pages")
                target = f"{self._settings.statements}/camt.053?day={day}&page={len(pages) + 1}"
                answer = await self._ask("GET", target, b"", LONG_TIMEOUT_S)
                pages.append(camt053.decode(_message(answer)))
            statement = camt053.join(pages)
        except (_Disbelieved, MessageRefused) as error:
            return Untold(str(error))
        if (statement.account, statement.day) != (self._settings.custody_account, day):
            return Untold("the statement is of another account or day")
        return statement

    # --- one exchange ------------------------------------------------------------------------

    async def _ask(self, method: str, target: str, body: bytes, timeout_s: float) -> HttpAnswer:
        """An answer that the bank signed for this request. Raise _Disbelieved."""
        settings = self._settings
        date, nonce = rfc3339(self._clock.real_ms()), self._new_nonce()
        text = wire.request_text(method, target, settings.customer_id, date, nonce, body)
        try:
            headers = {
                wire.CUSTOMER: settings.customer_id,
                wire.DATE: date,
                wire.NONCE: nonce,
                wire.SIGNATURE: wire.to_base64(await self._signer.sign(text)),
            }
            if body:
                headers["Content-Type"] = wire.XML_TYPE
            url = settings.base_url + target
            answer = await self._http.send(HttpRequest(method, url, headers, body, timeout_s))
        except NotSent as error:
            # This time; an earlier sending of the same number may have arrived.
            raise _Disbelieved(f"not sent: {error}") from None
        except NoAnswer as error:
            raise _Disbelieved(f"no answer: {error}") from None
        # Our own nonce is in the text: the answer to another request does not verify.
        said = answer.headers.get(wire.DATE.lower(), "")
        text = wire.answer_text(answer.status, said, nonce, answer.body)
        signature = wire.from_base64(answer.headers.get(wire.SIGNATURE.lower(), ""))
        if not await self._verifier.verify(text, signature):
            raise _Disbelieved("the answer is not signed by the bank for this request")
        return answer


def _message(answer: HttpAnswer) -> bytes:
    """The message in an answer. Raise _Disbelieved for an error."""
    if answer.status != 200:
        raise _Disbelieved(f"the bank answered {answer.status} {_error_of(answer)}".rstrip())
    return answer.body


def _error_of(answer: HttpAnswer) -> str:
    """The code in a signed error, empty where there is none."""
    try:
        return msgspec.json.decode(answer.body, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _is_absent(answer: HttpAnswer) -> bool:
    return answer.status == 404 and _error_of(answer) == wire.NO_SUCH_ORDER


def _report(answer: HttpAnswer) -> StatusReport:
    """The report in an answer. Raise _Disbelieved."""
    try:
        report = pain002.decode(_message(answer))
    except MessageRefused as error:
        raise _Disbelieved(f"the report cannot be read: {error}") from None
    if report.original_name != pain001.NAME:
        raise _Disbelieved("the report is about a message of another kind")
    return report


def _by_number(report: StatusReport) -> dict[str, ItemStatus]:
    """The items of a report; a number that it names twice is left out, for it says nothing."""
    told: dict[str, ItemStatus] = {}
    twice = set()
    for item in report.items:
        if item.end_to_end_id in told:
            twice.add(item.end_to_end_id)
        told[item.end_to_end_id] = item
    return {number: item for number, item in told.items() if number not in twice}


def _verdict(report: StatusReport, end_to_end_id: str, amount_minor: int) -> Verdict:
    return _item_verdict(_by_number(report).get(end_to_end_id), end_to_end_id, amount_minor)


def _group_verdict(report: StatusReport, end_to_end_id: str) -> Verdict:
    """Of a payment in an order that was refused whole."""
    if report.group_status != endings.REJECTED or not report.reason:
        return Verdict(end_to_end_id, State.UNKNOWN, "the report names no payments")
    return _rejected(end_to_end_id, report.reason, "")


def _item_verdict(item: ItemStatus | None, end_to_end_id: str, amount_minor: int) -> Verdict:
    """Of a payment that the report names."""
    if item is None:
        return Verdict(end_to_end_id, State.UNKNOWN, "the report does not name the payment once")
    if item.amount_minor != amount_minor:
        return Verdict(end_to_end_id, State.UNKNOWN, "the report is about another amount")
    reference = item.bank_reference
    if item.is_returned:
        if item.status not in SETTLED:
            return Verdict(end_to_end_id, State.UNKNOWN, "returned, and never paid")
        return Verdict(end_to_end_id, State.RETURNED, item.reason, reference)
    if item.status == endings.REJECTED:
        return _rejected(end_to_end_id, item.reason, reference)
    for state, statuses in (
        (State.PAID, SETTLED),
        (State.ACCEPTED, ACCEPTED),
        (State.PENDING, PENDING),
    ):
        if item.status in statuses:
            return Verdict(end_to_end_id, state, "", reference)
    return Verdict(end_to_end_id, State.UNKNOWN, f"unmapped status {item.status}", reference)


def _rejected(end_to_end_id: str, reason: str, reference: str) -> Verdict:
    if reason in REPEATS:
        return Verdict(end_to_end_id, State.UNKNOWN, f"{reason}: the number was used before")
    return Verdict(end_to_end_id, State.REJECTED, reason, reference)
