"""Comparisons and differences as structs: what a client may rely on. See `shapes.py`."""

from typing import Literal

from msgspec import Struct

from payments.bills.lines import BillKind, BillState
from payments.reconciliation.bank import LegState
from payments.reconciliation.differences import Act, Kind, Owner, Standing


class ReconciledLinesView(Struct):
    """Lines that were compared, on each side."""

    ours: int
    theirs: int


class ReconciledTotalsView(Struct):
    """What a channel owes by each side, and what explains the gap; minor units."""

    ours: int
    theirs: int
    differences: int
    of_other_days: int
    in_other_bills: int
    fees: int


class BookedCreditView(Struct):
    """A credit of the bank's, where its statements have it."""

    reference: str
    movement: int
    statement_on: int
    amount: int


class BankLegView(Struct):
    """A bill against what the bank credited for it; minor units."""

    status: LegState
    due: int
    credited: int
    amount: int
    credits: list[BookedCreditView]


class ReconciliationView(Struct):
    """One comparison of a bill with our rows. While it runs there are no figures."""

    id: str | None
    object: Literal["reconciliation"]
    account: str
    channel: str
    bill_date: int
    status: Literal["running", "finished", "superseded"]
    channel_account: str
    file: str
    file_sha256: str
    supersedes: str | None
    counts: dict[str, int]
    open: dict[str, int]
    lines: ReconciledLinesView | None
    totals: ReconciledTotalsView | None
    bank: BankLegView | None


class ReconciledSideView(Struct):
    """One side of a difference as it stood; minor units. `id`: our payment or refund."""

    id: str | None
    state: BillState
    currency: str
    amount: int
    settle_amount: int
    discount_channel: int
    fee: int | None
    at: str


class EvidenceView(Struct):
    """The file and its lines; of what the bank did, its credits."""

    file_sha256: str
    lines: list[int]
    credits: list[BookedCreditView]


class ProposedPostingView(Struct):
    """One leg of the entry that is proposed; a debit is positive."""

    account: str
    amount: int


class ReconciliationProposalView(Struct):
    """What to do about it."""

    act: Act
    entry: list[ProposedPostingView]


class ReconciliationItemView(Struct):
    """One difference. `amount`: what theirs changes of what the channel owes us, less ours."""

    id: str
    object: Literal["reconciliation_item"]
    reconciliation: str
    type: Kind
    status: Standing
    owner: Owner
    age_days: int
    line: BillKind
    number: str
    currency: str
    amount: int
    ours: ReconciledSideView | None
    theirs: ReconciledSideView | None
    evidence: EvidenceView
    proposal: ReconciliationProposalView
    expected_in: list[int] | None
    resolved_by: str | None
    maker: str | None
    checker: str | None
