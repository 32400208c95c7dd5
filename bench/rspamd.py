"""Debian's rspamd as a milter, with the modules that are compared."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.learning import teach_rspamd
from bench.peers import free_port, stop, wait_for

SETTINGS = {
    "options.inc": 'dns {{ nameserver = ["127.0.0.1:{dns}"]; timeout = 5s; }}\nlocal_addrs = ["192.0.2.0/24"];\n',
    "worker-proxy.inc": 'bind_socket = "127.0.0.1:{milter}"; milter = yes; timeout = 30s; upstream "local" {{ default = yes; '
    "self_scan = yes; }} count = 2;\n",
    "worker-normal.inc": "enabled = false;\n",
    "worker-controller.inc": "enabled = false;\n",
    "worker-fuzzy.inc": "enabled = false;\n",
    "logging.inc": 'type = "file"; filename = "{folder}/log"; level = "warning";\n',
    **{f"{name}.conf": "check_local = true; check_authed = true;\n" for name in ("spf", "dkim", "dmarc", "arc")},
    "milter_headers.conf": 'use = ["authentication-results"]; skip_local = false; skip_authenticated = false;\n',
}
# As ours, it writes down what it found.
LEARNING = {
    "worker-controller.inc": 'bind_socket = "127.0.0.1:{controller}"; secure_ip = ["127.0.0.1"]; count = 1;\n',
    "redis.conf": 'servers = "127.0.0.1:{redis}";\n',
    "milter_headers.conf": 'use = ["authentication-results", "x-spamd-result"]; skip_local = false;\n',
}
# What it would ask of hosts that are not there, or is not compared.
OUTSIDE = ("rbl", "fuzzy_check", "phishing", "greylist", "asn", "ratelimit", "replies", "neural", "history_redis")
# Where nothing is learned both sides judge where a mail comes from, and nothing else.
CONTENT = (
    "surbl", "mx_check", "hfilter", "reputation", "url_redirector", "mime_types", "bayes_expiry", "multimap", "chartable",
    "regexp", "maillist", "forged_recipients", "once_received", "whitelist", "spamassassin", "trie", "dkim_signing", "emails",
    "elastic", "p0f",
)  # fmt: skip


@contextlib.contextmanager
def rspamd(folder: Path, dns: int, *, learned: bool) -> Iterator[int]:
    """It asks the DNS at port `dns`; the port of its milter. `learned`: it judges the words, too (by Redis), and knows some."""
    ports = {name: free_port() for name in ("milter", "controller", "redis")}
    _configure(folder, dns, ports, learned=learned)
    subprocess.run(["chown", "-R", "_rspamd:_rspamd", str(folder)], check=True)
    variables = [f"--var={name}={folder / place}" for name, place in (("DBDIR", "db"), ("RUNDIR", "run"), ("LOGDIR", "run"))]
    variables.append(f"--var=LOCAL_CONFDIR={folder}")
    command = ["rspamd", "-f", "-c", "/etc/rspamd/rspamd.conf", "-u", "_rspamd", "-g", "_rspamd", *variables]
    with contextlib.ExitStack() as stack:
        if learned:
            stack.enter_context(_running(["redis-server", "--port", str(ports["redis"]), "--save", ""], folder / "redis"))
            wait_for(ports["redis"])
        stack.enter_context(_running(command, folder / "out"))
        wait_for(ports["milter"], 180.0)  # it compiles its expressions first
        if learned:
            wait_for(ports["controller"], 180.0)
            teach_rspamd(folder, ports["controller"])
        yield ports["milter"]


def _configure(folder: Path, dns: int, ports: dict[str, int], *, learned: bool) -> None:
    for name in ("local.d", "override.d", "db", "run"):
        (folder / name).mkdir(parents=True)
    for name, text in (SETTINGS | LEARNING if learned else SETTINGS).items():
        (folder / "override.d" / name).write_text(text.format(dns=dns, folder=folder, **ports))
    for name in OUTSIDE if learned else OUTSIDE + CONTENT:
        (folder / "override.d" / f"{name}.conf").write_text("enabled = false;\n")


@contextlib.contextmanager
def _running(command: list[str], out: Path) -> Iterator[None]:
    with open(out, "wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield
    finally:
        stop(process)
