"""Routing finds the first capable account that can take the payment now, and says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.channels.base import Approved, Awaiting, Declined, Unknown, Unpaid
from payments.errors import NoChannel, WalletNotSupported
from payments.payment import Route, Way
from payments.routing import LaneFacts, Router, may_go_on, plan, serves
from payments.testing import an_account

FIRST = an_account("first", channel="wechat", wallets=("wechat",), priority=1)
SECOND = an_account("second", channel="adapay", wallets=("wechat", "alipay"), priority=2)
THIRD = an_account("third", channel="adapay", wallets=("alipay",), priority=3, ways=(Way.QR,))
ACCOUNTS = (THIRD, FIRST, SECOND)
ROUTER = Router(ACCOUNTS)


def lanes(**states):
    """Facts of lanes; each as credits, or as (credits, circuit)."""
    given_states = {"first": 5, "second": 5, "third": 5, **states}
    return {
        name: LaneFacts(*state) if isinstance(state, tuple) else LaneFacts(state, "closed")
        for name, state in given_states.items()
        if state is not None
    }


def routed(facts, way=Way.BARCODE, wallet="wechat", **more):
    route, account = ROUTER.plan(way, wallet, facts, **more)
    return route.reason, account.name, route.candidates


BOTH = ("first", "second")
ROUTES = [
    (lanes(), {}, ("priority", "first", BOTH)),
    (lanes(first=0), {}, ("available", "second", BOTH)),
    (lanes(first=(5, "open")), {}, ("available", "second", BOTH)),
    (lanes(first=None), {}, ("available", "second", BOTH)),
    (lanes(first=(1, "half_open")), {}, ("priority", "first", BOTH)),
    (lanes(), {"hint": "second"}, ("hint", "second", ("second", "first"))),
    (lanes(), {"hint": "adapay"}, ("hint", "second", ("second", "first"))),
    (lanes(second=0), {"hint": "adapay"}, ("available", "first", ("second", "first"))),
    (lanes(), {"hint": "third"}, ("priority", "first", BOTH)),
    (lanes(), {"hint": "nobody"}, ("priority", "first", BOTH)),
    (lanes(), {"tried": ("first",)}, ("available", "second", BOTH)),
    (lanes(), {"wallet": "alipay"}, ("only", "second", ("second",))),
    (lanes(), {"wallet": "alipay", "way": Way.QR}, ("priority", "second", ("second", "third"))),
    (lanes(), {"wallet": None, "way": Way.CASHIER}, ("priority", "first", BOTH)),
]


@pytest.mark.parametrize(("facts", "question", "expected"), ROUTES)
def test_the_first_capable_account_that_can_takes_it(facts, question, expected):
    """By priority, a hint before all; without credits or with an open circuit the next one."""
    assert expected == routed(facts, **question)


def test_a_wallet_that_no_account_has_is_never_served():
    """The caller is told to stop trying, and which field is wrong."""
    with pytest.raises(WalletNotSupported) as refused:
        ROUTER.plan(Way.BARCODE, "unionpay", lanes())

    assert refused.value.param == "wallet"
    assert not refused.value.retryable


@pytest.mark.parametrize(
    ("facts", "more", "retry_after_s"),
    [
        (lanes(first=0, second=0), {}, 1),
        (lanes(first=0, second=(9, "open")), {}, 1),
        (lanes(first=(5, "open"), second=(5, "open")), {}, 5),
        ({}, {}, 5),
        (lanes(), {"tried": BOTH}, 5),
    ],
)
def test_when_no_account_can_take_it_now_the_caller_comes_back(facts, more, retry_after_s):
    """Soon when channels are busy, later when they are down."""
    with pytest.raises(NoChannel) as refused:
        ROUTER.plan(Way.BARCODE, "wechat", facts, **more)

    assert retry_after_s == refused.value.retry_after_s
    assert refused.value.retryable


accounts = st.lists(
    st.builds(
        lambda name, wallets, ways, priority: an_account(
            name, wallets=tuple(wallets), ways=tuple(ways), priority=priority
        ),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sets(st.sampled_from(["wechat", "alipay"])),
        st.sets(st.sampled_from([Way.BARCODE, Way.QR])),
        st.integers(0, 2),
    ),
    max_size=4,
    unique_by=lambda account: account.name,
)
some_facts = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]),
    st.builds(LaneFacts, st.integers(0, 2), st.sampled_from(["closed", "half_open", "open"])),
)
hints = st.sampled_from([None, "a", "d", "simulated", "nobody"])


@given(accounts, some_facts, hints, st.sampled_from(["wechat", "alipay", None]))
def test_a_route_is_right_or_there_is_none(some, facts, hint, wallet):
    """The chosen one is capable and can take it, nobody before it could, and all are named."""
    able = [account for account in some if serves(account, Way.BARCODE, wallet)]

    def can(name):
        return name in facts and facts[name].credits > 0 and facts[name].circuit != "open"

    try:
        route, chosen = plan(some, Way.BARCODE, wallet, facts, hint)
    except WalletNotSupported:
        assert not able
    except NoChannel:
        assert able
        assert not any(can(account.name) for account in able)
    else:
        assert chosen in able
        assert can(chosen.name)
        assert {account.name for account in able} == set(route.candidates)
        before = route.candidates[: route.candidates.index(chosen.name)]
        assert not any(map(can, before))


def test_answers_are_made_once():
    """The same question gets the same object: a payment allocates no route of its own."""
    one, _ = ROUTER.plan(Way.BARCODE, "wechat", lanes())
    other, _ = ROUTER.plan(Way.BARCODE, "wechat", lanes(second=1))

    assert one is other
    assert one == Route("priority", BOTH)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Declined("channel_error", "rate", not_sent=True), True),
        (Declined("insufficient_funds", "no"), False),
        (Declined("auth_code_expired", "no"), False),
        (Unknown("time-out"), False),
        (Awaiting(), False),
        (Unpaid("absent"), False),
        (Approved("x", 1), False),
    ],
)
def test_a_second_channel_is_asked_only_after_a_refusal_of_the_channels_own(outcome, expected):
    """Two channels never both charge."""
    assert expected is may_go_on(outcome)


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "a:b"}, {"name": "a#1"}, {"name": "A"}, {"mode": "x"},
     {"settles_to": "us"}],
)  # fmt: skip
def test_an_account_that_the_books_could_not_name_is_refused(changes):
    """Its name becomes part of account names."""
    with pytest.raises(ValueError, match="channel account"):
        an_account(**changes)
