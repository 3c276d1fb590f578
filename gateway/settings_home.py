"""The settings of the money's way home: the bank, and what was agreed and decreed.

Dated rules and calendars stand in `config/settlement.toml` and `config/workdays.toml`; a settings
file adds years, replaces rules and overrides single days.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from gateway.settings_fields import (
    Address,
    CallMs,
    Id,
    Minor,
    Name,
    Ppm,
    Reference,
)
from payments.clearing.terms import Rules, cycle_of
from payments.clearing.workdays import Overrides, Workdays, Year, workdays_of
from payments.splitting.escrow import ESCROW_DAYS, ESCROW_DAYS_MAX

Zero = Annotated[int, Meta(ge=0, description="minor units")]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class Bank(Section, frozen=True, kw_only=True):
    """The custody account's bank. Without this table no money goes home.

    `name`: the bank's, in the books' account `custody:<name>:<custody_account>`. `customer_key`:
    our private key, which signs requests; `bank_key`: the bank's public one. `holder`: the name
    that beneficiaries see; `agent`: the bank's BIC or twelve digits. `poll_s`: how often the
    account's movements are read. `sandbox`: the address is one of our sandboxes, whose clock goes
    with the test clock, and into which the channels' sandboxes settle.
    """

    name: Name
    base_url: Address
    customer_id: Id
    custody_account: Annotated[str, Meta(pattern="^[0-9A-Za-z]{1,34}$")]
    customer_key: Reference
    bank_key: Reference
    holder: Annotated[str, Meta(min_length=1, max_length=100)] = "Tillway"
    agent: Annotated[str, Meta(pattern="^([A-Z0-9]{8}|[A-Z0-9]{11}|[0-9]{12})?$")] = ""
    timeout_ms: CallMs = 5_000
    poll_s: Annotated[int, Meta(ge=1, le=3_600)] = 30
    sandbox: bool = False

    def __post_init__(self) -> None:
        if not self.base_url:
            raise ValueError("bank.base_url is missing; write the address that the bank gave")


class Withdrawals(Section, frozen=True, kw_only=True):
    """Limits of what merchants and receivers take out by themselves, and what it costs.

    Above `review_above_minor` a person looks first.
    """

    single_min_minor: Minor = 1
    single_max_minor: Minor = 5_000_000_00
    day_max_minor: Minor = 50_000_000_00
    day_count_max: Annotated[int, Meta(ge=1, le=1_000)] = 20
    review_above_minor: Zero = 50_000_00
    fee_ppm: Ppm = 0
    fee_min_minor: Zero = 0


class Settlement(Section, frozen=True, kw_only=True):
    """`cycle`, `minimum_minor`: of merchants that agreed on nothing else. `payout_minute`: of the
    day in China, from which on what is due is instructed.

    `alone_max_minor`: instructions up to it need no second person; 0: all of them do. `funders`:
    who may advance money, and how much of it may be outstanding in one partition. `escrow_days`:
    until what is held is let go by itself, where a payment does not say when. `receivers`: paid
    by themselves (`auto`) once they have `receivers_minimum_minor`, or when asked for. `closed_on`,
    `open_on`: single days (yyyymmdd) on which the bank differs from the published calendar.
    """

    rules: tuple[Rules, ...] = ()
    cycle: str = "T+1"
    minimum_minor: Zero = 0
    payout_minute: Annotated[int, Meta(ge=0, le=1_439)] = 600
    alone_max_minor: Zero = 0
    funders: dict[Name, Minor] = {}
    escrow_days: Annotated[int, Meta(ge=1, le=ESCROW_DAYS_MAX)] = ESCROW_DAYS
    receivers: Literal["auto", "withdrawal"] = "withdrawal"
    receivers_minimum_minor: Zero = 0
    closed_on: tuple[int, ...] = ()
    open_on: tuple[int, ...] = ()
    withdrawals: Withdrawals = field(default_factory=Withdrawals)

    def __post_init__(self) -> None:
        cycle_of(self.cycle)


def calendar_of(years: dict[str, Year], settlement: Settlement) -> Workdays:
    """The business calendar. Raise ValueError for what contradicts itself."""
    try:
        return workdays_of(years, Overrides(settlement.closed_on, settlement.open_on))
    except LookupError as error:
        raise ValueError(str(error)) from None


def check(settings: Any) -> None:
    """What only several tables together tell. Raise ValueError."""
    calendar_of(settings.workdays, settings.settlement)
    bank = settings.bank
    if bank is None:
        return
    if settings.livemode and bank.sandbox:
        raise ValueError("bank.sandbox: live mode and a sandbox")
