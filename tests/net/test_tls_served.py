"""Which certificate a handshake gets: by name, by protocol, before and after a change; and what a session keeps."""

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from mailstack.net.challenge import IDENTIFIER, challenge_context
from mailstack.net.handshake import Listener, shown
from mailstack.net.tls import Certificates, Chain, TlsEnd, TlsProblem, names_of
from mailstack.net.tls_layer import TlsLayer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def chain(authority: trustme.CA, folder: Path, *names: str) -> Chain:
    path = folder / f"{names[0].replace('*', 'any')}.pem"
    authority.issue_cert(*names).private_key_and_cert_chain_pem.write_to_path(path)
    return Chain.load(path, path)


class Echo(asyncio.Protocol):
    ends = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.end = TlsEnd.of(transport)

    def data_received(self, data: bytes) -> None:
        assert self.end is not None
        self.transport.write(data + (self.end.end_point or b""))  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[Listener]:
    server = await asyncio.get_running_loop().create_server(lambda: TlsLayer(Echo(), context), "127.0.0.1", 0)
    yield Listener("https", "127.0.0.1", server.sockets[0].getsockname()[1], tls=True, proxied=False)
    server.close()


async def names(listener: Listener, name: str | None) -> tuple[str, ...]:
    return names_of(x509.load_der_x509_certificate(await shown(listener, name)))


async def test_each_name_gets_its_own(authority: trustme.CA, tmp_path: Path) -> None:
    first, second, third = (chain(authority, tmp_path, *one) for one in (("a.test",), ("b.test", "c.test"), ("*.d.test",)))
    certificates = Certificates([first, second, third])
    for context in (certificates.context, certificates.people, certificates.web):
        async with serving(context) as listener:
            found = {
                name: await names(listener, name) for name in ("a.test", "C.Test", "x.d.test", "y.x.d.test", "z.test", None)
            }
        assert found == {
            "a.test": ("a.test",), "C.Test": ("b.test", "c.test"), "x.d.test": ("*.d.test",),
            "y.x.d.test": ("a.test",), "z.test": ("a.test",), None: ("a.test",),
        }  # fmt: skip


async def test_a_session_lives_on_over_a_change(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([chain(authority, tmp_path, "a.test")])
    before = certificates.chains.all[0]
    async with serving(certificates.people) as listener:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        authority.configure_trust(context)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname="a.test")
        certificates.use([chain(authority, tmp_path, "a.test")])
        after = certificates.chains.all[0]
        assert x509.load_der_x509_certificate(await shown(listener, "a.test")) == after.leaf != before.leaf
        writer.write(b"still there? ")
        # What the session is bound to is the certificate that it saw.
        assert await reader.readexactly(13 + 32) == b"still there? " + before.leaf.fingerprint(SHA256())
        writer.close()


async def test_a_challenge_is_shown_to_who_asks_for_it_alone(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([chain(authority, tmp_path, "a.test", "b.test")])
    certificates.challenge("b.test", challenge_context("b.test", "token.thumb", tmp_path, datetime.datetime.now(datetime.UTC)))
    assert [path.name for path in tmp_path.iterdir()] == ["a.test.pem"]

    async def ask(listener: Listener, name: str, protocols: list[str]) -> tuple[x509.Certificate, str | None, bytes]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(protocols)
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, ssl=context, server_hostname=name)
        end = writer.get_extra_info("ssl_object")
        found, protocol = x509.load_der_x509_certificate(end.getpeercert(True)), end.selected_alpn_protocol()
        writer.write(b"x")
        data = b""
        with contextlib.suppress(ConnectionError):
            data = await reader.read(1)
        writer.close()
        return found, protocol, data

    async with serving(certificates.web) as listener:
        found, protocol, data = await ask(listener, "b.test", ["acme-tls/1"])
        assert (names_of(found), protocol, data) == (("b.test",), "acme-tls/1", b"")
        extension = found.extensions.get_extension_for_oid(IDENTIFIER)
        assert extension.critical
        for name, protocols in (("b.test", ["http/1.1"]), ("b.test", ["acme-tls/1", "http/1.1"]), ("a.test", ["acme-tls/1"])):
            found, protocol, data = await ask(listener, name, protocols)
            assert (names_of(found), protocol, data) == (("a.test", "b.test"), None, b"x")
        certificates.challenge("b.test", None)
        assert names_of((await ask(listener, "b.test", ["acme-tls/1"]))[0]) == ("a.test", "b.test")
    async with serving(certificates.context) as listener:
        assert await names(listener, "b.test") == ("a.test", "b.test")


async def test_a_hello_in_pieces(authority: trustme.CA, tmp_path: Path) -> None:
    certificates = Certificates([chain(authority, tmp_path, "a.test")])
    certificates.challenge("b.test", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing, server_hostname="a.test")
    async with serving(certificates.web) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        while True:
            try:
                end.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for place in range(0, len(data), 100):
                    writer.write(data[place : place + 100])
                    await asyncio.sleep(0)
                incoming.write(await reader.read(65536))
        writer.close()
    assert names_of(x509.load_der_x509_certificate(end.getpeercert(True) or b"")) == ("a.test",)


def test_a_pair_that_is_none(authority: trustme.CA, tmp_path: Path) -> None:
    one, other = tmp_path / "one.pem", tmp_path / "other.key"
    issued = authority.issue_cert("a.test")
    issued.cert_chain_pems[0].write_to_path(one)
    authority.issue_cert("a.test").private_key_pem.write_to_path(other)
    with pytest.raises(TlsProblem, match="does not belong"):
        Chain.load(one, other)
    other.write_bytes(issued.private_key_pem.bytes()[:-40])
    with pytest.raises(TlsProblem):
        Chain.load(one, other)
