"""How fast bills are read: lines per second of one core, from a file on disk, all checks made.

    python tests/benchmarks/bills.py [--lines 1000000] [wechat wechat-gzip alipay unionpay]

Amounts of 1 to 500 yuan, all of them different from their neighbours, sold over the whole day; each
tenth line is a refund. Lines are counted and dropped, as a reader that passes them on does. Prints
a JSON line for each layout; time is the processor's, so that what else the machine does counts
little, and memory is the most that this process ever held.
"""

import argparse
import gzip
import io
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from payments.bills.lines import BillKind, BillLine, BillState
from payments.channels.alipay import bill as alipay
from payments.channels.unionpay import bill as unionpay
from payments.channels.wechat import bill as wechat
from payments.fees import FeePlan, fee

DATE = 20261121
MIDNIGHT_MS = 1_795_190_400_000
DAY_S = 86_400
ACCOUNT = "1900000001"
PLAN = FeePlan("bench", 6_000)
READERS = {
    "wechat": wechat.read,
    "wechat-gzip": wechat.read,
    "alipay": alipay.read,
    "unionpay": unionpay.read,
}


def lines(channel: str, count: int) -> Iterator[BillLine]:
    """A day's lines, by time."""
    for number in range(count):
        amount = 100 + number * 7919 % 49_901
        is_refund = number % 10 == 9
        yield BillLine(
            channel,
            ACCOUNT,
            BillKind.REFUND if is_refund else BillKind.PAYMENT,
            f"01K5AZ{number:020d}",
            f"R1AZ{number:020d}" if is_refund else "",
            f"42000000{number:020d}",
            f"50300000{number:020d}" if is_refund else "",
            MIDNIGHT_MS + number * DAY_S // count * 1000,
            DATE,
            BillState.SUCCEEDED,
            "cny",
            amount,
            amount,
            amount,
            0,
            0,
            fee(PLAN, amount),
        )


def write(name: str, path: Path, count: int) -> None:
    """A bill of the layout."""
    channel = name.partition("-")[0]
    made = lines(channel, count)
    if channel == "alipay":
        told = ((line, alipay.Details("two bowls of noodles", line.at_ms)) for line in made)
        path.write_bytes(alipay.write(ACCOUNT, DATE, told, MIDNIGHT_MS))
        return
    if channel == "wechat":
        details = wechat.Details("wx8888888888888888", "", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o")
        parts = wechat.write(wechat.BillType.ALL, ((line, details) for line in made))
    else:
        parts = unionpay.write(unionpay.Head(ACCOUNT, DATE), made)
    with path.open("wb") as file:
        if name != "wechat-gzip":
            file.writelines(parts)
            return
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) as packed:
            buffered = io.BufferedWriter(packed, 1_048_576)  # type: ignore[arg-type]
            buffered.writelines(parts)
            buffered.flush()


def measure(name: str, count: int, folder: Path) -> dict[str, object]:
    path = folder / name
    write(name, path, count)
    began, read = time.process_time(), 0
    with path.open("rb") as file:
        for _ in READERS[name](file, DATE):
            read += 1
    took = time.process_time() - began
    assert read == count, (read, count)
    return {
        "layout": name,
        "lines": count,
        "file_mib": round(path.stat().st_size / 2**20, 1),
        "lines_per_s": round(count / took),
        "memory_max_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("layouts", nargs="*", help=", ".join(READERS))
    parser.add_argument("--lines", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bills-") as folder:
        for name in args.layouts or READERS:
            print(json.dumps(measure(name, args.lines, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
