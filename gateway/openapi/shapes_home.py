"""Answers about the way home of the money as structs: what a client may rely on."""

from typing import Literal

from msgspec import Struct

from payments.reference import AccountStatus

Metadata = dict[str, str]


class SettlementAccountView(Struct):
    """A bank account to which a party's money may go."""

    id: str
    object: Literal["settlement_account"]
    created: str
    livemode: bool
    metadata: Metadata
    merchant: str | None
    platform: str | None
    receiver: str | None
    name: str
    number: str
    bank: str
    status: AccountStatus
    registered_by: str
    confirmed_by: str | None
    confirmed_at: str | None
    counts_from: str | None
