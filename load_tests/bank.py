"""The bank's sandbox as a stranger starts and asks it, and the settings that name it to a gateway.

Its own books say what was ordered: nothing of it is asked of the gateway that is measured.
"""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from load_tests.gateway import COMMAND
from load_tests.process import Server

READY_TIMEOUT_S: Final = 120.0
ASK_TIMEOUT_S: Final = 30.0
ALONE_MAX_MINOR: Final = 100_000_000_000
"""Up to it policy checks a payout: no day of a made-up shop comes to as much."""

SETTINGS: Final = """
[bank]
name = "sandbox"
base_url = "{url}"
customer_id = "{customer}"
custody_account = "{account}"
customer_key = "file:{ours}"
bank_key = "file:{theirs}"
poll_s = 1
sandbox = true

[settlement]
payout_minute = 0
alone_max_minor = {alone_max}
open_on = [{date}]
"""


@dataclass(frozen=True, slots=True)
class Order:
    """What the bank was told to pay, and to which account. Minor units."""

    account: str
    amount: int
    message: str


class Bank(Server):
    """A running sandbox of the bank. `folder`: where its keys and the gateway's settings go."""

    def __init__(self, folder: Path, log: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        argv = [*COMMAND, "sandbox", "bank", "--port", "0", "--json"]
        super().__init__(argv, log, ready_timeout_s=READY_TIMEOUT_S)

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def settings(self, date: int) -> Path:
        """A settings file for a gateway that pays out by this bank on a day (yyyymmdd).

        The day is worked, whatever the calendar says, and payouts begin with it.
        """
        told = self.ready["credentials"]
        ours, theirs = self._folder / "customer.pem", self._folder / "bank.pem"
        for path, pem in (
            (ours, told["signing_private_key_pem"]),
            (theirs, told["bank_public_key_pem"]),
        ):
            path.touch(0o600)
            path.write_text(pem, encoding="utf-8")
        path = self._folder / "bank.toml"
        text = SETTINGS.format(
            url=self.url,
            customer=told["customer_id"],
            account=told["custody_account"],
            ours=ours.resolve(),
            theirs=theirs.resolve(),
            alone_max=ALONE_MAX_MINOR,
            date=date,
        )
        path.write_text(text, encoding="utf-8")
        return path

    def credit(self, reference: str, amount_minor: int, remittance: str) -> None:
        """A channel pays into the account: once for a reference, however often it is said."""
        body = {"reference": reference, "amount_minor": amount_minor, "remittance": remittance}
        self._ask("/_sandbox/credit", json.dumps(body).encode())

    def orders(self) -> list[Order]:
        """Every payment that it was told to make, signed by the gateway's key."""
        payments = self._ask("/_sandbox/books")["payments"]
        return [
            Order(each["account"], each["amount_minor"], each["message_id"]) for each in payments
        ]

    def _ask(self, path: str, body: bytes | None = None) -> dict[str, Any]:
        url = self.url + path
        with urllib.request.urlopen(url, body, timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310 - loopback
            told: dict[str, Any] = json.load(answer)
        return told
