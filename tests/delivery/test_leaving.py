"""One click takes a member off a list (RFC 8058): each has a link of its own, which a signature of the list's domain covers."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mailstack.delivery.signing import make_keys
from mailstack.mailauth.dkim import dns_record
from mailstack.message.errors import SyntaxProblem
from mailstack.message.header import every, first, split_header
from mailstack.message.leaving import make, read
from mailstack.policy.leaving import Leaving
from mailstack.store.users.mailings import Mailing, Posting
from mailstack.web.console.templates import Templates
from mailstack.web.leaving import LeavingPages
from mailstack.web.server import WebServer
from mailstack.web.site import build
from tests.delivery.test_accept import BODY, accept
from tests.support.dnsserver import DnsServer
from tests.support.judging import judged
from tests.support.peer import Peer, until
from tests.support.relay import Relay
from tests.support.signatures import verified

LIST = Mailing("friends@a.test", Posting.ANYONE)
MEMBERS = ["bob@a.test", "x@b.test", "y@b.test"]


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        await relay.data.directory.add_alias("friends@a.test", MEMBERS)
        await relay.data.directory.set_mailing(LIST)
        relay.acceptor._parcels._leaving = Leaving(relay.data.directory, lambda: "https://mail.a.test")
        yield relay


@contextlib.asynccontextmanager
async def pages(relay: Relay) -> AsyncIterator[int]:
    leaving = Leaving(relay.data.directory, lambda: None)
    templates = Templates(hostname="mail.a.test", version="1", asset=lambda name: name)
    web = WebServer(build(LeavingPages(leaving, templates).routes()))
    with socket.create_server(("127.0.0.1", 0)) as one:
        await web.listen([one], None)
        yield one.getsockname()[1]
        await web.stop(1)


async def ask(port: int, link: str, method: str = "GET", body: bytes = b"") -> tuple[int, str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kind = "multipart/form-data; boundary=x" if body.startswith(b"--x") else "application/x-www-form-urlencoded"
    fields = f"Host: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close"
    writer.write(f"{method} {urlsplit(link).path} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    head, _, text = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), text


async def members(relay: Relay) -> list[str]:
    return sorted((await relay.data.directory.entry("friends@a.test")).targets)


def link_of(message: bytes) -> str:
    header, _ = split_header(message)
    assert first(header, b"list-unsubscribe-post") == b"List-Unsubscribe=One-Click"
    assert len(every(header, b"list-unsubscribe")) == 1
    return (first(header, b"list-unsubscribe") or b"").decode().strip("<>")


async def test_each_member_has_a_link_that_is_signed(here: Relay, peer: Peer) -> None:
    keys = make_keys(here.data.path / "dkim", "a.test", "2026m11")
    here.signer.forget()
    # From another host, and by somebody here.
    for sender, account in (("far@far.test", None), ("alice@a.test", "alice@a.test")):
        before = {id(message) for message in peer.messages}
        assert (await accept(here, "friends@a.test", sender=sender, account=account)).positive
        await until(lambda: not here.queue.messages)
        sent = {message.to[0]: message.data for message in peer.messages if id(message) not in before}
        assert set(sent) == {"x@b.test", "y@b.test"}
        links = {member: link_of(data) for member, data in sent.items()} | {
            "bob@a.test": link_of((await here.inbox("bob@a.test"))[-1])
        }
        assert len(set(links.values())) == 3
        assert all(link.startswith("https://mail.a.test/leave/") for link in links.values())
        records = {f"{key.selector}._domainkey.a.test": dns_record(key) for key in keys}
        for data in sent.values():
            signature = first(split_header(data)[0], b"dkim-signature") or b""
            assert b"list-unsubscribe:list-unsubscribe-post" in b"".join(signature.split())
            assert all(verified(data, records))
    async with pages(here) as port:
        link = links["x@b.test"]
        status, page = await ask(port, link)
        assert (status, "x@b.test" in page, "<button>" in page) == (200, True, True)
        assert await members(here) == MEMBERS
        assert (await ask(port, link, "POST", b"nothing"))[0] == 400
        assert (await ask(port, link, "POST", b"x" * 5000))[0] == 413
        assert await members(here) == MEMBERS
        assert (await ask(port, link, "POST", b"List-Unsubscribe=One-Click"))[0] == 200
        assert await members(here) == ["bob@a.test", "y@b.test"]
        assert (await ask(port, link, "POST", b"List-Unsubscribe=One-Click"))[0] == 200  # once more is no mistake
        form = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
        assert (await ask(port, links["bob@a.test"], "POST", form))[0] == 200
        assert await members(here) == ["y@b.test"]
        for bad in (link[:-1] + ("A" if link[-1] != "A" else "B"), "/leave/x", "/leave/%00", "/leave/" + "A" * 3000):
            assert (await ask(port, bad))[0] == 404
            assert (await ask(port, bad, "POST", b"List-Unsubscribe=One-Click"))[0] == 404
    assert await members(here) == ["y@b.test"]


async def test_a_seal_stands_above_the_signature(here: Relay) -> None:
    keys = make_keys(here.data.path / "dkim", "a.test", "2026m11")
    here.signer.forget()
    records = {f"{key.selector}._domainkey.a.test": dns_record(key) for key in keys}
    results = b"Authentication-Results: mail.a.test; spf=pass smtp.mailfrom=x@far.test; arc=none\r\n"
    data = b"List-Unsubscribe: <https://x.test/>\r\n" + results + BODY
    data = here.signer.vouched((data,), "a.test", int(here.clock()), vouching="a.test") + data
    assert data.startswith(b"ARC-Seal: i=1;")
    assert all(verified(data, records))
    assert judged(data, records, here.clock())[1].result == "pass"
    assert here.signer.vouched((data,), "b.test", 0, vouching=None) == b""


async def test_who_has_no_link(here: Relay, peer: Peer) -> None:
    directory = here.data.directory
    # A member that is a list: its members would take it out.
    await directory.add_alias("all@a.test", ["friends@a.test", "z@b.test"])
    await directory.set_mailing(Mailing("all@a.test", Posting.ANYONE))
    leaving = Leaving(directory, lambda: "https://mail.a.test")
    outer = Mailing("all@a.test")
    assert await leaving.link(outer, "friends@a.test") is None
    assert await leaving.link(outer, "z@b.test") is not None
    # The owner's own link counts; without pages there is none, nor where it would be too long.
    assert await leaving.link(Mailing("all@a.test", unsubscribe="https://x.test/"), "z@b.test") is None
    for web in (None, "http://mail.a.test"):
        assert await Leaving(directory, lambda web=web: web).link(outer, "z@b.test") is None  # type: ignore[misc]
    assert await leaving.link(outer, "z" * 600 + "@b.test") is None
    await directory.set_mailing(Mailing("friends@a.test", Posting.ANYONE, unsubscribe="mailto:leave@a.test"))
    assert (await accept(here, "friends@a.test")).positive
    await until(lambda: not here.queue.messages)
    (message,) = peer.messages
    header, _ = split_header(message.data)
    assert first(header, b"list-unsubscribe") == b"<mailto:leave@a.test>"
    assert first(header, b"list-unsubscribe-post") is None
    assert message.to == ["x@b.test", "y@b.test"]


def test_tokens_are_nobody_elses_to_make() -> None:
    token = make("friends@a.test", "ü@b.test", "secret")
    assert read(token, "secret") == ("friends@a.test", "ü@b.test")
    for bad, secret in (
        (token, "other"),
        (token[:-1], "secret"),
        ("", "secret"),
        ("ä", "secret"),
        ("=" * 9, "secret"),
        ("A" * 22, "secret"),
    ):
        with pytest.raises(SyntaxProblem):
            read(bad, secret)
