"""What `tillway trigger` makes so that an event of a payment or a refund happens.

Nothing is faked: the payment is made over HTTP like any till's, by an auth code whose ending the
sandboxes know, or by acting for its payer.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gateway.cli.client import call
from gateway.cli.payments import act, new_key

TIMEOUT_S: Final = 90
POLL_S: Final = 0.2
CODE_HEAD: Final = "28"
CODE_MIDDLE: Final = 12
DECLINED: Final = "9003"
WAITS_FOR_PIN: Final = "9002"
PAID: Final = "0001"

Make = Callable[[int, Path | None], dict[str, Any]]


def barcode(amount: int, ending: str, data: Path | None, wait: int = 10) -> dict[str, Any]:
    from payments.ids import Entropy

    middle = int.from_bytes(Entropy().bytes(8), "big") % 10**CODE_MIDDLE
    body = {
        "order_no": f"trigger-{new_key()}",
        "amount": amount,
        "currency": "cny",
        "way": "barcode",
        "auth_code": f"{CODE_HEAD}{middle:0{CODE_MIDDLE}d}{ending}",
        "subject": "tillway trigger",
    }
    return post("/v1/payments", body, data, {"Prefer": f"wait={wait}"})


def _code(amount: int, data: Path | None) -> dict[str, Any]:
    body = {
        "order_no": f"trigger-{new_key()}",
        "amount": amount,
        "currency": "cny",
        "way": "qr",
        "wallet": "wechat",  # Its orders can be closed at once, also before anybody scanned them.
        "subject": "tillway trigger",
    }
    return post("/v1/payments", body, data)


def post(
    path: str, body: dict[str, Any], data: Path | None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    sent = {"Idempotency-Key": new_key(), **(headers or {})}
    return call("POST", path, body, data=data, headers=sent)


def succeeded(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment, paid at once."""
    return barcode(amount, PAID, data)


def _failed(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment without enough money."""
    return barcode(amount, DECLINED, data)


def _reversed(amount: int, data: Path | None) -> dict[str, Any]:
    """A barcode payment that waits for the PIN, canceled at the till."""
    made = barcode(amount, WAITS_FOR_PIN, data, wait=1)
    post(f"/v1/payments/{made['id']}/cancel", {}, data)
    return made


def _closed(amount: int, data: Path | None) -> dict[str, Any]:
    """A code that is canceled before anybody paid."""
    made = _code(amount, data)
    post(f"/v1/payments/{made['id']}/cancel", {}, data)
    return made


def _late_success(amount: int, data: Path | None) -> dict[str, Any]:
    """A code that is paid after it was closed: the money goes back by itself."""
    made = _closed(amount, data)
    until(lambda: call("GET", f"/v1/payments/{made['id']}", data=data)["status"] == "closed")
    act("pay_late", made["id"], data)
    return made


def _refund_succeeded(amount: int, data: Path | None) -> dict[str, Any]:
    """A payment, and all of it back."""
    made = succeeded(amount, data)
    post(f"/v1/payments/{made['id']}/refunds", {}, data)
    return made


PAYMENT_TRIGGERS: Final[dict[str, Make]] = {
    "payment.succeeded": succeeded,
    "payment.failed": _failed,
    "payment.reversed": _reversed,
    "payment.closed": _closed,
    "payment.late_success": _late_success,
    "refund.succeeded": _refund_succeeded,
}


def until(look: Callable[[], Any], timeout_s: int = TIMEOUT_S) -> Any:
    """What `look` finds, as soon as it finds something; else its last word."""
    from payments.clock import SystemClock

    clock = SystemClock()
    ends = clock.monotonic() + timeout_s
    while not (found := look()) and clock.monotonic() < ends:
        asyncio.run(asyncio.sleep(POLL_S))
    return found
