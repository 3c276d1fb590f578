"""`tillway serve` and `tillway bench`."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.options import AsJson, ConfigFile, DataDir, Modules, modules_from, settings_from

RATE_MAX: Final = 10_000.0

Port = Annotated[int | None, typer.Option("--port", help="0 picks a free one.")]
AdminPort = Annotated[int | None, typer.Option("--admin-port", help="0 picks a free one.")]
Runtime = Annotated[str | None, typer.Option("--runtime", help="ray or local.")]
FrontDoors = Annotated[int | None, typer.Option("--front-doors", "--workers", min=1)]
Shards = Annotated[int | None, typer.Option("--shards", min=1, help="Fixed at the first start.")]
ServeChannels = Annotated[
    str, typer.Option("--channels", help="Only accounts of this kind: simulated, wechat, …")
]
LatencyMs = Annotated[int | None, typer.Option("--channel-latency-ms", min=0)]
SeedFile = Annotated[Path | None, typer.Option("--seed-file", help="Merchants to start with.")]
Host = Annotated[str | None, typer.Option("--host")]

BENCH_NEEDS: Final = ("hdrh",)
"""Modules of the extra `bench` without which the load tests cannot even tell their flags."""


def serve(
    config: ConfigFile = None,
    data: DataDir = None,
    host: Host = None,
    port: Port = None,
    admin_port: AdminPort = None,
    runtime: Runtime = None,
    front_doors: FrontDoors = None,
    shards: Shards = None,
    channels: ServeChannels = "",
    channel_latency_ms: LatencyMs = None,
    seed_file: SeedFile = None,
    modules: Modules = None,
    drain_grace: Annotated[
        int | None, typer.Option("--drain-grace", min=0, help="Seconds not ready, yet accepting.")
    ] = None,
    drain_timeout: Annotated[int | None, typer.Option("--drain-timeout", min=0)] = None,
    as_json: AsJson = False,
) -> None:
    """Run the gateway until SIGTERM or Ctrl-C.

    Example: tillway serve --config tillway.toml --json
    """
    flags: dict[str, Any] = {
        "data_dir": data,
        "http.host": host,
        "http.port": port,
        "http.admin_port": admin_port,
        "http.front_doors": front_doors,
        "runtime": runtime,
        "shards.count": shards,
        "seed_file": seed_file,
        "modules": None if modules is None else list(modules_from(modules)),
        "drain.grace_s": drain_grace,
        "drain.timeout_s": drain_timeout,
    }
    settings = with_channels(settings_from(config, flags), channels, channel_latency_ms)
    from gateway.main import run

    raise typer.Exit(run(settings, json_ready=as_json, demo=False))


def bench(context: typer.Context) -> None:
    """Measure the published figures; flags go to the bench (--help shows them).

    Example: tillway bench --json
    """
    import subprocess
    import sys
    from importlib.util import find_spec

    from gateway.cli.output import EXIT_USAGE, complain

    if missing := [name for name in BENCH_NEEDS if find_spec(name) is None]:
        complain(
            f"the load tests need {', '.join(missing)}: pip install 'tillway[bench]', "
            "or `make bench` in a checkout"
        )
        raise typer.Exit(EXIT_USAGE)
    command = [sys.executable, "-m", "load_tests.bench", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our module


def with_channels(settings: Any, channels: str, latency_ms: int | None) -> Any:
    """The settings with the accounts of the kind asked for, and their latency."""
    from msgspec.structs import replace

    asked = [account for account in settings.channels if not account.is_external]
    accounts = [account for account in asked if channels in ("", account.kind)]
    if not accounts and channels:
        kinds = ", ".join(sorted({account.kind for account in asked}))
        raise typer.BadParameter(
            f"no channel of kind {channels!r}; there is: {kinds}", param_hint="--channels"
        )
    if latency_ms is not None:
        accounts = [replace(account, latency_ms=latency_ms) for account in accounts]
    elsewhere = [account for account in settings.channels if account.is_external]
    return replace(settings, channels=(*accounts, *elsewhere))
