"""`python -m bench.unwanted`: mails of 10 KB judged a second, from the first connection until all are in their mailboxes.

SPF, DKIM, DMARC, ARC and learned words on both sides, over one DNS server on loopback; beside Debian's Postfix with rspamd as
its milter (and Redis for its words). Needs root, postfix, rspamd, redis-server.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import dkim
import uvloop

from bench.client import send_all
from bench.corpus import message
from bench.peers import DOMAIN, Server, free_port, mailstack, postfix_dovecot, stop, wait_for
from mailstack.mailauth.dkim import dns_record, generate, load
from mailstack.message.header import field_lines, split_header
from mailstack.message.tokens import key, tokens
from mailstack.store.learned.file import NAME, LearnedFile
from tests.spam.generator import Generator
from tests.support.dnsserver import DnsServer

USERS = [f"user{number}" for number in range(10)]
LEARNED = 600
SENDER = "carol@far.test"


def mails(number: int, pem: bytes) -> list[bytes]:
    """Signed by far.test, and sealed once by list.test."""
    found = []
    for place in range(number):
        plain = message(place).replace(b"@example.net>\r\nTo:", b"@far.test>\r\nTo:", 1)
        signed = dkim.sign(plain, b"s", b"far.test", pem, canonicalize=(b"relaxed", b"relaxed")) + plain
        results = b"Authentication-Results: list.test; dkim=pass header.d=far.test; spf=pass; dmarc=pass; arc=none\r\n"
        sealed = b"".join(dkim.arc_sign(results + signed, b"s", b"list.test", pem, b"list.test"))
        found.append(sealed + signed)
    return found


def zone(pem: bytes) -> dict[str, dict[str, list[str]]]:
    record = dns_record(load(pem, "far.test", "s"))
    keyed = {"TXT": [" ".join(f'"{record[start : start + 200]}"' for start in range(0, len(record), 200))]}
    return {
        "far.test": {"TXT": ['"v=spf1 ip4:127.0.0.1 -all"'], "MX": ["10 mx.far.test."], "A": ["127.0.0.1"]},
        "mx.far.test": {"A": ["127.0.0.1"]},
        "s._domainkey.far.test": keyed,
        "s._domainkey.list.test": keyed,
        "_dmarc.far.test": {"TXT": ['"v=DMARC1; p=reject"']},
        "1.0.0.127.in-addr.arpa": {"PTR": ["mx.far.test."]},
    }


def teach(server: Server) -> None:
    """Every account has learned as much."""
    for user in USERS:
        folder = server.maildir(user).parent
        folder.mkdir(parents=True, exist_ok=True)
        file = LearnedFile(folder / NAME)
        for junk in (True, False):
            for number, one in enumerate(islice(Generator(1).messages(junk), LEARNED // 2)):
                file.learn(f"{junk}{number}", [key(word) for word in tokens(one.data)], junk, 1)
        file.close()


def rate(server: Server, batch: list[bytes], users: list[str]) -> float:
    messages = [(SENDER, f"{users[place % len(users)]}@{DOMAIN}", data) for place, data in enumerate(batch)]
    before = stored(server, users)
    begun = time.perf_counter()
    uvloop.run(send_all(server.smtp, 20, messages))
    while stored(server, users) < before + len(batch):
        time.sleep(0.01)
    return len(batch) / (time.perf_counter() - begun)


def stored(server: Server, users: list[str]) -> int:
    folders = [server.maildir(user) / place for user in users for place in ("new", "cur")]
    return sum(len(os.listdir(folder)) for folder in folders if folder.exists())


@contextlib.contextmanager
def rspamd(folder: Path, dns: int) -> Iterator[int]:
    """Debian's configuration with its modules, asking our DNS server; the port of its milter."""
    folder.mkdir(parents=True)
    shutil.copytree("/etc/rspamd", folder / "conf")
    local = folder / "conf" / "local.d"
    ports = {name: free_port() for name in ("normal", "controller", "proxy", "redis")}
    redis = subprocess.Popen(
        ["redis-server", "--port", str(ports["redis"]), "--save", "", "--dir", str(folder)], stdout=subprocess.DEVNULL
    )
    (local / "options.inc").write_text(f'dns {{ nameserver = ["127.0.0.1:{dns}"]; }}\nlocal_addrs = ["192.168.0.0/16"];\n')
    (local / "worker-normal.inc").write_text(f'bind_socket = "127.0.0.1:{ports["normal"]}";\nenabled = false;\n')
    controller = f'bind_socket = "127.0.0.1:{ports["controller"]}";\nsecure_ip = ["127.0.0.1"];\n'
    (local / "worker-controller.inc").write_text(controller)
    proxy = f'bind_socket = "127.0.0.1:{ports["proxy"]}";\nmilter = yes;\ncount = 2;\n'
    upstream = 'upstream "local" { default = yes; self_scan = yes; }\n'
    (local / "worker-proxy.inc").write_text(proxy + upstream)
    (local / "redis.conf").write_text(f'servers = "127.0.0.1:{ports["redis"]}";\n')
    # What it would ask of hosts that are not there, or is not compared.
    for name in ("rbl", "fuzzy_check", "phishing", "greylist", "asn", "ratelimit", "replies", "neural", "history_redis"):
        (local / f"{name}.conf").write_text("enabled = false;\n")
    # As ours, it writes down what it found.
    (local / "milter_headers.conf").write_text('use = ["x-spamd-result"];\nskip_local = false;\n')
    (local / "spf.conf").write_text("check_local = true;\n")
    (local / "dkim.conf").write_text("check_local = true;\n")
    (local / "arc.conf").write_text("check_local = true;\nsign_local = false;\n")
    variables = [f"--var={name}={folder}" for name in ("DBDIR", "RUNDIR", "LOGDIR")]
    configuration = [f"--var=CONFDIR={folder}/conf", f"--var=LOCAL_CONFDIR={folder}/conf"]
    command = ["rspamd", "-f", "-i", "-c", str(folder / "conf" / "rspamd.conf"), *variables, *configuration]
    wait_for(ports["redis"])
    with open(folder / "out", "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        for name in ("proxy", "controller"):
            wait_for(ports[name], 300)
        learn = ["rspamc", "-h", f"127.0.0.1:{ports['controller']}"]
        for junk in (True, False):
            (folder / f"{junk}").mkdir()
            for number, one in enumerate(islice(Generator(1).messages(junk), LEARNED // 2)):
                (folder / f"{junk}" / f"{number}.eml").write_bytes(one.data)
            teaching = [*learn, "learn_spam" if junk else "learn_ham", str(folder / f"{junk}")]
            subprocess.run(teaching, check=True, stdout=subprocess.DEVNULL)
        yield ports["proxy"]
    finally:
        stop(process)
        stop(redis)


def evidence(data: bytes) -> str:
    """What a judge wrote down, to see that it looked at all."""
    header, _ = split_header(data)
    lines = [
        raw for name, raw in field_lines(header) if name in (b"authentication-results", b"x-spam-status", b"x-spamd-result")
    ]
    return b"".join(lines).decode("ascii", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=("mailstack", "peer"), default="")
    arguments = parser.parse_args()
    pem = generate("rsa")
    batch = mails(arguments.count, pem)
    figures: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR", "/var/tmp"))))
        folder.chmod(0o755)
        dns = stack.enter_context(DnsServer(zone(pem)))
        servers = []
        if arguments.only != "peer":
            os.environ["MAILSTACK_DNS__NAMESERVERS"] = f"127.0.0.1:{dns.port}"
            servers.append(stack.enter_context(mailstack(folder / "mailstack", USERS, prepare=teach)))
        if arguments.only != "mailstack":
            milter = stack.enter_context(rspamd(folder / "rspamd", dns.port))
            peer = stack.enter_context(postfix_dovecot(folder / "peer", USERS))
            config = folder / "peer" / "postfix"
            milters = [f"smtpd_milters=inet:127.0.0.1:{milter}", "milter_protocol=6"]
            subprocess.run(["postconf", "-c", str(config), *milters], check=True)
            subprocess.run(["postfix", "-c", str(config), "reload"], check=True, capture_output=True)
            servers.append(peer)
        for _ in range(arguments.rounds):
            for server in servers:
                figures.setdefault(server.name, []).append(rate(server, batch, USERS))
        for server in servers:
            shown = next(path for path in (server.maildir(USERS[0]) / "new").iterdir())
            print(server.name, [round(one, 1) for one in figures[server.name]])
            print(evidence(shown.read_bytes()))
    if len(figures) == 2:
        ours, theirs = (sum(one) / len(one) for one in figures.values())
        print(f"mailstack {ours:.1f} /s, Postfix + rspamd {theirs:.1f} /s: {ours / theirs:.2f} x (mark 2 x)")


if __name__ == "__main__":
    sys.exit(main())
