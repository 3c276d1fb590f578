"""What wrk prints is read exactly, and what is not a result is refused."""

import pytest

from load_tests import wrk

QUIET = """Running 10s test @ http://127.0.0.1:8080
  1 threads and 256 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    27.51ms   12.34ms 310.20ms   88.10%
    Req/Sec     9.40k   512.00    10.22k    71.00%
  Latency Distribution
     50%   26.10ms
     75%  950.00us
     90%    1.21s
     99%    1.10m
  93642 requests in 10.02s, 87.31MB read
Requests/sec:   9345.51
Transfer/sec:      8.71MB
"""
LOUD = QUIET.replace(
    "93642 requests",
    "Socket errors: connect 1, read 2, write 3, timeout 4\n"
    "  Non-2xx or 3xx responses: 642\n  93642 requests",
)


def test_a_quiet_run_is_read():
    """Rates, seconds and percentiles, all units of wrk turned into milliseconds."""
    result = wrk.parse(QUIET)

    assert (93642, 10.02, 9345.51) == (result.requests, result.seconds, result.per_second)
    assert pytest.approx({"p50": 26.1, "p75": 0.95, "p90": 1210, "p99": 66e3}) == result.latency_ms
    assert (0, 93642) == (result.errors, result.acknowledged)


def test_refusals_and_socket_errors_count():
    """An answer that is not 2xx is not acknowledged; everything that went wrong is an error."""
    result = wrk.parse(LOUD)

    assert 93_000 == result.acknowledged
    assert 642 + 1 + 2 + 3 + 4 == result.errors


def test_a_used_up_request_file_is_no_result():
    """The caller signs more and starts over."""
    with pytest.raises(wrk.RequestsUsedUp):
        wrk.parse("PANIC: unprotected error: replay.lua:25: the request file is used up\n")


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_anything_else_is_no_result(text):
    """What wrk said is in the error."""
    with pytest.raises(wrk.WrkFailed) as raised:
        wrk.parse(text)

    assert text == str(raised.value)


def test_a_missing_wrk_is_said_plainly(tmp_path, monkeypatch):
    """Who has no wrk is told what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(wrk.WrkFailed, match="install wrk"):
        wrk.run("http://127.0.0.1:1", tmp_path / "requests", 1)
