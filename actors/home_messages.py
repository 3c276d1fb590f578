"""Messages of the way home of the money: batches, cover, payouts, and the custody bank.

Part of `actors/messages.py`, with its rules: append-only, new fields last with a default.
"""

from msgspec import Struct

from actors.adjusting_messages import Adjust, Adjusted, TellNotices, ToldNotices
from payments.settlement.cover import Credit, Waiting
from payments.settlement.credited import Covered


class HomeAsk(Struct, array_like=True, tag=110, gc=False):
    """A request on batches, instructions, withdrawals, freezes and the like of one merchant.

    `op`: such as `withdrawal.create`, `clearing_batch.list`. `caller`: who asks, already verified
    (`Key.person`: rotated keys are one person), with its `roles`. `target`: the object's id.
    `body`: the request's JSON.
    `party`: whose money it is about, the merchant itself or one of its receivers; the shard of the
    party's home is asked. `merchant` empty: a platform or operator asks for everything here.
    `id`: minted by the front door for what is created, so that a re-sent command is the same one.
    """

    ref: int
    op: str
    merchant: str
    caller: str
    roles: tuple[str, ...] = ()
    target: str | None = None
    id: str = ""
    body: bytes = b""
    query: dict[str, str] = {}
    key_digest: bytes | None = None
    fingerprint: bytes = b""
    nonce: int = 0
    nonce_at: int = 0
    party: str = ""


# --- shard -> custody ------------------------------------------------------------------------


class Instruct(Struct, array_like=True, tag=120, gc=False):
    """Pay this, once. Only after `sent` is durable; the same again for `is_repeat`.

    `number`: the EndToEndId. `name`, `account`, `bank`: the registered account. `custody`: which
    account of ours pays. `at`: business ms of the first sending.
    """

    ref: int
    id: str
    number: str
    amount: int
    currency: str
    name: str
    account: str
    bank: str
    custody: str
    at: int
    is_repeat: bool = False


class AskBank(Struct, array_like=True, tag=121, gc=False):
    """What became of this number? Answered with BankSaid.

    `amount`: of the payment, minor units. A box that has lost its store has it from nowhere else,
    and a bank's word on a number is believed only for that amount. 0: an older release asks.
    """

    ref: int
    id: str
    number: str
    amount: int = 0


class Carry(Struct, array_like=True, tag=122, gc=False):
    """The first step of a transit is durable: bring the second one to its partition's shard.

    `step`: the letter of the entry there (`settlement/entries.py`: ARRIVED for a share,
    MONEY_ARRIVED for money). `source`: what that entry is about. `origin`: the partition it left.
    Answered with Landed when the second step is durable; asked again until then.
    """

    ref: int
    source: str
    step: str
    origin: int
    receiver: str
    amount: int
    currency: str
    custody: str = ""


class ClaimRows(Struct, array_like=True, tag=123, gc=False):
    """The answer to ReadClaims. `covered`: where it was asked what a credit has covered."""

    ref: int
    waiting: tuple[Waiting, ...]
    last: bool
    covered: tuple[Covered, ...] = ()


class CreditMatched(Struct, array_like=True, tag=124, gc=False):
    """The answer to MatchCredit. `left`: (claim id, why) of those that could not be matched now."""

    ref: int
    matched: tuple[str, ...]
    left: tuple[tuple[str, str], ...] = ()


# --- custody -> shard ------------------------------------------------------------------------


class BankSaid(Struct, array_like=True, tag=130, gc=False):
    """What the bank says of an instruction, by `settlement/instruction.State`, or `absent`.

    Answered with BankSaidTaken when it is durable; said again until then.
    """

    ref: int
    id: str
    state: str
    reference: str | None = None
    reason: str | None = None


class BankSaidTaken(Struct, array_like=True, tag=131, gc=False):
    ref: int


class ReadClaims(Struct, array_like=True, tag=132, gc=False):
    """Which claims on a channel account wait for their credit? `bill_date`: yyyymmdd, 0 for all.

    `credit`: the bank's reference; with it, what that credit has covered is asked for instead.
    """

    ref: int
    channel_account: str
    bill_date: int = 0
    credit: str = ""


class MatchCredit(Struct, array_like=True, tag=133, gc=False):
    """Cover these claims of yours, in this order: (claim id, the channel's fee kept from it)."""

    ref: int
    credit: Credit
    shares: tuple[tuple[str, int], ...]


class Land(Struct, array_like=True, tag=134, gc=False):
    """Book the second step of a transit. Fields as in Carry. Answered with Landed."""

    ref: int
    source: str
    step: str
    origin: int
    receiver: str
    amount: int
    currency: str
    custody: str = ""


class Landed(Struct, array_like=True, tag=135, gc=False):
    """The second step is durable: shard to custody, and custody to the shard where it began."""

    ref: int
    source: str


HomeMessage = (
    HomeAsk
    | Instruct
    | AskBank
    | Carry
    | ClaimRows
    | CreditMatched
    | BankSaid
    | BankSaidTaken
    | ReadClaims
    | MatchCredit
    | Land
    | Landed
    | Adjust
    | Adjusted
    | TellNotices
    | ToldNotices
)
