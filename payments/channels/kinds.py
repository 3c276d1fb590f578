"""The kinds of channels that are asked over a network, and how a connector of each is put together.

A kind is loaded when an account asks for it. What it gets is plain: texts, keys as bytes, and the
lane's way out. A new kind is one function here, and its table of credentials in the settings.
"""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct

from payments.channels.base import Channel, NamesPayers
from payments.channels.signing import SigningPool
from payments.channels.transport import HttpClient
from payments.clock import Clock


class Account(Struct, frozen=True, kw_only=True):
    """One account as its kind needs it. `base_url` empty: the channel's own address.

    `ids`: the plain credentials by name; `keys`: secret and public keys by name, as their files
    have them; `named_keys`: the channel's own names for its keys; `sub_merchants`: our merchant's
    id to the channel's; `tokens`: our merchant's id to its token, which is secret.
    """

    name: str
    base_url: str
    notify_url: str
    mode: str = "direct"
    sub_merchants: Mapping[str, str] = {}
    ids: Mapping[str, str] = {}
    keys: Mapping[str, bytes] = {}
    named_keys: Mapping[str, bytes] = {}
    tokens: Mapping[str, str] = {}
    names: tuple[str, ...] = ()
    pay_timeout_s: float = 5.0
    ask_timeout_s: float = 5.0
    refund_timeout_s: float = 10.0

    def __repr__(self) -> str:
        return f"Account({self.name})"

    def key(self, name: str) -> bytes:
        """A key that the kind cannot do without. Raise BadCredentials."""
        found = self.keys.get(name, b"").strip()
        if not found:
            raise BadCredentials(f"{self.name}: {name} is missing")
        return found


class Wires(Struct, frozen=True):
    """What a lane brings to its connector."""

    http: HttpClient
    pool: SigningPool
    clock: Clock
    random: Random


class BadCredentials(ValueError):
    """Credentials that are none. The text names account and setting, never their content."""


class MakesChannel(Protocol):
    """Put a connector together. Raise ValueError for credentials that are none."""

    def __call__(self, account: Account, wires: Wires) -> Channel: ...


def wechat(account: Account, wires: Wires) -> Channel:
    """WeChat Pay v3. `public_keys` by id or serial; without any, certificates are downloaded."""
    from payments.channels.wechat.connector import WeChatChannel
    from payments.channels.wechat.crypto import encrypt_field, load_private_key, load_public_key
    from payments.channels.wechat.keys import PlatformKeys
    from payments.channels.wechat.requests import WeChatSettings
    from payments.channels.wechat.wire import PUBLIC_KEY_PREFIX

    pool, ids = wires.pool, account.ids
    known = {name: pool.verifier(load_public_key(pem)) for name, pem in account.named_keys.items()}
    keys = PlatformKeys(
        known,
        account.key("api_v3_key"),
        lambda pem: pool.verifier(load_public_key(pem)),
        wires.clock,
    )
    public = [name for name in known if name.startswith(PUBLIC_KEY_PREFIX)]
    settings = WeChatSettings(
        mchid=ids["mchid"],
        appid=ids["appid"],
        merchant_serial=ids["merchant_serial"],
        base_url=account.base_url or "https://api.mch.weixin.qq.com",
        notify_url=account.notify_url,
        mode=account.mode,
        sub_merchants=account.sub_merchants,
        sub_mchid=ids.get("sub_mchid") or None,
        sub_appid=ids.get("sub_appid") or None,
        # The newest of several ids is the last: the others still verify what they signed.
        public_key_id=public[-1] if public else None,
        pay_timeout_s=account.pay_timeout_s,
        ask_timeout_s=account.ask_timeout_s,
        refund_timeout_s=account.refund_timeout_s,
    )
    signer = pool.signer(load_private_key(account.key("merchant_private_key")))
    encrypt = None
    if public:
        encrypt = partial(encrypt_field, load_public_key(account.named_keys[public[-1]]))
    return WeChatChannel(settings, wires.http, signer, keys, wires.clock, wires.random, encrypt)


