"""Ask the gateway which payments it has for given order numbers, with signed GETs."""

import json
import time
from collections.abc import Iterable
from typing import Final

import uvloop

from load_tests.http1 import Answer, ask_all
from load_tests.presign import PAYMENTS_PATH
from load_tests.signing import MerchantKey, get_headers

CONNECTIONS: Final = 32


class LookupFailed(RuntimeError):
    """The gateway refused to list payments."""


def _request(authority: str, key: MerchantKey, order_no: str, created: int) -> bytes:
    query = f"order_no={order_no}"
    headers = get_headers(key, authority, PAYMENTS_PATH, query, created)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {PAYMENTS_PATH}?{query} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n".encode()


def _ids(order_no: str, answer: Answer) -> list[str]:
    if answer.status != 200:
        raise LookupFailed(f"{order_no}: {answer.status} {answer.body[:300]!r}")
    return [payment["id"] for payment in json.loads(answer.body)["data"]]


def payments_of(url: str, orders: Iterable[tuple[str, MerchantKey]]) -> dict[str, list[str]]:
    """Order number -> ids of its payments, asked with the key of its merchant."""
    wanted = list(orders)
    created = int(time.time())
    authority = url.removeprefix("http://")
    requests = [_request(authority, key, order_no, created) for order_no, key in wanted]
    answers = uvloop.run(ask_all(url, requests, CONNECTIONS))
    return {
        order_no: _ids(order_no, answer)
        for (order_no, _), answer in zip(wanted, answers, strict=True)
    }
