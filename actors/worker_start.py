"""What Ray starts as a worker: hands over to the nursery, or goes the slow way by itself.

    worker_start.py --temp-dir=DIR ...

Standard library alone, and little of it: it starts in a few milliseconds, ten times at each start.
The process stays as long as the worker that it asked for, because Ray takes it for that.
"""

import json
import os
import socket
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

SOCKET: Final = "nursery.sock"
"""In Ray's folder."""

WORKER: Final = "_private/workers/default_worker.py"
OPTION: Final = "--temp-dir="
READ_BYTES: Final = 4_096


def worker_path() -> str:
    """Ray's own program of a worker. Raise ModuleNotFoundError without Ray."""
    found = find_spec("ray")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("ray")
    return str(Path(found.submodule_search_locations[0]) / WORKER)


def ask(path: str, words: list[str]) -> bool:
    """Have the nursery at that path fork a worker, and stay until its end. False: it does not."""
    request = {"words": words, "environment": dict(os.environ), "folder": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX) as connection:
        is_taken = False
        # One that dies, before or after it took us, does not end us.
        with suppress(OSError):
            connection.connect(path)
            message = json.dumps(request).encode()
            sent = socket.send_fds(connection, [message], [0, 1, 2])
            connection.sendall(message[sent:])
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(READ_BYTES):
                is_taken = True
    return is_taken


def main(options: list[str]) -> None:
    """Be a worker, or stand for one until it ended."""
    words = [worker_path(), *options]
    for option in options:
        if option.startswith(OPTION) and ask(f"{option.removeprefix(OPTION)}/{SOCKET}", words):
            return
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - Ray's own command


if __name__ == "__main__":
    main(sys.argv[1:])
