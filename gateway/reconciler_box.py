"""The reconciler's box: its connectors, the archive, links. Imported in its process alone.

It asks channels by the accounts' own credentials and beside the lanes, so that a bill of many
megabytes never stands before a payment.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from actors.link import Dialer
from actors.placement import DIRECTORY, shard_name
from actors.process import Boxed, Spec
from actors.reconciler import Reconciler
from actors.reconciler_carrying import BillAccount
from gateway.channels import Wired
from gateway.home_settings import custody_of
from gateway.processes import (
    Place,
    digests_of,
    identity_of,
    placement_of,
    read_settings,
    shard_path,
)
from gateway.settings_shape import ChannelAccount, Settings
from payments.bills.archive import Archive, Kept
from payments.channels.bills import READERS, SHARE_READERS
from payments.channels.fetching import (
    FILES,
    PAYMENTS,
    SHARES,
    AskedBill,
    BillFile,
    Fetched,
    FetchesBills,
)
from payments.channels.http import PooledClient
from payments.fees import FeePlan
from payments.reconciliation.shared import SUFFIX, sharing_account
from payments.storage.comparing import Comparing

FOLDER: Final = "bills"
"""Of the data directory: where fetched bills are kept."""
CONNECTIONS: Final = 8
"""Connections to one channel: a bill is one question, and a doubtful payment another."""
LANE: Final = 1_000
"""The number by which its connectors are told from the lanes'."""
TRADES: Final = "trades"
"""What the archive calls bills of payments and refunds."""


def build(spec: Spec, place: Place) -> Boxed:
    """One reconciler a deployment."""
    settings = read_settings(spec.settings_path)
    files = PooledClient(FILES)
    archive = Archive(settings.data_path / FOLDER)
    accounts, wired = _accounts(settings, place, files)
    shards = range(settings.shards.count)
    comparing = Comparing(
        settings.data_path,
        [shard_path(settings, number) for number in shards],
        place.clock,
        livemode=settings.mode == "live",
    )

    def keep(account: BillAccount, date: int, file: BillFile) -> Kept:
        name, kind = account.name.removesuffix(SUFFIX), TRADES if account.shares is None else SHARES
        return archive.keep(account.channel, name, date, kind, file.content, file.extension)

    placement = placement_of(settings)
    reconciler = Reconciler(
        spec.name,
        accounts,
        comparing,
        keep,
        place.clock,
        lambda partition: placement.shard_of[partition],
        settles_of(settings),
        "" if settings.bank is None else custody_of(settings),
    )
    identity = identity_of(spec, settings)
    box = Boxed(
        spec,
        identity,
        place.network,
        place.address,
        reconciler,
        reconciler.stats,
        reconciler.drain,
    )
    dialers = [
        Dialer(place.network, lambda name=name: place.address(name), reconciler, identity)  # type: ignore[misc]
        for name in map(shard_name, shards)
    ]
    directory = Dialer(place.network, lambda: place.address(DIRECTORY), reconciler, identity)
    box.dialers = [*dialers, directory]

    async def start() -> None:
        reconciler.open(dialers)
        for one in wired:
            await one.start()

    async def close() -> None:
        for one in wired:
            await one.close()
        await files.close()

    box.before.append(start)
    box.tasks.append(reconciler.run)
    box.after.append(close)
    box.abandon += [one.abandon for one in wired]
    return box


def _accounts(
    settings: Settings, place: Place, files: PooledClient
) -> tuple[list[BillAccount], list[Wired]]:
    """Every channel account that has bills, with the connector that it stands on."""
    digests = digests_of(settings)
    accounts, wired = list[BillAccount](), list[Wired]()
    for account in settings.channels:
        if account.kind not in READERS:
            continue
        few = msgspec.structs.replace(account, connections=CONNECTIONS)
        made = Wired(settings, few, LANE, place.clock, digests)
        wired.append(made)
        accounts.append(
            BillAccount(
                account.account,
                account.kind,
                _fetching(made, files, PAYMENTS),
                made.channel,
                READERS[account.kind],
                agreed_plan(account),
            )
        )
        if account.settles_to == "channel_frozen" and account.kind in SHARE_READERS:
            accounts.append(
                BillAccount(
                    sharing_account(account.account),
                    account.kind,
                    _fetching(made, files, SHARES),
                    made.channel,
                    READERS[account.kind],
                    shares=SHARE_READERS[account.kind],
                )
            )
    return accounts, wired


def settles_of(settings: Settings) -> dict[str, bool]:
    """Channel account that pays into custody -> whether it keeps its fees of what it pays."""
    return {
        account.account: account.settlement == "net"
        for account in settings.channels
        if account.settles_to == "custody" and account.kind in READERS
    }


def agreed_plan(account: ChannelAccount) -> FeePlan | None:
    """What the channel agreed to charge on this account; None where the settings do not say."""
    return None if account.fee_ppm is None else FeePlan("agreed", account.fee_ppm)


def _fetching(wired: Wired, files: PooledClient, kind: str) -> Callable[[int], Awaitable[Fetched]]:
    async def fetch(date: int) -> Fetched:
        channel: object = wired.channel
        assert isinstance(channel, FetchesBills), channel
        return await channel.fetch_bill(AskedBill(date, kind=kind), files)

    return fetch
