"""What is asked outside: DNS lists of a real server, rspamd and clamd as they answer, and as they should not."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

import pytest

from mailstack.mailauth.dnslist import parse_list
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.net.dns import Resolver
from mailstack.policy.spam.lists import Lists
from mailstack.policy.spam.outside import Opinion
from mailstack.policy.spam.scanners import Clamd, Rspamd
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Defer, Reject
from mailstack.store.content import Content
from tests.support.dnsserver import DnsServer

ANSWER = (
    b'{"score": 9.0, "action": "add header", "thresholds": {"add header": 6.0}, '
    b'"symbols": {"A": {"score": 8.0}, "B": {"score": 1.0}, "C": {"score": 0.0}}}'
)


def test_lists_of_a_real_server() -> None:
    records = {
        "7.2.0.192.bl.test": {"A": ["127.0.0.2", "127.0.0.4"]},
        "7.2.0.192.refusing.test": {"A": ["127.255.255.254"]},
        "far.example.dbl.test": {"A": ["127.0.1.2"]},
    }
    zones = [parse_list(text) for text in ("bl.test/127.0.0.4 3", "refusing.test 9", "broken.test 9", "empty.test 9")]

    async def ask(port: int) -> list[str]:
        lists = Lists(Resolver([f"127.0.0.1:{port}"]))
        domains = ["near.example", "Far.Example", "far.example", "no domain"]
        return [one.text for one in await lists.ask("192.0.2.7", zones, domains, [parse_list("dbl.test 2")])]

    with DnsServer(records) as dns:
        dns.broken.add("7.2.0.192.broken.test")
        found = asyncio.run(ask(dns.port))
    assert found == ["192.0.2.7 is on bl.test", "far.example is on dbl.test"]


@contextlib.asynccontextmanager
async def answering(answer: bytes, until: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that reads up to something, and then says one thing; nothing is: never."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            got.append(await reader.readuntil(until))
        if answer:
            writer.write(answer)
            await writer.drain()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], got
    finally:
        server.close()


def transaction() -> Transaction:
    one = Transaction("id0", "192.0.2.7", "far\r\nEvil: yes", "ESMTP", None, None, 0.0, parse_address("x@far.example"))
    one.recipients = [(Recipient(parse_address("alice@a.test")), ())]
    return one


def http(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.parametrize(
    ("answer", "weight", "text"),
    [
        (http(ANSWER), 7.5, "9 of 6, add header: A 8, B 1"),
        (http(ANSWER.replace(b"9.0", b"1e9")), 15.0, "1e+09 of 6, add header: A 8, B 1"),
        (http(b"{}"), 0.0, "no answer: not an answer of rspamd"),
        (http(b"[1]"), 0.0, "no answer: not an answer of rspamd"),
        (http(b"nonsense"), 0.0, "no answer: not an answer of rspamd"),
        (http(b"", b"500 No"), 0.0, "no answer: status 500"),
        (b"no http\r\n\r\n", 0.0, "no answer: not an answer of HTTP"),
        (b"", 0.0, "no answer: it took too long"),
    ],
)
def test_rspamd(answer: bytes, weight: float, text: str) -> None:
    async def ask() -> tuple[Opinion, bytes]:
        async with answering(answer, b"body\r\n") as (port, got):
            judge = Rspamd(f"http://127.0.0.1:{port}", ssl.create_default_context(), 5.0, 20.0 if answer else 0.5)
            return await judge.ask(transaction(), Content.of(b"Subject: x\r\n\r\nbody\r\n")), b"".join(got)

    opinion, asked = asyncio.run(ask())
    (found,) = opinion.findings
    assert (found.rule, found.weight, found.text) == ("rspamd", weight, text)
    assert opinion.verdict is None
    if not answer:
        return
    assert asked.startswith(b"POST /checkv2 HTTP/1.1\r\n")
    assert b"\r\nRcpt: alice@a.test\r\n" in asked
    assert b"\r\nHelo: far??Evil: yes\r\n" in asked


@pytest.mark.parametrize(
    ("answer", "defers", "verdict"),
    [
        (b"stream: OK\n", True, None),
        (b"stream: Some.Virus FOUND\n", False, Reject),
        (b"INSTREAM size limit exceeded. ERROR\n", False, None),
        (b"INSTREAM size limit exceeded. ERROR\n", True, Defer),
        (b"nonsense\n", True, Defer),
        (b"", True, Defer),
        (b"", False, None),
    ],
)
def test_clamd(answer: bytes, defers: bool, verdict: type | None) -> None:
    async def ask() -> Opinion:
        async with answering(answer, b"\0\0\0\0") as (port, _):
            return await Clamd(f"127.0.0.1:{port}", 20.0 if answer else 0.5, defers).ask(
                transaction(), Content.of(b"Subject: x\r\n\r\nbody\r\n")
            )

    opinion = asyncio.run(ask())
    assert (type(opinion.verdict) if opinion.verdict is not None else None) is verdict
    if isinstance(opinion.verdict, Reject):
        assert "Some.Virus" in opinion.verdict.reply.text
        assert not opinion.verdict.kept
    assert [one.weight for one in opinion.findings] == [0.0]


def test_nobody_there() -> None:
    async def ask() -> list[Opinion]:
        judges = [Rspamd("http://127.0.0.1:1", ssl.create_default_context(), 5.0, 1.0), Clamd("127.0.0.1:1", 1.0, False)]
        return [await one.ask(transaction(), Content.of(b"x")) for one in judges]

    assert all(one.findings[0].text.startswith("no answer") and one.verdict is None for one in asyncio.run(ask()))
