"""Batches, instructions, withdrawals, freezes and advances, described."""

from typing import Any, Final

from msgspec import Struct

from gateway.lists import (
    ADVANCE_FILTERS,
    BATCH_FILTERS,
    FREEZE_FILTERS,
    INSTRUCTION_FILTERS,
    WITHDRAWAL_FILTERS,
    Filters,
)
from gateway.openapi.operation import HOME, MOVED, WRITTEN, Operation, Operations, Said
from gateway.schemas_home import (
    ApproveWithdrawal,
    CheckInstruction,
    NewAdvance,
    NewFreeze,
    NewWithdrawal,
    RejectWithdrawal,
    ReleaseFreeze,
    RunClearing,
    TurnDown,
)
from payments.clearing.view import ClearingBatchView, ClearingRunView
from payments.settlement.view import (
    AdvanceView,
    FreezeView,
    SettlementInstructionView,
    WithdrawalView,
)

_CHECKER: Final = "By an operator's key with the role `checker`, and not by the key that {}."
_EVERYBODY: Final = (
    "Without a merchant, an operator's key sees everybody's and a platform's key those of all its "
    "merchants."
)


def _listing(name: str, shape: type[Struct], filters: Filters, kinds: str) -> Operation:
    said = {200: Said(f"A page of {kinds}, newest first.", shape, "page")}
    return Operation(
        name, HOME, f"List {kinds}", said, _EVERYBODY, filters=filters, scope="payouts:read",
        problems=("refused",),
    )  # fmt: skip


def _reading(name: str, shape: type[Struct], prefix: str, kind: str) -> Operation:
    said = {200: Said(f"The {kind}.", shape)}
    return Operation(name, HOME, f"Read a {kind}", said, scope="payouts:read", prefix=prefix)


def _acting(name: str, summary: str, shape: type[Struct], **more: Any) -> Operation:
    said = {200: Said("It, as it stands now.", shape)}
    return Operation(
        name, HOME, summary, said, key="optional", scope="payouts:write",
        problems=(*WRITTEN, "conflict"), **more,
    )  # fmt: skip


def _making(name: str, summary: str, kind: str, shape: type[Struct], **more: Any) -> Operation:
    said = {201: Said(f"The {kind}; as it stands now, if the key was used before.", shape)}
    return Operation(
        name, HOME, summary, said, key="required", scope="payouts:write",
        problems=(*MOVED, "conflict"), **more,
    )  # fmt: skip


PAYOUTS: Final[Operations] = {
    ("POST", "/v1/clearing_batches/run"): Operation(
        "runClearing",
        HOME,
        "Clear now",
        {202: Said("It is durable, and under way.", ClearingRunView)},
        "Cuts off, nets and files what was booked up to the business date (left out: "
        "today), for the acting merchant; without one, for everybody whom the key can "
        "reach. Nothing is ever in two batches, so asking twice files nothing twice.",
        body=RunClearing,
        key="optional",
        scope="payouts:write",
        problems=(*WRITTEN, "quota_exceeded", "conflict", "refused"),
    ),
    ("GET", "/v1/clearing_batches"): _listing(
        "listClearingBatches", ClearingBatchView, BATCH_FILTERS, "clearing batches"
    ),
    ("GET", "/v1/clearing_batches/{id}"): _reading(
        "getClearingBatch", ClearingBatchView, "bat", "clearing batch"
    ),
    ("GET", "/v1/settlement_instructions"): _listing(
        "listSettlementInstructions", SettlementInstructionView, INSTRUCTION_FILTERS,
        "settlement instructions",
    ),
    ("GET", "/v1/settlement_instructions/{id}"): _reading(
        "getSettlementInstruction", SettlementInstructionView, "ins", "settlement instruction"
    ),
    ("POST", "/v1/settlement_instructions/{id}/check"): _acting(
        "checkSettlementInstruction", "Check an instruction, so that it is sent",
        SettlementInstructionView, body=CheckInstruction, prefix="ins",
        text=_CHECKER.format("drafted it"),
    ),
    ("POST", "/v1/settlement_instructions/{id}/turn_down"): _acting(
        "turnDownSettlementInstruction", "Turn an instruction down, before it is sent",
        SettlementInstructionView, body=TurnDown, prefix="ins",
        text=_CHECKER.format("drafted it") + " The money is available again.",
    ),
    ("POST", "/v1/withdrawals"): _making(
        "createWithdrawal", "Take money out", "withdrawal", WithdrawalView, body=NewWithdrawal,
        text="Amount and fee leave what is available with the request, so requests in parallel "
        "cannot take more than there is. The money goes to the registered bank account. A "
        "withdrawal that is rejected or comes back costs nothing.",
    ),
    ("GET", "/v1/withdrawals"): _listing(
        "listWithdrawals", WithdrawalView, WITHDRAWAL_FILTERS, "withdrawals"
    ),
    ("GET", "/v1/withdrawals/{id}"): _reading("getWithdrawal", WithdrawalView, "wdr", "withdrawal"),
    ("POST", "/v1/withdrawals/{id}/approve"): _acting(
        "approveWithdrawal", "Let a withdrawal that waits for review go on", WithdrawalView,
        body=ApproveWithdrawal, prefix="wdr", text=_CHECKER.format("asked for it"),
    ),
    ("POST", "/v1/withdrawals/{id}/reject"): _acting(
        "rejectWithdrawal", "Refuse a withdrawal before an instruction is drafted", WithdrawalView,
        body=RejectWithdrawal, prefix="wdr", text=_CHECKER.format("asked for it"),
    ),
    ("POST", "/v1/freezes"): _making(
        "createFreeze", "Hold money back", "freeze", FreezeView, body=NewFreeze,
        text="Takes an amount out of what is available, for a reason that is kept. By the platform "
        "or an operator.",
    ),
    ("GET", "/v1/freezes"): _listing("listFreezes", FreezeView, FREEZE_FILTERS, "freezes"),
    ("GET", "/v1/freezes/{id}"): _reading("getFreeze", FreezeView, "frz", "freeze"),
    ("POST", "/v1/freezes/{id}/release"): _acting(
        "releaseFreeze", "Give frozen money back, whole", FreezeView, body=ReleaseFreeze,
        prefix="frz", text="By the platform or an operator.",
    ),
    ("POST", "/v1/advances"): _making(
        "createAdvance", "Let a funder advance money", "advance", AdvanceView, body=NewAdvance,
        text="By an operator. A funder that is named in the settings, up to its limit, puts its "
        "own money there for one merchant; it is repaid out of that merchant's cover.",
    ),
    ("GET", "/v1/advances"): _listing("listAdvances", AdvanceView, ADVANCE_FILTERS, "advances"),
    ("GET", "/v1/advances/{id}"): _reading("getAdvance", AdvanceView, "adv", "advance"),
}  # fmt: skip
