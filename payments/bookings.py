"""What each event does to the books: pure functions from amounts to postings.

Debit positive, credit negative, minor units. A leg of zero is left out; when nothing is left (a
payment that coupons paid in full) the answer is empty and there is no entry to make.

Entry ids derive from the payment's or refund's id, so booking the same event again makes the same
id and is refused by the store instead of doubled.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from payments import chart
from payments.ids import BODY_LENGTH
from payments.ledger import Postings
from payments.splitting.terms import Share


def payment_entry_id(payment_id: str) -> str:
    return "ent_" + payment_id[-BODY_LENGTH:] + "P"


def refund_entry_id(refund_id: str) -> str:
    return "ent_" + refund_id[-BODY_LENGTH:] + "R"


def late_success_entry_id(payment_id: str) -> str:
    return "ent_" + payment_id[-BODY_LENGTH:] + "L"


def late_refund_entry_id(refund_id: str) -> str:
    return "ent_" + refund_id[-BODY_LENGTH:] + "B"


def release_entry_id(payment_id: str, number: int) -> str:
    """Of the payment's escrow, let go for the `number`th time, from 1."""
    return f"ent_{payment_id[-BODY_LENGTH:]}{number:02d}Q"


def held_entry_id(payment_id: str) -> str:
    """In the place of the payment's own entry, where the channel holds and divides the money."""
    return "ent_" + payment_id[-BODY_LENGTH:] + "V"


def parts_failed_entry_id(division_id: str) -> str:
    return "ent_" + division_id[-BODY_LENGTH:] + "W"


def paid_out_entry_id(division_id: str) -> str:
    return "ent_" + division_id[-BODY_LENGTH:] + "Y"


def held_refund_entry_id(refund_id: str) -> str:
    """In the place of the refund's own entry, where the channel holds or divided the money."""
    return "ent_" + refund_id[-BODY_LENGTH:] + "T"


def came_back_entry_id(turn_id: str) -> str:
    return "ent_" + turn_id[-BODY_LENGTH:] + "Z"


def kept_entry_id(turn_id: str) -> str:
    """Of what came back for a refund that failed: it is with the merchant."""
    return "ent_" + turn_id[-BODY_LENGTH:] + "W"


def netted_entry_id(division_id: str) -> str:
    return "ent_" + division_id[-BODY_LENGTH:] + "M"


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


def split_payment_booked(
    account: str,
    merchant: str,
    partition: int,
    settle_amount: int,
    fee: int,
    shares: Sequence[Share],
    *,
    is_held: bool = False,
) -> Postings:
    """The same where receivers have their shares: the merchant has what they leave, in escrow if
    it is held.
    """
    rest = settle_amount - fee - sum(share.amount for share in shares)
    own = chart.merchant_escrow(merchant) if is_held else chart.merchant_pending(merchant)
    return _without_zeros(
        (chart.receivable(account, partition), settle_amount),
        (own, -rest),
        *((chart.receiver_pending(s.receiver, partition), -s.amount) for s in shares),
        (chart.fees_income(partition), -fee),
    )


class Drawn(Struct, frozen=True, gc=False):
    """What a refund takes from one receiver, and from where; minor units."""

    receiver: str
    pending: int
    available: int
    debt: int

    @property
    def amount(self) -> int:
        return self.pending + self.available + self.debt


