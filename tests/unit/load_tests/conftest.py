"""What the load tests' own tests share: keys, and a program that stands for the gateway."""

import base64
import sys
from pathlib import Path

import pytest

from load_tests import gateway
from load_tests.signing import MerchantKey

STUB = Path(__file__).with_name("stub_gateway.py")


@pytest.fixture
def keys():
    """Three merchants with two terminals each."""
    return [
        MerchantKey(
            merchant=f"mch_{number}",
            key_id=f"key_{number}",
            secret="hs_test_" + base64.b64encode(bytes([number] * 32)).decode(),
            terminals=(f"trm_{number}_a", f"trm_{number}_b"),
        )
        for number in range(3)
    ]


@pytest.fixture
def stub_gateway(monkeypatch):
    """The gateway's command line, answered by a small program of our own."""
    monkeypatch.setattr(gateway, "COMMAND", (sys.executable, str(STUB)))
