"""What each field means, and what a type alone does not say of it: formats, values, patterns.

Looked up by "Struct.field" first, then by the field alone. A test asks that none is missing and
that none is left over.
"""

from typing import Final

from gateway.openapi.fields_home import HOME_FIELDS
from gateway.openapi.fields_papers import PAPER_FIELDS
from gateway.openapi.fields_reconciliation import RECONCILIATION_FIELDS
from gateway.openapi.fields_reported import REPORTED_FIELDS
from gateway.openapi.words import Extra, id_of, instant, one_of, says
from payments.payment import Status, Way
from payments.refund import RefundStatus
from payments.view import EVENT_LETTER

FAILURE_CODES: Final = (
    "declined", "insufficient_funds", "auth_code_expired", "auth_code_used", "payer_canceled",
    "payer_timeout", "limit_exceeded", "risk_rejected", "channel_error", "expired",
    "insufficient_balance", "split_in_progress",
)  # fmt: skip
WALLETS: Final = ("alipay", "wechat", "unionpay", "ecny")
BUSINESS_DATE: Final = (
    "The business day that it counts for, as `yyyymmdd`: fixed at creation by the closing hour "
    "of the store."
)

COMMON: Final[dict[str, Extra]] = {
    "object": says("What kind of object this is."),
    "livemode": says("Whether real money moves. A deployment is test or live, never both."),
    "metadata": says("What the caller stored with it: up to 50 keys, values up to 500 characters."),
    "created": instant("When it was created."),
    "merchant": id_of("mch", "The merchant it belongs to."),
    "store": id_of("sto", "The store."),
    "terminal": id_of("trm", "The terminal."),
    "name": says("A name for people."),
    "currency": {"description": "ISO 4217, lower case.", "pattern": "^[a-z]{3}$"},
    "platform": says("The platform (service provider) that acts for the merchant."),
    "dedicated": says("Whether the merchant has a partition of its own, so that it shares none."),
    "fee_plan": says("The fee plan that its payments are charged by."),
    "endpoint": says("The endpoint, `whk_…`."),
    "description": says("What it is for, for people."),
    "closing_minute": says(
        "Minutes after local midnight at which the business day ends: 180 for a shop that closes "
        "at three in the morning."
    ),
    "external_id": says("The store's id in the caller's own system."),
    "public_key": says(
        "The Ed25519 public key, as PEM, or base64 of its 32 bytes; for the type `ed25519` only."
    ),
    "scopes": says("What the key may do. `*` is everything."),
    "roles": says("What an operator's key may do: operator, maker, checker, viewer."),
    "person": says(
        "Who acts with the key: the id of the first of its line. It stays through rotations, and "
        "is what maker and checker are told apart by."
    ),
    "overlap_seconds": says("How long the old key still works, at most 30 days."),
    "reason": says("Why, in the caller's words."),
    "business_date": {
        "description": BUSINESS_DATE, "minimum": 19700101, "maximum": 99991231,
    },
    "succeeded_at": instant("When it succeeded; null until then."),
    "failure": says("Why it failed; null if it did not."),
    "operator": says("Who took the payment: a cashier's name or number."),
    "order_ref": says("Another reference of the caller's, such as a bill number."),
    "table": says("The table, for restaurants."),
    "subject": says("What the payer reads on the wallet's bill."),
    "tip_amount": says("The tip, in minor units; `amount` includes it."),
    "code": says("A code."),
    "message": says("The same in words for people."),
    "split_base": one_of("What ratios and tiers are taken of.", "net", "gross"),
    "split_fee": one_of("Who bears the fee of a gross split.", "merchant", "pro_rata"),
    "effective_from": says("The first business date it applies to, `yyyymmdd`; null: any."),
    "effective_to": says("The last one."),
    "tag": says("Payments whose metadata has this `tag`."),
    "tiers": says("By the size of the base: the first tier it fits into applies to all of it."),
    "ratio_ppm": says("Parts per million of the base."),
    "remainder": says("Whether it gets what would be left for the merchant."),
    "up_to": says("The largest base it is for, in minor units; null for the last tier."),
    "rules": says("The risk rules that spoke."),
    "decision": one_of("What risk decided.", "pass", "review", "reject"),
    "candidates": says("Channel accounts that could take it, in order of preference."),
    "payments": says("Payments ever made."),
    "refunds": says("Refunds ever made."),
    "entries": says("Balanced entries ever booked."),
    "events": says("Events ever committed."),
}  # fmt: skip

