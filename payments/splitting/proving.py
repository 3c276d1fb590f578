"""What must be true of a division and its entries together. Rows in, complaints out, in words."""

from collections.abc import Iterable, Iterator, Mapping

from payments import chart
from payments.ledger import Postings
from payments.refund import Refund
from payments.splitting.dividing import Division, PieceState, Stage


def of_division(
    division: Division,
    partition: int,
    shares: Mapping[str, int],
    refunds: Iterable[Refund],
    postings: Iterable[Postings],
) -> Iterator[str]:
    """Complaints about one payment's money at the channel.

    `shares`: what each receiver had at first, minor units; `refunds`: of the payment; `postings`:
    of all entries about the payment, its refunds, their turns and the division. While it is not
    over, the books hold what is to be divided; afterwards nothing but what receivers came to owe,
    and what they gave back that no refund used.
    """
    booked: dict[str, int] = {}
    for legs in postings:
        for account, minor in legs:
            booked[account] = booked.get(account, 0) + minor
    is_over = division.stage is Stage.OVER
    debts: dict[str, int] = {}
    given: dict[str, int] = {}
    for refund in refunds:
        for back in refund.shares_back:
            debts[back.receiver] = debts.get(back.receiver, 0) + back.debt
            given[back.receiver] = given.get(back.receiver, 0) + back.amount - back.debt
    expected = {chart.channel_held(division.account, partition): 0 if is_over else division.settled}
    for piece in division.pieces:
        name = piece.receiver
        is_settled = is_over and piece.state is PieceState.SETTLED
        # Refunds before it was over are not in the part any more: those after it took the rest.
        used = given.get(name, 0) - (shares.get(name, 0) - piece.amount)
        unused = piece.back - used - piece.at_hand
        direct = -piece.amount
        if is_over:
            direct = piece.repaid - unused if is_settled else 0
        expected[chart.receiver_direct(name, partition)] = direct
        owed = debts.get(name, 0) - (piece.netted if is_settled else 0)
        expected[chart.receiver_owed(name, partition)] = owed
        if not 0 <= piece.back <= piece.paid:
            yield f"took back {piece.back} of {piece.paid} from {name}"
        if piece.at_hand and division.turn is None:
            yield f"has {piece.at_hand} of {name} at hand for no refund"
    for account, minor in expected.items():
        if booked.get(account, 0) != minor:
            yield f"is to leave {account} at {minor} and the entries say {booked.get(account, 0)}"
    if division.turn is not None and division.turn.refund not in {each.id for each in refunds}:
        yield f"gives {division.turn.refund} its turn, which is no refund of it"
