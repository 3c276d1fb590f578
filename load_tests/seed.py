"""The seed file: merchants, terminals and keys that a gateway starts with.

The one place that knows the file's format. Ids follow the public rule: a prefix, then 24
characters (10 of time, 3 of partition, 11 that make it unique).
"""

import base64
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load_tests.signing import MerchantKey

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SHARED_PARTITIONS: Final = 256
PARTS_MAX: Final = 64
SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "hs_test_"


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """How many merchants to register, how many of them get a key and are returned."""

    merchants: int
    keyed: int
    terminals: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.keyed <= self.merchants:
            raise ValueError(f"{self.keyed} keys for {self.merchants} merchants")
        if not 1 <= self.terminals < PARTS_MAX:
            raise ValueError(f"{self.terminals} terminals for a merchant")


def _characters(value: int, length: int) -> str:
    return "".join(ALPHABET[value >> 5 * place & 31] for place in reversed(range(length)))


def _body(now_ms: int, merchant: int, part: int) -> str:
    """The body of an id: one of the merchant's parts, all of them in the merchant's partition."""
    partition = merchant % SHARED_PARTITIONS
    unique = merchant * PARTS_MAX + part
    return _characters(now_ms, 10) + _characters(partition, 3) + _characters(unique, 11)


def read_seed(path: Path) -> list[MerchantKey]:
    """The keys in a seed file that `write_seed` wrote."""
    return [
        MerchantKey(
            row["id"],
            key["id"],
            key["secret"],
            tuple(terminal["id"] for store in row["stores"] for terminal in store["terminals"]),
        )
        for row in json.loads(path.read_text(encoding="utf-8"))["merchants"]
        for key in row.get("keys", ())
    ]


def write_seed(
    plan: SeedPlan, path: Path, before: Sequence[dict[str, object]] = ()
) -> list[MerchantKey]:
    """Write the seed file; return the keys of the first `plan.keyed` merchants.

    `before`: merchants that the data directory knows already, which come first.
    """
    now_ms = time.time_ns() // 1_000_000
    keys = []
    rows = list(before)
    for number in range(plan.merchants):
        body = _body(now_ms, number, 0)
        terminals = [f"trm_{_body(now_ms, number, n + 1)}" for n in range(plan.terminals)]
        row: dict[str, object] = {
            "id": f"mch_{body}",
            "name": f"Load test {number}",
            "stores": [
                {
                    "id": f"sto_{body}",
                    "name": "Counter",
                    "terminals": [{"id": terminal} for terminal in terminals],
                }
            ],
        }
        if number < plan.keyed:
            secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
            key = MerchantKey(f"mch_{body}", f"key_{body}", secret, tuple(terminals))
            keys.append(key)
            row["keys"] = [{"id": key.key_id, "type": "hmac-sha256", "secret": secret}]
        rows.append(row)
    path.touch(0o600)
    path.write_text(json.dumps({"merchants": rows}), encoding="utf-8")
    return keys
