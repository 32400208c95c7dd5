"""Mail to other hosts, and everything that they may say or leave unsaid."""

import asyncio
import dataclasses
import ssl
from pathlib import Path

import pytest
import trustme

from mailstack.store.queue.queue import Queued
from tests.support.dnsserver import DnsServer
from tests.support.peer import EXTENSIONS, Act, Peer, Script, until
from tests.support.relay import PATIENT, TEXT, Again, Relay, outcome


async def test_taken(relay: Relay, peer: Peer) -> None:
    id = await relay.send("bob@b.test")
    assert await relay.settled(id) is None
    (message,) = peer.messages
    assert message.data == TEXT
    assert message.mail.startswith("MAIL FROM:<alice@a.test>")
    assert message.to == ["bob@b.test"]
    await until(lambda: not list(relay.queue.folder.iterdir()))
    assert await relay.inbox() == []


@pytest.mark.parametrize("size", ["\u00b2", "9" * 5000, "-1", "1e9", "x"])
async def test_a_size_that_is_no_number_is_no_limit(relay: Relay, peer: Peer, size: str) -> None:
    peer.play(Script({}, (*EXTENSIONS, f"SIZE {size}")))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.messages) == 1


# What a host says, step by step -----------------------------------------------------------------------------------------

STEPS = ["", "EHLO", "MAIL", "RCPT", "DATA", "."]
WAITS = dict(zip(STEPS, ("greeting", "command", "command", "command", "data_start", "data_end"), strict=True))


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", STEPS)
async def test_4xx_keeps_it_queued(relay: Relay, peer: Peer, step: str, pipelining: bool) -> None:
    answers = {step: "451 4.7.1 not now"} | ({"HELO": "451 4.7.1 not now"} if step == "EHLO" else {})
    extensions = EXTENSIONS if pipelining else EXTENSIONS[1:]
    peer.play(Script(answers, extensions))
    id = await relay.send("bob@b.test")
    queued = await relay.settled(id)
    assert queued is not None
    assert "not now" in queued.states[0].reply
    assert relay.clock() + 250 < queued.next_attempt < relay.clock() + 350
    answers.clear()
    assert await relay.again(id) is None
    assert [message.to for message in peer.messages] == [["bob@b.test"]]
    assert await relay.inbox() == []


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
async def test_5xx_comes_back(relay: Relay, peer: Peer, step: str, pipelining: bool) -> None:
    peer.play(Script({step: "550 5.7.1 go away"}, EXTENSIONS if pipelining else EXTENSIONS[1:]))
    id = await relay.send("bob@b.test")
    assert await relay.settled(id) is None
    (notice,) = await relay.notices()
    assert b"go away" in notice
    assert b"Status: 5.7.1" in notice
    assert b"Remote-MTA: dns; mail.b.test" in notice
    assert b"Subject: hello" in notice
    assert peer.messages == []


@pytest.mark.parametrize("step", ["", "EHLO"])
async def test_5xx_before_it_knows_the_message_is_for_now(relay: Relay, peer: Peer, step: str) -> None:
    peer.play(Script({step: "554 5.7.1 go away", "HELO": "554 5.7.1 go away"}))
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.4.1 ")


async def test_a_host_that_takes_no_mail_at_all(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"": "521 5.3.2 this host takes no mail"}))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert b"takes no mail" in (await relay.notices())[0]


async def test_old_hosts_know_only_helo(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"EHLO": "502 5.5.1 what?"}))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    (message,) = peer.messages
    assert message.mail == "MAIL FROM:<alice@a.test>"
    assert message.rcpt == ["RCPT TO:<bob@b.test>"]


async def test_some_of_several_recipients(relay: Relay, peer: Peer) -> None:
    answers: dict[str, str | Act] = {"RCPT TO:<no@": "550 5.1.1 nobody", "RCPT TO:<later@": "450 4.2.1 busy"}
    peer.play(Script(answers))
    id = await relay.send("yes@b.test", "no@b.test", "later@b.test")
    queued = await relay.settled(id)
    assert queued is not None
    assert [state.done for state in queued.states] == [True, True, False]
    assert [message.to for message in peer.messages] == [["yes@b.test"]]
    (notice,) = await relay.notices()
    assert b"no@b.test" in notice
    assert b"later@b.test" not in notice
    answers.clear()
    assert await relay.again(id) is None
    assert [message.to for message in peer.messages] == [["yes@b.test"], ["later@b.test"]]
    assert len(await relay.inbox()) == 1


