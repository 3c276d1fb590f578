"""`tillway doctor`: what on this machine would keep the gateway from working, and the fix."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import typer

from gateway.cli import doctor_machine as machine
from gateway.cli import doctor_state as state
from gateway.cli.findings import Finding, Level
from gateway.cli.options import AsJson, ConfigFile, DataDir, settings_from
from gateway.cli.output import EXIT_CHECK_FAILED, is_terminal, say

Look = Callable[[Any], Iterator[Finding]]
Online = Annotated[
    bool, typer.Option("--online", help="Also compare the clock with the channels' own.")
]

LOOKS: Final[tuple[Look, ...]] = (
    machine.python,
    machine.sqlite,
    machine.ray,
    machine.limits,
    machine.clock,
    state.running,
    state.ports,
    state.disk,
    state.sockets,
    state.secrets,
    state.leftovers,
    state.stores,
)
WORDS: Final = {Level.OK: "ok ", Level.WARNING: "hm ", Level.WRONG: "NOT"}
STYLES: Final = {Level.OK: "green", Level.WARNING: "yellow", Level.WRONG: "bold red"}


def doctor(
    config: ConfigFile = None, data: DataDir = None, online: Online = False, as_json: AsJson = False
) -> None:
    """Check Python, Ray, limits, ports, clock, disk and stores; each trouble comes with its fix.

    Exit code 1 when something is wrong; what is merely worth knowing is marked `hm`.

    Example: tillway doctor

    Example: tillway doctor --config tillway.toml --data /var/lib/tillway --online
    """
    findings, settings = _settings(config, data)
    looks = (*LOOKS, machine.channels) if online else LOOKS
    for look in looks:
        findings += look(settings)
    report = {
        "ok": all(each.level is not Level.WRONG for each in findings),
        "checks": [
            {
                "name": each.name,
                "ok": each.level is not Level.WRONG,
                "level": each.level.value,
                "found": each.found,
                "fix": each.fix,
            }
            for each in findings
        ],
    }
    if as_json or not is_terminal():
        say(report, as_json=as_json, text="\n".join(map(_line, findings)))
    else:
        _show(findings)
    if not report["ok"]:
        raise typer.Exit(EXIT_CHECK_FAILED)


def _settings(config: Any, data: Any) -> tuple[list[Finding], Any]:
    """What is to be said of the settings, and those to look with: the defaults for wrong ones."""
    from gateway.settings import SettingsError, default_data_dir, load

    try:
        settings = settings_from(config, {"data_dir": data})
    except SettingsError as error:
        fix = "mend it; `tillway config schema` has every key and its range"
        place = default_data_dir("data") if data is None else data
        plain = load(None, {"data_dir": str(place)}, environ={})
        return [Finding("settings", Level.WRONG, str(error), fix)], plain
    found = f"{settings.mode} mode, runtime {settings.runtime}"
    return [Finding("settings", Level.OK, found)], settings


def _line(each: Finding) -> str:
    first = f"{WORDS[each.level]}  {each.name:<18}{each.found}"
    return first + (f"\n     fix: {each.fix}" if each.fix else "")


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for each in findings:
        line = Text.assemble(
            (WORDS[each.level], STYLES[each.level]), f"  {each.name:<18}{each.found}"
        )
        console.print(line, soft_wrap=True)
        if each.fix:
            console.print(Text(f"     fix: {each.fix}", "bold"), soft_wrap=True)
