"""The routes of the way home of the money, on one screen."""

from typing import Final

from gateway.handlers import home, reference
from gateway.lists import (
    ACCOUNT_FILTERS,
    ADVANCE_FILTERS,
    BATCH_FILTERS,
    FREEZE_FILTERS,
    INSTRUCTION_FILTERS,
    WITHDRAWAL_FILTERS,
)
from gateway.routes import Route
from gateway.schemas_home import (
    ApproveWithdrawal,
    CheckInstruction,
    NewFreeze,
    NewWithdrawal,
    RejectWithdrawal,
    ReleaseFreeze,
    TurnDown,
)
from payments.directory_accounts import Confirmation, NewAccount

HOME_ROUTES: Final = (
    Route(
        "POST",
        "/v1/settlement_accounts",
        reference.creating("settlement_accounts.create", NewAccount),
    ),
    Route(
        "GET",
        "/v1/settlement_accounts",
        reference.listing("settlement_accounts.list", ACCOUNT_FILTERS),
    ),
    Route("GET", "/v1/settlement_accounts/{id}", reference.reading("settlement_accounts.get")),
    Route(
        "POST",
        "/v1/settlement_accounts/{id}/confirm",
        reference.creating("settlement_accounts.confirm", Confirmation),
    ),
    Route("POST", "/v1/clearing_batches/run", home.run_clearing),
    Route("GET", "/v1/clearing_batches", home.listing("clearing_batch.list", "bat", BATCH_FILTERS)),
    Route("GET", "/v1/clearing_batches/{id}", home.reading("clearing_batch.get", "bat")),
    Route(
        "GET",
        "/v1/settlement_instructions",
        home.listing("settlement_instruction.list", "ins", INSTRUCTION_FILTERS),
    ),
    Route(
        "GET",
        "/v1/settlement_instructions/{id}",
        home.reading("settlement_instruction.get", "ins"),
    ),
    Route(
        "POST",
        "/v1/settlement_instructions/{id}/check",
        home.acting("settlement_instruction.check", "ins", CheckInstruction),
    ),
    Route(
        "POST",
        "/v1/settlement_instructions/{id}/turn_down",
        home.acting("settlement_instruction.turn_down", "ins", TurnDown),
    ),
    Route("POST", "/v1/withdrawals", home.creating("withdrawal.create", "wdr", NewWithdrawal)),
    Route("GET", "/v1/withdrawals", home.listing("withdrawal.list", "wdr", WITHDRAWAL_FILTERS)),
    Route("GET", "/v1/withdrawals/{id}", home.reading("withdrawal.get", "wdr")),
    Route(
        "POST",
        "/v1/withdrawals/{id}/approve",
        home.acting("withdrawal.approve", "wdr", ApproveWithdrawal),
    ),
    Route(
        "POST",
        "/v1/withdrawals/{id}/reject",
        home.acting("withdrawal.reject", "wdr", RejectWithdrawal),
    ),
    Route("POST", "/v1/freezes", home.creating("freeze.create", "frz", NewFreeze, judges=True)),
    Route("GET", "/v1/freezes", home.listing("freeze.list", "frz", FREEZE_FILTERS)),
    Route("GET", "/v1/freezes/{id}", home.reading("freeze.get", "frz")),
    Route(
        "POST",
        "/v1/freezes/{id}/release",
        home.acting("freeze.release", "frz", ReleaseFreeze, role=""),
    ),
    Route("POST", "/v1/advances", home.advance),
    Route("GET", "/v1/advances", home.listing("advance.list", "adv", ADVANCE_FILTERS)),
    Route("GET", "/v1/advances/{id}", home.reading("advance.get", "adv")),
)
