"""A program that stands where an agent of Ray's would, and does nothing.

    agent_stand_in.py PORT_FILES AGENT... --session-dir=DIR --node-id=ID ...

Ray's raylet starts two agents, waits for the ports that they say they have before it takes any
work, and ends when one of them ends. They serve Ray's dashboard, its metrics and environments of
single tasks, of which we use nothing, and cost seconds of processor time and 150 MB. The file of a
port is what the agents of Ray 2.60 write (`persist_port`): `<name>_<node id>` in the session's
folder, with the number as text.

Standard library alone: it starts in a few milliseconds, without site packages.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Final

READ_BYTES: Final = 4_096


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


def main(words: list[str]) -> None:
    """Hold the ports until the raylet is gone: it holds the other end of standard input."""
    folder, node = Path(option(words, "session-dir")), option(words, "node-id")
    holders = [hold_port(folder / f"{name}_{node}") for name in words[0].split(",")]
    while os.read(0, READ_BYTES):
        pass
    for holder in holders:
        holder.close()


if __name__ == "__main__":
    main(sys.argv[1:])
