"""What of a seed is about the way home: bank accounts, receivers, and a rule that splits."""

from collections.abc import Callable

from gateway.seed import SeedAccount, SeedMerchant
from gateway.settings import SettingsError
from payments.ids import IdMint
from payments.reference import (
    AccountStatus,
    Merchant,
    Receiver,
    Record,
    SettlementAccount,
    SplitRule,
)
from payments.settlement.accounts import BankAccount, apply, confirm
from payments.splitting.terms import Part

Known = Callable[[str], str | None]


class HomePlanter:
    """`known`: the id of what was planted under a label; `put`: takes a record and its label."""

    def __init__(
        self, mint: IdMint, now_ms: int, known: Known, put: Callable[[Record, str], None]
    ) -> None:
        self._mint = mint
        self._now_ms = now_ms
        self._known = known
        self._put = put

    def add(self, seed: SeedMerchant, merchant: Merchant, label: str) -> None:
        """All of it that is not there yet. Raise SettingsError or PaymentError."""
        if seed.account is not None:
            self._account(seed.account, merchant, merchant.id, f"account/{label}")
        receivers = {}
        for each in seed.receivers:
            name = f"receiver/{label}/{each.name}"
            identifier = self._known(name)
            if identifier is None:
                identifier = self._mint.new("rcv", self._now_ms, merchant.partition)
                made = Receiver(identifier, merchant.id, None, each.name, created=self._now_ms)
                self._put(made, name)
            receivers[each.name] = identifier
            if each.account is not None:
                self._account(each.account, merchant, identifier, f"account/{label}/{each.name}")
        if seed.split is None or self._known(f"split/{label}") is not None:
            return
        parts = []
        for share in seed.split.parts:
            if share.receiver not in receivers:
                raise SettingsError(f"seed: merchant {label}: no receiver {share.receiver!r}")
            parts.append(Part(receivers[share.receiver], ratio_ppm=share.ratio_ppm))
        rule = SplitRule(
            self._mint.new("spl", self._now_ms, merchant.partition),
            merchant.id,
            tuple(parts),
            way=seed.split.way,
            created=self._now_ms,
        )
        self._put(rule, f"split/{label}")

    def _account(self, seed: SeedAccount, merchant: Merchant, party: str, label: str) -> None:
        """Registered by one person and confirmed by another, both by name."""
        if self._known(label) is not None:
            return
        identifier = self._mint.new("acc", self._now_ms, merchant.partition)
        account = BankAccount(
            identifier,
            party,
            seed.name,
            seed.number,
            seed.bank,
            self._now_ms,
            seed.registered_by,
        )
        account = apply(account, confirm(account, seed.confirmed_by, self._now_ms))
        record = SettlementAccount(
            identifier,
            merchant.id,
            None,
            account,
            AccountStatus.CONFIRMED,
            self._now_ms,
            self._now_ms,
        )
        self._put(record, label)
