"""Settlement accounts at the directory's counter: registered by one key, confirmed by another.

    register    the merchant, its platform, or an operator; the party is the merchant or a receiver
    confirm     an operator's key with the role `checker`, and not the key that registered it

The rules are in `payments/settlement/accounts.py`; from when money goes to an account is told with
its confirmation (`counts_from`). An account never changes: another number is another account.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from payments.directory import Id, Metadata, refuse_closed
from payments.directory_access import ROLE_THAT_CHECKS, acting_merchant, reachable, require_role
from payments.directory_counter import (
    PLATFORM_PARTITION,
    Counter,
    Decision,
    Question,
    refuse_filters,
)
from payments.directory_view import wish_of
from payments.errors import NotFound, QuotaExceeded
from payments.ids import partition_of
from payments.reference import (
    AccountStatus,
    Key,
    KeyOwner,
    Merchant,
    Receiver,
    Record,
    SettlementAccount,
)
from payments.settlement.accounts import (
    ACCOUNTS_MAX,
    COOL_DOWN_MS,
    NAME_MAX,
    BankAccount,
    apply,
    confirm,
)

_PRINTABLE: Final = r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$(?!\n)"
_NUMBER: Final = r"^[0-9A-Za-z]{1,34}$(?!\n)"
_BANK: Final = r"^[0-9A-Za-z:._-]{1,35}$(?!\n)"


class NewAccount(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/settlement_accounts. `bank`: its clearing code or short name.

    `receiver`: whose account it is; without one, the acting merchant's.
    """

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX, pattern=_PRINTABLE)]
    number: Annotated[str, Meta(pattern=_NUMBER)]
    bank: Annotated[str, Meta(pattern=_BANK)]
    receiver: Id | None = None
    metadata: Metadata = {}


class Confirmation(Struct, frozen=True, forbid_unknown_fields=True):
    """POST /v1/settlement_accounts/{id}/confirm: nothing to say but who says it."""


class AccountCounter(Counter):
    """The operations on settlement accounts."""

    def _create_account(self, caller: Key, question: Question) -> Decision:
        wish = wish_of(NewAccount, question.body)
        party = self._party(caller, question, wish.receiver)
        if isinstance(party, Merchant):
            refuse_closed(party)
        if len(self._register.accounts_of(party.id)) >= ACCOUNTS_MAX:
            raise QuotaExceeded(f"{party.id} has had {ACCOUNTS_MAX} accounts: no more")
        owner = party.id if isinstance(party, Merchant) else party.merchant
        partition = PLATFORM_PARTITION if owner is None else partition_of(owner)
        identifier = self._mint.new("acc", self._now_ms, partition)
        account = BankAccount(
            identifier, party.id, wish.name, wish.number, wish.bank, self._now_ms, caller.person
        )
        record = SettlementAccount(
            identifier,
            owner,
            party.platform if owner is None else None,
            account,
            created=self._now_ms,
            metadata=dict(wish.metadata),
        )
        return self._created(record)

    def _party(self, caller: Key, question: Question, receiver: str | None) -> Merchant | Receiver:
        """Whose account it is. NotFound for a receiver that is somebody else's."""
        if receiver is None:
            return self._merchant(caller, question)
        found = reachable(self._register, caller, self._register.receiver(receiver))
        assert isinstance(found, Receiver), found
        acting = acting_merchant(self._register, caller, question.merchant)
        if acting is not None and found.merchant != acting.id:
            raise NotFound("no such receiver", param="receiver")
        return found

    def _confirm_account(self, caller: Key, question: Question) -> Decision:
        wish_of(Confirmation, question.body)
        require_role(caller, ROLE_THAT_CHECKS)
        record = self._target(caller, question, SettlementAccount)
        known = self._register.accounts_of(record.account.party)
        firsts = [each.first_confirmed_at for each in known if each.first_confirmed_at is not None]
        # No two at one instant: which one a party had first decides which one counts at once.
        at = max((self._now_ms, *(first + 1 for first in firsts)))
        account = apply(record.account, confirm(record.account, caller.person, at))
        counts_from = record.counts_from
        if counts_from is None:
            counts_from = at + (COOL_DOWN_MS if firsts else 0)
        confirmed = replace(
            record, account=account, status=AccountStatus.CONFIRMED, counts_from=counts_from
        )
        return self._changed(confirmed)

    def _get_account(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, SettlementAccount))

    def _list_accounts(self, caller: Key, question: Question) -> Decision:
        """The acting merchant's and its receivers'; without one, all that the key can reach."""
        query = question.query
        refuse_filters(query, {"receiver", "status"})
        merchant = acting_merchant(self._register, caller, question.merchant)
        if merchant is not None:
            held = [each for each in self._members(merchant.id, SettlementAccount)]
        else:
            held = [each for each in self._register.accounts() if self._reaches(caller, each)]
        records: list[Record] = [
            each
            for each in sorted(held, key=lambda each: each.id, reverse=True)
            if isinstance(each, SettlementAccount)
            and query.get("receiver") in (None, each.account.party)
            and query.get("status") in (None, each.status.value)
        ]
        return self._listed(records, "/v1/settlement_accounts", query)

    def _reaches(self, caller: Key, record: SettlementAccount) -> bool:
        if caller.owner is KeyOwner.OPERATOR:
            return True
        if record.merchant is None:
            return record.platform == caller.platform
        merchant = self._register.merchant(record.merchant)
        return merchant is not None and merchant.platform == caller.platform
