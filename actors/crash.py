"""Names of the points between two steps at which a crash must not cost money.

A shard and a lane tell their `reach` hook when they come by, if they have one: only tests do. Each
name is a window of docs/RELIABILITY.md; `PAY`, `REVERSE` and so on stand for any question.

    shard   before_intent_commit              received, not durable
            after_intent_commit               durable, not handed to the lane
            after_pay_sent                    handed to the lane, nothing heard
            before_outcome_commit             heard, not durable
            after_outcome_commit              durable, not answered
            after_answer                      answered
            after_<question>_sent             inquire, reverse, close, refund, inquire_refund
            before_record_commit              a batch, instruction, withdrawal ... is decided
            after_record_commit               durable, nobody was told
            after_<message>_sent              told to the custody box: Instruct, AskBank, Carry
    lane    books_before_<call>_answer        the channel did it, nobody heard
"""

from typing import Final

from payments.storage.base import Batch

AFTER_PAY_SENT: Final = "after_pay_sent"
AFTER_ANSWER: Final = "after_answer"


def kinds_of(batch: Batch) -> tuple[str, ...]:
    """What a commit carries: `intent` and `outcome` of payments, likewise of refunds; `record`."""
    kinds = []
    if batch.payments:
        kinds.append("intent")
    if batch.payment_changes or batch.entries:
        kinds.append("outcome")
    if batch.refunds:
        kinds.append("refund_intent")
    if batch.refund_changes:
        kinds.append("refund_outcome")
    if batch.records or batch.record_changes:
        kinds.append("record")
    return tuple(kinds)


def before(batch: Batch) -> tuple[str, ...]:
    """The points right before this commit."""
    return tuple(f"before_{kind}_commit" for kind in kinds_of(batch))


def after(batch: Batch) -> tuple[str, ...]:
    """The points right after it."""
    return tuple(f"after_{kind}_commit" for kind in kinds_of(batch))


def sent(op: str) -> str:
    """A question left for the lane."""
    return f"after_{op}_sent"


def told(message: object) -> str:
    """A message left for the custody box."""
    return f"after_{type(message).__name__}_sent"


def unheard(op: str) -> str:
    """The channel has done what was asked, and its answer has not left the lane."""
    return f"books_before_{op}_answer"
