"""Progress of a long run: rich on a terminal, plain lines everywhere else, on standard error."""

import sys
import time

from rich.console import Console


class Progress:
    """Says what is being measured and what came out."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._console = Console(stderr=True, highlight=False) if sys.stderr.isatty() else None

    def say(self, text: str, style: str = "") -> None:
        """One line with the seconds since the start."""
        elapsed = f"{time.monotonic() - self._began:7.1f} s"
        if self._console is None:
            print(f"{elapsed}  {text}", file=sys.stderr, flush=True)
        else:
            self._console.print(f"[dim]{elapsed}[/dim]  ", end="")
            self._console.print(text, style=style or None, markup=False)

    def verdict(self, text: str, *, met: bool) -> None:
        """One line that says whether a bar was met."""
        self.say(f"{'met   ' if met else 'MISSED'}  {text}", "green" if met else "bold red")
