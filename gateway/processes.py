"""The composition root of each actor's process: settings and secrets in, a box out.

What one role alone needs is imported where its box is built: with HTTP, TLS and RSA in every
process, a start of seven boxes would take seconds of processor time more.

Called inside the process that the actor lives in, so that secrets come from 0600 files and never
travel through Ray. The local system calls the same functions on one loop.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import msgspec

from actors.calls import LaneLimits
from actors.channel import ChannelLane
from actors.core import Core, ShardOptions
from actors.directory import DirectoryActor, Limits
from actors.gathering import gather_s
from actors.link import Dialer, Identity, Link
from actors.messages import Changes, Message, Subscribe
from actors.net import ClientListener, Network, shared_socket
from actors.placement import DIRECTORY, Placement, UnixAddresses, lane_name, shard_name
from actors.process import Boxed, Spec
from actors.shard import MerchantShard
from actors.snapshot import Reference
from gateway.home_settings import home_options
from gateway.logs import get_logger, setup_logging
from gateway.modules import SPLITTING
from gateway.settings import load_secrets
from gateway.settings_shape import ChannelAccount as AccountSettings
from gateway.settings_shape import Settings
from payments.channels.base import Channel, NamesPayers
from payments.channels.simulated.books import Books
from payments.channels.simulated.connector import SimulatedChannel
from payments.channels.simulated.settings import Latency, SimulatedSettings
from payments.clock import SystemClock
from payments.fees import FeePlan
from payments.idempotency import Digests
from payments.ids import Entropy, IdMint
from payments.lifecycle import DEFAULT_SCHEDULE, Schedule
from payments.payment import Way
from payments.risk import Policy
from payments.routing import ChannelAccount
from payments.storage.base import Store
from payments.storage.directory import FILE_NAME, DirectoryStore
from payments.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from gateway.channels import Wired

BEHIND_MS: Final = 1_000
"""A lane gives a call up this long after its connector should have."""

PAYS_PERCENT: Final = 75
"""Share of a lane's connections that payments may take; the rest is for questions about them."""

QUEUE_MS: Final = 8_000
"""How long a call to a real channel may wait for room. A payment that was not sent by then is asked
of the next channel; well before, "no such order" would begin to be believed."""

SETTLE_S: Final = 0.1
"""How long the answer to a new terminal or key waits, so that all doors and shards have it."""

BACKLOG: Final = 2_048
LISTEN_POLL_S: Final = 0.01

log = get_logger(__name__)


class Place(msgspec.Struct):
    """What a system gives a box: its network, its addresses, its clock, a way to end."""

    network: Network
    address: Callable[[str], str]
    clock: SystemClock
    exit_process: Callable[[str], None]


def read_settings(path: str) -> Settings:
    """The settings as main wrote them for its processes."""
    return msgspec.json.decode(Path(path).read_bytes(), type=Settings)


def identity_of(spec: Spec, settings: Settings) -> Identity:
    secrets = load_secrets(settings, Entropy())
    return Identity(spec.role, spec.name, secrets.cluster, spec.incarnation)


def digests_of(settings: Settings) -> Digests:
    secret = load_secrets(settings, Entropy()).digest
    return Digests(secret[:64])


def placement_of(settings: Settings) -> Placement:
    dedicated = {
        int(partition): shard for partition, shard in settings.shards.partitions_dedicated.items()
    }
    return Placement(settings.shards.count, dedicated)


def accounts_of(settings: Settings) -> tuple[ChannelAccount, ...]:
    return tuple(
        ChannelAccount(
            account.account,
            account.name,
            account.wallets,
            # Where we take no payments, no account is asked for anything.
            tuple(Way(way) for way in ways_of(account)) if account in settings.asked else (),
            account.priority,
            account.mode,
            account.settles_to,
            account.currency,
            account.is_wired,
            account.is_external,
        )
        for account in settings.channels
    )


SHOWN_WAYS: Final = ("barcode", "qr", "cashier")
"""What the simulated channel can show; the wallets' own ways come with their channels."""


