"""The tree of errors is closed and drawn: each has a code and says what to do."""

import re

import pytest

from payments import errors
from payments.errors import PaymentError, Unavailable, by_code, error_classes

TREE = error_classes()


@pytest.mark.parametrize("error", TREE)
def test_each_error_has_a_code_and_a_sentence(error):
    """Its own, not its parent's."""
    assert "code" in vars(error)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert error.__doc__
    assert error.__doc__.strip().endswith((".", "`."))
    assert by_code(error.code) is error


def test_codes_are_unique():
    """An answer that crossed a link becomes the error that it was."""
    assert len(TREE) == len({error.code for error in TREE})


def test_the_tree_is_the_one_that_is_drawn():
    """The picture at the top of the file shows every class below its parent."""
    drawn, path = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"^((?:│   |    )*)(?:[├└]── )?([A-Z][A-Za-z]+)\b(?=  +|$)", line)
        if found and (found[2] == "PaymentError" or "── " in line):
            depth = len(found[1]) // 4 + ("── " in line)
            path[depth:] = [found[2]]
            drawn[found[2]] = path[depth - 1] if depth else None

    real = {e.__name__: e.__base__.__name__ for e in TREE if e is not PaymentError}
    assert real == {name: parent for name, parent in drawn.items() if parent}


def test_only_what_wrote_nothing_or_is_unknown_may_be_repeated():
    """`retryable` is said by the class, and follows from where it stands."""
    retryable = {error.code for error in TREE if error.retryable}

    assert retryable == {
        "internal_error",
        "quota_exceeded",
        "unavailable",
        "overloaded",
        "no_channel",
        "outcome_unknown",
    }
    assert all(error.retryable for error in TREE if issubclass(error, Unavailable))


@pytest.mark.parametrize("error", TREE)
def test_an_error_carries_what_the_caller_needs(error):
    """What to do, which field, and when to come back."""
    raised = error("do this", param="amount", retry_after_s=3)

    assert (raised.detail, raised.param, raised.retry_after_s) == ("do this", "amount", 3)
    assert str(raised) == "do this"
    assert (error().detail, error().param, error().retry_after_s) == ("", None, None)


def test_a_code_that_does_not_exist_is_our_bug():
    """Nothing is guessed."""
    with pytest.raises(KeyError):
        by_code("no_such_code")