REQUESTS: Final[dict[str, Extra]] = {
    "CreatePayment.order_no": says(
        "Your number of the order. Unique per merchant among payments that are not finally "
        "unpaid: an order is paid once, however often it is tried."
    ),
    "CreatePayment.amount": says("What the payer owes, in minor units: `3800` is ¥38.00."),
    "CreatePayment.currency": says("ISO 4217, lower case."),
    "CreatePayment.way": says(
        "How payer and shop meet: `barcode` the shop scans the payer's code; `qr` the payer scans "
        "a code for one wallet; `cashier` one code for all wallets; `jsapi`, `app`, `h5` inside a "
        "wallet's page, an app, a mobile browser."
    ),
    "CreatePayment.auth_code": says(
        "The payer's code, for `barcode` only. Its prefix decides the wallet. Never stored or "
        "logged in full."
    ),
    "CreatePayment.wallet": says("The wallet; required for `qr`, `jsapi`, `app` and `h5`."),
    "CreatePayment.payer": says("The payer: their id in the wallet (for `jsapi`) and address."),
    "CreatePayment.store": says("The store, `sto_…`."),
    "CreatePayment.terminal": says("The terminal, `trm_…`."),
    "CreatePayment.expires_in": says(
        "Seconds until a code can no longer be paid; 300 if left out."
    ),
    "CreatePayment.splits": says(
        "Shares of receivers; the remainder is the merchant's. Left out, the merchant's split "
        "rules apply; an empty list says that none does."
    ),
    "CreatePayment.split_base": says(
        "Ratios are of what is left after the fee (`net`, if left out), or of all (`gross`)."
    ),
    "CreatePayment.split_fee": says(
        "Who bears the fee of a gross split: the merchant (if left out), or each by its share."
    ),
    "CreatePayment.escrow": says("Hold the merchant's share until it is released."),
    "CreatePayment.escrow_release_at": says(
        "When what is held is let go by itself, 30 days ahead at most; left out, after 7 "
        "days or as the deployment's settings say."
    ),
    "NewRelease.amount": says("In minor units; left out, all that can be let go."),
    "Release.id": id_of("rel", "The release."),
    "Release.payment": id_of("pay", "The payment."),
    "Release.amount": says("What was let go, in minor units."),
    "Release.held": says("What was still held after it."),
    "CreatePayment.channel_hint": says("A channel account to prefer, if it can take the payment."),
    "CreatePayment.return_url": {
        "description": "Where the payer's browser goes afterwards.", "format": "uri",
    },
    "Payer.openid": says(
        "The payer's id in the wallet, for the merchant's app id; required for `jsapi`."
    ),
    "Payer.ip": says(
        "The payer's IPv4 or IPv6 address, for channels that want it; required for WeChat's `h5` "
        "in live mode. It is passed on and not stored."
    ),
    "AskedSplit.receiver": says("The receiver, `rcv_…`."),
    "AskedSplit.amount": says("The share in minor units."),
    "AskedSplit.ratio_ppm": says("The share in parts per million."),
    "NewReceiver.channel_accounts": says("Where a channel pays it straight."),
    "ReceiverChange.channel_accounts": says("Its accounts from now on, all of them."),
    "Receiver.channel_accounts": says("Where a channel that divides money pays it straight."),
    "ReceiverAccountWish.channel": says("The channel that knows it so."),
    "ReceiverAccountWish.type": says("Whose number or id `account` is, in the channel's word."),
    "ReceiverAccountWish.account": says("A merchant's number there, or a person's openid."),
    "ReceiverAccountWish.relation": says("To the merchant, in the channel's word."),
    "ReceiverAccount.channel": says("The channel that knows it so."),
    "ReceiverAccount.type": says("Whose number or id `account` is, in the channel's word."),
    "ReceiverAccount.account": says("A merchant's number there, or a person's openid."),
    "ReceiverAccount.relation": says("To the merchant, in the channel's word."),
    "NewReceiver.merchant": says("Whose it is; left out, of whoever asks."),
    "ReceiverChange.status": says("`disabled`: it gets no new shares."),
    "NewSplitRule.parts": says("Who gets what; what nobody gets is the merchant's."),
    "NewSplitRule.match": says("Which payments it is for; left out, all."),
    "SplitRuleChange.status": says("`disabled` takes it out of use, `active` back into it."),
    "RulePart.receiver": says("The receiver, `rcv_…`."),
    "RuleMatch.way": says("Payments of this way."),
    "RulePart.amount": says("A fixed share, in minor units."),
    "RuleTier.amount": says("A fixed share, in minor units; 0 is nothing."),
    "RuleMatch.store": says("Payments of this store, `sto_…`."),
    "CreateRefund.amount": says(
        "How much of the payment's `amount` goes back, in minor units. Left out: all that is left."
    ),
    "NewTerminal.store": says("The store it stands in, `sto_…`."),
    "NewPlate.store": says("The store it stands in, `sto_…`."),
    "NewPlate.label": says("Where it stands, for people; payers see it."),
    "PlateChange.label": says("Another label."),
    "PlateChange.status": says("`disabled` takes it out of use, `active` back into it."),
    "NewKey.type": says("How requests are authenticated with it."),
    "NewKey.terminal": says("Make a key for this terminal: it may only do what a till does."),
    "NewKey.platform": says("Make a key for this platform; operators only."),
    "NewEndpoint.url": says("Where events go: https and public in live mode."),
    "EndpointChange.url": says("Where events go."),
    "NewEndpoint.events": says("Which types: `*`, `payment.*`, or exact ones."),
    "EndpointChange.events": says("Which types: `*`, `payment.*`, or exact ones."),
    "EndpointChange.status": says("Whether it gets events."),
    "RollSecret.overlap_seconds": says("How long the old secret signs beside the new one."),
    "ResendEvent.endpoint": says("To this one alone; else to all that want it."),
    "ResendRange.after": says("Everything since this event, `evt_…`."),
    "ResendRange.from": says("Or everything since this instant, RFC 3339,"),
    "ResendRange.to": says("until this one."),
    "MerchantChange.status": says("The status to move to."),
    "NewMerchant.platform": says("The platform that acts for it; operators only."),
    "AdvanceClock.seconds": says("How far to move business time."),
    "AdvanceClock.to": {"description": "Or the instant to move it to.", "format": "date-time"},
}  # fmt: skip

