"""Whether mail can leave: port 25 of others, or the smarthost."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from mailstack.control.doctor.finding import Finding, Patient
from mailstack.net.dns import DnsTemporary, NoSuchDomain, NullMx, Resolver
from mailstack.net.looking import patience

WELL_KNOWN = ("gmail.com", "outlook.com", "yahoo.com")  # that take mail of the whole world; asked only when the admin says so
SECONDS = 10.0


async def outgoing(patient: Patient) -> list[Finding]:
    relay = patient.config.relay
    if relay.smarthost:
        parts = urlsplit(relay.smarthost)
        port = parts.port or (465 if parts.scheme == "smtps" else 587)
        problem = await _greets(parts.hostname or "", port, tls=parts.scheme == "smtps")
        return [judge_smarthost(f"{parts.hostname} port {port}", problem)]
    if not patient.outside:
        text = "whether port 25 of others can be reached was not tried"
        return [Finding("sending", "info", text, "", "mailstack check --outside asks hosts that take everybody's mail")]
    tries = await asyncio.gather(*(_try(domain, relay.mx_port, patient.resolver) for domain in WELL_KNOWN))
    return [judge_direct(dict(zip(WELL_KNOWN, tries, strict=True)))]


async def _try(domain: str, port: int, resolver: Resolver) -> str | None:
    try:
        async with asyncio.timeout(patience(resolver)):
            hosts = await resolver.mx(domain)
            address = (await resolver.addresses(hosts[0].name, ipv6=False))[0]
    except TimeoutError:
        return f"no answer from {resolver.who}"
    except (NoSuchDomain, DnsTemporary, NullMx, IndexError) as problem:
        return f"the DNS: {problem}"
    return await _greets(address, port)


async def _greets(host: str, port: int, *, tls: bool = False) -> str | None:
    """Why no greeting came; None when one did."""
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=tls or None)
            with contextlib.closing(writer):
                line = await reader.readline()
        return None if line.startswith(b"220") else f"said {line[:60]!r}"
    except TimeoutError:
        return "no answer"
    except (OSError, ValueError) as problem:
        return str(problem)


def judge_smarthost(place: str, problem: str | None) -> Finding:
    if problem is None:
        return Finding("sending", "ok", f"the smarthost {place} answers")
    fix = "see relay.smarthost; other ports and services: mailstack smarthost list"
    return Finding("sending", "bad", f"the smarthost {place}: {problem}", "no mail leaves: it waits in the queue", fix)


def judge_direct(tries: dict[str, str | None]) -> Finding:
    """Where one can be reached, the port is open; the others have their own reasons."""
    good = [domain for domain, problem in tries.items() if problem is None]
    if good:
        return Finding("sending", "ok", f"port 25 of {', '.join(good)} can be reached")
    text = "; ".join(f"{domain}: {problem}" for domain, problem in tries.items())
    effect = "no mail leaves for other hosts: many providers close port 25"
    fix = "ask your provider to open port 25, or send by a service: mailstack smarthost list"
    return Finding("sending", "bad", text, effect, fix)
