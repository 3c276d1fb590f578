"""What a shard is told about the way home of the money: who agreed and decreed what."""

from msgspec import Struct

from payments.clearing.terms import DEFAULT_TERMS, Rules, Terms
from payments.clearing.workdays import Workdays
from payments.fees import FeePlan
from payments.settlement.holds import Funder
from payments.settlement.instruction import Policy
from payments.settlement.withdrawal import DEFAULT_LIMITS, FREE, Limits

NO_WORKDAYS = Workdays({})
"""Knows no day: whoever asks it is told to configure one."""


class HomeOptions(Struct, frozen=True):
    """Read by clearing, payouts, withdrawals and advances of a shard.

    `custody`: the custody account's name in our chart, empty where no bank is configured: money
    then waits, and nothing is paid out. `rules`: what others decreed, dated. `terms`: of merchants
    that agreed on nothing else. `funders`: by name; each one's limit is for one partition.
    `payouts`: what needs no second person. `payout_minute`: of a working day in China, from which
    on what is due is instructed. `is_clearing`: whether days
    are cleared by themselves, which they are not where custody is not served. `pays_receivers`:
    what becomes a receiver's is paid to it by itself, once it is `receivers_minimum` (minor units).
    """

    custody: str = ""
    workdays: Workdays = NO_WORKDAYS
    rules: tuple[Rules, ...] = ()
    terms: Terms = DEFAULT_TERMS
    funders: dict[str, Funder] = {}
    payouts: Policy = Policy()
    withdrawals: Limits = DEFAULT_LIMITS
    withdrawal_fee: FeePlan = FREE
    payout_minute: int = 10 * 60
    is_clearing: bool = True
    pays_receivers: bool = False
    receivers_minimum: int = 0
