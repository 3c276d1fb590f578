"""What a channel really took, however much it is: page by page, and with patience.

A gateway that has just got over a kill may answer 503 for a moment, and then it is asked again.
"""

import json
import time
import urllib.error
import urllib.request
from typing import Any, Final

PAGE_TIMEOUT_S: Final = 60.0
WITHIN_S: Final = 120.0
"""How long one page may be refused as temporary; then the refusal is raised."""
BETWEEN_S: Final = 0.5
TEMPORARY: Final = (503, 504)


def channel_books(url: str, channel: str, api_key: str) -> list[dict[str, Any]]:
    """All rows of a channel's books, by number. Raise HTTPError for what time does not cure."""
    rows: list[dict[str, Any]] = []
    after = ""
    while page := _page(f"{url}/v1/test_helpers/channels/{channel}/books?after={after}", api_key):
        rows += page
        assert page[-1]["out_trade_no"] > after, after
        after = page[-1]["out_trade_no"]
    return rows


def _page(url: str, api_key: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {api_key}"})  # noqa: S310 - loopback
    ends = time.monotonic() + WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PAGE_TIMEOUT_S) as answer:  # noqa: S310 - loopback
                page: list[dict[str, Any]] = json.loads(answer.read())
                return page
        except urllib.error.HTTPError as refused:
            refused.close()
            if refused.code not in TEMPORARY or time.monotonic() > ends:
                raise
        time.sleep(BETWEEN_S)
