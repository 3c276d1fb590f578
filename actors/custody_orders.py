"""Orders at the bank: kept as bytes, sent, asked about, and the answers brought to their shards.

    Instruct -> item and the bytes of its message, one commit -> the bank -> verdict, one commit
             -> BankSaid, again and again until the shard has it

A number is paid once: the same bytes for the same number, however often they are sent. Whoever
does not know asks. That an order is absent is told and never acted upon here: whether it is sent
again is the shard's decision, which knows how long the bank has had.
"""

import logging
from typing import Final, Protocol

from msgspec import Struct

from actors.courier_commits import Commits
from actors.custody_shards import Shards
from actors.home_messages import AskBank, BankSaid, BankSaidTaken, Instruct
from payments.calendar import business_date
from payments.channels.bank.connector import State, Verdict
from payments.clock import Clock
from payments.ids import IdMint
from payments.iso20022 import pain001
from payments.iso20022.fields import is_id
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder
from payments.iso20022.trees import MessageRefused
from payments.money import Currency
from payments.settlement.instruction import id_of
from payments.storage.custody import CustodyStore, ItemRow
from payments.storage.side import Step

log = logging.getLogger(__name__)

ITEMS_MAX: Final = 1_000
"""Payments in one message: so many take a process a third of a second to write and to read."""

OPEN_MAX: Final = 200_000
"""Payments that are not over; what comes above it is not taken, and its shard asks again."""

ASKED_MAX: Final = 200
"""Questions to the bank in one round: then what is new is sent first."""

ASK_AFTER_MS: Final = (30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 3_600_000)
"""Business time between what was heard last and the next question, and between questions; the
last again and again. Within ten minutes, after which "absent" is believed, it is asked often."""

DUMB_MAX: Final = 3
"""A bank that answers so many questions with nothing is left alone until the next round."""

FIRST_MS: Final = 5_000
"""The first question about an order whose sending was interrupted comes after this."""

SAY_AGAIN_S: Final = 5.0
"""News that a shard has not taken for so long is said again: it may not have been ready."""

SENT: Final = "sent"
"""Kept, and perhaps at the bank: nothing was heard of it."""

NOBODY_KNOWS: Final = frozenset({SENT, "unknown", "absent"})
FINAL: Final = frozenset({"paid", "rejected", "returned"})
NEVER_SENT: Final = "FF01"
"""The reason for what cannot be written into an order: it was refused as the bank would."""


class Bank(Protocol):
    """Where orders go: `payments.channels.bank.connector.BankClient`, which never raises."""

    async def submit(self, message: bytes) -> list[Verdict]: ...
    async def inquire(self, end_to_end_id: str, amount_minor: int) -> Verdict: ...


class Payer(Struct, frozen=True):
    """Whose money pays. `custody`: the account's name in our chart; `account`, `agent`: at the
    bank. `name`: as it stands on the beneficiary's statement."""

    custody: str
    account: str
    agent: str
    name: str


