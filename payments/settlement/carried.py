"""A share or money that left its partition for the receiver's home, until it has arrived there."""

from msgspec import Struct


class Carried(Struct, frozen=True, array_like=True, gc=False):
    """`source`, `step`: what the entry at home is about, and its letter (`entries.ARRIVED` for a
    share, `entries.MONEY_ARRIVED` for money). `origin`: the partition that it left. `amount`: minor
    units. `custody`: the account of ours in which the money lies. `said`: how often it was told."""

    source: str
    step: str
    origin: int
    receiver: str
    amount: int
    custody: str = ""
    said: int = 0
    is_landed: bool = False
