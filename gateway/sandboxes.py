"""The demo's sandboxes: three channels in one child process and a bank in another, on loopback.

Each has its folder beside the demo's data, so that keys, books and orders survive a restart of
either. A child that dies is started anew on the same ports; one whose parent ends or dies sees its
standard input end, and ends too.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.logs import get_logger
from gateway.settings import SettingsError, write_private
from gateway.settings_home import Bank
from gateway.settings_shape import ChannelAccount, Settings

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - what the demo's --lan asks for
READY_S: Final = 30.0
END_S: Final = 5.0
AGAIN_S: Final = 0.5
"""Between the death of a sandbox and its next start."""

LINE_BYTES_MAX: Final = 65_536
FOLDER: Final = "sandboxes"
NAMES: Final = ("wechat", "alipay", "unionpay")
BANK: Final = "bank"
BANK_NAME: Final = "icbc"
BANK_AGENT: Final = "ICBKCNBJ"
BANK_POLL_S: Final = 2
ALONE_MAX_MINOR: Final = 1_000_000_00
"""In the demo nobody sits at a second desk: payouts up to this need no checker."""

UNIONPAY_TEST_SIGNER: Final = "00040000:SIGN"
"""The holder's name in the certificates of UnionPay's public test environment."""

log = get_logger(__name__)


class Ready(msgspec.Struct, frozen=True):
    """The line of a sandbox that is ready."""

    channel: str
    url: str
    credentials: dict[str, Any]


class Child:
    """One child process with some of the sandboxes."""

    def __init__(self, names: tuple[str, ...], folder: Path) -> None:
        self.names = names
        self.hosts = dict.fromkeys(names, LOOPBACK)
        self.restarts = 0
        self._folder = folder
        self._ports = dict.fromkeys(names, 0)
        self._process: Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_ending = False

    def __str__(self) -> str:
        return ", ".join(self.names)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> list[Ready]:
        """Start it and keep it running. Raise SettingsError when it does not come up."""
        ready = await self._spawn()
        for one in ready:
            self._ports[one.channel] = int(one.url.rpartition(":")[2])
        self._watch = asyncio.create_task(self._keep(), name=f"sandboxes {self}")
        return ready

    def _wanted(self) -> bytes:
        return msgspec.json.encode(
            [
                {
                    "name": name,
                    "host": self.hosts[name],
                    "port": self._ports[name],
                    "folder": str(self._folder / name),
                }
                for name in self.names
            ]
        )

    async def _spawn(self) -> list[Ready]:
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway.sandbox_process", self._wanted()),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # A Ctrl-C is the gateway's, which ends them after its drain.
            limit=LINE_BYTES_MAX,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(READY_S):
                lines = [await process.stdout.readline() for _ in self.names]
            ready = [msgspec.json.decode(line, type=Ready) for line in lines]
        except (TimeoutError, ValueError) as error:
            await self._end()
            raise SettingsError(f"the sandbox of {self} did not start") from error
        # We are on the same machine, wherever else they listen.
        return [
            msgspec.structs.replace(one, url=one.url.replace(EVERYWHERE, LOOPBACK)) for one in ready
        ]

    async def _keep(self) -> None:
        """Start it anew when it dies."""
        while True:
            assert self._process is not None
            code = await self._process.wait()
            if self._is_ending:
                return
            log.warning("a sandbox ended and is started anew", actor=str(self), code=code)
            self.restarts += 1
            await asyncio.sleep(AGAIN_S)
            try:
                await self._spawn()
            except SettingsError as error:
                log.error("a sandbox stays away", actor=str(self), error=str(error))

    async def stop(self) -> None:
        self._is_ending = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        await self._end()

    async def _end(self) -> None:
        """Let it end by itself; then not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


