"""A process that imported everything once, from which Ray's workers are forked.

    nursery.py SOCKET MODULE...

Each box is a worker process of Ray's, and each would import Ray and us anew: two seconds of
processor time a box, at every start and at every return from a crash. Instead Ray starts
`worker_start.py`, which hands its words, environment and files to the nursery; the child that is
forked there is the worker. Nothing has happened in the nursery but imports: it has one thread, no
file and no connection of its own, or it refuses to fork.

It listens before it imports, so that who comes early waits, and ends with the raylet, which holds
the other end of standard input. Without it workers start by themselves, only slower.

A request is one message: JSON `{words, environment, folder}` with standard input, output and error
beside it, at most REQUEST_BYTES_MAX. The answer is one byte, and the connection lasts as long as
the worker. A worker whose environment differs in what Ray reads when it is imported gets no answer,
and starts by itself, too.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Final

REQUEST_BYTES_MAX: Final = 1 << 20
STANDARD_FILES: Final = 3
READ_AT_IMPORT: Final = ("RAY_JOB_ID", "RAY_RAYLET_PID")
TAKEN: Final = b"+"
BACKLOG: Final = 64
READ_BYTES: Final = 65_536


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request and its files. Raise ValueError when it is none."""
    piece, files, _, _ = socket.recv_fds(connection, READ_BYTES, STANDARD_FILES)
    whole = piece
    while piece and len(whole) <= REQUEST_BYTES_MAX:
        piece = connection.recv(READ_BYTES)
        whole += piece
    if len(files) != STANDARD_FILES or len(whole) > REQUEST_BYTES_MAX:
        for file in files:
            os.close(file)
        raise ValueError(f"{len(files)} files and {len(whole)} bytes are no request")
    return json.loads(whole), files


def is_like_us(environment: dict[str, str]) -> bool:
    """Whether what Ray read from our environment is true for that one."""
    return all(environment.get(name) == os.environ.get(name) for name in READ_AT_IMPORT)


def become(request: dict[str, Any], files: list[int]) -> None:
    """Be the worker that was asked for: its files, folder, environment and words. To its end."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    # Ray ends the whole group of a worker that died.
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["words"]
    runpy.run_path(sys.argv[0], run_name="__main__")


def fork(listener: socket.socket, connection: socket.socket) -> None:
    """A child for a request. Whatever is wrong with one is the child's end, not ours."""
    if os.fork():
        return
    code = 1
    try:
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        request, files = receive(connection)
        if is_like_us(request["environment"]):
            connection.sendall(TAKEN)
            become(request, files)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException as error:
        import traceback

        traceback.print_exception(error)
    finally:
        # Not through what the nursery would do at its own end.
        os._exit(code)


def serve(listener: socket.socket) -> None:
    """Fork for whoever connects, until standard input ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj == 0:
                    if not os.read(0, READ_BYTES):
                        return
                else:
                    connection, _ = listener.accept()
                    with connection:
                        fork(listener, connection)


def threads() -> int:
    """How many this process has, whoever started them."""
    return len(list(Path("/proc/self/task").iterdir()))


def main(words: list[str]) -> int:
    """Listen, import, fork. The exit code: 1 where nobody may be forked from."""
    path, *modules = words
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(BACKLOG)
        try:
            for module in modules:
                importlib.import_module(module)
            if threads() != 1:
                sys.stderr.write("tillway: a module that was imported ahead starts threads\n")
                return 1
            # Whoever is forked leaves these pages alone, so that all share them.
            gc.collect()
            gc.freeze()
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # The system buries them.
            serve(listener)
        finally:
            Path(path).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
