"""Signatures, secrets, filters and the retry plan of webhooks, one law each."""

import base64
import json
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from payments.view import EVENT_LETTER
from payments.webhooks import (
    ADDRESS_REFUSED,
    EXCERPT_LENGTH_MAX,
    PLAN_MS,
    PPM,
    Answered,
    Endpoint,
    Secret,
    is_pattern,
    judge,
    masked,
    matches,
    message_headers,
    roll,
    secret_text,
    valid_secrets,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "standard_webhooks.json").read_text("utf-8")
)["vectors"]
BODY = '{"type":"payment.succeeded","data":{"subject":"牛肉面"}}'.encode()
EVENT = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAVS"


def real_now_ms():
    return int(datetime.now(UTC).timestamp() * 1_000)


def an_endpoint(**changes):
    endpoint = Endpoint("whk_1", "https://example.com", ("*",), (Secret(b"k" * 32),), 1)
    return replace(endpoint, **changes)


# --- signatures -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [24, 32, 64])
def test_the_reference_library_verifies_what_we_sign(size):
    """Secrets of every length that the standard allows."""
    key = Random(size).randbytes(size)
    headers = message_headers(an_endpoint(secrets=(Secret(key),)), EVENT, real_now_ms(), BODY)

    assert Webhook(secret_text(key)).verify(BODY, headers)["type"] == "payment.succeeded"
    assert EVENT == headers["webhook-id"]


@pytest.mark.parametrize("vector", VECTORS)
def test_a_published_message_has_the_published_signature(vector):
    """Byte for byte: header names, the signed text, the key behind its prefix."""
    key = base64.b64decode(vector["secret"].removeprefix("whsec_"))
    headers = message_headers(
        an_endpoint(secrets=(Secret(key),)),
        vector["id"],
        vector["timestamp"] * 1_000 + 999,
        vector["body"].encode(),
    )

    assert vector["secret"] == secret_text(key)
    assert vector["signature"] == headers["webhook-signature"]
    assert str(vector["timestamp"]) == headers["webhook-timestamp"]


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_whatever_is_changed_on_the_way_breaks_the_signature(header):
    """Id, instant and body are signed."""
    hook = Webhook(secret_text(b"k" * 32))
    headers = message_headers(an_endpoint(), EVENT, real_now_ms(), BODY)

    with pytest.raises(WebhookVerificationError):
        hook.verify(BODY + b" ", headers)
    other = str(int(headers[header]) + 1) if header == "webhook-timestamp" else "evt_x"
    with pytest.raises(WebhookVerificationError):
        hook.verify(BODY, headers | {header: other})


def test_while_a_secret_is_rolled_both_verify_and_after_it_the_new_one_alone():
    """Nobody has to change it in the same second."""
    now = real_now_ms()
    rolled = roll(an_endpoint(), b"n" * 32, 60_000, now)
    during = message_headers(rolled, EVENT, now + 59_999, BODY)
    after = message_headers(rolled, EVENT, now + 60_000, BODY)

    assert 2 == len(during["webhook-signature"].split(" "))
    for key in (b"k" * 32, b"n" * 32):
        assert Webhook(secret_text(key)).verify(BODY, during)
    assert Webhook(secret_text(b"n" * 32)).verify(BODY, after)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(b"k" * 32)).verify(BODY, after)


def test_a_roll_without_overlap_ends_the_old_secret_at_once():
    """Somebody has it who should not."""
    rolled = roll(an_endpoint(), b"n" * 32, 0, 1_000)

    assert [b"n" * 32] == [secret.key for secret in valid_secrets(rolled, 1_000)]


def test_a_roll_during_a_roll_leaves_two_secrets_and_shortens_none_of_the_waits_wrongly():
    """The oldest ends; the one in the middle keeps the shorter of its two ends."""
    once = roll(an_endpoint(), b"a" * 32, 50_000, 1_000)
    twice = roll(once, b"b" * 32, 10_000, 2_000)

    assert [(b"b" * 32, 0), (b"a" * 32, 12_000)] == [
        (secret.key, secret.expires) for secret in twice.secrets
    ]


def test_secrets_are_in_no_text():
    """Logs and exceptions print structs."""
    shown = repr(an_endpoint()) + repr(an_endpoint().secrets)
    assert "kkk" not in shown


# --- filters ----------------------------------------------------------------------------------


def test_a_filter_covers_what_it_says():
    """All, a group, or one."""
    kinds = list(EVENT_LETTER)
    assert kinds == [kind for kind in kinds if matches("*", kind)]
    assert 6 == sum(matches("payment.*", kind) for kind in kinds)
    assert ["refund.failed"] == [kind for kind in kinds if matches("refund.failed", kind)]
    assert not matches("pay.*", "payment.failed")
    assert not matches("payment", "payment.failed")


