"""Errors as HTTP sees them."""

import json

import pytest

from gateway import errors as edge
from gateway.errors import STATUS, EdgeError, from_refusal, problem, status_of
from payments import errors
from payments.errors import PaymentError, error_classes

TABLE = """
    Malformed            400
    Unauthorized         401
    InsufficientScope    403
    MerchantSuspended    403
    NotFound             404
    OrderInProgress      409
    OrderAlreadyPaid     409
    NotCancelable        409
    InvalidField         422
    IdempotencyMismatch  422
    WalletNotSupported   422
    NotRefundable        422
    ExceedsPaid          422
    QuotaExceeded        429
    Overloaded           503
    NoChannel            503
    OutcomeUnknown       504
    Internal             500
    Refused              422
    Forbidden            403
    Conflict             409
    Unavailable          503
    PaymentError         500
"""
EDGE = """
    RouteNotFound         404
    MethodNotAllowed      405
    ReceiveTimeout        408
    BodyTooLarge          413
    UnsupportedMediaType  415
    HeadersTooLarge       431
"""


def table(text):
    return [(name, int(status)) for name, status in map(str.split, text.strip().splitlines())]


@pytest.mark.parametrize(("name", "status"), table(TABLE))
def test_each_refusal_of_the_business_has_its_status(name, status):
    """As the public contract says."""
    assert status == status_of(getattr(errors, name)("x"))


@pytest.mark.parametrize(("name", "status"), table(EDGE))
def test_each_refusal_of_the_edge_has_its_status(name, status):
    """What only HTTP can do wrong."""
    assert status == getattr(edge, name).status


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_each_class_has_a_code_a_sentence_and_a_status_of_its_own(error):
    """Nobody adds an error without saying what a caller sees."""
    assert error.code
    assert error.__doc__
    assert error in STATUS
    assert "code" in vars(error)


def test_codes_are_unique_and_the_table_is_most_specific_first():
    """A code names one thing; a parent never stands before its child."""
    classes = error_classes()
    order = list(STATUS)

    assert len(classes) == len({error.code for error in classes})
    for child in classes[1:]:
        assert order.index(child) < order.index(child.__bases__[0])


def test_a_class_that_is_not_listed_has_its_parents_status(monkeypatch):
    """Most specific first, and nothing falls through."""
    # In a copy: put back, the row would stand at the end, and the order of the rows is a rule.
    without = {kind: status for kind, status in STATUS.items() if kind is not errors.NotCancelable}
    monkeypatch.setattr(edge, "STATUS", without)

    assert 409 == status_of(errors.NotCancelable())


@pytest.mark.parametrize("kind", EdgeError.__subclasses__(), ids=lambda kind: kind.__name__)
def test_each_edge_error_has_a_code_and_a_sentence(kind):
    """They are answers, too."""
    assert (True, True) == (bool(kind.__doc__), "code" in vars(kind))


def test_a_problem_has_every_member_of_the_contract():
    """RFC 9457, and ours."""
    error = errors.InvalidField("Too small.", param="/payer/openid")

    status, headers, body = problem(error, "req_1", "/v1/payments")

    assert 422 == status
    assert {
        "Content-Type": "application/problem+json",
        "Request-Id": "req_1",
        "Cache-Control": "no-store",
    } == headers
    assert {
        "type": "urn:tillway:problem:invalid_field",
        "title": "Invalid field",
        "status": 422,
        "detail": "Too small.",
        "instance": "/v1/payments",
        "code": "invalid_field",
        "param": "payer.openid",
        "request_id": "req_1",
        "retryable": False,
        "doc_url": "/docs/errors#invalid_field",
        "errors": [{"pointer": "/payer/openid", "detail": "Too small."}],
    } == json.loads(body)


def test_a_problem_that_is_about_no_field_has_no_errors():
    """A header or a query parameter is named in `param` alone."""
    body = json.loads(problem(errors.Malformed("x", param="Idempotency-Key"), "r", "/")[2])

    assert ("Idempotency-Key", False) == (body["param"], "errors" in body)


HEADERS = [
    (errors.QuotaExceeded(retry_after_s=7), {"Retry-After": "7", "RateLimit": '"default";r=0;t=7'}),
    (errors.Overloaded(), {"Retry-After": "1"}),
    (errors.NoChannel(retry_after_s=30), {"Retry-After": "30"}),
    (errors.OutcomeUnknown(), {"Retry-After": "1"}),
    (errors.Unauthorized(), {"WWW-Authenticate": 'Bearer realm="tillway"'}),
    (edge.MethodNotAllowed(("GET", "POST")), {"Allow": "GET, POST"}),
    (edge.UnsupportedMediaType(), {"Accept": "application/json"}),
    (errors.NotFound(), {}),
    (edge.BodyTooLarge(), {}),
]


@pytest.mark.parametrize(("error", "expected"), HEADERS)
def test_what_a_client_must_know_stands_in_headers(error, expected):
    """When to come back, what is allowed."""
    common = {"Content-Type", "Request-Id", "Cache-Control"}
    headers = problem(error, "r", "/")[1]

    assert expected == {name: value for name, value in headers.items() if name not in common}


def test_an_error_without_words_takes_those_of_its_class():
    """Every problem says what to do next."""
    assert "repeat" in json.loads(problem(errors.OutcomeUnknown(), "r", "/")[2])["detail"]


def test_bytes_that_are_no_text_do_not_break_the_answer():
    """A request line may hold anything; the answer is still JSON."""
    body = problem(errors.NotFound("\udcff", param="\udcff"), "r", "/v1/\udcff")[2]

    assert "/v1/?" == json.loads(body)["instance"]


@pytest.mark.parametrize(
    ("code", "param", "expected"),
    [
        ("invalid_field", "terminal", "/terminal"),
        ("invalid_field", "payer.openid", "/payer/openid"),
        ("invalid_field", "/amount", "/amount"),
        ("invalid_field", "tillway-merchant", "tillway-merchant"),
        ("invalid_field", "limit", "limit"),
        ("invalid_field", None, None),
        ("not_found", "platform", "platform"),
        ("order_in_progress", None, None),
    ],
)
def test_a_refusal_from_an_actor_becomes_its_error(code, param, expected):
    """Actors name fields plainly; the edge makes pointers of them."""
    error = from_refusal(code, "why", param, 3)

    assert isinstance(error, PaymentError)
    assert (code, "why", expected, 3) == (
        error.code,
        error.detail,
        error.param,
        error.retry_after_s,
    )


def test_a_refusal_with_an_unknown_code_is_our_bug():
    """Never a crash, never a guess."""
    assert 500 == status_of(from_refusal("no_such_code", "why"))
