"""Addresses of peers, as limits count them: a mapped IPv4 address is itself, and of IPv6 the whole /64 is one."""

import ipaddress
from collections.abc import Sequence

IPv4Or6 = ipaddress.IPv4Address | ipaddress.IPv6Address
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]
IPV6_SITE_BITS = 64


def parsed(text: str) -> IPv4Or6 | None:
    """The address; None if it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found


def networks(texts: Sequence[str]) -> Networks:
    """Those of a setting that was checked."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def within(address: IPv4Or6, known: Networks) -> bool:
    """Whether the address is in one of them."""
    return any(address in network for network in known)


def address_key(address: IPv4Or6 | None) -> str:
    """The name that limits know it by; empty for none."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False))
    return str(address or "")


def limit_key(address: IPv4Or6 | None, proxies: Networks) -> str:
    """The same, but empty for this machine and proxies: behind one address of theirs may be everybody."""
    if address is None or address.is_loopback or within(address, proxies):
        return ""
    return address_key(address)
