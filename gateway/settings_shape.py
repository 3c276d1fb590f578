"""The settings as types: every key that a file, a variable or a flag may set, with its range.

Defaults that are business (fees, limits, channels) stand in `config/*.toml`; what is here is what
a section means. Sizes and times carry their unit; money is in minor units.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from gateway import settings_home
from gateway.modules import ACQUIRING, MODULES, refuse_unknown
from gateway.payer.address import networks_of
from gateway.settings_fields import (
    Address,
    CallMs,
    Count,
    Id,
    Milliseconds,
    Minor,
    Name,
    Port,
    Ppm,
    Reference,
    Seconds,
)
from gateway.settings_home import Bank, Settlement
from payments.barcodes import ECNY_PREFIX, barcodes
from payments.clearing.workdays import Year

SECRET_FIELDS: Final = frozenset({"cluster_secret", "digest_secret"})
MASK: Final = "********"
KINDS: Final = ("wechat", "alipay", "unionpay")
"""Kinds of channels that are asked over a network; each has a table of credentials."""

ModuleName = Annotated[str, Meta(extra_json_schema={"enum": list(MODULES)})]

LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class Http(Section, frozen=True, kw_only=True):
    """The front doors and the admin port. Two instances never share a port.

    `admin_host`: where the admin port listens, which asks nobody for a key; empty: like `host`.
    `trusted_proxies`: addresses and networks of your own proxies, of which `forwarded` is believed.
    """

    host: str = "127.0.0.1"
    admin_host: str = ""
    port: Port = 8080
    admin_port: Port = 8081
    front_doors: Count = 2
    max_in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 2_048
    body_max_bytes: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 65_536
    receive_deadline_s: Annotated[int, Meta(ge=1, le=120)] = 10
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    forwarded: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"

    def __post_init__(self) -> None:
        networks_of(self.trusted_proxies)


class Shards(Section, frozen=True, kw_only=True):
    """`partitions_dedicated`: a partition from 256 on -> the shard that hosts it alone.

    `processes`: how many the shards share; 0: half as many as there are processors, or one.
    """

    count: Count = 1
    processes: Annotated[int, Meta(ge=0, le=1_000)] = 0
    partitions_dedicated: dict[
        Annotated[str, Meta(pattern="^[0-9]{3,4}$")], Annotated[int, Meta(ge=0, le=1_000)]
    ] = {}


class Wechat(Section, frozen=True, kw_only=True):
    """Credentials at WeChat Pay v3. In the mode `partner` `mchid` and `appid` are the partner's.

    `public_keys`: id (PUB_KEY_ID_…) or platform certificate's serial -> PEM; all are valid.
    `sub_mchid`: of merchants that `sub_merchants` does not name. `sub_appid`: the one under which
    sub-merchants' payers are known, where there is one. `app_secret`, `oauth_url`: to learn who a
    payer is on the cashier page.
    """

    mchid: Id
    appid: Id
    merchant_serial: Id
    merchant_private_key: Reference
    api_v3_key: Reference
    public_keys: dict[Id, Reference] = {}
    sub_mchid: str = ""
    sub_appid: str = ""
    app_secret: Reference | None = None
    oauth_url: str = ""


class Alipay(Section, frozen=True, kw_only=True):
    """Credentials at Alipay. `public_keys`: any name (certificates: their serial) -> Alipay's key.

    `seller_id`: the account's own number at Alipay. Mode `partner`: `app_auth_tokens`, a JSON file
    of our merchants' ids -> their tokens (secret), and `sub_merchants` their numbers. With
    certificates: `app_cert_sn` and `alipay_root_cert_sn` as Alipay's rules make them.
    """

    app_id: Id
    seller_id: str = ""
    app_private_key: Reference
    public_keys: dict[Id, Reference]
    aes_key: Reference | None = None
    service_provider_id: str = ""
    app_cert_sn: str = ""
    alipay_root_cert_sn: str = ""
    app_auth_tokens: Reference | None = None
    oauth_url: str = ""


class Unionpay(Section, frozen=True, kw_only=True):
    """Credentials at UnionPay: the aggregated interface, and ACP for shown codes.

    `public_keys`: any name -> the platform's key. `platform_certificate`: the authorities under
    which ACP's answers are signed, and `platform_names` the holders that may sign. `term_id`: the
    terminal that payments name. `access_type`: of ACP, 0 merchant, 1 acquirer, 2 platform.
    `acp_mer_id`, `acp_private_key`: where ACP is another contract; `cert_id` is then that key's.
    """

    serv_prov_id: Id
    mer_id: Id
    merchant_private_key: Reference
    public_keys: dict[Id, Reference]
    cert_id: str = ""
    platform_certificate: Reference | None = None
    platform_names: tuple[str, ...] = ("中国银联股份有限公司",)
    sub_appid: str = ""
    term_id: Annotated[str, Meta(pattern="^[0-9A-Za-z]{8}$")] = "00000001"
    access_type: Literal["0", "1", "2"] = "0"
    acp_mer_id: Annotated[str, Meta(pattern="^([0-9A-Za-z]{15})?$")] = ""
    acp_private_key: Reference | None = None

    def __post_init__(self) -> None:
        if self.acp_private_key is not None and not self.cert_id:
            raise ValueError("acp_private_key: cert_id is missing, the serial of its certificate")


class Timeouts(Section, frozen=True, kw_only=True):
    """How long a channel's answer is waited for; 0 would be never."""

    pay_ms: CallMs = 5_000
    ask_ms: CallMs = 5_000
    refund_ms: CallMs = 10_000


