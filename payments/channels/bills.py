"""Which function reads which channel's bill."""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from payments.bills.lines import BillLine
from payments.bills.shares import ShareLine
from payments.channels.alipay import bill as alipay
from payments.channels.unionpay import bill as unionpay
from payments.channels.wechat import bill as wechat
from payments.channels.wechat import sharing_bill as wechat_sharing

Reader = Callable[[BinaryIO, int | None], Iterator[BillLine]]
"""(file, bill date or None) -> lines. Raises BillRefused, also after its last line."""

READERS: Final[dict[str, Reader]] = {
    "wechat": wechat.read,
    "alipay": alipay.read,
    "unionpay": unionpay.read,
}

SHARE_READERS: Final[dict[str, Callable[[BinaryIO, int | None], Iterator[ShareLine]]]] = {
    "wechat": wechat_sharing.read,
}
"""The same of bills of divided money, where a channel divides any."""
