"""What becomes of a command whose answer is lost: sent again, busy, or unknown, by what it does."""

import asyncio
from types import SimpleNamespace

import pytest

from actors.event_messages import CourierAsk
from actors.messages import CancelPayment, DirectoryAsk, ReadOne, Refusal
from actors.placement import Placement
from gateway.asking import Asker

MERCHANT = "mch_1"


class Wire:
    """A link that takes everything and answers nothing."""

    congested = False

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)
        return True


@pytest.fixture
async def asker():
    made = Asker(None, None, None, str, Placement(1))
    sweep = asyncio.create_task(made.sweep())
    await asyncio.sleep(0)  # It looks at the clock first.
    yield made
    sweep.cancel()


def directory_ask(op):
    return DirectoryAsk(0, op, "key_1", MERCHANT, None, b"")


def courier_ask(op):
    return CourierAsk(0, op, "key_1", MERCHANT, None, None, b"")


async def lost(asker, message):
    """The answer to a command whose link is cut, and comes back when `back` is called."""
    first, second = Wire(), Wire()
    to = SimpleNamespace(link=first)
    heard = asyncio.get_running_loop().create_future()
    asker.post(to, message, 60.0, heard.set_result)
    asker.lost(first)
    to.link = second
    async with asyncio.timeout(60):
        while not (heard.done() or second.sent):  # noqa: ASYNC110 - two things to wait for
            await asyncio.sleep(0.01)
    return (heard.result() if heard.done() else None), second.sent


@pytest.mark.parametrize(
    "message", [directory_ask("keys.create"), directory_ask("merchants.update"),
                directory_ask("keys.revoke"), courier_ask("endpoints.create")],
    ids=lambda message: message.op,
)  # fmt: skip
async def test_a_change_without_an_id_is_never_sent_again(asker, message):
    """A second key would be another key: it may have happened, and that is said at once."""
    refusal, again = await lost(asker, message)

    assert isinstance(refusal, Refusal)
    assert ("outcome_unknown", []) == (refusal.code, again)
    assert len(asker) == 0


@pytest.mark.parametrize(
    "message", [directory_ask("keys.list"), directory_ask("clocks.get"),
                courier_ask("events.deliveries"), ReadOne(0, (MERCHANT,), "payment", "pay_1"),
                CancelPayment(0, MERCHANT, "pay_1", "rfd_1", b"", 7, 1, 0)],
    ids=lambda message: getattr(message, "op", type(message).__name__),
)  # fmt: skip
async def test_what_may_be_asked_twice_is_asked_again(asker, message):
    refusal, again = await lost(asker, message)

    assert (refusal, again) == (None, [message])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (directory_ask("keys.list"), "overloaded"),
        (courier_ask("endpoints.get"), "overloaded"),
        (ReadOne(0, (MERCHANT,), "payment", "pay_1"), "overloaded"),
        (directory_ask("keys.create"), "outcome_unknown"),
    ],
)
async def test_nobody_answers(asker, message, code):
    """Reading is tried again by whoever asked; what may have happened says so."""
    heard = asyncio.get_running_loop().create_future()
    asker.post(SimpleNamespace(link=Wire()), message, -20.0, heard.set_result)

    async with asyncio.timeout(60):
        assert code == (await heard).code
