"""What each channel really said, recorded from its sandbox, to be mutated and said again.

`record(name)` asks one of everything over real sockets, each about an order of its own. `Replay` is
an HttpClient that says recorded answers; `Player` a connector on it, with time standing still, so
that an answer without a mutation says exactly what it said before.
"""

import asyncio
import re
from collections.abc import Coroutine
from random import Random
from typing import Any
from urllib.parse import unquote_to_bytes

from msgspec import Struct
from msgspec.structs import replace

from all_rigs import RIGS
from mutations import Message, huge, mutated
from payments.channels.base import Awaiting, Declined, Outcome, PayOrder, Unknown, Unpaid
from payments.channels.transport import Callback, Heard, HttpAnswer, HttpRequest, NoAnswer
from payments.clock import ManualClock
from payments.payment import Way
from rigs import Stand, Wanted
from wires import InlineKeys


class Recording(Struct):
    """One question (or a callback: `question` is "hear"), all that was said, what it came to."""

    name: str
    question: str
    order: Any
    answers: list[Message]
    outcome: Any


class Library(Struct):
    """Everything recorded of one channel. `stand` is closed; its rig still has the keys."""

    stand: Stand
    clock: ManualClock
    recordings: list[Recording]

    @property
    def messages(self) -> list[Message]:
        return [message for each in self.recordings for message in each.answers]


PAYS = ("0000", "9001", "9003", "9004", "9005", "9011", "9012")


class Recorder:
    """Asks one of everything."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.recordings: list[Recording] = []
        self._count = 0

    def number(self) -> str:
        self._count += 1
        return f"01K5AZ{self._count:020d}"

    def barcode(self, ending: str = "0000") -> PayOrder:
        return self.stand.barcode(ending, number=self.number())

    async def ask(self, name: str, question: str, order: Any) -> Outcome:
        await self.stand.sandbox.courier.idle()  # A callback could make it ask by itself.
        passed = self.stand.tap.passed
        before = len(passed)
        outcome: Outcome = await getattr(self.stand.channel, question)(order)
        answers = [
            Message(answer.status, dict(answer.headers), answer.body)
            for _, answer in passed[before:]
        ]
        if answers:
            self.recordings.append(Recording(name, question, order, answers, outcome))
        return outcome

    async def everything(self) -> None:
        stand, about = self.stand, self.stand.about
        for ending in PAYS:
            order = self.barcode(ending)
            await self.ask(f"pay {ending}", "pay", order)
            await self.ask(f"inquire {ending}", "inquire", about(order))
        await self.ask("inquire absent", "inquire", about(self.barcode()))
        for way in (Way.QR, Way.JSAPI, Way.H5):
            if way.value in stand.rig.can:
                order = stand.shown(self.number(), way=way)
                await self.ask(f"pay {way.value}", "pay", order)
                await self.ask(f"inquire {way.value}", "inquire", about(order))
        for ending in ("0000", "9002"):
            order = self.barcode(ending)
            await self.ask(f"pay {ending}, reversed later", "pay", order)
            await self.ask(f"inquire {ending}, reversed later", "inquire", about(order))
            await self.ask(f"reverse {ending}", "reverse", about(order))
            await self.ask(f"inquire reversed {ending}", "inquire", about(order))
        order = self.barcode("9002")
        await self.ask("pay 9002", "pay", order)
        await self.ask("inquire 9002", "inquire", about(order))
        await self.ask("close", "close", about(order))
        await self.ask("inquire closed", "inquire", about(order))
        await self._refunds()
        await self._callbacks()

    async def _refunds(self) -> None:
        order = self.barcode()
        await self.stand.channel.pay(order)
        absent = self.stand.back(order, 1_000, f"R{self.number()}")
        await self.ask("refund absent", "inquire_refund", absent)
        order = self.barcode()
        await self.stand.channel.pay(order)
        back = self.stand.back(order, 1_000, f"R{self.number()}")
        await self.ask("refund", "refund", back)
        await self.ask("refund made", "inquire_refund", back)
        await self.ask("inquire refunded", "inquire", self.stand.about(order))

    async def _callbacks(self) -> None:
        """Of a payment, and of a refund; what the connector asks meanwhile is in it, too."""
        stand = self.stand
        order = stand.shown(self.number())
        await stand.channel.pay(order)
        stand.act(order.out_trade_no)
        await stand.inbox.wait(1)
        if "refund_callbacks" in stand.rig.can:
            count = len(stand.inbox.came)
            await stand.channel.refund(stand.back(order, 1_000, f"R{self.number()}"))
            await stand.inbox.wait(count + 1)
        # A callback still on its way would be heard in between, and asks by itself.
        await stand.sandbox.courier.idle()
        for number, callback in enumerate(tuple(stand.inbox.came)):
            before = len(stand.tap.passed)
            heard = await stand.hear(callback)
            said = [
                Message(answer.status, dict(answer.headers), answer.body)
                for _, answer in stand.tap.passed[before:]
            ]
            message = Message(0, dict(callback.headers), callback.body)
            self.recordings.append(
                Recording(f"callback {number}", "hear", callback, [message, *said], heard)
            )


async def _record(name: str) -> Library:
    clock = ManualClock()
    stand = Stand(RIGS[name](), clock)
    await stand.start()
    recorder = Recorder(stand)
    try:
        await recorder.everything()
    finally:
        await stand.close()
    return Library(stand, clock, recorder.recordings)


def record(name: str) -> Library:
    """Raise what a connector raises. A callback's address is the same in every replay."""
    return asyncio.run(_record(name))


