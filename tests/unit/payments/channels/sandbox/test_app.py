"""The frame over real HTTP: endings, faults, the payer's verbs, the clock, and bad input."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from payments.channels.sandbox import app as frame
from payments.channels.sandbox.app import BODY_MAX_BYTES
from payments.clock import SystemClock

# ending, kind answered to the payment call (None: no answer), kind of a query after that
ANSWERS = [
    ("0000", "paid", "paid"),
    ("9001", "awaiting", "awaiting"),
    ("9002", "awaiting", "awaiting"),
    ("9003", "declined", "declined"),
    ("9004", "declined", "declined"),
    ("9005", "error", "paid"),
    ("9006", None, "paid"),
    ("9007", None, "absent"),
    ("9008", "error", "error"),
    ("9009", "paid", "paid"),
    ("9010", "paid", "paid"),
    ("9011", "paid", "paid"),
    ("9012", "paid", "paid"),
]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence does not last as long as a test may."""
    monkeypatch.setattr(frame, "SILENCE_S", 0.05)


@pytest.mark.parametrize(("ending", "answer", "asked"), ANSWERS)
async def test_each_ending_over_the_wire(
    ending: str, answer: str | None, asked: str, town: Any, hasty: None
) -> None:
    client = await town.start()
    if answer is None:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.pay("N1", ending)
    else:
        _, said = await client.pay("N1", ending)
        assert answer == said["kind"]
    assert asked == await client.kind("GET", "/orders/N1")


async def test_a_wrong_signature_is_only_wrong_for_a_while(town: Any) -> None:
    client = await town.start()
    await client.pay("N1", "9010")
    *_, right = await client.ask("GET", "/orders/N1")
    assert not right
    await client.post("clock", {"advance_seconds": 20})
    *_, right = await client.ask("GET", "/orders/N1")
    assert right


async def test_what_the_channel_keeps_comes_back(town: Any) -> None:
    client = await town.start()
    await client.pay("N1", attach="桌 7")
    _, said, _ = await client.ask("GET", "/orders/N1")
    assert said["attach"] == "桌 7"


async def test_a_restart_on_the_same_folder(town: Any, tmp_path: Path) -> None:
    client = await town.start(tmp_path)
    await client.pay("N1")
    await client.ask("POST", "/orders/N1/refunds", {"number": "R1", "amount": 800})
    before = await client.get("books")
    client = await town.start(tmp_path)
    assert before == await client.get("books")
    assert await client.kind("GET", "/orders/N1") == "paid"


# --- silence -----------------------------------------------------------------------------------


async def test_silence_holds_until_the_client_goes(town: Any) -> None:
    """The client's patience ends it, and the place it took is free again."""
    client = await town.start()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await client.pay("N1", "9006")
    assert await client.kind("GET", "/orders/N1") == "paid"
    async with asyncio.timeout(60):
        await town.sandbox.left.wait()
    assert town.sandbox.calls == 0


