"""Callbacks arrive: again until acknowledged, in order, not more often than the plan allows."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from payments.channels.sandbox import courier
from payments.channels.sandbox.courier import notify_url_refusal


async def settled(town: Any) -> Any:
    """The courier's state once nothing is left to bring."""
    async with asyncio.timeout(60):
        await town.sandbox.courier.idle()
    return await town.client.get("callbacks")


async def test_a_payment_is_told_once(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    await client.pay("N1", notify_url=receiver.url)
    heard = await receiver.next()
    assert (heard["kind"], heard["number"], heard["amount"]) == ("paid", "N1", 3800)
    state = await settled(town)
    assert state["counts"] == {"sent": 1, "acknowledged": 1}
    assert receiver.heard.empty()


async def test_nobody_is_told_who_did_not_ask(town: Any) -> None:
    client = await town.start()
    await client.pay("N1")
    assert (await settled(town))["counts"] == {}


@pytest.mark.parametrize(
    "refusals",
    [[(500, "success")], [(200, "fail")], [(302, "success")], [(204, ""), (500, ""), (400, "")]],
)
async def test_it_comes_again_until_it_is_acknowledged(
    refusals: list[tuple[int, str]], town: Any
) -> None:
    """Made anew for each try, under the same id."""
    client, receiver = await town.start(), await town.receiver()
    receiver.answers = list(refusals)
    await client.pay("N1", notify_url=receiver.url)
    heard = [await receiver.next() for _ in range(len(refusals) + 1)]
    assert [one["try"] for one in heard] == list(range(1, len(refusals) + 2))
    assert len({one["id"] for one in heard}) == 1
    state = await settled(town)
    assert state["counts"]["retried"] == len(refusals)
    assert state["counts"]["acknowledged"] == 1


async def test_the_plan_ends(town: Any, tmp_path: Path) -> None:
    """Five tries by this plan of four delays; after that it is owed no more."""
    client, receiver = await town.start(tmp_path), await town.receiver()
    receiver.answers = [(500, "no")] * 50
    await client.pay("N1", notify_url=receiver.url)
    state = await settled(town)
    assert state["counts"] == {"sent": 5, "retried": 4, "given_up": 1}
    assert [one["attempt"] for one in state["recent"]] == [1, 2, 3, 4, 5]
    assert town.sandbox.engine.owed() == []


async def test_the_delays_are_the_plans(town: Any) -> None:
    """15, 15, 30, 180 s, shrunk by a thousand."""
    client, receiver = await town.start(), await town.receiver()
    receiver.answers = [(500, "no")] * 4
    loop, times = asyncio.get_running_loop(), []
    await client.pay("N1", notify_url=receiver.url)
    for _ in range(5):
        await receiver.next()
        times.append(loop.time())
    gaps = [later - earlier for earlier, later in pairwise(times)]
    for gap, least in zip(gaps, (0.015, 0.015, 0.03, 0.18), strict=True):
        assert gap >= least * 0.9


async def test_9009_arrives_three_times(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    await client.pay("N1", "9009", notify_url=receiver.url)
    ids = {(await receiver.next())["id"] for _ in range(3)}
    assert len(ids) == 1
    assert (await settled(town))["counts"]["sent"] == 3
    assert (await client.get("books"))[0]["charges"] == 1


async def test_callbacks_may_arrive_needlessly(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    await client.post("faults", {"duplicate_ppm": 1_000_000})
    await client.pay("N1", notify_url=receiver.url)
    assert (await receiver.next())["id"] == (await receiver.next())["id"]
    assert (await settled(town))["counts"] == {"sent": 2, "acknowledged": 1}


async def test_callbacks_may_be_held_back(town: Any) -> None:
    """Long enough for somebody to ask first; it comes all the same."""
    client, receiver = await town.start(), await town.receiver()
    await client.post("faults", {"callback_ms": 100})
    await client.pay("N1", notify_url=receiver.url)
    assert await client.kind("GET", "/orders/N1") == "paid"
    assert (await client.get("callbacks"))["in_flight"] == 0
    assert (await receiver.next())["kind"] == "paid"


async def test_what_a_channel_does_not_tell_is_owed_to_nobody(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    await client.pay("N1", "9003", notify_url=receiver.url)
    assert (await settled(town))["counts"] == {}
    assert town.sandbox.engine.owed() == []


async def test_one_orders_callbacks_do_not_overtake(town: Any) -> None:
    """Two of one order never are on the wire together; another order does not wait."""
    client, receiver = await town.start(), await town.receiver()
    on_wire, gate = [], asyncio.Event()
    original = town.sandbox.post

    async def slow(news: Any, attempt: int) -> Any:
        on_wire.append((news.order.number, news.kind))
        if news.order.number == "N1":
            await gate.wait()
        return await original(news, attempt)

    town.sandbox.post = slow
    await client.pay("N1", notify_url=receiver.url)
    town.sandbox.courier.send(town.sandbox.engine.owed()[0])
    await client.pay("N2", notify_url=receiver.url)
    assert (await receiver.next())["number"] == "N2"
    assert on_wire == [("N1", "paid"), ("N2", "paid")]
    gate.set()
    assert [(await receiver.next())["number"] for _ in range(2)] == ["N1", "N1"]
    await settled(town)


async def test_a_dead_receiver_is_survived(town: Any) -> None:
    client = await town.start()
    receiver = await town.receiver()
    await town.runners.pop().cleanup()
    await client.pay("N1", notify_url=receiver.url)
    state = await settled(town)
    assert state["counts"]["given_up"] == 1
    assert {one["trouble"] for one in state["recent"]} == {"ClientConnectorError"}


async def test_a_callback_that_cannot_be_made_is_a_failed_try(town: Any, caplog: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    original, failures = town.sandbox.post, [ValueError("ou_secret")]

    async def breaks(news: Any, attempt: int) -> Any:
        if failures:
            raise failures.pop()
        return await original(news, attempt)

    town.sandbox.post = breaks
    await client.pay("N1", notify_url=receiver.url)
    assert (await receiver.next())["try"] == 2
    assert "ou_secret" not in caplog.text
    assert (await settled(town))["recent"][0]["trouble"] == "ValueError"


async def test_a_restart_sends_what_is_owed(town: Any, tmp_path: Path) -> None:
    client, receiver = await town.start(tmp_path, retry_factor=10), await town.receiver()
    receiver.answers = [(500, "no")]
    await client.pay("N1", notify_url=receiver.url)
    first = await receiver.next()
    client = await town.start(tmp_path)
    assert first["id"] == (await receiver.next())["id"]
    await settled(town)
    client = await town.start(tmp_path)
    assert (await settled(town))["counts"] == {}


async def test_probes_are_counted_by_what_became_of_them(town: Any) -> None:
    """A receiver that takes a probe for true is found out."""
    client, receiver = await town.start(), await town.receiver()
    await client.post("faults", {"probe_ppm": 1_000_000})
    receiver.answers = [(401, "no")]
    await client.pay("N1", notify_url=receiver.url)
    assert [(await receiver.next())["kind"] for _ in range(2)] == ["probe", "paid"]
    await client.pay("N2", notify_url=receiver.url)
    counts = (await settled(town))["counts"]
    assert (counts["probes"], counts["probes_accepted"]) == (2, 1)


async def test_refunds_and_paying_twice_are_told(town: Any) -> None:
    client, receiver = await town.start(), await town.receiver()
    await client.pay("N1", "", notify_url=receiver.url)
    await client.post("pay_twice", {"out_trade_no": "N1"})
    assert [(await receiver.next())["kind"] for _ in range(2)] == ["paid", "paid"]
    assert (await client.get("books"))[0]["charges"] == 1


async def test_a_full_queue_counts_what_it_leaves_owed(
    town: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, receiver = await town.start(), await town.receiver()
    monkeypatch.setattr(courier, "PENDING_MAX", 0)
    await client.pay("N1", notify_url=receiver.url)
    assert (await settled(town))["counts"] == {"dropped": 1}
    assert len(town.sandbox.engine.owed()) == 1


async def test_redirects_are_not_followed(town: Any) -> None:
    """The next try goes to the address of the order, as a failed one's does."""
    client, receiver = await town.start(), await town.receiver()
    receiver.answers = [(307, "success")]
    await client.pay("N1", notify_url=receiver.url)
    assert [(await receiver.next())["try"] for _ in range(2)] == [1, 2]
    assert [one["status"] for one in (await settled(town))["recent"]] == [307, 200]


async def test_plain_http_leaves_the_machine_never(town: Any) -> None:
    """Although a channel forgot to refuse the address when it was given."""
    client = await town.start()
    await client.pay("N1", notify_url="http://192.0.2.1/hear")
    state = await settled(town)
    assert {one["trouble"] for one in state["recent"]} == {"https, or http on loopback"}


async def test_many_orders_share_the_wire(town: Any) -> None:
    """More than may be on the wire at once, and all arrive."""
    client, receiver = await town.start(), await town.receiver()
    numbers = {f"N{i}" for i in range(courier.IN_FLIGHT_MAX * 2)}
    await asyncio.gather(*(client.pay(number, notify_url=receiver.url) for number in numbers))
    heard = {(await receiver.next())["number"] for _ in numbers}
    assert numbers == heard
    await settled(town)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/hear",
        "https://shop.example:8443/hear?x=1",
        "http://127.0.0.1:8080/hear",
        "http://127.8.9.1/hear",
        "http://[::1]:8080/hear",
        "http://localhost/hear",
    ],
)
def test_addresses_that_are_taken(url: str) -> None:
    assert notify_url_refusal(url) == ""


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hear",
        "http://shop.example/hear",
        "http://10.0.0.1/hear",
        "http://127.0.0.1.shop.example/hear",
        "http://localhost.shop.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://",
        "https://user:pass@shop.example/",
        "http://127.0.0.1:99999/",
        "https://[::1/",
        "https://shop.example/" + "x" * 1024,
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    assert notify_url_refusal(url) != ""
