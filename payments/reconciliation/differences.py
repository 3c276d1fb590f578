"""A difference between our rows and a bill: what it is, what it amounts to, whose it is to mend.

`amount` is what theirs changes of what the channel owes us, less what ours does; so the differences
of a run, summed, are exactly what the bill and our rows are apart (tests prove it). Of a fee it is
what the channel charged more than agreed, of a split what the receivers have more than is due.

A difference is *open* or *resolved*. Some resolve themselves: a late success whose refund exists, a
line that turned up in the neighbor day's bill. All others need two people (resolving.py).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments import chart
from payments.bills.lines import BillKind, BillState
from payments.ids import MalformedId, partition_of
from payments.ledger import Postings
from payments.reconciliation.bank import Booked
from payments.reconciliation.lines import Ours, Theirs

UNCLAIMED: Final = "_custody"
"""In the place of a channel account's name in `suspense:…`: money at the bank that names none. No
channel account begins with an underscore."""


class Kind(StrEnum):
    """What is different, in the order in which one pair of lines is looked at."""

    OURS_ONLY = "ours_only"
    THEIRS_ONLY = "theirs_only"
    """A refund that we never asked for, of a payment of ours."""
    UNKNOWN_ORDER = "unknown_order"
    """A number that leads to no payment of ours on this channel account."""
    DUPLICATE = "duplicate"
    CURRENCY = "currency"
    STATUS = "status"
    LATE_SUCCESS = "late_success"
    AMOUNT = "amount"
    DISCOUNT = "discount"
    FEE = "fee"
    SPLIT_MISMATCH = "split_mismatch"
    """Its receivers have other shares than its terms give of what it settles."""
    EXPECTED_LATER = "expected_later"
    """It began or ended near midnight: a neighbor day's bill may have it."""
    BANK_SHORT = "bank_short"
    """The bank credited less than the bill says."""
    BANK_OVER = "bank_over"
    NOT_THERE_YET = "not_there_yet"
    """The bill says that the channel owes, and no credit names its day."""
    UNEXPECTED_CREDIT = "unexpected_credit"
    """A credit whose text names no account and day of ours, or a day that has no bill."""


