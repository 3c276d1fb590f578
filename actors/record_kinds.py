"""The kinds of records of a shard, and what their values are."""

from typing import Final

from payments.clearing.batch import Batch
from payments.clearing.runs import Runs
from payments.reconciliation.adjustment import Adjustment
from payments.settlement.carried import Carried
from payments.settlement.cover import Cover
from payments.settlement.credited import Credited
from payments.settlement.holds import Advance, Freeze
from payments.settlement.instruction import Instruction
from payments.settlement.key_use import KeyUse
from payments.settlement.party import Party
from payments.settlement.withdrawal import Withdrawal
from payments.splitting.dividing import Division, Known
from payments.splitting.escrow import EscrowDue
from payments.splitting.repaying import Repay
from payments.splitting.taken import TakenBack
from payments.splitting.taking_back import Owed

BATCH: Final = "batch"
COVER: Final = "cover"
INSTRUCTION: Final = "instruction"
WITHDRAWAL: Final = "withdrawal"
FREEZE: Final = "freeze"
ADVANCE: Final = "advance"
KEY: Final = "key"
PARTY: Final = "party"
CARRY: Final = "carry"
ADJUSTMENT: Final = "adjustment"
ESCROW: Final = "escrow"
CLEARING: Final = "clearing"
DIVISION: Final = "division"
HOLDER: Final = "holder"
TAKEN: Final = "taken"
OWED: Final = "owed"
REPAY: Final = "repay"
CREDITED: Final = "credited"

KINDS: Final[dict[str, type]] = {
    BATCH: Batch,
    COVER: Cover,
    INSTRUCTION: Instruction,
    WITHDRAWAL: Withdrawal,
    FREEZE: Freeze,
    ADVANCE: Advance,
    KEY: KeyUse,
    PARTY: Party,
    CARRY: Carried,
    ADJUSTMENT: Adjustment,
    ESCROW: EscrowDue,
    CLEARING: Runs,
    DIVISION: Division,
    HOLDER: Known,
    TAKEN: TakenBack,
    OWED: Owed,
    REPAY: Repay,
    CREDITED: Credited,
}
