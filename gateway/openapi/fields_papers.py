"""What fields of balance transactions, the ledger and statements mean."""

from typing import Final

from gateway.openapi.words import Extra, id_of, instant, says

_MINOR: Final = "minor units"
PAPER_FIELDS: Final[dict[str, Extra]] = {
    "BalanceMovement.id": says("The entry of the ledger, `ent_…`."),
    "BalanceMovement.type": says("What it is of."),
    "BalanceMovement.merchant": says("Whose balances changed; null: a receiver's."),
    "BalanceMovement.receiver": says("Whose balances changed; null: a merchant's."),
    "BalanceMovement.amount": says(
        f"By how much more is owed in all, {_MINOR}; 0 where money moves between balances only."
    ),
    "BalanceMovement.fee": says(f"Our fee, taken off before; {_MINOR}."),
    "BalanceMovement.changes": says(
        f"By how much each balance (`pending`, `available`, …) grows, {_MINOR}."
    ),
    "BalanceMovement.source": says("The payment, refund, batch step, instruction, … behind it."),
    "BalanceMovement.available_on": says(
        "The day on which this made something available, `yyyymmdd`; null: it did not."
    ),
    "BalanceMovement.created": instant("When it was booked."),
    "LedgerEntry.id": says("The entry, `ent_…`."),
    "LedgerEntry.source": says("What it books."),
    "LedgerEntry.created": instant("When it was booked."),
    "LedgerEntry.partition": says("The partition in whose chain it is."),
    "LedgerEntry.sequence": says("Its place in the chain, from 1 without gaps."),
    "LedgerEntry.hash": says("SHA-256 over the hash before it and all of its content, in hex."),
    "LedgerEntry.postings": says("What is moved; they sum to zero."),
    "LedgerPosting.account": says("An account of the chart, with its stripe."),
    "LedgerPosting.amount": says(f"{_MINOR.capitalize()}; a debit is positive."),
    "LedgerAccount.account": says("An account of the chart, without its stripe."),
    "LedgerAccount.kind": says("What it is; a debit makes assets and expenses more."),
    "LedgerAccount.balance": says(f"Debit less credit, {_MINOR}."),
    "FiledBatch.id": id_of("bat", "The clearing batch."),
    "FiledBatch.sequence": says("Which batch of the day, from 1."),
    "FiledBatch.status": says("How far it has come."),
    "FiledBatch.items": says("Entries in it."),
    "FiledBatch.gross": says(f"What was asked of payers, {_MINOR}."),
    "FiledBatch.refunds": says(f"What was asked back, {_MINOR}."),
    "FiledBatch.discounts": says(f"Coupons that the channel does not settle, {_MINOR}."),
    "FiledBatch.fees": says(f"Ours, less what was given back; {_MINOR}."),
    "FiledBatch.splits": says(f"Receivers' shares, less what was given back; {_MINOR}."),
    "FiledBatch.net": says(f"The merchant's, {_MINOR}."),
    "Statement.type": says("Name and version of the report; its columns never change."),
    "Statement.merchant": id_of("mch", "Whose statement it is."),
    "Statement.business_date": says("The business date, `yyyymmdd`."),
    "Statement.rows": says("Lines in `data`."),
    "Statement.sums": says(f"By currency, the sums of the columns; {_MINOR}."),
    "Statement.batches": says("The date's batches that were added up."),
    "StoreDay.type": says("Name and version of the report; its columns never change."),
    "StoreDay.merchant": id_of("mch", "Whose stores they are."),
    "StoreDay.store": says("The store it is limited to; null: all of the merchant's."),
    "StoreDay.business_date": says("The business date, `yyyymmdd`."),
    "StoreDay.rows": says("Lines in `data`."),
    "StoreDay.sums": says(f"By currency, the sums of the columns; {_MINOR}."),
    "StoreDay.data": says("The lines, by column (docs/REPORTS.md)."),
    "Statement.data": says("The lines, by column (docs/REPORTS.md)."),
}