class Inquiries(Section, frozen=True, kw_only=True):
    """When a doubtful payment is asked about, in ms after it was sent, and how often at all.

    `at_ms`: the questions, the last before `undo_at_ms`, when it is undone. `absent_grace_ms`: how
    long "no such order" is not believed. `per_second_max`: questions of one lane; more wait.
    """

    at_ms: tuple[Annotated[int, Meta(ge=500, le=55_000)], ...] = ()
    undo_at_ms: Annotated[int, Meta(ge=15_000, le=55_000)] = 46_000
    absent_grace_ms: Annotated[int, Meta(ge=5_000, le=45_000)] = 15_000
    code_poll_ms: Annotated[int, Meta(ge=1_000, le=600_000)] = 5_000
    per_second_max: Annotated[int, Meta(ge=1, le=10_000)] = 200

    def __post_init__(self) -> None:
        ordered = list(self.at_ms) == sorted(set(self.at_ms))
        if not ordered or (self.at_ms and self.at_ms[-1] >= self.undo_at_ms):
            raise ValueError("inquiries.at_ms: ascending, and all before undo_at_ms")


class ChannelAccount(Section, frozen=True, kw_only=True):
    """One account at a channel, and how its lanes are run.

    `capacity`: attempts under way per lane, shared out as credits. `latency_ms`,
    `latency_spread_percent`, `decline_ppm`, `seed`: of the simulated channel.
    Of the others: the table of credentials named like their kind, `base_url` (empty: the
    channel's own), `sub_merchants` (our merchant's id -> the channel's, mode `partner`),
    `connections`: open at one time per lane, `sandbox`: the address is one of our sandboxes.
    `settlement`: how it pays into custody, `net` of a fee from `fee_min_ppm` to `fee_max_ppm`, or
    `gross`; `merchant_number`: what else the text of its payments may call the account.
    `fee_ppm`: what its contract charges for each payment, half up; bills are held to it. Without
    it their fees are added up and not compared.
    Kind `external`: somebody else's gateway takes payments on it, and they are reported to us.
    """

    name: Name
    account: Name
    kind: Literal["simulated", "wechat", "alipay", "unionpay", "external"] = "simulated"
    mode: Literal["direct", "partner", "acquirer"] = "direct"
    settles_to: Literal["custody", "merchant", "channel_frozen"] = "custody"
    wallets: tuple[Literal["alipay", "wechat", "unionpay", "ecny"], ...] = ()
    ways: tuple[Literal["barcode", "qr", "cashier", "jsapi", "app", "h5"], ...] = ()
    currency: Literal["cny"] = "cny"
    settlement: Literal["gross", "net"] = "gross"
    fee_min_ppm: Ppm = 0
    fee_max_ppm: Ppm = 0
    fee_ppm: Ppm | None = None
    merchant_number: Annotated[str, Meta(pattern="^[0-9A-Za-z_-]{0,64}$")] = ""
    priority: Annotated[int, Meta(ge=0, le=1_000, description="lower is asked first")] = 100
    lanes: Count = 1
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 1_024
    latency_ms: Milliseconds = 0
    latency_spread_percent: Annotated[int, Meta(ge=0, le=100)] = 0
    decline_ppm: Ppm = 0
    seed: Annotated[int, Meta(ge=0)] = 0
    base_url: Address = ""
    sandbox: bool = False
    connections: Annotated[int, Meta(ge=8, le=10_000)] = 1_024
    sub_merchants: dict[str, Id] = {}
    timeouts: Timeouts = field(default_factory=Timeouts)
    inquiries: Inquiries = field(default_factory=Inquiries)
    wechat: Wechat | None = None
    alipay: Alipay | None = None
    unionpay: Unionpay | None = None

    def __post_init__(self) -> None:
        for kind in KINDS:
            if kind != self.kind and getattr(self, kind) is not None:
                raise ValueError(
                    f"channel {self.account}: {kind} credentials, and kind {self.kind}"
                )
        if self.is_external and (self.wallets or self.ways):
            raise ValueError(f"channel {self.account}: an external one has no wallets and ways")
        if not self.is_external and not (self.wallets and self.ways):
            raise ValueError(f"channel {self.account}: wallets and ways are missing")
        if self.is_wired and self.credentials is None:
            raise ValueError(f"channel {self.account}: the table {self.kind} is missing")
        if not self.is_wired and (self.base_url or self.sandbox):
            raise ValueError(f"channel {self.account}: kind {self.kind} has no address")
        if self.settlement == "gross" and self.fee_max_ppm:
            raise ValueError(f"channel {self.account}: a fee is kept where settlement is net")
        if self.fee_min_ppm > self.fee_max_ppm:
            raise ValueError(f"channel {self.account}: fee_min_ppm is above fee_max_ppm")
        if self.sandbox and not self.base_url:
            raise ValueError(f"channel {self.account}: a sandbox needs its base_url")

    @property
    def is_wired(self) -> bool:
        """Whether the channel is asked over a network."""
        return self.kind in KINDS

    @property
    def is_external(self) -> bool:
        """Whether its payments are taken elsewhere, and only reported here."""
        return self.kind == "external"

    @property
    def credentials(self) -> Wechat | Alipay | Unionpay | None:
        """The table of its kind."""
        found: Wechat | Alipay | Unionpay | None = getattr(self, self.kind, None)
        return found


