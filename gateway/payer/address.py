"""Where a payer is on the network, when proxies stand between: who is believed about whom.

Only a peer that the settings name is believed, and only about the address that came to it. So the
line of addresses is read from its right end: each one that is a trusted proxy vouches for the one
before it, and the first that is not is the payer. Whatever stands further left, anybody can write.
Sources: RFC 7239 for `Forwarded`; `X-Forwarded-For` by what proxies do: each adds at the right.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

HOPS_MAX: Final = 16
"""Addresses that are looked at, from the right: more proxies of one's own nobody has."""

FORWARDED: Final = "Forwarded"

Ip = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_ELEMENT: Final = re.compile(rf"(?:[^,\"]|{_QUOTED})*")
_PAIR: Final = re.compile(rf"[ \t]*([0-9A-Za-z_-]+)=({_QUOTED}|[^;,\s\"]*)[ \t]*(?:;|$)")
_PORT: Final = re.compile(r":[0-9]{1,5}")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


def networks_of(names: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks of the settings. ValueError for what is none, or has host bits set."""
    found: list[Network] = []
    for name in names:
        try:
            found.append(ip_network(name))
        except ValueError as error:
            raise ValueError(f"{name!r} is no address and no network: {error}") from None
        if found[-1].prefixlen == 0:
            raise ValueError(f"{name!r} is everybody; name your proxies")
    return tuple(found)


def payer_address(
    peer: str, lines: Iterable[str], trusted: Iterable[Network], header: str
) -> str | None:
    """The payer's address as channels may be told it; None where nobody trusted says it.

    `peer`: who is connected to us. `lines`: the values of `header`, in their order. Without
    trusted proxies nothing is known: the peer may be a proxy that nobody has named. An address of
    somebody's inner network says nothing to a channel, and is None too.
    """
    networks = tuple(trusted)
    if not networks:
        return None
    hop = _address(peer)
    if hop is not None and _is_in(hop, networks):
        hop = _behind(_hops(",".join(lines), header), networks)
    return str(hop) if hop is not None and hop.is_global else None


def _behind(hops: list[str], networks: tuple[Network, ...]) -> Ip | None:
    """The right-most address that no trusted proxy has; None if all are, or one is unreadable."""
    for text in hops[: -HOPS_MAX - 1 : -1]:
        hop = _address(text)
        if hop is None or not _is_in(hop, networks):
            return hop
    return None


def _hops(line: str, header: str) -> list[str]:
    """The addresses of a line as they were written, the nearest proxy's word last."""
    if header != FORWARDED:
        return line.split(",")
    hops = []
    at = 0
    while at <= len(line):
        found = _ELEMENT.match(line, at)
        assert found is not None
        hops.append(_for(found.group()))
        at = found.end() + 1
        if at <= len(line) and line[at - 1] != ",":
            return []  # A quotation that never ends: where its parts begin nobody knows.
    return hops


def _for(element: str) -> str:
    """What one proxy says of whom it forwards for; empty where that cannot be read, or is twofold.

    Pair by pair, for a host's name is the sender's, and may look like a pair within its quotes.
    """
    named = []
    at = 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return ""
        if pair.group(1).lower() == "for":
            named.append(pair.group(2).strip('"'))
        at = pair.end()
    return named[0] if len(named) == 1 else ""


def _address(text: str) -> Ip | None:
    """An address, with or without a port; IPv4 inside IPv6 as what it stands for."""
    text = text.strip(" \t")
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed is not None:
        text = bracketed.group(1)
    elif text.count(":") == 1 and "." in text:
        host, _, port = text.partition(":")
        text = host if _PORT.fullmatch(f":{port}") else ""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        if found.scope_id is not None:
            return None
        return found.ipv4_mapped or found
    return found


def _is_in(hop: Ip, networks: tuple[Network, ...]) -> bool:
    return any(hop in network for network in networks)
