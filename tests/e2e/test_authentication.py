"""A running server judges where its mail comes from, says so in one field, and does what domains ask for."""

import smtplib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mailstack.delivery.signing import digested
from mailstack.mailauth.arc_seal import seal
from mailstack.mailauth.dkim import SigningKey, dns_record, generate, load, sign
from tests.support.dnsserver import DnsServer
from tests.support.server import Server

HERE = "mail.a.test"
CRLF = "\r\n"


class World:
    """A server, and the domains that write to it."""

    def __init__(self, folder: Path) -> None:
        self.keys = [load(generate(kind), "signed.test", kind) for kind in ("rsa", "ed25519")]
        records: dict[str, dict[str, list[str]]] = {
            f"{key.selector}._domainkey.signed.test": {"TXT": [dns_record(key)]} for key in self.keys
        }
        records |= {f"seal._domainkey.{name}.test": {"TXT": [dns_record(self.keys[0])]} for name in ("list", "evil")}
        records = {name: {"TXT": [_pieces(kinds["TXT"][0])]} for name, kinds in records.items()}
        records |= {
            "_dmarc.signed.test": {"TXT": ['"v=DMARC1; p=reject"']},
            "spf.test": {"TXT": ['"v=spf1 ip4:127.0.0.1 -all"']},
            "_dmarc.spf.test": {"TXT": ['"v=DMARC1; p=reject"']},
            "nobody.test": {"TXT": ['"v=spf1 -all"']},
            "_dmarc.quarantine.test": {"TXT": ['"v=DMARC1; p=quarantine"']},
            "_dmarc.testing.test": {"TXT": ['"v=DMARC1; p=quarantine; t=y"']},
            "_dmarc.a.test": {"TXT": ['"v=DMARC1; p=reject"']},
            "1.0.0.127.in-addr.arpa": {"PTR": ["client.spf.test."]},
            "client.spf.test": {"A": ["127.0.0.1"]},
        }
        self.dns = DnsServer(records).__enter__()
        self.dns.silent.add("silent.test")
        self.dns.broken.add("broken.test")
        self.dns.broken.add("k._domainkey.broken.signed.test")
        dns = f'[dns]\nnameservers = ["127.0.0.1:{self.dns.port}"]\n'
        self.server = Server(folder, settings=dns + '[authentication]\ntrusted_sealers = ["list.test"]\n')
        self.server.provision()
        self.server.start()

    def send(self, sender: str, header: str, body: str = "Hello\r\n", to: str = "alice@a.test", sign_it: bool = False) -> str:
        """The reply to the final dot."""
        data = f"{header.removesuffix(CRLF)}{CRLF}{CRLF}{body}".encode()
        if sign_it:
            data = signed(data, self.keys) + data
        with self.server.smtp() as client:
            client.ehlo("client.spf.test")
            client.mail(sender)
            client.rcpt(to)
            code, text = client.data(data)
        return f"{code} {text.decode()}"

    def newest(self, mailbox: str = "INBOX") -> bytes:
        with self.server.imap("alice") as reader:
            reader.select(mailbox)
            _, found = reader.fetch("*", "(BODY.PEEK[])")
        assert isinstance(found[0], tuple)
        return bytes(found[0][1])


def _pieces(record: str) -> str:
    """A TXT record in strings of at most 255 octets."""
    return " ".join(f'"{record[place : place + 250]}"' for place in range(0, len(record), 250))


