"""What must be true of a division and its entries together. Rows in, complaints out, in words."""

from collections.abc import Iterable, Iterator

from payments import chart
from payments.ledger import Postings
from payments.refund import Refund
from payments.splitting.dividing import Division, PieceState, Stage


def of_division(
    division: Division, partition: int, refunds: Iterable[Refund], postings: Iterable[Postings]
) -> Iterator[str]:
    """Complaints about one payment's money at the channel.

    `refunds`: of the payment; `postings`: of all entries about the payment, its refunds, their
    turns and the division. While it is not over, the books hold what is to be divided; afterwards
    nothing but what receivers came to owe.
    """
    booked: dict[str, int] = {}
    for legs in postings:
        for account, minor in legs:
            booked[account] = booked.get(account, 0) + minor
    is_over = division.stage is Stage.OVER
    debts: dict[str, int] = {}
    for refund in refunds:
        for back in refund.shares_back:
            debts[back.receiver] = debts.get(back.receiver, 0) + back.debt
    expected = {chart.channel_held(division.account, partition): 0 if is_over else division.settled}
    for piece in division.pieces:
        paid = piece.netted if is_over and piece.state is PieceState.SETTLED else 0
        direct = chart.receiver_direct(piece.receiver, partition)
        expected[direct] = 0 if is_over else -piece.amount
        owed = chart.receiver_owed(piece.receiver, partition)
        expected[owed] = debts.get(piece.receiver, 0) - paid
        if not 0 <= piece.at_hand <= piece.back <= piece.amount - piece.netted:
            yield f"took back {piece.back} of {piece.amount} from {piece.receiver}"
    for account, minor in expected.items():
        if booked.get(account, 0) != minor:
            yield f"is to leave {account} at {minor} and the entries say {booked.get(account, 0)}"
    if division.turn is not None and division.turn.refund not in {each.id for each in refunds}:
        yield f"gives {division.turn.refund} its turn, which is no refund of it"