async def test_a_sandbox_stops_although_somebody_waits(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: who waits for an answer that never comes is not waited for."""
    monkeypatch.setattr(frame, "SHUTDOWN_S", 60)
    client = await town.start()
    waiting = asyncio.create_task(client.pay("N1", "9006"))
    async with asyncio.timeout(60):
        await town.sandbox.holding.wait()
        await town.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting


async def test_too_many_calls_at_once_are_refused(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "CALLS_MAX", 0)
    client = await town.start()
    status, said = await client.pay("N1")
    assert (status, said["kind"]) == (429, "busy")
    assert await client.get("books") == []


# --- faults ------------------------------------------------------------------------------------


async def order_fates(client: Any, *fates: str) -> None:
    status, _ = await client.post("faults", {"next": list(fates), "operations": ["pay"]})
    assert status == 200


@pytest.mark.parametrize(
    ("fate", "status", "kind", "taken"),
    [("busy", 429, "busy", False), ("error", 500, "error", False), ("lost", 500, "error", True)],
)
async def test_answers_that_lie(fate: str, status: int, kind: str, taken: bool, town: Any) -> None:
    client = await town.start()
    await order_fates(client, fate)
    answered, said = await client.pay("N1")
    assert (status, kind) == (answered, said["kind"])
    assert taken == bool(await client.get("books"))
    _, said = await client.pay("N1")
    assert said["kind"] == "paid"


@pytest.mark.parametrize(("fate", "taken"), [("drop", True), ("hang", False)])
async def test_answers_that_never_come(fate: str, taken: bool, town: Any, hasty: None) -> None:
    client = await town.start()
    await order_fates(client, fate)
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.pay("N1")
    assert taken == bool(await client.get("books"))


async def test_a_wrong_signature_on_order(town: Any) -> None:
    client = await town.start()
    await client.post("faults", {"next": ["unsigned"]})
    await client.pay("N1")
    shown = await client.get("faults")
    assert (shown["next"], shown["drawn"]) == ([], {"unsigned": 1})


async def test_latency_delays_the_answer(town: Any) -> None:
    client = await town.start()
    await client.post("faults", {"latency": {"kind": "fixed", "ms": 200}})
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await client.pay("N1")
    assert loop.time() - begun >= 0.2


async def test_an_operation_may_be_found_in_the_request(town: Any) -> None:
    client = await town.start()
    await client.post("faults", {"next": ["busy"], "operations": ["a.b.c"]})
    assert await client.kind("GET", "/orders/N1") == "absent"
    async with client.session.post(client.url + "/broken", data=b"a.b.c") as answer:
        assert answer.status == 429


# --- bad input ---------------------------------------------------------------------------------


async def test_no_traceback_leaves_and_no_secret_is_logged(
    town: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = await town.start()
    with caplog.at_level(logging.ERROR):
        status, said, _ = await client.ask("POST", "/broken")
    assert (status, said) == (500, {"kind": "error"})
    assert "ZeroDivisionError at" in caplog.text
    assert "ou_secret" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("DELETE", "/pay", 400, "method"),
    ],
)
async def test_unknown_paths_and_methods_are_the_channels(
    method: str, path: str, status: int, kind: str, town: Any
) -> None:
    client = await town.start()
    answered, said, _ = await client.ask(method, path)
    assert (status, kind) == (answered, said["kind"])


async def test_a_body_that_is_too_long_is_refused(town: Any) -> None:
    client = await town.start()
    status, said, _ = await client.ask("POST", "/pay", {"number": "x" * BODY_MAX_BYTES})
    assert (status, said["kind"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("pay", None, 400, "not the JSON"),
        ("pay", [], 400, "not the JSON"),
        ("pay", {"out_trade_no": 5}, 400, "out_trade_no"),
        ("pay", {"out_trade_no": "N1", "amuont": 5}, 400, "amuont"),
        ("pay", {"out_trade_no": "N9"}, 404, "no such order"),
        ("pay", {"out_trade_no": "N1"}, 409, "the order is paid"),
        ("faults", {"error_ppm": 2_000_000}, 400, "ppm"),
        ("faults", {"next": ["explode"]}, 400, "explode"),
        ("faults", {"latency": {"kind": "fixed", "ms": -1}}, 400, "latency"),
        ("clock", {}, 400, "say one of"),
        ("clock", {"advance_seconds": 1, "to_ms": 1}, 400, "say one of"),
        ("clock", {"advance_seconds": -1}, 400, "never goes back"),
        ("clock", {"advance_seconds": 1e12}, 400, "at most"),
        ("clock", {"advance_seconds": "1"}, 400, "advance_seconds"),
        ("callbacks", {"retry_factor": -1}, 400, "retry_factor"),
        ("nowhere", {}, 404, "not found"),
        ("books", {}, 405, "method"),
    ],
)
async def test_what_is_wrong_is_said(
    path: str, body: object, status: int, sentence: str, town: Any
) -> None:
    client = await town.start()
    await client.pay("N1")
    answered, said = await client.post(path, body)
    assert status == answered, said
    assert sentence in said["error"]


# --- the payer, the books, the clock -----------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("pay", "paid"), ("decline", "declined"), ("pay_late", "awaiting"), ("pay_twice", "paid")],
)
async def test_the_payer_acts(verb: str, kind: str, town: Any) -> None:
    client = await town.start()
    await client.pay("N1", "")
    status, said = await client.post(verb, {"out_trade_no": "N1"})
    assert (status, said["out_trade_no"]) == (200, "N1")
    assert kind == await client.kind("GET", "/orders/N1")


async def test_the_payer_of_one_of_several_merchants(town: Any) -> None:
    client = await town.start()
    for merchant in ("m1", "m2"):
        await client.pay("N1", "", merchant=merchant)
    status, said = await client.post("pay", {"out_trade_no": "N1"})
    assert (status, "several merchants" in said["error"]) == (409, True)
    status, _ = await client.post("pay", {"out_trade_no": "N1", "merchant": "m2"})
    assert status == 200
    assert [book["state"] for book in await client.get("books")] == ["unpaid", "paid"]


async def test_one_number_asked_by_many_at_once_is_charged_once(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    said = await asyncio.gather(*(client.pay("N1", notify_url=receiver.url) for _ in range(20)))
    assert {answer["kind"] for _, answer in said} == {"paid"}
    refunds = ({"number": f"R{i}", "amount": 1000} for i in range(20))
    asks = (client.kind("POST", "/orders/N1/refunds", refund) for refund in refunds)
    assert sorted(await asyncio.gather(*asks)) == ["exceeds"] * 17 + ["made"] * 3
    (book,) = await client.get("books")
    assert (book["charges"], book["refunded_minor"]) == (1, 3000)


async def test_the_books_have_the_rows_of_the_contract(town: Any) -> None:
    client = await town.start()
    await client.pay("N1")
    await client.pay("N2", "")
    await client.ask("POST", "/orders/N1/refunds", {"number": "R1", "amount": 800})
    paid = {
        "out_trade_no": "N1",
        "amount_minor": 3800,
        "refunded_minor": 800,
        "state": "paid",
        "charges": 1,
    }
    unpaid = {**paid, "out_trade_no": "N2", "refunded_minor": 0, "state": "unpaid", "charges": 0}
    assert await client.get("books") == [paid, unpaid]
    assert await client.get("books?out_trade_no=N2") == [unpaid]


async def test_the_clock_moves_and_says_what_comes_next(town: Any) -> None:
    client = await town.start()
    await client.pay("N1", "9001")
    before = await client.get("clock")
    assert before["next_due_ms"] == before["now_ms"] + 3000
    _, after = await client.post("clock", {"to_ms": before["next_due_ms"]})
    assert (after["now_ms"], after["next_due_ms"]) == (before["next_due_ms"], None)
    assert await client.kind("GET", "/orders/N1") == "paid"
    _, after = await client.post("clock", {"offset_ms": 10_000})
    assert after["offset_ms"] == 10_000


async def test_time_passes_by_itself(town: Any) -> None:
    """Nobody asks: the PIN is entered, and the callback comes."""
    town.clock = SystemClock()
    client, receiver = await town.start(), await town.receiver()
    await client.pay("N1", "9001", notify_url=receiver.url)
    assert (await receiver.next())["kind"] == "paid"
