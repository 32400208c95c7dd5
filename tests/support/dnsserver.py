"""A small real DNS server on loopback, UDP and TCP, in a thread."""

import asyncio
import threading

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.update


class DnsServer:
    """Records as {"b.test": {"MX": ["10 mx.b.test."]}, ...}; names in `broken` get SERVFAIL, names in `silent` no answer."""

    def __init__(self, records: dict[str, dict[str, list[str]]], address: str = "127.0.0.1", port: int = 0) -> None:
        self.records = {dns.name.from_text(name): kinds for name, kinds in records.items()}
        self.broken: set[str] = set()
        self.silent: set[str] = set()
        self.signed: set[str] = set()  # names whose answers a validating resolver would vouch for
        self.keys: dict[str, str] = {}  # TSIG keys with which records may be changed, by name
        self.ttl = 5
        self.address = address
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "DnsServer":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def add(self, name: str, **kinds: list[str]) -> None:
        self.records[dns.name.from_text(name)] = kinds

    async def _start(self) -> None:
        server = self

        class Datagrams(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
                answer = server.answer(data)
                if answer is not None:
                    self.transport.sendto(answer, address)  # type: ignore[attr-defined]

        while True:  # until a port is free for both
            transport, _ = await self._loop.create_datagram_endpoint(Datagrams, local_addr=(self.address, self.port))
            port = transport.get_extra_info("sockname")[1]
            try:
                self._server = await asyncio.start_server(self._tcp, self.address, port)
            except OSError:
                transport.close()
                if self.port:
                    raise
                continue
            self.port = port
            self._transport = transport
            return

    async def _stop(self) -> None:
        self._transport.close()
        self._server.close()

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = self.answer(await reader.readexactly(length))
        if answer is not None:
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    def update(self, query: dns.message.Message) -> bytes:
        """RFC 2136, without prerequisites; only with one of the keys."""
        assert isinstance(query, dns.update.UpdateMessage)
        response = dns.message.make_response(query)
        zone = query.zone[0].name
        kinds = self.records.get(zone, {})
        if not query.had_tsig:
            response.set_rcode(dns.rcode.REFUSED)
        elif "SOA" not in kinds:
            response.set_rcode(dns.rcode.NOTAUTH)
        elif any(not one.name.is_subdomain(zone) for one in query.update):
            response.set_rcode(dns.rcode.NOTZONE)
        else:
            for one in query.update:
                self._change(one)
        return response.to_wire()

    def _change(self, one: dns.rrset.RRset) -> None:
        kinds = self.records.setdefault(one.name, {})
        kind = dns.rdatatype.to_text(one.rdtype)
        values = {dns.rdata.from_text("IN", kind, text) for text in kinds.get(kind, [])}
        if one.deleting == dns.rdataclass.ANY:
            values = set()
        elif one.deleting == dns.rdataclass.NONE:
            values -= set(one)
        else:
            values |= set(one)
        kinds[kind] = [value.to_text() for value in values]
        if not kinds[kind]:
            del kinds[kind]
        if not kinds:
            del self.records[one.name]

    def answer(self, data: bytes) -> bytes | None:
        try:
            query = dns.message.from_wire(data, keyring=dns.tsigkeyring.from_text(self.keys))
        except (dns.message.UnknownTSIGKey, dns.tsig.BadSignature):
            query = dns.message.from_wire(data, keyring=False)
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.NOTAUTH)
            return response.to_wire()
        if query.opcode() == dns.opcode.UPDATE:
            return self.update(query)
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        if name in self.silent:
            return None
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        if name in self.signed:
            response.flags |= dns.flags.AD
        kinds = self.records.get(dns.name.from_text(name))
        if kinds is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        kind = dns.rdatatype.to_text(question.rdtype)
        chosen = kind if kind in kinds else "CNAME" if "CNAME" in kinds else None
        if chosen is not None:
            response.answer.append(dns.rrset.from_text_list(question.name, self.ttl, "IN", chosen, kinds[chosen]))
            if chosen == "CNAME" and kind != "CNAME":
                target = dns.name.from_text(kinds["CNAME"][0])
                more = self.records.get(target, {}).get(kind)
                if more:
                    response.answer.append(dns.rrset.from_text_list(target, self.ttl, "IN", kind, more))
        return response.to_wire()