@pytest.mark.parametrize(
    "pattern", ["", "payment", "paymnt.*", "payment.succeded", "**", "*.*", "."]
)
def test_a_filter_that_covers_nothing_is_a_mistake(pattern):
    """Who misspells an event would wait for it for ever."""
    assert not is_pattern(pattern)


def test_a_disabled_endpoint_wants_nothing():
    """Whatever its filters say."""
    assert an_endpoint().wants("payment.failed")
    assert not an_endpoint(status="disabled").wants("payment.failed")


# --- what an answer means ---------------------------------------------------------------------


def judged(status, step=0, retry_after=None, trouble="", scale_ppm=PPM):
    return judge(Answered(status, retry_after, "", trouble), step, 0, scale_ppm, Random(step))


@pytest.mark.parametrize(
    ("status", "trouble", "outcome"),
    [
        (200, "", "delivered"),
        (204, "", "delivered"),
        (299, "", "delivered"),
        (100, "", "refused"),
        (301, "", "refused"),
        (302, "", "refused"),
        (307, "", "refused"),
        (400, "", "refused"),
        (404, "", "refused"),
        (429, "", "refused"),
        (500, "", "refused"),
        (503, "", "refused"),
        (0, "timeout", "no_answer"),
        (0, ADDRESS_REFUSED, ADDRESS_REFUSED),
    ],
)
def test_only_2xx_is_taken(status, trouble, outcome):
    """A redirect is a failure: nobody signed where it leads."""
    verdict = judged(status, trouble=trouble)

    assert outcome == verdict.outcome
    assert (outcome == "delivered") is (verdict.retry_ms is None)
    assert not verdict.is_gone


def test_410_ends_it_for_good():
    """The receiver says so."""
    verdict = judged(410)

    assert (verdict.is_gone, verdict.retry_ms) == (True, None)


def test_the_plan_is_ten_tries_over_three_days():
    """0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; each up to a tenth later."""
    minute, hour = 60_000, 3_600_000
    plan = [0, 5_000, 5 * minute, 30 * minute]
    plan += [2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
    assert plan == list(PLAN_MS)

    for step in range(9):
        waits = {judge(Answered(500), step, 0, PPM, Random(seed)).retry_ms for seed in range(50)}
        assert plan[step + 1] <= min(waits) < max(waits) <= plan[step + 1] * 1.1
    assert judged(500, step=9).retry_ms is None


def test_tests_shrink_the_plan():
    """By a factor, never below nothing."""
    assert judged(500, scale_ppm=1_000).retry_ms == 5
    assert judged(500, scale_ppm=0).retry_ms == 0


@pytest.mark.parametrize(
    ("retry_after", "wait_ms"),
    [
        ("120", 120_000),
        (" 7 ", 7_000),
        ("0", 1_000),
        ("99999", 3_600_000),
        (format_datetime(datetime.fromtimestamp(90, UTC), usegmt=True), 90_000),
        (format_datetime(datetime.fromtimestamp(0, UTC), usegmt=True), 1_000),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_may_ask_for_patience(status, retry_after, wait_ms):
    """In seconds or as a date; between a second and an hour, and nothing else goes meanwhile."""
    verdict = judged(status, retry_after=retry_after)

    assert (wait_ms, wait_ms) == (verdict.retry_ms, verdict.hold_ms)


@pytest.mark.parametrize("retry_after", ["", "soon", "-5", "1.5", "1e9", "٣", "Sun, 99 Foo 1970"])
def test_what_is_no_wait_is_passed_over(retry_after):
    """Then the plan counts."""
    assert 5_000 <= judged(503, retry_after=retry_after).retry_ms <= 5_500


def test_patience_is_for_429_and_503_alone():
    """Elsewhere the header says nothing about us."""
    assert judged(500, retry_after="3000").retry_ms < 6_000


# --- what is shown of an answer ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (b"no such hook", "no such hook"),
        (b"card 6222 0212 3456 7890 refused", "card * refused"),
        (b"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx", "token *"),
        (b"mail wang@example.com", "mail *"),
        (b"code 42, line 17", "code 42, line 17"),
        (b"a\r\nb\x00c\x1b[31m", "a b c [31m"),
        ("找不到".encode(), "找不到"),
        (b"\xff\xfe", ""),
    ],
)
def test_an_answer_is_shown_without_what_may_be_secret(answer, shown):
    """Long numbers, tokens and addresses of people are masked; control characters go."""
    assert shown == masked(answer)


def test_an_answer_is_cut():
    """Whoever looks needs a line, not a page."""
    assert EXCERPT_LENGTH_MAX == len(masked(b"oh dear " * 10_000))
