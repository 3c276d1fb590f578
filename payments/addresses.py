"""Where a webhook may go: judged by the address that is connected to, never by its name alone.

A name says nothing: it may stand for our own network, today or from tomorrow on. So the text of a
URL is judged once (`target_of`), and every address that its name resolves to is judged before each
connection (`refusal`).
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

URL_LENGTH_MAX: Final = 2_048
HOST_LENGTH_MAX: Final = 253
PORTS_LIVE: Final = (443, 8443)
PORT_OF: Final = {"https": 443, "http": 80}

_LABEL: Final = re.compile(r"(?!-)[0-9A-Za-z_-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

# Not for the public internet, by the special-purpose registries of IANA and by the habits of
# cloud providers. The standard library's `is_global` differs from one release to the next.
_SPECIAL_4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # Carrier-grade NAT; 100.100.100.200 is a provider's metadata.
            "127.0.0.0/8",
            "168.63.129.16/32",  # A provider's metadata under a public number.
            "169.254.0.0/16",  # Link-local; 169.254.169.254 is most providers' metadata.
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_6: Final = ip_network("2000::/3")
_SPECIAL_6: Final = tuple(
    map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20"))
)
_NAT64: Final = ip_network("64:ff9b::/96")
_LOOPBACK: Final = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_PRIVATE: Final = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
_METADATA: Final = (ip_network("fd00:ec2::254/128"), ip_network("fd20:ce::254/128"))


class Reach(Struct, frozen=True):
    """How far webhooks may go. Live mode: https and public addresses on two ports, nothing else.

    `private`: networks of one's own too, in test mode, where receivers run beside the gateway.
    """

    livemode: bool
    private: bool = False


class Target(Struct, frozen=True):
    """The parts of a URL that was found good. `host` is in lower case, without brackets."""

    scheme: str
    host: str
    port: int


class UrlRefused(ValueError):
    """The URL may not be an endpoint's; the text says why."""


def target_of(url: str, reach: Reach) -> Target:
    """Read the text of an endpoint's URL. Raise UrlRefused."""
    if not 0 < len(url) <= URL_LENGTH_MAX:
        raise UrlRefused(f"A URL has 1 to {URL_LENGTH_MAX} characters.")
    if not re.fullmatch(r"[!-~]+", url) or re.search(r'["\\<>^`{|}]', url):
        raise UrlRefused("A URL is printable ASCII; escape everything else.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UrlRefused("This is not a URL.") from None
    scheme = parts.scheme.lower()
    if scheme != "https" and (reach.livemode or scheme != "http"):
        raise UrlRefused("Webhooks go to https." if reach.livemode else "Say https or http.")
    if "@" in parts.netloc:
        raise UrlRefused("A URL with a user or a password is not taken; verify signatures.")
    if parts.fragment or url.endswith("#"):
        raise UrlRefused("A fragment is never sent; leave it out.")
    port = PORT_OF[scheme] if port is None else port
    if reach.livemode and port not in PORTS_LIVE:
        raise UrlRefused(f"In live mode the port is {' or '.join(map(str, PORTS_LIVE))}.")
    if port == 0:
        raise UrlRefused("There is no port 0.")
    host = (parts.hostname or "").lower()
    _check_host(host, reach)
    return Target(scheme, host, port)


def _check_host(host: str, reach: Reach) -> None:
    if ":" in host or _NUMERIC.fullmatch(host.rstrip(".").rpartition(".")[2]):
        why = refusal(host, reach)
        if why is not None:
            raise UrlRefused(why)
        return
    labels = host.removesuffix(".").split(".")
    if not 0 < len(host) <= HOST_LENGTH_MAX or not all(map(_LABEL.fullmatch, labels)):
        raise UrlRefused("The host's name cannot be one; use its ASCII form.")
    if reach.livemode and len(labels) < 2:
        raise UrlRefused("A name without a dot belongs to a network of ours.")


def refusal(text: str, reach: Reach) -> str | None:
    """Why an address may not be connected to, or None. Only the four-number form of IPv4 passes."""
    try:
        address = ip_address(text)
    except ValueError:
        return "This is not an address in its usual form."
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "An address with a scope belongs to a link of ours."
        address = _inner(address)
    if not reach.livemode:
        if any(address in network for network in _LOOPBACK if network.version == address.version):
            return None
        if reach.private and _is_private(address):
            return None
    if isinstance(address, IPv4Address):
        special = any(address in network for network in _SPECIAL_4)
    else:
        special = address not in _GLOBAL_6 or any(address in network for network in _SPECIAL_6)
    return "Webhooks go to public addresses only." if special else None


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    networks = [network for network in _PRIVATE if network.version == address.version]
    if any(address in network for network in _METADATA if network.version == address.version):
        return False
    return any(address in network for network in networks)


def _inner(address: IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for, if it does: mapped, or by NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address