def split_refund_booked(
    account: str,
    merchant: str,
    partition: int,
    settle_back: int,
    fee_back: int,
    drawn: Sequence[Drawn],
    held: int = 0,
) -> Postings:
    """A refund of a split payment: receivers give back their parts, or come to owe them.

    `held`: so much of the merchant's part comes out of escrow.
    """
    rest = settle_back - fee_back - sum(each.amount for each in drawn)
    return _without_zeros(
        (chart.receivable(account, partition), -settle_back),
        (chart.merchant_escrow(merchant), held),
        (chart.merchant_pending(merchant), rest - held),
        *((chart.receiver_pending(d.receiver, partition), d.pending) for d in drawn),
        *((chart.receiver_available(d.receiver, partition), d.available) for d in drawn),
        *((chart.receiver_debt(d.receiver, partition), d.debt) for d in drawn),
        (chart.fees_income(partition), fee_back),
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


def outside_payment_booked(
    account: str, merchant: str, partition: int, settle_amount: int, fee: int
) -> Postings:
    """The channel pays the merchant itself: of the amount, nothing comes into custody. Our fee
    cannot be taken off it, so the merchant owes it.
    """
    return _without_zeros(
        (chart.channel_outside(account, partition), settle_amount),
        (chart.merchant_outside(merchant), -settle_amount),
        (chart.merchant_fees_due(merchant), fee),
        (chart.fees_income(partition), -fee),
    )


def outside_refund_booked(
    account: str, merchant: str, partition: int, settle_back: int, fee_back: int, fees_due: int
) -> Postings:
    """The channel takes a refund from the merchant itself; our fee is given back.

    `fees_due`: what the merchant owes of our fees. What is given back is first taken off that; the
    merchant had paid the rest, and has it pending.
    """
    off = min(fee_back, fees_due)
    return _without_zeros(
        (chart.channel_outside(account, partition), -settle_back),
        (chart.merchant_outside(merchant), settle_back),
        (chart.merchant_fees_due(merchant), -off),
        (chart.merchant_pending(merchant), off - fee_back),
        (chart.fees_income(partition), fee_back),
    )


def held_at_channel(
    account: str, merchant: str, partition: int, settle_amount: int, shares: Sequence[Share]
) -> Postings:
    """The channel holds all that it settles and will pay everybody itself. Our fee is not in it:
    it cannot be taken off money that never comes by.
    """
    rest = settle_amount - sum(share.amount for share in shares)
    return _without_zeros(
        (chart.channel_held(account, partition), settle_amount),
        (chart.merchant_direct(merchant), -rest),
        *((chart.receiver_direct(s.receiver, partition), -s.amount) for s in shares),
    )


def parts_failed(merchant: str, partition: int, failed: Mapping[str, int]) -> Postings:
    """Parts that the channel could not pay are the merchant's; minor units by receiver."""
    return _without_zeros(
        *((chart.receiver_direct(name, partition), minor) for name, minor in failed.items()),
        (chart.merchant_direct(merchant), -sum(failed.values())),
    )


def paid_out(
    account: str, merchant: str, partition: int, settle_amount: int, paid: Mapping[str, int]
) -> Postings:
    """The channel has paid each receiver its part, and the merchant what they leave."""
    return _without_zeros(
        (chart.channel_held(account, partition), -settle_amount),
        (chart.merchant_direct(merchant), settle_amount - sum(paid.values())),
        *((chart.receiver_direct(name, partition), minor) for name, minor in paid.items()),
    )


def held_refund(
    account: str, merchant: str, partition: int, settle_back: int, backs: Mapping[str, int]
) -> Postings:
    """The channel gives back to the payer out of what it holds; `backs`: receivers' parts of it."""
    return _without_zeros(
        (chart.channel_held(account, partition), -settle_back),
        (chart.merchant_direct(merchant), settle_back - sum(backs.values())),
        *((chart.receiver_direct(name, partition), minor) for name, minor in backs.items()),
    )


def came_back(
    account: str,
    merchant: str,
    partition: int,
    settle_back: int,
    backs: Mapping[str, int],
    owed: Mapping[str, int],
) -> Postings:
    """What the channel had paid out is back there, to be refunded. `owed`: what receivers could
    not give back of their parts; the merchant did, and has it from their next ones.
    """
    own = settle_back - sum(backs.values())
    return _without_zeros(
        (chart.channel_held(account, partition), settle_back),
        (chart.merchant_direct(merchant), -own - sum(owed.values())),
        *((chart.receiver_direct(name, partition), -minor) for name, minor in backs.items()),
        *((chart.receiver_owed(name, partition), minor) for name, minor in owed.items()),
    )


def netted(
    merchant: str, partition: int, parts: Mapping[str, int], repaid: Mapping[str, int]
) -> Postings:
    """What receivers owed their merchant is paid by parts that the channel leaves to it; what it
    owed them, by what the channel pays them more.
    """
    more = sum(repaid.values())
    return _without_zeros(
        *((chart.receiver_direct(name, partition), minor) for name, minor in parts.items()),
        *((chart.receiver_owed(name, partition), -minor) for name, minor in parts.items()),
        (chart.merchant_direct(merchant), more),
        (chart.merchant_repay(merchant), -more),
    )


def kept(merchant: str, partition: int, left: Mapping[str, int]) -> Postings:
    """What receivers gave back for a refund that failed is with the merchant, who owes it to them;
    minor units by receiver. Below zero: a later refund takes it.
    """
    return _without_zeros(
        (chart.merchant_repay(merchant), sum(left.values())),
        *((chart.receiver_direct(name, partition), -minor) for name, minor in left.items()),
    )


def released(merchant: str, amount: int) -> Postings:
    """Let go: what was held of a payment is pending like that of any other."""
    return (
        (chart.merchant_escrow(merchant), amount),
        (chart.merchant_pending(merchant), -amount),
    )


def late_success_booked(
    account: str, partition: int, settle_amount: int, *, is_outside: bool = False
) -> Postings:
    """Money turned up that nobody sold anything for: held in suspense, never the merchant's.

    `is_outside`: the channel pays the merchant itself, so custody has no claim on it.
    """
    owed = chart.channel_outside if is_outside else chart.receivable
    return _without_zeros(
        (owed(account, partition), settle_amount),
        (chart.suspense(account, partition), -settle_amount),
    )


def late_refund_booked(
    account: str, partition: int, settle_back: int, *, is_outside: bool = False
) -> Postings:
    """The money of a late success went back to its payer."""
    owed = chart.channel_outside if is_outside else chart.receivable
    return _without_zeros(
        (owed(account, partition), -settle_back),
        (chart.suspense(account, partition), settle_back),
    )


def _without_zeros(*postings: tuple[str, int]) -> Postings:
    return tuple(posting for posting in postings if posting[1])
