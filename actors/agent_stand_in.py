"""A program that stands where an agent of Ray's would, and does nothing.

    agent_stand_in.py PORT_FILES MODULES AGENT... --session-dir=DIR --node-id=ID --temp-dir=DIR ...

Ray's raylet starts two agents, waits for the ports that they say they have before it takes any
work, and ends when one of them ends. They serve Ray's dashboard, its metrics and environments of
single tasks, of which we use nothing, and cost seconds of processor time and 150 MB. The file of a
port is what the agents of Ray 2.60 write (`persist_port`): `<name>_<node id>` in the session's
folder, with the number as text.

With modules, it has the nursery beside it (`nursery.py`), whose life is the raylet's as well but
whose death must not be: the raylet ends when an agent does.

Standard library alone: it starts in a few milliseconds, without site packages.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

READ_BYTES: Final = 4_096
NURSERY: Final = Path(__file__).with_name("nursery.py")
SOCKET: Final = "nursery.sock"
"""In Ray's folder."""

FIRST_JOB: Final = "01000000"
"""What Ray calls whoever starts it; part of the environment that it reads when it is imported."""


def option(words: list[str], name: str) -> str:
    """The value of `--name=value`. Raise ValueError when it is not among the words."""
    start = f"--{name}="
    for word in words:
        if word.startswith(start):
            return word.removeprefix(start)
    raise ValueError(f"no {start}... among {words}")


def hold_port(path: Path) -> socket.socket:
    """Take a free port of loopback and write its number; nobody is listened to on it."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    # In one step, for the raylet reads as soon as there is a file.
    whole = path.with_name(f".{path.name}")
    whole.write_text(str(holder.getsockname()[1]), "ascii")
    whole.rename(path)
    return holder


def start_nursery(folder: str, modules: list[str]) -> None:
    """Beside us, on the same standard input. It is nobody's business when it ends."""
    command = [sys.executable, "-P", str(NURSERY), f"{folder}/{SOCKET}", *modules]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The system buries it.
    os.posix_spawn(sys.executable, command, os.environ | {"RAY_JOB_ID": FIRST_JOB})


def main(words: list[str]) -> None:
    """Hold the ports until the raylet is gone: it holds the other end of standard input."""
    folder, node = Path(option(words, "session-dir")), option(words, "node-id")
    if words[1]:
        start_nursery(option(words, "temp-dir"), words[1].split(","))
    holders = [hold_port(folder / f"{name}_{node}") for name in words[0].split(",")]
    while os.read(0, READ_BYTES):
        pass
    for holder in holders:
        holder.close()


if __name__ == "__main__":
    main(sys.argv[1:])