async def test_several_recipients_of_a_domain_go_in_one_transaction(relay: Relay, peer: Peer) -> None:
    assert await relay.settled(await relay.send("one@b.test", "two@b.test", "three@c.test")) is None
    assert sorted(message.to for message in peer.messages) == [["one@b.test", "two@b.test"], ["three@c.test"]]


async def test_354_to_nobody_gets_an_empty_message(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"RCPT": "550 5.1.1 nobody", "DATA": "354 all the same", ".": "554 5.5.1 no recipients"}))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert b"5.1.1 nobody" in (await relay.notices())[0]
    assert peer.sessions[0].raw == b".\r\n"


async def test_a_strange_last_word_is_no_250(relay: Relay, peer: Peer) -> None:
    peer.play(Script({".": "354 go on"}))
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.5.0 ")


async def test_what_is_no_smtp(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"": "SSH-2.0-OpenSSH"}))
    id = await relay.send("bob@b.test")
    assert "no SMTP" in await outcome(relay, id)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "."])
async def test_421_ends_the_connection_and_its_words_are_kept(relay: Relay, peer: Peer, step: str) -> None:
    peer.play(Script({step: "421 4.3.2 closing down"}))
    id = await relay.send("bob@b.test")
    assert await outcome(relay, id) == "421 4.3.2 closing down"
    assert len(peer.sessions) == 1


async def test_5xx_and_hung_up_is_still_5xx(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"MAIL": "550 5.7.1 never", "RCPT": Act.CLOSE}))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert b"5.7.1 never" in (await relay.notices())[0]


async def test_5xx_and_a_reset_at_rset_is_still_5xx(relay: Relay, peer: Peer) -> None:
    peer.play(Script({"RCPT": "550 5.7.1 never", "RSET": Act.RESET}))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert b"5.7.1 never" in (await relay.notices())[0]


# Silence and resets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", list(Act))
@pytest.mark.parametrize("step", STEPS)
async def test_silence_and_resets_keep_it_queued(tmp_path: Path, dns: DnsServer, step: str, act: Act) -> None:
    quick = dataclasses.replace(PATIENT, **{WAITS[step]: 0.2}) if act is Act.HANG else PATIENT
    async with Peer(Script({step: act}), Script()) as peer, Relay(tmp_path, dns, peer, timeouts=quick) as relay:
        id = await relay.send("bob@b.test")
        queued = await relay.settled(id)
        relay.remote.use(dataclasses.replace(relay.settings, timeouts=PATIENT))
        assert queued is not None
        assert queued.states[0].reply.startswith("451 4.4.2 ")
        assert ("in time" in queued.states[0].reply) == (act is Act.HANG)
        assert len(peer.sessions) == 1
        assert await relay.again(id) is None
        # Only what went out whole before it broke may be there twice.
        assert len(peer.messages) == (2 if step == "." else 1)
        assert await relay.inbox() == []


