"""What must be true of a payment, its refunds, its entries and its events together, at any time.

Pure: rows in, complaints out, in words. `tillway ledger verify` asks these questions of a stopped
or a running store; the tests ask them after every step and every crash.
"""

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import Final

from payments import bookings, chart
from payments.ledger import Postings
from payments.payment import HISTORY_MAX, UNPAID, Payment, Status, Way
from payments.refund import Refund, RefundStatus
from payments.view import event_id

ENDS: Final = frozenset({"succeeded", "failed", "reversed", "closed", "rejected"})
UNDER_WAY: Final = frozenset(
    {
        "sending",
        "code_shown",
        "await_payer",
        "unknown",
        "inquired",
        "reversing",
        "closing",
        "undo_refused",
        "undo_absent",
        "cancel_requested",
        "overdue",
    }
)
AFTERWARDS: Final = frozenset(
    {
        "late_check",
        "late_success",
        "refund_started",
        "refund_succeeded",
        "refund_failed",
        "released",
    }
)
OF_A_PAGE: Final = frozenset({"chosen", "choice_dropped", "attempt_closed", "attempt_failed"})
"""Lines of a payment whose payer chooses the wallet; the last two end one attempt."""

UNDOING: Final = frozenset({"reversing", "closing"})
BEFORE_UNDOING: Final = frozenset({"sending", "code_shown", "await_payer"})


def of_payment(
    payment: Payment,
    refunds: Collection[Refund],
    entries: Collection[str],
    events: Collection[str],
) -> Iterator[str]:
    """Complaints about one payment. `entries`, `events`: all ids about it and its refunds."""
    yield from _moves(payment)
    yield from _amounts(payment, refunds)
    yield from _shares(payment, refunds)
    expected = expected_entries(payment, refunds)
    held = bookings.held_entry_id(payment.id)
    if held in entries and payment.shares:
        # The channel holds this one and divides it: one entry in the place of the other.
        expected = expected - {bookings.payment_entry_id(payment.id)} | {held}
        expected -= {bookings.refund_entry_id(refund.id) for refund in refunds}
        expected |= {
            bookings.held_refund_entry_id(refund.id) for refund in refunds if refund.settle_back
        }
    yield from _differences("entry", expected, entries)
    yield from _differences("event", expected_events(payment, refunds), events)


def _moves(payment: Payment) -> Iterator[str]:
    """States move along the diagram only, and an end is an end."""
    history = payment.history
    if len(history) >= HISTORY_MAX:
        return  # The middle of the story was dropped to keep the row small.
    kinds = [moment.kind for moment in history]
    ends = [index for index, kind in enumerate(kinds) if kind in ENDS]
    if len(ends) != int(payment.is_final):
        yield f"is {payment.status} and has {len(ends)} ends in its history"
        return
    end = ends[0] if ends else len(kinds)
    if (
        ends
        and kinds[end] != payment.status
        and (kinds[end], payment.status)
        != (
            "rejected",
            Status.FAILED,
        )
    ):
        yield f"is {payment.status} and ended as {kinds[end]}"
    # Stray money turns up whenever it likes: at an attempt that had ended, not at the payment.
    allowed = UNDER_WAY | (OF_A_PAGE if payment.page is not None else frozenset())
    allowed |= {"late_success"} if payment.has_stray else frozenset()
    if any(kind not in allowed for kind in kinds[:end]):
        yield f"has a line that belongs after its end: {kinds}"
    if any(kind not in AFTERWARDS for kind in kinds[end + 1 :]):
        yield f"moved after its end: {kinds[end:]}"
    if any(map(_goes_on, _stories(kinds[:end]))):
        yield f"went on after its undo began: {kinds}"
    if ends and kinds[end] == "reversed" and not UNDOING & set(kinds[:end]):
        yield "was reversed without an undo"
    attempts = len(payment.earlier) + (payment.attempt is not None)
    if kinds.count("sending") not in (0, attempts):
        yield f"was sent {kinds.count('sending')} times in {attempts} attempts"
    canceled = payment.cancel_requested and payment.way is Way.BARCODE
    if canceled and payment.status is Status.SUCCEEDED:
        yield "succeeded although it was canceled first"
    if any(later.at < earlier.at for earlier, later in pairwise(history)):
        yield "has a history in which time goes back"


