"""Examples of comparisons and differences, rendered by the code that renders answers."""

from typing import Any, Final

from msgspec import Struct, to_builtins

from gateway.openapi.examples import MERCHANT
from gateway.openapi.shapes_reconciliation import ReconciliationItemView, ReconciliationView
from payments.bills.lines import BillKind, BillState
from payments.reconciliation.bank import BankLeg, Booked, LegState
from payments.reconciliation.differences import (
    Act,
    Difference,
    Kind,
    Owner,
    Side,
    proposal_of,
)
from payments.reconciliation.exceptions import item_view, run_view
from payments.reconciliation.lines import day_bounds
from payments.reconciliation.match import Counts
from payments.reconciliation.notices import (
    ReconciliationNoticeView,
    ReconciliationSummaryView,
    summary_of,
    view_of,
)
from payments.reconciliation.runs import Run, RunStatus, item_id, run_id

_DATE: Final = 20261121
_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_NUMBER: Final = "01M7VJ2Q5A00062XHZRX9N8T00"
_, _ENDED = day_bounds(_DATE)
_NOW: Final = _ENDED + 37_800_000
_AT: Final = _ENDED - 40_000_000

_RUN: Final = Run(
    run_id("wechat", _DATE, _SHA256), "wechat", "wechat", "1900000001", _DATE,
    f"{_DATE}.trades.{_SHA256[:16]}.csv", _SHA256, RunStatus.FINISHED, _NOW, _NOW,
    Counts(matched=812, ours_lines=813, theirs_lines=813, ours=3_089_400, theirs=3_089_500,
           differences=100, fees=18_537),
    {"amount": 1},
    bank=BankLeg(LegState.MATCHED, 3_089_500, 3_089_500,
                 (Booked("20261123-000017", 17, 20261123, 3_089_500),)),
)  # fmt: skip

_SIDES: Final = tuple(
    Side(payment, BillState.SUCCEEDED, "cny", amount, amount, 0, None, _AT, merchant)
    for payment, amount, merchant in (
        (f"pay_{_NUMBER[:24]}", 3_800, MERCHANT),
        ("", 3_900, ""),
    )
)

_DIFFERENCE: Final = Difference(
    Kind.AMOUNT, BillKind.PAYMENT, _NUMBER, _SIDES[0], _SIDES[1], 100, "cny", Owner.FINANCE,
    (212,), proposal_of("wechat", Act.SUSPENSE, 100, _NUMBER),
)  # fmt: skip

_NOTICE: Final = view_of(item_id(_RUN, _DIFFERENCE), _DIFFERENCE, _RUN)
_SUMMARY: Final = summary_of(_RUN, MERCHANT, {"amount": 1})

RECONCILIATION_SHAPES: Final[dict[type[Struct], Any]] = {
    ReconciliationView: run_view(_RUN, {"amount": 1}),
    ReconciliationItemView: item_view(item_id(_RUN, _DIFFERENCE), _DIFFERENCE, _RUN, _NOW),
    ReconciliationNoticeView: to_builtins(_NOTICE),
    ReconciliationSummaryView: to_builtins(_SUMMARY),
}

EVENTS: Final[dict[str, Any]] = {
    "reconciliation.finished": to_builtins(_SUMMARY),
    "reconciliation.opened": to_builtins(_NOTICE),
    "reconciliation.resolved": to_builtins(_NOTICE) | {"status": "resolved"},
}
"""By type of event: the object that it carries."""