ANSWERS: Final[dict[str, Extra]] = {
    "Payment.id": id_of("pay", "The payment."),
    "Payment.order_no": says("The caller's number of the order."),
    "Payment.amount": says("What was asked for, in minor units."),
    "Payment.amount_refunded": says("How much of `amount` went back."),
    "Payment.payer_amount": says("What the payer really paid, after coupons; null until known."),
    "Payment.settle_amount": says("What the channel settles to the merchant; null until known."),
    "Payment.discounts": says("Coupons, and who pays for each."),
    "Payment.way": one_of("How payer and shop met.", *Way),
    "Payment.entry": one_of(
        "Whether the API or a static code began it; `reported`: another gateway took it.",
        "api", "static", "reported",
    ),
    "Payment.wallet": one_of("The wallet; null until it is known.", *WALLETS),
    "Payment.channel": says("The channel that was asked."),
    "Payment.status": one_of(
        "What happened to the money. `succeeded`, `failed`, `reversed` and `closed` are final.",
        *Status,
    ),
    "Payment.code": says("What to show the payer while the code can be paid; else null."),
    "Payment.client_params": says("Signed parameters that start the wallet; null for codes."),
    "Payment.pay_url": {
        "description": "The address of the payer's page, or of the wallet; null where there is "
        "none.", "format": "uri",
    },
    "Payment.channel_trade_no": says("The channel's own number, for its support."),
    "Payment.fee": says("Our fee, in minor units."),
    "Payment.net": says("`settle_amount` minus `fee`; null until it succeeded."),
    "Payment.risk": says("What risk said."),
    "Payment.route": says("Why this channel."),
    "Payment.verdict_by": instant(
        "By when a payment under way is decided; null where no such moment is promised."
    ),
    "Payment.overdue": says("Whether that moment passed without a verdict."),
    "Payment.late_success": says(
        "Whether it turned out paid after it had ended unpaid: the money went back by itself."
    ),
    "Payment.expires_at": instant("Until when a code can be paid."),
    "Discount.funder": one_of("Who pays for it.", "channel", "merchant"),
    "Discount.amount": says("The coupon's share of the price, in minor units."),
    "Failure.code": one_of("Why, as one of a few words.", *FAILURE_CODES),
    "Failure.channel_code": says("The channel's own code."),
    "Risk.level": says("How risky it looked."),
    "Route.reason": says("Why the first candidate was the first."),
    "Code.payload": says("The text of the code."),
    "Code.image_svg_url": {"description": "The code as a picture.", "format": "uri"},
    "Code.expires_at": instant("Until when it can be paid."),
    "Refund.id": id_of("rfd", "The refund."),
    "Refund.payment": id_of("pay", "The payment that it gives back."),
    "Refund.amount": says("How much of the payment's `amount`, in minor units."),
    "Refund.status": one_of("What happened to the money.", *RefundStatus),
    "Refund.method": one_of(
        "How the channel gave it back; `reported`: another gateway did.",
        "refund", "reverse", "reported",
    ),
    "Refund.automatic": says("Whether we made it ourselves, for a late success."),
    "Refund.settle_returned": says("How much of `settle_amount` the books gave back."),
    "Refund.fee_returned": says("How much of the fee the books gave back."),
    "Refund.splits_returned": says("Shares that were taken back from receivers."),
    "Refund.channel_refund_no": says("The channel's own number."),
    "Merchant.id": id_of("mch", "The merchant."),
    "Merchant.status": says("How far it is: application, in_review, active, suspended, closed."),
    "Store.id": id_of("sto", "The store."),
    "Terminal.id": id_of("trm", "The terminal."),
    "Receiver.id": id_of("rcv", "The receiver."),
    "Receiver.merchant": id_of("mch", "Whose it is; null for a platform's."),
    "Receiver.status": says("A `disabled` receiver gets no new shares."),
    "SplitRule.id": id_of("spl", "The rule."),
    "SplitRule.match": says("Which payments it is for."),
    "SplitRule.parts": says("Who gets what; what nobody gets is the merchant's."),
    "SplitRule.status": says("A `disabled` rule applies to no new payment."),
    "Match.way": says("Payments of this way."),
    "Part.receiver": id_of("rcv", "The receiver."),
    "Part.amount": says("A fixed share, in minor units."),
    "Tier.amount": says("A fixed share, in minor units."),
    "Split.id": id_of("spt", "The share."),
    "Split.payment": id_of("pay", "The payment."),
    "Split.receiver": id_of("rcv", "Who got it."),
    "Split.amount": says("What the receiver got, in minor units."),
    "Split.returned": says("How much of it refunds took back."),
    "Split.status": one_of(
        "`returned` when all of it went back.", "booked", "sent", "settled", "returned", "failed"),
    "Split.rule": id_of("spl", "The rule that it comes from; null where the payment said so."),
    "SplitReturned.receiver": id_of("rcv", "The receiver."),
    "SplitReturned.amount": says("What went back, in minor units."),
    "SplitReturned.debt": says("The part of it that the receiver did not have, and owes now."),
    "Balance.merchant": id_of("mch", "Whose it is; null for a receiver's."),
    "Balance.receiver": id_of("rcv", "Whose it is; null for a merchant's."),
    "Balance.pending": says("Earned, and not yet matched at the bank."),
    "Balance.available": says("Matched, and free to be paid out."),
    "Balance.frozen": says("Held back by a decision."),
    "Balance.in_transit": says("On its way to the bank account."),
    "Balance.debt": says("What is owed to us after refunds, and as fees not yet taken off."),
    "Plate.id": id_of("qrp", "The plate."),
    "Plate.label": says("Where it stands, for people; payers see it."),
    "Plate.status": says("A `disabled` plate takes no payments."),
    "Plate.url": says("The page that it leads to."),
    "Plate.payload": says("What the code says: the same address."),
    "Plate.image_svg_url": says("The code as a picture, to print."),
    "Endpoint.id": id_of("whk", "The endpoint."),
    "Endpoint.merchant": id_of("mch", "Whose it is; null for a platform's."),
    "Endpoint.platform": says("The platform whose it is; null for a merchant's."),
    "Endpoint.url": {"description": "Where events go.", "format": "uri"},
    "Endpoint.events": says("Which types: `*`, `payment.*`, or exact ones."),
    "Endpoint.status": one_of("Whether it gets events.", "enabled", "disabled"),
    "Endpoint.disabled_reason": one_of(
        "Why it gets none: somebody asked for it, the receiver answered 410, or too much waited.",
        "asked", "gone", "backlog",
    ),
    "Endpoint.old_secret_expires_at": instant("Until when the secret before this one signs too."),
    "Endpoint.secret": says("`whsec_…`: shown once, when it was made."),
    "Deleted.id": id_of("whk", "The endpoint."),
    "Deleted.deleted": says("It is no more."),
    "Event.id": id_of("evt", "The event; the `webhook-id` of its messages."),
    "Event.type": one_of("What happened.", *EVENT_LETTER),
    "Event.timestamp": instant("When it happened, as the webhook says it."),
    "Event.merchant": id_of("mch", "Whose it is; null for what a platform's own receiver is told."),
    "Event.data": {
        "description": "The object as it then was.",
        "anyOf": [
            {"$ref": f"#/components/schemas/{name}"}
            for name in (
                "Payment", "Refund", "ClearingBatch", "SettlementInstruction", "Withdrawal",
                "ReconciliationNotice", "ReconciliationSummary", "Split", "Release",
            )
        ],
    },
    "Delivery.id": says("The event's id, a point, and the endpoint's."),
    "Delivery.event": id_of("evt", "The event."),
    "Delivery.type": one_of("Its type.", *EVENT_LETTER),
    "Delivery.endpoint": id_of("whk", "Where it goes."),
    "Delivery.url": says("The endpoint's address; null when the endpoint is no more."),
    "Delivery.status": one_of("How it stands.", "pending", "delivered", "failed", "canceled"),
    "Delivery.tries": says("How often it was tried."),
    "Delivery.next_attempt_at": instant("When it is tried next."),
    "Delivery.ended_at": instant("When it was delivered or given up."),
    "Delivery.attempts": says("Its latest tries, the newest first."),
    "Attempt.number": says("Which try it was."),
    "Attempt.at": instant("When."),
    "Attempt.outcome": one_of(
        "What it came to; `refused` is an answer that is no 2xx.",
        "delivered", "refused", "no_answer", "address_refused",
    ),
    "Attempt.status_code": says("The receiver's HTTP status; null without an answer."),
    "Attempt.duration_ms": says("How long it took."),
    "Attempt.trouble": says("What went wrong before there was an answer."),
    "Attempt.answer": says("The beginning of what the receiver said, masked."),
    "Resend.events": says("Events sent again."),
    "Resend.deliveries": says("To how many endpoints, together."),
    "Resend.has_more": says("Whether the range goes on after `last`."),
    "Resend.last": id_of("evt", "The last event of this part."),
    "TimelineLine.event": says("Of webhooks: the event."),
    "TimelineLine.endpoint": says("Of webhooks: where it goes."),
    "TimelineLine.attempt": says("Of `webhook`: which try it was."),
    "TimelineLine.outcome": says("Of `webhook`: what it came to."),
    "TimelineLine.status_code": says("Of `webhook`: the receiver's HTTP status."),
    "TimelineLine.duration_ms": says("Of `webhook`: how long it took."),
    "TimelineLine.trouble": says("Of `webhook`: what went wrong."),
    "Key.id": id_of("key", "The key; the `keyid` of signatures."),
    "Key.type": says("How requests are authenticated with it."),
    "Key.owner": says("Whose key it is, which decides what it can see."),
    "Key.not_before": instant("From when it works."),
    "Key.not_after": instant("Until when it works; null without end."),
    "Key.status": says("`ending`: it works until `not_after`."),
    "CreatedKey.secret": says("Shown once. Null for `ed25519`, whose secret is the caller's."),
    "RotatedKey.replaces": says("The old key, with its end."),
    "TestClock.id": id_of("clk", "The clock."),
    "TestClock.now": instant("Business time now."),
    "TestClock.status": says("`advancing` until everything due on the way has happened."),
    "Book.out_trade_no": says("The order number that the channel was given."),
    "Book.amount_minor": says("The order's total."),
    "Book.refunded_minor": says("What went back, reversals included."),
    "Book.state": says("How the order stands there."),
    "Book.charges": says("How often money was really taken; more than 1 is somebody's bug."),
    "Posting.account": says("The account of the ledger."),
    "Posting.amount": says("Debits are positive, credits negative; minor units."),
    "TimelineLine.at": instant("When."),
    "TimelineLine.kind": says("What: `created`, `sending`, `succeeded`, `entry`, `event`, …"),
    "TimelineLine.detail": says("More about it, masked."),
    "TimelineLine.amount": says("Of `created`: the amount."),
    "TimelineLine.way": says("Of `created`: the way."),
    "TimelineLine.reason": says("Of `route`: why the first candidate was the first."),
    "TimelineLine.id": says("Of `entry` and `event`: its id."),
    "TimelineLine.type": says("Of `event`: its type."),
    "TimelineLine.postings": says("Of `entry`: its legs."),
    "Timeline.payment": id_of("pay", "The payment."),
    "Timeline.data": says("The lines, oldest first."),
    "Shard.name": says("The shard."),
    "Shard.ready": says("Whether it answers."),
    "Shard.live": says("Payments it has in memory."),
    "Shard.queued": says("Commands that wait for their commit."),
    "Shard.lanes": says("Lanes to channels."),
    "Shard.lanes_up": says("Lanes that are connected."),
    "Shard.epoch": says("How often the shard has started on its store."),
    "Status.ready": says("Whether the gateway takes payments."),
    "Status.front_door": says("Which front door answered."),
    "Status.modules": says("The parts that are served: acquiring, custody, splitting."),
    "Status.checks": says("What readiness stands on, by name."),
    "Status.shards": says("Each shard."),
    "Sums.debits": says("All debits."),
    "Sums.credits": says("All credits."),
    "Sums.residual": says("Their difference: 0."),
    "TrialBalance.currencies": says("By currency."),
    "Problem.type": says("Names the kind of problem; `code` with a prefix."),
    "Problem.title": says("The kind in words."),
    "Problem.status": says("The HTTP status, repeated."),
    "Problem.detail": says("What happened this time, and what to do next."),
    "Problem.instance": says("The path that was asked for."),
    "Problem.code": says("What programs should look at."),
    "Problem.param": says("The field, header or query parameter that is to blame."),
    "Problem.request_id": says("Repeat this to support; it is also in `Request-Id`."),
    "Problem.retryable": says(
        "Whether the same request may succeed later. Repeat it with the same Idempotency-Key."
    ),
    "Problem.doc_url": {
        "description": "The page about this code, on this server.", "format": "uri-reference",
    },
    "Problem.errors": says("The fields of the body that are wrong."),
    "FieldProblem.pointer": {"description": "A JSON pointer into the body.",
                             "format": "json-pointer"},
    "FieldProblem.detail": says("What is wrong with it."),
}  # fmt: skip

FIELDS: Final[dict[str, Extra]] = {
    **COMMON, **REQUESTS, **ANSWERS, **HOME_FIELDS, **REPORTED_FIELDS,
    **RECONCILIATION_FIELDS, **PAPER_FIELDS,
}  # fmt: skip
