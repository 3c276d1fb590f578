"""Payout terms of merchants and receivers as callers see and change them."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.clearing.terms import PayoutMode, cycle_of
from payments.clearing.workdays import to_date
from payments.errors import InvalidField
from payments.money import AMOUNT_MAX
from payments.reference import Hold, PayoutTerms, ReceiverPayout

Day = Annotated[int, Meta(ge=19_700_101, le=99_991_231)]


class ReceiverPayoutWish(Struct, frozen=True, forbid_unknown_fields=True):
    """`payout` of a receiver: all of its own terms. What is left out is as the deployment says."""

    mode: PayoutMode | None = None
    minimum: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None


class PayoutWish(Struct, frozen=True, forbid_unknown_fields=True):
    """`payout` of POST /v1/merchants/{id}: what is given is changed. Dates are yyyymmdd."""

    cycle: Annotated[str, Meta(min_length=3, max_length=5)] | None = None
    minimum: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None
    mode: PayoutMode | None = None
    hold: Hold | None = None
    onboarded_on: Day | None = None
    trading_since: Day | None = None


def changed_payout(known: PayoutTerms, wish: PayoutWish | None) -> PayoutTerms:
    """The terms after a change. InvalidField for a cycle or a date that cannot be."""
    if wish is None:
        return known
    try:
        cycle = known.cycle if wish.cycle is None else str(cycle_of(wish.cycle))
    except ValueError as error:
        raise InvalidField(str(error), param="/payout/cycle") from None
    return replace(
        known,
        cycle=cycle,
        minimum=known.minimum if wish.minimum is None else wish.minimum,
        mode=wish.mode or known.mode,
        hold=wish.hold or known.hold,
        onboarded_on=_date(wish.onboarded_on, "onboarded_on") or known.onboarded_on,
        trading_since=_date(wish.trading_since, "trading_since") or known.trading_since,
    )


def _date(date: int | None, name: str) -> int | None:
    """A date that the calendar has."""
    if date is not None:
        try:
            to_date(date)
        except ValueError:
            raise InvalidField(f"{date} is no date yyyymmdd", param=f"/payout/{name}") from None
    return date


def payout_view(payout: PayoutTerms) -> dict[str, Any]:
    """The terms in the words of the request."""
    return {
        "cycle": payout.cycle,
        "minimum": payout.minimum,
        "mode": payout.mode.value,
        "hold": payout.hold.value,
        "onboarded_on": payout.onboarded_on,
        "trading_since": payout.trading_since,
    }


def receiver_payout(wish: ReceiverPayoutWish) -> ReceiverPayout:
    return ReceiverPayout(wish.mode, wish.minimum)


def receiver_payout_view(payout: ReceiverPayout) -> dict[str, Any]:
    """The terms in the words of the request; null where the deployment's count."""
    return {
        "mode": None if payout.mode is None else payout.mode.value,
        "minimum": payout.minimum,
    }