def signed(data: bytes, keys: list[SigningKey]) -> bytes:
    header, digest = digested((data,))
    return sign(header, digest, keys, 1_700_000_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = World(tmp_path_factory.mktemp("world"))
    yield one
    one.server.stop()
    one.dns.__exit__()


def test_a_message_that_passes_says_so_once_and_on_top(world: World) -> None:
    forged = (
        f"Authentication-Results: {HERE.upper()};\r\n dmarc=pass header.from=bank.test\r\n"
        "Authentication-Results: elsewhere.test; spf=fail\r\n"
        f"authentication-results: (hidden) {HERE} 1;\r\n dkim=pass\r\n"
    )
    reply = world.send("carol@spf.test", f"{forged}From: Carol <carol@signed.test>\r\nSubject: all\r\n", sign_it=True)
    assert reply.startswith("250 ")
    text = world.newest()
    lines = text.partition(b"\r\n\r\n")[0].replace(b"\r\n\t", b" ").split(b"\r\n")
    assert lines[0].startswith(b"Return-Path:")
    signatures = "".join(
        f" dkim=pass header.d=signed.test header.s={name} header.a={name}-sha256 header.b={_shown(text, name)};"
        for name in ("rsa", "ed25519")
    )
    assert lines[1].decode() == (
        f"Authentication-Results: {HERE}; iprev=pass policy.iprev=127.0.0.1 (client.spf.test);"
        f" spf=pass smtp.mailfrom=carol@spf.test; spf=none smtp.helo=client.spf.test;{signatures}"
        " dmarc=pass (p=reject) header.from=signed.test"
    )
    assert lines[2].startswith(b"Received: from client.spf.test (client.spf.test [127.0.0.1])")
    assert text.lower().count(b"authentication-results:") == 2
    assert b"Authentication-Results: elsewhere.test; spf=fail" in text
    shown = world.server.run("trace", "carol@spf.test").stdout
    assert "authenticated" in shown
    assert "pass signed.test p=reject" in shown


def _shown(text: bytes, selector: str) -> str:
    field = next(part for part in text.split(b"DKIM-Signature:")[1:] if f"s={selector};".encode() in part)
    value = field.partition(b"\tb=")[2][:8].decode()
    return f'"{value}"' if "/" in value else value


def test_reject_is_obeyed_with_a_reason(world: World) -> None:
    reply = world.send("carol@nobody.test", "From: carol@signed.test\r\n")
    assert reply.startswith("550 5.7.1 ")
    assert "signed.test" in reply
    assert "postmaster@a.test" in reply
    assert world.send("", "From: carol@signed.test\r\n").startswith("550 5.7.1 ")
    # A second author hides nobody.
    assert world.send("carol@spf.test", "From: x@spf.test, carol@signed.test\r\n").startswith("550 5.7.1 ")
    # But everybody can ask why.
    assert world.send("c@nobody.test", "From: c@signed.test\r\n", to="postmaster@a.test").startswith("250 ")


def test_spf_alone_refuses_nobody(world: World) -> None:
    assert world.send("carol@nobody.test", "From: carol@nobody.test\r\nSubject: spf\r\n").startswith("250 ")
    text = world.newest()
    assert b"spf=fail smtp.mailfrom=carol@nobody.test" in text
    assert b"dmarc=none header.from=nobody.test" in text


def test_quarantine_goes_to_junk(world: World) -> None:
    assert world.send("c@nobody.test", "From: c@quarantine.test\r\nSubject: q\r\n").startswith("250 ")
    assert b"dmarc-quarantine" in world.newest("Junk")
    assert b"Subject: q\r\n" in world.newest("Junk")
    assert world.send("c@nobody.test", "From: c@testing.test\r\nSubject: t\r\n").startswith("250 ")
    text = world.newest()
    assert b"dmarc=fail (p=quarantine t=y)" in text
    assert b"X-Spam-Status: No" in text


def test_a_trusted_list_vouches_for_what_it_saw(world: World) -> None:
    text = b"From: carol@signed.test\r\nSubject: [list] hello\r\n\r\nbody\r\n"
    header, digest = digested((text,))
    for name, code in (("list", "250"), ("evil", "550")):
        key = replace(world.keys[0], domain=f"{name}.test", selector="seal")
        said = b" mx.list.test; dmarc=pass (p=reject) header.from=signed.test; arc=none"
        sealed = seal(header, digest, key, 1_700_000_000, [said]).decode() + text.decode()
        reply = world.send(f"bounce@{name}.test", *sealed.split("\r\n\r\n"))
        assert reply.startswith(f"{code} "), reply
    assert b"arc=pass (i=1)" in world.newest()
    notes = [event["note"] for event in world.server.events("message.authenticated")]
    assert "list.test saw it pass, and is trusted" in notes


def test_a_domain_whose_dns_is_broken_loses_nothing(world: World) -> None:
    assert world.send("c@broken.test", "From: c@broken.test\r\nSubject: b\r\n").startswith("250 ")
    assert b"spf=temperror" in world.newest()


def test_programs_of_this_machine_write_in_its_name(world: World) -> None:
    assert world.send("root@a.test", "From: root@a.test\r\nSubject: cron\r\n").startswith("250 ")


def test_submission_is_not_judged(world: World) -> None:
    with world.server.submission("alice") as client:
        client.sendmail("alice@a.test", ["alice@a.test"], b"From: alice@a.test\r\nSubject: mine\r\n\r\nx\r\n")
    assert b"Authentication-Results" not in world.newest()


def test_smtp_library_is_told(world: World) -> None:
    with world.server.smtp() as client, pytest.raises(smtplib.SMTPDataError, match="p=reject"):
        client.sendmail("c@nobody.test", ["alice@a.test"], b"From: c@signed.test\r\n\r\nx\r\n")
