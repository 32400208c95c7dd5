"""Authentication-Results, written for those who read the mail here (RFC 8601)."""

import re

from mailstack.mailauth.results import Authentication, Dkim, Dmarc, Result, Spf

SHOWN = 80  # characters of a text that is somebody else's: no line of the field may be longer than 998 octets
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~=/-]*@[A-Za-z0-9.-]+")
_UNSEEN = re.compile(r"[^\x20-\x7e]")


def write(host: str, found: Authentication, sender: str) -> bytes:
    """The field. `host`: who judged (authserv-id); `sender`: of the envelope, "" where it is null."""
    parts = [host]
    who = found.iprev
    if who.result is not Result.NONE:
        parts.append(f"iprev={who.result} policy.iprev={_value(who.address)}{_comment(who.name or who.reason)}")
    if sender:
        parts.append(_spf(found.spf, f"smtp.mailfrom={_value(sender)}"))
        if found.helo.domain:
            parts.append(_spf(found.helo, f"smtp.helo={_value(found.helo.domain)}"))
    else:
        parts.append(_spf(found.spf, f"smtp.helo={_value(found.spf.domain)}" if found.spf.domain else ""))
    parts += [_dkim(one) for one in found.dkim] or ["dkim=none"]
    parts.append(_dmarc(found.dmarc))
    arc = found.arc
    if arc.result is not Result.NONE:
        reason = f" reason={_quoted(arc.reason)}" if arc.reason else ""
        count = f"i={arc.instances}" if arc.sets else ""
        oldest = f" header.oldest-pass={arc.oldest_pass}" if arc.result is Result.PASS else ""
        parts.append(f"arc={arc.result}{_comment(count)}{reason}{oldest}")
    return ("Authentication-Results: " + ";\r\n\t".join(parts) + "\r\n").encode("ascii")


def _spf(one: Spf, place: str) -> str:
    reason = f" reason={_quoted(one.reason)}" if one.reason and one.result is not Result.PASS else ""
    return f"spf={one.result}{reason} {place}".rstrip()


def _dkim(one: Dkim) -> str:
    text = f"dkim={one.result}"
    if one.testing:
        text += " (test key)"
    if one.reason:
        text += f" reason={_quoted(one.reason)}"
    values = (("d", one.domain), ("s", one.selector), ("a", one.algorithm), ("b", one.signature))
    return text + "".join(f" header.{name}={_value(value)}" for name, value in values if value)


def _dmarc(one: Dmarc) -> str:
    text = f"dmarc={one.result}"
    if one.policy_domain:
        text += f" (p={one.request}{' t=y' if one.testing else ''})"
    elif one.reason:
        text += f" reason={_quoted(one.reason)}"
    return text + (f" header.from={_value(one.domain)}" if one.domain else "")


def _value(text: str) -> str:
    """RFC 8601 2.2: a value, a domain, or an address; quoted where it is none of them. Text of others can't break out."""
    text = _UNSEEN.sub("?", text)[:255]
    return text if _TOKEN.fullmatch(text) or _ADDRESS.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    text = _UNSEEN.sub("?", text)[:SHOWN].replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _comment(text: str) -> str:
    text = re.sub(r"[()\\]", "?", _UNSEEN.sub("?", text)[:SHOWN])
    return f" ({text})" if text else ""