class Standing(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class Owner(StrEnum):
    """Whose it is to mend."""

    NOBODY = "nobody"
    """It waits for another day's bill, and resolves itself."""
    OPERATIONS = "operations"
    FINANCE = "finance"


class Act(StrEnum):
    """What is proposed."""

    WAIT_FOR_BILL = "wait_for_bill"
    REFUND_LATE_SUCCESS = "refund_late_success"
    REFUND_DUPLICATE = "refund_duplicate"
    ASK_CHANNEL = "ask_channel"
    """Inquire under the same number; what the channel answers is folded as ever."""
    CLAIM = "claim"
    """Write to the channel: it owes us less than we sold, or gave back what we never asked."""
    ADJUST_FEE = "adjust_fee"
    SUSPENSE = "suspense"
    """Book what the channel owes more to suspense, until it is known whose it is."""
    WAIT_FOR_CREDIT = "wait_for_credit"


class Side(Struct, frozen=True, array_like=True, gc=False):
    """One side of a difference as it stood. `object`: our payment or refund; empty for theirs."""

    object: str
    state: BillState
    currency: str
    amount: int
    settle_amount: int
    discount_channel: int
    fee: int | None
    at_ms: int
    merchant: str = ""


class Proposal(Struct, frozen=True, array_like=True, gc=False):
    """What to do about it. `postings`: the balanced entry to book, empty for an act alone."""

    act: Act
    postings: Postings = ()


class Difference(Struct, frozen=True, array_like=True, gc=False):
    """One difference of a run.

    - `line`: payment or refund; `number`: the out_trade_no or out_refund_no that both sides share.
    - `rows`: the lines of the file that are its evidence, the file being the run's; `ours.object`
      is the other half of the evidence.
    - `until`: for a line that may stand in a neighbor's bill, the first and the last such bill
      date; else (0, 0). `resolved_by`: the run whose bill had it, or the refund that gives it back.
    - `credits`: of a difference of the bank's leg, the movements that are its evidence. `names`: of
      a credit that nobody expected, the account and day that its text names; empty for none.
    - `maker`, `checker`: who proposed and who agreed, with their words; instants in ms.
    """

    kind: Kind
    line: BillKind
    number: str
    ours: Side | None
    theirs: Side | None
    amount: int
    currency: str
    owner: Owner
    rows: tuple[int, ...]
    proposal: Proposal
    standing: Standing = Standing.OPEN
    until: tuple[int, int] = (0, 0)
    resolved_by: str = ""
    maker: str = ""
    maker_note: str = ""
    made_at: int = 0
    checker: str = ""
    checker_note: str = ""
    checked_at: int = 0
    credits: tuple[Booked, ...] = ()
    names: str = ""

    @property
    def key(self) -> tuple[str, str, str, tuple[int, ...]]:
        """What tells it from the others of its run."""
        return self.kind.value, self.line.value, self.number, self.rows


def side_of_ours(line: Ours) -> Side:
    return Side(
        line.object,
        line.state,
        line.currency,
        line.amount,
        line.settle_amount,
        line.discount_channel,
        line.fee,
        line.at_ms,
        line.merchant,
    )


def side_of_theirs(line: Theirs) -> Side:
    return Side(
        "",
        line.state,
        line.currency,
        line.amount,
        line.settle_amount,
        line.discount_channel,
        line.fee,
        line.at_ms,
    )


class Maker:
    """Makes the differences of one channel account: its name stands in the proposed entries."""

    def __init__(self, account: str) -> None:
        self._account = account

    def make(
        self,
        kind: Kind,
        amount: int,
        ours: Ours | None,
        theirs: tuple[Theirs, ...] = (),
        until: tuple[int, int] = (0, 0),
        awaited: BillKind | None = None,
    ) -> Difference:
        """A difference. `theirs`: the lines of the bill that show it, the first is quoted.

        `awaited`: what another bill should have, if that is not what these lines are.
        """
        one = ours or theirs[0]
        is_mended = kind is Kind.LATE_SUCCESS and ours is not None and bool(ours.remedy)
        waits = kind is Kind.EXPECTED_LATER or is_mended
        return Difference(
            kind,
            awaited or (theirs[0].kind if theirs else one.kind),
            one.number,
            None if ours is None else side_of_ours(ours),
            side_of_theirs(theirs[0]) if theirs else None,
            amount,
            one.currency,
            Owner.NOBODY if waits else OWNERS[kind],
            tuple(line.row for line in theirs),
            self._proposal(kind, amount, one.number),
            Standing.RESOLVED if is_mended else Standing.OPEN,
            until,
            ours.remedy if is_mended and ours is not None else "",
        )

    def _proposal(self, kind: Kind, amount: int, number: str) -> Proposal:
        act = ACTS.get(kind)
        if act is None or (act is Act.REFUND_DUPLICATE and amount < 0):
            # More than ours: it is somebody's, so it is kept. Less: the channel is asked for it.
            act = Act.SUSPENSE if amount > 0 else Act.CLAIM
        return proposal_of(self._account, act, amount, number)


def proposal_of(account: str, act: Act, amount: int, number: str) -> Proposal:
    """An act about a difference, with the entry that belongs to it. `account`: the channel's."""
    entry = _ENTRIES.get(act)
    if entry is None or amount == 0:
        return Proposal(act)
    return Proposal(act, entry(account, _partition(number), amount))


OWNERS: Final[dict[Kind, Owner]] = {
    Kind.OURS_ONLY: Owner.OPERATIONS,
    Kind.THEIRS_ONLY: Owner.FINANCE,
    Kind.UNKNOWN_ORDER: Owner.FINANCE,
    Kind.DUPLICATE: Owner.FINANCE,
    Kind.CURRENCY: Owner.FINANCE,
    Kind.STATUS: Owner.OPERATIONS,
    Kind.LATE_SUCCESS: Owner.OPERATIONS,
    Kind.AMOUNT: Owner.FINANCE,
    Kind.DISCOUNT: Owner.FINANCE,
    Kind.FEE: Owner.FINANCE,
    Kind.SPLIT_MISMATCH: Owner.FINANCE,
    Kind.EXPECTED_LATER: Owner.NOBODY,
    Kind.BANK_SHORT: Owner.FINANCE,
    Kind.BANK_OVER: Owner.FINANCE,
    Kind.NOT_THERE_YET: Owner.NOBODY,
    Kind.UNEXPECTED_CREDIT: Owner.FINANCE,
}

ACTS: Final[dict[Kind, Act]] = {
    Kind.OURS_ONLY: Act.ASK_CHANNEL,
    Kind.DUPLICATE: Act.REFUND_DUPLICATE,
    Kind.CURRENCY: Act.CLAIM,
    Kind.STATUS: Act.ASK_CHANNEL,
    Kind.LATE_SUCCESS: Act.REFUND_LATE_SUCCESS,
    Kind.FEE: Act.ADJUST_FEE,
    Kind.SPLIT_MISMATCH: Act.CLAIM,
    Kind.EXPECTED_LATER: Act.WAIT_FOR_BILL,
    Kind.NOT_THERE_YET: Act.WAIT_FOR_CREDIT,
}
"""What is proposed, where the kind alone says it."""


def proposal_of_credit(custody: str, amount: int) -> Proposal:
    """Keep money at the bank that is nobody's, until it is known whose. `custody`: its account."""
    suspense = chart.suspense(UNCLAIMED, 0)
    return Proposal(Act.SUSPENSE, ((custody, amount), (suspense, -amount)))


def _to_suspense(account: str, partition: int, amount: int) -> Postings:
    return (
        (chart.receivable(account, partition), amount),
        (chart.suspense(account, partition), -amount),
    )


def _fee_entry(account: str, partition: int, amount: int) -> Postings:
    """The channel keeps more (or less) of what it owes than the contract says."""
    return (
        (chart.fees_channel(partition), amount),
        (chart.receivable(account, partition), -amount),
    )


_ENTRIES: Final[dict[Act, Callable[[str, int, int], Postings]]] = {
    Act.SUSPENSE: _to_suspense,
    Act.REFUND_DUPLICATE: _to_suspense,
    Act.REFUND_LATE_SUCCESS: _to_suspense,
    Act.ADJUST_FEE: _fee_entry,
}


def _partition(number: str) -> int:
    """The stripe that a number belongs to; 0 for numbers that are not ours."""
    try:
        return partition_of(number)
    except MalformedId:
        return 0
