"""What refunds take back from receivers: cumulative, so that the steps do not matter.

Of what is returned in all, each party's part is in proportion to what it got: after every refund
it stands where one refund of the same total would have put it, and a full refund has returned all.

The parts are rounded by the method of Webster and Sainte-Laguë and not by largest remainder. Both
give away every unit, but with largest remainders a party's part of a larger total can be smaller
(the Alabama paradox): a second refund would pay money out to a receiver. With a divisor method no
part ever shrinks when the total grows (Balinski and Young, "Fair Representation", 1982).
"""

from collections.abc import Sequence

from payments.splitting.terms import Share


def in_proportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` by weight, each part growing (or staying) when `total` grows; ties to the earlier.

    0 <= total <= sum(weights), so that no part is ever above its weight.
    """
    whole = sum(weights)
    assert 0 <= total <= whole, (total, weights)
    if not total:
        return [0] * len(weights)
    # Rounding each half up is the method's answer for some total near ours; correct from there by
    # the next units in line, whose turn comes by weight / (2 * part + 1).
    parts = [(2 * total * weight + whole) // (2 * whole) for weight in weights]
    missing = total - sum(parts)
    while missing > 0:
        at = _next_to_get(parts, weights)
        parts[at] += 1
        missing -= 1
    while missing < 0:
        at = _next_to_lose(parts, weights)
        parts[at] -= 1
        missing += 1
    return parts


def _next_to_get(parts: Sequence[int], weights: Sequence[int]) -> int:
    """The largest weight / (2 * part + 1), compared without fractions; the earlier of equals."""
    best = 0
    for at in range(1, len(parts)):
        if weights[at] * (2 * parts[best] + 1) > weights[best] * (2 * parts[at] + 1):
            best = at
    return best


def _next_to_lose(parts: Sequence[int], weights: Sequence[int]) -> int:
    """The smallest weight / (2 * part - 1) of those with a part; the later of equals."""
    worst = -1
    for at in range(len(parts)):
        if parts[at] and (
            worst < 0
            or weights[at] * (2 * parts[worst] - 1) <= weights[worst] * (2 * parts[at] - 1)
        ):
            worst = at
    return worst


def shares_back(
    shares: tuple[Share, ...],
    settle_amount: int,
    fee: int,
    settle_returned: int,
    fee_returned: int,
) -> tuple[int, ...]:
    """What each share gives back for one more refund, in minor units.

    `settle_amount`, `fee`: of the payment; `settle_returned`, `fee_returned`: in all, with this
    refund. What was given back stays given back, whatever a changed fee plan makes of it.
    """
    net = settle_amount - fee
    # A fee that is kept leaves less than nothing at the end: that is the merchant's to bear.
    kept = max(0, net - settle_returned + fee_returned)
    amounts = [share.amount for share in shares]
    due = in_proportion(net - min(kept, net), [*amounts, net - sum(amounts)])
    return tuple(max(0, now - share.returned) for share, now in zip(shares, due, strict=False))


def drawn(back: int, pending: int, available: int) -> tuple[int, int, int]:
    """(from pending, from available, new debt) of a receiver who is to give back so much.

    `pending`, `available`: what it has there, as people read it (never below zero).
    """
    first = min(back, pending)
    second = min(back - first, available)
    return first, second, back - first - second
