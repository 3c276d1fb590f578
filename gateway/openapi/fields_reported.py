"""What fields of payments that another gateway took mean."""

from typing import Final

from gateway.openapi.words import Extra, says

REPORTED_FIELDS: Final[dict[str, Extra]] = {
    "CreateReportedPayment.order_no": says(
        "Your number of the order: unique per merchant, whoever took the payment."
    ),
    "CreateReportedPayment.channel_account": says(
        "On which account it was taken: the name of a channel account of kind `external` in the "
        "gateway's settings."
    ),
    "CreateReportedPayment.channel_trade_no": says(
        "The channel's own number of the payment; each is reported once."
    ),
    "CreateReportedPayment.amount": says("What the payer owed, in minor units."),
    "CreateReportedPayment.paid_at": {
        "description": "When it was paid, RFC 3339. It decides the business date.",
        "format": "date-time",
    },
    "CreateReportedPayment.currency": says("ISO 4217, lower case; `cny` if left out."),
    "CreateReportedPayment.settle_amount": says(
        "What the channel will pay for it before its own fee; all of `amount` if left out."
    ),
    "CreateReportedPayment.fee": says("Our fee, which the merchant pays; minor units."),
    "CreateReportedPayment.merchant": says(
        "Who was paid, `mch_…`: for keys that act for several, in the place of the header."
    ),
    "CreateReportedPayment.way": says("How payer and shop met; `external` if nobody knows."),
    "CreateReportedPayment.wallet": says("The wallet, where it is known."),
    "CreateReportedPayment.store": says("The store, `sto_…`, whose closing hour counts."),
    "CreateReportedPayment.terminal": says("The terminal, `trm_…`."),
    "CreateReportedPayment.splits": says(
        "Shares of receivers; the remainder is the merchant's. Left out, the merchant's split "
        "rules apply; an empty list says that none does."
    ),
    "CreateReportedRefund.refunded_at": {
        "description": "When the money went back, RFC 3339.", "format": "date-time",
    },
    "CreateReportedRefund.channel_refund_no": says(
        "The channel's own number of the refund; of Alipay, the number that it was asked with. "
        "Each is reported once for a payment."
    ),
    "CreateReportedRefund.amount": says(
        "How much of the payment's `amount` went back, in minor units. Left out: all that is left."
    ),
}  # fmt: skip
