"""What scripts do besides sorting: answers, refusals, notices, duplicates, changed headers, flags."""

import re
from collections.abc import AsyncIterator, Mapping
from email import message_from_bytes
from pathlib import Path

import pytest

from mailstack.delivery.accept import NONE
from mailstack.mailauth.results import Authentication, Iprev, Result
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient, new_id
from mailstack.message.flag import Flags
from mailstack.policy.judgement import Finding, Judgement, evidence
from mailstack.policy.sending import SendingRules
from mailstack.policy.signs import SignSettings
from mailstack.policy.transaction import Transaction
from mailstack.store.content import Content
from mailstack.store.users.sending import Allowance
from mailstack.wire.smtp import MailParameters, Reply
from tests.delivery.test_plan import account_of, stored
from tests.delivery.test_rules import use
from tests.support.dnsserver import DnsServer
from tests.support.peer import Peer, until
from tests.support.relay import Relay

BODY = b"From: far@far.test\r\nTo: alice@a.test\r\nSubject: hello\r\nMessage-ID: <1@far.test>\r\n\r\nbody\r\n"


@pytest.fixture
async def here(tmp_path: Path, dns: DnsServer, peer: Peer) -> AsyncIterator[Relay]:
    dns.add("far.test", MX=["10 mail.b.test."])
    async with Relay(tmp_path, dns, peer) as relay:
        await relay.add("bob@a.test")
        yield relay


async def take(
    relay: Relay,
    *to: str,
    body: bytes = BODY,
    sender: str | None = "far@far.test",
    authentication: Authentication | None = None,
    judgements: Mapping[str, Judgement] = NONE,
) -> Reply:
    transaction = Transaction(
        id=new_id(relay.clock(), relay.random), peer="127.0.0.1", helo="x", protocol="ESMTP", tls=None, account=None,
        received=relay.clock(), sender=parse_address(sender) if sender else None, parameters=MailParameters(),
        authentication=authentication,
    )  # fmt: skip
    for text in to or ("alice@a.test",):
        address = parse_address(text)
        transaction.recipients.append((Recipient(address), await relay.router.route(address)))
    content = Content(relay.data.path / "spool")
    content.write(body)
    reply = await relay.acceptor.accept(transaction, content, b"Received: from x\r\n", judgements)
    content.close()
    await until(lambda: not relay.queue.messages)
    return reply


async def test_vacation_answers_once_and_again_after_its_days(here: Relay, peer: Peer) -> None:
    await use(here, 'require "vacation"; vacation :days 7 :subject "Bin weg: ü" "Bis Montag,\n\u00fcbermorgen.";')
    for _ in range(3):
        assert (await take(here)).positive
    (answer,) = peer.messages
    assert (answer.mail.split()[1], answer.to) == ("FROM:<>", ["far@far.test"])
    message = message_from_bytes(answer.data)
    assert message["From"] == "alice@a.test"
    assert message["To"] == "far@far.test"
    assert message["In-Reply-To"] == message["References"] == "<1@far.test>"
    assert message["Auto-Submitted"] == "auto-replied (vacation)"
    assert message.get_payload(decode=True).decode().split() == ["Bis", "Montag,", "\u00fcbermorgen."]  # type: ignore[union-attr]
    assert len(await here.inbox()) == 3
    here.data.scripts.forget()
    here.clock.now += 8 * 86400
    assert (await take(here)).positive
    assert len(peer.messages) == 2


QUIET = [
    (b"List-Id: <x>", "far@far.test"),
    (b"Precedence: bulk", "far@far.test"),
    (b"Auto-Submitted: auto-replied", "far@far.test"),
    (b"X: y", "far-request@far.test"),
    (b"X: y", "no-reply@far.test"),
    (b"X: y", "mailer-daemon@far.test"),
    (b"X: y", "alice@a.test"),
    (b"X: y", None),
]


async def test_vacation_is_silent_to_lists_programs_bounces_and_itself(here: Relay, peer: Peer) -> None:
    await use(here, 'require "vacation"; vacation "away";')
    for field, sender in QUIET:
        assert (await take(here, body=field + b"\r\n" + BODY, sender=sender)).positive
        assert peer.messages == [], (field, sender)
    assert len(await here.inbox()) == len(QUIET)


