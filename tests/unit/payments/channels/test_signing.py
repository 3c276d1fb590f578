"""RSA in threads: the signatures are right, the loop goes on, and what waits has a limit."""

import asyncio
import threading

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.signing import INLINE_BYTES_MAX, SigningBusy, SigningPool
from payments.channels.transport import NotSent

KEY = generate_private_key(65537, 2048)
PATIENCE_S = 60.0


@pytest.fixture
def pool():
    made = SigningPool("lane-test", threads=1, waiting=2)
    yield made
    made.close()


@pytest.mark.parametrize("size", [0, 100, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1])
async def test_what_is_signed_verifies_and_nothing_else(pool, size):
    """Short texts and long ones; a signature of garbage is wrong, and no error."""
    text = b"x" * size
    signer, verifier = pool.signer(KEY), pool.verifier(KEY.public_key())

    signature = await signer.sign(text)

    KEY.public_key().verify(signature, text, PKCS1v15(), SHA256())
    assert await verifier.verify(text, signature)
    assert not await verifier.verify(text + b"y", signature)
    for wrong in (b"", b"short", bytes(256), bytes(10_000), signature[:-1]):
        assert not await verifier.verify(text, wrong)


async def test_signing_leaves_the_loop_alone(pool):
    """It happens in a thread that carries the lane's name."""
    names = []

    def work():
        names.append(threading.current_thread().name)
        return b""

    await pool.sign(work)

    assert names[0].startswith("lane-test-rsa")


async def test_beyond_its_limit_signing_is_refused_as_not_sent(pool):
    """What waits gets its turn; verifying is never refused."""
    go = threading.Event()

    def wait():
        assert go.wait(PATIENCE_S)
        return b"done"

    calls = [asyncio.create_task(pool.sign(wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(SigningBusy) as refused:
        await pool.signer(KEY).sign(b"one more")
    checked = asyncio.create_task(pool.verifier(KEY.public_key()).verify(bytes(20_000), b""))
    go.set()

    assert isinstance(refused.value, NotSent)
    assert await asyncio.gather(*calls) == [b"done", b"done"]
    assert await checked is False
    assert (pool.waiting, pool.refused) == (0, 1)
    assert await pool.signer(KEY).sign(b"again")


async def test_a_call_that_is_given_up_gives_its_place_back(pool):
    go = threading.Event()

    def wait():
        assert go.wait(PATIENCE_S)
        return b""

    call = asyncio.create_task(pool.sign(wait))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    go.set()

    assert pool.waiting == 0


async def test_an_error_reaches_its_caller_and_the_thread_goes_on(pool):
    def broken():
        raise ValueError("no such key")

    with pytest.raises(ValueError, match="no such key"):
        await pool.sign(broken)

    assert await pool.sign(lambda: b"next") == b"next"
    assert pool.waiting == 0


async def test_many_texts_each_get_their_own_signature():
    pool, numbers = SigningPool("many"), range(500)

    answers = await asyncio.gather(*(pool.sign(lambda n=n: b"%d" % n) for n in numbers))

    assert answers == [b"%d" % n for n in numbers]
    pool.close()


def test_a_pool_serves_one_loop_after_the_other():
    """As a lane does that is built anew in the same process."""
    pool = SigningPool("loops")

    answers = [asyncio.run(pool.sign(lambda n=n: b"%d" % n)) for n in range(3)]

    assert answers == [b"0", b"1", b"2"]
    pool.close()


async def test_closing_drops_what_waits_and_ends_the_threads():
    pool = SigningPool("closing", threads=1)
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(PATIENCE_S)
        return b"late"

    running = asyncio.create_task(pool.sign(slow))
    waiting = asyncio.create_task(pool.sign(lambda: b"never"))
    while not begun.is_set():  # noqa: ASYNC110 - set by a thread
        await asyncio.sleep(0.001)
    threads = [each for each in threading.enumerate() if each.name.startswith("closing-rsa")]

    pool.close()
    go_on.set()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    running.cancel()
    assert len(threads) == 1
    threads[0].join(20)
    assert not threads[0].is_alive()


def test_no_key_in_a_text(pool):
    assert repr(pool.signer(KEY)) == "PooledSigner()"
