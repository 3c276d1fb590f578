"""The routes of the papers: balance transactions, the ledger, statements."""

from typing import Final

from gateway.handlers import papers, reports
from gateway.routes import Route

PAPER_ROUTES: Final = (
    Route("GET", "/v1/balance_transactions", papers.list_movements),
    Route("GET", "/v1/ledger/accounts", papers.list_accounts),
    Route("GET", "/v1/ledger/entries", papers.list_entries),
    Route("GET", "/v1/statements", papers.statement),
    Route("GET", "/v1/reports/store_day", reports.store_day),
)
