"""What each route of the public API does, in words and in types: one entry a route.

Bodies, filters and lists are named by the very objects that the handlers use. What every operation
has in common (keys, versions, the problems of any request) is added by `paths.py`.
"""

from typing import Final

from gateway.openapi.operation import Operations
from gateway.openapi.operations_home import THE_WAY_HOME
from gateway.openapi.operations_money import MONEY
from gateway.openapi.operations_papers import PAPERS
from gateway.openapi.operations_reconciliation import RECONCILED
from gateway.openapi.operations_reference import REFERENCE
from gateway.openapi.operations_reported import ELSEWHERE
from gateway.openapi.operations_rest import REST
from gateway.openapi.operations_splitting import SHARES
from gateway.openapi.operations_webhooks import COURIER

OPERATIONS: Final[Operations] = {
    **MONEY, **ELSEWHERE, **SHARES, **THE_WAY_HOME, **RECONCILED, **REFERENCE, **COURIER, **REST,
    **PAPERS,
}  # fmt: skip