class FeePlan(Section, frozen=True, kw_only=True):
    """What the merchant pays: `rate_ppm` of `settle_amount`, half-up per payment."""

    rate_ppm: Ppm


class Risk(Section, frozen=True, kw_only=True):
    """The limits of the first rules."""

    single_max_minor: Minor
    day_max_minor: Minor
    terminal_per_minute_max: Annotated[int, Meta(ge=1)]
    blocked_payers: tuple[str, ...] = ()


class Webhooks(Section, frozen=True, kw_only=True):
    """How webhooks leave. Test mode alone: `retry_scale_ppm` shrinks the plan's waits, and
    `private_networks` lets webhooks go to networks of one's own, not only to loopback.
    """

    wire_max: Annotated[int, Meta(ge=2, le=10_000)] = 256
    endpoint_wire_max: Annotated[int, Meta(ge=1, le=1_000)] = 8
    pending_max: Annotated[int, Meta(ge=1, le=100_000_000)] = 1_000_000
    timeout_s: Annotated[int, Meta(ge=1, le=30)] = 15
    retry_scale_ppm: Ppm = 1_000_000
    private_networks: bool = False


class Drain(Section, frozen=True, kw_only=True):
    """`grace_s`: not ready but still accepting; `timeout_s`: for what is in flight."""

    grace_s: Seconds = 5
    timeout_s: Seconds = 20


