"""A deployment's test clock, moved from outside."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

STUCK_S = 60
STEP = timedelta(milliseconds=50)
"""What a clock that only runs, and does not step, never gains on ours."""


def instant(text: str) -> datetime:
    """An RFC 3339 instant of an answer."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Clock:
    """The deployment's test clock. `client`: speaks for its operator."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.id = client.post("/v1/test_helpers/clocks", {})["id"]

    @property
    def path(self) -> str:
        return f"/v1/test_helpers/clocks/{self.id}"

    def now(self) -> datetime:
        return instant(self._client.get(self.path)["now"])

    def advance(self, seconds: int) -> None:
        """Move business time, and wait until everything due on the way has happened.

        It steps from timer to timer, and other tests may have left many: no limit to the whole,
        but to the wait for its next step.
        """
        assert self._client.post(f"{self.path}/advance", {"seconds": seconds}).status == 202
        ahead, until = timedelta(days=-1), 0.0
        while (read := self._client.get(self.path))["status"] != "ready":
            gained = instant(read["now"]) - datetime.now(UTC)
            if gained > ahead + STEP:
                ahead, until = gained, time.monotonic() + STUCK_S
            assert time.monotonic() < until, "the clock does not come to rest"
            time.sleep(0.02)