class Sandboxes:
    """All of them, and the accounts that the gateway has there."""

    def __init__(self, data: Path) -> None:
        self._data = data / FOLDER
        self._lan: str | None = None
        # The bank is somebody else than the channels; those share what they import.
        self._children = [Child(names, self._data) for names in (NAMES, (BANK,))]

    async def start(self, settings: Settings) -> Settings:
        """Start all at once. The settings with an account at each. Raise SettingsError."""
        self._data.mkdir(mode=0o700, exist_ok=True)
        if settings.http.host == EVERYWHERE:
            self._lan = urlsplit(settings.public_url).hostname
        channels = self._children[0]
        if self._lan:
            # A phone's wallet is sent there to say who pays.
            channels.hosts |= dict.fromkeys(OAUTH_PATHS, EVERYWHERE)
        results = await asyncio.gather(
            *(child.start() for child in self._children), return_exceptions=True
        )
        ready: list[Ready] = []
        for result in results:
            if isinstance(result, BaseException):
                await self.stop()
                raise result
            ready += result
        *wallets, bank = ready
        agreed = settings.settlement
        alone_max = agreed.alone_max_minor or ALONE_MAX_MINOR
        return msgspec.structs.replace(
            settings,
            channels=(
                *(self._account(one) for one in wallets),
                *(account for account in settings.channels if account.is_external),
            ),
            bank=self._bank(bank),
            settlement=msgspec.structs.replace(agreed, alone_max_minor=alone_max),
        )

    async def stop(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._children))

    def _account(self, ready: Ready) -> ChannelAccount:
        """The demo's account at a sandbox; its keys in files that only the owner reads."""
        name = ready.channel
        table: dict[str, Any] = {
            "wechat": self._wechat,
            "alipay": self._alipay,
            "unionpay": self._unionpay,
        }[name](ready.credentials)
        if name in OAUTH_PATHS:
            seen_at = ready.url if self._lan is None else ready.url.replace(LOOPBACK, self._lan)
            table["oauth_url"] = seen_at + OAUTH_PATHS[name]
        ways = ("barcode", "qr", "jsapi") if name == "unionpay" else ALL_WAYS
        account = {
            "name": name,
            "account": name,
            "kind": name,
            "wallets": (name,),
            "ways": ways,
            "base_url": ready.url,
            "sandbox": True,
            name: table,
        }
        return msgspec.convert(account, ChannelAccount)

    def _bank(self, ready: Ready) -> Bank:
        told = ready.credentials
        return Bank(
            name=BANK_NAME,
            base_url=ready.url,
            customer_id=told["customer_id"],
            custody_account=told["custody_account"],
            customer_key=self._file("bank-customer.pem", told["signing_private_key_pem"]),
            bank_key=self._file("bank-public.pem", told["bank_public_key_pem"]),
            agent=BANK_AGENT,
            poll_s=BANK_POLL_S,
            sandbox=True,
        )

    def _wechat(self, told: dict[str, str]) -> dict[str, Any]:
        return {
            "mchid": told["mchid"],
            "appid": told["appid"],
            "merchant_serial": told["merchant_serial"],
            "merchant_private_key": self._file("wechat-key.pem", told["merchant_private_key_pem"]),
            "api_v3_key": self._file("wechat-api-v3.key", told["api_v3_key"]),
            # The sandbox takes any: an app's secret is no part of what it prints.
            "app_secret": self._file("wechat-app.secret", told["appid"][::-1]),
            "public_keys": {
                told["public_key_id"]: self._file("wechat-public.pem", told["public_key_pem"])
            },
        }

    def _alipay(self, told: dict[str, str]) -> dict[str, Any]:
        return {
            "app_id": told["app_id"],
            "seller_id": told["seller_id"],
            "app_private_key": self._file("alipay-key.pem", told["app_private_key_pem"]),
            "public_keys": {
                "alipay": self._file("alipay-public.pem", told["alipay_public_key_pem"])
            },
        }

    def _unionpay(self, told: dict[str, str]) -> dict[str, Any]:
        platform = self._file("unionpay-public.pem", told["platform_public_key_pem"])
        certificate = self._file("unionpay-platform.pem", told["platform_certificate_pem"])
        return {
            "serv_prov_id": told["serv_prov_id"],
            "mer_id": told["mer_id"],
            "merchant_private_key": self._file(
                "unionpay-key.pem", told["merchant_private_key_pem"]
            ),
            "public_keys": {"unionpay": platform},
            "cert_id": told["cert_id"],
            "platform_certificate": certificate,
            "platform_names": (UNIONPAY_TEST_SIGNER,),
        }

    def _file(self, name: str, content: str) -> str:
        path = (self._data / name).resolve()
        write_private(path, content.encode())
        return f"file:{path}"


OAUTH_PATHS: Final = {
    "wechat": "/_sandbox/oauth/authorize",
    "alipay": "/oauth2/publicAppAuthorize.htm",
}
"""Where a sandbox says who a payer is; the third names nobody."""

ALL_WAYS: Final = ("barcode", "qr", "jsapi", "app", "h5")