class Replay:
    """Says what it is given, one after the other; then nothing more."""

    def __init__(self) -> None:
        self.answers: list[Message] = []

    async def send(self, request: HttpRequest) -> HttpAnswer:
        if not self.answers:
            raise NoAnswer("the recording is over")
        message = self.answers.pop(0)
        return HttpAnswer(message.status, message.headers, message.body)


class _Signs:
    """Real signatures where an answer is bound to its request's, else always the same."""

    def __init__(self, real: Any, *, binds: bool) -> None:
        self._real = real
        self._made: dict[bytes, bytes] = {}
        self._binds = binds

    async def sign(self, text: bytes) -> bytes:
        key = text if self._binds else b""
        if key not in self._made:
            self._made[key] = await self._real.sign(text)
        return self._made[key]


class _Keys(InlineKeys):
    def __init__(self, *, binds: bool) -> None:
        self._binds = binds

    def signer(self, key: Any) -> Any:
        return _Signs(super().signer(key), binds=self._binds)


class Player:
    """A connector whose channel says what we want. `check` tells what should not have happened."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.http = Replay()
        stand = library.stand
        wanted = Wanted(stand.inbox.url)
        keys = _Keys(binds=stand.rig.name == "example")
        self.connector = stand.rig.connector(
            stand.served.url, self.http, library.clock, keys, wanted
        )
        self.counts = {"same": 0, "not believed": 0, "refused": 0, "replayed": 0}
        self._seals = {seal for message in library.messages for seal in _seals_in(message)}
        self._said: dict[tuple[str, str], list[Any]] = {}
        for each in library.recordings:
            number, said = _facts_of(each)
            for question in KNOWN_BY.get(each.question, (each.question,)):
                self._said.setdefault((question, number), []).append(plain(said))

    def say(self, recording: Recording, answers: list[Message]) -> Any:
        """Ask as it was asked then, and let this be said."""
        if recording.question == "hear":
            self.http.answers = list(answers[1:])
            was, message = recording.order, answers[0]
            callback = Callback(was.method, was.query, message.headers, message.body)
            return run(self.connector.hear(callback))
        self.http.answers = list(answers)
        return run(getattr(self.connector, recording.question)(recording.order))

    def one(self, random: Random, *, is_huge: bool = False) -> str:
        """One mutated answer or callback. What is wrong with what came of it, or nothing."""
        recording = random.choice(self.library.recordings)
        at = random.randrange(len(recording.answers))
        message = recording.answers[at]
        if is_huge:
            how, bad = "huge", huge(random, message)
        else:
            how, bad = mutated(random, message, self.library.messages)
        answers = [*recording.answers[:at], bad, *recording.answers[at + 1 :]]
        try:
            outcome = self.say(recording, answers)
        except Exception as error:  # Nothing may ever leave a connector.
            return f"{recording.name}, {how}: raised {type(error).__name__}: {error}"
        wrong = self._judge(recording, bad, outcome)
        return f"{recording.name}, {how}: {wrong}" if wrong else ""

    def _judge(self, recording: Recording, bad: Message, outcome: Any) -> str:
        honest = recording.outcome
        if plain(outcome) == plain(honest):
            self.counts["same"] += 1
            return ""
        if recording.question == "hear":
            return self._judge_heard(honest, bad, outcome)
        if isinstance(outcome, Unknown):
            self.counts["not believed"] += 1
            return ""
        # What the channel once said of this very order, to the same question or by a callback.
        if plain(outcome) in self._said[recording.question, recording.order.out_trade_no]:
            self.counts["replayed"] += 1
            return ""
        # A whole genuine answer, seal and all, that names no order: a code of somebody else's.
        # The protocol has nothing against that but TLS; no money is believed.
        if isinstance(outcome, Awaiting) and bad in self.library.messages:
            self.counts["replayed"] += 1
            return ""
        # Some channels refuse without a signature; and a genuine refusal of another order's
        # question is signed, but names no order. Neither says that money moved.
        is_refusal = isinstance(outcome, Declined) or outcome == Unpaid("absent")
        if is_refusal and (bad.status >= 400 or self._is_sealed(bad)):
            self.counts["refused"] += 1
            return ""
        return f"believed {outcome} instead of {honest}"

    def _judge_heard(self, honest: Heard, bad: Message, heard: Heard) -> str:
        notice, was = heard.notice, honest.notice
        is_genuine = self._is_sealed(bad)
        self.counts["not believed"] += 1
        if notice is None:
            is_taken = heard.answer == honest.answer and not is_genuine
            return "acknowledged what it did not believe" if is_taken else ""
        if isinstance(notice.outcome, Unknown | Unpaid):
            # The callback is sound, and what was looked up because of it is not.
            return ""
        if self.is_true(notice):
            self.counts["replayed"] += 1
            return ""
        return f"heard {notice} instead of {was}"

    def _is_sealed(self, message: Message) -> bool:
        """Whether a signature that the channel made is in it, whole: of whatever content."""
        return any(seal in self._seals for seal in _seals_in(message))

    def is_true(self, notice: Any) -> bool:
        """Whether the channel said this of that order in another place, and meant it."""
        return any(
            notice.outcome in (each.outcome, getattr(each.outcome, "notice", None))
            or notice == getattr(each.outcome, "notice", None)
            for each in self.library.recordings
        )


KNOWN_BY = {"hear": ("hear", "pay", "inquire")}
"""What a callback says of its order is as true in the answer to these questions."""

ESCAPE = re.compile(rb"\\u00([0-7][0-9a-f])")
SEAL = re.compile(rb"[A-Za-z0-9+/]{300,}={0,2}")


def _seals_in(message: Message) -> set[bytes]:
    """The signatures in a message, in its headers or its body, however they are escaped."""
    plain_body = ESCAPE.sub(lambda at: bytes.fromhex(at[1].decode()), message.body)
    texts = (unquote_to_bytes(plain_body), *(t.encode() for t in message.headers.values()))
    return {found for text in texts for found in SEAL.findall(text)}


def _facts_of(recording: Recording) -> tuple[str, Any]:
    """The order it is about, and what was said of it."""
    if recording.question != "hear":
        return recording.order.out_trade_no, recording.outcome
    notice = recording.outcome.notice
    return notice.out_trade_no, notice.outcome if notice.out_refund_no is None else notice


VARYING = frozenset(("nonceStr", "noncestr", "paySign", "sign", "timeStamp", "timestamp"))


def plain(outcome: Any) -> Any:
    """An outcome without what is drawn anew each time: a wallet's nonce and our signature."""
    if isinstance(outcome, Awaiting) and outcome.client_params is not None:
        kept = {k: v for k, v in outcome.client_params.items() if k not in VARYING}
        return replace(outcome, client_params=kept)
    return outcome


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to its end what waits for nothing: a tenth of what a loop would cost."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise RuntimeError("a connector waited for something that is not its channel")