def unionpay(account: Account, wires: Wires) -> Channel:
    """UnionPay: the aggregated interface, and ACP for codes where there are its certificates."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.serialization import (
        load_pem_private_key,
        load_pem_public_key,
    )

    from payments.channels.unionpay.certificates import Trust
    from payments.channels.unionpay.connector import UnionpayChannel
    from payments.channels.unionpay.exchange import UnionpaySettings

    ids = account.ids
    private: Any = load_pem_private_key(account.key("merchant_private_key"), None)
    public: list[Any] = [load_pem_public_key(pem) for pem in account.named_keys.values()]
    keys = [key for key in public if isinstance(key, RSAPublicKey)]
    authorities = account.keys.get("platform_certificate", b"")
    # ACP may be another contract, with a certificate of its own; else one key signs for both.
    of_acp = account.keys.get("acp_private_key")
    acp_key: Any = private if of_acp is None else load_pem_private_key(of_acp, None)
    is_rsa = isinstance(private, RSAPrivateKey) and isinstance(acp_key, RSAPrivateKey)
    if not is_rsa or not keys or len(keys) < len(public):
        raise BadCredentials(f"{account.name}: UnionPay's keys are RSA keys")
    settings = UnionpaySettings(
        serv_prov_id=ids["serv_prov_id"],
        mer_id=ids["mer_id"],
        base_url=account.base_url or "https://partner.95516.com",
        acp_url=account.base_url or "https://gateway.95516.com",
        notify_url=account.notify_url,
        cert_id=ids.get("cert_id", ""),
        sub_app_id=ids.get("sub_appid", ""),
        term_id=ids["term_id"],
        access_type=ids["access_type"],
        acp_mer_id=ids.get("acp_mer_id", ""),
        pay_timeout_s=account.pay_timeout_s,
        ask_timeout_s=account.ask_timeout_s,
        sub_merchants=account.sub_merchants,
    )
    return UnionpayChannel(
        settings,
        wires.http,
        wires.pool.signer(private),
        [wires.pool.verifier(key) for key in keys],
        wires.clock,
        Trust(authorities, account.names) if authorities else None,
        None if of_acp is None else wires.pool.signer(acp_key),
    )


def alipay(account: Account, wires: Wires) -> Channel:
    """Alipay OpenAPI. `sub_merchants`: who each of our merchants is at Alipay."""
    from base64 import b64decode

    from payments.channels.alipay.connector import AlipayChannel, AlipaySettings
    from payments.channels.alipay.wire import load_private_key, load_public_key

    ids, pool = account.ids, wires.pool
    aes_key = account.keys.get("aes_key")
    base = account.base_url or "https://openapi.alipay.com"
    settings = AlipaySettings(
        app_id=ids["app_id"],
        gateway=base if base.endswith(".do") else f"{base}/gateway.do",
        seller_id=ids.get("seller_id", ""),
        notify_url=account.notify_url,
        mode=account.mode,
        app_auth_tokens=account.tokens,
        seller_ids=account.sub_merchants,
        service_provider_id=ids.get("service_provider_id", ""),
        app_cert_sn=ids.get("app_cert_sn", ""),
        alipay_root_cert_sn=ids.get("alipay_root_cert_sn", ""),
        aes_key=None if aes_key is None else b64decode(aes_key.strip(), validate=True),
        pay_timeout_s=account.pay_timeout_s,
        ask_timeout_s=account.ask_timeout_s,
        refund_timeout_s=account.refund_timeout_s,
    )
    verifiers = {
        name: pool.verifier(load_public_key(pem.decode()))
        for name, pem in account.named_keys.items()
    }
    signer = pool.signer(load_private_key(account.key("app_private_key").decode()))
    return AlipayChannel(settings, wires.http, signer, verifiers, wires.clock)


def _wechat_payers(account: Account, wires: Wires) -> NamesPayers | None:
    from payments.channels.payers import WechatPayers

    secret = account.keys.get("app_secret", b"").decode().strip()
    if not secret:
        return None
    # In the sandbox one server is both, the payments' and the apps'.
    api = account.base_url if account.ids.get("oauth_url") else ""
    return WechatPayers(
        account.ids.get("sub_appid") or account.ids["appid"],
        secret,
        wires.http,
        authorize_at=account.ids.get("oauth_url", ""),
        api=api,
        timeout_s=account.ask_timeout_s,
    )


def _alipay_payers(account: Account, wires: Wires) -> NamesPayers | None:
    from payments.channels.alipay.wire import load_private_key, load_public_key
    from payments.channels.payers import AlipayPayers

    base = account.base_url or "https://openapi.alipay.com"
    verifiers = {
        name: wires.pool.verifier(load_public_key(pem.decode()))
        for name, pem in account.named_keys.items()
    }
    return AlipayPayers(
        account.ids["app_id"],
        base if base.endswith(".do") else f"{base}/gateway.do",
        wires.http,
        wires.pool.signer(load_private_key(account.key("app_private_key").decode())),
        verifiers,
        wires.clock,
        authorize_at=account.ids.get("oauth_url", ""),
        timeout_s=account.ask_timeout_s,
    )


PAYERS: Final[dict[str, Callable[[Account, Wires], NamesPayers | None]]] = {
    "wechat": _wechat_payers,
    "alipay": _alipay_payers,
}


def payers(kind: str, account: Account, wires: Wires) -> NamesPayers | None:
    """Who tells an account who its payers are; None where nobody does. Raise BadCredentials."""
    make_payers = PAYERS.get(kind)
    try:
        return None if make_payers is None else make_payers(account, wires)
    except BadCredentials:
        raise
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        # As in `make`: never a parser's words about a key.
        raise BadCredentials(
            f"{account.name}: a key of {kind} is none ({type(error).__name__})"
        ) from None


KINDS: Final[dict[str, MakesChannel]] = {
    "wechat": wechat,
    "alipay": alipay,
    "unionpay": unionpay,
}


def make(kind: str, account: Account, wires: Wires) -> Channel:
    """The connector of an account. Raise BadCredentials, which says nothing of a key's content."""
    try:
        return KINDS[kind](account, wires)
    except BadCredentials:
        raise
    except (ValueError, TypeError, KeyError, UnsupportedAlgorithm) as error:
        # A parser's words may quote the key: only its kind is passed on.
        raise BadCredentials(
            f"{account.name}: a key of {kind} is none, or ids contradict the mode "
            f"({type(error).__name__})"
        ) from None
