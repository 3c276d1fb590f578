"""What the sandbox's bank does with a payment, by the last four digits of the account it is for.

The table of docs/BANK.md. A step is a state that a payment comes to, and when: so long after the
step before, or at nine in the morning of the day after it.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

SETTLED: Final = "ACSC"
IN_PROCESS: Final = "ACSP"
PENDING: Final = "PDNG"
REJECTED: Final = "RJCT"
PARTLY: Final = "PART"
OPEN: Final = (IN_PROCESS, PENDING)
"""States in which the amount is reserved and has not left."""

CLOSED_ACCOUNT: Final = "AC04"
WRONG_NUMBER: Final = "AC03"
WRONG_NAME: Final = "BE01"
BLOCKED_ACCOUNT: Final = "AC06"
INSUFFICIENT: Final = "AM04"
DUPLICATE: Final = "DUPL"
DUPLICATE_MESSAGE: Final = "DU01"
WRONG_FORMAT: Final = "FF01"
WRONG_DEBTOR: Final = "AC02"
WRONG_DAY: Final = "DT01"
NARRATIVE: Final = "NARR"

ENDING_LENGTH: Final = 4
CHECK_MS: Final = 1_800_000
"""How long a payment that is looked at stays pending: half an hour of business time."""

NEXT_DAY: Final = -1


class Answer(StrEnum):
    """How the first submission is answered; later ones are answered soundly."""

    SOUND = "sound"
    NEVER = "never"
    NOT_TAKEN = "not_taken"
    """Never answered, and nothing was taken."""
    LATE = "late"
    CUT = "cut"
    UNSIGNED = "unsigned"


class Step(Struct, frozen=True):
    """`after_ms`: business ms after the step before, or NEXT_DAY."""

    status: str
    after_ms: int = 0
    reason: str = ""
    is_returned: bool = False


class Ending(Struct, frozen=True):
    """The first step is taken on the day of execution; a refusal at once."""

    steps: tuple[Step, ...] = (Step(SETTLED),)
    answer: Answer = Answer.SOUND


PLAIN: Final = Ending()

ENDINGS: Final[dict[str, Ending]] = {
    "8001": Ending((Step(IN_PROCESS), Step(SETTLED, NEXT_DAY))),
    "8002": Ending((Step(SETTLED), Step(SETTLED, NEXT_DAY, CLOSED_ACCOUNT, True))),
    "8003": Ending((Step(SETTLED), Step(SETTLED, NEXT_DAY, WRONG_NAME, True))),
    "8004": Ending((Step(REJECTED, reason=CLOSED_ACCOUNT),)),
    "8005": Ending((Step(REJECTED, reason=WRONG_NUMBER),)),
    "8006": Ending((Step(REJECTED, reason=WRONG_NAME),)),
    "8007": Ending((Step(PENDING), Step(SETTLED, CHECK_MS))),
    "8008": Ending((Step(PENDING), Step(REJECTED, CHECK_MS, BLOCKED_ACCOUNT))),
    "8009": Ending((Step(PENDING),)),
    "8010": Ending(answer=Answer.NEVER),
    "8011": Ending(answer=Answer.NOT_TAKEN),
    "8012": Ending(answer=Answer.LATE),
    "8013": Ending(answer=Answer.UNSIGNED),
    "8014": Ending(answer=Answer.CUT),
}


def ending_of(account: str) -> Ending:
    """What becomes of a payment to this account; most are paid at once."""
    return ENDINGS.get(account[-ENDING_LENGTH:], PLAIN)
