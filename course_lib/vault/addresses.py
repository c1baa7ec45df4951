"""Addresses of computers: which are private, which is this one, and how much of one is written down."""

import ipaddress
from functools import lru_cache

PRIVATE = [
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
]


def private(host):
    """Whether an address is this computer, or on a private network. Link-local and 0.0.0.0 are not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # with a zone, "fe80::1%eth0": link-local
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in PRIVATE if network.version == address.version)


def bracketed(host):
    """A host as it stands in a URL: [::1], 127.0.0.1."""
    return f"[{host}]" if ":" in host else host


@lru_cache(4096)
def truncated(address):
    """An address without its last part: /24 for IPv4, /48 for IPv6; "" for what is none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ipaddress.ip_network((ip.packed, 24 if ip.version == 4 else 48), strict=False))


def is_loopback(scope):
    """Whether the request came from this very computer: by its connection, never by a header, which anybody can write."""
    try:
        address = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
