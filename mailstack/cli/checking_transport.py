"""What `mailstack check` looks at of keys and of TLS with other hosts."""

import time
from collections.abc import Callable
from typing import Any

from mailstack.config import Config, duration
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import DnsTemporary, NoSuchDomain, Resolver
from mailstack.net.dnssec import Dnssec
from mailstack.net.http import Asking, HttpProblem, ask
from mailstack.net.tls import client_context
from mailstack.wire.mta_sts import POLICY_LIMIT, own_policy, parse_policy

OLD_KEY = 400 * 86400.0  # seconds
SIGNED_ZONE = "iana.org"  # signed with DNSSEC since 2010
Say = Callable[[str, str, str], None]


def keys(rows: list[dict[str, Any]], say: Say) -> None:
    """DKIM keys that should sign and can't be looked up, and those that sign for long."""
    now = time.time()
    for domain in sorted({row["domain"] for row in rows}):
        signing = [row for row in rows if row["domain"] == domain and row["state"] == "signing"]
        waiting = [row for row in rows if row["domain"] == domain and row["state"] == "waiting"]
        what = f"DKIM {domain}"
        if not signing:
            say(what, "bad", f"no key signs: mailstack dkim rotate {domain}, and publish what it prints")
        elif all(row["dns"] in ("missing", "other") for row in signing):
            say(what, "bad", "none of the keys that sign has its record: see the TXT records below")
        elif 0 < min(row["since"] for row in signing) < now - OLD_KEY:
            say(what, "warn", f"a key signs for more than a year: mailstack dkim rotate {domain}")
        else:
            say(what, "ok", ", ".join(f"{row['selector']} signs" for row in signing))
        if waiting:
            say(what, "warn", ", ".join(row["selector"] for row in waiting) + " wait for their records: publish them")


async def dnssec(config: Config, resolver: Resolver, say: Say) -> None:
    """Whether DANE can work: AD must be believed, and the resolver must set it."""
    if not config.dns.dnssec:
        return
    if not resolver.trusts_ad:
        say("DNSSEC", "bad", "dns.dnssec is on, but the name servers are not on this machine: no host is proved by DANE")
        return
    try:
        secure = (await Dnssec(resolver).host(SIGNED_ZONE)).secure
    except DnsTemporary as problem:
        say("DNSSEC", "warn", f"the DNS gives no answer: {problem}")
        return
    text = "the resolver validates" if secure else f"the resolver does not vouch for {SIGNED_ZONE}, which is signed"
    say("DNSSEC", "ok" if secure else "bad", text)


async def policies(config: Config, domains: list[str], resolver: Resolver, say: Say) -> None:
    """Whether others get the MTA-STS policy that is meant."""
    wanted = own_policy(config.mta_sts.mode, config.hostname, duration(config.mta_sts.max_age))
    if wanted is None:
        return
    for domain in domains:
        what, host = f"MTA-STS {domain}", f"mta-sts.{domain}"
        try:
            address = (await resolver.addresses(host))[-1]
            asking = Asking(accept="text/plain", address=address, limit=POLICY_LIMIT)
            answer = await ask(f"https://{host}/.well-known/mta-sts.txt", client_context(verify=True), asking)
            if answer.status != 200:
                raise HttpProblem(f"it says {answer.status}")
            good = parse_policy(answer.body) == wanted
        except (NoSuchDomain, DnsTemporary, HttpProblem, SyntaxProblem) as problem:
            say(what, "bad", f"others can't get the policy from https://{host}/.well-known/mta-sts.txt: {problem}")
            continue
        say(
            what,
            "ok" if good else "bad",
            "others get the policy" if good else "others get another policy than mta_sts.mode says",
        )
