"""What the baselines share: their command line, their ready line, their reply."""

import argparse
import base64
import hashlib
import hmac
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from load_tests.signing import SIGNATURE_LABEL, STAND_IN_KEY

READY_TIMEOUT_S: Final = 60.0
POLL_S: Final = 0.1
RAY_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Ray's workers are nice by 15 unless told otherwise: the baseline gets what we get.
    "RAY_worker_niceness": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}
"""Set for baselines on Ray before their process starts."""

RAY_CPUS: Final = 8
"""In Ray's books only: nothing waits for a processor that Ray does not count."""


def arguments() -> argparse.Namespace:
    """--port to serve on (loopback only) and --data, an empty folder."""
    command = argparse.ArgumentParser()
    command.add_argument("--port", type=int, required=True)
    command.add_argument("--data", type=Path, required=True)
    return command.parse_args()


def say_ready(port: int) -> None:
    """Print the line that says where payments are taken."""
    line = json.dumps({"ready": True, "api": f"http://127.0.0.1:{port}"})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _wait_and_say(port: int) -> None:
    url = f"http://127.0.0.1:{port}/v1/payments"
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=POLL_S).close()
        except urllib.error.HTTPError:
            say_ready(port)  # It refuses a GET, so it is there.
            return
        except OSError:
            time.sleep(POLL_S)
            continue
        say_ready(port)
        return


def say_when_ready(port: int) -> None:
    """Print the ready line as soon as the port answers HTTP, from a thread of its own."""
    threading.Thread(target=_wait_and_say, args=(port,), daemon=True).start()


def is_signed(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a request bears the stand-in key's signature (RFC 9421, HMAC-SHA256).

    What everybody who takes signed payments has to do, in the fewest steps: the covered fields are
    known beforehand, the digest is made and the signature compared in constant time.
    """
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if headers.get("content-digest") != f"sha-256=:{digest}:":
        return False
    label, _, parameters = headers.get("signature-input", "").partition("=")
    base = (
        f'"@method": {method}\n"@authority": {headers.get("host")}\n"@path": {path}\n"@query": ?\n'
        f'"content-digest": sha-256=:{digest}:\n"idempotency-key": '
        f'{headers.get("idempotency-key")}\n"@signature-params": {parameters}'
    )
    made = base64.b64encode(hmac.digest(STAND_IN_KEY.hmac_key, base.encode(), "sha256")).decode()
    told = headers.get("signature", "")
    return label == SIGNATURE_LABEL and hmac.compare_digest(told, f"{SIGNATURE_LABEL}=:{made}:")
