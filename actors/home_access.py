"""Who may see and do what on the way home of the money, as far as a shard knows it.

The front door has verified the key, says its roles, and asks without a merchant only for operators
or where it judges the answer before it is shown. Here the object is known, and so whose it is: what
is somebody else's is not there.
"""

from actors.core import Core
from actors.home_messages import HomeAsk
from payments.errors import InsufficientScope, NotFound


def require_role(ask: HomeAsk, role: str) -> None:
    """Raise InsufficientScope unless the key has the role."""
    if role not in ask.roles:
        raise InsufficientScope(f"this needs an operator's key with the role {role}")


def owner_of(ask: HomeAsk) -> str:
    """Whose objects are asked for: the party, else the merchant; "" for everybody's."""
    return ask.party or ask.merchant


def allow(core: Core, ask: HomeAsk, party: str) -> None:
    """Let on who asks for the party, for its merchant, or for everybody. NotFound otherwise."""
    owner = owner_of(ask)
    if owner in ("", party):
        return
    receiver = core.reference.receiver(party)
    if receiver is None or receiver.merchant != owner:
        raise NotFound(f"no object {(ask.target or '')[:40]!r}")
