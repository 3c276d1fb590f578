"""From an account's settings to its connector: its process reads the keys, nobody else."""

import resource
from random import Random
from typing import Any, Final

import msgspec

from gateway.bank_keys import bank_keys
from gateway.callbacks import callback_url
from gateway.logs import get_logger
from gateway.settings import SettingsError, read_reference
from gateway.settings_shape import ChannelAccount, Settings
from payments.channels.base import Channel
from payments.channels.http import HttpSettings, PooledClient
from payments.channels.kinds import Account, BadCredentials, Wires, make, payers
from payments.channels.sandboxed import Sandboxed
from payments.channels.signing import SigningPool
from payments.clock import Clock
from payments.idempotency import Digests
from payments.ids import Entropy

SECRETS: Final = frozenset(
    {
        "merchant_private_key",
        "acp_private_key",
        "api_v3_key",
        "app_private_key",
        "app_auth_tokens",
        "app_secret",
        "aes_key",
    }
)
"""References to what only its owner may read; the others are public keys."""

TOKENS: Final = "app_auth_tokens"
NAMED_KEYS: Final = "public_keys"
SEED_BYTES: Final = 16
FILES_MORE: Final = 512
"""Open files of a process beside its connections to a channel."""

log = get_logger(__name__)


def account_of(settings: Settings, account: ChannelAccount, digests: Digests) -> Account:
    """The account with its keys read. Raise SettingsError, never with a key in it."""
    ids: dict[str, str] = {}
    keys: dict[str, bytes] = {}
    named: dict[str, bytes] = {}
    tokens: dict[str, str] = {}
    names: tuple[str, ...] = ()
    live = settings.livemode
    for name, value in msgspec.to_builtins(account.credentials).items():
        if name == NAMED_KEYS:
            named = {
                key: read_reference(ref, livemode=live, secret=False) for key, ref in value.items()
            }
        elif name == "platform_names":
            names = tuple(value)
        elif not value:
            continue
        elif not value.startswith(("file:", "env:")):
            ids[name] = value
        elif name == TOKENS:
            tokens = _tokens(value, read_reference(value, livemode=live))
        else:
            keys[name] = read_reference(value, livemode=live, secret=name in SECRETS)
    limits = account.timeouts
    return Account(
        name=account.account,
        base_url=account.base_url.rstrip("/"),
        notify_url=callback_url(
            settings.callback_url or settings.public_url, digests, account.name, account.account
        ),
        mode="partner" if account.mode == "partner" else "direct",
        sub_merchants=account.sub_merchants,
        ids=ids,
        keys=keys,
        named_keys=named,
        tokens=tokens,
        names=names,
        pay_timeout_s=limits.pay_ms / 1000,
        ask_timeout_s=limits.ask_ms / 1000,
        refund_timeout_s=limits.refund_ms / 1000,
    )


def _tokens(reference: str, content: bytes) -> dict[str, str]:
    try:
        return msgspec.json.decode(content, type=dict[str, str])
    except msgspec.DecodeError:
        raise SettingsError(f"{reference}: a JSON object of texts was expected") from None


class Wired:
    """A connector with what it stands on. `start` before the first call, `close` after the last."""

    def __init__(
        self, settings: Settings, account: ChannelAccount, lane: int, clock: Clock, digests: Digests
    ) -> None:
        raise_file_limit(account.connections + FILES_MORE)
        self._http = PooledClient(HttpSettings(connections_max=account.connections))
        self._pool = SigningPool(f"lane-{account.account}-{lane}")
        # Nonces and their like come from it: seeded by the system, not by the clock.
        seed = int.from_bytes(Entropy().bytes(SEED_BYTES), "big")
        wires = Wires(self._http, self._pool, clock, Random(seed))  # noqa: S311 - see above
        facts = account_of(settings, account, digests)
        try:
            self._inner = make(account.kind, facts, wires)
        except BadCredentials as error:
            raise SettingsError(f"channels: {error}") from None
        self.payers = payers(account.kind, facts, wires)
        self.channel: Channel = self._inner
        if account.sandbox:
            self.channel = Sandboxed(self._inner, self._http, facts.base_url, is_first=lane == 0)

    async def start(self) -> None:
        start: Any = getattr(self._inner, "start", None)
        if start is not None:
            await start()

    def abandon(self) -> None:
        """Its process dies: what is on the wire stays there."""
        self._pool.close()

    async def close(self) -> None:
        await self._http.close()
        self._pool.close()

    def stats(self) -> dict[str, float]:
        """Requests by what became of them, connections, and texts that wait for a signature."""
        numbers: dict[str, float] = {f"http_{k}": v for k, v in self._http.counts.items()}
        return numbers | {
            "signing_waiting": self._pool.waiting,
            "signing_refused": self._pool.refused,
        }


def raise_file_limit(wanted: int) -> None:
    """Let this process have so many open files, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("too few files for the channel's connections", allowed=allowed, wanted=wanted)


def check(settings: Settings, clock: Clock, digests: Digests) -> None:
    """Put every connector together once, so that a wrong key is told at the start, to a person.

    The bank's keys are read, too. Raise SettingsError.
    """
    if settings.bank is not None:
        bank_keys(settings.bank, livemode=settings.livemode)
    for account in settings.channels:
        if account.is_wired:
            Wired(settings, account, 0, clock, digests)._pool.close()
