"""Messages about money that a channel holds back and divides: shard to lane, and back.

The rules of `actors/messages.py` apply.
"""

from msgspec import Struct

from payments.channels.sharing import Answered, Holder, SharingOrder, SharingReturn


class LaneShare(Struct, array_like=True, tag=46, gc=False):
    """`op`: register (`holder`), share or inquire_share (`order`), take_back or inquire_return
    (`back`). `id`: the shard's record.
    """

    ref: int
    op: str
    id: str
    merchant: str
    holder: Holder | None = None
    order: SharingOrder | None = None
    back: SharingReturn | None = None


class LaneShared(Struct, array_like=True, tag=55, gc=False):
    """What the channel said. `number`: of the order or return that was asked about; `holder`: as
    asked.
    """

    ref: int
    op: str
    id: str
    answer: Answered
    holder: Holder | None = None
    number: str = ""


class ShareNews(Struct, array_like=True, tag=56, gc=False):
    """Lane to shard: a callback spoke of this sharing or return order. Ask; it proves nothing.

    `ref` is 0: nobody answers, and what is lost is asked about when it is due.
    """

    ref: int
    number: str


SharingMessage = LaneShare | LaneShared | ShareNews
