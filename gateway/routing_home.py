"""The routes of the way home of the money, on one screen."""

from typing import Final

from gateway.handlers import reference
from gateway.lists import ACCOUNT_FILTERS
from gateway.routes import Route
from payments.directory_accounts import Confirmation, NewAccount

HOME_ROUTES: Final = (
    Route(
        "POST",
        "/v1/settlement_accounts",
        reference.creating("settlement_accounts.create", NewAccount),
    ),
    Route(
        "GET",
        "/v1/settlement_accounts",
        reference.listing("settlement_accounts.list", ACCOUNT_FILTERS),
    ),
    Route("GET", "/v1/settlement_accounts/{id}", reference.reading("settlement_accounts.get")),
    Route(
        "POST",
        "/v1/settlement_accounts/{id}/confirm",
        reference.creating("settlement_accounts.confirm", Confirmation),
    ),
)
