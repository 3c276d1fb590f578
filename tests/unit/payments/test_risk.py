"""Risk is a list of checks with names; limits are dated data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError

from payments.payment import Assessment, Failure, Way
from payments.risk import CHECKS, Facts, assess, failure_of, policy_at, policy_from
from payments.testing import a_policy

POLICY = a_policy(
    version="7",
    single_max=1_000,
    day_amount_max=5_000,
    terminal_per_minute=3,
    review_from=900,
    blocked_payers=frozenset({"mallory"}),
)


def facts(**changes):
    return Facts(**{"amount": 100, "way": Way.BARCODE, **changes})


REJECTED = [
    # one over the limit, and exactly at it
    (facts(amount=1_001), "single_max", "limit_exceeded"),
    (facts(day_amount=4_901), "day_amount_max", "limit_exceeded"),
    (facts(terminal_count=3), "terminal_per_minute", "limit_exceeded"),
    (facts(auth_used=True), "auth_code_used", "auth_code_used"),
    (facts(payer="mallory"), "payer_blocked", "risk_rejected"),
]


@pytest.mark.parametrize(("given_facts", "rule", "code"), REJECTED)
def test_each_rule_rejects_and_says_why(given_facts, rule, code):
    """The rule speaks with the version of the policy, and gives the payment its failure."""
    assessment = assess(given_facts, POLICY)

    assert assessment.decision == "reject"
    assert f"{rule}@7" in assessment.rules
    assert code == failure_of(assessment).code


@pytest.mark.parametrize(
    "given_facts",
    [
        facts(amount=899),
        facts(day_amount=4_900),
        facts(terminal_count=2),
        facts(payer="alice"),
        facts(payer=None),
    ],
)
def test_at_the_limit_is_within_it(given_facts):
    """A limit is what is still allowed."""
    assert assess(given_facts, POLICY) == Assessment("pass")
    assert failure_of(assess(given_facts, POLICY)) is None


def test_the_single_limit_itself_may_be_paid():
    """Exactly the limit passes, one unit more does not."""
    policy = a_policy(single_max=1_000)

    assert assess(facts(amount=1_000), policy) == Assessment("pass")
    assert assess(facts(amount=1_001), policy).decision == "reject"


def test_a_large_payment_is_reviewed_and_not_refused():
    """Accepted, and looked at before its settlement; a refusal weighs more."""
    assert assess(facts(amount=900), POLICY) == Assessment("review", None, ("review_from@7",))
    assert failure_of(assess(facts(amount=900), POLICY)) is None
    both = assess(facts(amount=900, payer="mallory"), POLICY)
    assert both == Assessment("reject", None, ("payer_blocked@7", "review_from@7"))


def test_what_has_no_limit_is_not_limited():
    """A limit of None lets everything through; so does allowing used codes."""
    open_policy = a_policy(single_max=10**12, terminal_per_minute=10**9)
    lenient = a_policy(refuse_used_auth_codes=False)

    assert assess(facts(amount=10**11, day_amount=10**15), open_policy) == Assessment("pass")
    assert assess(facts(auth_used=True), lenient) == Assessment("pass")


def test_a_static_code_carries_its_level():
    """Level D whatever the payer did, and whatever is decided."""
    assert assess(facts(static=True), POLICY).level == "D"
    assert assess(facts(static=True, amount=1_001), POLICY).level == "D"
    assert assess(facts(), POLICY).level is None


any_facts = st.builds(
    Facts,
    amount=st.integers(1, 2_000),
    way=st.sampled_from(Way),
    day_amount=st.integers(0, 10_000),
    terminal_count=st.integers(0, 6),
    auth_used=st.booleans(),
    payer=st.sampled_from([None, "alice", "mallory"]),
    static=st.booleans(),
)


@given(any_facts)
def test_an_assessment_names_exactly_the_rules_that_are_broken(given_facts):
    """All of them, in order of precedence; rejected if one rejects, passed if none speaks."""
    broken = [check for check in CHECKS if check.broken(given_facts, POLICY)]

    assessment = assess(given_facts, POLICY)

    assert tuple(f"{check.id}@7" for check in broken) == assessment.rules
    rejecting = [check for check in broken if check.failure is not None]
    assert (assessment.decision == "reject") == bool(rejecting)
    assert (assessment.decision == "pass") == (not broken)
    failure = failure_of(assessment)
    assert (failure.code if failure else None) == (rejecting[0].failure if rejecting else None)


@given(any_facts, st.integers(0, 1_000), st.integers(0, 5_000), st.integers(0, 3))
def test_asking_for_more_is_never_safer(given_facts, amount, day_amount, count):
    """What is rejected stays rejected when amounts and counts are higher."""
    more = Facts(
        given_facts.amount + amount,
        given_facts.way,
        given_facts.day_amount + day_amount,
        given_facts.terminal_count + count,
        given_facts.auth_used,
        given_facts.payer,
        given_facts.static,
    )

    weights = {"pass": 0, "review": 1, "reject": 2}
    less_decided, more_decided = assess(given_facts, POLICY), assess(more, POLICY)

    assert weights[less_decided.decision] <= weights[more_decided.decision]


def test_a_rule_of_another_release_still_rejects():
    """A stored assessment outlives the rule that made it."""
    failure = failure_of(Assessment("reject", None, ("phase_of_moon@3",)))

    assert failure == Failure("risk_rejected", "refused by risk")


DATA = {
    "version": "2026-11",
    "effective_from_ms": 0,
    "source": "where the numbers come from",
    "single_max": 5_000_000,
    "terminal_per_minute": 10_000,
    "blocked_payers": ["mallory"],
}


def test_a_policy_is_data():
    """Plain data, as a file has it, makes a policy."""
    policy = policy_from(DATA)

    assert policy.single_max == 5_000_000
    assert policy.day_amount_max is None
    assert policy.blocked_payers == frozenset({"mallory"})


@pytest.mark.parametrize(
    "change",
    [
        {"single_max": 0},
        {"single_max": "5000000"},
        {"terminal_per_minute": 0},
        {"version": ""},
        {"version": "a@b"},
        {"limits": 1},
        {"source": None},
    ],
)
def test_a_wrong_policy_is_refused(change):
    """At start, not at the first payment."""
    with pytest.raises(ValidationError):
        policy_from({**DATA, **change})


def test_the_policy_in_force_is_the_latest_that_has_begun():
    """Limits change at an instant that is known before."""
    old, new = a_policy(version="1"), a_policy(version="2", effective_from_ms=1_000)

    assert policy_at([new, old], 999) is old
    assert policy_at([new, old], 1_000) is new
    with pytest.raises(LookupError):
        policy_at([new], 999)
