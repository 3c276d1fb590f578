"""Logs: one JSON object a line, and nothing in it that must not be there."""

import asyncio
import errno
import io
import json
import logging
import subprocess
import sys

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway.logs import get_logger, setup_logging
from gateway.redaction import HIDDEN, NOT_LISTED, Redactor, Secret, mask
from payments.clock import ManualClock

CANARIES = {
    "bearer secret": "sk_test_c4n4ryc4n4ryc4n4ry",
    "hmac secret": "hs_test_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Cg==",
    "operator secret": "op_live_c4n4ryc4n4ry",
    "webhook secret": "whsec_Y2FuYXJ5Y2FuYXJ5",
    "auth code": "281234567890123456",
    "long auth code": "6212345678901234567",
    "card": "4111111111111111",
    "card in groups": "4111 1111 1111 1111",
    "card with hyphens": "3782-822463-10005",
    "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
    "authorization": "Bearer abcdef.ghijkl",
    "channel authorization": 'WECHATPAY2-SHA256-RSA2048 mchid="1900000001",signature="cAnArY"',
    "signature": "sig1=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04==:",
    "private key": "-----BEGIN PRIVATE KEY-----\nMIIcanary\n-----END PRIVATE KEY-----",
}


class Sink(io.StringIO):
    """A stream, or a terminal."""

    def __init__(self, terminal=False):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal

    def lines(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def sink():
    """Everything logged while the test runs; the machinery is put back afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in ("aiohttp.access", "asyncio")}
    stream = Sink()
    setup_logging(True, "info", clock=ManualClock(), hash_key=b"k", stream=stream)
    yield stream
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = before
    root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)


def test_a_line_is_one_json_object_with_the_usual_fields_first(sink):
    """As dashboards expect them."""
    get_logger("gateway.x").info(
        "answered", status=201, duration_s=0.004, payment_id="pay_1", request_id="req_1"
    )

    (line,) = sink.getvalue().splitlines()
    assert {
        "timestamp": "2026-11-18T11:06:40.000Z",
        "level": "info",
        "event": "answered",
        "logger": "gateway.x",
        "request_id": "req_1",
        "payment_id": "pay_1",
        "duration_s": 0.004,
        "status": 201,
    } == json.loads(line)
    assert ["timestamp", "level", "event", "logger", "request_id", "payment_id"] == list(
        json.loads(line)
    )[:6]


def test_what_is_bound_to_a_request_comes_along(sink):
    """Without being passed from hand to hand."""
    structlog.contextvars.bind_contextvars(request_id="req_9")

    get_logger("a").warning("slow")

    assert "req_9" == sink.lines()[0]["request_id"]


def test_a_level_that_is_off_writes_nothing(sink):
    """And makes nothing of its arguments."""

    class Loud:
        def __str__(self):
            raise AssertionError("nobody may look at what is not logged")

    get_logger("a").debug("secret", detail=Loud())
    logging.getLogger("lib").debug("quiet")

    assert "" == sink.getvalue()


def test_libraries_go_the_same_way(sink):
    """What aiohttp logs is masked like what we log, its exceptions too."""
    try:
        raise ValueError("no wallet for 281234567890123456")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error for %s", CANARIES["bearer secret"])

    (line,) = sink.lines()
    assert ("error", "aiohttp.server") == (line["level"], line["logger"])
    assert "ValueError: no wallet for 28…[18 digits]" in line["exception"]
    assert f"Error for sk_test_{HIDDEN}" == line["event"]


def test_our_exceptions_are_written_with_their_traceback_masked(sink):
    """One line, still."""
    try:
        raise RuntimeError(CANARIES["card"])
    except RuntimeError:
        get_logger("a").exception("failed")

    (line,) = sink.lines()
    assert "Traceback" in line["exception"]
    assert CANARIES["card"] not in sink.getvalue()


def test_setting_up_again_does_not_write_twice(sink):
    """A worker that starts over has one handler."""
    setup_logging(True, "warning", clock=ManualClock(), stream=sink)

    logging.getLogger("lib").warning("once")
    logging.getLogger("lib").info("never")

    assert 1 == len(sink.lines())


class FullDisk(Sink):
    """A log on a disk that has no room for a while."""

    is_full = False

    def write(self, text):
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_log_on_a_full_disk_stops_nobody(sink):
    """Who has to start a box again must not fail by saying so; what is missing is told later."""
    full = FullDisk()
    setup_logging(True, clock=ManualClock(), stream=full)
    full.is_full = True
    get_logger("a").warning("box ended")
    logging.getLogger("lib").warning("likewise")
    assert [] == full.lines() == sink.lines()
    full.is_full = False
    get_logger("a").warning("there is room")
    get_logger("a").warning("and again")

    lost, *written = full.lines()
    assert ("log lines could not be written", 2) == (lost["event"], lost["lines"])
    assert ["there is room", "and again"] == [line["event"] for line in written]


def test_a_terminal_gets_colors_and_a_pipe_gets_json(sink):
    """Unless it is told."""
    pipe, terminal = Sink(), Sink(terminal=True)

    setup_logging(stream=pipe)
    get_logger("a").info("hello", detail=CANARIES["bearer secret"])
    setup_logging(stream=terminal)
    get_logger("a").info("hello", detail=CANARIES["bearer secret"])

    assert "hello" == pipe.lines()[0]["event"]
    assert "\x1b[" in terminal.getvalue()
    for stream in (pipe, terminal):
        assert HIDDEN in stream.getvalue()
        assert "c4n4ry" not in stream.getvalue()


PLACES = {
    "event": lambda log, canary: log.info(f"saw {canary} here"),
    "listed field": lambda log, canary: log.info("x", detail=canary),
    "unlisted field": lambda log, canary: log.info("x", whatever=canary),
    "bytes": lambda log, canary: log.info("x", detail=canary.encode()),
    "deep": lambda log, canary: log.info("x", detail={"errors": [({"name": canary},)]}),
    "key": lambda log, canary: log.info("x", detail={canary: 1}),
    "object": lambda log, canary: log.info("x", detail=ValueError(canary)),
    "representation": lambda log, canary: log.info("x", error=repr({"auth_code": canary})),
    "headers": lambda log, canary: log.info("x", headers={"Authorization": canary}),
    "set": lambda log, canary: log.info("x", detail={canary}),
    "library": lambda log, canary: logging.getLogger("lib").error("saw %r", canary),
    "exception": lambda log, canary: raise_and_log(log, canary),
}


def raise_and_log(log, canary):
    try:
        raise LookupError(f"at {canary}")
    except LookupError:
        log.exception("failed")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", CANARIES)
def test_no_canary_is_ever_written(sink, name, place):
    """Whatever secret, code or number stands wherever, it does not reach the log."""
    canary = CANARIES[name]

    PLACES[place](get_logger("a"), canary)

    written = sink.getvalue()
    assert 1 == len(sink.lines())
    telling = canary.replace("\n", "\\n")
    assert telling not in written
    assert telling.replace('"', '\\"') not in written
    for part in ("c4n4ry", "cAnArY", "MIIcanary", "Y2FuYXJ5", "1111111", "34567890", "ghijkl"):
        assert part not in written


FIELDS = [
    # field, value -> what is written
    ("amount", 3800, 3800),
    ("overdue", True, True),
    ("channel", "simulated", "simulated"),
    ("created_ms", 1_795_000_000_000, 1_795_000_000_000),
    ("number", 6212345678901234567, "62…[19 digits]"),
    ("order_no", "4111111111111111", "4111111111111111"),
    ("payment_id", "pay_01KCANARY00000000000000A", "pay_01KCANARY00000000000000A"),
    ("payment_id", "sk_test_c4n4ryc4n4ry", f"sk_test_{HIDDEN}"),
    ("whatever", "text", NOT_LISTED),
    ("api_key", "x", HIDDEN),
    ("set_cookie", "x", HIDDEN),
    ("client_secret", 5, HIDDEN),
    ("access_token", "x", HIDDEN),
    ("nonce", "x", HIDDEN),
    ("detail", Secret("x"), HIDDEN),
    (
        "detail",
        "at 2026-11-21T20:45:00.123Z from 127.0.0.1:8080",
        "at 2026-11-21T20:45:00.123Z from 127.0.0.1:8080",
    ),
]


@pytest.mark.parametrize(("field", "value", "written"), FIELDS)
def test_what_is_written_of_a_field(sink, field, value, written):
    """Numbers and listed text as they are, ids whole, the rest hidden."""
    get_logger("a").info("x", **{field: value})

    assert written == sink.lines()[0][field]


def test_what_is_nested_without_end_is_cut(sink):
    """A line has an end, and a wide one too."""
    deep = {"name": "bottom"}
    for _ in range(9):
        deep = {"detail": deep}

    get_logger("a").info("x", detail=deep, rules=["x"] * 1000)

    assert "bottom" not in sink.getvalue()
    assert 50 == len(sink.lines()[0]["rules"])


def test_bytes_that_are_no_text_still_make_a_line(sink, monkeypatch):
    """A path may hold anything, and is logged when it fails."""
    # What pytest itself captures travels between its processes, where such text cannot.
    root = logging.getLogger()
    ours = [each for each in root.handlers if not type(each).__module__.startswith("_pytest")]
    monkeypatch.setattr(root, "handlers", ours)
    get_logger("a").info(
        "x\udcff", path="/\udcff", auth_code="\udcff\udcff", detail={"\udcff": "y"}
    )
    logging.getLogger("lib").error("x\udcff")

    assert ["x?", "x?"] == [line["event"] for line in sink.lines()]


def test_codes_and_people_can_be_compared_but_not_known(sink):
    """Two digits and a keyed hash: the same code twice is seen to be the same."""
    one, other = Redactor(b"one"), Redactor(b"other")
    code = CANARIES["auth code"]

    assert one.field("auth_code", code) == one.field("auth_code", code)
    assert one.field("auth_code", code) != other.field("auth_code", code)
    assert one.field("auth_code", code).startswith("28…#")
    assert one.field("openid", "o1") != one.field("openid", "o2")
    assert "o1" not in one.field("openid", "o1")


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=8)
        | st.binary(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=10,
    ),
    st.sampled_from(["detail", "order_no", "whatever", "auth_code", "openid", "amount"]),
    st.sampled_from(sorted(CANARIES.values())),
)
def test_nothing_makes_the_redactor_stumble(value, name, canary):
    """A log line never fails a payment, and never tells."""
    done = Redactor(b"k")(None, "info", {name: [value, {"detail": canary}], "event": canary})

    assert canary not in json.dumps(done, default=str)


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing(text):
    """What is masked holds nothing more to mask."""
    assert mask(mask(text)) == mask(text)


def test_a_secret_shows_itself_only_when_asked():
    """Not in a representation, not in a format, not in a log."""
    secret = Secret("c4n4ry")

    assert "c4n4ry" == secret.reveal()
    assert {HIDDEN} == {str(secret), repr(secret), f"{secret}"}


def test_a_long_text_is_cut():
    """A line has an end."""
    assert 8_193 == len(mask("é" * 9_000))


async def test_tasks_keep_their_own_context(sink):
    """Two requests at once do not swap ids."""

    async def request(number):
        structlog.contextvars.bind_contextvars(request_id=f"req_{number}")
        await asyncio.sleep(0)
        get_logger("a").info("x", number=number)

    await asyncio.gather(*(request(number) for number in range(3)))

    assert all(line["request_id"] == f"req_{line['number']}" for line in sink.lines())


def test_no_process_imports_what_paints_tracebacks():
    """Ten boxes would pay for it at each start; who wants it still gets it."""
    code = "import sys, gateway.processes; print('rich' in sys.modules); import rich.console"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
