"""Prepare signed payments before a run, so that signing costs the load generator nothing.

A request line is: path, "Name: value" for each header, the body last, separated by tabs.
Order number, idempotency key, nonce and auth code are unique over all runs that use another
`tag`. Signatures are valid for 300 s around `created`: sign right before the run.
"""

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from load_tests.signing import MerchantKey, Signer, post_signer

PAYMENTS_PATH: Final = "/v1/payments"
TAG_DIGITS: Final = 7
SEQUENCE_DIGITS: Final = 8
TAG_NS: Final = 100_000_000
"""A process starts its tags a tenth of a second after an older process did, at least."""

REQUESTS_MAX: Final = 10**SEQUENCE_DIGITS
RESERVED_ENDINGS: Final = range(9001, 9013)
"""The endings that make a simulated channel misbehave; a load run avoids them."""

WALLET_HEADS: Final = ("13", "28", "10", "25", "620", "15")
"""How auth codes of WeChat, Alipay and UnionPay begin, in rotation.

16 digits follow: UnionPay's codes have 19 digits, the others 18.
"""

AMOUNT_MINOR_MIN: Final = 100
AMOUNT_MINOR_SPAN: Final = 4_900


@dataclass(frozen=True, slots=True)
class Plan:
    """Which payments to prepare: `count` of them, spread over keys and terminals in turn."""

    keys: Sequence[MerchantKey]
    authority: str
    tag: int
    count: int
    send_merchant: bool = False
    first: int = 0

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("there is no merchant to pay to")
        if not 0 <= self.tag < 10**TAG_DIGITS:
            raise ValueError(f"tag {self.tag} has more than {TAG_DIGITS} digits")
        if self.first + self.count > REQUESTS_MAX:
            raise ValueError(f"more than {REQUESTS_MAX} requests under one tag")


_tags = itertools.count(time.time_ns() // TAG_NS)


def fresh_tag() -> int:
    """A tag that no other run has: tags start with the clock and come round after 11 days."""
    return next(_tags) % 10**TAG_DIGITS


def auth_code(tag: int, sequence: int) -> str:
    """The payer's code for one payment: unique, and never one with a reserved ending."""
    head = WALLET_HEADS[sequence % len(WALLET_HEADS)]
    # The reserved endings begin with 9, so a 7 in the place of the thousands avoids them all.
    thousands, units = divmod(sequence, 1000)
    return f"{head}{tag:0{TAG_DIGITS}d}{thousands:0{SEQUENCE_DIGITS - 3}d}7{units:03d}"


def order_no(tag: int, sequence: int) -> str:
    """The merchant's order number for one payment."""
    return f"L{tag:0{TAG_DIGITS}d}-{sequence:0{SEQUENCE_DIGITS}d}"


def body_of(plan: Plan, sequence: int, key: MerchantKey) -> bytes:
    """The JSON body of one payment."""
    turn = sequence // len(plan.keys)
    terminal = key.terminals[turn % len(key.terminals)]
    amount_minor = AMOUNT_MINOR_MIN + sequence * 37 % AMOUNT_MINOR_SPAN
    return (
        f'{{"order_no":"{order_no(plan.tag, sequence)}","amount":{amount_minor},'
        f'"currency":"cny","way":"barcode","auth_code":"{auth_code(plan.tag, sequence)}",'
        f'"terminal":"{terminal}","subject":"noodles"}}'
    ).encode()


def request_lines(plan: Plan, created: int) -> Iterator[str]:
    """The request lines of a plan, without line ends; `created` in seconds since 1970."""
    signers: list[tuple[MerchantKey, Signer, str]] = [
        (
            key,
            post_signer(
                key, plan.authority, PAYMENTS_PATH, created, send_merchant=plan.send_merchant
            ),
            f"\tTillway-Merchant: {key.merchant}" if plan.send_merchant else "",
        )
        for key in plan.keys
    ]
    turns = itertools.islice(itertools.cycle(signers), plan.first % len(signers), None)
    for sequence in range(plan.first, plan.first + plan.count):
        key, sign, merchant_field = next(turns)
        idempotency_key = f"k{order_no(plan.tag, sequence)}"
        body = body_of(plan, sequence, key)
        digest, signature_input, signature = sign(body, idempotency_key, f"n{idempotency_key}")
        yield (
            f"{PAYMENTS_PATH}\tContent-Digest: {digest}\tIdempotency-Key: {idempotency_key}"
            f"\tSignature-Input: {signature_input}\tSignature: {signature}{merchant_field}"
            f"\t{body.decode()}"
        )


def write_requests(plan: Plan, path: Path) -> int:
    """Write the request file for wrk; return `created`, in seconds since 1970."""
    created = now_s()
    with path.open("w", encoding="ascii", buffering=1 << 20) as file:
        file.writelines(f"{line}\n" for line in request_lines(plan, created))
    return created


def raw_request(line: str, authority: str) -> bytes:
    """The bytes of an HTTP/1.1 request for one request line."""
    path, *headers, body = line.split("\t")
    head = "\r\n".join(headers)
    return (
        f"POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n"
        f"{head}\r\nContent-Length: {len(body.encode())}\r\n\r\n{body}"
    ).encode()


def load_keys(path: Path) -> list[MerchantKey]:
    """Read keys from a JSON file: [{merchant, key_id, secret, terminals[]}, …]."""
    return [
        MerchantKey(row["merchant"], row["key_id"], row["secret"], tuple(row["terminals"]))
        for row in json.loads(path.read_text())
    ]


def now_s() -> int:
    """What `created` has to be for requests that are sent at once."""
    return int(time.time())
