"""Who may do what to reference data: decided from the caller's key alone.

    merchant key   its own merchant's stores, terminals and keys
    platform key   its merchants (and may create them), and theirs; its own keys
    terminal key   nothing here
    operator key   everything with the role `operator`; any role may look; payouts with the roles
                   `maker` and `checker`, which belong to two people

What belongs to somebody else does not exist for the caller: NotFound, as for a wrong id.
"""

from collections.abc import Collection
from typing import Final

from payments.errors import Conflict, InsufficientScope, InvalidField, NotFound
from payments.reference import (
    SCOPE_ALL,
    Key,
    KeyOwner,
    Merchant,
    MerchantStatus,
    Receiver,
    Record,
    SettlementAccount,
)
from payments.register import Register

ROLE_THAT_WRITES: Final = "operator"
ROLE_THAT_MAKES: Final = "maker"
ROLE_THAT_CHECKS: Final = "checker"

PAYOUTS_WRITE: Final = "payouts:write"
_NOT_HERE: Final = "no such object for this key; check the id and whose key this is"


def require(caller: Key, scope: str) -> None:
    """Raise InsufficientScope unless the caller has the scope (operators: the role)."""
    if caller.owner is KeyOwner.TERMINAL:
        raise InsufficientScope("a terminal key takes, queries, cancels and refunds only")
    if caller.owner is KeyOwner.OPERATOR:
        if not scope.endswith(":read") and not may_as_operator(caller.roles, scope):
            raise InsufficientScope(f"this needs the role {ROLE_THAT_WRITES}")
        return
    granted = {SCOPE_ALL, scope, scope.replace(":read", ":write")}
    if granted.isdisjoint(caller.scopes):
        raise InsufficientScope(f"the key lacks the scope {scope}; use another key")


def may_as_operator(roles: tuple[str, ...], scope: str) -> bool:
    """Operators carry roles, not scopes: any role may look, `operator` may act."""
    if scope.endswith(":read"):
        return bool(roles)
    if scope == PAYOUTS_WRITE and not {ROLE_THAT_MAKES, ROLE_THAT_CHECKS}.isdisjoint(roles):
        return True
    return ROLE_THAT_WRITES in roles


def require_role(caller: Key, role: str) -> None:
    """Raise InsufficientScope unless an operator with this role asks."""
    if caller.owner is not KeyOwner.OPERATOR or role not in caller.roles:
        raise InsufficientScope(f"this needs an operator's key with the role {role}")


def refuse_both_hands(roles: Collection[str]) -> None:
    """Raise InvalidField for a key that could check its own work."""
    if {ROLE_THAT_MAKES, ROLE_THAT_CHECKS} <= set(roles):
        raise InvalidField(
            f"{ROLE_THAT_MAKES} and {ROLE_THAT_CHECKS} are two people: make a key for each",
            param="roles",
        )


def grantable(caller: Key, scopes: tuple[str, ...]) -> None:
    """Nobody gives what they do not have."""
    if caller.owner is KeyOwner.OPERATOR or SCOPE_ALL in caller.scopes:
        return
    beyond = sorted(set(scopes) - set(caller.scopes))
    if beyond:
        raise InsufficientScope(f"the key cannot grant {beyond[0]}: it has not got it itself")


def acting_merchant(register: Register, caller: Key, asked: str | None) -> Merchant | None:
    """The merchant for whom the caller acts; None for a platform or operator without one."""
    identifier = caller.merchant or None if asked is None else asked
    if identifier is None:
        return None
    merchant = register.merchant(identifier)
    if merchant is None or not owns_merchant(caller, merchant):
        raise NotFound(_NOT_HERE)
    return merchant


def owns_merchant(caller: Key, merchant: Merchant) -> bool:
    """Whether a merchant exists for this caller."""
    match caller.owner:
        case KeyOwner.OPERATOR:
            return True
        case KeyOwner.PLATFORM:
            return caller.platform is not None and merchant.platform == caller.platform
        case _:
            return merchant.id == caller.merchant


def reachable(register: Register, caller: Key, record: Record | None) -> Record:
    """The record, or NotFound when it is missing or somebody else's."""
    if record is None:
        raise NotFound(_NOT_HERE)
    if isinstance(record, Merchant):
        owned = owns_merchant(caller, record)
    elif isinstance(record, Receiver | SettlementAccount) and record.merchant is None:
        owned = caller.owner is KeyOwner.OPERATOR or (
            caller.owner is KeyOwner.PLATFORM and caller.platform == record.platform
        )
    elif isinstance(record, Key) and not record.merchant:
        owned = caller.owner is KeyOwner.OPERATOR or (
            caller.owner is KeyOwner.PLATFORM
            and record.owner is KeyOwner.PLATFORM
            and caller.platform == record.platform
        )
    else:
        merchant = register.merchant(record.merchant or "")
        owned = merchant is not None and owns_merchant(caller, merchant)
    if not owned:
        raise NotFound(_NOT_HERE)
    return record


def may_set_status(
    caller: Key, merchant: Merchant, status: MerchantStatus, *, livemode: bool
) -> None:
    """A merchant does not judge itself; in live mode only an operator lets it in or back."""
    if status is merchant.status or caller.owner is KeyOwner.OPERATOR:
        return
    if caller.owner is not KeyOwner.PLATFORM:
        raise InsufficientScope("a merchant's status is changed by its platform or an operator")
    if livemode and status is MerchantStatus.ACTIVE:
        raise InsufficientScope("in live mode an operator makes merchants active")
    if merchant.status is MerchantStatus.CLOSED:
        raise Conflict(f"{merchant.id} is closed", param="status")


def may_set_payout(caller: Key) -> None:
    """When and how a merchant or its receivers are paid out is not its own to say."""
    if caller.owner not in (KeyOwner.PLATFORM, KeyOwner.OPERATOR):
        raise InsufficientScope("payout terms are changed by the platform or an operator")
