"""What a channel that holds back and divides the money itself is asked, and what it answers.

As with payments an answer is believed only when it is signed and about our numbers and amounts;
everything else is Unknown, is asked about by its number, and never sent under another one.
"""

from typing import Protocol, runtime_checkable

from msgspec import Struct


class Holder(Struct, frozen=True, array_like=True, gc=False):
    """A receiver as the channel knows it. `kind`: MERCHANT_ID or PERSONAL_OPENID.

    `relation`: to who shares, in the channel's words. `name`: of a merchant, in full.
    """

    kind: str
    account: str
    relation: str
    name: str | None = None

    def __repr__(self) -> str:
        return f"Holder({self.kind})"


class Portion(Struct, frozen=True, array_like=True, gc=False):
    """What one receiver is to get, or what became of it; minor units.

    `result`: pending | success | closed, in an answer; `reason`: the channel's word for a closed
    one.
    """

    kind: str
    account: str
    amount: int
    result: str = "pending"
    reason: str = ""


class SharingOrder(Struct, frozen=True, array_like=True, gc=False):
    """Divide (a part of) what the channel holds back of one payment.

    `number` is fixed for the step. `finish`: what is not divided is let go to the merchant.
    `settled`: what the payment settled, before refunds, of which the channel's limit is a part;
    minor units, 0 where nobody remembers.
    """

    trade_no: str
    number: str
    merchant: str
    portions: tuple[Portion, ...]
    finish: bool
    description: str
    settled: int = 0


class SharingReturn(Struct, frozen=True, array_like=True, gc=False):
    """Take back from one receiver what the order `number` gave it. `return_no` is fixed."""

    number: str
    return_no: str
    merchant: str
    account: str
    amount: int
    description: str


class Divided(Struct, frozen=True, array_like=True, gc=False, tag=1):
    """The channel took the order. `is_over`: nothing of it is pending any more."""

    number: str
    portions: tuple[Portion, ...]
    is_over: bool


class Returned(Struct, frozen=True, array_like=True, gc=False, tag=2):
    """The channel took the return. `result`: pending | success | closed."""

    return_no: str
    amount: int
    result: str
    reason: str = ""


class Registered(Struct, frozen=True, array_like=True, gc=False, tag=3):
    """The receiver is known to the channel."""

    account: str


class NotDone(Struct, frozen=True, array_like=True, gc=False, tag=4):
    """An explicit refusal: nothing was moved under this number. `channel_code`: the channel's."""

    channel_code: str
    is_final: bool = True


class Absent(Struct, frozen=True, array_like=True, gc=False, tag=5):
    """The channel has no such number."""


class Unclear(Struct, frozen=True, array_like=True, gc=False, tag=6):
    """Asked, and no answer that may be believed."""

    reason: str


Answered = Divided | Returned | Registered | NotDone | Absent | Unclear


@runtime_checkable
class SharesMoney(Protocol):
    """A channel that divides what it holds back. Every call ends with an answer."""

    async def register(self, holder: Holder, merchant: str) -> Answered: ...
    async def share(self, order: SharingOrder) -> Answered: ...
    async def inquire_share(self, order: SharingOrder) -> Answered: ...
    async def unfreeze(self, order: SharingOrder) -> Answered: ...
    async def take_back(self, asked: SharingReturn) -> Answered: ...
    async def inquire_return(self, asked: SharingReturn) -> Answered: ...
