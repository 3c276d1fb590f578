"""One comparison of one bill: its id, what it came to, and what of an older one it keeps."""

from enum import StrEnum
from hashlib import sha256
from typing import Final

from msgspec import Struct

from payments.calendar import DAY_MS
from payments.ids import IdMint, SeededEntropy, derived_body
from payments.reconciliation.bank import BankLeg
from payments.reconciliation.differences import Difference
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.match import Counts

RUN_PREFIX: Final = "rec"
ITEM_PREFIX: Final = "rci"
ACCOUNT_MAX: Final = 64
"""Characters of a channel account's name."""

_mint: Final = IdMint(SeededEntropy(0))


class RunStatus(StrEnum):
    RUNNING = "running"
    """Begun. Found again after a crash, it is done anew: it has shown nothing to anybody."""
    FINISHED = "finished"
    SUPERSEDED = "superseded"
    """Another file for the same account and day was compared later."""


class Run(Struct, frozen=True, array_like=True, gc=False):
    """One comparison. `channel_account`: the channel's own number of the account.

    `by_kind`: differences found, by their kind. `supersedes`: the run that this one replaced.
    Instants in ms; `counts` is None until it has finished. `bank`: how the day stands at the bank,
    None where nobody looked or the money goes elsewhere.
    """

    id: str
    account: str
    channel: str
    channel_account: str
    bill_date: int
    file_name: str
    file_sha256: str
    status: RunStatus
    started_at: int
    finished_at: int = 0
    counts: Counts | None = None
    by_kind: dict[str, int] = {}
    supersedes: str = ""
    bank: BankLeg | None = None


def run_id(account: str, bill_date: int, file_sha256: str) -> str:
    """The id of the comparison of one file: the same file for the same day gives the same id."""
    begins, _ = day_bounds(bill_date)
    return _derived(RUN_PREFIX, begins, f"{account}\n{bill_date}\n{file_sha256}")


def item_id(run: Run, difference: Difference) -> str:
    """The id of a difference of a run, made of what it is about."""
    begins, _ = day_bounds(run.bill_date)
    # The line spreads ids over the day, beside 55 bits of digest: no two are ever the same.
    spread = difference.rows[0] % DAY_MS if difference.rows else 0
    text = "\n".join((run.id, *map(str, difference.key)))
    return _derived(ITEM_PREFIX, begins + spread, text)


def _derived(prefix: str, at_ms: int, text: str) -> str:
    model = _mint.new(prefix, at_ms, 0)
    return f"{prefix}_{derived_body(model, sha256(text.encode()).digest())}"


def age_days(bill_date: int, now: int) -> int:
    """Whole days since a bill's day ended; never below 0."""
    _, ended = day_bounds(bill_date)
    return max(0, (now - ended) // DAY_MS)
