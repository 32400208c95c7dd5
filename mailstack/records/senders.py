"""Who may send in a domain's name: its SPF record, and the one that would be right."""

from mailstack.mailauth.results import Result
from mailstack.net.dns import DnsTemporary, Found, Resolver
from mailstack.net.spf import check_host
from mailstack.records import spf
from mailstack.records.mail import patience
from mailstack.records.publisher import Publisher
from mailstack.records.record import Record, Row, State
from mailstack.records.rows import compared

SECONDS = 10.0  # the comparison ends before


async def senders(domain: str, publisher: Publisher, resolver: Resolver) -> Row:
    texts = await resolver.found(domain, "TXT")
    have = tuple(text for text in texts.values if spf.is_spf(text))
    found = Found(have, texts.ttl)
    problem = await _problem(have, domain, publisher, resolver)
    record = Record(domain, "TXT", have[0] if problem is None else spf.merge(list(have), publisher.spf_terms))
    effect = f"{problem}: others can't tell mail of {domain} from forged mail, and put it into spam or refuse it"
    fix = f"put in place of the SPF record of {domain}: {record.value}{patience(found)}" if have else ""
    return compared("SPF", record, found, missing=State.WARN if problem else None, effect=effect, fix=fix)


async def _problem(have: tuple[str, ...], domain: str, publisher: Publisher, resolver: Resolver) -> str | None:
    """Why what is there won't do; None where it lets this server send: by its words, or because they come to that."""
    if len(have) != 1:
        return "there is none" if not have else "there is more than one, so none counts (RFC 7208 4.5)"
    (text,) = have
    if spf.allows_all(text):
        return "it lets everybody send in this name"
    if spf.has(text, publisher.spf_terms):
        return None
    for address in publisher.addresses:
        sender = f"postmaster@{domain}"
        seen = await check_host(resolver, address, sender, publisher.hostname, publisher.hostname, seconds=SECONDS)
        if seen.result is Result.TEMPERROR:
            raise DnsTemporary(f"{domain} SPF: {seen.reason}")
        if seen.result is Result.PERMERROR:
            return f"it can't be worked out ({seen.reason})"
        if seen.result is not Result.PASS:
            return f"it does not let {address} send"
    if publisher.addresses and spf.has(text, publisher.sends_by):
        return None
    missing = [term for term in publisher.spf_terms if not spf.has(text, (term,))]
    return f"it lacks {' '.join(missing)}"
