"""A domain's records for mail between hosts: MX, DKIM, DMARC, MTA-STS, TLSRPT."""

import datetime
from dataclasses import replace

from mailstack.mailauth.dkim import same_key
from mailstack.mailauth.dmarc_record import parse_record as parse_dmarc
from mailstack.message.errors import SyntaxProblem
from mailstack.net.dns import Found, Resolver
from mailstack.records import wanted
from mailstack.records.foreign import whose
from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Record, Row, State
from mailstack.records.rows import compared, plain, shown
from mailstack.wire.mta_sts import parse_record as parse_sts
from mailstack.wire.mta_sts import record_of
from mailstack.wire.tlsrpt import parse_record as parse_tlsrpt

SHORT = 600  # seconds for which anybody can wait


async def mx(domain: str, publisher: Publisher, resolver: Resolver) -> Row:
    ours, record = f"{publisher.hostname}.", Record(domain, "MX", f"10 {publisher.hostname}.")
    found = await resolver.found(domain, "MX")
    hosts = sorted((int(one.split()[0]), one.split()[1].lower()) for one in found.values)
    mine = [preference for preference, host in hosts if host == ours.lower()]
    others = [(preference, host) for preference, host in hosts if host != ours.lower()]
    first = [host for preference, host in others if not mine or preference < mine[0]]
    if mine and not first:
        row = compared("MX", record, found, missing=None, effect="")
        backup = ", ".join(host for _, host in others)
        return replace(row, text=f"{row.text}; {backup} get it where this server can't be reached") if others else row
    if not first or first == ["."]:
        return compared("MX", record, found, missing=State.BAD, effect=f"mail for {domain} does not come here")
    where = whose(first[0]) or ", ".join(first)
    effect = f"mail for {domain} goes to {where} first" if mine else f"mail for {domain} still goes to {where}"
    fix = f"when the mailboxes have moved, put {record.value} in place of {', '.join(found.values)}{patience(found)}"
    return compared("MX", record, found, missing=State.BAD, effect=effect, fix=fix, takes_over=True)


def patience(found: Found) -> str:
    """A word on time to live: what was asked for lately is kept elsewhere."""
    if found.ttl is None or found.ttl <= SHORT:
        return ""
    return f"; others keep what is there for {shown(found.ttl)}: lower its TTL to 300 that long before"


async def dkim(key: Key, resolver: Resolver) -> Row:
    found = await resolver.found(key.name, "TXT")
    right = any(same_key(text, key.value) for text in found.values)
    if key.state == "retired":
        return _retired(key, found, right)
    effect = "what this key signs can't be verified: mail lands in spam, and fails DMARC when it is forwarded"
    if key.state == "waiting":
        effect = "the new key waits for this record; until then the old ones sign"
    record = Record(key.name, "TXT", key.value)
    return compared("DKIM", record, found, missing=None if right else State.WARN, effect=effect)


def _retired(key: Key, found: Found, right: bool) -> Row:
    day = datetime.datetime.fromtimestamp(key.until or 0.0, datetime.UTC).date()
    row = Row("DKIM", State.INFO, key.name, "TXT", (), found.values, found.ttl)
    if right:
        return replace(row, text=f"signs no more; the record may go after {day}")
    effect = f"what it signed and is still under way can't be verified (until {day})"
    return replace(row, text="signs no more, and its record is gone", effect=effect)


async def dmarc(domain: str, resolver: Resolver) -> Row:
    record = Record(f"_dmarc.{domain}", "TXT", wanted.dmarc(domain))
    found = await resolver.found(record.name, "TXT")
    have = tuple(text for text in found.values if text.lower().replace(" ", "").startswith("v=dmarc1"))
    problem = _dmarc_problem(have)
    effect = f"{problem}: anybody can write {domain} into From, and large services refuse more of your mail"
    return compared("DMARC", record, Found(have, found.ttl), missing=State.WARN if problem else None, effect=effect)


def _dmarc_problem(have: tuple[str, ...]) -> str | None:
    """How strict it is, is the domain's own choice."""
    if len(have) != 1:
        return "there is none" if not have else "there is more than one, so none counts (RFC 9989 4.7)"
    try:
        return None if parse_dmarc(have[0]) is not None else "it is not one"
    except SyntaxProblem as problem:
        return problem.reason


async def transport_record(domain: str, publisher: Publisher, resolver: Resolver) -> Row | None:
    """MTA-STS's TXT record; None where neither is one wanted nor there."""
    name = f"_mta-sts.{domain}"
    found = await resolver.found(name, "TXT")
    id_ = parse_sts(list(found.values))
    if publisher.policy is None:
        if id_ is None:
            return None
        effect = "others ask for a policy that this server does not give: mta_sts.mode is off"
        fix = "set mta_sts.mode, or take the record away"
        return Row("MTA-STS", State.WARN, name, "TXT", (), found.values, found.ttl, "there is one", effect, fix)
    record = Record(name, "TXT", record_of(publisher.policy))
    right = id_ is not None and plain(record.value) in {plain(one) for one in found.values}
    effect = "hosts that know the policy do not hear of its change" if id_ else "nobody asks for the policy"
    return compared("MTA-STS", record, found, missing=None if right else State.WARN, effect=effect)


async def tls_reports(domain: str, publisher: Publisher, resolver: Resolver) -> Row:
    """By mail or by HTTPS: which of them is the domain's own choice."""
    record = Record(f"_smtp._tls.{domain}", "TXT", wanted.tls_reports(domain, publisher))
    found = await resolver.found(record.name, "TXT")
    asked = parse_tlsrpt(list(found.values))
    right = asked.mail or asked.web
    effect = "nobody tells you when other hosts can't deliver to you by TLS"
    return compared("TLSRPT", record, found, missing=None if right else State.INFO, effect=effect)