def _stories(kinds: list[str]) -> Iterator[list[str]]:
    """The lines of each attempt: on a page, one ends before the next begins."""
    story: list[str] = []
    for kind in kinds:
        story.append(kind)
        if kind in ("attempt_closed", "attempt_failed"):
            yield story
            story = []
    yield story


def _goes_on(story: list[str]) -> bool:
    """Whether an attempt was sent or shown after its undo had begun."""
    undoing = [index for index, kind in enumerate(story) if kind in UNDOING]
    return bool(undoing) and any(kind in BEFORE_UNDOING for kind in story[undoing[0] :])


def _amounts(payment: Payment, refunds: Collection[Refund]) -> Iterator[str]:
    """What was refunded is what the refunds say, and never more than what was paid."""
    strays = [refund for refund in refunds if refund.stray is not None]
    refunds = [refund for refund in refunds if refund.stray is None]
    if len(strays) != sum(attempt.is_stray for attempt in payment.earlier):
        yield f"has {len(strays)} refunds of stray money, and other attempts that took it"
    done = [refund for refund in refunds if refund.status is RefundStatus.SUCCEEDED]
    running = [refund for refund in refunds if refund.status is RefundStatus.PROCESSING]
    sums = {
        "amount_refunded": (payment.amount_refunded, sum(refund.amount for refund in done)),
        "refunding": (payment.refunding, sum(refund.amount for refund in running)),
        "settle_returned": (payment.settle_returned, sum(refund.settle_back for refund in done)),
        "fee_returned": (payment.fee_returned, sum(refund.fee_back for refund in done)),
    }
    for name, (kept, counted) in sums.items():
        if kept != counted:
            yield f"{name} is {kept} and its refunds say {counted}"
    back = payment.amount_refunded + payment.refunding
    if back > payment.amount:
        yield f"refunds of {back} exceed {payment.amount}"
    if payment.fee_returned > payment.fee:
        yield f"a fee of {payment.fee_returned} was returned of {payment.fee}"
    if payment.settle_returned > (payment.settle_amount or 0):
        yield f"{payment.settle_returned} went back of {payment.settle_amount}"
    automatic = [refund for refund in refunds if refund.automatic]
    if len(automatic) != int(payment.late_success):
        yield f"has {len(automatic)} refunds by itself, late success {payment.late_success}"
    if payment.late_success and payment.status not in UNPAID:
        yield f"is {payment.status} and a late success"
    if payment.status is not Status.SUCCEEDED and len(automatic) != len(refunds):
        yield f"is {payment.status} and was refunded"


def _shares(payment: Payment, refunds: Collection[Refund]) -> Iterator[str]:
    """Receivers got no more than there was, and gave back what the refunds say, never more."""
    shares = payment.shares
    if shares and payment.status is not Status.SUCCEEDED:
        yield f"is {payment.status} and was split"
    net = (payment.settle_amount or 0) - payment.fee
    got = sum(share.amount for share in shares)
    if got > net:
        yield f"{got} were split of {net}"
    back: dict[str, int] = {}
    for refund in refunds:
        for each in refund.shares_back:
            back[each.receiver] = back.get(each.receiver, 0) + each.amount
    is_whole = payment.amount_refunded == payment.amount
    for share in shares:
        counted = back.pop(share.receiver, 0)
        if share.returned != counted:
            yield f"{share.receiver} returned {share.returned} and the refunds say {counted}"
        if not 0 <= share.returned <= share.amount:
            yield f"{share.receiver} returned {share.returned} of {share.amount}"
        if is_whole and share.returned != share.amount:
            yield f"was refunded whole and {share.receiver} keeps some of {share.amount}"
    for receiver in back:
        yield f"{receiver} returned what it never got"


