"""What else a lane does: questions, callbacks, the clock, the circuit, and its end."""

import asyncio

from actors.channel import CIRCUIT_POLL_S
from actors.messages import (
    ClockQuiet,
    ClockSet,
    LaneAct,
    LaneAsk,
    LaneBookList,
    LaneBooks,
    LaneCredit,
    LaneNotice,
    LanePay,
    LaneRefund,
    NoticeTaken,
    Ping,
    Pong,
)
from payments.channels.base import Approved, Awaiting, Book, Declined, Notice, Unknown, Unpaid
from payments.channels.simulated.settings import Latency, SimulatedSettings
from payments.channels.transport import NotSent
from payments.circuit import Circuit, CircuitLimits

# --- the other messages --------------------------------------------------------------------------


async def test_questions_and_refunds_reach_the_channel(make_house):
    house = make_house()
    number = house.number()
    house.frame(house.pay(1, number))

    house.frame(
        LaneAsk(2, "inquire", number),
        LaneRefund(3, "refund", number, "R1", 1000, 3800, "cny"),
        LaneRefund(4, "inquire_refund", number, "R1", 1000, 3800, "cny"),
        LaneAsk(5, "close", number),
        LaneAsk(6, "reverse", number),
    )
    await house.settled(6)

    outcomes = house.shard.outcomes()
    assert outcomes[2] == outcomes[1] == Approved(number, 3800, f"sim{number}")
    assert outcomes[3] == outcomes[4] == Approved(number, 1000, "simrR1")
    assert isinstance(outcomes[5], Declined)
    assert isinstance(outcomes[6], Declined)


async def test_a_payer_acts_and_the_callback_goes_to_the_shard_of_the_order(make_house):
    """By its partition, whoever asked."""
    house = make_house()
    number = house.number(partition=300)
    house.frame(LanePay(1, number, 3800, "cny", "qr", "mch_a", "wechat"))
    assert house.shard.outcomes()[1] == Awaiting(f"https://pay.example/sim/{number}")

    house.frame(LaneAct(2, number, "pay"), LaneAct(3, number, "steal"))

    ((partition, notice),) = house.routed
    assert partition == 300
    assert notice == LaneNotice(notice.ref, number, Approved(number, 3800, f"sim{number}"))
    assert house.shard.outcomes()[2] == Approved(number, 3800)
    assert isinstance(house.shard.outcomes()[3], Declined)


async def test_a_channel_without_test_payers_refuses_them_and_has_no_books(make_house):
    house = make_house(stubborn=True)

    house.frame(LaneAct(1, house.number(), "pay"), LaneBooks(2))
    await asyncio.sleep(0)

    assert isinstance(house.shard.outcomes()[1], Declined)
    assert house.shard.of(LaneBookList) == [LaneBookList(2, (), True)]


async def test_a_sandbox_that_is_away_is_said_at_once(make_house, monkeypatch):
    """Who asks for its books is not left waiting for their own patience to end."""
    house = make_house()
    channel = house.lane._payers._channel

    async def away():
        raise NotSent("nobody listens")

    monkeypatch.setattr(channel, "books", away)
    house.frame(LaneBooks(7))
    await asyncio.sleep(0.01)

    (answer,) = house.shard.of(LaneBookList)
    assert ((), True) == (answer.books, answer.last)
    assert "nobody listens" in answer.error


async def test_books_come_in_parts(make_house, monkeypatch):
    """Every order once, the last part marked."""
    monkeypatch.setattr("actors.payers.BOOKS_PER_MESSAGE", 10)
    house = make_house()
    numbers = [house.number() for _ in range(25)]
    house.frame(*(house.pay(ref, number) for ref, number in enumerate(numbers)))

    house.frame(LaneBooks(7))
    for _ in range(5):
        await asyncio.sleep(0)

    parts = house.shard.of(LaneBookList)
    assert [(len(part.books), part.last) for part in parts] == [(10, False), (10, False), (5, True)]
    books = [book for part in parts for book in part.books]
    assert books == [Book(number, 3800, 0, "paid", 1) for number in numbers]


