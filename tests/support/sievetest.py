"""Dovecot's Sieve: Debian's `sieve-test`, another opinion on what a script does with a mail."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NOBODY = 65534
EXTENSIONS = "+editheader +spamtest +spamtestplus +virustest +vacation-seconds +mboxmetadata +servermetadata"
CONFIGURATION = """
mail_location = maildir:{folder}/Maildir
mail_uid = {uid}
mail_gid = {gid}
first_valid_uid = 1
first_valid_gid = 1
log_path = /dev/stderr
base_dir = {folder}/run
state_dir = {folder}/state
protocols =
namespace inbox {{
  inbox = yes
  separator = /
}}
plugin {{
  sieve_extensions = {extensions}
  sieve_max_actions = 1000
  sieve_max_redirects = 4
  sieve_user_email = roadrunner@acme.example.com
  sieve_vacation_min_period = 1s
  sieve_vacation_dont_check_recipient = no
  sieve_spamtest_status_header = X-Spam-Score
  sieve_spamtest_max_value = 10
  sieve_spamtest_status_type = score
  sieve_virustest_status_header = X-Virus-Score
  sieve_virustest_max_value = 5
  sieve_virustest_status_type = score
}}
"""
ZONE = "UTC-2"  # as POSIX writes two hours east: that of tests/support/sieve.py


class SieveTest:
    """Runs scripts over mails, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("sieve-test") is None:
            pytest.skip("dovecot-sieve is not installed (make test-clients installs it)")
        self.folder = folder
        root = os.getuid() == 0
        uid, gid = (NOBODY, NOBODY) if root else (os.getuid(), os.getgid())
        text = CONFIGURATION.format(folder=folder, uid=uid, gid=gid, extensions=EXTENSIONS)
        (folder / "dovecot.conf").write_text(text)
        for name in ("Maildir", "run", "state"):
            (folder / name).mkdir(exist_ok=True)
        if root:
            subprocess.run(["chown", "-R", f"{uid}:{gid}", str(folder)], check=True)

    def output(self, script: str | bytes, message: bytes, *, sender: str, recipient: str) -> tuple[str, str]:
        """What it prints, and what it complains of."""
        (self.folder / "a.sieve").write_bytes(script if isinstance(script, bytes) else script.encode())
        (self.folder / "mail").write_bytes(message)
        (self.folder / "a.svbin").unlink(missing_ok=True)
        arguments = ["-c", str(self.folder / "dovecot.conf"), "-a", recipient, "-r", recipient, "-f", sender]
        done = subprocess.run(
            ["sieve-test", *arguments, str(self.folder / "a.sieve"), str(self.folder / "mail")],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "TZ": ZONE, "HOME": str(self.folder)},
            timeout=60,
        )
        return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def actions(
        self,
        script: str | bytes,
        message: bytes,
        sender: str = "coyote@desert.example.org",
        recipient: str = "roadrunner+birds@acme.example.com",
    ) -> list[str]:
        """The actions in a few words each, as tests/support/sieve.py has them; ["no script"], or ["error", "keep"]."""
        shown, complaints = self.output(script, message, sender=sender, recipient=recipient)
        if "failed to compile" in complaints:
            return ["no script"]
        if "result: failed" in complaints:
            return ["error", "keep"]
        assert "result: success" in complaints, complaints
        performed, _, implicit = shown.partition("Implicit keep:")
        found = [short(one) for one in re.split(r"^ \* ", performed, flags=re.MULTILINE)[1:]]
        found += [short(one) for one in re.split(r"^ \* ", implicit, flags=re.MULTILINE)[1:]]
        return found


def short(text: str) -> str:
    """One action of what is printed."""
    first, _, rest = text.partition("\n")
    flags = re.search(r"^\s+\+ add IMAP flags:(.*)$", rest, re.MULTILINE)
    shown = "" if flags is None else " ".join(["", "with", *flags[1].split()])
    if found := re.match(r"store message in folder: (.*)$", first):
        return ("keep" if found[1] == "INBOX" else f"file {found[1]}") + shown
    if found := re.match(r"redirect message to: <(.*)>$", first):
        return f"send {found[1]}"
    if first.startswith("discard"):
        return "discard"
    if "reject message" in first:
        return "reject"
    if "vacation" in first:
        return "answer"
    if "notif" in first:
        return "tell"
    return f"? {first}"
