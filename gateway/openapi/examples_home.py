"""Examples of the way home of the money, rendered by the code that renders answers."""

from typing import Any, Final

from msgspec import Struct
from msgspec.json import decode

from gateway.openapi.examples import AT_MS, KEY, MERCHANT, RECEIVER
from gateway.openapi.shapes_home import SettlementAccountView
from payments.clearing.batch import Batch, BatchState, batch_id
from payments.clearing.netting import Netted, Totals
from payments.clearing.view import ClearingBatchView, ClearingRunView, batch_json
from payments.directory_view import view
from payments.reference import AccountStatus, SettlementAccount
from payments.settlement.accounts import BankAccount
from payments.settlement.holds import Advance, Freeze
from payments.settlement.instruction import Instruction, State
from payments.settlement.view import (
    AdvanceView,
    FreezeView,
    SettlementInstructionView,
    WithdrawalView,
    advance_json,
    freeze_json,
    instruction_json,
    withdrawal_json,
)
from payments.settlement.withdrawal import Status, Withdrawal

Json = Any

CHECKER: Final = "key_01M85W2P5A00062XHZRX9N8T"
ACCOUNT: Final = "acc_01M7Y4RB0000044G2R5W8XAB"

DAY: Final = 20261121
BATCH_ID: Final = batch_id(MERCHANT, DAY, 1)
WITHDRAWAL_ID: Final = "wdr_01M7Y4WH5A0004G2R5W8XABD"
FREEZE: Final = "frz_01M7Y4WH5A0004G2R5W8XABE"
ADVANCE: Final = "adv_01M7Y4WH5A0004G2R5W8XABF"
INSTRUCTION_ID: Final = "ins_01M7Y4WH5A0004G2R5W8XABC"

_OWN: Final = BankAccount(
    ACCOUNT, MERCHANT, "Lao Wang Noodles", "6222020200112233445", "icbc", AT_MS, KEY,
    AT_MS + 60_000, CHECKER, AT_MS + 60_000,
)  # fmt: skip
BATCH: Final = decode(
    batch_json(
        Batch(
            BATCH_ID,
            MERCHANT,
            DAY,
            1,
            "cny",
            AT_MS,
            state=BatchState.FILED,
            cut_off_seq=2,
            cut_off_at=AT_MS + 60_000,
            netted=Netted(Totals(3800, 0, 0, 14, 500, 3286, 1)),
            filed_at=AT_MS + 61_000,
        ),
        livemode=False,
    )
)
INSTRUCTION: Final = decode(
    instruction_json(
        Instruction(
            INSTRUCTION_ID, BATCH_ID, MERCHANT, "cny", 3286, 0, False, ACCOUNT,
            "custody:icbc:main", "payout", AT_MS + 120_000, State.PAID, "policy", 1,
            AT_MS + 121_000, bank_reference="B2026112200017", parts=((BATCH_ID, 3286),),
        ),
        _OWN,
        livemode=False,
    )
)  # fmt: skip
WITHDRAWAL: Final = decode(
    withdrawal_json(
        Withdrawal(
            WITHDRAWAL_ID, MERCHANT, "cny", 10_000, 0, DAY, AT_MS + 120_000, KEY, Status.IN_TRANSIT
        ),
        livemode=False,
    )
)

REQUESTS: Final[dict[str, dict[str, tuple[str, Json]]]] = {
    "createSettlementAccount": {
        "merchant": (
            "The merchant's own account",
            {"name": "Lao Wang Noodles", "number": "6222020200112233445", "bank": "icbc"},
        )
    },
    "confirmSettlementAccount": {"confirm": ("There is nothing to say", {})},
    "runClearing": {
        "all": ("All that has ended", {}),
        "date": ("Up to a date", {"business_date": 20261121}),
    },
    "checkSettlementInstruction": {"check": ("There is nothing to say", {})},
    "turnDownSettlementInstruction": {
        "turn_down": ("Why", {"reason": "The merchant asked for another account"})
    },
    "createWithdrawal": {
        "withdrawal": (
            "¥100.00",
            {"amount": 10_000, "currency": "cny", "metadata": {"reference": "rent"}},
        ),
        "receiver": (
            "A receiver's money",
            {"amount": 10_000, "currency": "cny", "receiver": RECEIVER},
        ),
    },
    "approveWithdrawal": {"approve": ("There is nothing to say", {})},
    "rejectWithdrawal": {"reject": ("Why", {"reason": "The account is being changed"})},
    "createFreeze": {
        "freeze": ("Why", {"amount": 5_000, "currency": "cny", "reason": "Court order 2026-117"})
    },
    "releaseFreeze": {"release": ("Why", {"reason": "The order was lifted"})},
    "createAdvance": {
        "advance": ("A funder's money", {"funder": "house", "amount": 5_000, "currency": "cny"})
    },
}

SHAPES: Final[dict[type[Struct], Json]] = {
    SettlementAccountView: view(
        SettlementAccount(
            ACCOUNT,
            MERCHANT,
            None,
            _OWN,
            AccountStatus.CONFIRMED,
            AT_MS + 60_000,
            AT_MS,
        ),
        livemode=False,
        real_ms=AT_MS,
    ),
    ClearingBatchView: BATCH,
    ClearingRunView: {
        "object": "clearing_run",
        "merchant": MERCHANT,
        "business_date": DAY,
        "status": "waiting",
        "livemode": False,
    },
    SettlementInstructionView: INSTRUCTION,
    WithdrawalView: WITHDRAWAL,
    FreezeView: decode(
        freeze_json(
            Freeze(
                FREEZE, MERCHANT, "cny", 5_000, "Court order 2026-117", CHECKER, AT_MS + 120_000
            ),
            livemode=False,
        )
    ),
    AdvanceView: decode(
        advance_json(
            Advance(
                ADVANCE, "house", MERCHANT, "cny", "custody:icbc:main", 5_000, 0, AT_MS + 120_000
            ),
            livemode=False,
        )
    ),
}  # fmt: skip

EVENTS: Final[dict[str, Json]] = {
    **{f"clearing_batch.{status}": {**BATCH, "status": status} for status in ("filed", "closed")},
    **{
        f"settlement.{status}": {**INSTRUCTION, "status": status}
        for status in ("sent", "paid", "rejected", "returned", "unknown")
    },
    **{
        f"withdrawal.{status}": {**WITHDRAWAL, "status": status}
        for status in ("in_review", "in_transit", "paid", "rejected", "returned", "unknown")
    },
}
"""By type of event: the object that it carries."""
