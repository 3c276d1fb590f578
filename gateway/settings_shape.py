"""The settings as types: every key that a file, a variable or a flag may set, with its range.

Defaults that are business (fees, limits, channels) stand in `config/*.toml`; what is here is what
a section means. Sizes and times carry their unit; money is in minor units.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from payments.barcodes import ECNY_PREFIX, barcodes

SECRET_FIELDS: Final = frozenset({"cluster_secret", "digest_secret"})
MASK: Final = "********"

Port = Annotated[int, Meta(ge=0, le=65_535, description="0 picks a free one")]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]
Count = Annotated[int, Meta(ge=1, le=1_000)]
Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]
Ppm = Annotated[int, Meta(ge=0, le=1_000_000, description="millionths")]
Minor = Annotated[int, Meta(ge=1, description="minor units")]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class Http(Section, frozen=True, kw_only=True):
    """The front doors and the admin port. Two instances never share a port."""

    host: str = "127.0.0.1"
    port: Port = 8080
    admin_port: Port = 8081
    front_doors: Count = 2
    max_in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 2_048
    body_max_bytes: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 65_536
    receive_deadline_s: Annotated[int, Meta(ge=1, le=120)] = 10


class Shards(Section, frozen=True, kw_only=True):
    """`partitions_dedicated`: a partition from 256 on -> the shard that hosts it alone."""

    count: Count = 1
    partitions_dedicated: dict[
        Annotated[str, Meta(pattern="^[0-9]{3,4}$")], Annotated[int, Meta(ge=0, le=1_000)]
    ] = {}


class ChannelAccount(Section, frozen=True, kw_only=True):
    """One account at a channel, and how its lanes are run.

    `capacity`: attempts under way per lane, shared out as credits. `latency_ms` and
    `latency_spread_percent`: of the simulated channel. `decline_ppm`: its random declines.
    """

    name: Name
    account: Name
    kind: Literal["simulated"] = "simulated"
    mode: Literal["direct", "partner", "acquirer"] = "direct"
    settles_to: Literal["custody", "merchant", "channel_frozen"] = "custody"
    wallets: tuple[Literal["alipay", "wechat", "unionpay", "ecny"], ...]
    ways: tuple[Literal["barcode", "qr", "cashier", "jsapi", "app", "h5"], ...]
    currency: Literal["cny"] = "cny"
    priority: Annotated[int, Meta(ge=0, le=1_000, description="lower is asked first")] = 100
    lanes: Count = 1
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 1_024
    latency_ms: Milliseconds = 0
    latency_spread_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    decline_ppm: Ppm = 0
    seed: Annotated[int, Meta(ge=0)] = 0


class FeePlan(Section, frozen=True, kw_only=True):
    """What the merchant pays: `rate_ppm` of `settle_amount`, half-up per payment."""

    rate_ppm: Ppm


class Risk(Section, frozen=True, kw_only=True):
    """The limits of the first rules."""

    single_max_minor: Minor
    day_max_minor: Minor
    terminal_per_minute_max: Annotated[int, Meta(ge=1)]
    blocked_payers: tuple[str, ...] = ()


class Drain(Section, frozen=True, kw_only=True):
    """`grace_s`: not ready but still accepting; `timeout_s`: for what is in flight."""

    grace_s: Seconds = 5
    timeout_s: Seconds = 20


class Ray(Section, frozen=True, kw_only=True):
    """Ray's own needs. Its floor for the object store is about 75 MB."""

    object_store_mb: Annotated[int, Meta(ge=75, le=1_048_576)] = 80


class Settings(Section, frozen=True, kw_only=True):
    """Everything a deployment can choose. Built by `gateway.settings.load` only."""

    mode: Literal["test", "live"] = "test"
    runtime: Literal["ray", "local"] = "ray"
    data_dir: str = ""
    seed_file: str | None = None
    public_url: str = ""
    cluster_secret: str = ""
    digest_secret: str = ""
    ecny_prefix: Annotated[
        str, Meta(pattern="^([0-9]{2})?$", description="of the digital yuan's codes; empty: none")
    ] = ECNY_PREFIX
    http: Http = field(default_factory=Http)
    shards: Shards = field(default_factory=Shards)
    channels: tuple[ChannelAccount, ...] = ()
    fees: dict[Name, FeePlan] = {}
    risk: Risk
    drain: Drain = field(default_factory=Drain)
    ray: Ray = field(default_factory=Ray)

    def __post_init__(self) -> None:
        accounts = [channel.account for channel in self.channels]
        for account in accounts:
            if accounts.count(account) > 1:
                raise ValueError(f"two channels have the account {account!r}; name each once")
        for partition, shard in self.shards.partitions_dedicated.items():
            if not 256 <= int(partition) <= 4_095:
                raise ValueError(f"partition {partition} is shared; dedicated ones are 256-4095")
            if shard >= self.shards.count:
                raise ValueError(
                    f"partition {partition} is given to shard {shard}, of "
                    f"{self.shards.count}; count starts at 0"
                )
        if "default" not in self.fees:
            raise ValueError("fees.default is missing; merchants without a plan have that one")
        barcodes(self.ecny_prefix)  # Refuses a prefix that is another wallet's.

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data_dir)

    @property
    def livemode(self) -> bool:
        return self.mode == "live"

    def to_public_dict(self) -> dict[str, Any]:
        """The settings with secrets masked: what may be printed."""
        shown: dict[str, Any] = msgspec.to_builtins(self)
        for name in SECRET_FIELDS:
            shown[name] = MASK if shown[name] else ""
        return shown

    def __repr__(self) -> str:
        return f"Settings({self.to_public_dict()})"
