"""What the store costs: processor time per payment of its two commits and its probe.

    python tests/benchmarks/store.py FOLDER [STORED …] [--batch 128] [--count 51200]

For each number of payments already stored (0, 300000, 2000000 unless told), a file is made in
FOLDER once, copied, and given `count` payments more in batches: probe, intent, outcome with entry,
event and some balances. Prints a JSON line each. The rows are made before the clock runs, and as
many spots wait in memory as in a store that has been running for long. Time is that of all threads
of the process, so checkpoints are in it; the least of twenty stretches says what it costs on a
quiet machine, the median what it cost on this one.
"""

import argparse
import asyncio
import gc
import json
import random
import shutil
import statistics
import time
from pathlib import Path

from payments.ids import IdMint, SeededEntropy
from payments.reference import Merchant, MerchantStatus
from payments.storage.base import Batch
from payments.storage.bulk import make_payments
from payments.storage.bulk_rows import Maker
from payments.storage.seek import PENDING_MAX, PLACE_SHIFT, PLACES
from payments.storage.sqlite import SqliteStore

MERCHANTS = 100_000
STRETCHES = 20
NOW_MS = 1_795_000_000_000
FOLDS_PER_COMMIT = 24


def make_merchants() -> list[Merchant]:
    mint = IdMint(SeededEntropy(9))
    return [
        Merchant(mint.new("mch", 1, no % 256), no, "A shop", MerchantStatus.ACTIVE, no % 256)
        for no in range(1, MERCHANTS + 1)
    ]


def make_batches(
    maker: Maker, count: int, size: int
) -> list[tuple[list[int], list[int], list[int], Batch, Batch]]:
    """What a shard would ask and commit, for `count` payments in frames of `size`."""
    made = []
    for _ in range(count // size):
        payments, entries, events = maker.rows(size, lambda no: NOW_MS + no // 8)
        intent, outcome = Batch.empty(), Batch.empty()
        intent.payments = [(*row[:7], NOW_MS, row[8]) for row in payments]
        intent.nonces = [(row[4] & (1 << 62) - 1, NOW_MS // 1000) for row in payments]
        outcome.payment_changes = [(None, row[8], row[0]) for row in payments]
        outcome.entries, outcome.events = entries, events
        outcome.balances = [
            (f"merchant:{row[2]}:pending", "CNY", row[0], row[0])
            for row in payments[:FOLDS_PER_COMMIT]
        ]
        outcome.marks = {"balance_floor": payments[0][0]}
        keys, orders = [row[4] for row in payments], [row[5] for row in payments]
        auths = [row[6] for row in payments if row[6] is not None]
        made.append((keys, orders, auths, intent, outcome))
    return made


def fill_memory(store: SqliteStore) -> None:
    """Spots as if the store had been running for long: each place with its share."""
    dice = random.Random(3)
    seek = store._seek
    share = PENDING_MAX // PLACES
    for place in range(-PLACES // 2, PLACES // 2):
        for index in range(max(0, share - len(seek._places.get(place, ())))):
            low = dice.getrandbits(PLACE_SHIFT - 33) << 33 | dice.getrandbits(31)
            seek._add(place << PLACE_SHIFT | low | (index % 4 == 3) << 32)


async def measure(path: Path, stored: int, count: int, size: int) -> dict[str, object]:
    store = SqliteStore(path)
    began = time.perf_counter()
    opened = store.open()
    open_s = time.perf_counter() - began
    if stored:
        fill_memory(store)
    maker = Maker(make_merchants(), "simulated", False, seed=stored + 7)
    maker.no = opened.payment_no
    batches = make_batches(maker, count, size)
    gc.collect()
    gc.freeze()
    per = max(1, len(batches) // STRETCHES)
    total_us, probe_us = [], []
    began = time.perf_counter()
    for first in range(0, len(batches), per):
        stretch = batches[first : first + per]
        probing, cpu = 0.0, time.process_time()
        for keys, orders, auths, intent, outcome in stretch:
            before = time.process_time()
            store.probe(keys, orders, auths)
            probing += time.process_time() - before
            await store.commit(intent)
            await store.commit(outcome)
        done = len(stretch) * size
        total_us.append((time.process_time() - cpu) / done * 1e6)
        probe_us.append(probing / done * 1e6)
    seconds = time.perf_counter() - began
    facts = store.facts()
    store.close()
    return {
        "stored": stored,
        "batch": size,
        "cpu_us_least": round(min(total_us), 1),
        "cpu_us_median": round(statistics.median(total_us), 1),
        "probe_us_least": round(min(probe_us), 2),
        "payments_per_s": round(len(batches) * size / seconds),
        "sync_ms_median": round(statistics.median(facts["sync_s"]) * 1000, 2),
        "checkpoints": facts["checkpoints"],
        "open_s": round(open_s, 2),
        "file_mb": facts["file_bytes"] >> 20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("stored", type=int, nargs="*", default=[0, 300_000, 2_000_000])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--count", type=int, default=51_200)
    asked = parser.parse_args()
    for stored in asked.stored:
        made = asked.folder / f"store-{stored}.db"
        if stored and not made.exists():
            make_payments(made, stored, make_merchants())
        path = asked.folder / "store-under-test.db"
        for each in asked.folder.glob(path.name + "*"):
            each.unlink()
        if stored:
            shutil.copy(made, path)
        print(json.dumps(asyncio.run(measure(path, stored, asked.count, asked.batch))))


if __name__ == "__main__":
    main()
