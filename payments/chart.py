"""The chart of accounts: every name an account can have, what it is and whether it has a floor.

Balances are signed: a debit is positive, a credit negative. An asset therefore stands at a positive
number, a liability or an income at a negative one; `natural` turns it the way people read it.

Accounts that several merchants share are striped by partition (`fees:income#17`), so that a commit
touches only accounts of the partition it belongs to and never crosses shards. A receiver's stripe
is that of the payment it got a share of.

    channel:<account>:receivable#<partition>   asset      what the channel owes us or the merchant
    channel:<account>:held#<partition>         asset      what the channel is to pay out itself
    channel:<account>:outside#<partition>      asset      what it owes to merchants, past custody
    custody:<bank>:<account>                   asset      money at the bank, held for merchants
    merchant:<id>:pending                      liability  sold, not yet matched at the bank
    merchant:<id>:available                    liability  matched, may be paid out
    merchant:<id>:frozen                       liability  held by order or dispute
    merchant:<id>:escrow                       liability  of a payment, until it is released
    merchant:<id>:in_transit                   liability  on its way to the merchant's bank account
    merchant:<id>:direct                       liability  the channel is to pay it straight
    merchant:<id>:outside                      liability  the mirror of a channel's outside
    merchant:<id>:debt                         asset      what the merchant owes after refunds
    merchant:<id>:fees_due                     asset      our fees on what came past custody
    merchant:<id>:repay                        asset      what it owes receivers the channel pays
    receiver:<id>:pending#<partition>          liability  shares, not yet matched at the bank
    receiver:<id>:available#<partition>        liability  matched, may be paid out
    receiver:<id>:frozen#<partition>           liability  held by order or dispute
    receiver:<id>:in_transit#<partition>       liability  on its way to the receiver's bank account
    receiver:<id>:direct#<partition>           liability  the channel is to pay it straight
    receiver:<id>:debt#<partition>             asset      what a receiver owes after refunds
    receiver:<id>:owed#<partition>             asset      the same, to a merchant the channel pays
    fees:income#<partition>                    income     our fees
    fees:channel#<partition>                   expense    the channels' fees
    suspense:<account>#<partition>             liability  late success, until it went back
    transit:<from>:<to>                        liability  between partitions; each pair nets to zero
    advance:<funder>                           liability  named funder of an earlier payout
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from payments.ids import PARTITIONS


class Kind(StrEnum):
    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"


class Account(Struct, frozen=True, gc=False):
    """A name taken apart.

    `owner`: channel account, bank, merchant, receiver or funder; empty for fees. `part`: the last
    word of a longer name (receivable, pending, income, the custody account, the partition that a
    transit goes to). `partition`: the stripe of a shared account. `limited`: its natural balance
    never goes below zero.
    """

    family: str
    owner: str
    part: str
    partition: int | None
    kind: Kind
    limited: bool


class UnknownAccount(ValueError):
    """A text that the chart has no place for."""


STRIPES: Final = tuple(f"#{number}" for number in range(PARTITIONS))
_FEES_INCOME: Final = tuple("fees:income" + stripe for stripe in STRIPES)
_FEES_CHANNEL: Final = tuple("fees:channel" + stripe for stripe in STRIPES)

# family and part -> kind, limited. A part of "" stands for any (it is a name, not a word).
_KINDS: Final[dict[tuple[str, str], tuple[Kind, bool]]] = {
    # Refunds after the channel has settled can exceed what it owes for the next sales.
    ("channel", "receivable"): (Kind.ASSET, False),
    ("channel", "held"): (Kind.ASSET, True),
    # Refunds after a day was cleared are below zero until the next batch takes them off.
    ("channel", "outside"): (Kind.ASSET, False),
    ("merchant", "outside"): (Kind.LIABILITY, False),
    ("custody", ""): (Kind.ASSET, True),
    ("merchant", "pending"): (Kind.LIABILITY, True),
    ("merchant", "available"): (Kind.LIABILITY, True),
    ("merchant", "frozen"): (Kind.LIABILITY, True),
    ("merchant", "in_transit"): (Kind.LIABILITY, True),
    ("merchant", "escrow"): (Kind.LIABILITY, True),
    ("merchant", "direct"): (Kind.LIABILITY, True),
    ("merchant", "debt"): (Kind.ASSET, True),
    ("merchant", "fees_due"): (Kind.ASSET, True),
    ("merchant", "repay"): (Kind.ASSET, True),
    ("receiver", "pending"): (Kind.LIABILITY, True),
    ("receiver", "available"): (Kind.LIABILITY, True),
    ("receiver", "frozen"): (Kind.LIABILITY, True),
    ("receiver", "in_transit"): (Kind.LIABILITY, True),
    ("receiver", "direct"): (Kind.LIABILITY, True),
    ("receiver", "debt"): (Kind.ASSET, True),
    ("receiver", "owed"): (Kind.ASSET, True),
    # A day's returned fees can exceed the day's new ones.
    ("fees", "income"): (Kind.INCOME, False),
    ("fees", "channel"): (Kind.EXPENSE, False),
    ("suspense", ""): (Kind.LIABILITY, True),
    # One end of a transit is always the mirror of the other.
    ("transit", ""): (Kind.LIABILITY, False),
    ("advance", ""): (Kind.LIABILITY, True),
}
_STRIPED: Final = frozenset({"channel", "fees", "receiver", "suspense"})
_STRIPE_OF: Final = {text: number for number, text in enumerate(STRIPES)}
_WORDS: Final = {
    "channel": 3,
    "custody": 3,
    "merchant": 3,
    "receiver": 3,
    "fees": 2,
    "suspense": 2,
    "transit": 3,
    "advance": 2,
}
"""Words in a name of each family, the family included."""
FAMILIES: Final = frozenset(_WORDS)
"""What a name may begin with."""


def receivable(channel_account: str, partition: int) -> str:
    return "channel:" + channel_account + ":receivable" + STRIPES[partition]


def channel_held(channel_account: str, partition: int) -> str:
    return "channel:" + channel_account + ":held" + STRIPES[partition]


def suspense(channel_account: str, partition: int) -> str:
    return "suspense:" + channel_account + STRIPES[partition]


def channel_outside(channel_account: str, partition: int) -> str:
    return "channel:" + channel_account + ":outside" + STRIPES[partition]


def merchant_pending(merchant: str) -> str:
    return "merchant:" + merchant + ":pending"


def merchant_available(merchant: str) -> str:
    return "merchant:" + merchant + ":available"


def merchant_frozen(merchant: str) -> str:
    return "merchant:" + merchant + ":frozen"


def merchant_in_transit(merchant: str) -> str:
    return "merchant:" + merchant + ":in_transit"


def merchant_escrow(merchant: str) -> str:
    return "merchant:" + merchant + ":escrow"


def merchant_direct(merchant: str) -> str:
    return "merchant:" + merchant + ":direct"


def merchant_debt(merchant: str) -> str:
    return "merchant:" + merchant + ":debt"


def merchant_outside(merchant: str) -> str:
    return "merchant:" + merchant + ":outside"


def merchant_fees_due(merchant: str) -> str:
    return "merchant:" + merchant + ":fees_due"


def merchant_repay(merchant: str) -> str:
    return "merchant:" + merchant + ":repay"


def merchant_prefix(merchant: str) -> str:
    """What the names of all accounts of a merchant begin with."""
    return "merchant:" + merchant + ":"


def receiver_prefix(receiver: str) -> str:
    """What the names of all accounts of a receiver begin with, whatever the stripe."""
    return "receiver:" + receiver + ":"


def receiver_pending(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":pending" + STRIPES[partition]


def receiver_available(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":available" + STRIPES[partition]


def receiver_frozen(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":frozen" + STRIPES[partition]


def receiver_in_transit(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":in_transit" + STRIPES[partition]


def receiver_direct(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":direct" + STRIPES[partition]


def receiver_debt(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":debt" + STRIPES[partition]


def receiver_owed(receiver: str, partition: int) -> str:
    return "receiver:" + receiver + ":owed" + STRIPES[partition]


def fees_income(partition: int) -> str:
    return _FEES_INCOME[partition]


def fees_channel(partition: int) -> str:
    return _FEES_CHANNEL[partition]


def custody(bank: str, account: str) -> str:
    return f"custody:{bank}:{account}"


def transit(from_partition: int, to_partition: int) -> str:
    return f"transit:{from_partition}:{to_partition}"


def advance(funder: str) -> str:
    return "advance:" + funder


def parse(name: str) -> Account:
    """Take an account's name apart. Raise UnknownAccount for what is not in the chart."""
    path, mark, stripe = name.partition("#")
    words = path.split(":")
    family = words[0]
    if len(words) == _WORDS.get(family) and all(words) and bool(mark) is (family in _STRIPED):
        owner = "" if family == "fees" else words[1]
        part = words[-1] if family == "fees" or len(words) == 3 else ""
        known = _KINDS.get((family, part)) or _KINDS.get((family, ""))
        if known is not None:
            return Account(family, owner, part, _stripe(name, stripe) if mark else None, *known)
    raise UnknownAccount(f"{name[:80]!r} is not in the chart of accounts")


def _stripe(name: str, text: str) -> int:
    """The partition of a striped account, written without leading zeros."""
    partition = _STRIPE_OF.get("#" + text)
    if partition is None:
        raise UnknownAccount(f"{name[:80]!r} names no partition")
    return partition


def kind_of(name: str) -> Kind:
    return parse(name).kind


def is_limited(name: str) -> bool:
    """Whether the account's natural balance must never go below zero."""
    return parse(name).limited


def natural(name: str, minor: int) -> int:
    """A signed balance the way people read it: a liability of 5 is 5, not -5."""
    return minor if kind_of(name) in (Kind.ASSET, Kind.EXPENSE) else -minor
