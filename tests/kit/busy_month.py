"""A data directory as a busy month leaves it, to read books and make reports from.

Two shards: in one, two merchants took payments through the whole gateway, with coupons, refunds,
shares of others and late successes; in the other, three merchants have a month of many small sales.
"""

from msgspec.structs import replace

from payments.storage.bulk import make_payments
from payments.testing import NOW_MS, a_merchant, an_id
from world import World

PAYMENTS = 160
SALES = 1_000
EVIL = "=1+1,<b>&\"'"
"""A subject that no file may take for more than text."""


class Spread(World):
    """Every second receiver is paid out from another partition than where its payments are."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        for number in (1, 3):
            away = an_id("rcv", partition=900 + number)
            self.receivers[number] = replace(self.receivers[number], id=away)
        self.rule = replace(self.rule, parts=self.terms(0, merchant=1).parts)


def make(folder, *, seed=3):
    """Fill the folder; the ids of its merchants, those of the first shard before the others."""
    folder.mkdir()
    world = Spread(folder, seed=seed).start()
    try:
        _trade(world)
        assert [] == world.settle()
    finally:
        world.close()
    many = [a_merchant(id=an_id("mch", partition=300 + n), number=n) for n in (1, 2, 3)]
    make_payments(folder / "shard-1.db", SALES, many, last_ms=NOW_MS, seed=seed)
    return [merchant.id for merchant in (*world.merchants, *many)]


def _trade(world):
    """Payments at two shops: most are paid, some with coupons, some too late; some go back."""
    asked = []
    for n in range(PAYMENTS):
        ending = (
            "9008" if n % 20 == 0 else "9012" if n % 5 == 0 else "9003" if n % 7 == 0 else "0000"
        )
        asked.append(
            world.post(
                merchant=n % 2,
                amount=1_000 + 7 * n,
                ending=ending,
                operator=f"op{n % 3}",
                subject=EVIL if n % 11 == 0 else "noodles",
                tip_amount=n % 4 * 50,
            )
        )
        if n % 10 == 9:
            world.advance(1)
    world.advance(5)
    for n, ack in enumerate(asked):
        if n % 4 == 1:
            world.refund(ack.command.id, 100 + n, merchant=n % 2)
        if n % 8 == 1:
            world.refund(ack.command.id, 700, merchant=n % 2)