class Item:
    """One payment, as it is from the next commit on. `kept`: the version that is durable.

    `said_at`: monotonic, when its shard was last told.
    """

    __slots__ = (
        "amount",
        "due_ms",
        "instruction",
        "kept",
        "message",
        "number",
        "reason",
        "ref",
        "reference",
        "said_at",
        "said_version",
        "state",
        "taken",
        "tries",
        "unknown_ms",
        "version",
    )

    def __init__(self, row: ItemRow) -> None:
        self.number, self.instruction, self.message, self.amount = row[:4]
        self.state, self.reference, self.reason, self.tries = row[4:8]
        self.unknown_ms, self.due_ms, self.version, self.taken = row[8:]
        self.kept = self.version
        self.ref = 0
        self.said_version = 0
        self.said_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the bank is asked about it, or its shard has not taken the news."""
        return self.due_ms is not None or self.taken < self.version

    def step(self) -> Step:
        """The write of it as it is."""
        return "set_item", (
            *(self.number, self.instruction, self.message, self.amount),
            *(self.state, self.reference, self.reason, self.tries),
            *(self.unknown_ms, self.due_ms, self.version, self.taken),
        )


class Orders:
    """`round` is called by one task; the rest when messages come."""

    def __init__(
        self,
        payer: Payer,
        store: CustodyStore,
        commits: Commits,
        bank: Bank,
        shards: Shards,
        clock: Clock,
        mint: IdMint,
    ) -> None:
        self.items: dict[str, Item] = {}
        self.changes = 0
        """What the bank said that was news. Grows."""
        self.counts = {"sent": 0, "repeated": 0, "asked": 0, "refused": 0, "mismatched": 0}
        self._payer = payer
        self._store = store
        self._commits = commits
        self._bank = bank
        self._shards = shards
        self._clock = clock
        self._mint = mint
        self._message_no = 0
        self._new: dict[str, Instruct] = {}
        self._again: dict[str, None] = {}
        self._said: dict[int, Item] = {}

    def open(self, last_message: int) -> None:
        """Take up what was open. Of what nothing was heard, the bank is asked soon."""
        self._message_no = last_message
        for row in self._store.open_items():
            self.items[row[0]] = Item(row)

    # --- what shards ask -----------------------------------------------------------------------

    def instruct(self, asked: Instruct) -> bool:
        """Take an order. True when there is something to send now."""
        item = self._find(asked.number)
        if item is None:
            if len(self.items) + len(self._new) >= OPEN_MAX:
                self.counts["refused"] += 1
                return False
            self._new[asked.number] = asked
            return True
        if not item.message and item.amount == 0:
            item.amount = asked.amount  # Asked about before it was known here.
        if self._is_another(item, asked.id, asked.amount):
            return False
        if not item.message and item.state in (SENT, "absent"):
            # Nothing of ours ever left under this number: this is its first message.
            self._new[item.number] = asked
            return True
        if asked.is_repeat and item.message and item.state in NOBODY_KNOWS:
            self._again[item.number] = None
            return True
        self._tell(item)
        return False

    def ask(self, asked: AskBank) -> bool:
        """What became of a number? True when the bank has to be asked."""
        if asked.number in self._new:
            return True
        item = self._find(asked.number)
        if item is None:
            # Not in our store: nothing of ours went out, unless the store is an older one.
            item = self._stranger(asked.number, asked.id, asked.amount)
        item.amount = item.amount or asked.amount
        if asked.amount and self._is_another(item, asked.id, asked.amount):
            return False
        if item.state in FINAL:
            self._tell(item)
            return False
        item.due_ms = self._clock.now_ms()
        return True

    def _is_another(self, item: Item, instruction: str, amount: int) -> bool:
        """One number for two payments would be our bug: nothing is done, a person looks."""
        if (item.instruction, item.amount) == (instruction, amount):
            return False
        self.counts["mismatched"] += 1
        log.error("%s came with another payment under its number", item.instruction)
        return True

    def _stranger(self, number: str, instruction: str, amount: int) -> Item:
        """A payment that our store does not have: it is an older one, or a new one."""
        row = (number, instruction, 0, amount, SENT, "", "", 0, None, None, 0, 0)
        item = self.items[number] = Item(row)
        return item

    def taken(self, message: BankSaidTaken) -> None:
        """The shard has made durable what it was told."""
        item = self._said.pop(message.ref, None)
        if item is None:
            return
        item.ref, item.said_at = 0, None
        item.taken = max(item.taken, item.said_version)
        self._commits.add(item.step(), after=lambda: self._forget(item))
        if item.taken < item.version:
            self._say(item)

    def _forget(self, item: Item) -> None:
        if not item.is_open:
            self.items.pop(item.number, None)

    def _find(self, number: str) -> Item | None:
        item = self.items.get(number)
        if item is None:
            row = self._store.item(number)
            if row is not None:
                item = self.items[number] = Item(row)
        return item

    # --- what shards are told ------------------------------------------------------------------

    def _tell(self, item: Item) -> None:
        """Say what is known, although it was said before."""
        if item.version == 0:
            return
        item.taken = min(item.taken, item.version - 1)
        self._say(item)

    def _say(self, item: Item) -> None:
        """What is not durable yet is said after its commit."""
        if item.kept < item.version:
            return
        link = self._shards.link(self._shards.number_of(item.instruction))
        if link is None:
            return
        self._said.pop(item.ref, None)
        item.ref = self._shards.next_ref()
        item.said_version, item.said_at = item.version, self._clock.monotonic()
        self._said[item.ref] = item
        if item.state == "absent":
            # Absent is news of what is in doubt, so the doubt goes before it.
            link.send(BankSaid(self._shards.next_ref(), item.instruction, "unknown", None, None))
        link.send(
            BankSaid(
                item.ref,
                item.instruction,
                item.state,
                item.reference or None,
                item.reason or None,
            )
        )

    def say_again(self, number: int | None = None) -> None:
        """Repeat what was not taken: to a shard that is here again, or (None) what is overdue."""
        overdue = self._clock.monotonic() - SAY_AGAIN_S
        for item in list(self.items.values()):
            if item.taken >= item.version:
                continue
            if number is None:
                if item.said_at is None or item.said_at < overdue:
                    self._say(item)
            elif self._shards.number_of(item.instruction) == number:
                self._say(item)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits to be sent or taken."""
        return not (self._new or self._again or self._said)

    @property
    def is_sending(self) -> bool:
        """Whether an order that was taken has not left yet."""
        return bool(self._new or self._again)

    # --- a round -------------------------------------------------------------------------------

    async def round(self) -> None:
        """Send what is new, repeat what was asked for, ask what is due."""
        while self._new:
            await self._send_new()
        for number in list(self._again):
            del self._again[number]
            await self._repeat(number)
        await self._ask_due()
        self.say_again()

    async def _send_new(self) -> None:
        """One message: durable before its first byte leaves."""
        now = self._clock.now_ms()
        transfers, steps = [], []
        taken = list(self._new.values())[:ITEMS_MAX]
        no = self._message_no + 1
        for asked in taken:
            del self._new[asked.number]
            item = self._find(asked.number)
            if item is None:
                row = (asked.number, asked.id, no, asked.amount, SENT, "", "", 0, None, None, 0, 0)
                item = self.items[asked.number] = Item(row)
            item.message, item.state, item.due_ms = no, SENT, now + FIRST_MS
            try:
                transfers.append(self._transfer(asked))
            except MessageRefused as error:
                log.error("%s cannot be written as an order: %s", asked.id, error)
                item.message = 0
                self.hear(item, Verdict(item.number, State.REJECTED, NEVER_SENT))
                continue
            steps.append(item.step())
        if not transfers:
            return
        self._message_no = no
        message_id = self._mint.new("msg", now, 0)
        order = self._order(message_id, now, tuple(transfers))
        body = pain001.encode(order)
        await self._commits.durable(("add_message", (no, message_id, now, body)), *steps)
        self.counts["sent"] += len(transfers)
        await self._submit(body)

    def _transfer(self, asked: Instruct) -> CreditTransfer:
        """Raise MessageRefused for what no message can say."""
        if asked.custody != self._payer.custody or asked.currency != Currency.CNY.value:
            raise MessageRefused(f"{asked.custody} in {asked.currency} is not paid here")
        # A bank's name is for people; banks know each other by BIC or twelve digits.
        agent = asked.bank if is_id(asked.bank) else ""
        text = f"{self._payer.name} {asked.id}"
        return CreditTransfer(asked.number, asked.amount, asked.name, asked.account, agent, text)

    def _order(
        self, message_id: str, now: int, transfers: tuple[CreditTransfer, ...]
    ) -> PaymentOrder:
        payer = self._payer
        return PaymentOrder(
            message_id,
            now // 1_000 * 1_000,
            payer.name,
            f"P-{message_id}",
            business_date(now),
            payer.name,
            payer.account,
            payer.agent,
            transfers,
        )

    async def _repeat(self, number: str) -> None:
        """The same bytes that hold the number, once more."""
        item = self.items[number]
        if item.state not in NOBODY_KNOWS:
            return
        item.state = SENT  # What comes of it is news again.
        self.counts["repeated"] += 1
        await self._submit(self._store.message(item.message))

    async def _submit(self, body: bytes) -> None:
        for verdict in await self._bank.submit(body):
            item = self._find(verdict.end_to_end_id)
            assert item is not None, verdict
            self.hear(item, verdict)

    async def _ask_due(self) -> None:
        now = self._clock.now_ms()
        due = [item for item in self.items.values() if item.due_ms is not None]
        due = sorted((item for item in due if _due(item) <= now), key=_due)[:ASKED_MAX]
        dumb = 0
        for item in due:
            if self._new or dumb >= DUMB_MAX:
                return
            self.counts["asked"] += 1
            verdict = await self._bank.inquire(item.number, item.amount)
            dumb += verdict.state is State.UNKNOWN
            self.hear(item, verdict)

    # --- what the bank said --------------------------------------------------------------------

    def returned(self, number: str, reference: str, reason: str, amount: int) -> bool:
        """A payment came back, by the account's own word. False for a number that is not ours."""
        return self._booked(Verdict(number, State.RETURNED, reason, reference), amount)

    def paid(self, number: str, reference: str, amount: int) -> bool:
        """A payment left the account, by the account's own word."""
        return self._booked(Verdict(number, State.PAID, "", reference), amount)

    def _booked(self, verdict: Verdict, amount: int) -> bool:
        number = verdict.end_to_end_id
        item = self._find(number)
        if item is None:
            # A store that was lost is read anew from the account: the shard knows what is news.
            identifier = id_of(number)
            if identifier is None:
                return False
            item = self._stranger(number, identifier, amount)
        self.hear(item, verdict)
        return True

    def hear(self, item: Item, verdict: Verdict) -> None:
        """Take a verdict: what is news is told, after it is durable."""
        is_news = self._hear(item, verdict)
        version = item.version

        def kept() -> None:
            item.kept = max(item.kept, version)
            if is_news:
                self._say(item)

        self._commits.add(item.step(), after=kept)
        if not is_news:
            self._forget(item)

    def _hear(self, item: Item, verdict: Verdict) -> bool:
        state = _state_after(item.state, verdict.state)
        now = self._clock.now_ms()
        is_news = state != item.state or state == "absent"
        item.tries = 0 if state != item.state else item.tries + 1
        item.state = state
        if is_news:
            self.changes += 1
            item.version += 1
            item.reason = verdict.reason if state in FINAL else ""
            item.reference = verdict.bank_reference or item.reference
        if state in FINAL:
            item.due_ms = item.unknown_ms = None
            return is_news
        wait = ASK_AFTER_MS[min(item.tries, len(ASK_AFTER_MS) - 1)]
        item.due_ms = now + wait
        if state in NOBODY_KNOWS:
            item.unknown_ms = item.unknown_ms or now
        else:
            item.unknown_ms = None
        return is_news

    # --- numbers -------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When the bank is asked next, business ms."""
        return min((_due(i) for i in self.items.values() if i.due_ms is not None), default=None)

    def stats(self) -> dict[str, float]:
        states = [item.state for item in self.items.values()]
        since = [i.unknown_ms for i in self.items.values() if i.unknown_ms is not None]
        oldest = (self._clock.now_ms() - min(since)) / 1_000 if since else 0.0
        numbers: dict[str, float] = {
            "custody_orders_waiting": len(self._new) + len(self._again),
            "custody_orders_at_bank": states.count("accepted"),
            "custody_orders_unknown": sum(state in NOBODY_KNOWS for state in states),
            "custody_oldest_unknown_seconds": oldest,
            "custody_untold": len(self._said),
        }
        return numbers | {f"custody_orders_{name}_total": n for name, n in self.counts.items()}


def _due(item: Item) -> int:
    assert item.due_ms is not None
    return item.due_ms


def _state_after(known: str, said: State) -> str:
    """What is known when the bank says that. An end is over; what was heard is not unheard.

    A payment may come back after it was paid. Two ends that contradict each other are both told:
    the shard keeps the first, and a person looks.
    """
    match said:
        case State.PENDING | State.ACCEPTED:
            return "accepted" if known in NOBODY_KNOWS else known
        case State.UNKNOWN:
            return "unknown" if known == SENT else known
        case State.ABSENT:
            return "absent" if known in NOBODY_KNOWS else known
        case State.PAID:
            return known if known == "returned" else "paid"
        case State.REJECTED | State.RETURNED:
            return said.value
