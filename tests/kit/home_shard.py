"""A shard on a store, driven by hand: links that keep what they were sent, commits when told.

No loop turns and nothing sleeps: `ask` decides, commits and hands back the answer. `crash` lets a
commit end the process before or after it was written, as a power cut would.
"""

import asyncio

import msgspec

from actors.core import Core, ShardOptions
from actors.home_messages import HomeAsk
from actors.home_options import HomeOptions
from actors.messages import Answer, Changes, Refusal, decoder, encoder
from actors.shard import MerchantShard
from actors.slices import Turns
from actors.snapshot import Reference
from payments.ids import IdMint, SeededEntropy
from payments.storage.memory import Disk, MemoryStore
from payments.storage.sqlite import SqliteStore
from payments.testing import DIGESTS, ManualClock, a_policy, an_account
from sync_now import SyncNow

ROLES = ("operator", "maker", "checker")


class Died(BaseException):
    """The process ended here."""


class KeptLink:
    """The shard's side of a link: keeps what was sent, as the codec would deliver it."""

    is_up = True

    def __init__(self, name, role):
        self.peer_name = name
        self.peer_role = role
        self.sent = []

    def send(self, message):
        self.sent += decoder.decode(encoder.encode([message]))
        return True

    def flush(self):
        """Nothing waits here."""

    def take(self, *kinds):
        """What came of these kinds since the last time."""
        taken = [message for message in self.sent if isinstance(message, kinds)]
        self.sent = [message for message in self.sent if not isinstance(message, kinds)]
        return taken


class HomeShard:
    """`path`: a file, or None for memory. `crash`: (commit number from now, is it written)."""

    def __init__(self, records=(), options=None, path=None, now_ms=1_795_000_000_000, number=0):
        self.records = tuple(records)
        self.options = options or HomeOptions()
        self.number = number
        self.path = path
        self.clock = ManualClock(now_ms)
        self.disk = Disk()
        self.mint = IdMint(SeededEntropy(11))
        self.loop = asyncio.new_event_loop()
        self.commits = 0
        self.crash = None
        self.nonce = 0
        self.start()

    def start(self):
        """A process on what is stored."""
        if self.path is None:
            self.store = MemoryStore(disk=self.disk, clock=self.clock)
        else:
            self.store = SqliteStore(self.path, clock=self.clock, open_log_sync=SyncNow)
        name = f"shard-{self.number}"
        options = ShardOptions(
            name, self.number, (an_account("wx"),), a_policy(), home=self.options
        )
        reference = Reference(self.clock)
        reference.take(Changes(1, self.records, True))
        self.core = Core(options, self.store, self.clock, DIGESTS, reference, self._fatal)
        self.core.books.folds_wait = 2
        self.core.reach = self._reached
        self.shard = MerchantShard(self.core)
        self.desk = self.shard.home
        self.shard.open()
        self.front = KeptLink("front-0", "front")
        self.custody = KeptLink("custody", "custody")
        self.shard.on_link(self.custody)

    def close(self):
        self.store.abandon()
        self.loop.close()

    def restart(self):
        self.store.abandon()
        self.disk.crash()
        self.start()

    def _fatal(self, reason):
        raise AssertionError(reason)

    def _reached(self, point):
        """A commit has one point before it and one after it that carry the record's name."""
        if point == "before_record_commit":
            self.commits += 1
        if self.crash is None or point not in ("before_record_commit", "after_record_commit"):
            return
        at, is_written = self.crash
        if self.commits == at and is_written == point.startswith("after"):
            self.crash = None
            raise Died

    # --- saying something ------------------------------------------------------------------

    def commit(self):
        """Commit and release until nothing waits; whatever failed inside fails here."""
        while self.core.wake.is_set():
            self.core.wake.clear()
            if self.shard._failure is not None:
                raise self.shard._failure
            self.loop.run_until_complete(self.shard._commit())

    def hear(self, link, *messages):
        """Messages arrive in one frame, and are decided and committed."""
        frame = decoder.decode(encoder.encode(list(messages)))
        self.shard.on_messages(link, frame)
        self.commit()
        turns = [each for each in self.desk.slices._steps if isinstance(each.__self__, Turns)]
        while any([step() for step in turns]):
            self.commit()
        self.commit()

    def tick(self, seconds=0):
        """Time passes, and what is due is done."""
        self.clock.advance(seconds)
        self.shard.timers.scan(self.clock.now_ms())
        self.commit()

    def make(self, op, body=None, party="", **fields):
        """A HomeAsk as a front door makes it."""
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body or {})
        known = {"merchant": party, "caller": "key_one", "roles": ROLES} | fields
        return HomeAsk(0, op, body=raw, party=party, **known)

    def ask_all(self, asks):
        """Several in one frame; answers in the order of asking."""
        for ref, each in enumerate(asks, 1):
            each.ref = ref
        self.hear(self.front, *asks)
        answers = {each.ref: each for each in self.front.take(Answer, Refusal)}
        return [answers[ref] for ref in range(1, len(asks) + 1)]

    def ask(self, op, body=None, party="", **fields):
        """The answer or refusal of one request."""
        return self.ask_all([self.make(op, body, party, **fields)])[0]

    def made(self, op, body=None, party="", **fields):
        """The object that a request was answered with."""
        answer = self.ask(op, body, party, **fields)
        assert isinstance(answer, Answer), answer
        return msgspec.json.decode(answer.body)

    def create(self, op, body, party, **fields):
        """As `made`, with a new id as the front door mints it."""
        prefix = {"withdrawal": "wdr", "freeze": "frz", "advance": "adv"}[op.partition(".")[0]]
        identifier = self.mint.new(prefix, self.clock.now_ms(), self.partition(party))
        return self.made(op, body, party, **{"id": identifier, **fields})

    def partition(self, party):
        from payments.ids import partition_of

        return partition_of(party)
