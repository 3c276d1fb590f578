"""What fields on the way home of the money mean."""

from typing import Final

from gateway.openapi.words import Extra, id_of, instant, one_of, says

CYCLE: Final = (
    "When a business date's money is due: `T+1` is the next working day, `D+1` the next calendar "
    "day."
)
NUMBER: Final = "The account's number; shown by its last four characters only."

HOME_FIELDS: Final[dict[str, Extra]] = {
    "Merchant.payout": says("When and how its money goes to its bank account."),
    "MerchantChange.payout": says("Payout terms to change; by its platform or an operator."),
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
    "registered_by": says("The key that registered it."),
    "confirmed_by": says("The key that confirmed it last; null until then."),
    "confirmed_at": instant("When it was last confirmed."),
    "counts_from": instant("From when money goes to it; a change of account waits for a day."),
}  # fmt: skip
