"""DKIM keys that should sign and can't be looked up, those that sign for long; the MTA-STS policy as others get it."""

import asyncio
from typing import Any

from mailstack.config import duration
from mailstack.control.doctor.finding import Finding, Patient
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary, NoSuchDomain
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.net.looking import patience, side_by_side
from mailstack.net.tls import client_context
from mailstack.wire.mta_sts import POLICY_LIMIT, StsPolicy, own_policy, parse_policy

OLD_KEY = 400 * 86400.0  # seconds


async def keys(patient: Patient) -> list[Finding]:
    return judge(await patient.ask("dkim.list") or [], patient.now)


def judge(rows: list[dict[str, Any]], now: float) -> list[Finding]:
    return [finding for domain in sorted({row["domain"] for row in rows}) for finding in _domain(domain, rows, now)]


def _domain(domain: str, rows: list[dict[str, Any]], now: float) -> list[Finding]:
    signing = [row for row in rows if row["domain"] == domain and row["state"] == "signing"]
    waiting = [row for row in rows if row["domain"] == domain and row["state"] == "waiting"]
    what, rotate = f"DKIM {domain}", f"mailstack dkim rotate {domain}"
    effect = "what leaves proves nothing: it lands in spam, and fails DMARC when it is forwarded"
    if not signing:
        found = [Finding(what, "bad", "no key signs", effect, f"{rotate}, and publish what it prints")]
    elif all(row["dns"] in ("missing", "other") for row in signing):
        text = "none of the keys that sign has its record"
        found = [Finding(what, "bad", text, effect, f"publish them: mailstack dns {domain} --zone")]
    elif 0 < min(row["since"] for row in signing) < now - OLD_KEY:
        text = "a key signs for more than a year"
        found = [Finding(what, "warn", text, "who got hold of it can sign in this name", rotate)]
    else:
        found = [Finding(what, "ok", ", ".join(f"{row['selector']} signs" for row in signing))]
    if waiting:
        text = ", ".join(row["selector"] for row in waiting) + " wait for their records"
        found.append(Finding(what, "warn", text, "the old keys sign on", f"publish them: mailstack dns {domain} --zone"))
    return found


async def policies(patient: Patient) -> list[Finding]:
    """Whether others get the MTA-STS policy that is meant (RFC 8461 3.3)."""
    config = patient.config
    wanted = own_policy(config.mta_sts.mode, config.hostname, duration(config.mta_sts.max_age))
    if wanted is None:
        return []
    domains = [row["domain"] for row in await patient.ask("domain.list") or ()]
    return await side_by_side(lambda domain: _policy(domain, wanted, patient), domains)


async def _policy(domain: str, wanted: StsPolicy, patient: Patient) -> Finding:
    what, host = f"MTA-STS {domain}", f"mta-sts.{domain}"
    effect = "hosts that know the policy go by the old one, or by none"
    fix = "the name must lead here, and the certificate hold it: mailstack dns, mailstack tls status"
    try:
        async with asyncio.timeout(patience(patient.resolver)):
            address = (await patient.resolver.addresses(host))[-1]
        asking = Asking(accept="text/plain", address=address, limit=POLICY_LIMIT)
        answer = await ask(f"https://{host}/.well-known/mta-sts.txt", client_context(verify=True), asking)
        if answer.status != 200:
            raise HttpProblem(f"it says {answer.status}")
        good = parse_policy(answer.body) == wanted
    except TimeoutError:
        return Finding(what, "warn", f"{host}: no answer from {patient.resolver.who}", "nobody can say how it is", fix)
    except (NoSuchDomain, DnsTemporary, HttpProblem, SyntaxProblem) as problem:
        text = f"others can't get the policy from https://{host}/.well-known/mta-sts.txt: {problem}"
        return Finding(what, "bad", text, effect, fix)
    if good:
        return Finding(what, "ok", "others get the policy")
    return Finding(what, "bad", "others get another policy than mta_sts.mode says", effect, fix)