async def test_a_host_that_stops_reading(tmp_path: Path, dns: DnsServer) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 deaf\r\n")
        for reply in (b"250 deaf\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            await reader.readline()
            writer.write(reply)
        await stop.wait()
        writer.close()

    stop = asyncio.Event()
    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    quick = dataclasses.replace(PATIENT, data_block=0.3)
    port = server.sockets[0].getsockname()[1]
    async with Relay(tmp_path, dns, port=port, timeouts=quick) as relay:
        id = await relay.send("bob@b.test", text=TEXT + b"x" * 70 + b"\r\n" * 10_000_000)
        assert "went away" in await outcome(relay, id)
        stop.set()
    server.close()


async def test_nobody_listens(tmp_path: Path, dns: DnsServer) -> None:
    async with Relay(tmp_path, dns, port=1) as relay:
        id = await relay.send("bob@b.test")
        assert (await outcome(relay, id)).startswith("451 4.4.1 connection to mail.b.test [127.0.0.1]")


# Finding the host -------------------------------------------------------------------------------------------------------


async def test_mx_by_preference_with_the_next_when_one_fails(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("d.test", MX=["20 second.d.test.", "10 first.d.test.", "5 dead.d.test.", "30 third.d.test."])
    dns.add("first.d.test", A=["127.0.0.1"])
    dns.add("second.d.test", A=["127.0.0.1"])
    dns.add("third.d.test", A=["127.0.0.1"])
    dns.add("dead.d.test", A=["127.0.0.9"])
    peer.play(Script({"": "421 4.3.2 full"}), Script({"RCPT": "450 4.2.1 busy"}))
    id = await relay.send("bob@d.test")
    await relay.settled(id)
    assert [session.commands[:1] for session in peer.sessions] == [[], ["EHLO mail.a.test"]]
    shown = await relay.data.trace.find(id)
    assert any(event["host"] == "second.d.test" for event in shown if event["event"] == "deferred")


async def test_no_mx_is_the_host_itself(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("plain.test", A=["127.0.0.1"])
    assert await relay.settled(await relay.send("bob@plain.test")) is None
    assert len(peer.messages) == 1


async def test_an_address_literal(relay: Relay, peer: Peer) -> None:
    assert await relay.settled(await relay.send("bob@[127.0.0.1]")) is None
    assert peer.messages[0].to == ["bob@[127.0.0.1]"]


async def test_null_mx(relay: Relay, dns: DnsServer) -> None:
    dns.add("null.test", MX=["0 ."], A=["127.0.0.1"])
    assert await relay.settled(await relay.send("bob@null.test")) is None
    assert b"Status: 5.1.10" in (await relay.notices())[0]


@pytest.mark.parametrize("where", ["domain", "host"])
async def test_cname(relay: Relay, peer: Peer, dns: DnsServer, where: str) -> None:
    if where == "domain":
        dns.add("alias.test", CNAME=["b.test."])
    else:
        dns.add("alias.test", MX=["10 other.test."])
        dns.add("other.test", CNAME=["mail.b.test."])
    assert await relay.settled(await relay.send("bob@alias.test")) is None
    assert peer.messages[0].to == ["bob@alias.test"]


async def test_mx_without_an_address(relay: Relay, dns: DnsServer) -> None:
    dns.add("lost.test", MX=["10 nowhere.test."])
    assert await relay.settled(await relay.send("bob@lost.test")) is None
    assert b"Status: 5.4.4" in (await relay.notices())[0]


async def test_one_mx_without_an_address(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("half.test", MX=["10 nowhere.test.", "20 mail.b.test."])
    assert await relay.settled(await relay.send("bob@half.test")) is None
    assert len(peer.messages) == 1


async def test_nxdomain_bounces(relay: Relay) -> None:
    assert await relay.settled(await relay.send("bob@nowhere.test")) is None
    assert b"Status: 5.1.2" in (await relay.notices())[0]


@pytest.mark.parametrize("kind", ["broken", "silent"])
@pytest.mark.parametrize("name", ["b.test", "mail.b.test"])
async def test_dns_trouble_is_for_now(relay: Relay, peer: Peer, dns: DnsServer, kind: str, name: str) -> None:
    getattr(dns, kind).add(name)
    if kind == "silent":
        relay.resolver._resolver.lifetime = 0.5
    id = await relay.send("bob@b.test")
    assert (await outcome(relay, id)).startswith("451 4.4.3 ")
    getattr(dns, kind).clear()
    relay.resolver._resolver.lifetime = 60.0
    assert await relay.again(id) is None
    assert len(peer.messages) == 1


async def test_own_name_in_the_mx_list_is_a_loop(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("loop.test", MX=["10 mail.a.test.", "20 mail.b.test."])
    assert await relay.settled(await relay.send("bob@loop.test")) is None
    assert b"Status: 5.4.6" in (await relay.notices())[0]
    assert peer.sessions == []


async def test_as_a_second_mx_mail_goes_to_the_first(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    dns.add("second.test", MX=["10 mail.b.test.", "20 MAIL.a.test.", "30 worse.test."])
    assert await relay.settled(await relay.send("bob@second.test")) is None
    assert len(peer.messages) == 1


# IPv6 -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("confirmed", [True, False])
async def test_ipv6_only_with_a_confirmed_ptr(tmp_path: Path, peer: Peer, dns: DnsServer, confirmed: bool) -> None:
    dns.add("mail.b.test", A=["127.0.0.1"], AAAA=["::1"])
    source = "2001:db8::25"
    ptr = ".".join(reversed("20010db8000000000000000000000025")) + ".ip6.arpa"
    dns.add(ptr, PTR=["mail.a.test."])
    dns.add("mail.a.test", AAAA=[source] if confirmed else ["2001:db8::99"])
    async with Relay(tmp_path, dns, peer, ipv6="auto", source=(source,)) as relay:
        assert await relay.remote._uses_ipv6() is confirmed
        assert await relay.resolver.addresses("mail.b.test", ipv6=confirmed) == (["::1"] if confirmed else []) + ["127.0.0.1"]
        # Where IPv6 fails (nothing has that source here), IPv4 is next.
        assert await relay.settled(await relay.send("bob@b.test")) is None
        assert len(peer.messages) == 1


async def test_without_an_address_to_send_from_no_ipv6(tmp_path: Path, peer: Peer, dns: DnsServer) -> None:
    async with Relay(tmp_path, dns, peer, ipv6="auto") as relay:
        assert await relay.remote._uses_ipv6() is False


async def test_the_source_address(tmp_path: Path, peer: Peer, dns: DnsServer) -> None:
    async with Relay(tmp_path, dns, peer, source=("127.0.0.1",)) as relay:
        assert await relay.settled(await relay.send("bob@b.test")) is None


# Connections ------------------------------------------------------------------------------------------------------------


async def test_a_connection_is_used_again(relay: Relay, peer: Peer) -> None:
    for _ in range(3):
        assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.sessions) == 1
    assert len(peer.messages) == 3


@pytest.mark.parametrize("answer", [Act.CLOSE, Act.RESET, "421 4.4.2 idle for too long", "421 bye"])
async def test_an_idle_connection_that_was_closed_says_nothing(relay: Relay, peer: Peer, answer: str | Act) -> None:
    peer.play(Script())
    assert await relay.settled(await relay.send("bob@b.test")) is None
    peer.scripts[0].answers["MAIL"] = answer
    peer.play(Script())
    # The open connection keeps its script, the next one gets another.
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.sessions) == 2
    assert len(peer.messages) == 2


async def test_a_connection_that_the_host_closes_after_each_message(relay: Relay, peer: Peer) -> None:
    peer.play(Script(only=1))
    for _ in range(3):
        assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.messages) == 3


@pytest.mark.parametrize("act", [Act.RESET, Act.HANG])
async def test_broken_after_the_final_dot_on_a_used_connection_waits(tmp_path: Path, dns: DnsServer, act: Act) -> None:
    """The host may have it: a second copy is for the schedule, not for at once."""
    script, limits = Script(), dataclasses.replace(PATIENT, data_end=0.5 if act is Act.HANG else 60.0)
    async with Peer(script) as peer, Relay(tmp_path, dns, peer, timeouts=limits) as relay:
        assert await relay.settled(await relay.send("bob@b.test")) is None
        script.answers["."] = act
        queued = await relay.settled(await relay.send("bob@b.test"))
        assert isinstance(queued, Queued)
        assert len(peer.messages) == 2
        assert len(peer.sessions) == 1


async def test_no_more_connections_to_a_destination_than_allowed(relay: Relay, peer: Peer) -> None:
    gate = asyncio.Event()
    peer.play(Script(gate=gate))
    ids = [await relay.send("bob@b.test") for _ in range(30)]
    await until(lambda: peer.open == 10)
    gate.set()
    for id in ids:
        assert await relay.settled(id) is None
    assert peer.most_open == 10
    assert len(peer.messages) == 30


async def test_a_slow_destination_does_not_delay_another(relay: Relay, peer: Peer, dns: DnsServer) -> None:
    """Even hundreds of messages to dozens of hosts that keep silent."""
    dns.add("fast.test", MX=["10 mail.b.test."])
    gate = asyncio.Event()
    peer.play(Script(gate=gate))
    for number in range(25):
        dns.add(f"slow{number}.test", MX=["10 mail.b.test."])
        for _ in range(10):
            await relay.send(f"x@slow{number}.test")
    await until(lambda: peer.open >= 100)
    peer.play(Script())
    assert await relay.settled(await relay.send("bob@fast.test")) is None
    assert ["bob@fast.test"] in [message.to for message in peer.messages]
    assert peer.open >= 100  # those that wait, wait still
    gate.set()


async def test_what_one_host_took_is_not_sent_again_because_another_is_slow(tmp_path: Path, dns: DnsServer, peer: Peer) -> None:
    """The server ends while the second host is still silent: after the start only that one is tried."""
    gate = asyncio.Event()
    peer.play(Script(), Script(gate=gate))
    async with Relay(tmp_path, dns, peer) as relay:
        id = await relay.send("bob@b.test", "carol@c.test")
        await until(lambda: len(peer.messages) == 1)
        fast = peer.messages[0].to[0]
        await until(lambda: any(state.done for state in relay.queue.messages[id].states))
        await until(lambda: len(peer.sessions) == 2)
    peer.play(Script())
    async with Peer() as second, Again(tmp_path, dns, second) as relay:
        await until(lambda: not relay.queue.messages)
        (message,) = second.messages
        assert message.to == [{"bob@b.test": "carol@c.test", "carol@c.test": "bob@b.test"}[fast]]


# TLS --------------------------------------------------------------------------------------------------------------------


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def broken_context() -> ssl.SSLContext:
    """No certificate, so that every handshake fails."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


async def test_starttls_with_a_certificate_of_nobody(relay: Relay, peer: Peer, authority: trustme.CA) -> None:
    peer.play(Script(tls=server_context(authority, "another.test")))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    (session,) = peer.sessions
    assert session.secure
    assert session.commands.count("EHLO mail.a.test") == 2
    assert len(session.messages) == 1


async def test_broken_tls_is_tried_again_in_plain(relay: Relay, peer: Peer) -> None:
    peer.play(Script(tls=broken_context()))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert [len(session.messages) for session in peer.sessions] == [0, 1]


@pytest.mark.parametrize("answer", ["454 4.7.0 no TLS today", "502 5.5.1 what?", Act.RESET, "421 4.7.0 no"])
async def test_refused_tls_is_tried_again_in_plain(relay: Relay, peer: Peer, authority: trustme.CA, answer: str | Act) -> None:
    peer.play(Script({"STARTTLS": answer}, tls=server_context(authority, "x.test")))
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.messages) == 1
    await until(lambda: peer.open <= 1)


async def test_words_before_the_handshake_are_nobodys(relay: Relay, peer: Peer, authority: trustme.CA) -> None:
    peer.play(Script({"STARTTLS": "220 go on\n250 SIZE 1"}, tls=server_context(authority, "x.test")), Script())
    assert await relay.settled(await relay.send("bob@b.test")) is None
    assert [len(session.messages) for session in peer.sessions] == [0, 1]


# Smarthost --------------------------------------------------------------------------------------------------------------


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("mechanism", ["AUTH PLAIN LOGIN", "AUTH LOGIN"])
async def test_smarthost_with_a_login(tmp_path: Path, dns: DnsServer, authority: trustme.CA, mechanism: str) -> None:
    script = Script(
        extensions=(*EXTENSIONS, mechanism), tls=server_context(authority, "smart.test"), login=("us@x.test", "s3cret+/=")
    )
    async with Peer(script) as peer:
        url = f"smtp://us%40x.test:s3cret%2B%2F%3D@smart.test:{peer.port}"
        async with Relay(tmp_path, dns, smarthost=url, verified=client_side(authority)) as relay:
            assert await relay.settled(await relay.send("bob@b.test", "x@nowhere.test")) is None
        (session,) = peer.sessions
        assert session.secure
        assert session.login == ("us@x.test", "s3cret+/=")
        assert session.messages[0].to == ["bob@b.test", "x@nowhere.test"]
        assert not any(command.startswith("AUTH") for command in session.commands[: session.commands.index("STARTTLS")])


async def test_smarthost_password_from_a_file(tmp_path: Path, dns: DnsServer, authority: trustme.CA) -> None:
    script = Script(extensions=(*EXTENSIONS, "AUTH PLAIN"), tls=server_context(authority, "smart.test"), login=("u", "p"))
    async with Peer(script) as peer:
        url = f"smtp://u@smart.test:{peer.port}"
        async with Relay(tmp_path, dns, smarthost=url, password="p", verified=client_side(authority)) as relay:
            assert await relay.settled(await relay.send("bob@b.test")) is None
        assert peer.sessions[0].login == ("u", "p")


async def test_smarthost_with_tls_from_the_first_byte(tmp_path: Path, dns: DnsServer, authority: trustme.CA) -> None:
    script = Script(extensions=(*EXTENSIONS, "AUTH PLAIN"), login=("u", "p"))
    async with ImplicitTls(server_context(authority, "smart.test"), script) as peer:
        url = f"smtps://u:p@smart.test:{peer.port}"
        async with Relay(tmp_path, dns, smarthost=url, verified=client_side(authority)) as relay:
            assert await relay.settled(await relay.send("bob@b.test")) is None
        assert peer.sessions[0].login == ("u", "p")


class ImplicitTls(Peer):
    def __init__(self, context: ssl.SSLContext, *scripts: Script) -> None:
        super().__init__(*scripts)
        self.context = context

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self


@pytest.mark.parametrize("way", ["no STARTTLS", "other name", "other authority", "implicit, other name", "broken TLS"])
async def test_a_password_never_leaves_without_a_proved_certificate(
    tmp_path: Path, dns: DnsServer, authority: trustme.CA, way: str
) -> None:
    names = ("other.test",) if "other name" in way else ("smart.test",)
    signer = trustme.CA() if way == "other authority" else authority
    context = broken_context() if way == "broken TLS" else server_context(signer, *names)
    script = Script(extensions=(*EXTENSIONS, "AUTH PLAIN LOGIN"), login=("u", "p"))
    if "implicit" not in way:
        script.tls = None if way == "no STARTTLS" else context
    async with ImplicitTls(context, script) if "implicit" in way else Peer(script) as peer:
        scheme = "smtps" if "implicit" in way else "smtp"
        url = f"{scheme}://u:p@smart.test:{peer.port}"
        async with Relay(tmp_path, dns, smarthost=url, verified=client_side(authority)) as relay:
            id = await relay.send("bob@b.test")
            assert (await outcome(relay, id))[0] == "4"
            assert id in relay.queue.messages
            assert await relay.inbox() == []
        assert peer.messages == []
        assert not any("AUTH" in command for command in peer.commands)


async def test_a_refused_login_keeps_mail_queued(tmp_path: Path, dns: DnsServer, authority: trustme.CA) -> None:
    script = Script(extensions=(*EXTENSIONS, "AUTH PLAIN"), tls=server_context(authority, "smart.test"), login=("u", "new"))
    async with Peer(script) as peer:
        url = f"smtp://u:old@smart.test:{peer.port}"
        async with Relay(tmp_path, dns, smarthost=url, verified=client_side(authority)) as relay:
            id = await relay.send("bob@b.test")
            assert "refused the login" in await outcome(relay, id)
            assert await relay.inbox() == []


async def test_smarthost_without_a_login(tmp_path: Path, dns: DnsServer, authority: trustme.CA) -> None:
    async with Peer(Script(tls=server_context(authority, "whatever.test"))) as peer:
        async with Relay(tmp_path, dns, smarthost=f"smtp://smart.test:{peer.port}") as relay:
            assert await relay.settled(await relay.send("bob@b.test")) is None
        assert peer.sessions[0].secure


async def test_smarthost_that_the_dns_does_not_know(tmp_path: Path, dns: DnsServer) -> None:
    async with Relay(tmp_path, dns, smarthost="smtp://gone.test:25") as relay:
        id = await relay.send("bob@b.test")
        assert (await outcome(relay, id)).startswith("451 4.4.3 ")


async def test_a_smarthost_with_two_addresses(tmp_path: Path, dns: DnsServer, peer: Peer) -> None:
    dns.add("smart.test", A=["127.0.0.9", "127.0.0.1"])
    async with Relay(tmp_path, dns, smarthost=f"smtp://smart.test:{peer.port}") as relay:
        assert await relay.settled(await relay.send("bob@b.test")) is None
    assert len(peer.messages) == 1
