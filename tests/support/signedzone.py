"""A DNS zone that is signed with DNSSEC, its own name server, and Debian's unbound, which validates it."""

import asyncio
import shutil
import socket
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  qname-minimisation: no
  module-config: "validator iterator"
  trust-anchor: "{anchor}"
  local-zone: "test." nodefault
  chroot: ""
  username: ""
  pidfile: ""
  directory: "{folder}"
  use-syslog: no
  logfile: "{folder}/unbound.log"
stub-zone:
  name: "{zone}"
  stub-addr: 127.0.0.1@{authority}
"""


class SignedZone:
    """`with`: records are signed and served; `port` is unbound's. `spoilt`: names whose signatures are left out."""

    def __init__(self, folder: Path, name: str, records: list[tuple[str, str, str]]) -> None:
        if shutil.which("unbound") is None:
            pytest.skip("unbound is not installed (make test-clients installs it)")
        self.folder = folder
        self.spoilt: set[str] = set()
        self._origin = dns.name.from_text(name)
        text = "@ 60 IN SOA ns hostmaster 1 3600 600 86400 60\n@ 60 IN NS ns\nns 60 IN A 127.0.0.1\n"
        text += "".join(f"{one} 60 IN {kind} {value}\n" for one, kind, value in records)
        self._zone = dns.zone.from_text(text, self._origin, relativize=False)
        private = ec.generate_private_key(ec.SECP256R1())
        key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
        now = datetime.now(UTC)
        with self._zone.writer() as transaction:
            dns.dnssec.sign_zone(
                self._zone,
                transaction,
                keys=[(private, key)],
                inception=now - timedelta(hours=1),
                lifetime=86400,
                dnskey_ttl=60,
            )
        self._anchor = f"{name}. DS {dns.dnssec.make_ds(self._origin, key, 'SHA256')}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "SignedZone":
        self._thread.start()
        authority = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result(10)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        path = self.folder / "unbound.conf"
        path.write_text(
            UNBOUND.format(port=self.port, anchor=self._anchor, folder=self.folder, zone=self._origin, authority=authority)
        )
        self._process = subprocess.Popen(
            ["unbound", "-d", "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
        )
        for _ in range(200):
            try:
                dns.query.udp(dns.message.make_query(self._origin, "SOA"), "127.0.0.1", 0.3, self.port)
                return self
            except (dns.exception.DNSException, OSError):
                assert self._process.poll() is None, "unbound ended"
        raise TimeoutError("unbound does not answer")

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._loop.call_soon_threadsafe(self._transport.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _serve(self) -> int:
        zone = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
                self.transport.sendto(zone.answer(data), address)  # type: ignore[attr-defined]

        self._transport, _ = await self._loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def answer(self, data: bytes) -> bytes:
        query = dns.message.from_wire(data)
        question = query.question[0]
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA
        found = self._sets(question.name, question.rdtype)
        if question.name.to_text().rstrip(".").lower() in self.spoilt:
            found = [one for one in found if one.rdtype != dns.rdatatype.RRSIG]
        if found:
            response.answer += found
            return response.to_wire(max_size=4000)
        response.authority += self._sets(self._origin, dns.rdatatype.SOA)
        if self._zone.get_node(question.name) is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            for name in self._zone.nodes:  # a small zone: all its denials
                response.authority += self._sets(name, dns.rdatatype.NSEC)
        else:
            response.authority += self._sets(question.name, dns.rdatatype.NSEC)
        return response.to_wire(max_size=4000)

    def _sets(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> list[dns.rrset.RRset]:
        """The set, and its signature."""
        found = []
        for rdtype, covers in ((kind, dns.rdatatype.NONE), (dns.rdatatype.RRSIG, kind)):
            one = self._zone.get_rdataset(name, rdtype, covers)
            if one is not None:
                made = dns.rrset.RRset(name, one.rdclass, one.rdtype, one.covers)
                made.update(one)
                found.append(made)
        return found
