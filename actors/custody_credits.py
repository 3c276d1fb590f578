"""The account's movements: whose money came in, how it is divided, and who has matched it.

    movements after the last one known -> credits, cursor, payouts and returns, one commit
    credit of an account and day -> claims of all shards -> division, one commit
                                 -> MatchCredit, shard by shard, until each share is matched

The division is stored before anybody is told of it, and never made again: a crash repeats the same
one. A credit that is less than its day's claims may be netted with days before it, of which refunds
were more than sales. Else it covers nobody; it waits, is tried again when time or shards have moved
on, and is told in the numbers.
"""

import logging
from collections.abc import Mapping
from typing import Final, Protocol

from msgspec import Struct

from actors.courier_commits import Commits
from actors.custody_orders import Orders
from actors.custody_shards import Away, Shards
from payments.calendar import business_date
from payments.channels.bank.connector import Untold
from payments.clearing.workdays import days_between, plus_days
from payments.clock import Clock
from payments.fees import PPM
from payments.iso20022.camt053 import Statement
from payments.iso20022.entries import Entry, Kind
from payments.settlement import remittance
from payments.settlement.cover import (
    CLAIMS_MAX,
    Credit,
    Difference,
    Divided,
    Waiting,
    carried,
    divide,
    in_order,
)
from payments.settlement.credited import Covered, left_of
from payments.storage.custody import CreditRow, CustodyStore
from payments.storage.side import Step

log = logging.getLogger(__name__)

SHARES_MAX: Final = 100
"""Shares of a credit that one message to a shard holds: it is answered well within ASK_S."""

CREDITS_MAX: Final = 100
"""Credits that are tried in one round; the others come first in the next."""

DAYS_MAX: Final = 31
"""Daily statements that one round compares; more are for the next."""

AGAIN_MAX_S: Final = 600.0
"""The longest wait between two tries of a credit; it begins with a second and doubles."""

CURSOR: Final = "movement"
DAY: Final = "day"
WAITING: Final = "waiting"
DIVIDED: Final = "divided"
MATCHED: Final = "matched"
FOREIGN: Final = "foreign"


class Account(Protocol):
    """The account at the bank: `payments.channels.bank.connector.BankClient`."""

    async def movements(self, after: int) -> tuple[Entry, ...] | Untold: ...
    async def statement(self, day: int) -> Statement | Untold: ...


class Settles(Struct, frozen=True):
    """How a channel account pays, millionths: it keeps from `fee_min_ppm` to `fee_max_ppm` of
    what it owes; 0 and 0 where it pays in full and sends a bill for its fee."""

    fee_min_ppm: int = 0
    fee_max_ppm: int = 0