class Ray(Section, frozen=True, kw_only=True):
    """Ray's own needs. Its floor for the object store is about 75 MB."""

    object_store_mb: Annotated[int, Meta(ge=75, le=1_048_576)] = 80


class Settings(Section, frozen=True, kw_only=True):
    """Everything a deployment can choose. Built by `gateway.settings.load` only.

    `modules`: which parts are served, of acquiring, custody and splitting (docs/MODULES.md).
    `rehearsal`: live mode with simulated channels, which approve everything and charge nobody.
    """

    mode: Literal["test", "live"] = "test"
    modules: tuple[ModuleName, ...] = MODULES
    rehearsal: bool = False
    runtime: Literal["ray", "local"] = "ray"
    data_dir: str = ""
    seed_file: str | None = None
    public_url: str = ""
    callback_url: Annotated[
        str, Meta(description="where channels call back, when not at public_url")
    ] = ""
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
    webhooks: Webhooks = field(default_factory=Webhooks)
    bank: Bank | None = None
    settlement: Settlement = field(default_factory=Settlement)
    workdays: dict[Annotated[str, Meta(pattern="^[0-9]{4}$")], Year] = {}
    drain: Drain = field(default_factory=Drain)
    ray: Ray = field(default_factory=Ray)

    def __post_init__(self) -> None:
        refuse_unknown(self.modules)
        names = [channel.account for channel in self.channels]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two channels have the account {name!r}; name each once")
        for account in self.channels:
            self._check_address(account)
        for partition, shard in self.shards.partitions_dedicated.items():
            if not 256 <= int(partition) <= 4_095:
                raise ValueError(f"partition {partition} is shared; dedicated ones are 256-4095")
            if shard >= self.shards.count:
                raise ValueError(
                    f"partition {partition} is given to shard {shard}, of "
                    f"{self.shards.count}; count starts at 0"
                )
        if self.livemode and self.webhooks.retry_scale_ppm != 1_000_000:
            raise ValueError("webhooks.retry_scale_ppm: live mode keeps the plan; leave it out")
        if self.livemode and self.webhooks.private_networks:
            raise ValueError("webhooks.private_networks: live mode goes to public addresses only")
        if "default" not in self.fees:
            raise ValueError("fees.default is missing; merchants without a plan have that one")
        settings_home.check(self)
        if self.bank is not None:
            self._check_plain("bank", self.bank.base_url)
        barcodes(self.ecny_prefix)  # Refuses a prefix that is another wallet's.

    def _check_address(self, account: ChannelAccount) -> None:
        """Money goes over TLS to the real channel; a test may stay on this machine."""
        if self.livemode and account.kind == "simulated" and not self.rehearsal:
            raise ValueError(
                f"channel {account.account}: nobody is charged by a simulated channel; live mode "
                "needs a list of [[channels]] without it (or rehearsal = true)"
            )
        if self.livemode and account.sandbox:
            raise ValueError(f"channel {account.account}: live mode and a sandbox")
        self._check_plain(f"channel {account.account}", account.base_url)
        back = self.callback_url or self.public_url
        if account.is_wired and self.livemode and not back.startswith("https://"):
            raise ValueError("public_url: channels call back over https in live mode; set it")

    def _check_plain(self, whose: str, base_url: str) -> None:
        host = base_url.removeprefix("http://").split("/")[0].rsplit(":", 1)[0]
        if base_url.startswith("http:") and (self.livemode or host not in LOOPBACK):
            raise ValueError(f"{whose}: base_url must be https")

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data_dir)

    @property
    def asked(self) -> tuple[ChannelAccount, ...]:
        """The accounts that have lanes: those at which we take payments ourselves."""
        if ACQUIRING not in self.modules:
            return ()
        return tuple(account for account in self.channels if not account.is_external)

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