async def test_vacation_knows_the_aliases(here: Relay, peer: Peer) -> None:
    await here.data.directory.add_alias("info@a.test", ["alice@a.test"])
    await use(here, 'require "vacation"; vacation :mime "Content-Type: text/html; charset=utf-8\n\n<p>\u00fc</p>";')
    assert (await take(here, "info@a.test", body=BODY.replace(b"alice@", b"info@"))).positive
    (answer,) = peer.messages
    message = message_from_bytes(answer.data)
    assert message["From"] == "info@a.test"
    assert message.get_content_type() == "text/html"
    assert message.get_payload(decode=True).decode().strip() == "<p>\u00fc</p>"  # type: ignore[union-attr]


async def test_reject_and_ereject(here: Relay, peer: Peer) -> None:
    for word in ("reject", "ereject"):
        await use(here, f'require "{word}"; {word} "go away";')
        reply = await take(here)
        assert (reply.code, reply.enhanced, reply.text) == (550, "5.7.1", "go away")
    assert (await take(here, "alice@a.test", "bob@a.test")).positive
    await until(lambda: len(peer.messages) == 1)
    assert b"go away" in peer.messages[0].data
    assert await here.inbox() == []


async def test_notify_tells_by_mail(here: Relay, peer: Peer) -> None:
    await use(here, 'require "enotify"; notify :importance "1" :message "New: hello" "mailto:phone@b.test?X-Tag=1";')
    assert (await take(here)).positive
    (notice,) = peer.messages
    message = message_from_bytes(notice.data)
    assert (notice.to, message["Subject"], message["From"]) == (["phone@b.test"], "New: hello", "alice@a.test")
    assert message["Auto-Submitted"] == 'auto-notified; owner-email="alice@a.test"'
    assert message["X-Priority"].startswith("1")
    assert len(await here.inbox()) == 1
    # What a program sent is not told of.
    assert (await take(here, body=b"Auto-Submitted: auto-generated\r\n" + BODY)).positive
    assert len(peer.messages) == 1


async def test_duplicates_are_known_once_they_are_delivered(here: Relay) -> None:
    await use(here, 'require ["duplicate", "fileinto"]; if duplicate { fileinto "Archive"; }')
    for _ in range(3):
        assert (await take(here)).positive
    assert (len(await here.inbox()), len(await stored(here, "Archive"))) == (1, 2)
    here.clock.now += 30 * 86400
    assert (await take(here)).positive
    assert len(await here.inbox()) == 2


async def test_a_changed_header_is_that_of_the_copy(here: Relay, peer: Peer) -> None:
    await use(
        here,
        'require ["editheader", "copy", "fileinto"]; fileinto :copy "Archive"; addheader "X-Seen" "by \u00fcs";'
        'deleteheader "subject"; redirect :copy "x@b.test";',
    )
    large = BODY + b"x" * 700_000 + b"\r\n"
    for body in (BODY, large):
        assert (await take(here, body=body)).positive
    front = b"Return-Path: <far@far.test>\r\n"
    assert (await stored(here, "Archive"))[0] == front + b"Received: from x\r\n" + BODY
    small, big = await here.inbox()
    assert small.startswith(front + b"X-Seen: by ")
    assert b"Subject:" not in small
    assert small.endswith(b"\r\n\r\nbody\r\n")
    assert big.endswith(large[-700_002:])
    assert len(big) == len(small) + 700_002
    assert all(b"X-Seen: by" in message.data and b"Subject" not in message.data for message in peer.messages)


