"""`tillway sandbox NAME`: a channel's or the bank's, as a process of its own, for any client.

    python -m gateway.sandbox_process '[{"name": "wechat", "port": 0, …}, …]'

is how the demo has several in one process, without the command line around them.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import uvloop

from gateway.logs import get_logger, setup_logging
from gateway.settings import SettingsError
from payments.channels.sandbox.app import Sandbox, SandboxSettings, Served, serve
from payments.clock import SystemClock
from payments.ids import Entropy

FOLDER_MODE: Final = 0o700
SEED_BYTES: Final = 8
READ_BYTES: Final = 4_096

log = get_logger(__name__)


class Wanted(msgspec.Struct, frozen=True):
    """A sandbox to serve. `port`: 0 for any; `folder`: None keeps nothing."""

    name: str
    host: str
    port: int
    folder: str | None = None


def _wechat(settings: SandboxSettings, clock: SystemClock, random: Random) -> Sandbox:
    from payments.channels.wechat.sandbox import WeChatSandbox

    return WeChatSandbox(settings, clock, random)


def _alipay(settings: SandboxSettings, clock: SystemClock, random: Random) -> Sandbox:
    from payments.channels.alipay.sandbox import AlipaySandbox

    return AlipaySandbox(settings, clock, random)


def _unionpay(settings: SandboxSettings, clock: SystemClock, random: Random) -> Sandbox:
    from payments.channels.unionpay.sandbox import UnionpaySandbox

    return UnionpaySandbox(settings, clock, random)


def _bank(settings: SandboxSettings, clock: SystemClock, random: Random) -> Sandbox:
    from payments.channels.bank.sandbox import BankSandbox

    return BankSandbox(settings, clock, random)


SANDBOXES: Final[dict[str, Callable[[SandboxSettings, SystemClock, Random], Sandbox]]] = {
    "wechat": _wechat,
    "alipay": _alipay,
    "unionpay": _unionpay,
    "bank": _bank,
}


def open_sandbox(name: str, folder: Path | None, seed: int | None) -> Sandbox:
    """A sandbox over its folder. Raise SettingsError when the folder cannot be used."""
    if seed is None:
        seed = int.from_bytes(Entropy().bytes(SEED_BYTES), "big")
    try:
        if folder is not None:
            folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        return SANDBOXES[name](
            SandboxSettings(folder),
            SystemClock(),
            Random(seed),  # noqa: S311 - a sandbox's numbers
        )
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}") from None
    except Exception as error:
        # Books that another process has, or files that are none of ours: its words are for people.
        raise SettingsError(f"the sandbox cannot open {folder}: {error}") from None


def credentials_of(sandbox: Any, url: str) -> dict[str, Any]:
    """What a client needs; Alipay's have the gateway's whole address among them."""
    try:
        made: dict[str, Any] = sandbox.credentials(url)
    except TypeError:
        made = sandbox.credentials()
    return made


def run(
    name: str,
    *,
    host: str,
    port: int,
    folder: Path | None,
    seed: int | None,
    as_json: bool,
    with_parent: bool,
) -> int:
    """Serve until SIGTERM or Ctrl-C, or until standard input ends (`with_parent`)."""
    setup_logging(None)
    wanted = (Wanted(name, host, port, None if folder is None else str(folder)),)
    return uvloop.run(_live(wanted, seed, as_json, with_parent))


async def _live(
    wanted: Sequence[Wanted], seed: int | None, as_json: bool, with_parent: bool
) -> int:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if with_parent:
        # Whoever started us holds the other end, and the kernel lets go of it however it dies.
        loop.add_reader(sys.stdin.fileno(), _read_parent, over)
    served = [await _serve(one, seed, as_json) for one in wanted]
    await over.wait()
    await asyncio.gather(*(one.stop() for one in served))
    return 0


async def _serve(wanted: Wanted, seed: int | None, as_json: bool) -> Served:
    """One sandbox, and the line that says so."""
    folder = None if wanted.folder is None else Path(wanted.folder)
    sandbox = open_sandbox(wanted.name, folder, seed)
    try:
        served = await serve(sandbox, wanted.host, wanted.port)
    except OSError as error:
        raise SettingsError(f"port {wanted.port} cannot be opened: {error.strerror}") from None
    line = {
        "ready": True,
        "channel": wanted.name,
        "url": served.url,
        "credentials": credentials_of(sandbox, served.url),
    }
    if as_json:
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    else:
        sys.stdout.write(f"{wanted.name} sandbox at {served.url}; --json prints its credentials\n")
    sys.stdout.flush()
    return served


def _read_parent(over: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), READ_BYTES):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        over.set()


def main(words: list[str]) -> int:
    """The sandboxes of a demo, as long as it holds our standard input. The exit code."""
    setup_logging(None)
    wanted = msgspec.json.decode(words[0], type=tuple[Wanted, ...])
    try:
        return uvloop.run(_live(wanted, None, as_json=True, with_parent=True))
    except SettingsError as error:
        log.error("a sandbox does not start", error=str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
