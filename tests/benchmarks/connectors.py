"""What a connector costs beside RSA: processor time per payment over a real socket.

    python tests/benchmarks/connectors.py [--count 2000] [--at-once 32] [wechat alipay unionpay]

The sandbox is a process of its own; here are the connector, its HTTP client and its signing pool,
put together as a lane does it, and nothing else: no link, no shard. Time is that of all threads of
this process. RSA is measured alone, one signature and one check. Prints a JSON line for each
channel; the least of ten stretches says what it costs on a quiet machine, the median what it cost
on this one. The exit code is 1 when the median of a channel is over the bar of 1.3 times RSA.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from random import Random
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from payments.channels.base import Approved, Channel, PayOrder
from payments.channels.http import HttpSettings, PooledClient
from payments.channels.kinds import Account, Wires, make
from payments.channels.signing import SigningPool
from payments.clock import SystemClock
from payments.payment import Way

STRETCHES = 10
OWN_TO_RSA_MAX = 1.3
RSA_ROUNDS = 300
CODES = {"wechat": ("13", 18), "alipay": ("28", 18), "unionpay": ("62", 19)}
PLAIN = {
    "wechat": ("mchid", "appid", "merchant_serial"),
    "alipay": ("app_id", "seller_id"),
    "unionpay": ("serv_prov_id", "mer_id"),
}
SECRET = {
    "wechat": {"merchant_private_key": "merchant_private_key_pem", "api_v3_key": "api_v3_key"},
    "alipay": {"app_private_key": "app_private_key_pem"},
    "unionpay": {"merchant_private_key": "merchant_private_key_pem"},
}
PUBLIC = {
    "wechat": "public_key_pem",
    "alipay": "alipay_public_key_pem",
    "unionpay": "platform_public_key_pem",
}


def rsa_us() -> float:
    """One signature and one check."""
    key = generate_private_key(public_exponent=65_537, key_size=2048)
    text, padding, digest = b"x" * 400, PKCS1v15(), SHA256()
    signature, public = key.sign(text, padding, digest), key.public_key()
    began = time.process_time()
    for _ in range(RSA_ROUNDS):
        key.sign(text, padding, digest)
        public.verify(signature, text, padding, digest)
    return (time.process_time() - began) / RSA_ROUNDS * 1e6


def account_of(kind: str, ready: dict[str, Any]) -> Account:
    told = ready["credentials"]
    name = told.get("public_key_id", kind)
    return Account(
        name=kind,
        base_url=ready["url"],
        notify_url="",
        ids={each: told[each] for each in PLAIN[kind]},
        keys={each: told[field].encode() for each, field in SECRET[kind].items()},
        named_keys={name: told[PUBLIC[kind]].encode()},
    )


def order(kind: str, number: int) -> PayOrder:
    prefix, digits = CODES[kind]
    code = f"{prefix}{number:0{digits - 6}d}0001"
    created = SystemClock().now_ms() // 1000 * 1000
    return PayOrder(
        f"01BENCH{number:019d}", 3_800, "cny", Way.BARCODE, kind, "mch_1", code, created=created
    )


async def stretch(channel: Channel, kind: str, first: int, count: int, at_once: int) -> float:
    """CPU microseconds a payment."""
    numbers = iter(range(first, first + count))

    async def work() -> None:
        for number in numbers:
            outcome = await channel.pay(order(kind, number))
            assert isinstance(outcome, Approved), outcome

    began = time.process_time()
    async with asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(work())
    return (time.process_time() - began) / count * 1e6


async def measure(kind: str, ready: dict[str, Any], count: int, at_once: int) -> list[float]:
    http, pool = PooledClient(HttpSettings()), SigningPool("bench")
    channel = make(kind, account_of(kind, ready), Wires(http, pool, SystemClock(), Random(1)))
    size = count // STRETCHES
    costs = [await stretch(channel, kind, at * size, size, at_once) for at in range(STRETCHES + 1)]
    await http.close()
    pool.close()
    return costs[1:]  # The first one opens connections.


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=list(CODES))
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--at-once", type=int, default=32)
    asked = parser.parse_args()
    worst = 0.0
    for kind in asked.kinds:
        argv = [sys.executable, "-m", "gateway.cli", "sandbox", kind, "--port", "0", "--json"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as sandbox:
            assert sandbox.stdout is not None
            ready = json.loads(sandbox.stdout.readline())
            before = rsa_us()
            costs = uvloop.run(measure(kind, ready, asked.count, asked.at_once))
            sandbox.terminate()
        # A shared machine's speed changes within seconds: RSA is measured on both sides.
        rsa, median = (before + rsa_us()) / 2, statistics.median(costs)
        worst = max(worst, (median - rsa) / rsa)
        line = {
            "channel": kind,
            "rsa_us": round(rsa, 1),
            "least_us": round(min(costs), 1),
            "median_us": round(median, 1),
            "least_without_rsa_to_rsa": round((min(costs) - rsa) / rsa, 3),
            "median_without_rsa_to_rsa": round((median - rsa) / rsa, 3),
        }
        sys.stdout.write(json.dumps(line) + "\n")
    return int(worst > OWN_TO_RSA_MAX)


if __name__ == "__main__":
    sys.exit(main())
