"""A store's day out of slices: however the shard cuts them, they add up to the same sheet."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.json import decode
from msgspec.structs import replace

from actors import store_days
from actors.home_messages import HomeAsk
from actors.live import encode
from actors.store_days import StoreDays
from gateway.handlers.reports import add_up
from payments.errors import NotFound
from payments.payment import AttemptState
from payments.refund import RefundStatus
from payments.reports.sales import store_day_table
from payments.reports.settlement import Scope
from payments.testing import MERCHANT_ID, NOW_MS, a_payment, a_refund

DAY = 20261118


class Rows:
    """The two lists of a store, newest first."""

    def __init__(self, payments, refunds):
        self._payments, self._refunds = payments, refunds
        self.walked = 0

    def merchant_payments(self, number, *, before, after, limit):
        return self._page(self._payments, 8, before, limit)

    def merchant_refunds(self, number, *, before, after, limit):
        return self._page(self._refunds, 7, before, limit)

    def payment(self, identifier):
        found = [each for each in self._payments if each.id == identifier]
        return self._row(1, found[0], 8) if found else None

    def _page(self, objects, at, before, limit):
        numbered = [(no, each) for no, each in enumerate(objects, 1) if not before or no < before]
        page = numbered[::-1][:limit]
        self.walked += len(page)
        return [self._row(no, each, at) for no, each in page]

    def _row(self, no, found, at):
        return (no, *[None] * (at - 1), encode(found))


class Shard:
    """The question alone, as the desk asks it."""

    def __init__(self, payments, refunds=()):
        self.rows = Rows(list(payments), list(refunds))
        reference = SimpleNamespace(
            merchant=lambda name: SimpleNamespace(number=1) if name == MERCHANT_ID else None
        )
        self.ops = {}
        core = SimpleNamespace(store=self.rows, reference=reference)
        StoreDays(SimpleNamespace(core=core, takes=self.ops.__setitem__))

    def day(self, party=MERCHANT_ID, **query):
        """All slices added up: (lines, how many slices)."""
        groups, slices = {}, 0
        query = {"business_date": str(DAY)} | query
        while True:
            ask = HomeAsk(0, "store_day.get", party, "key", party=party, query=query)
            said = decode(self.ops["store_day.get"](ask).body)
            add_up(groups, [tuple(row) for row in said["rows"]])
            slices += 1
            assert slices < 1_000
            if not said["next"]:
                return sorted((*key, *sums) for key, sums in groups.items()), slices
            query = {**query, "from": said["next"]}


SALES = st.builds(
    lambda amount, operator, store, date: a_payment(
        AttemptState.SUCCEEDED, amount=amount, operator=operator, store=store, business_date=date
    ),
    st.integers(1, 9_999),
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["sto_1", "sto_2"]),
    st.sampled_from([DAY, DAY, DAY - 1]),
)


@given(st.lists(SALES, max_size=9), st.integers(1, 4), st.sampled_from([None, "sto_1"]))
def test_slices_add_up_to_the_sheet(payments, size, store):
    """With refunds of each second payment, whose operator is the payment's."""
    facts = {"status": RefundStatus.SUCCEEDED, "business_date": DAY}
    refunds = [a_refund(each, amount=1, **facts) for each in payments[::2]]
    known = {each.id: each for each in payments}
    sheet = store_day_table(payments, refunds, known.get, Scope(MERCHANT_ID, DAY), store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_days, "SLICE_ROWS", size)
        lines, slices = Shard(payments, refunds).day(**({"store": store} if store else {}))
    assert sorted(sheet.rows) == lines
    assert slices >= 2


def test_the_walk_ends_where_the_day_is_past(monkeypatch):
    """A merchant's years are not read for yesterday's sheet."""
    monkeypatch.setattr(store_days, "SLICE_ROWS", 2)
    old = [a_payment(AttemptState.SUCCEEDED, business_date=20250101) for _ in range(50)]
    new = [a_payment(AttemptState.SUCCEEDED, business_date=DAY) for _ in range(3)]
    shard = Shard([*(replace(each, created=NOW_MS - 400 * 86_400_000) for each in old), *new])
    lines, _ = shard.day()
    assert [3] == [line[6] for line in lines]
    assert shard.rows.walked <= 6


def test_a_merchant_that_is_not_here_has_no_day():
    with pytest.raises(NotFound):
        Shard([]).day(party="mch_" + "0" * 24)
