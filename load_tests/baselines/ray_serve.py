"""Baseline: a JSON echo behind Ray Serve's HTTP proxy, two replicas. Nothing is stored.

Usage: python -m load_tests.baselines.ray_serve --port N --data DIR
"""

import signal
import threading
import time
from typing import Any, Final

import orjson
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from load_tests.baselines.common import RAY_CPUS, arguments, say_ready

REPLICAS: Final = 2
ONGOING_MAX: Final = 256
"""For each replica; Serve's default of 5 would hold a saturated echo back."""


class Echo:
    """Read the order number, say that it succeeded."""

    async def __call__(self, request: Request) -> Response:
        asked = orjson.loads(await request.body())
        told = {"order_no": asked["order_no"], "status": "succeeded"}
        return Response(orjson.dumps(told), media_type="application/json")


def main() -> None:
    """Start Ray Serve and serve until ended."""
    options = arguments()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ray.init(num_cpus=RAY_CPUS, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": options.port})
    # Imported by name: a class that lives in __main__ is sent to replicas as a copy of its code.
    from load_tests.baselines import ray_serve

    deployment: Any = serve.deployment(
        ray_serve.Echo,
        num_replicas=REPLICAS,
        max_ongoing_requests=ONGOING_MAX,
        ray_actor_options={"num_cpus": 0},
        logging_config={"enable_access_log": False, "log_level": "ERROR"},
    )
    serve.run(deployment.bind(), route_prefix="/v1/payments")
    say_ready(options.port)
    while not ended.is_set():
        time.sleep(0.1)
    serve.shutdown()  # type: ignore[no-untyped-call]
    ray.shutdown()


if __name__ == "__main__":
    main()
