"""opendmarc (Debian) beside us: asked as a milter about the same messages, with the same DNS, it comes to the same verdicts.

It asks the system's name server and no other: it runs in a mount namespace of its own, whose resolv.conf names ours.
"""

import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from mailstack.mailauth.authres import write
from mailstack.mailauth.results import Authentication, Dkim, Result, Spf
from mailstack.net.milter import Question, ask
from mailstack.wire.milter import Actions, InsertHeader
from tests.clients.test_scanners import started
from tests.mailauth.test_dmarc import dmarc
from tests.support.dnsserver import DnsServer
from tests.support.server import free_ports

pytestmark = [
    pytest.mark.clients,
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace and port 53 need root"),
]
HOST = "mail.a.test"
RECORDS = {
    "none.test": "v=DMARC1; p=none",
    "quarantine.test": "v=DMARC1; p=quarantine",
    "reject.test": "v=DMARC1; p=reject",
    "strict.test": "v=DMARC1; p=reject; adkim=s; aspf=s",
    "half.test": "v=DMARC1; p=reject; adkim=s; aspf=r",
    "below.test": "v=DMARC1; p=reject; sp=none",
    "below2.test": "v=DMARC1; p=none; sp=reject",
    "own.below2.test": "v=DMARC1; p=quarantine",
    "blanks.test": "v=DMARC1 ;  p = reject ; rua=mailto:x@blanks.test ;",
}
ORGANISATIONS = (*(name for name in RECORDS if not name.startswith("own.")), "nothing.test")
SETTINGS = """AuthservID judge.test
TrustedAuthservIDs mail.a.test
Socket inet:{port}@127.0.0.1
PublicSuffixList {folder}/suffixes
RejectFailures false
HoldQuarantinedMessages true
IgnoreHosts {folder}/nobody
SPFIgnoreResults false
SPFSelfValidate false
RequiredHeaders false
Syslog false
PidFile {folder}/pid
"""


@dataclass(frozen=True)
class Mail:
    """Whom From names, whom the envelope, and who signed; "!" in front: it did not pass."""

    author: str
    sender: str
    signer: str

    def known(self) -> tuple[Spf, tuple[Dkim, ...]]:
        spf = Spf(Result.FAIL if self.sender.startswith("!") else Result.PASS, self.sender.lstrip("!"))
        name = self.signer.lstrip("!")
        return spf, (
            (Dkim(Result.FAIL if self.signer.startswith("!") else Result.PASS, name, "s", "rsa-sha256"),) if name else ()
        )


def mails() -> Iterator[Mail]:
    for name in ORGANISATIONS:
        for author in (name, f"news.{name}"):
            for sender in (name, f"!{name}", f"bounce.{name}", "other.test"):
                for signer in ("", name, f"!{name}", f"key.{name}", "other.test"):
                    yield Mail(author, sender, signer)
    for sender, signer in (("below2.test", ""), ("other.test", "own.below2.test"), ("other.test", "other.test")):
        yield Mail("own.below2.test", sender, signer)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = shutil.which("opendmarc", path="/usr/sbin:/usr/bin")
    if program is None or shutil.which("unshare") is None:
        pytest.skip("opendmarc or unshare is not installed (make test-clients installs opendmarc)")
    folder = tmp_path_factory.mktemp("opendmarc")
    chance = random.SystemRandom()
    address = f"127.{chance.randrange(1, 255)}.{chance.randrange(1, 255)}.{chance.randrange(2, 255)}"
    (folder / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:2 attempts:1\n")
    (folder / "suffixes").write_text("test\n")
    (folder / "nobody").write_text("192.0.2.254\n")
    (port,) = free_ports(1)
    (folder / "conf").write_text(SETTINGS.format(port=port, folder=folder))
    zone = {f"_dmarc.{name}": {"TXT": [f'"{text}"']} for name, text in RECORDS.items()}
    enter = f'mount --bind {folder}/resolv.conf "$(readlink -f /etc/resolv.conf)" && exec {program} -f -c {folder}/conf'
    with DnsServer(zone, address, 53):
        for _ in started(["unshare", "-m", "sh", "-c", enter], port, folder / "log"):
            yield port


async def theirs(port: int, mail: Mail) -> tuple[str, str]:
    """Its word and the policy that it found."""
    spf, dkim = mail.known()
    results = write(HOST, Authentication(spf=spf, helo=Spf(), dkim=dkim), f"carol@{spf.domain}")
    name, _, value = results.rstrip(b"\r\n").partition(b":")
    # It knows no local part in smtp.mailfrom=, where RFC 8601 2.7.2 has one.
    value = value.replace(b"=carol@", b"=")
    fields = [(name, value), (b"From", f" Carol <carol@{mail.author}>".encode()), (b"Subject", b" hello"), (b"Date", b" x")]
    question = Question(
        HOST, "192.0.2.1", "mx.far.test", "mx.far.test", f"carol@{spf.domain}", ["alice@a.test"], "0mwx", None, None, fields,
        iter([b"body\r\n"]),
    )  # fmt: skip
    answer = await ask(f"127.0.0.1:{port}", question, Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE, 30)
    said = [one.value for one in answer.changes if isinstance(one, InsertHeader) and one.name == b"Authentication-Results"]
    found = re.search(r"dmarc=(\w+)(?: \(p=(\w+))?", b" ".join(said).decode())
    assert found is not None, answer
    return found[1], found[2] or "none"


async def test_it_comes_to_the_same_verdicts(port: int) -> None:
    table: dict[str, str | None] = dict(RECORDS)
    seen, differ = set(), []
    for mail in mails():
        spf, dkim = mail.known()
        ours = dmarc(mail.author, table, spf, *dkim, suffixes=frozenset({"test"}))
        found = await theirs(port, mail)
        if found != (str(ours.result), str(ours.request)):
            differ.append((mail, found, ours))
        seen.add(found)
    # It takes a subdomain of From's for From's own domain where alignment is to be strict (RFC 7489 3.1.1, 3.1.2).
    lax = [one for one in differ if one[0].author in ("strict.test", "half.test") and one[1] == ("pass", "reject")]
    assert len(lax) == len(differ), [one for one in differ if one not in lax][:5]
    assert all("strict.test" in one[0].author or one[0].signer == "key.half.test" for one in lax), lax
    assert {("pass", "reject"), ("fail", "reject"), ("fail", "quarantine"), ("fail", "none"), ("none", "none")} <= seen
