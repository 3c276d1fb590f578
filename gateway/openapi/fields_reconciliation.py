"""What fields of comparisons and their differences mean."""

from typing import Final

from gateway.openapi.words import Extra, id_of, instant, says

_ACT: Final = (
    "What to do: `suspense` books what the channel owes more until it is known whose it is, "
    "`adjust_fee` a fee, `claim` is a letter to the channel, `ask_channel` and "
    "`refund_late_success` ask it about the payment and fold what it says."
)

RECONCILIATION_FIELDS: Final[dict[str, Extra]] = {
    "NewReconciliation.channel": says("Our name of the channel account."),
    "NewReconciliation.bill_date": says("The channel's day in China, `yyyymmdd`; it is over."),
    "ProposeResolution.note": says("Why, for the checker."),
    "ProposeResolution.act": says(f"{_ACT} Left out: what the comparison proposes."),
    "ResolveItem.decision": says("`accept` carries it out; `reject` lets somebody propose anew."),
    "ResolveItem.reason": says("Why; kept with the decision."),
    "Reconciliation.id": says("The comparison, `rec_…`: made of account, day and file; null "
                              "while it runs."),
    "Reconciliation.account": says("Our name of the channel account."),
    "Reconciliation.channel": says("The channel."),
    "Reconciliation.bill_date": says("The bill's day in China, `yyyymmdd`."),
    "Reconciliation.status": says("`superseded`: another file of that day was compared later."),
    "Reconciliation.channel_account": says("The channel's own number of the account."),
    "Reconciliation.file": says("The name that the bill was kept under."),
    "Reconciliation.file_sha256": says("The SHA-256 of the bill as it came, hexadecimal."),
    "Reconciliation.supersedes": says("The comparison that this one replaced."),
    "Reconciliation.counts": says("Lines that agree (`matched`), and differences by type."),
    "Reconciliation.open": says("Differences that are open now, by type."),
    "Reconciliation.lines": says("How many lines were compared; null while it runs."),
    "Reconciliation.totals": says("What the channel owes by each side; null while it runs."),
    "Reconciliation.bank": says("How the day stands at the bank; null: nobody looked yet, or the "
                                "money does not go into custody."),
    "BankLeg.status": says("`not_there_yet`: no credit names the day; `nothing_due`: refunds were "
                           "as much as sales."),
    "BankLeg.due": says("What the channel owes by its bill, less fees where it keeps them; minor "
                        "units."),
    "BankLeg.credited": says("What came in for this day; minor units."),
    "BankLeg.amount": says("Credited less due; minor units."),
    "BankLeg.credits": says("The credits that name this account and day."),
    "BookedCredit.reference": says("The bank's number of the credit."),
    "BookedCredit.movement": says("Its number in the order of the custody account."),
    "BookedCredit.statement_on": says("The day whose camt.053 has it, `yyyymmdd`."),
    "BookedCredit.amount": says("Minor units."),
    "ReconciledLines.ours": says("Lines that our rows lead us to expect."),
    "ReconciledLines.theirs": says("Lines of the bill."),
    "ReconciledTotals.ours": says("What the channel owes us by our rows; minor units."),
    "ReconciledTotals.theirs": says("What it owes us by its bill; minor units."),
    "ReconciledTotals.differences": says("The sum of the differences, fees apart; minor units."),
    "ReconciledTotals.of_other_days": says("Lines that belong to another day of ours."),
    "ReconciledTotals.in_other_bills": says("Lines of ours that another day's bill has."),
    "ReconciledTotals.fees": says("What the channel charged, less what it gave back."),
    "ReconciledSide.id": says("Our payment or refund; null for the channel's side."),
    "ReconciledSide.state": says("How far it came, as a bill would say it."),
    "ReconciledSide.amount": says("The price, or what was refunded of it; minor units."),
    "ReconciledSide.settle_amount": says("What the channel owes for it; minor units."),
    "ReconciledSide.discount_channel": says("Coupons that the channel funds; minor units."),
    "ReconciledSide.fee": says("The channel's fee; null where nobody said what it should be."),
    "ReconciledSide.at": instant("When it happened."),
    "Evidence.file_sha256": says("The SHA-256 of the bill."),
    "Evidence.lines": says("The numbers of its lines, the first is 1."),
    "Evidence.credits": says("Of a difference at the bank, the credits it is about."),
    "ProposedPosting.account": says("An account of the ledger."),
    "ProposedPosting.amount": says("A debit is positive; minor units."),
    "ReconciliationProposal.act": says(_ACT),
    "ReconciliationProposal.entry": says("The balanced entry to book; empty for an act alone."),
    "ReconciliationItem.id": id_of("rci", "The difference."),
    "ReconciliationItem.reconciliation": id_of("rec", "The comparison that found it."),
    "ReconciliationItem.type": says("What is different."),
    "ReconciliationItem.status": says("`open` until two people, or another bill, end it."),
    "ReconciliationItem.owner": says("Whose it is to mend; `nobody` while it only waits."),
    "ReconciliationItem.age_days": says("Whole days since the bill's day ended."),
    "ReconciliationItem.line": says(
        "What it is about; `credit`: what the bank credited; `share`, `share_return`: what the "
        "channel paid to a receiver, or took back."
    ),
    "ReconciliationItem.number": says("The order or refund number that both sides share."),
    "ReconciliationItem.amount": says("What theirs changes of what the channel owes us, less what "
                                      "ours does; minor units."),
    "ReconciliationItem.ours": says("Our side; null if we have none."),
    "ReconciliationItem.theirs": says("The bill's side; null if it has none."),
    "ReconciliationItem.evidence": says("Where it stands in the bill."),
    "ReconciliationItem.proposal": says("What is proposed."),
    "ReconciliationItem.expected_in": says("The first and last day whose bill may have it."),
    "ReconciliationItem.resolved_by": says("The comparison that explained it, or the refund."),
    "ReconciliationItem.maker": says("The key that proposed."),
    "ReconciliationNotice.id": id_of("rci", "The difference."),
    "ReconciliationNotice.reconciliation": id_of("rec", "The comparison that found it."),
    "ReconciliationNotice.account": says("The channel account, by our name."),
    "ReconciliationNotice.channel": says("The channel."),
    "ReconciliationNotice.bill_date": says("The bill's day in China, `yyyymmdd`."),
    "ReconciliationNotice.type": says("What is different."),
    "ReconciliationNotice.status": says("`open`, or `resolved`."),
    "ReconciliationNotice.line": says(
        "Whether it is about a payment, a refund, or what a receiver got or gave back of one."
    ),
    "ReconciliationNotice.number": says("The order or refund number at the channel."),
    "ReconciliationNotice.payment": says("The payment, if it is about one."),
    "ReconciliationNotice.refund": says("The refund, if it is about one."),
    "ReconciliationNotice.amount": says("What the channel's side has more than ours; minor units."),
    "ReconciliationSummary.id": id_of("rec", "The comparison."),
    "ReconciliationSummary.account": says("The channel account, by our name."),
    "ReconciliationSummary.channel": says("The channel."),
    "ReconciliationSummary.bill_date": says("The bill's day in China, `yyyymmdd`."),
    "ReconciliationSummary.counts": says("Type -> differences about this merchant's payments."),
    "ReconciliationItem.checker": says("The key that agreed."),
}  # fmt: skip
