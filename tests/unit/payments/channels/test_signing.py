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
PATIENCE_S = 20.0


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


def test_no_key_in_a_text(pool):
    assert repr(pool.signer(KEY)) == "PooledSigner()"
