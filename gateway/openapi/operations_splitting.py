"""Receivers, split rules, splits and balances, described."""

from typing import Final

from gateway.lists import BALANCE_FILTERS, RECEIVER_FILTERS, SPLIT_RULE_FILTERS
from gateway.openapi.operation import (
    SPLITTING,
    WRITTEN,
    Operation,
    Operations,
    Said,
    listing,
    making,
    reading,
)
from gateway.openapi.shapes import BalanceView, ReceiverView, SplitRuleView
from payments.splitting.escrow import NewRelease, ReleaseView
from payments.splitting.wishes import (
    NewReceiver,
    NewSplitRule,
    ReceiverChange,
    SplitRuleChange,
)
from payments.view import SplitView

SHARES: Final[Operations] = {
    ("POST", "/v1/receivers"): making(
        "createReceiver", SPLITTING, ReceiverView, NewReceiver, scope="merchants:write",
        text="A merchant's own, or a platform's when its key names no merchant: payments of all "
        "its merchants can then be split with it.",
    ),
    ("GET", "/v1/receivers"): listing(
        "listReceivers", SPLITTING, ReceiverView, RECEIVER_FILTERS, scope="merchants:read",
    ),
    ("GET", "/v1/receivers/{id}"): reading(
        "getReceiver", SPLITTING, ReceiverView, "rcv", scope="merchants:read",
    ),
    ("POST", "/v1/receivers/{id}"): Operation(
        "updateReceiver",
        SPLITTING,
        "Change a receiver, or give it no new shares",
        {200: Said("The receiver.", ReceiverView)},
        "What is given is changed. A disabled receiver keeps what it has; it can be enabled again.",
        body=ReceiverChange,
        key="optional",
        scope="merchants:write",
        prefix="rcv",
        problems=(*WRITTEN, "conflict"),
    ),
    ("POST", "/v1/split_rules"): making(
        "createSplitRule", SPLITTING, SplitRuleView, NewSplitRule, scope="merchants:write",
        text="Payments that say nothing of `splits` are split by the rule that fits them: the one "
        "that says most, of equals the newest. Its terms never change; disable it and make "
        "another.",
    ),
    ("GET", "/v1/split_rules"): listing(
        "listSplitRules", SPLITTING, SplitRuleView, SPLIT_RULE_FILTERS, scope="merchants:read",
        kinds="split rules",
    ),
    ("GET", "/v1/split_rules/{id}"): reading(
        "getSplitRule", SPLITTING, SplitRuleView, "spl", scope="merchants:read",
    ),
    ("POST", "/v1/split_rules/{id}"): Operation(
        "updateSplitRule",
        SPLITTING,
        "Take a split rule out of use, or back into it",
        {200: Said("The rule.", SplitRuleView)},
        "Payments that were made before keep the terms that they were made with.",
        body=SplitRuleChange,
        key="optional",
        scope="merchants:write",
        prefix="spl",
        problems=(*WRITTEN, "conflict"),
    ),
    ("GET", "/v1/payments/{id}/splits"): Operation(
        "listSplits",
        SPLITTING,
        "Read who got which part of a payment",
        {200: Said("All of them, in the order they were named; none before it succeeded.",
                   SplitView, "page")},
        scope="payments:read",
        prefix="pay",
    ),
    ("POST", "/v1/payments/{id}/release"): Operation(
        "releasePayment",
        SPLITTING,
        "Let go of what is held of a payment",
        {201: Said("What was let go.", ReleaseView)},
        "Of a payment that was made with `escrow`. Without `amount` all of it that no refund under "
        "way needs. It is pending from now on, and in the clearing batch of its day. What nobody "
        "releases is let go at `escrow_release_at`.",
        body=NewRelease,
        key="required",
        scope="payments:write",
        prefix="pay",
        problems=(*WRITTEN, "conflict", "exceeds_paid"),
    ),
    ("GET", "/v1/balances"): listing(
        "listBalances", SPLITTING, BalanceView, BALANCE_FILTERS, scope="ledger:read",
        kinds="balances", problems=(),
        text="One for each currency: of the merchant that the key acts for, or of `merchant` or "
        "`receiver`.",
    ),
}  # fmt: skip
