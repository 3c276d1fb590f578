"""The gateway as a stranger sees it: a command, its ready line, its exit code.

Everything that knows the command line stands in this file.
"""

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from load_tests.process import Server, ServerFailed
from load_tests.seed import SeedPlan, read_seed, write_seed
from load_tests.signing import MerchantKey

COMMAND: Final = (sys.executable, "-m", "gateway.cli")
VERIFY_TIMEOUT_S: Final = 7_200
"""Every row of a million payments is recomputed: minutes, and more on a machine that is busy."""
SEED_BULK_TIMEOUT_S: Final = 3_600
CLOCK_TIMEOUT_S: Final = 300
READY_TIMEOUT_S: Final = 120.0
READY_POLL_S: Final = 0.5
DEFAULT_SEED: Final = SeedPlan(merchants=64, keyed=64)


class CommandFailed(RuntimeError):
    """A command of the gateway ended with an exit code that is not 0."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the gateway is started for a figure."""

    front_doors: int = 2
    shards: int = 1
    runtime: str = "ray"
    channel_latency_ms: int = 0
    seed: SeedPlan = DEFAULT_SEED
    modules: tuple[str, ...] = ()
    """Which parts are served; none named: what the configuration says."""
    port: int = 0
    """Where it listens; 0: on a free port."""
    config: Path | None = None
    """A settings file; none: only what the defaults say."""

    def with_shards(self, shards: int) -> Self:
        """The same with another number of shards."""
        return replace(self, shards=shards)


def serve_argv(options: Options, data: Path, seed_file: Path | None) -> list[str]:
    """The command line that serves on free ports with the simulated channel.

    Without a seed file it serves the merchants that the data directory has already.
    """
    argv = [*COMMAND, "serve", "--json", "--port", str(options.port), "--admin-port", "0"]
    argv += ["--drain-grace", "0"]  # No balancer has to look away first.
    argv += ["--data", str(data), "--runtime", options.runtime]
    argv += ["--front-doors", str(options.front_doors), "--shards", str(options.shards)]
    argv += ["--channels", "simulated"]
    argv += ["--channel-latency-ms", str(options.channel_latency_ms)]
    if options.modules:
        argv += ["--modules", ",".join(options.modules)]
    if options.config is not None:
        argv += ["--config", str(options.config)]
    return argv if seed_file is None else [*argv, "--seed-file", str(seed_file)]


def seed_file_of(data: Path) -> Path:
    """Where the merchants and keys of a data directory are written."""
    return data.parent / f"{data.name}.seed.json"


class Gateway(Server):
    """A running gateway that the load test started, with keys that may pay."""

    def __init__(self, options: Options, data: Path, log: Path, *, plant: bool = True) -> None:
        """Start it. Without `plant`, on a data directory that an earlier start has planted."""
        data.mkdir(parents=True, exist_ok=True)
        seed_file = seed_file_of(data)
        if not seed_file.exists():
            write_seed(options.seed, seed_file)
        self.keys: list[MerchantKey] = read_seed(seed_file)
        self.data = data
        argv = serve_argv(options, data, seed_file if plant else None)
        super().__init__(argv, log, ready_timeout_s=READY_TIMEOUT_S)
        try:
            self._wait_until_it_can_pay(time.monotonic() + READY_TIMEOUT_S)
        except BaseException:
            self.stop()
            raise

    def _wait_until_it_can_pay(self, deadline: float) -> None:
        """Ask the admin port: the ready line may be printed before the last part is up."""
        url = f"{self.ready['admin']}/readyz"
        while time.monotonic() < deadline and self.is_running():
            try:
                urllib.request.urlopen(url, timeout=READY_POLL_S).close()  # noqa: S310 - loopback
            except OSError:  # Not ready yet (503), or nobody listens yet.
                time.sleep(READY_POLL_S)
                continue
            return
        raise ServerFailed(f"{url} never said ready\n{self.log_tail()}")

    @property
    def api_key(self) -> str:
        """A bearer key that may read the ledger."""
        return str(self.ready["api_key"])


def _run_json(arguments: list[str], timeout_s: int) -> dict[str, Any]:
    """Run a command of the gateway and read the JSON object on its last line."""
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout_s, check=False
    )
    lines = done.stdout.strip().splitlines()
    # Exit code 1 means "looked and found something wrong": the answer is still wanted.
    if done.returncode not in (0, 1) or not lines:
        raise CommandFailed(f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"[-4000:])
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def verify_ledger(data: Path) -> dict[str, Any]:
    """Have a stopped gateway's books recomputed.

    {"ok", "payments": {status: count}, "entries", "doubled", "trial_balance", "chain_ok"}
    """
    return _run_json(["ledger", "verify", "--data", str(data), "--json"], VERIFY_TIMEOUT_S)


def move_clock(data: Path, to: str) -> None:
    """Have the business time of a running gateway go forward to an instant, RFC 3339."""
    words = ["clock", "advance", to, "--timeout", str(CLOCK_TIMEOUT_S), "--data", str(data)]
    told = _run_json([*words, "--json"], 2 * CLOCK_TIMEOUT_S)
    if told["status"] != "ready":
        raise CommandFailed(f"the clock did not reach {to} in {CLOCK_TIMEOUT_S} s: {told}")


def seed_bulk(data: Path, seed: SeedPlan, payments: int) -> None:
    """Put `payments` finished payments of the seed's merchants into an empty data directory."""
    write_seed(seed, seed_file_of(data))
    arguments = ["migrate", "seed-bulk", "--json", "--data", str(data)]
    arguments += ["--seed-file", str(seed_file_of(data)), "--payments", str(payments)]
    _run_json(arguments, SEED_BULK_TIMEOUT_S)
