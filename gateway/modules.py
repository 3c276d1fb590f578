"""The parts of the gateway that can be served alone, and what belongs to each (docs/MODULES.md).

A route belongs to the modules named here for the longest beginning of its path, and is served where
one of them is; a path that is not named is served always.
"""

import difflib
from collections.abc import Collection, Iterable
from typing import Final

ACQUIRING: Final = "acquiring"
CUSTODY: Final = "custody"
SPLITTING: Final = "splitting"
MODULES: Final = (ACQUIRING, CUSTODY, SPLITTING)

ANYWHERE: Final[frozenset[str]] = frozenset()
_TAKING: Final = frozenset({ACQUIRING})
_HOME: Final = frozenset({CUSTODY})
_RULES: Final = frozenset({SPLITTING})
_SHARES: Final = frozenset({CUSTODY, SPLITTING})

PATHS: Final[dict[str, frozenset[str]]] = {
    "POST /v1/payments": _TAKING,
    "GET /v1/payments/{id}/splits": _SHARES,
    "POST /v1/payments/{id}/release": _RULES,
    "* /v1/qr_plates": _TAKING,
    "* /p": _TAKING,
    "* /callbacks": _TAKING,
    "* /v1/test_helpers/payments": _TAKING,
    "* /v1/test_helpers/channels": _TAKING,
    "* /v1/reported_payments": _SHARES,
    "* /v1/receivers": _SHARES,
    "* /v1/balances": _SHARES,
    "* /v1/balance_transactions": _SHARES,
    "* /v1/split_rules": _RULES,
    "* /v1/settlement_accounts": _HOME,
    "* /v1/settlement_instructions": _HOME,
    "* /v1/clearing_batches": _HOME,
    "* /v1/withdrawals": _HOME,
    "* /v1/freezes": _HOME,
    "* /v1/advances": _HOME,
    "* /v1/credits": _HOME,
    "* /v1/reconciliations": _HOME,
    "* /v1/reconciliation_items": _HOME,
    "* /v1/statements": _HOME,
    "* /v1/reports": _TAKING | _SHARES,
}
"""Method (`*`: any) and the beginning of a path -> the modules of which one is enough."""

EVENTS: Final = {
    "clearing_batch": _HOME,
    "settlement": _HOME,
    "withdrawal": _HOME,
    "reconciliation": _HOME,
    "split": _SHARES,
}
"""The first word of an event's type -> the same; others happen in all of them."""


def refuse_unknown(names: Collection[str]) -> None:
    """Raise ValueError for a module that is none, or for none at all; the text suggests one."""
    for name in names:
        if name not in MODULES:
            near = difflib.get_close_matches(name, MODULES, n=1, cutoff=0.5)
            known = ", ".join(MODULES)
            advice = f"did you mean {near[0]}?" if near else f"there is: {known}"
            raise ValueError(f"modules: {name!r} is no module; {advice}")
    if not names:
        raise ValueError(f"modules: name at least one of {', '.join(MODULES)}")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The modules in their own order, each once."""
    wanted = set(names)
    return tuple(name for name in MODULES if name in wanted)


def modules_of(method: str, template: str) -> frozenset[str]:
    """The modules of which one must be served for a route to be there; empty: none."""
    steps = template.split("/")
    for count in range(len(steps), 1, -1):
        begin = "/".join(steps[:count])
        found = PATHS.get(f"{method} {begin}", PATHS.get(f"* {begin}"))
        if found is not None:
            return found
    return ANYWHERE


def is_served(method: str, template: str, modules: Collection[str]) -> bool:
    """Whether a route is there with these modules."""
    needed = modules_of(method, template)
    return not needed or not needed.isdisjoint(modules)


def is_told(kind: str, modules: Collection[str]) -> bool:
    """Whether an event of this type can happen with these modules."""
    needed = EVENTS.get(kind.partition(".")[0], ANYWHERE)
    return not needed or not needed.isdisjoint(modules)


def how_to_serve(needed: Collection[str]) -> str:
    """What a caller of something that is not served is told."""
    names = " or ".join(in_order(needed))
    return (
        f"This belongs to the module {names}, which is not served here. Whoever runs the gateway "
        f"adds it with `tillway serve --modules` or the setting `modules`."
    )
