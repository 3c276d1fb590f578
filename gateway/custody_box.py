"""The custody box: its store, its bank, its links. Imported in its process alone."""

from typing import Final

from actors.custody import CustodyActor, CustodyOptions
from actors.custody_credits import Settles
from actors.custody_orders import Payer
from actors.link import Dialer
from actors.placement import DIRECTORY, shard_name
from actors.process import Boxed, Spec
from gateway.bank_keys import bank_keys
from gateway.channel_settlement import ChannelSettlement
from gateway.home_settings import custody_of
from gateway.processes import Place, identity_of, placement_of, read_settings
from gateway.settings_home import Bank
from gateway.settings_shape import Settings
from payments.channels.bank.connector import HTTP, BankClient, BankSettings
from payments.channels.http import PooledClient
from payments.channels.signing import SigningPool
from payments.clock import Clock
from payments.ids import Entropy, IdMint
from payments.storage.custody import FILE_NAME, CustodyStore

NONCE_BYTES: Final = 16


class BankWires:
    """A bank's client with what it stands on. `close` after the last call.

    Raise SettingsError for keys that are none.
    """

    def __init__(self, settings: Settings, bank: Bank, clock: Clock) -> None:
        key, bank_key = bank_keys(bank, livemode=settings.livemode)
        self.http = PooledClient(HTTP)
        self._pool = SigningPool(f"bank-{bank.name}")
        entropy = Entropy()
        self.client = BankClient(
            BankSettings(
                bank.base_url.rstrip("/"),
                bank.customer_id,
                bank.custody_account,
                timeout_s=bank.timeout_ms / 1_000,
            ),
            self.http,
            self._pool.signer(key),
            self._pool.verifier(bank_key),
            clock,
            lambda: entropy.bytes(NONCE_BYTES).hex(),
        )

    def abandon(self) -> None:
        """The process dies: what is on the wire stays there."""
        self._pool.close()

    async def close(self) -> None:
        await self.http.close()
        self._pool.close()


def options_of(name: str, settings: Settings, bank: Bank) -> CustodyOptions:
    """What the custody box is told, from the settings."""
    names: dict[str, str] = {}
    for account in settings.channels:
        names[account.account] = account.account
        if account.merchant_number:
            names[account.merchant_number] = account.account
    return CustodyOptions(
        name,
        Payer(custody_of(settings), bank.custody_account, bank.agent, bank.holder),
        names,
        {each.account: Settles(each.fee_min_ppm, each.fee_max_ppm) for each in settings.channels},
        bank.poll_s,
    )


def build(spec: Spec, place: Place) -> Boxed:
    """One custody box a bank."""
    settings = read_settings(spec.settings_path)
    bank = settings.bank
    assert bank is not None, "there is no bank"
    wires = BankWires(settings, bank, place.clock)
    store = CustodyStore(
        settings.data_path / FILE_NAME, livemode=settings.livemode, clock=place.clock
    )
    custody = CustodyActor(
        options_of(spec.name, settings, bank),
        store,
        wires.client,
        place.clock,
        IdMint(),
        ChannelSettlement(settings, bank, wires.http, place.clock) if bank.sandbox else None,
    )
    identity = identity_of(spec, settings)
    box = Boxed(spec, identity, place.network, place.address, custody, custody.stats, custody.drain)
    shards = [
        Dialer(place.network, lambda name=name: place.address(name), custody, identity)  # type: ignore[misc]
        for name in map(shard_name, range(settings.shards.count))
    ]
    box.dialers = [
        *shards,
        Dialer(place.network, lambda: place.address(DIRECTORY), custody, identity),
    ]
    placement = placement_of(settings)

    async def open_store() -> None:
        custody.open(shards, lambda partition: placement.shard_of[partition])

    box.before.append(open_store)
    box.tasks.append(custody.run)
    box.after += [custody.finish, wires.close]
    box.abandon += [store.abandon, wires.abandon]
    return box
