"""The public addresses by which this machine leaves."""

import contextlib
import ipaddress
import socket

# Documentation networks (RFC 5737, RFC 3849): a route is looked up, and nothing is sent.
ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def public_addresses() -> list[str]:
    """One of each family at most; none behind NAT."""
    found = []
    for family, address in ELSEWHERE:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            found.append(str(one.getsockname()[0]))
    return [address for address in found if ipaddress.ip_address(address).is_global]
