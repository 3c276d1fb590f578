"""Risk: a list of checks, each with a name, a policy version and an answer that says why.

Limits are data, versioned and dated, with the source they come from: none of them is a constant of
this code. The licensed acquirer screens as well; this is an additional screen.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, convert

from payments.payment import Assessment, Failure, Way

PASS: Final = "pass"  # noqa: S105 - a decision, no secret
REVIEW: Final = "review"
REJECT: Final = "reject"

STATIC_LEVEL: Final = "D"
"""A static code, however the payer was verified (条码支付业务规范, 银发〔2017〕296号)."""

RULES_SEPARATOR: Final = "@"


class Policy(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The limits in force from `effective_from_ms` on (business time), and where they come from.

    Amounts in minor units; None: no limit. `terminal_per_minute`: tries of one terminal.
    `review_from`: payments from this amount on are accepted and looked at before settlement.
    """

    version: str
    effective_from_ms: int
    source: str
    single_max: int
    terminal_per_minute: int
    day_amount_max: int | None = None
    review_from: int | None = None
    refuse_used_auth_codes: bool = True
    blocked_payers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.version or RULES_SEPARATOR in self.version:
            raise ValueError(f"risk policy: {self.version!r} is no version")
        if self.single_max < 1 or self.terminal_per_minute < 1:
            raise ValueError(f"risk policy {self.version}: a limit below one lets nothing through")


class Facts(Struct, frozen=True, gc=False):
    """What the checks look at. Counts and amounts are those before this payment.

    `day_amount`: reserved by the merchant's payments of this business date, minor units.
    `terminal_count`: tries of the terminal in this minute. `auth_used`: this merchant has seen
    the payer's code before. `static`: paid by a printed code.
    """

    amount: int
    way: Way
    day_amount: int = 0
    terminal_count: int = 0
    auth_used: bool = False
    payer: str | None = None
    static: bool = False


class Check(Struct, frozen=True, gc=False):
    """One rule. `failure`: the payment's failure code if it rejects; None if it asks for review."""

    id: str
    failure: str | None
    message: str
    broken: Callable[[Facts, Policy], bool]


def _single_exceeded(facts: Facts, policy: Policy) -> bool:
    return facts.amount > policy.single_max


def _day_exceeded(facts: Facts, policy: Policy) -> bool:
    maximum = policy.day_amount_max
    return maximum is not None and facts.day_amount + facts.amount > maximum


def _terminal_exceeded(facts: Facts, policy: Policy) -> bool:
    return facts.terminal_count >= policy.terminal_per_minute


def _code_used(facts: Facts, policy: Policy) -> bool:
    return facts.auth_used and policy.refuse_used_auth_codes


def _payer_blocked(facts: Facts, policy: Policy) -> bool:
    return facts.payer is not None and facts.payer in policy.blocked_payers


def _large(facts: Facts, policy: Policy) -> bool:
    return policy.review_from is not None and facts.amount >= policy.review_from


CHECKS: Final = (
    Check("payer_blocked", "risk_rejected", "the payer is blocked", _payer_blocked),
    Check("auth_code_used", "auth_code_used", "the code was used before", _code_used),
    Check("single_max", "limit_exceeded", "the amount exceeds the single limit", _single_exceeded),
    Check("day_amount_max", "limit_exceeded", "the day's limit is reached", _day_exceeded),
    Check(
        "terminal_per_minute",
        "limit_exceeded",
        "the terminal has tried too often this minute",
        _terminal_exceeded,
    ),
    Check("review_from", None, "large: looked at before settlement", _large),
)
"""In order of precedence: the first that rejects gives the payment its failure."""

_PASSED: Final = Assessment(PASS)
_PASSED_STATIC: Final = Assessment(PASS, STATIC_LEVEL)
_TESTS: Final = tuple(check.broken for check in CHECKS)
_CHECK_OF: Final = {check.id: check for check in CHECKS}


def assess(facts: Facts, policy: Policy) -> Assessment:
    """What risk says about a payment, with each rule that spoke as `id@version`."""
    for broken in _TESTS:
        if broken(facts, policy):
            return _findings(facts, policy)
    return _PASSED_STATIC if facts.static else _PASSED


def _findings(facts: Facts, policy: Policy) -> Assessment:
    found = [check for check in CHECKS if check.broken(facts, policy)]
    rejects = any(check.failure is not None for check in found)
    return Assessment(
        REJECT if rejects else REVIEW,
        STATIC_LEVEL if facts.static else None,
        tuple(f"{check.id}{RULES_SEPARATOR}{policy.version}" for check in found),
    )


def failure_of(assessment: Assessment) -> Failure | None:
    """Why a payment fails that risk rejected; None when it was not rejected."""
    if assessment.decision != REJECT:
        return None
    for rule in assessment.rules:
        check = _CHECK_OF.get(rule.partition(RULES_SEPARATOR)[0])
        if check is not None and check.failure is not None:
            return Failure(check.failure, check.message)
    # Rows outlive releases: a rule that this release does not know still rejected the payment.
    return Failure("risk_rejected", "refused by risk")


def policy_from(data: Mapping[str, Any]) -> Policy:
    """A policy from plain data, as a configuration file has it. ValueError for a wrong one."""
    return convert(data, Policy)


def policy_at(policies: Iterable[Policy], at_ms: int) -> Policy:
    """The policy in force at an instant: the latest that has begun. LookupError if none has."""
    begun = [policy for policy in policies if policy.effective_from_ms <= at_ms]
    if not begun:
        raise LookupError(f"no risk policy is in force at {at_ms}")
    return max(begun, key=lambda policy: policy.effective_from_ms)
