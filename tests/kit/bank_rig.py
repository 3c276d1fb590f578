"""A bank's sandbox on a socket, our client before it, and a stranger who signs by hand."""

import functools
import io
import json
from random import Random

import aiohttp
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from payments.calendar import rfc3339
from payments.channels.bank import wire
from payments.channels.bank.connector import HTTP, BankClient, BankSettings
from payments.channels.bank.desk import CUSTODY_ACCOUNT
from payments.channels.bank.identity import Identity
from payments.channels.bank.sandbox import BankSandbox
from payments.channels.http import PooledClient
from payments.channels.sandbox.app import SandboxSettings, serve
from payments.channels.signing import SigningPool
from payments.clock import ManualClock
from payments.iso20022 import pain001
from payments.iso20022.pain001 import CreditTransfer, PaymentOrder

TODAY = 20261118
"""The day on which a `ManualClock` starts, in China: it is in the afternoon."""


@functools.cache
def identity():
    """The bank's keys and its customer's, made once: they take longer than a test."""
    return Identity.open(None)


def transfer(number="E1", amount=1_000, account="6222000000000000", **changes):
    return replace(CreditTransfer(number, amount, "李四", account, "", "清算"), **changes)


def order(*items, number="M1", **changes):
    """An order of these items, or of one plain one."""
    head = (number, 1_795_000_000_000, "Tillway", f"P-{number}", TODAY, "Tillway")
    whole = PaymentOrder(*head, CUSTODY_ACCOUNT, "102100099996", items or (transfer(),))
    return replace(whole, **changes)


class Bank:
    """One sandbox and its customer. `clock` is the sandbox's and the client's."""

    def __init__(self, folder=None, timeout_s=60.0, late_s=0.5):
        self.clock = ManualClock()
        self.folder, self.timeout_s, self.late_s = folder, timeout_s, late_s
        self.pool = SigningPool("bank-test")
        self.nonces = Random(7)
        self.key = serialization.load_pem_private_key(
            identity().customer_private_pem.encode(), None
        )
        self.bank_key = serialization.load_pem_public_key(identity().bank_public_pem.encode())
        self.http = None

    async def start(self):
        self.sandbox = BankSandbox(
            SandboxSettings(self.folder), self.clock, Random(7), identity(), self.late_s
        )
        self.served = await serve(self.sandbox)
        self.http = PooledClient(HTTP)
        self.client = self.client_over(self.http)
        return self

    async def stop(self):
        await self.http.close()
        await self.served.stop()

    async def restart(self):
        """Another process over the same folder, with its own idea of business time."""
        await self.stop()
        self.clock = ManualClock(self.clock.current_ms)
        await self.start()

    def client_over(self, http):
        given = self.sandbox.credentials()
        settings = BankSettings(
            self.served.url,
            given["customer_id"],
            given["custody_account"],
            *(given["paths"][name] for name in ("payments", "status", "statements")),
            timeout_s=self.timeout_s,
        )
        signer, verifier = self.pool.signer(self.key), self.pool.verifier(self.bank_key)
        return BankClient(settings, http, signer, verifier, self.clock, self.nonce)

    def nonce(self):
        return f"{self.nonces.getrandbits(128):032x}"

    # --- what a test does to the bank ----------------------------------------------------------

    async def helper(self, method, name, body=None):
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, f"{self.served.url}/_sandbox/{name}", json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def fund(self, amount=100_000, reference="S1"):
        status, said = await self.helper(
            "POST",
            "credit",
            {"amount_minor": amount, "remittance": "清算 20261117", "reference": reference},
        )
        assert 200 == status, said
        return said

    async def books(self):
        return (await self.helper("GET", "books"))[1]

    async def move(self, **how):
        return await self.helper("POST", "clock", how)

    async def faults(self, **faults):
        status, said = await self.helper("POST", "faults", faults)
        assert 200 == status, said

    async def payouts(self):
        """What left the account: number -> amounts."""
        found = {}
        for each in (await self.books())["movements"]:
            if each["kind"] == "payout":
                found.setdefault(each["end_to_end_id"], []).append(each["amount_minor"])
        return found

    # --- a stranger ----------------------------------------------------------------------------

    async def by_hand(self, method, target, body=b"", **changes):
        """A request signed without our client. `changes` replace what is right, header by header,
        after the signature was made. Returns status, headers and body, whose seal was verified.
        """
        date, nonce = rfc3339(self.clock.real_ms()), self.nonce()
        headers = {wire.CUSTOMER: "TILLWAY01", wire.DATE: date, wire.NONCE: nonce}
        headers |= changes.pop("signed", {})
        body_signed = changes.pop("body_signed", body)
        text = (
            f"request\n{method}\n{changes.pop('target_signed', target)}\n{headers[wire.CUSTOMER]}\n"
            f"{headers[wire.DATE]}\n{headers[wire.NONCE]}\n{wire.digest(body_signed)}\n"
        )
        headers[wire.SIGNATURE] = wire.to_base64(wire.sign(self.key, text.encode()))
        headers |= changes
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                self.served.url + target,
                data=io.BytesIO(body) if body else None,
                headers=headers,
            ) as answer,
        ):
            raw = await answer.read()
            said = answer.headers
            sealed = f"answer\n{answer.status}\n{said[wire.DATE]}\n{said[wire.NONCE]}\n"
            sealed += wire.digest(raw) + "\n"
            signature = wire.from_base64(said[wire.SIGNATURE])
            assert wire.is_signed(self.bank_key, sealed.encode(), signature), "the bank's seal"
            return answer.status, dict(said), raw

    async def error_of(self, *args, **kwargs):
        status, _, raw = await self.by_hand(*args, **kwargs)
        return status, json.loads(raw)["error"]


def message(*items, **changes):
    return pain001.encode(order(*items, **changes))