def of_shares(payment: Payment, postings: Iterable[Postings]) -> Iterator[str]:
    """Complaints about what the entries of a payment and its refunds say of receivers.

    `postings`: of all those entries. Each receiver must be left with its share less what it gave
    back: what it could not give back stands as its debt.
    """
    booked: dict[str, int] = {}
    for legs in postings:
        for account, minor in legs:
            named = chart.parse(account)
            if named.family == "receiver":
                booked[named.owner] = booked.get(named.owner, 0) - minor
    for share in payment.shares:
        left, found = share.amount - share.returned, booked.pop(share.receiver, 0)
        if left != found:
            yield f"{share.receiver} is to have {left} and the entries say {found}"
    for receiver in booked:
        yield f"has entries about {receiver}, which has no share"


def of_escrow(payment: Payment, postings: Iterable[Postings]) -> Iterator[str]:
    """Complaints about what the entries of a payment and its refunds leave in escrow."""
    held = 0 if payment.escrow is None else payment.escrow.held
    account = chart.merchant_escrow(payment.merchant)
    booked = -sum(minor for legs in postings for name, minor in legs if name == account)
    if held < 0 or held != booked:
        yield f"holds {held} and the entries say {booked}"


def of_outside(payment: Payment, postings: Iterable[Postings]) -> Iterator[str]:
    """Complaints about the entries of a payment that the channel pays to the merchant itself.

    Of its money nothing may be a claim on custody; what is left of it is what was not refunded.
    Only a payment that succeeded has such money, and nothing else where no attempt went astray.
    """
    attempt = payment.attempt
    if attempt is None or not attempt.is_outside or payment.has_stray:
        return
    if payment.status is not Status.SUCCEEDED:
        return
    left = 0
    for legs in postings:
        for name, minor in legs:
            account = chart.parse(name)
            if account.family == "channel":
                is_outside = account.part == "outside"
                left += minor if is_outside else 0
                if not is_outside:
                    yield "is paid past custody and its entries say otherwise"
                    return
    expected = (payment.settle_amount or 0) - payment.settle_returned
    if left != expected:
        yield f"is paid past custody with {expected} and the entries say {left}"


def expected_entries(payment: Payment, refunds: Collection[Refund]) -> set[str]:
    """The ids of all entries that a payment and its refunds have, by their states."""
    expected = set()
    settled = payment.settle_amount or 0
    if payment.status is Status.SUCCEEDED and settled:
        expected.add(bookings.payment_entry_id(payment.id))
    if payment.late_success and settled:
        expected.add(bookings.late_success_entry_id(payment.id))
    if payment.escrow is not None:
        for number in range(1, payment.escrow.releases + 1):
            expected.add(bookings.release_entry_id(payment.id, number))
    for refund in refunds:
        if refund.stray:
            expected.add(bookings.late_success_entry_id(refund.id))
        if refund.status is not RefundStatus.SUCCEEDED:
            continue
        if refund.automatic and refund.settle_back:
            expected.add(bookings.late_refund_entry_id(refund.id))
        elif not refund.automatic and (refund.settle_back or refund.fee_back):
            expected.add(bookings.refund_entry_id(refund.id))
    return expected


def expected_events(payment: Payment, refunds: Collection[Refund]) -> set[str]:
    """The ids of all events: exactly one for each change of state that merchants hear of."""
    expected = set()
    if payment.is_final:
        expected.add(event_id(payment.id, f"payment.{payment.status}"))
    if any(moment.kind == "overdue" for moment in payment.history):
        expected.add(event_id(payment.id, "payment.overdue"))
    if payment.late_success or payment.has_stray:
        expected.add(event_id(payment.id, "payment.late_success"))
    for refund in refunds:
        if refund.status is not RefundStatus.PROCESSING:
            expected.add(event_id(refund.id, f"refund.{refund.status}"))
    return expected


def _differences(what: str, expected: set[str], found: Collection[str]) -> Iterator[str]:
    seen = set(found)
    if len(seen) != len(found):
        yield f"has an {what} twice"
    for missing in sorted(expected - seen):
        yield f"lacks {what} {missing}"
    for strange in sorted(seen - expected):
        yield f"has {what} {strange}, which nothing explains"
