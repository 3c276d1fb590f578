"""What `tillway demo` shows to people: the start in steps, where to go, live figures, a summary.

On a terminal with shape and color, a code to scan and a line that moves; elsewhere plain lines.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gateway import qr
from gateway.metrics import version
from gateway.screen import Figures, Now, Pulse, Ready
from gateway.settings_shape import Settings
from payments.clock import SystemClock

SPARKS: Final = "▁▂▃▄▅▆▇█"
LOOK_S: Final = 1.0
PLAIN_EVERY: Final = 30
"""Readings between two lines where no line can move."""

STEP_WIDTH: Final = 13
DETAIL_WIDTH: Final = 48
SYMBOLS: Final = {"cny": "¥"}
SMALL_FILE_BYTES: Final = 64 << 20
"""Books up to this size are recomputed at the end; for larger ones `ledger verify` is named."""


class DemoScreen:
    """One run of the demo. `lan`: its address in the local network, if it is open to that."""

    def __init__(self, console: Console, lan: str | None = None) -> None:
        self._console = console
        self._lan = lan
        self._pulse = Pulse()

    def _line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)

    # --- the start -----------------------------------------------------------------------------

    def began(self, settings: Settings) -> None:
        where = "nothing leaves this machine"
        if self._lan is not None:
            where = f"OPEN TO THE LOCAL NETWORK at {self._lan}"
        self._line(
            f"tillway {version()}   demo   {settings.mode} mode   "
            f"data: {short(settings.data_path)}   ({where})"
        )
        if self._lan is not None:
            self._line(
                "warning: whoever is in your network reaches the API and the payer's pages. "
                "Keys still protect the API; leave --lan out to stay on this machine.",
                "yellow",
            )
        self._line()

    def step(self, name: str, detail: str, took_s: float) -> None:
        text = Text.assemble(
            (" ✓ ", "green"),
            f"{name:<{STEP_WIDTH}}",
            f"{detail:<{DETAIL_WIDTH}}",
            (f" {took_s:5.1f} s", "dim"),
        )
        self._console.print(text, soft_wrap=True)

    def ready(self, told: Ready, settings: Settings) -> None:
        line = told.line
        stores = f"{told.stores} stores · {told.terminals} terminals"
        self._line(f" ✓ {'merchant':<{STEP_WIDTH}}{told.merchant_name} · {stores}")
        self._line()
        page = (told.code or {}).get("pay_url")
        pairs = [
            ("API", f"{line['api']}"),
            ("docs", f"{line['api']}/docs"),
            ("metrics", f"{line['admin']}/metrics"),
            ("payer page", str(page or "none: the code could not be made")),
            ("key", str(line["api_key"])),
        ]
        for name, value in pairs:
            self._line(f"   {name:<{STEP_WIDTH}}{value}")
        self._line()
        if page is not None:
            self._code(str(page))
        self._tries(line["api"], settings)

    def _code(self, page: str) -> None:
        if not self._console.is_terminal:
            return
        drawn = qr.terminal(page, colors=False).splitlines()
        phone = "scan with a phone's camera" if self._lan else "a phone needs  tillway demo --lan"
        beside = {len(drawn) // 2: phone, len(drawn) // 2 + 1: "a bowl of noodles, ¥38.00"}
        width = max(map(len, drawn))
        for number, row in enumerate(drawn):
            self._console.print(
                Text.assemble(
                    "   ",
                    (row.ljust(width), "black on bright_white"),
                    "   ",
                    beside.get(number, ""),
                ),
                soft_wrap=True,
            )
        self._line()

    def _tries(self, api: str, settings: Settings) -> None:
        data = f" --data {settings.data_dir}" if self._is_elsewhere(settings) else ""
        # A code is taken once: another one each time.
        pay = f"--amount 3800 --auth-code 28{SystemClock().real_ms() % 10**12:012d}0001"
        self._line("   try, in another terminal:")
        for command in (
            f"tillway payments create {pay}{data}",
            f"tillway payments create --amount 3800 --way cashier{data}",
            f"tillway listen{data}",
            f"tillway trigger refund.succeeded{data}",
            f"tillway clock advance 1d{data}",
            f"tillway status{data}",
        ):
            self._line(f"     {command}", "cyan")
        self._line()

    def _is_elsewhere(self, settings: Settings) -> bool:
        from gateway.settings import default_data_dir

        return settings.data_path != default_data_dir("demo")

    # --- live ------------------------------------------------------------------------------------

    async def watch(self, look: Callable[[], Figures]) -> None:
        if not self._console.is_terminal:
            await self._watch_plainly(look)
            return
        with Live(console=self._console, transient=True, auto_refresh=False) as live:
            while True:
                live.update(self._status(self._pulse.take(look())), refresh=True)
                await asyncio.sleep(LOOK_S)

    async def _watch_plainly(self, look: Callable[[], Figures]) -> None:
        count = 0
        while True:
            now = self._pulse.take(look())
            if count % PLAIN_EVERY == 0 and count:
                self._line(self._status(now).plain)
            count += 1
            await asyncio.sleep(LOOK_S)

    def _status(self, now: Now) -> Text:
        highest = max(now.rates, default=0) or 1
        sparks = "".join(SPARKS[rate * (len(SPARKS) - 1) // highest] for rate in now.rates)
        balance = (
            ("ledger 0", "green")
            if now.imbalance == 0
            else (f"LEDGER OFF BY {now.imbalance}", "bold red")
        )
        status = Text.assemble(
            f" tps {now.tps:.1f} {sparks}  ok {_number(now.success_percent)} %  "
            f"p50 {_number(now.p50_ms)} ms  p99 {_number(now.p99_ms)} ms  ",
            balance,
            ("   ^C stops", "dim"),
        )
        status.no_wrap, status.overflow = True, "crop"  # One line, also on a narrow terminal.
        return status

    # --- the end -------------------------------------------------------------------------------

    def draining(self) -> None:
        self._line(" draining: what was asked is finished, then everything closes …", "dim")

    def ended(self, figures: Figures, settings: Settings) -> None:
        amounts = ", ".join(
            money(amount, currency) for currency, amount in sorted(figures.amounts.items())
        )
        self._line(f"   {'payments':<{STEP_WIDTH}}{figures.payments:,}")
        self._line(f"   {'amount':<{STEP_WIDTH}}{amounts or money(0, 'cny')}")
        self._line(f"   {'success':<{STEP_WIDTH}}{_number(figures.success_percent)} %")
        self._line(f"   {'trial':<{STEP_WIDTH}}{self._trial(figures, settings)}")
        self._line(
            f"   {'data':<{STEP_WIDTH}}{short(settings.data_path)}   "
            "(the next start goes on with it; --reset begins anew)"
        )

    def _trial(self, figures: Figures, settings: Settings) -> str:
        """The trial balance, recomputed from the entries where that takes a moment only."""
        from payments.storage.audit import audit

        files = sorted(settings.data_path.glob("shard-*.db"))
        if sum(file.stat().st_size for file in files) > SMALL_FILE_BYTES:
            return f"balance {figures.imbalance} in this run; all: `tillway ledger verify`"
        audits = [audit(file) for file in files]
        residual = sum(one.residual for one in audits)
        entries = sum(one.entries for one in audits)
        return f"balance {residual}, recomputed from {entries:,} entries"


def money(minor: int, currency: str) -> str:
    """Minor units of a currency with two places, for people."""
    return f"{SYMBOLS.get(currency, currency.upper() + ' ')}{minor // 100:,}.{minor % 100:02d}"


def short(path: Path) -> str:
    """A path, from the home directory where it lies there."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