def ways_of(account: AccountSettings) -> tuple[str, ...]:
    """What the account's kind can do, of what it is allowed."""
    if account.is_wired:
        return account.ways
    return tuple(way for way in account.ways if way in SHOWN_WAYS)


def shard_path(settings: Settings, number: int) -> Path:
    return settings.data_path / f"{shard_name(number)}.db"


def policy_of(settings: Settings) -> Policy:
    risk = settings.risk
    return Policy(
        version="1",
        effective_from_ms=0,
        source="configuration",
        single_max=risk.single_max_minor,
        terminal_per_minute=risk.terminal_per_minute_max,
        day_amount_max=risk.day_max_minor,
        blocked_payers=frozenset(risk.blocked_payers),
    )


def schedule_of(account: AccountSettings) -> Schedule:
    """When the account is asked about a doubtful payment."""
    asked = account.inquiries
    return Schedule(
        inquire_at=asked.at_ms
        or tuple(at for at in DEFAULT_SCHEDULE.inquire_at if at < asked.undo_at_ms),
        undo_at=asked.undo_at_ms,
        absent_grace_ms=asked.absent_grace_ms,
        code_poll_ms=asked.code_poll_ms,
    )


def shard_options(spec: Spec, settings: Settings, public_url: str) -> ShardOptions:
    return ShardOptions(
        spec.name,
        spec.number,
        accounts_of(settings),
        policy_of(settings),
        settings.mode == "live",
        public_url,
        FeePlan("default", settings.fees["default"].rate_ppm),
        {each.account: schedule_of(each) for each in settings.channels if each.is_wired},
        incarnation=spec.incarnation,
        ecny_prefix=settings.ecny_prefix,
        home=home_options(settings),
        partitions=partitions_of(settings, spec.number),
        has_split_rules=SPLITTING in settings.modules,
    )


def partitions_of(settings: Settings, shard: int) -> frozenset[int]:
    """What a shard books both steps of a transit in by itself."""
    placed = enumerate(placement_of(settings).shard_of)
    return frozenset(partition for partition, owner in placed if owner == shard)


def build_shard(spec: Spec, place: Place, store: Store | None = None) -> Boxed:
    """The only writer of its partitions."""
    settings = read_settings(spec.settings_path)
    clock = place.clock
    if store is None:
        store = SqliteStore(
            shard_path(settings, spec.number),
            spec.number,
            settings.mode == "live",
            shards=settings.shards.count,
            clock=clock,
        )
    core = Core(
        shard_options(spec, settings, settings.public_url),
        store,
        clock,
        digests_of(settings),
        Reference(clock),
        place.exit_process,
        gather_s(spec.shared.boxes) if spec.shared is not None else 0.0,
    )
    shard = MerchantShard(core)
    identity = identity_of(spec, settings)
    box = Boxed(spec, identity, place.network, place.address, shard, shard.stats, shard.drain)

    async def open_store() -> None:
        shard.open()

    box.before.append(open_store)
    box.tasks.append(shard.run)
    box.after.append(shard.finish)
    box.abandon.append(store.abandon)
    names = [DIRECTORY] + [
        lane_name(account.account, lane)
        for account in settings.asked
        for lane in range(account.lanes)
    ]
    box.dialers = [
        Dialer(place.network, lambda name=name: place.address(name), shard, identity)  # type: ignore[misc]
        for name in names
    ]
    return box


def simulated_settings(account: AccountSettings) -> SimulatedSettings:
    latency = Latency()
    if account.latency_ms:
        spread = account.latency_spread_percent
        if spread:
            latency = Latency("lognormal", account.latency_ms, spread / 100)
        else:
            latency = Latency("fixed", account.latency_ms)
    return SimulatedSettings(
        seed=account.seed,
        latency=latency,
        refund_latency=latency,
        decline_ppm=account.decline_ppm,
        wallets=account.wallets,
        ways=ways_of(account),
        capacity=account.capacity * settings_lanes(account),
    )