async def test_a_callback_is_repeated_until_it_is_taken(make_house, monkeypatch):
    """By the named plan, with the same reference; then never again."""
    monkeypatch.setattr("actors.notices.NOTICE_PLAN_S", (0.01, 0.01, 0.01, 10.0))
    house = make_house()
    number = house.number()
    house.channel.notify(Notice(number, Unpaid("closed")))
    await asyncio.sleep(0.025)
    sent = len(house.routed)
    assert sent >= 2

    house.frame(NoticeTaken(house.routed[0][1].ref), NoticeTaken(12345))
    await asyncio.sleep(0.03)

    assert len({message.ref for _, message in house.routed}) == 1
    assert len(house.routed) == sent


async def test_callbacks_are_given_up_after_the_plan(make_house, monkeypatch):
    """And counted: from then on the shard's own queries must find out."""
    monkeypatch.setattr("actors.notices.NOTICE_PLAN_S", (0.005, 0.005))
    house = make_house()
    house.channel.notify(Notice(house.number(), Unpaid("closed")))
    house.channel.notify(Notice("not ours", Unpaid("closed")))

    await asyncio.sleep(0.05)

    assert len(house.routed) == 2
    assert house.lane.stats()['channel_notices_dropped_total{channel="sim",lane="0"}'] == 2


async def test_a_ping_is_answered(make_house):
    house = make_house()

    house.frame(Ping(4))

    assert house.shard.of(Pong) == [Pong(4)]


# --- time ----------------------------------------------------------------------------------------


async def test_the_test_clock_makes_things_happen_and_quiet_is_said_after_them(make_house):
    """A PIN is due in three seconds: setting the clock there pays it, and says what is next."""
    house = make_house()
    director = house.peer("directory", "directory")
    pin, code = house.number(), house.number()
    expires = house.clock.now_ms() + 300_000
    house.frame(house.pay(1, pin, "9001"))
    house.frame(LanePay(2, code, 100, "cny", "qr", "m", "wechat", expires_at=expires))

    house.frame(ClockSet(1, 3_000), link=director)
    assert director.got == [], "a callback is on its way: not quiet yet"
    ((_, notice),) = house.routed
    house.frame(NoticeTaken(notice.ref))

    assert notice.outcome == Approved(pin, 3800, f"sim{pin}")
    assert director.got == [ClockQuiet(1, expires)]
    house.frame(ClockSet(2, 300_000), link=director)
    assert director.got[1:] == [ClockQuiet(2, None)]


async def test_quiet_is_said_in_the_end_whatever_hangs(make_house, monkeypatch):
    """A callback that nobody takes must not stop the deployment's clock."""
    monkeypatch.setattr("actors.channel.QUIET_MAX_S", 0.02)
    house = make_house()
    house.channel.notify(Notice(house.number(), Unpaid("closed")))

    house.frame(ClockSet(1, 1_000))
    await asyncio.sleep(0.04)

    assert house.shard.of(ClockQuiet) == [ClockQuiet(1, None)]


async def test_without_a_test_clock_the_machines_time_wakes_the_channel(make_house):
    """What is due happens by itself."""
    house = make_house()
    house.frame(house.pay(1, house.number(), "9001"))
    house.clock.advance(2.99)
    house.frame(Ping(1))

    house.clock.advance(0.01)
    house.lane._wake_timer.cancel()
    house.lane._wake_at = None
    house.frame(Ping(2))  # Re-arms: it is due now.
    await asyncio.sleep(0.005)

    assert len(house.routed) == 1


# --- the circuit ---------------------------------------------------------------------------------


async def test_a_failing_channel_is_left_alone_and_tried_again(make_house):
    """Unknown answers open the circuit; every shard is told; time half-opens it; success closes."""
    house = make_house(
        settings=SimulatedSettings(error_ppm=1_000_000),
        circuit=Circuit(CircuitLimits(samples_min=5, probes=1, pause_ms=1_000)),
    )
    for ref in range(5):
        house.frame(house.pay(ref, house.number()))
    assert house.shard.of(LaneCredit)[-1].circuit == "open"

    house.frame(house.pay(9, house.number()))
    refused = house.shard.outcomes()[9]
    assert isinstance(refused, Declined)
    assert refused.not_sent

    house.clock.advance(1)
    await asyncio.sleep(CIRCUIT_POLL_S + 0.05)
    assert house.shard.of(LaneCredit)[-1].circuit == "half_open"
    house.frame(house.pay(10, house.number(), "9009"))
    assert [credit.circuit for credit in house.shard.of(LaneCredit)] == [
        "closed",
        "open",
        "half_open",
        "closed",
    ]


