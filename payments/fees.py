"""Fees: whole numbers, rounded half up per payment, given back cumulatively on refunds.

The batch's fee is the sum of its payments' fees, never the rate times the sum of amounts: rounding
makes the two differ, and the channel's bill is compared to the last unit.
"""

from typing import Final

from msgspec import Struct

PPM: Final = 1_000_000
"""A rate of one whole, in parts per million."""


class FeePlan(Struct, frozen=True, array_like=True, gc=False):
    """What is charged on what the channel settles.

    `rate_ppm`: parts per million (3800 is 0.38 %). `minimum`, `maximum`: minor units, a floor and a
    cap for each payment. `refundable`: whether a refund gives the fee back.
    """

    name: str
    rate_ppm: int
    minimum: int = 0
    maximum: int | None = None
    refundable: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.rate_ppm <= PPM:
            raise ValueError(f"fee plan {self.name}: a rate of {self.rate_ppm} ppm")
        if self.minimum < 0 or (self.maximum is not None and self.maximum < self.minimum):
            raise ValueError(f"fee plan {self.name}: from {self.minimum} to {self.maximum}")


DEFAULT_PLAN: Final = FeePlan("default", 3800)


def fee(plan: FeePlan, settle_amount: int) -> int:
    """The fee on one payment, in minor units: half up, then the floor and the cap.

    Never more than what is settled (a floor cannot make a merchant pay for selling), so nothing is
    charged on nothing. Grows with the amount, and never faster than it.
    """
    charged = (settle_amount * plan.rate_ppm + 500_000) // 1_000_000
    if charged < plan.minimum:
        charged = plan.minimum
    if plan.maximum is not None and charged > plan.maximum:
        charged = plan.maximum
    return charged if charged <= settle_amount else settle_amount


def give_back(
    amount: int,
    settle_amount: int,
    fee_total: int,
    plan: FeePlan,
    refunded_before: int,
    refund_amount: int,
    settle_returned: int,
    fee_returned: int,
) -> tuple[int, int]:
    """What the books give back for one more refund: (settle_back, fee_back), in minor units.

    The refund is asked in terms of `amount`; `refunded_before`, `settle_returned` and
    `fee_returned` are the sums of the refunds already booked. Each sum is brought to where it
    stands for the new total, so that however a refund is split, the sums grow, stay within
    `settle_amount` and `fee_total`, and a full refund has returned both exactly.
    """
    refunded = refunded_before + refund_amount
    assert refund_amount > 0, refund_amount
    assert refunded <= amount, (refunded, amount)
    settle_due = (2 * settle_amount * refunded + amount) // (2 * amount)
    settle_back = settle_due - settle_returned
    if not plan.refundable:
        return settle_back, 0
    # The plan may be another one than when the payment was charged: what is kept is at most what
    # was charged, and what was given back stays given back.
    kept = fee(plan, settle_amount - settle_due)
    fee_back = fee_total - kept - fee_returned
    return settle_back, fee_back if fee_back > 0 else 0
