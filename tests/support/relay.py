"""The floors of delivery in the test's own loop: real queue, mailboxes, DNS and sockets; clock and chance are the test's."""

import asyncio
import functools
import random
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

from mailstack.app import Data, Surroundings
from mailstack.config import Config
from mailstack.delivery.accept import Acceptor
from mailstack.delivery.alignment import Alignment
from mailstack.delivery.bounce import Bouncer
from mailstack.delivery.client import Timeouts
from mailstack.delivery.local import LocalDelivery
from mailstack.delivery.outgoing import Outgoing
from mailstack.delivery.parcels import Parcels
from mailstack.delivery.placing import Placing
from mailstack.delivery.planner import Planner
from mailstack.delivery.reaching import Reach
from mailstack.delivery.remote import RemoteDelivery, RemoteSettings, parse_smarthost
from mailstack.delivery.runner import QueueRunner, Schedule
from mailstack.delivery.sts import StsPolicies
from mailstack.delivery.tls_policy import TlsPolicies
from mailstack.message.address import parse_address
from mailstack.message.envelope import Body, Envelope, Notify, Recipient, Return, new_id
from mailstack.net.dns import Resolver
from mailstack.net.dnssec import Dnssec
from mailstack.net.tls import client_context
from mailstack.policy.routing import Router
from mailstack.store.content import Content
from mailstack.store.database import Database
from mailstack.store.disk import Disk
from mailstack.store.queue.queue import Queued
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until

# Nobody waits as long where all is well; what waits for silence brings limits of its own.
PATIENT = Timeouts(connect=60.0, greeting=60.0, command=60.0, data_start=60.0, data_block=60.0, data_end=60.0, quit=0.2)
TEXT = b"From: alice@a.test\r\nTo: bob@b.test\r\nSubject: hello\r\nDate: x\r\nMessage-ID: <1@a.test>\r\n\r\nbody\r\n.dot\r\n"
SECRET = "secret"


@functools.cache
def migrated() -> bytes:
    """An empty database of this version: the migrations take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        one = Database(Path(folder) / "one.sqlite3")
        one.start()
        one.close()
        return one.path.read_bytes()


class FakeClock:
    """The wall clock: it stands still until it is moved."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now


