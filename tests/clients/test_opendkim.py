"""opendkim (Debian) beside us: each judges what the other signed, and both come to the same verdicts."""

import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mailstack.delivery.signing import digested
from mailstack.mailauth.dkim import dns_record, generate, load, sign
from tests.support.judging import NOW, dkim_words

pytestmark = pytest.mark.clients

HEADER = (
    b"From: Carol <carol@far.test>\r\nTo: alice@a.test\r\nSubject: hello\r\n\tagain\r\n"
    b"Date: Thu, 26 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@far.test>\r\n\r\n"
)


def opendkim(folder: Path, data: bytes, settings: str) -> str:
    """What it says about a message, or of how it would sign it."""
    program = shutil.which("opendkim", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("opendkim is not installed (make test-clients installs it)")
    (folder / "conf").write_text(settings)
    (folder / "mail").write_bytes(data)
    command = [program, "-x", str(folder / "conf"), "-t", str(folder / "mail"), "-vv"]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).decode()


def body(chance: random.Random) -> bytes:
    return b"".join(chance.choices([b" ", b"\t", b"\r\n", b"\r\n\r\n", b"a", b"b  c", b" \r\n", b"x" * 70], k=12)) + b"end\r\n"


def test_opendkim_judges_what_we_signed(tmp_path: Path) -> None:
    chance = random.Random(1)
    keys = [load(generate(kind), "far.test", kind) for kind in ("rsa", "ed25519")]
    (tmp_path / "keys").write_text("".join(f"{key.selector}._domainkey.far.test {dns_record(key)}\n" for key in keys))
    settings = f"Mode v\nTestPublicKeys {tmp_path}/keys\n"
    for number in range(6):
        message = HEADER + body(chance)
        header, digest = digested((message,))
        signed = sign(header, digest, [keys[number % 2]], NOW) + message
        assert "dkim=pass" in opendkim(tmp_path, signed, settings)
        assert "dkim=fail" in opendkim(tmp_path, signed.replace(b"end\r\n", b"End\r\n"), settings)
        assert "dkim=fail" in opendkim(tmp_path, signed.replace(b"hello", b"hullo"), settings)


# What opendkim 2.11 signs with Ed25519 over a simple header, it does not verify itself.
@pytest.mark.parametrize(
    ("kind", "canon"),
    [
        ("rsa", "simple/simple"), ("rsa", "simple/relaxed"), ("rsa", "relaxed/simple"), ("rsa", "relaxed/relaxed"),
        ("ed25519", "relaxed/simple"), ("ed25519", "relaxed/relaxed"),
    ],
)  # fmt: skip
def test_we_judge_what_opendkim_signed(tmp_path: Path, kind: str, canon: str) -> None:
    chance = random.Random(canon)
    pem = generate(kind)
    (tmp_path / "key").write_bytes(pem)
    (tmp_path / "key").chmod(0o600)
    records = {"s._domainkey.far.test": dns_record(load(pem, "far.test", "s"))}
    settings = (
        f"Mode s\nDomain far.test\nSelector s\nKeyFile {tmp_path}/key\nCanonicalization {canon}\n"
        f"SignatureAlgorithm {kind}-sha256\nRequireSafeKeys no\nOversignHeaders From\n"
    )
    for _ in range(3):
        message = HEADER + body(chance)
        found = re.search(r"hname='DKIM-Signature' hvalue='(.*?)'", opendkim(tmp_path, message, settings), re.DOTALL)
        assert found is not None
        # It is a milter: the space behind the colon is the mail server's.
        field = b"DKIM-Signature: " + found[1].lstrip().replace("\r\n", "\n").replace("\n", "\r\n").encode() + b"\r\n"
        assert dkim_words(field + message, records) == ["pass"]
        assert dkim_words(field + message.replace(b"end\r\n", b"End\r\n"), records) == ["fail"]
        assert dkim_words(field + message.replace(b"hello", b"hullo"), records) == ["fail"]


def test_sha1_is_outgrown(tmp_path: Path) -> None:
    program = shutil.which("opendkim-testmsg", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("opendkim-testmsg is not installed (make test-clients installs it)")
    pem = generate("rsa")
    (tmp_path / "key").write_bytes(pem)
    command = [program, "-C", "-d", "far.test", "-s", "s", "-k", str(tmp_path / "key"), "-t", str(tmp_path)]
    signed = subprocess.run(command, input=HEADER + b"body\r\n", capture_output=True, timeout=60, check=True).stdout
    assert b"a=rsa-sha1" in signed
    assert dkim_words(signed, {"s._domainkey.far.test": dns_record(load(pem, "far.test", "s"))}) == ["policy"]
