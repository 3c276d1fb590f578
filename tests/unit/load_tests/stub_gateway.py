"""A gateway that is only as good as the load tests need it: in memory, one process.

It takes the gateway's command line (`serve`, `ledger verify`, `migrate seed-bulk`) and can be told
to cheat by its runtime: `--runtime loses` forgets payments, `--runtime doubles` keeps one twice.
"""

import argparse
import json
import sys
from pathlib import Path

BOOKS = "books.json"


def verify(data):
    counts = json.loads(data.joinpath(BOOKS).read_text()).values()
    return {
        "ok": True,
        "payments": {"succeeded": sum(counts)},
        "entries": sum(counts),
        "doubled": sum(count - 1 for count in counts),
        "trial_balance": 0,
        "chain_ok": True,
    }


def main():
    command = argparse.ArgumentParser()
    command.add_argument("words", nargs="+")
    command.add_argument("--data", type=Path)
    command.add_argument("--seed-file")
    command.add_argument("--runtime", default="honest")
    command.add_argument("--channel-latency-ms", type=int, default=0)
    command.add_argument("--payments", type=int)
    options, _ = command.parse_known_args([a for a in sys.argv[1:] if a != "--json"])
    if options.words[0] == "serve":
        import stub_server  # Here: `ledger verify` is not to wait for an HTTP server's imports.

        stub_server.run(options, options.data / BOOKS)
        return
    if options.words == ["migrate", "seed-bulk"]:
        stored = {f"bulk-{number}": 1 for number in range(options.payments)}
        options.data.joinpath(BOOKS).write_text(json.dumps(stored))
    print(json.dumps(verify(options.data)))


if __name__ == "__main__":
    main()
