"""Netting: one pass over booked entries gives every merchant's batch its totals.

An entry is in a batch when it was booked by the batch's cut-off sequence, is dated no later than
its business date, and was in no batch before. Both limits only grow from batch to batch, so "in no
batch before" is "not within the limits of the batch before": two numbers each, no mark on any row.

Memory is one tally for each merchant and each of its receivers, whatever the number of rows.

All that a member adds is linear in its amounts, and most members of a merchant post to the same
accounts. So amounts are summed by those accounts first, and what the accounts mean is looked at
once for a sum instead of once for a member: a day of a thousand merchants, who come by in turn,
would else touch more memory with each of them than a processor's cache holds.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from payments import chart
from payments.chart import Kind
from payments.ledger import unpack_postings

Line = tuple[int, int, str, int, str, bytes, int]
"""seq, business_date, merchant, asked, entry id, packed postings, bill_date: a booked entry of a
payment or refund (its number in the partition, when and whose it is, what was asked in minor units,
above zero; the channel's day, by its own time where that is known), as stores read it from ledger
rows and what they are about. Both dates are yyyymmdd."""

PAYMENT: Final = "P"
REFUND: Final = "R"
RELEASE: Final = "Q"
"""What was held of a payment is let go: pending that no channel owes anything for."""


SHAPES_MAX: Final = 16
"""Sums by accounts that a merchant's tally holds. One more, and they are added up: who has another
courier with every sale shall not have as many sums as sales."""


class OutOfOrder(ValueError):
    """Lines do not come in order of their sequence, so one could be counted twice."""


class Window(Struct, frozen=True, array_like=True, gc=False):
    """Which entries a batch takes: booked by `seq` and dated by `date`, less the batch before.

    `before_seq`, `before_date`: the limits of the batch before; 0 and 0 for the first.
    """

    seq: int
    date: int
    before_seq: int = 0
    before_date: int = 0

    def __post_init__(self) -> None:
        assert self.before_seq <= self.seq, self
        assert self.before_date <= self.date, self

    def has(self, seq: int, date: int) -> bool:
        """Whether an entry with this sequence and business date is in the batch."""
        if seq > self.seq or date > self.date:
            return False
        return seq > self.before_seq or date > self.before_date


class Totals(Struct, frozen=True, array_like=True, gc=False):
    """A batch in figures, minor units. What is built adds up, or it cannot be built.

    `gross`: what was asked of payers. `refunds`: what was asked back. `discounts`: coupons that the
    channel does not settle. `fees`: ours, less those given back. `splits`: receivers' shares, less
    those given back. `net`: the merchant's. `items`: entries.
    """

    gross: int = 0
    refunds: int = 0
    discounts: int = 0
    fees: int = 0
    splits: int = 0
    net: int = 0
    items: int = 0

    def __post_init__(self) -> None:
        left = self.gross - self.refunds - self.discounts - self.fees - self.splits
        assert left == self.net, self

    @property
    def settle(self) -> int:
        """What the channels owe for this batch, before their own fees."""
        return self.gross - self.refunds - self.discounts


class Claim(Struct, frozen=True, array_like=True, gc=False):
    """What one channel account owes for a batch on one of its days, and whose it will be.

    Minor units. `fee`: ours, less what was given back. `parts`: (party, what the entries added to
    its pending account), in order of party; below zero where refunds were more. `bill_date`:
    yyyymmdd, the day on whose bill the channel has it (midnight to midnight in China), because it
    pays day by day; 0 where no channel owes anything.
    """

    channel_account: str
    receivable: int
    fee: int
    parts: tuple[tuple[str, int], ...]
    bill_date: int = 0


class Netted(Struct, frozen=True, array_like=True, gc=False):
    """What one pass found for one merchant.

    `left_seq`: the lowest sequence of an entry that is dated after the batch, so that the next pass
    begins there; 0 if there is none. `outside`: (channel account, minor units) that channels pay
    this merchant themselves, in order of account; it is in the totals and in no claim.
    """

    totals: Totals
    claims: tuple[Claim, ...] = ()
    left_seq: int = 0
    outside: tuple[tuple[str, int], ...] = ()

    @property
    def pending(self) -> dict[str, int]:
        """What the batch added to each party's pending account, over all claims."""
        sums: dict[str, int] = {}
        for claim in self.claims:
            for party, minor in claim.parts:
                sums[party] = sums.get(party, 0) + minor
        return sums


NOTHING: Final = Netted(Totals())

_Day = tuple[str, int]
"""channel account, bill date"""


class _Tally:
    """Sums of one merchant while its lines pass. `parts` and the like: by account and day.

    `shapes`: what is not in them yet. Step, bill date and accounts, as `Netting.feed` writes them
    -> [members, asked, minor units of each account in order].
    """

    __slots__ = (
        "fees", "fees_due", "gross", "items", "last", "left", "net", "outside", "parts",
        "receivables", "refunds", "shapes", "window",
    )  # fmt: skip

    def __init__(self, window: Window) -> None:
        self.window = window
        self.gross = self.refunds = self.net = self.items = self.left = self.last = 0
        self.receivables: dict[_Day, int] = {}
        self.fees: dict[_Day, int] = {}
        self.parts: dict[_Day, dict[str, int]] = {}
        self.outside: dict[str, int] = {}
        self.fees_due = 0
        self.shapes: dict[str, list[int]] = {}

    def add_up(self, roles: dict[str, "_Role"]) -> None:
        """Bring the sums by accounts into the others."""
        for shape, (members, asked, *minors) in self.shapes.items():
            head, *names = shape.split("\n")
            postings = zip(names, minors, strict=True)
            _count(self, roles, head[0], members, asked, postings, int(head[1:]))
        self.shapes.clear()

    def netted(self) -> Netted:
        settle = sum(self.receivables.values()) + sum(self.outside.values())
        fees = sum(self.fees.values()) + self.fees_due
        totals = Totals(
            gross=self.gross,
            refunds=self.refunds,
            discounts=self.gross - self.refunds - settle,
            fees=fees,
            splits=settle - fees - self.net,
            net=self.net,
            items=self.items,
        )
        claims = tuple(
            Claim(day[0], owed, self.fees[day], tuple(sorted(self.parts[day].items())), day[1])
            for day, owed in sorted(self.receivables.items())
        )
        outside = tuple((account, minor) for account, minor in sorted(self.outside.items()))
        return Netted(totals, claims, self.left, outside)


class _Role(Struct, frozen=True, gc=False):
    """What an account is to netting, looked up once an account."""

    part: str
    owner: str
    is_merchant: bool


class Netting:
    """Nets while lines are fed, in chunks and of many partitions, each partition's in order.

    `window_of`: which entries of a merchant are taken, asked when its first line comes by, so that
    who sold nothing costs nothing. A merchant that is not to be cleared has a window that ends with
    its last batch, and nothing is in it.
    """

    __slots__ = ("_roles", "_tallies", "_window_of")

    def __init__(self, window_of: Callable[[str], Window]) -> None:
        self._window_of = window_of
        self._tallies: dict[str, _Tally] = {}
        self._roles: dict[str, _Role] = {}

    def feed(self, lines: Iterable[Line]) -> int:
        """Count lines in. How many of them are for later: beyond their merchant's window.

        Entries of no payment's, refund's or release's are passed over. Raise OutOfOrder for a
        merchant's sequence that repeats or goes back.
        """
        tallies, roles = self._tallies, self._roles
        later = 0
        for seq, date, merchant, asked, entry_id, packed, bill_date in lines:
            tally = tallies.get(merchant)
            if tally is None:
                tally = tallies[merchant] = _Tally(self._window_of(merchant))
            if seq <= tally.last:
                raise OutOfOrder(f"sequence {seq} of {merchant} after {tally.last}")
            tally.last = seq
            step = entry_id[-1]
            if step not in (PAYMENT, REFUND, RELEASE):
                continue
            window = tally.window
            if window.has(seq, date):
                postings = unpack_postings(packed)
                # The accounts of an entry in a string: one look-up, and one place in memory.
                names = "\n".join([account for account, _ in postings])
                shape = f"{step}{bill_date}\n{names}"
                sums = tally.shapes.get(shape)
                if sums is None:
                    if len(tally.shapes) >= SHAPES_MAX:
                        tally.add_up(roles)
                    tally.shapes[shape] = [1, asked, *[minor for _, minor in postings]]
                    continue
                sums[0] += 1
                sums[1] += asked
                for at, (_, minor) in enumerate(postings, 2):
                    sums[at] += minor
            elif seq > window.seq:
                later += 1
            elif date > window.date:
                later += 1
                tally.left = tally.left or seq
        return later

    def netted(self) -> dict[str, Netted]:
        """What was found for every merchant that came by."""
        return {merchant: self.netted_of(merchant) for merchant in self._tallies}

    def netted_of(self, merchant: str) -> Netted:
        """What was found for one merchant; nothing, if it did not come by."""
        tally = self._tallies.get(merchant)
        if tally is None:
            return NOTHING
        tally.add_up(self._roles)
        return tally.netted()


def net(lines: Iterable[Line], windows: Mapping[str, Window]) -> dict[str, Netted]:
    """Net the batches of all merchants in `windows` in one pass; others' lines are passed over.

    What comes out depends on lines and windows only, so netting again gives the same.
    """
    netting = Netting(windows.__getitem__)
    netting.feed(line for line in lines if line[2] in windows)
    return {merchant: netting.netted_of(merchant) for merchant in windows}


def _count(
    tally: _Tally,
    roles: dict[str, _Role],
    step: str,
    members: int,
    asked: int,
    postings: Iterable[tuple[str, int]],
    bill_date: int,
) -> None:
    """Add members that post to the same accounts. `asked` is what the payers were asked, or what
    was asked back; of a release it was counted with the payment.
    """
    tally.items += members
    if step == PAYMENT:
        tally.gross += asked
    elif step == REFUND:
        tally.refunds += asked
    channel_account = ""
    settle = fee = due = 0
    is_outside = False
    pending = []
    for account, minor in postings:
        role = roles.get(account)
        if role is None:
            role = roles[account] = _role(account)
        if role.part == "receivable":
            channel_account = role.owner
            settle = minor
        elif role.part == "income":
            fee = minor
        else:
            if role.is_merchant:
                tally.net -= minor
            if role.part == "pending":
                pending.append((role.owner, minor))
            elif role.part == "fees_due":
                due = minor
            elif role.part == "outside" and not role.is_merchant:
                is_outside = True
                tally.outside[role.owner] = tally.outside.get(role.owner, 0) + minor
    if is_outside:
        # Our fee on it is the merchant's debt, not part of any credit.
        tally.fees_due += due
        if not pending:
            return
    # An entry without a receivable has no money to wait for: a fee given back on a free sale.
    day = channel_account, bill_date if channel_account else 0
    parts = tally.parts.setdefault(day, {})
    tally.receivables[day] = tally.receivables.get(day, 0) + settle
    tally.fees[day] = tally.fees.get(day, 0) - fee - due
    for party, minor in pending:
        parts[party] = parts.get(party, 0) - minor


def _role(name: str) -> _Role:
    account = chart.parse(name)
    assert account.kind is not Kind.EXPENSE, name  # Channels' fees are booked with cover.
    return _Role(account.part, account.owner, account.family == "merchant")
