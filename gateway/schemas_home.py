"""Bodies of the way home of the money: what may be asked of batches, payouts and freezes."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from payments.directory import Metadata
from payments.money import AMOUNT_MAX
from payments.settlement.holds import REASON_MAX

_FUNDER: Final = r"^[0-9A-Za-z_-]{1,40}$(?!\n)"

Minor = Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
Identifier = Annotated[str, Meta(min_length=1, max_length=64)]
Reason = Annotated[str, Meta(min_length=1, max_length=REASON_MAX)]


class RunClearing(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/clearing_batches/run`: up to a business date; without one, today's."""

    business_date: Annotated[int, Meta(ge=19_700_101, le=99_991_231)] | None = None


class CheckInstruction(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/settlement_instructions/{id}/check`: nothing to say but who says it."""


class TurnDown(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/settlement_instructions/{id}/turn_down`: it will not be sent."""

    reason: Reason


class NewWithdrawal(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/withdrawals`: `amount` arrives at the bank; our fee is taken beside it."""

    amount: Minor
    currency: Literal["cny"]
    receiver: Identifier | None = None
    metadata: Metadata = {}


class ApproveWithdrawal(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/withdrawals/{id}/approve`: nothing to say but who says it."""


class RejectWithdrawal(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/withdrawals/{id}/reject`: the money is available again."""

    reason: Reason


class NewFreeze(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/freezes`: take an amount out of what is available."""

    amount: Minor
    currency: Literal["cny"]
    reason: Reason
    receiver: Identifier | None = None
    metadata: Metadata = {}


class ReleaseFreeze(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/freezes/{id}/release`: give it back, whole."""

    reason: Reason


class NewAdvance(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """`POST /v1/advances`: a funder's own money for one merchant, until its credit is there.

    `released`: what becomes available with it; left out, as much as is pending.
    """

    funder: Annotated[str, Meta(pattern=_FUNDER)]
    amount: Minor
    currency: Literal["cny"]
    released: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    metadata: Metadata = {}


HOME_BODIES: Final[tuple[type[Struct], ...]] = (
    RunClearing,
    CheckInstruction,
    TurnDown,
    NewWithdrawal,
    ApproveWithdrawal,
    RejectWithdrawal,
    NewFreeze,
    ReleaseFreeze,
    NewAdvance,
)
EMPTY_HOME_BODIES: Final = frozenset({RunClearing, CheckInstruction, ApproveWithdrawal})