class Relay:
    """`async with`; then send() and settled()."""

    def __init__(
        self,
        folder: Path,
        dns: DnsServer,
        peer: Peer | None = None,
        *,
        smarthost: str = "",
        password: str | None = None,
        port: int | None = None,
        ipv6: str = "off",
        source: tuple[str, ...] = (),
        verified: ssl.SSLContext | None = None,
        timeouts: Timeouts = PATIENT,
        retry: tuple[float, ...] = (300.0, 900.0, 3600.0),
        disk: Disk | None = None,
        postmaster: str = "postmaster-of-all@a.test",
        sts_port: int = 9,
        dnssec: bool = False,
    ) -> None:
        self.clock = FakeClock()
        self.random = random.Random(7)
        config = Config(hostname="mail.a.test", data_dir=str(folder / "data"))
        self.data = Data(config, Surroundings(disk or Disk(), self.clock, self.random))
        self.queue = self.data.queue
        self.settings = RemoteSettings(
            "mail.a.test",
            port or (peer.port if peer is not None else 9),
            parse_smarthost(smarthost, password),
            source,
            ipv6,
            timeouts,
        )
        self.resolver = Resolver([f"127.0.0.1:{dns.port}"], self.random, lifetime=60.0, timeout=20.0, dnssec=dnssec)
        self.signer = self.data.signer
        self._verified = verified or client_context(verify=True)
        self._retry = retry
        self._postmaster = postmaster
        self._sts_port = sts_port

    async def __aenter__(self) -> "Relay":
        data = self.data
        database = data.database.path
        if not database.exists():
            database.parent.mkdir(parents=True, exist_ok=True)
            database.write_bytes(migrated())
        await data.open()
        await data.directory.add_domain("a.test")
        await self.add("alice@a.test")
        self.router = Router(data.directory, self._postmaster, SECRET, self.clock)
        self.planner = Planner(data.directory, data.mailboxes, data.rules)
        placing = Placing(data.directory, data.mailboxes, self.planner)
        parcels = Parcels(self.router, data.directory, "mail.a.test", self.clock, self.random)
        self.acceptor = Acceptor(self.router, placing, parcels, data.queue, data.trace, self.clock, self.random)
        self.bouncer = Bouncer(data.queue, "mail.a.test", self.acceptor.submit, self.random, data.trace)
        self.acceptor.bouncer = self.bouncer
        self.alignment = Alignment(self.resolver, self.data.suffixes, self.signer, "mail.a.test")
        self.outgoing = Outgoing(data.queue, self.signer, self.alignment, data.trace, "mail.a.test", self.clock)
        await data.transport.open()
        opportunistic = client_context(verify=False)
        sts = StsPolicies(data.transport, self.resolver, self._verified, self.clock, port=self._sts_port)
        self.policies = TlsPolicies(data.transport, sts, Dnssec(self.resolver), self.clock)
        reach = Reach(self.policies, opportunistic, self._verified, self.clock)
        self.remote = RemoteDelivery(
            self.settings, self.resolver, data.queue, self.outgoing, reach, opportunistic, self._verified, data.gateways.get
        )
        local = LocalDelivery(self.router, data.directory, placing, parcels, data.queue, data.trace)
        self.runner = QueueRunner(
            data.queue, self.remote, local.deliver, self.router.is_local, self.bouncer, data.trace,
            Schedule(list(self._retry), 5 * 86400.0), self.random, self.clock,
        )  # fmt: skip
        await self.runner.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.stop(0.5)
        await self.outgoing.stop()
        await self.data.close()

    async def add(self, address: str, quota: int | None = None) -> None:
        await self.data.directory.add_accounts([(parse_address(address), "{PLAIN}x", quota)], self.clock())

    async def send(
        self,
        *to: str | Recipient,
        text: bytes = TEXT,
        sender: str | None = "alice@a.test",
        account: str | None = "alice@a.test",
        ret: Return | None = None,
        envelope_id: str | None = None,
        smtputf8: bool = False,
        **more: Any,
    ) -> str:
        """Put a message into the queue as an acceptance does; its id."""
        recipients = tuple(one if isinstance(one, Recipient) else Recipient(parse_address(one)) for one in to)
        envelope = Envelope(
            new_id(self.clock(), self.random), parse_address(sender) if sender else None, recipients, self.clock(),
            ret, envelope_id, smtputf8, Body.EIGHTBIT, account, **more,
        )  # fmt: skip
        prepared = await self.queue.prepare(envelope, b"", Content.of(text))
        await self.queue.commit(prepared)
        return envelope.id

    async def settled(self, id: str, seconds: float = 60.0) -> Queued | None:
        """Wait until an attempt is over: what is still queued of the message, None when nothing is."""

        def over() -> bool:
            queued = self.queue.messages.get(id)
            return queued is None or (not queued.busy and queued.attempts > 0)

        await until(over, seconds)
        return self.queue.messages.get(id)

    async def again(self, id: str) -> Queued | None:
        """One more attempt at once."""
        queued = self.queue.messages[id]
        attempts = queued.attempts
        self.runner.kick(queued)
        await until(lambda: id not in self.queue.messages or (queued.attempts > attempts and not queued.busy))
        return self.queue.messages.get(id)

    async def inbox(self, address: str = "alice@a.test") -> list[bytes]:
        record = await self.data.directory.account(address)
        assert record is not None
        account = await self.data.mailboxes.account(self.data.directory.folder(record))
        mailbox = await account.open("INBOX")
        try:
            return list((await mailbox.read_many(list(mailbox.uids))).values())
        finally:
            mailbox.release()

    async def notices(self, count: int = 1) -> list[bytes]:
        """The notices that alice got, once there are so many."""
        end = asyncio.get_running_loop().time() + 60
        while len(found := await self.inbox()) < count and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.01)
        assert len(found) == count, found
        return found


class Again(Relay):
    """The same data once more."""

    async def __aenter__(self) -> Relay:
        self.add = _nothing  # type: ignore[method-assign]
        self.data.directory.add_domain = _nothing  # type: ignore[method-assign]
        return await super().__aenter__()


async def _nothing(*_: object) -> None:
    """There already."""


async def outcome(relay: Relay, id: str) -> str:
    """What the one recipient of a message is told last."""
    queued = await relay.settled(id)
    assert queued is not None
    return queued.states[0].reply


def asked(notify: Notify | None, address: str = "bob@b.test", original: str | None = None) -> Recipient:
    return Recipient(parse_address(address), notify, original)
