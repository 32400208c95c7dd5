"""Whether a public authority vouches for a certificate: a handshake as strangers make it, in memory."""

import ssl
from collections.abc import Sequence

from mailstack.net.tls import Chain

ROUNDS = 10


def vouched_names(chains: Sequence[Chain]) -> frozenset[str]:
    """The names of those chains that the authorities of this system vouch for. Blocking: some milliseconds each."""
    roots = ssl.create_default_context()
    names = (name for chain in chains if chain.names and _vouched(chain, roots) for name in chain.names)
    return frozenset(name for name in names if "." in name)  # no public authority has localhost


def _vouched(chain: Chain, roots: ssl.SSLContext) -> bool:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    name = chain.names[0].replace("*.", "any.", 1)
    client = roots.wrap_bio(down, up, server_hostname=name)
    server = chain.hosts.wrap_bio(up, down, server_side=True)
    for _ in range(ROUNDS):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
            if end is client:
                return True
    return False
