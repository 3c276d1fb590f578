"""`tillway sandbox bank` as a process: its line, a kill in the middle, the same bank again."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from bank_rig import message, transfer
from payments.channels.bank.connector import HTTP, BankClient, BankSettings, State
from payments.channels.http import PooledClient
from payments.channels.signing import SigningPool
from payments.channels.transport import HttpRequest
from payments.clock import SystemClock
from payments.ids import Entropy

TILLWAY = Path(sys.executable).parent / "tillway"
END_S = 60


class Process:
    """A sandbox of the bank over a folder."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [TILLWAY, "sandbox", "bank", "--port", "0", "--json", "--data", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ready = json.loads(self.process.stdout.readline())

    def end(self, number):
        self.process.send_signal(number)
        code = self.process.wait(END_S)
        self.process.stdout.close()
        return code


@pytest.fixture
async def http():
    client = PooledClient(HTTP)
    yield client
    await client.close()


def client_of(ready, http):
    told, pool = ready["credentials"], SigningPool("bank-acceptance")
    key = load_pem_private_key(told["signing_private_key_pem"].encode(), None)
    bank_key = load_pem_public_key(told["bank_public_key_pem"].encode())
    settings = BankSettings(ready["url"], told["customer_id"], told["custody_account"])
    signer, verifier = pool.signer(key), pool.verifier(bank_key)
    return BankClient(
        settings, http, signer, verifier, SystemClock(), lambda: Entropy().bytes(16).hex()
    )


async def post(http, url, body):
    return await http.send(HttpRequest("POST", url, {}, json.dumps(body).encode()))


async def test_a_killed_bank_comes_back_with_its_keys_and_books(tmp_path, http):
    """Killed the hard way after an order whose answer never came: it was taken once."""
    first = Process(tmp_path / "bank")
    assert {"ready", "channel", "url", "credentials"} == set(first.ready)
    credit = {"amount_minor": 5_000, "remittance": "", "reference": "S1"}
    answer = await post(http, first.ready["url"] + "/_sandbox/credit", credit)
    assert 200 == answer.status, answer.body
    sent = message(transfer(account="62228014"))
    (lost,) = await client_of(first.ready, http).submit(sent)
    assert -signal.SIGKILL == first.end(signal.SIGKILL)

    second = Process(tmp_path / "bank")
    client = client_of(second.ready, http)
    (again,) = await client.submit(sent)
    movements = await client.movements(0)

    assert (State.UNKNOWN, State.PAID) == (lost.state, again.state)
    assert first.ready["credentials"] == second.ready["credentials"]
    assert [("credit", 5_000), ("payout", 1_000)] == [
        (each.kind, each.amount_minor) for each in movements
    ]
    assert 0 == second.end(signal.SIGTERM)