def settings_lanes(account: AccountSettings) -> int:
    return max(account.lanes, 1)


def lane_limits(account: AccountSettings, settings: Settings) -> LaneLimits:
    """The lane's bounds. Its time-outs stand behind the connector's own, one for each request."""
    limits = LaneLimits(
        capacity=account.capacity,
        shards=settings.shards.count,
        asks_per_second=account.inquiries.per_second_max if account.is_wired else 0,
    )
    if not account.is_wired:
        return limits
    waits = account.timeouts
    # Calls wait in the lane, where merchants take turns, and not in the pool of connections.
    pays = account.connections * PAYS_PERCENT // 100
    return msgspec.structs.replace(
        limits,
        pays_running_max=pays,
        merchant_running_max=max(1, pays // 2),
        asks_running_max=account.connections - pays,
        queue_timeout_ms=QUEUE_MS,
        pay_timeout_ms=waits.pay_ms + waits.ask_ms + BEHIND_MS,
        # A reverse may be a query, a close, a query and a refund.
        ask_timeout_ms=3 * waits.ask_ms + waits.refund_ms + BEHIND_MS,
        refund_timeout_ms=waits.refund_ms + waits.ask_ms + BEHIND_MS,
    )


class _Simulated:
    """The simulated channel of one lane, with its books."""

    def __init__(self, spec: Spec, settings: Settings, account: AccountSettings, place: Place):
        self._books = Books(settings.data_path / f"{spec.name}.books")
        chosen = simulated_settings(account)
        self.payers: NamesPayers | None = None
        self.channel: Channel = SimulatedChannel(
            chosen,
            place.clock,
            Random(chosen.seed),  # noqa: S311 - a simulation
            self._books,
        )
        self.abandon = self._books.abandon

    async def start(self) -> None:
        """Its books were opened when it was made."""

    async def close(self) -> None:
        self._books.close()

    def stats(self) -> dict[str, float]:
        return {}


def _made(
    spec: Spec, settings: Settings, account: AccountSettings, place: Place
) -> "Wired | _Simulated":
    """The account's connector with what it stands on."""
    if account.is_wired:
        from gateway.channels import Wired

        return Wired(settings, account, spec.number, place.clock, digests_of(settings))
    return _Simulated(spec, settings, account, place)


def build_lane(spec: Spec, place: Place) -> Boxed:
    """One lane of one channel account."""
    settings = read_settings(spec.settings_path)
    account = next(each for each in settings.channels if each.account == spec.account)
    identity = identity_of(spec, settings)
    made = _made(spec, settings, account, place)
    channel, limits = made.channel, lane_limits(account, settings)
    placement = placement_of(settings)
    links: dict[str, Link] = {}

    def send(partition: int, message: Message) -> bool:
        link = links.get(shard_name(placement.shard_of[partition]))
        return link is not None and link.send(message)

    lane = ChannelLane(
        spec.name,
        spec.account,
        spec.number,
        channel,
        place.clock,
        limits,
        send,
        payers=made.payers,
    )
    handler = LaneHandler(lane, links)

    async def drain(_: float) -> None:
        await lane.drain()

    def stats() -> dict[str, float]:
        label = f'channel="{spec.account}",lane="{spec.number}"'
        own = {f"channel_{name}{{{label}}}": value for name, value in made.stats().items()}
        return lane.stats() | own

    box = Boxed(spec, identity, place.network, place.address, handler, stats, drain)
    box.dialers = [Dialer(place.network, lambda: place.address(DIRECTORY), handler, identity)]

    async def close() -> None:
        lane.close()
        await made.close()

    box.before.append(made.start)
    box.after.append(close)
    box.abandon += [lane.abandon, made.abandon]
    return box


class LaneHandler:
    """The lane's links: by name for callbacks, and the directory's for the test clock."""

    def __init__(self, lane: ChannelLane, links: dict[str, Link]) -> None:
        self._lane = lane
        self._links = links

    def on_link(self, link: Link) -> None:
        if link.peer_role == "directory":
            link.send(Subscribe(self._lane.name, 0))
        self._links[link.peer_name] = link
        self._lane.on_link(link)

    def on_link_lost(self, link: Link) -> None:
        if self._links.get(link.peer_name) is link:
            del self._links[link.peer_name]
        self._lane.on_link_lost(link)

    def on_messages(self, link: Link, messages: list[Message]) -> None:
        if link.peer_role == "directory":
            # A lane needs the clock alone of what the directory tells.
            messages = [message for message in messages if not isinstance(message, Changes)]
        if messages:
            self._lane.on_messages(link, messages)


def build_directory(spec: Spec, place: Place) -> Boxed:
    """The only writer of reference data, and the keeper of the test clock."""
    settings = read_settings(spec.settings_path)
    livemode = settings.mode == "live"
    store = DirectoryStore(settings.data_path / FILE_NAME, livemode=livemode, clock=place.clock)
    limits = Limits(settle_s=SETTLE_S)
    directory = DirectoryActor(store, place.clock, IdMint(), Entropy(), limits, livemode=livemode)
    identity = identity_of(spec, settings)

    async def drain(_: float) -> None:
        """Every ask is committed before it is answered: nothing waits for an end."""

    box = Boxed(spec, identity, place.network, place.address, directory, directory.stats, drain)

    async def open_store() -> None:
        directory.open()

    async def close() -> None:
        store.close()

    box.before.append(open_store)
    box.tasks.append(directory.run)
    box.after.append(close)
    return box


def build_front_door(spec: Spec, place: Place) -> Boxed:
    """HTTP on the shared port."""
    from gateway.front_door import FrontDoor, FrontDoorOptions
    from gateway.routing_table import make_router

    settings = read_settings(spec.settings_path)
    identity = identity_of(spec, settings)
    options = FrontDoorOptions(spec.name, settings, settings.public_url)
    door = FrontDoor(
        options,
        place.clock,
        digests_of(settings),
        identity,
        place.network,
        place.address,
        placement_of(settings),
        make_router(settings.modules),
    )
    box = Boxed(spec, identity, place.network, place.address, door, door.stats, door.drain)
    box.listens = False
    box.dialers = door.dialers

    async def serve_http() -> None:
        # Who knows no keys yet must not say that a key is wrong; the other front doors serve.
        while not door.reference.complete:  # noqa: ASYNC110 - once, at the start
            await asyncio.sleep(LISTEN_POLL_S)
        bound = shared_socket(settings.http.host, settings.http.port)
        listener = door.listener = ClientListener(door.server, bound, BACKLOG)
        log.info("front door listens", actor=spec.name, port=settings.http.port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(door.asker.sweep())
                tasks.create_task(door.server.sweep())
                await asyncio.Event().wait()
        finally:
            listener.close()

    box.tasks.append(serve_http)
    return box


def build_courier(spec: Spec, place: Place) -> Boxed:
    """What brings events to whoever asked for them."""
    from gateway.courier_box import build

    return build(spec, place)


def build_custody(spec: Spec, place: Place) -> Boxed:
    """What speaks with the bank."""
    from gateway.custody_box import build

    return build(spec, place)


def build_reconciler(spec: Spec, place: Place) -> Boxed:
    """What compares channels' bills with our rows."""
    from gateway.reconciler_box import build

    return build(spec, place)


BUILDERS: Final = {
    "shard": build_shard,
    "lane": build_lane,
    "directory": build_directory,
    "courier": build_courier,
    "custody": build_custody,
    "reconciler": build_reconciler,
    "front_door": build_front_door,
}


def place_in_process(
    network: Network, spec: Spec, clock: SystemClock, exit_process: Callable[[str], None]
) -> Place:
    """The place of a box in a process of Ray's: Unix sockets, logs as JSON on stderr."""
    settings = read_settings(spec.settings_path)
    setup_logging(True, hash_key=load_secrets(settings, Entropy()).digest[:64])
    return Place(network, UnixAddresses(spec.run_dir).of, clock, exit_process)
