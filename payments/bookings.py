"""What each event does to the books: pure functions from amounts to postings.

Debit positive, credit negative, minor units. A leg of zero is left out; when nothing is left (a
payment that coupons paid in full) the answer is empty and there is no entry to make.

Entry ids derive from the payment's or refund's id, so booking the same event again makes the same
id and is refused by the store instead of doubled.
"""

from payments import chart
from payments.ids import BODY_LENGTH
from payments.ledger import Postings


def payment_entry_id(payment_id: str) -> str:
    return "ent_" + payment_id[-BODY_LENGTH:] + "P"


def refund_entry_id(refund_id: str) -> str:
    return "ent_" + refund_id[-BODY_LENGTH:] + "R"


def late_success_entry_id(payment_id: str) -> str:
    return "ent_" + payment_id[-BODY_LENGTH:] + "L"


def late_refund_entry_id(refund_id: str) -> str:
    return "ent_" + refund_id[-BODY_LENGTH:] + "B"


def payment_booked(
    account: str, merchant: str, partition: int, settle_amount: int, fee: int
) -> Postings:
    """The channel owes what it settles; the merchant has it less our fee."""
    net = settle_amount - fee
    if fee and net and settle_amount:
        return (
            (chart.receivable(account, partition), settle_amount),
            (chart.merchant_pending(merchant), -net),
            (chart.fees_income(partition), -fee),
        )
    return _without_zeros(
        (chart.receivable(account, partition), settle_amount),
        (chart.merchant_pending(merchant), -net),
        (chart.fees_income(partition), -fee),
    )


def refund_booked(
    account: str, merchant: str, partition: int, settle_back: int, fee_back: int
) -> Postings:
    """The channel owes less; the merchant gives back the rest after our returned fee."""
    return _without_zeros(
        (chart.receivable(account, partition), -settle_back),
        (chart.merchant_pending(merchant), settle_back - fee_back),
        (chart.fees_income(partition), fee_back),
    )


def late_success_booked(account: str, partition: int, settle_amount: int) -> Postings:
    """Money turned up that nobody sold anything for: held in suspense, never the merchant's."""
    return _without_zeros(
        (chart.receivable(account, partition), settle_amount),
        (chart.suspense(account, partition), -settle_amount),
    )


def late_refund_booked(account: str, partition: int, settle_back: int) -> Postings:
    """The money of a late success went back to its payer."""
    return _without_zeros(
        (chart.receivable(account, partition), -settle_back),
        (chart.suspense(account, partition), settle_back),
    )


def _without_zeros(*postings: tuple[str, int]) -> Postings:
    return tuple(posting for posting in postings if posting[1])