class Credits:
    """`round` is called by one task alone."""

    def __init__(
        self,
        custody: str,
        names: Mapping[str, str],
        settles: Mapping[str, Settles],
        store: CustodyStore,
        commits: Commits,
        account: Account,
        orders: Orders,
        shards: Shards,
        clock: Clock,
    ) -> None:
        """`names`: what a remittance text may say -> channel account."""
        self.changes = 0
        """What was read, divided or matched. Grows."""
        self.counts = {"movements": 0, "unread": 0, "missed": 0, "matched": 0}
        self._custody = custody
        self._names = names
        self._settles = settles
        self._store = store
        self._commits = commits
        self._account = account
        self._orders = orders
        self._shards = shards
        self._clock = clock
        self._tries: dict[int, tuple[int, float]] = {}
        self._short: dict[int, int] = {}
        self._fresh: set[int] = set()
        """Credits of which no shard has covered a claim without our knowing."""
        self._by_state: dict[str, int] = {}

    def open(self) -> None:
        self._by_state = self._store.credit_counts()
        self._short = {row[0]: row[7] for row in self._store.open_credits()}

    def hurry(self) -> None:
        """Time or a shard has moved on: try everything that waits in the next round."""
        self._tries.clear()

    async def round(self) -> None:
        """Read what is new, then match what waits."""
        if await self._read():
            await self._compare_days()
        tried = 0
        for row in self._store.open_credits():
            tries, not_before = self._tries.get(row[0], (0, 0.0))
            if tried >= CREDITS_MAX or self._clock.monotonic() < not_before:
                continue
            tried += 1
            wait_s = min(2.0**tries, AGAIN_MAX_S)
            try:
                is_done = await self._settle(row)
            except Away as error:
                log.info("credit %d waits: %s", row[0], error)
                is_done = False
            if is_done:
                self._tries.pop(row[0], None)
            else:
                self._tries[row[0]] = tries + 1, self._clock.monotonic() + wait_s

    # --- reading the account -------------------------------------------------------------------

    async def _read(self) -> bool:
        """All movements that are not known yet. False when the bank could not be believed."""
        while True:
            after = self._store.mark(CURSOR)
            found = await self._account.movements(after)
            if isinstance(found, Untold):
                self.counts["unread"] += 1
                log.warning("the account's movements cannot be read: %s", found.reason)
                return False
            if not found:
                return True
            await self._take(found, ("set_mark", (CURSOR, found[-1].sequence)))

    async def _take(self, entries: tuple[Entry, ...], *more: Step) -> None:
        steps: list[Step] = []
        for entry in entries:
            if entry.kind is Kind.CREDIT:
                steps.append(self._credit(entry))
            elif entry.kind is Kind.RETURN:
                number, reason = entry.end_to_end_id, entry.return_reason
                if not self._orders.returned(number, entry.reference, reason, entry.amount_minor):
                    log.error("movement %d returns a payment that is not ours", entry.sequence)
            elif not self._orders.paid(entry.end_to_end_id, entry.reference, entry.amount_minor):
                log.error("movement %d is a payment that is not ours", entry.sequence)
        self.counts["movements"] += len(entries)
        self.changes += 1
        await self._commits.durable(*steps, *more)
        self._by_state = self._store.credit_counts()

    def _credit(self, entry: Entry) -> Step:
        told = remittance.read(entry.remittance, self._names)
        account, bill_date = told or ("", 0)
        state = WAITING if told else FOREIGN
        if not told:
            log.warning("movement %d names no channel account and day of ours", entry.sequence)
        return "add_credit", (
            *(entry.sequence, entry.reference, entry.amount_minor, entry.booked_ms),
            *(entry.remittance, account, bill_date, state),
        )

    async def _compare_days(self) -> None:
        """Each day that is over, once, by its whole statement: what notices have left out."""
        yesterday = plus_days(business_date(self._clock.now_ms()), -1)
        known = self._store.mark(DAY)
        if not known:
            await self._commits.durable(("set_mark", (DAY, yesterday)))
            return
        for ahead in range(1, min(days_between(known, yesterday), DAYS_MAX) + 1):
            day = plus_days(known, ahead)
            statement = await self._account.statement(day)
            if isinstance(statement, Untold):
                self.counts["unread"] += 1
                log.warning("the statement of %d cannot be read: %s", day, statement.reason)
                return
            missed = tuple(each for each in statement.entries if self._is_missed(each))
            self.counts["missed"] += len(missed)
            await self._take(missed, ("set_mark", (DAY, day)))

    def _is_missed(self, entry: Entry) -> bool:
        if entry.kind is Kind.CREDIT:
            return self._store.credit_state(entry.sequence) is None
        state = "paid" if entry.kind is Kind.PAYOUT else "returned"
        row = self._store.item(entry.end_to_end_id)
        return row is not None and row[4] not in (state, "returned")

    # --- dividing and matching -----------------------------------------------------------------

    async def _settle(self, row: CreditRow) -> bool:
        """Divide a credit if that can be done now, and bring its shares to the shards."""
        no, reference, amount, at_ms, account, bill_date, state, _ = row
        credit = Credit(self._custody, account, reference, amount, at_ms, bill_date)
        if state == WAITING and not await self._divide(no, credit):
            return False
        return await self._match(no, credit)

    async def _divide(self, no: int, credit: Credit) -> bool:
        covered = await self._covered(no, credit)
        credit = left_of(credit, covered)
        is_over = bool(covered) and not credit.amount
        claims = await self._claims(credit.channel_account, credit.bill_date) if not is_over else []
        terms = self._settles.get(credit.channel_account, Settles())
        divided = self._divided(credit, claims, terms)
        if isinstance(divided, Difference) and divided.short > 0:
            everything = await self._claims(credit.channel_account, 0)
            claims += carried(everything, credit.bill_date)
            whole = self._divided(credit, claims, terms)
            divided = whole if isinstance(whole, Divided) else divided
        if isinstance(divided, Difference):
            if self._short.get(no) != divided.short:
                self._short[no] = divided.short
                self._commits.add(("set_credit", (WAITING, divided.short, no)))
            return False
        steps: list[Step] = [
            ("add_share", (each.claim, no, at, each.fee, each.receivable - each.fee < 0))
            for at, each in enumerate(covered, -len(covered))
        ]
        steps += [("set_matched", (each.claim,)) for each in covered]
        steps += [
            ("add_share", (each.id, no, position, fee, each.claim.receivable - fee < 0))
            for position, (each, fee) in enumerate(in_order(divided, claims))
        ]
        self._short.pop(no, None)
        self._fresh.discard(no)
        self.changes += 1
        await self._commits.durable(*steps, ("set_credit", (DIVIDED, 0, no)))
        self._by_state = self._store.credit_counts()
        return True

    async def _claims(self, account: str, bill_date: int) -> list[Waiting]:
        """What waits in all shards and no credit has taken; of all days for 0. Raise Away."""
        claims: list[Waiting] = []
        for number in range(len(self._shards)):
            found = await self._shards.claims(number, account, bill_date)
            claims += [each for each in found if not self._store.is_divided(each.id)]
        return claims

    async def _covered(self, no: int, credit: Credit) -> list[Covered]:
        """What the credit has covered and our store does not know: it was lost, or is an older
        copy. Asked once for each credit, since from then on our store knows. Raise Away.
        """
        found: list[Covered] = []
        if no not in self._fresh:
            for number in range(len(self._shards)):
                found += await self._shards.covered(number, credit)
            if not found:
                self._fresh.add(no)
        return found

    def _divided(
        self, credit: Credit, claims: list[Waiting], terms: Settles
    ) -> Divided | Difference:
        """A fee that is smaller than the channel ever takes means that claims are not there yet."""
        short = sum(each.claim.receivable for each in claims) - credit.amount
        owed = sum(max(0, each.claim.receivable) for each in claims)
        if len(claims) > CLAIMS_MAX or short < owed * terms.fee_min_ppm // PPM:
            return Difference(credit, short)
        return divide(credit, claims, terms.fee_max_ppm)

    async def _match(self, no: int, credit: Credit) -> bool:
        """True when every share is matched. Those below zero go first, all of them."""
        shares = self._store.open_shares(no)
        below = [share for share in shares if share[2]]
        for part in (below, [share for share in shares if not share[2]]):
            if not await self._match_part(credit, part):
                return False
        self.counts["matched"] += 1
        await self._commits.durable(("set_credit", (MATCHED, 0, no)))
        self._by_state = self._store.credit_counts()
        return True

    async def _match_part(self, credit: Credit, part: list[tuple[str, int, int]]) -> bool:
        by_shard: dict[int, list[tuple[str, int]]] = {}
        for claim, fee, _ in part:
            by_shard.setdefault(self._shards.number_of(claim), []).append((claim, fee))
        is_whole = True
        for number, shares in sorted(by_shard.items()):
            for at in range(0, len(shares), SHARES_MAX):
                asked = tuple(shares[at : at + SHARES_MAX])
                answer = await self._shards.match(number, credit, asked)
                if answer.matched:
                    self.changes += 1
                    steps = [("set_matched", (claim,)) for claim in answer.matched]
                    await self._commits.durable(*steps)
                for claim, why in answer.left:
                    log.warning("claim %s cannot be covered now: %s", claim, why)
                is_whole &= {claim for claim, _ in asked} <= set(answer.matched)
        return is_whole

    # --- numbers -------------------------------------------------------------------------------

    def stats(self) -> dict[str, float]:
        """`credit_short_minor`: how far all waiting credits are from their claims, either way."""
        states = self._by_state
        numbers: dict[str, float] = {
            "custody_credits_waiting": states.get(WAITING, 0) + states.get(DIVIDED, 0),
            "custody_credits_foreign": states.get(FOREIGN, 0),
            "custody_credit_short_minor": sum(map(abs, self._short.values())),
        }
        return numbers | {f"custody_{name}_total": n for name, n in self.counts.items()}