async def test_the_scenes_of_test_mode_do_not_open_the_circuit(make_house):
    """A hundred payments with a "system error" ending are a test, not an outage."""
    house = make_house(pay_timeout_ms=20)
    for ref in range(100):
        house.frame(house.pay(ref, house.number(), "9005"))
    for ref in range(100, 150):
        house.frame(house.pay(ref, house.number(), "9006"))
    await house.settled(150)

    assert [credit.circuit for credit in house.shard.of(LaneCredit)] == ["closed"]


async def test_time_outs_open_the_circuit(make_house):
    house = make_house(
        stubborn=True, circuit=Circuit(CircuitLimits(samples_min=3)), pay_timeout_ms=10
    )

    house.frame(*(house.pay(ref, house.number()) for ref in range(3)))
    await house.settled(3)

    assert house.shard.of(LaneCredit)[-1].circuit == "open"


# --- ends ----------------------------------------------------------------------------------------


async def test_a_lost_link_loses_answers_and_not_payments(make_house):
    """The call goes on; the answer is counted as lost, for the shard will ask."""
    house = make_house(settings=SimulatedSettings(latency=Latency(ms=10)))
    number = house.number()
    house.frame(house.pay(1, number))

    house.shard.up = False
    house.lane.on_link_lost(house.shard)
    await asyncio.sleep(0.03)

    assert [book.state for book in house.channel.books()] == ["paid"]
    assert house.lane.stats()['channel_replies_lost_total{channel="sim",lane="0"}'] == 1


async def test_draining_waits_for_what_is_under_way_and_takes_nothing_new(make_house):
    """New payments are refused as not sent, running ones get their answer."""
    house = make_house(stubborn=True)
    channel = house.channel
    first, second = house.number(), house.number()
    house.frame(house.pay(1, first))
    await asyncio.sleep(0)

    drain = asyncio.create_task(house.lane.drain())
    await asyncio.sleep(0)
    house.frame(house.pay(2, second))
    channel.let_go(first)
    await drain

    outcomes = house.shard.outcomes()
    assert isinstance(outcomes[1], Approved)
    assert outcomes[2].not_sent
    assert house.shard.of(LaneCredit)[-1] == LaneCredit("sim", 0, 0, "open")
    assert channel.calls == [first]


async def test_draining_has_an_end(make_house):
    """After the limit the running are unknown and the waiting were not sent."""
    house = make_house(stubborn=True, pays_running_max=1, drain_ms=20)
    house.frame(house.pay(1, house.number()), house.pay(2, house.number()))
    await asyncio.sleep(0)

    await house.lane.drain()

    outcomes = house.shard.outcomes()
    assert isinstance(outcomes[1], Unknown)
    assert isinstance(outcomes[2], Unknown | Declined)
    assert len(outcomes) == 2


async def test_the_numbers_tell_what_happened(make_house):
    """Calls by kind and outcome, and how long they took, as plain numbers."""
    house = make_house(settings=SimulatedSettings(latency=Latency(ms=2)))
    numbers = [house.number() for _ in range(3)]
    house.frame(
        house.pay(1, numbers[0]), house.pay(2, numbers[1], "9003"), house.pay(3, numbers[2], "9005")
    )
    await house.settled(3)

    stats = house.lane.stats()

    label = 'channel="sim",lane="0"'
    for outcome in ("approved", "declined", "unknown"):
        assert stats[f'channel_calls_total{{{label},op="pay",outcome="{outcome}"}}'] == 1
        call = f'{label},op="pay",outcome="{outcome}"'
        assert stats[f"channel_request_seconds_count{{{call}}}"] == 1
        assert 0.002 <= stats[f"channel_request_seconds_sum{{{call}}}"] < 1
        assert stats[f'channel_request_seconds_bucket{{{call},le="+Inf"}}'] == 1
    assert stats[f"channel_calls_running{{{label}}}"] == 0
