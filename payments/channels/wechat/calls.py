"""One exchange with WeChat Pay: sign, send, verify. What is not verified is never read."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from payments.channels.transport import (
    HttpAnswer,
    HttpClient,
    HttpRequest,
    NoAnswer,
    NotSent,
    Signer,
)
from payments.channels.wechat import wire
from payments.channels.wechat.crypto import WireError
from payments.channels.wechat.keys import PlatformKeys
from payments.channels.wechat.orders import read
from payments.clock import Clock

USER_AGENT: Final = "tillway/1"
CERTIFICATES: Final = "/v3/certificates"
NONCE_BITS: Final = 128

DOWNLOAD_S: Final = 5.0
"""How long a download of certificates may take."""

OK: Final = (200, 204)


class Verified(Struct, frozen=True):
    """A 200 or 204 whose signature was checked."""

    body: bytes


class Refused(Struct, frozen=True):
    """An answer that is not 2xx. WeChat Pay does not sign these. `code` empty: none was told."""

    status: int
    code: str


class Lost(Struct, frozen=True):
    """No answer that may be believed. `sent` False: certainly nothing left."""

    reason: str
    sent: bool = True


Said = Verified | Refused | Lost


class _Problem(Struct, frozen=True):
    code: str


class Calls:
    """`mchid` and `serial` are the merchant's that signs. `ask_for`: id of a public key, if the
    answers are to be signed with one.
    """

    def __init__(
        self,
        base_url: str,
        mchid: str,
        serial: str,
        ask_for: str | None,
        http: HttpClient,
        signer: Signer,
        keys: PlatformKeys,
        clock: Clock,
        random: Random,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._mchid = mchid
        self._serial = serial
        self._ask_for = ask_for
        self._http = http
        self._signer = signer
        self._keys = keys
        self._clock = clock
        self._random = random
        self._downloading = asyncio.Lock()

    def stamp(self) -> tuple[int, str]:
        """Unix seconds and a nonce for a signature. Real time: windows are not tested by moving."""
        return self._clock.real_ms() // 1000, f"{self._random.getrandbits(NONCE_BITS):032X}"

    async def sign(self, text: bytes) -> bytes | None:
        """The merchant's signature; None when too many are waiting for theirs."""
        try:
            return await self._signer.sign(text)
        except NotSent:
            return None

    async def get(self, target: str, timeout_s: float) -> Said:
        return await self._exchange("GET", target, b"", timeout_s)

    async def post(self, target: str, body: dict[str, Any], timeout_s: float) -> Said:
        return await self._exchange("POST", target, msgspec.json.encode(body), timeout_s)

    async def _exchange(self, method: str, target: str, body: bytes, timeout_s: float) -> Said:
        answer = await self._send(method, target, body, timeout_s)
        if isinstance(answer, Lost):
            return answer
        if answer.status not in OK:
            return _refused(answer)
        if why := await self.distrust(answer.headers, answer.body):
            return Lost(why)
        return Verified(answer.body)

    async def _send(
        self, method: str, target: str, body: bytes, timeout_s: float
    ) -> HttpAnswer | Lost:
        headers = await self.headers_for(method, target, body)
        if headers is None:
            return Lost("not signed", sent=False)
        url = self.base_url + target
        try:
            return await self._http.send(HttpRequest(method, url, headers, body, timeout_s))
        except NotSent:
            return Lost("not sent", sent=False)
        except NoAnswer:
            return Lost("no answer")

    async def headers_for(self, method: str, target: str, body: bytes) -> dict[str, str] | None:
        """The headers of a request, signed; None when too many are waiting for a signature.
        `target`: path and query as they are sent.
        """
        timestamp, nonce = self.stamp()
        text = wire.request_text(method, target, timestamp, nonce, body)
        signature = await self.sign(text)
        if signature is None:
            return None
        credentials = wire.Credentials(self._mchid, self._serial, nonce, timestamp, signature)
        headers = {
            "Authorization": wire.authorization(credentials),
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        }
        if body:
            headers["Content-Type"] = "application/json"
        if self._ask_for is not None:
            headers["Wechatpay-Serial"] = self._ask_for
        return headers

    async def distrust(self, headers: Mapping[str, str], body: bytes) -> str:
        """Why this answer or callback may not be believed; nothing when it may."""
        try:
            seal = wire.parse_seal(headers)
        except WireError as error:
            return str(error)
        if not wire.is_in_window(seal.timestamp, self._clock.real_ms()):
            return "the signature is too old or too new"
        if self._keys.find(seal.serial) is None:
            await self._download(seal.serial)
        key = self._keys.find(seal.serial)
        if key is None:
            return "the signature is of an unknown key"
        text = wire.answer_text(seal.timestamp, seal.nonce, body)
        try:
            return "" if await key.verify(text, seal.signature) else "the signature is wrong"
        except NotSent:
            return "too many signatures are waiting to be checked"

    async def _download(self, serial: str) -> None:
        """Look whether WeChat Pay has a new certificate. One download for all who wait for it."""
        async with self._downloading:
            if self._keys.find(serial) is None and self._keys.may_download(serial):
                await self.download()

    async def download(self) -> bool:
        """Learn WeChat Pay's certificates. Whether that came to anything."""
        answer = await self._send("GET", CERTIFICATES, b"", DOWNLOAD_S)
        if isinstance(answer, Lost) or answer.status not in OK:
            return False
        try:
            seal = wire.parse_seal(answer.headers)
        except WireError:
            return False
        if not wire.is_in_window(seal.timestamp, self._clock.real_ms()):
            return False
        try:
            return await self._keys.learn(answer, seal)
        except NotSent:
            return False


def _refused(answer: HttpAnswer) -> Refused:
    problem = read(answer.body, _Problem)
    return Refused(answer.status, "" if problem is None else problem.code)
