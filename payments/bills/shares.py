"""One shape for a line of a channel's bill of divided money: what a receiver got, or gave back.

As with payments (`payments/bills/lines.py`), nothing that was read may be believed before its
reader has come to the end without BillRefused.
"""

from typing import Final

from msgspec import Struct

from payments.bills.lines import BillKind

SHARES_MAX: Final = 1_000_000
"""Longest bill of divided money, in lines: whoever compares it remembers each line's key."""


class ShareLine(Struct, frozen=True, gc=False):
    """One part that the channel paid to a receiver, or took back. Only what was done is in a bill.

    - `kind`: BillKind.SHARE or BillKind.SHARE_RETURN. `account`: the channel's number of whoever
      asked for it; `merchant`: of whose money it was, empty where that is the same.
    - `number`: ours of the sharing order or return order; `channel_number`, `detail_number`,
      `channel_trade_no`: theirs of the order, of the part, of the payment.
    - `receiver`: the channel's account of the receiver. `amount`: its part, minor units, above 0;
      `order_amount`: of the payment.
    - `at_ms`: when it was done, ms since 1970 UTC, to the second. `bill_date`: the channel's day.
    - `row`: the line of the file, 1 the first; 0 for a line that is from no file.
    """

    channel: str
    account: str
    kind: BillKind
    number: str
    channel_number: str
    detail_number: str
    channel_trade_no: str
    receiver: str
    at_ms: int
    bill_date: int
    amount: int
    order_amount: int
    merchant: str = ""
    text: str = ""
    row: int = 0
