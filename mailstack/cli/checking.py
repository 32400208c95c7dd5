"""What `mailstack check` looks at."""

import asyncio
import datetime
import ipaddress
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from mailstack.cli import checking_transport
from mailstack.cli.reaching import greets, hosts
from mailstack.cli.records import Record, records
from mailstack.config import Config
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.listen import ListenProblem, listen
from mailstack.net.tls import TlsProblem, try_pair
from mailstack.net.trial_ca import TrialFiles
from mailstack.store.lock import become_owner
from mailstack.store.probe import probe

T = TypeVar("T")
BLOCKLISTS = ("zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org")
SPACE_WANTED = 1 << 30
DAYS_WANTED = 14


@dataclass(slots=True)
class Findings:
    """Rows with `what`, `state` (ok, warn, bad) and `text`: what is, and what to do."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def say(self, what: str, state: str, text: str) -> None:
        self.rows.append({"what": what, "state": state, "text": text})


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
        domains = [run("domain.records", domain=row["domain"]) for row in run("domain.list")]
        checking_transport.keys(run("dkim.list"), found.say)
    asyncio.run(_dns(config, domains, found))
    return found.rows


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


async def _dns(config: Config, domains: list[dict[str, Any]], found: Findings) -> None:
    resolver = Resolver(list(config.dns.nameservers), dnssec=config.dns.dnssec)
    await checking_transport.dnssec(config, resolver, found.say)
    await checking_transport.policies(config, [domain["domain"] for domain in domains], resolver, found.say)
    addresses = await _asked(config.hostname, resolver.addresses(config.hostname), found)
    if addresses == []:
        found.say(config.hostname, "bad", f"want an A or AAAA record for {config.hostname}; have none")
    for address in addresses or ():
        name = await resolver.confirmed_name(address)
        state = "ok" if name and name.lower() == config.hostname.lower() else "warn"
        found.say(f"PTR {address}", state, f"want {config.hostname}; have {name or 'none that leads back'}")
        if ipaddress.ip_address(address).is_global:
            for blocklist in BLOCKLISTS:
                await _blocklist(resolver, address, blocklist, found)
    wanted = [record for domain in domains for record in records(domain["domain"], config, domain["dkim"])]
    # All at once: where nobody answers, each question takes its time.
    parts = [Findings() for _ in wanted]
    await asyncio.gather(*(_record(resolver, record, part) for record, part in zip(wanted, parts, strict=True)))
    found.rows += [row for part in parts for row in part.rows]


async def _asked(what: str, question: Awaitable[list[T]], found: Findings) -> list[T] | None:
    """The answer, [] where there is nothing, None (and a finding) where nobody answers."""
    try:
        return await question
    except NoSuchDomain:
        return []
    except DnsTemporary as problem:
        found.say(what, "warn", f"the DNS gives no answer: {problem}")
        return None


async def _record(resolver: Resolver, record: Record, found: Findings) -> None:
    what = f"{record.kind} {record.name}"
    have = await _asked(what, resolver.texts(record.name, record.kind), found)
    if have is None:
        return
    sign = record.value.partition(";")[0].partition(" ")[0]
    if record.kind == "TXT":
        have = [text for text in have if text.startswith(sign)]
    if record.kind == "MX":
        good = any(one.lower().endswith(" " + record.value.partition(" ")[2].lower()) for one in have)
    elif sign in ("v=spf1", "v=DMARC1", "v=TLSRPTv1"):
        good = bool(have)  # how strict it is, is the domain's own choice
    else:
        good = any(_plain(one) == _plain(record.value) for one in have)
    missing = "bad" if record.kind == "MX" else "warn"
    found.say(what, "ok" if good else missing, f"want {record.value}; have {', '.join(have) or 'none'}")


def _plain(text: str) -> str:
    """What counts of a record: spaces and case of host names don't, that of keys does."""
    return text.replace(" ", "") if text.startswith("v=") else text.lower()


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
