"""What counts as one client, and what as its neighbours: an IPv6 customer has a /64, often a /48, to choose addresses from."""

import ipaddress

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SINGLE_BITS = {4: 32, 6: 128}
CLIENT_BITS = {4: 32, 6: 64}
NEIGHBOUR_BITS = {4: 24, 6: 48}


def network_of(peer: str, bits: dict[int, int]) -> Network | None:
    """The network around an address, by IP version; None for what is no address. IPv4 in IPv6 is IPv4."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return ipaddress.ip_network((address, bits[address.version]), strict=False)


def client_of(peer: str) -> str:
    """By which a client is counted: its IPv4 address, its IPv6 /64; what is no address as it is."""
    if ":" not in peer:
        return peer  # IPv4, or a local socket: nothing to cut
    network = network_of(peer, CLIENT_BITS)
    if network is None:
        return peer
    return str(network.network_address) if network.version == 4 else str(network)


def parse_network(text: str) -> Network:
    """What an admin wrote: an address or a network; an IPv6 address alone is its /64. Raises ValueError."""
    if "/" in text:
        return ipaddress.ip_network(text, strict=False)
    network = network_of(text, CLIENT_BITS)
    if network is None:
        raise ValueError(f"{text!r} is neither an address nor a network like 192.0.2.0/24")
    return network
