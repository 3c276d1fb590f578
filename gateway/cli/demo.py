"""`tillway demo`: a gateway with a noodle shop in it, and a crowd that pays there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.logs import DEMO_LOG
from gateway.cli.options import AsJson, ConfigFile, DataDir, settings_from
from gateway.cli.output import note
from gateway.cli.server import (
    RATE_MAX,
    AdminPort,
    FrontDoors,
    LatencyMs,
    Port,
    Runtime,
    Shards,
    with_channels,
)

RATE: Final = 10.0
SANDBOX: Final = "sandbox"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - what --lan asks for
LOOPBACK: Final = "127.0.0.1"

Channels = Annotated[
    str,
    typer.Option(
        "--channels", help="sandbox: real wires to sandboxes; or simulated, without a bank."
    ),
]
SeedNumber = Annotated[
    int | None, typer.Option("--seed", help="The same guests with the same orders each time.")
]
Rate = Annotated[
    float,
    typer.Option("--rate", min=0, max=RATE_MAX, help="Background payments a second; 0: none."),
]
Reset = Annotated[bool, typer.Option("--reset", help="Begin with an empty gateway.")]
Lan = Annotated[bool, typer.Option("--lan", help="Open to the local network, for phones.")]


def demo(
    config: ConfigFile = None,
    data: DataDir = None,
    port: Port = None,
    admin_port: AdminPort = None,
    runtime: Runtime = None,
    front_doors: FrontDoors = None,
    shards: Shards = None,
    channels: Channels = SANDBOX,
    channel_latency_ms: LatencyMs = None,
    rate: Rate = RATE,
    seed: SeedNumber = None,
    reset: Reset = False,
    lan: Lan = False,
    as_json: AsJson = False,
) -> None:
    """Run a gateway with a noodle shop in it: nothing leaves this machine.

    Example: tillway demo

    Example: tillway demo --rate 5 --port 0 --json
    """
    from gateway.settings import default_data_dir

    address = _lan_address() if lan else None
    flags: dict[str, Any] = {
        "data_dir": data if data is not None else default_data_dir("demo"),
        "http.port": port,
        "http.admin_port": admin_port,
        "http.front_doors": front_doors,
        "runtime": runtime,
        "shards.count": shards,
    }
    if address is not None:
        flags |= {
            "http.host": EVERYWHERE,
            "http.admin_host": LOOPBACK,
            "public_url": f"http://{address}:{{port}}",
        }
    settings = settings_from(config, flags)
    if channels != SANDBOX:
        settings = with_channels(settings, channels, channel_latency_ms)
    if settings.livemode:
        raise typer.BadParameter("the demo runs in test mode only", param_hint="--config")
    if reset:
        _reset(settings.data_path)
    raise typer.Exit(
        _run(settings, address, as_json=as_json, rate=rate, seed=seed, wired=channels == SANDBOX)
    )


def _run(
    settings: Any, lan: str | None, *, as_json: bool, rate: float, seed: int | None, wired: bool
) -> int:
    """Until Ctrl-C. The exit code."""
    from gateway.main import run
    from gateway.settings import demo_seed, make_data_dir

    words: dict[str, Any] = {
        "demo": True,
        "rate": rate,
        "seed": seed,
        "table": demo_seed(),
        "has_sandboxes": wired,
    }
    if as_json:
        if lan is not None:
            note(f"warning: open to the local network at {lan}; leave --lan out to close it")
        return run(settings, json_ready=True, **words)
    from rich.console import Console

    from gateway.cli.demo_screen import DemoScreen

    screen = DemoScreen(Console(file=sys.stdout), lan)
    with _log_beside(make_data_dir(settings)):
        return run(settings, screen=screen, **words)


@contextmanager
def _log_beside(data: Path) -> Iterator[None]:
    """Logs go to a file in the data directory while the screen is shown; begun anew each time.

    Errors that end us come after it, on the real standard error. Another demo's log is left alone:
    ours will not get further than that one's lock.
    """
    from gateway.main import LOCK
    from payments.storage.owner import owner_of

    if owner_of(data / LOCK) is not None:
        yield
        return
    log = data / DEMO_LOG
    log.unlink(missing_ok=True)
    log.touch(mode=0o600)
    file = log.open("w", encoding="utf-8", buffering=1)
    try:
        with redirect_stderr(file):
            yield
    finally:
        try:
            file.close()
        except OSError as error:
            note(f"warning: the last lines of {log} are lost: {error.strerror}")


def _lan_address() -> str:
    """This machine's address in its network. Exit with usage when there is none."""
    from actors.net import lan_address

    found = lan_address()
    if found is None:
        raise typer.BadParameter("this machine is in no network; leave it out", param_hint="--lan")
    return found


def _reset(data: Path) -> None:
    """Empty a test data directory of ours that nobody uses; anything else is left alone.

    StoreRefused names who uses it. The lock's own file stays: without it, two owners would lock two
    different files.
    """
    import shutil

    from gateway.main import LOCK
    from payments.storage.migrate import is_live
    from payments.storage.owner import OwnerLock

    if not data.exists():
        return
    lock = OwnerLock(data / LOCK)
    is_ours = lock.path.exists() or (data / "directory.db").exists()
    if not data.is_dir() or (not is_ours and any(data.iterdir())):
        raise typer.BadParameter(f"{data} is not a data directory of ours", param_hint="--reset")
    lock.take()
    try:
        if any(is_live(file) for file in data.glob("shard-*.db")):
            raise typer.BadParameter(f"{data} holds live money, not a demo", param_hint="--reset")
        for each in data.iterdir():
            if each == lock.path:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()
    finally:
        lock.release()
