"""Examples of the way home of the money, rendered by the code that renders answers."""

from typing import Any, Final

from msgspec import Struct

from gateway.openapi.examples import AT_MS, KEY, MERCHANT
from gateway.openapi.shapes_home import SettlementAccountView
from payments.directory_view import view
from payments.reference import AccountStatus, SettlementAccount
from payments.settlement.accounts import BankAccount

Json = Any

CHECKER: Final = "key_01M85W2P5A00062XHZRX9N8T"
ACCOUNT: Final = "acc_01M7Y4RB0000044G2R5W8XAB"

REQUESTS: Final[dict[str, dict[str, tuple[str, Json]]]] = {
    "createSettlementAccount": {
        "merchant": (
            "The merchant's own account",
            {"name": "Lao Wang Noodles", "number": "6222020200112233445", "bank": "icbc"},
        )
    },
    "confirmSettlementAccount": {"confirm": ("There is nothing to say", {})},
}

SHAPES: Final[dict[type[Struct], Json]] = {
    SettlementAccountView: view(
        SettlementAccount(
            ACCOUNT,
            MERCHANT,
            None,
            BankAccount(
                ACCOUNT, MERCHANT, "Lao Wang Noodles", "6222020200112233445", "icbc", AT_MS,
                KEY, AT_MS + 60_000, CHECKER, AT_MS + 60_000,
            ),
            AccountStatus.CONFIRMED,
            AT_MS + 60_000,
            AT_MS,
        ),
        livemode=False,
        real_ms=AT_MS,
    ),
}  # fmt: skip
