"""What `mailstack check` looks at."""

import asyncio
import datetime
import shutil
import time
from pathlib import Path
from typing import Any

from cryptography import x509

from mailstack.config import Config
from mailstack.control.client import ask
from mailstack.net.dns import DnsTemporary, NoSuchDomain, NullMx, Resolver
from mailstack.store.probe import probe


def findings(config: Config) -> list[dict[str, Any]]:
    """One row a finding: what, state (ok, warn, bad), and what to do."""
    rows: list[dict[str, Any]] = [{"what": "configuration", "state": "ok", "text": "every setting is known and makes sense"}]

    def say(what: str, state: str, text: str) -> None:
        rows.append({"what": what, "state": state, "text": text})

    running = _domains(config)
    say("server", "ok" if running is not None else "warn", "runs" if running is not None else "does not run")
    _ports(config, running is not None, say)
    _disk(config, say)
    _certificate(config, say)
    _clock(say)
    asyncio.run(_dns(config, running or [], say))
    return rows


def _domains(config: Config) -> list[str] | None:
    try:
        answer = ask(config.data / "control.sock", "domain.list", {}, 10)
    except OSError:
        return None
    return [row["domain"] for row in answer["ok"]] if answer and "ok" in answer else None


def _ports(config: Config, running: bool, say: Any) -> None:
    from mailstack.net.listen import ListenProblem, listen

    for name in ("smtp", "submission", "submissions", "imap", "imaps", "http"):
        for text in getattr(config.listen, name):
            if running:
                say(f"port {name}", "ok", f"{text} (ask for answers with: mailstack health)")
                continue
            try:
                listen(text).close()
            except (ListenProblem, OSError) as problem:
                say(f"port {name}", "bad", f"{problem}; stop what uses it, or change listen.{name}")
            else:
                say(f"port {name}", "ok", f"{text} is free")


def _disk(config: Config, say: Any) -> None:
    path = config.data
    if not path.exists():
        say("disk", "warn", f"{path} is not there yet; the first start makes it")
        return
    try:
        found = probe(path)
    except PermissionError:
        say("disk", "bad", f"{path} can't be written by this user")
        return
    for finding in found:
        say("disk", "bad" if finding.fatal else "warn", f"{path}: {finding.text}")
    if not found:
        say("disk", "ok", f"{path} can carry the store")
    free = shutil.disk_usage(path).free
    say("disk space", "ok" if free > 1 << 30 else "warn", f"{free >> 20} MiB free")


def _certificate(config: Config, say: Any) -> None:
    if config.tls.mode == "off":
        say("certificate", "warn", "TLS is off: passwords go over the wire as they are")
        return
    path = Path(config.tls.certificate) if config.tls.mode == "files" else config.data / "tls" / "self-signed.pem"
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as problem:
        say("certificate", "bad" if config.tls.mode == "files" else "warn", f"{path}: {problem}")
        return
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    if config.tls.mode == "self-signed":
        say("certificate", "warn", 'self-signed: clients will ask; get one, and set tls.mode = "files"')
    say("certificate", "ok" if left.days > 14 else "bad", f"{path} is good for {left.days} days")


def _clock(say: Any) -> None:
    now = time.time()
    sane = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC).timestamp() < now < 4_000_000_000
    say("clock", "ok" if sane else "bad", datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds"))


async def _dns(config: Config, domains: list[str], say: Any) -> None:
    resolver = Resolver(list(config.dns.nameservers))

    async def ask_dns(what: str, question: Any) -> Any:
        try:
            return await question
        except (NoSuchDomain, NullMx):
            return None
        except DnsTemporary as problem:
            say(what, "warn", f"the DNS gives no answer: {problem}")
            return ()

    addresses = await ask_dns(config.hostname, resolver.addresses(config.hostname))
    if addresses is None:
        say(config.hostname, "bad", f"want an A or AAAA record for {config.hostname}; have none")
    for address in addresses or ():
        name = await resolver.confirmed_name(address)
        state = "ok" if name and name.lower() == config.hostname.lower() else "warn"
        say(address, state, f"want PTR {config.hostname}; have {name or 'none that leads back'}")
    for domain in domains:
        hosts = await ask_dns(f"MX {domain}", resolver.mx(domain))
        have = ", ".join(host.name for host in hosts or ()) or "none"
        state = "ok" if any(host.name.lower() == config.hostname.lower() for host in hosts or ()) else "bad"
        say(f"MX {domain}", state, f"want {config.hostname}; have {have}")
        for name, sign in ((domain, "v=spf1"), (f"_dmarc.{domain}", "v=DMARC1")):
            texts = await ask_dns(name, resolver.txt(name))
            found = [text for text in texts or () if text.startswith(sign)]
            say(f"TXT {name}", "ok" if found else "warn", f"want {sign} ...; have {found[0] if found else 'none'}")
        for path in sorted((config.data / "dkim" / domain).glob("*.pem")):
            name = f"{path.stem}._domainkey.{domain}"
            texts = await ask_dns(name, resolver.txt(name))
            say(f"TXT {name}", "ok" if texts else "warn", f"want v=DKIM1 ...; have {'it' if texts else 'none'}")
