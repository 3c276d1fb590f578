"""Callbacks about divided money: which order of ours one is about. Nothing more is believed of it.

Source: WeChat Pay API v3, "profit sharing", its notification: sent to receivers that are merchants
and have an address for it on WeChat Pay's own pages, sealed with the receiver's key. So it comes to
us where the account that shares, or the service provider, is a receiver itself. The documents say
`PROFITSHARING.SUCCESS` and `PROFITSHARING.RETURN` in one place and `TRANSACTION.SUCCESS` for both
in another, and people have met the original type `transaction`: it is told by its content.
"""

from typing import Any, Final

from msgspec import Struct

from payments.channels.wechat.orders import read

KINDS: Final = ("profitsharing", "PROFITSHARING.")


class _Told(Struct, frozen=True):
    """`out_order_no`: ours of the sharing order, or of the return order. A payment has neither."""

    transaction_id: str
    out_order_no: str
    receiver: dict[str, Any]


def is_sharing(kind: str) -> bool:
    return kind.startswith(KINDS)


def number_told(plain: bytes) -> str | None:
    """The number of the sharing order or return order; None where it is about something else."""
    told = read(plain, _Told)
    return None if told is None else told.out_order_no
