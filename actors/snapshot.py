"""What a front door or a shard holds of the reference data: fed by the directory, never written.

reference = Reference(clock)
link.send(Subscribe(name, reference.number))      # after each connect
reference.take(changes)                           # each Changes message, in order
reference.ready()                                 # complete once, and heard of lately
"""

from typing import Final

from actors.messages import Changes
from payments.clock import Clock
from payments.reference import Key, Merchant, Plate, Receiver, SplitRule, Store, Terminal
from payments.register import Register
from payments.settlement.accounts import BankAccount

STALE_AFTER_S: Final = 10.0
"""A snapshot without word from the directory for so long means not ready."""


class Reference:
    """A snapshot with a number and an age. Fulfils the `KeyRing` of the front door.

    Revoked keys are not in it. A key with `not_after` is, until the directory says otherwise:
    whoever authenticates compares `not_before` and `not_after` with real time.
    """

    __slots__ = ("_clock", "_heard_at", "_register", "complete", "number")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._register = Register()
        self._heard_at: float | None = None
        self.number = 0
        self.complete = False

    def take(self, changes: Changes) -> None:
        """Apply one message of the directory; the empty ones are heartbeats."""
        apply = self._register.apply
        for record in changes.records:
            apply(record)
        # A change that arrives twice, after a reconnect, is the same record again.
        self.number = max(self.number, changes.number)
        self.complete = self.complete or changes.complete
        self._heard_at = self._clock.monotonic()

    def age_s(self) -> float | None:
        """Seconds since the directory's last word; None when it never spoke."""
        return None if self._heard_at is None else self._clock.monotonic() - self._heard_at

    def ready(self) -> bool:
        """Whether the snapshot is whole and not older than STALE_AFTER_S."""
        age = self.age_s()
        return self.complete and age is not None and age <= STALE_AFTER_S

    # --- look-ups (hot path: a method and a dict) ---------------------------------------------

    def by_id(self, key_id: str) -> Key | None:
        return self._register.key(key_id)

    def by_bearer_digest(self, digest: bytes) -> Key | None:
        """The key whose whole bearer secret has this SHA-256."""
        return self._register.key_of_bearer(digest)

    def merchant(self, merchant_id: str) -> Merchant | None:
        return self._register.merchant(merchant_id)

    def merchant_by_number(self, number: int) -> Merchant | None:
        return self._register.merchant_by_number(number)

    def store(self, identifier: str) -> Store | None:
        return self._register.store(identifier)

    def late_closings(self, merchant: str | None = None) -> frozenset[int]:
        """At which minutes after midnight stores' days end (a merchant's, or everybody's)."""
        return self._register.late_closings(merchant)

    def plate(self, identifier: str) -> Plate | None:
        return self._register.plate(identifier)

    def receiver(self, identifier: str) -> Receiver | None:
        return self._register.receiver(identifier)

    def split_rules(self, merchant_id: str) -> tuple[SplitRule, ...]:
        """Those that are not disabled."""
        return self._register.split_rules(merchant_id)

    def settlement_accounts(self, party: str) -> tuple[BankAccount, ...]:
        """Every bank account that a merchant or receiver ever registered."""
        return self._register.accounts_of(party)

    def terminal(self, identifier: str) -> Terminal | None:
        return self._register.terminal(identifier)

    def merchants_of_platform(self, platform: str) -> list[Merchant]:
        """In the order of their numbers."""
        return self._register.merchants_of_platform(platform)

    def __len__(self) -> int:
        """How many records it holds."""
        return len(self._register)
