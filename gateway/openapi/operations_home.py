"""The way home of the money, described: bank accounts."""

from typing import Final

from gateway.lists import ACCOUNT_FILTERS
from gateway.openapi.operation import (
    HOME,
    WRITTEN,
    Operation,
    Operations,
    Said,
    listing,
    making,
    reading,
)
from gateway.openapi.operations_payouts import PAYOUTS
from gateway.openapi.shapes_home import SettlementAccountView
from payments.directory_accounts import Confirmation, NewAccount

THE_WAY_HOME: Final[Operations] = {
    ("POST", "/v1/settlement_accounts"): making(
        "createSettlementAccount", HOME, SettlementAccountView, NewAccount,
        scope="payouts:write", kind="settlement account",
        text="No money goes to it until somebody else has confirmed it. An account never changes: "
        "register another, which counts a day after it was confirmed.",
    ),
    ("GET", "/v1/settlement_accounts"): listing(
        "listSettlementAccounts", HOME, SettlementAccountView, ACCOUNT_FILTERS,
        scope="payouts:read", kinds="settlement accounts",
        text="The acting merchant's and its receivers'. A platform or an operator that acts for no "
        "merchant sees all that it can reach.",
    ),
    ("GET", "/v1/settlement_accounts/{id}"): reading(
        "getSettlementAccount", HOME, SettlementAccountView, "acc", scope="payouts:read",
        kind="settlement account",
    ),
    ("POST", "/v1/settlement_accounts/{id}/confirm"): Operation(
        "confirmSettlementAccount",
        HOME,
        "Confirm a settlement account",
        {200: Said("The account.", SettlementAccountView)},
        "By an operator's key with the role `checker`, and not by the key that registered it. "
        "After a payout came back, confirm it anew: until then nothing is sent.",
        body=Confirmation,
        key="optional",
        scope="payouts:write",
        prefix="acc",
        problems=(*WRITTEN, "conflict"),
    ),
    **PAYOUTS,
}  # fmt: skip