async def test_a_rewritten_message_is_kept_and_sent_on(here: Relay, peer: Peer) -> None:
    await use(
        here,
        'require ["replace", "enclose", "copy", "fileinto"]; fileinto :copy "Archive"; replace "gone";'
        'redirect :copy "x@b.test"; enclose :subject "in it" "see";',
    )
    for body in (BODY, BODY + b"x" * 700_000 + b"\r\n"):
        assert (await take(here, body=body)).positive
    assert (await stored(here, "Archive"))[0].endswith(b"Received: from x\r\n" + BODY)
    for kept in await here.inbox():
        assert kept.startswith(b"Return-Path: <far@far.test>\r\nSubject: in it\r\n")
        message = message_from_bytes(kept)
        assert [part.get_content_type() for part in message.walk()][1:3] == ["text/plain", "message/rfc822"]
    for sent in peer.messages:
        assert message_from_bytes(sent.data).get_payload() == "gone\r\n"
        assert b"in it" not in sent.data


async def test_what_is_sent_on_counts_as_sent(here: Relay, peer: Peer) -> None:
    sending = here.data.sending
    sending.use(SendingRules(Allowance(2, 30, 3, 5), signs=SignSettings(0, 0, 0, 0)))
    await use(here, 'require ["copy", "fileinto"]; redirect "x@b.test"; redirect "bob@a.test";')
    for _ in range(4):
        assert (await take(here)).positive
    # Over the limit it stays; what goes to somebody here goes on, and nobody takes the account for stolen.
    assert [message.to for message in peer.messages] == [["x@b.test"]] * 2
    assert len(await here.inbox()) == 2
    assert len(await here.inbox("bob@a.test")) == 4
    assert not sending.is_stopped("alice@a.test")
    events = [event for event in await here.data.trace.find("alice@a.test") if event["event"] == "rule"]
    (told, _) = [event["action"] for event in events if "not sent on" in event["action"]]
    assert re.fullmatch(r"not sent on to x@b.test: alice@a.test may send 2 messages an hour; try again in \d+ min", told)
    here.clock.now += 7200
    await use(here, 'require ["copy", "fileinto"]; fileinto "Archive"; redirect :copy "1@b.test";')
    assert (await take(here)).positive
    await use(here, 'require "copy"; redirect :copy "2@b.test"; redirect :copy "3@b.test";')
    for _ in range(2):
        assert (await take(here)).positive
    assert [message.to for message in peer.messages[2:]] == [["1@b.test"]]
    assert (len(await stored(here, "Archive")), len(await here.inbox())) == (1, 4)
    here.clock.now += 86400
    assert (await take(here)).positive
    assert [message.to for message in peer.messages[3:]] in ([["2@b.test"], ["3@b.test"]], [["3@b.test"], ["2@b.test"]])


AROUND = """require ["environment", "imap4flags", "spamtest", "spamtestplus", "virustest"];
if environment :is "remote-ip" "127.0.0.1" { addflag "ip"; }
if environment :is "remote-host" "mail.far.test" { addflag "host"; }
if environment :contains "version" "." { addflag "version"; }
if spamtest :percent :is "40" { addflag "spam"; }
if virustest :is "1" { addflag "clean"; }
if virustest :is "0" { addflag "unseen"; }
if environment :matches "imap.user" "?*" { addflag "event"; }
"""
LOOKED = Judgement(4.0, (Finding("dnsbl", 4.0, "listed"), Finding("clamd", 0.0, "found nothing")))
FAILED = Judgement(4.0, (Finding("dnsbl", 4.0, "listed"), Finding("clamd-failed", 0.0, "no answer")))


async def test_scripts_know_who_sent_it_and_what_judges_found(here: Relay) -> None:
    await use(here, AROUND)
    named = Authentication(Iprev(Result.PASS, "127.0.0.1", "mail.far.test"))
    seen = []
    for known, judgement in ((named, LOOKED), (None, FAILED)):
        assert (await take(here, authentication=known, judgements={"alice@a.test": judgement})).positive
        mailbox = await (await account_of(here)).open("INBOX")
        seen.append(set(mailbox.keyword_names(mailbox.flags[-1])))
        mailbox.release()
    assert seen == [{"ip", "host", "version", "spam", "clean"}, {"ip", "version", "spam", "unseen"}]
    # Out of the queue only the evidence is left, which stands in the message.
    await here.send("alice@a.test", text=evidence(LOOKED) + BODY, sender="far@far.test", account=None)
    await until(lambda: not here.queue.messages)
    mailbox = await (await account_of(here)).open("INBOX")
    assert set(mailbox.keyword_names(mailbox.flags[-1])) == {"version", "spam", "clean"}
    mailbox.release()


