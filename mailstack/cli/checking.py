"""What `mailstack check` looks at."""

import asyncio
import datetime
import ipaddress
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from mailstack.app.publishing import publisher
from mailstack.cli import checking_transport
from mailstack.cli.reaching import greets, hosts
from mailstack.config import Config
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.listen import ListenProblem, listen
from mailstack.net.tls import TlsProblem, try_pair
from mailstack.net.trial_ca import TrialFiles
from mailstack.policy.clients import client_settings
from mailstack.records.compare import compare_host
from mailstack.store.lock import become_owner
from mailstack.store.probe import probe

T = TypeVar("T")
BLOCKLISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org")
SPACE_WANTED = 1 << 30
DAYS_WANTED = 14


@dataclass(slots=True)
class Findings:
    """Rows with `what`, `state` (ok, info, warn, bad), `text`, `effect` and `fix`: what is, what it does, what to do."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def say(self, what: str, state: str, text: str) -> None:
        self.rows.append({"what": what, "state": state, "text": text, "effect": "", "fix": ""})


def findings(config: Config, run: Callable[..., Any], running: bool) -> list[dict[str, Any]]:
    """Everything that can be seen from here. `run` does an operation."""
    found = Findings()
    found.say("configuration", "ok", "every setting is known and makes sense")
    found.say("server", "ok" if running else "warn", "runs" if running else "does not run: mailstack serve")
    _ports(config, running, found)
    _certificate(config, found)
    become_owner(config.data)
    _disk(config, found)
    _clock(found)
    domains = []
    if config.data.exists():
        for one in run("nat"):
            found.say("NAT", "warn", one["text"])
        domains = [row["domain"] for row in run("domain.list")]
        checking_transport.keys(run("dkim.list"), found.say)
    asyncio.run(_dns(config, domains, found))
    rows = run("dns.compare") if config.data.exists() else asyncio.run(_host(config))
    found.rows += [_of_dns(row) for row in rows]
    return found.rows


async def _host(config: Config) -> list[dict[str, Any]]:
    resolver = Resolver(list(config.dns.nameservers), dnssec=config.dns.dnssec)
    return [asdict(row) for row in await compare_host(publisher(config, client_settings(config)), resolver, resolver)]


def _of_dns(row: dict[str, Any]) -> dict[str, Any]:
    what = row["what"] if row["what"].startswith(("PTR", "SRV")) else f"{row['what']} {row['name']}"
    return {"what": what, **{key: row[key] for key in ("state", "text", "effect", "fix")}}


def _ports(config: Config, running: bool, found: Findings) -> None:
    for name, text in config.listeners():
        if running:
            for host, port in hosts(text):
                problem = greets(name, host, port, proxied=name in config.proxy.listeners)
                shown = f"{host} port {port}"
                found.say(f"port {name}", "bad" if problem else "ok", f"{shown}: {problem}" if problem else f"{shown} answers")
            continue
        try:
            listen(text).close()
        except ListenProblem as problem:
            found.say(f"port {name}", "bad", f"{problem}; stop what uses it, or change listen.{name}")
        else:
            found.say(f"port {name}", "ok", f"{text} is free")


def _disk(config: Config, found: Findings) -> None:
    for path in [config.data, *([Path(config.store.index_dir)] if config.store.index_dir else [])]:
        if not path.exists():
            found.say("disk", "warn", f"{path} is not there yet; the first start makes it")
            continue
        seen = probe(path)
        for finding in seen:
            found.say("disk", "bad" if finding.fatal else "warn", f"{path}: {finding.text}")
        if not seen:
            found.say("disk", "ok", f"{path} can carry the store")
        free = shutil.disk_usage(path).free
        found.say("disk space", "ok" if free > SPACE_WANTED else "warn", f"{path}: {free >> 20} MiB free")


def _certificate(config: Config, found: Findings) -> None:
    if config.tls.mode == "off":
        found.say("certificate", "warn", "TLS is off: passwords go over the wire as they are")
        return
    path, key = _pair(config)
    if config.tls.mode == "self-signed":
        found.say("certificate", "warn", 'its own authority signed it: clients will ask; get one: tls.mode = "acme"')
    elif config.tls.mode == "acme" and not path.exists():
        found.say("certificate", "bad", "there is none yet; why: mailstack tls status")
    if config.tls.mode != "files" and not path.exists():
        return
    try:
        try_pair(path, key)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (TlsProblem, OSError, ValueError) as problem:
        found.say("certificate", "bad", f"{problem}")
        return
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    state = "ok" if left.days > DAYS_WANTED else "bad"
    found.say("certificate", state, f"{path} is good for {left.days} days" if left.days >= 0 else f"{path} is over")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = _covers(names.get_values_for_type(x509.DNSName), config.hostname)
    except x509.ExtensionNotFound:
        covered = False
    if not covered:
        found.say("certificate", "warn", f"{path} does not name {config.hostname}")


def _pair(config: Config) -> tuple[Path, Path]:
    """Where the host's certificate and its key are."""
    if config.tls.mode == "files":
        if config.tls.certificate.endswith(".json"):
            copy = config.data / "tls" / "traefik-0.pem"
            return copy, copy
        return Path(config.tls.certificate), Path(config.tls.key)
    if config.tls.mode == "acme":
        path = config.data / "tls" / "acme" / f"{config.hostname.lower()}.pem"
        return path, path
    trial = TrialFiles(config.data / "tls")
    return trial.certificate, trial.key


def _covers(names: list[str], hostname: str) -> bool:
    wanted = hostname.lower()
    return any(name.lower() in (wanted, f"*.{wanted.partition('.')[2]}") for name in names)


def _clock(found: Findings) -> None:
    now = time.time()
    sane = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC).timestamp() < now < 4_000_000_000
    text = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
    found.say("clock", "ok" if sane else "bad", text)


# DNS ----------------------------------------------------------------------------------------------------------------


async def _dns(config: Config, domains: list[str], found: Findings) -> None:
    resolver = Resolver(list(config.dns.nameservers), dnssec=config.dns.dnssec)
    await checking_transport.dnssec(config, resolver, found.say)
    await checking_transport.policies(config, domains, resolver, found.say)
    for address in await _asked(config.hostname, resolver.addresses(config.hostname), found) or ():
        if ipaddress.ip_address(address).is_global:
            for blocklist in BLOCKLISTS:
                await _blocklist(resolver, address, blocklist, found)


async def _asked(what: str, question: Awaitable[list[T]], found: Findings) -> list[T] | None:
    """The answer, [] where there is nothing, None (and a finding) where nobody answers."""
    try:
        return await question
    except NoSuchDomain:
        return []
    except DnsTemporary as problem:
        found.say(what, "warn", f"the DNS gives no answer: {problem}")
        return None


async def _blocklist(resolver: Resolver, address: str, blocklist: str, found: Findings) -> None:
    one = ipaddress.ip_address(address)
    name = one.reverse_pointer.rpartition(".in-addr" if one.version == 4 else ".ip6")[0]
    what = f"blocklist {blocklist}"
    answers = await _asked(what, resolver.addresses(f"{name}.{blocklist}", ipv6=False), found)
    if answers is None:
        return
    if any(answer.startswith("127.255.") for answer in answers):
        found.say(what, "warn", f"{address}: the list answers no questions from these name servers (dns.nameservers)")
    elif answers:
        found.say(what, "bad", f"{address} is listed ({', '.join(answers)}): ask the list to take it off")
    else:
        found.say(what, "ok", f"{address} is not listed")
