"""Which split rule applies to a payment, and which of its receivers still take part.

A rule says of which store, tag (the payment's metadata `tag`) and way a payment must be; what it
does not say fits every payment. Of several that fit, the one that says most applies; of those, the
one that names a store before one that names a tag before one that names a way; of equals, the
newest. Effective dates are business dates, both included.
"""

from collections.abc import Callable, Iterable
from typing import Final

from payments.reference import Merchant, Receiver, ReceiverStatus, SplitRule, SplitRuleStatus
from payments.splitting.terms import Terms

TAG: Final = "tag"
"""The key in a payment's metadata that rules match by."""


def choose(
    rules: Iterable[SplitRule], *, store: str | None, tag: str | None, way: str, business_date: int
) -> SplitRule | None:
    """The rule for such a payment, or None."""
    fitting = [rule for rule in rules if _fits(rule, store, tag, way, business_date)]
    return max(fitting, key=_rank, default=None)


def _fits(rule: SplitRule, store: str | None, tag: str | None, way: str, date: int) -> bool:
    return (
        rule.status is SplitRuleStatus.ACTIVE
        and rule.store in (None, store)
        and rule.tag in (None, tag)
        and rule.way in (None, way)
        and (rule.effective_from is None or rule.effective_from <= date)
        and (rule.effective_to is None or date <= rule.effective_to)
    )


def _rank(rule: SplitRule) -> tuple[int, bool, bool, str]:
    says = [each is not None for each in (rule.store, rule.tag, rule.way)]
    return sum(says), says[0], says[1], rule.id


def terms_of(
    rule: SplitRule, merchant: Merchant, receiver: Callable[[str], Receiver | None]
) -> Terms | None:
    """What the rule says for a payment made now; None when nobody of it takes part any more.

    A part whose receiver was disabled, or is the merchant's no longer, is left with the merchant.
    """
    parts = tuple(part for part in rule.parts if may_receive(receiver(part.receiver), merchant))
    return Terms(parts, rule.base, rule.fee, rule.id) if parts else None


def may_receive(receiver: Receiver | None, merchant: Merchant) -> bool:
    """Whether payments of this merchant can be split with this receiver.

    It is the merchant's own, or belongs to the platform that acts for the merchant.
    """
    return (
        receiver is not None
        and receiver.status is ReceiverStatus.ACTIVE
        and _is_known_to(receiver, merchant)
    )


def _is_known_to(receiver: Receiver, merchant: Merchant) -> bool:
    if receiver.merchant is not None:
        return receiver.merchant == merchant.id
    return receiver.platform is not None and receiver.platform == merchant.platform