async def test_flags_and_special_uses(here: Relay) -> None:
    await use(
        here,
        'require ["imap4flags", "fileinto", "special-use", "mailbox"]; setflag ["\\\\Seen", "$label1", "\\\\Recent", "(bad)"];'
        'fileinto :specialuse "\\\\Archive" "Nowhere"; fileinto :create "Made/here";',
    )
    assert (await take(here)).positive
    account = await account_of(here)
    for name in ("Archive", "Made/here"):
        mailbox = await account.open(name)
        assert len(mailbox.uids) == 1
        assert Flags(mailbox.flags[0]) & 0xFF == Flags.SEEN
        assert [one for one in mailbox.loaded.keywords if one] == ["$label1"]
        mailbox.release()
    assert await here.inbox() == []


async def test_include_mailboxexists_and_scripts_for_everybody(here: Relay) -> None:
    await here.data.scripts.put("a.test/alice", "part", b'require ["fileinto", "include"]; fileinto "Archive"; return;')
    (here.data.path / "sieve").mkdir()
    (here.data.path / "sieve/all.sieve").write_bytes(b'require "imap4flags"; setflag "\\\\Flagged";')
    await use(
        here,
        'require ["include", "mailbox", "fileinto", "imap4flags"]; include :global "all";'
        'if mailboxexists "archive" { keep; } elsif mailboxexists "Archive" { include :personal "part"; }'
        'include :optional "nothing";',
    )
    assert (await take(here)).positive
    mailbox = await (await account_of(here)).open("Archive")
    assert Flags(mailbox.flags[0]) & 0xFF == Flags.FLAGGED
    mailbox.release()


AS_ANOTHER = [
    'deleteheader "from"; addheader "From" "Bob <bob@a.test>";',
    'addheader "From" "bob@a.test";',
    'addheader "Sender" "bob@a.test";',
    'deleteheader "from"; addheader "From" "somebody@bank.test";',
    'deleteheader "from";',
    'deleteheader "from"; addheader "From" "<bob@a.test> <alice@a.test>";',
    'addheader "Subject" "what he never wrote"; deleteheader "from"; addheader "From" "bob@a.test";',
]


@pytest.mark.parametrize("change", AS_ANOTHER)
async def test_a_script_sends_on_in_nobody_elses_name(here: Relay, peer: Peer, change: str) -> None:
    await use(here, f'require ["editheader", "copy"]; {change} redirect :copy "x@b.test";')
    assert (await take(here)).positive
    (message,) = peer.messages
    assert message.data.endswith(BODY)
    assert b"bob@a.test" not in message.data
    assert len(await here.inbox()) == 1


async def test_what_another_one_here_wrote_is_sent_on_as_it_came(here: Relay, peer: Peer) -> None:
    await use(here, 'require ["replace", "copy"]; replace "You are fired."; redirect :copy "x@b.test";')
    body = BODY.replace(b"far@far.test", b"bob@a.test")
    assert (await take(here, body=body, sender="bob@a.test")).positive
    assert peer.messages[0].data.endswith(body)
    await use(
        here, 'require ["replace", "copy"]; replace :from "Alice <alice@a.test>" "In my own words."; redirect "x@b.test";'
    )
    assert (await take(here, body=body, sender="bob@a.test")).positive
    assert b"In my own words." in peer.messages[1].data


async def test_a_new_author_is_one_field(here: Relay) -> None:
    line = "${hex:0d 0a}"
    author = f"alice@a.test ({line}From: bob@a.test{line} )"
    await use(here, f'require ["replace", "encoded-character"]; replace :from "{author}" "hi";')
    assert (await take(here)).positive
    (message,) = await here.inbox()
    assert message_from_bytes(message).get_all("From") == ["alice@a.test ( From: bob@a.test )"]
