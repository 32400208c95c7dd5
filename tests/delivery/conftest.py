"""A DNS server and a receiving host for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trustme

from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer
from tests.support.relay import Relay

RECORDS = {
    "b.test": {"MX": ["10 mail.b.test."]},
    "mail.b.test": {"A": ["127.0.0.1"]},
    "c.test": {"MX": ["10 mail.c.test."]},
    "mail.c.test": {"A": ["127.0.0.1"]},
    "smart.test": {"A": ["127.0.0.1"]},
}


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    with DnsServer(RECORDS) as one:
        yield one


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as one:
        yield one


@pytest.fixture
async def relay(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as one:
        yield one


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()
