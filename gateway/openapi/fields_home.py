"""What fields on the way home of the money mean."""

from typing import Final

from gateway.openapi.words import Extra, id_of, instant, one_of, says
from payments.clearing.batch import BatchState
from payments.settlement.instruction import State
from payments.settlement.withdrawal import Status

CYCLE: Final = (
    "When a business date's money is due: `T+1` is the next working day, `D+1` the next calendar "
    "day."
)
RECEIVERS_MODE: Final = "`manual`: only by withdrawal; null: as the deployment says."
RECEIVERS_MINIMUM: Final = "A payout that would be less waits; minor units; null: the deployment's."
NUMBER: Final = "The account's number; shown by its last four characters only."

HOME_FIELDS: Final[dict[str, Extra]] = {
    "Merchant.payout": says("When and how its money goes to its bank account."),
    "MerchantChange.payout": says("Payout terms to change; by its platform or an operator."),
    "NewReceiver.payout": says("Its own payout terms; by the platform or an operator."),
    "ReceiverChange.payout": says(
        "Its own payout terms from now on, all of them; by the platform or an operator."
    ),
    "Receiver.payout": says("When its money goes to its bank account by itself."),
    "ReceiverPayout.mode": says(RECEIVERS_MODE),
    "ReceiverPayoutWish.mode": says(RECEIVERS_MODE),
    "ReceiverPayout.minimum": says(RECEIVERS_MINIMUM),
    "ReceiverPayoutWish.minimum": says(RECEIVERS_MINIMUM),
    "cycle": says(CYCLE),
    "minimum": says("A payout that would be less waits; minor units."),
    "mode": one_of("`manual`: only by withdrawal.", "auto", "manual"),
    "hold": one_of(
        "Who keeps payouts back: `plain` for at most the days that the rules allow, `review` for "
        "as long as a risk review takes.",
        "none", "plain", "review",
    ),
    "onboarded_on": says("Since when it is on board, `yyyymmdd`; null: since its record is."),
    "trading_since": says("Since when it trades without a break, `yyyymmdd`; null: it does not."),
    "NewAccount.name": says("Whose account it is, as the bank writes it."),
    "NewAccount.number": says(NUMBER),
    "NewAccount.bank": says("The bank: its clearing code or short name."),
    "NewAccount.receiver": says("The receiver whose it is; left out, it is the merchant's."),
    "SettlementAccount.id": id_of("acc", "The account."),
    "SettlementAccount.merchant": id_of("mch", "The merchant; null for a platform's receiver."),
    "SettlementAccount.receiver": id_of("rcv", "The receiver; null if it is the merchant's own."),
    "SettlementAccount.name": says("Whose account it is, as the bank writes it."),
    "SettlementAccount.number": says(NUMBER),
    "SettlementAccount.bank": says("The bank: its clearing code or short name."),
    "SettlementAccount.status": says("No money goes to one that is not `confirmed`."),
    "RunClearing.business_date": says("The last date to clear, `yyyymmdd`."),
    "ClearingBatch.id": id_of("bat", "The batch: made of merchant, date and sequence."),
    "ClearingBatch.sequence": says("Which batch of its date it is; the first is 1."),
    "ClearingBatch.status": one_of(
        "How far it is. From `filed` on its figures do not change.", *BatchState
    ),
    "ClearingBatch.gross": says("What was sold, in minor units."),
    "ClearingBatch.refunds": says("What payers were promised back."),
    "ClearingBatch.discounts": says("Coupons that the channel does not settle."),
    "ClearingBatch.fees": says("Our fees."),
    "ClearingBatch.splits": says("Receivers' shares."),
    "ClearingBatch.net": says("`gross - refunds - discounts - fees - splits`: the merchant's."),
    "ClearingBatch.outside": says(
        "Of it, what channels pay the merchant themselves, before our fees; no payout has it."
    ),
    "ClearingBatch.items": says("Payments and refunds in it."),
    "cut_off_at": instant("When it was cut off: later entries are in the next."),
    "filed_at": instant("When it was filed."),
    "closed_at": instant("When receivers' shares had arrived at their homes."),
    "ClearingRun.merchant": id_of("mch", "Whose; null for everybody's."),
    "ClearingRun.status": says("How far it is."),
    "SettlementInstruction.id": id_of("ins", "The instruction."),
    "SettlementInstruction.merchant": id_of("mch", "Whose money it is; null for a receiver's."),
    "SettlementInstruction.receiver": id_of("rcv", "Whose money it is; null for a merchant's."),
    "SettlementInstruction.withdrawal": id_of("wdr", "What it pays; null if it pays batches."),
    "SettlementInstruction.parts": says("The batches that it pays, and how much of each."),
    "SettlementInstruction.beneficiary": says("The account that the money goes to."),
    "SettlementInstruction.amount": says("What arrives, in minor units."),
    "SettlementInstruction.fee": says("Ours, taken beside the amount."),
    "SettlementInstruction.status": one_of(
        "`unknown`: the bank was asked and did not answer; it is asked again by the number.", *State
    ),
    "SettlementInstruction.number": says("The EndToEndId by which the bank knows it."),
    "SettlementInstruction.reason": says("Why it was turned down, rejected or returned."),
    "bank_reference": says("The bank's own number."),
    "disputed": says("The bank has contradicted itself: a person must look."),
    "maker": says("Who drafted it: a key, or the name of the rule."),
    "checker": says("Who checked it: a key, or `policy` for a small amount; null until then."),
    "sent_at": instant("When it was first sent."),
    "Beneficiary.account": id_of("acc", "The registered account."),
    "Beneficiary.name": says("Whose account it is."),
    "Beneficiary.number": says(NUMBER),
    "Beneficiary.bank": says("The bank."),
    "PartOfBatch.batch": id_of("bat", "The batch."),
    "PartOfBatch.amount": says("How much of it, in minor units."),
    "NewWithdrawal.amount": says("What is to arrive, in minor units."),
    "NewWithdrawal.currency": says("ISO 4217, lower case."),
    "NewWithdrawal.receiver": says("The receiver whose money it is; left out, the merchant's."),
    "Withdrawal.id": id_of("wdr", "The withdrawal."),
    "Withdrawal.merchant": id_of("mch", "Whose money it is; null for a receiver's."),
    "Withdrawal.receiver": id_of("rcv", "Whose money it is; null for a merchant's."),
    "Withdrawal.amount": says("What arrives, in minor units."),
    "Withdrawal.fee": says("Ours, taken beside it if the bank has paid."),
    "Withdrawal.status": one_of("What happened to the money.", *Status),
    "requested_by": says("The key that asked for it."),
    "reviewer": says("The key that approved or refused it; null if nobody had to."),
    "NewFreeze.amount": says("How much is held, in minor units."),
    "NewFreeze.currency": says("ISO 4217, lower case."),
    "NewFreeze.receiver": says("The receiver whose money it is; left out, the merchant's."),
    "Freeze.id": id_of("frz", "The freeze."),
    "Freeze.merchant": id_of("mch", "Whose money it is; null for a receiver's."),
    "Freeze.receiver": id_of("rcv", "Whose money it is; null for a merchant's."),
    "Freeze.amount": says("How much is held, in minor units."),
    "Freeze.status": one_of("Whether it is still held.", "frozen", "released"),
    "frozen_by": says("The key that froze it."),
    "released_at": instant("When it was given back."),
    "released_by": says("The key that gave it back."),
    "release_reason": says("Why it was given back."),
    "NewAdvance.funder": says("Who advances it, by its name in the settings."),
    "NewAdvance.amount": says("How much, in minor units."),
    "NewAdvance.currency": says("ISO 4217, lower case."),
    "NewAdvance.released": says("What becomes available; left out, as much as is pending."),
    "Advance.id": id_of("adv", "The advance."),
    "Advance.merchant": id_of("mch", "For whom; null for a receiver."),
    "Advance.receiver": id_of("rcv", "For whom; null for a merchant."),
    "Advance.funder": says("Who advanced it."),
    "Advance.amount": says("How much, in minor units."),
    "Advance.released": says("The part of it that became available at once."),
    "Advance.status": one_of("Whether the funder has it back.", "advanced", "repaid"),
    "repaid_at": instant("When the funder had it back."),
    "registered_by": says("The key that registered it."),
    "confirmed_by": says("The key that confirmed it last; null until then."),
    "confirmed_at": instant("When it was last confirmed."),
    "counts_from": instant("From when money goes to it; a change of account waits for a day."),
}  # fmt: skip
