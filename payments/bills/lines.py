"""One shape for a line of any channel's bill, and the refusal of a file that cannot be believed.

Readers (`payments/channels/<name>/bill.py`) turn the channel's own file into these lines, one by
one. What a file says at its end (counts, sums) is checked at its end: nothing that was read from
it may be believed before its reader has come to the end without BillRefused.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

LINES_MAX: Final = 10_000_000
"""Longest bill, in lines of payments and refunds."""

FILE_MAX_BYTES: Final = 2_147_483_648
"""Largest bill as text, unpacked: 2 GiB."""


class BillKind(StrEnum):
    """Which way the money of a line went."""

    PAYMENT = "payment"
    REFUND = "refund"
    CREDIT = "credit"
    """What a bank credited. No bill has it: it is a line of the bank's, compared with a bill."""
    SHARE = "share"
    """What a channel paid to a receiver; in a bill of its own (`payments/bills/shares.py`)."""
    SHARE_RETURN = "share_return"
    """What a channel took back from a receiver."""


class BillState(StrEnum):
    """How far the channel says it came. Only payments that were paid stand in a bill."""

    SUCCEEDED = "succeeded"
    PROCESSING = "processing"
    """A refund that the channel has taken from the merchant and not yet given to the payer."""
    FAILED = "failed"
    """A refund that did not happen: no money moved."""
    REVERSED = "reversed"
    """The line that undoes a payment whole: a refund without a number of its own."""


class BillLine(Struct, frozen=True, gc=False):
    """One payment, or one refund, as the channel says it happened.

    Amounts are whole minor units and never negative: `kind` says which way they went.

    - `channel`: wechat, alipay, unionpay. `account`: the channel's number of the account that the
      bill is about (mchid, PID, serProvId); `merchant`: its number of the sub-merchant, empty where
      the account is the merchant.
    - `out_trade_no`, `out_refund_no`: our numbers of the payment and, for a refund, of the refund
      (empty for a reversal); `channel_trade_no`, `channel_refund_no`: theirs.
    - `at_ms`: when it happened, milliseconds since 1970 UTC, to the second that the file tells.
      `bill_date`: the channel's day, yyyymmdd.
    - `amount`: the price, or what was refunded of it. `settle_amount`: what the merchant is owed
      for it before the fee: the price less `discount_merchant`. `payer_amount`: what the payer gave
      or got: the price less both discounts; None where the file does not say.
    - `fee`: charged on a payment, given back with a refund.
    - `row`: the line of the file, 1 the first; 0 for a line that is from no file.
    """

    channel: str
    account: str
    kind: BillKind
    out_trade_no: str
    out_refund_no: str
    channel_trade_no: str
    channel_refund_no: str
    at_ms: int
    bill_date: int
    state: BillState
    currency: str
    amount: int
    settle_amount: int
    payer_amount: int | None
    discount_channel: int
    discount_merchant: int
    fee: int
    merchant: str = ""
    row: int = 0


class BillTotals(Struct):
    """Counts and sums over lines, in minor units. Refunds that failed are counted nowhere."""

    payments: int = 0
    refunds: int = 0
    amount: int = 0
    settle_amount: int = 0
    fee: int = 0
    refunded: int = 0
    settle_returned: int = 0
    fee_returned: int = 0

    def add(self, line: BillLine) -> None:
        """Count one line."""
        if line.kind is BillKind.PAYMENT:
            self.payments += 1
            self.amount += line.amount
            self.settle_amount += line.settle_amount
            self.fee += line.fee
        elif line.state is not BillState.FAILED:
            self.refunds += 1
            self.refunded += line.amount
            self.settle_returned += line.settle_amount
            self.fee_returned += line.fee

    @property
    def net(self) -> int:
        """What the channel owes the merchants for these lines, in minor units."""
        return self.settle_amount - self.settle_returned - self.fee + self.fee_returned


class BillRefused(Exception):
    """The file is refused whole. `line`: where, 1 the first; 0 for the file as such.

    `why` says what is wrong, `remedy` what to do about it. Neither repeats the file's own text:
    it holds personal data.
    """

    def __init__(self, why: str, line: int = 0, remedy: str = "fetch the file again") -> None:
        where = f"line {line}: " if line else ""
        super().__init__(f"{where}{why}; {remedy}")
        self.why = why
        self.line = line
        self.remedy = remedy
