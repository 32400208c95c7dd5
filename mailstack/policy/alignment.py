"""Whether a message that leaves will pass DMARC where it arrives (RFC 7489 3.1): judged by what its receiver will find."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuthorPolicy:
    """What the author's domain asks of receivers; without a record nobody asks."""

    found: bool = False
    policy: str = "none"
    strict_dkim: bool = False
    strict_spf: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What the receiver will find. None where it could not be asked: then it counts as good."""

    author: str  # the domain of From
    signing: str | None  # the domain in whose name it is signed
    published: bool | None  # whether the record of a key that signs is in the DNS
    envelope: str  # the domain of the envelope's sender, or of this host for the null sender
    spf: bool | None  # whether that domain has an SPF record
    policy: AuthorPolicy


@dataclass(frozen=True, slots=True)
class Unaligned:
    """Neither DKIM nor SPF will speak for the author's domain. `reason` for people; `obeyed`: receivers are asked to act."""

    reason: str
    obeyed: bool


def author_policy(record: str | None) -> AuthorPolicy:
    """What counts here of a DMARC record (RFC 7489 6.3). Never raises."""
    tags: dict[str, str] = {}
    for one in (record or "").split(";"):
        name, _, value = one.partition("=")
        tags.setdefault(name.strip().lower(), value.strip().lower())
    if tags.get("v") != "dmarc1":
        return AuthorPolicy()
    return AuthorPolicy(True, tags.get("p", "none"), tags.get("adkim") == "s", tags.get("aspf") == "s")


def aligned(one: str, author: str, *, strict: bool) -> bool:
    """Whether a domain speaks for the author's: the same, or (not strict) one above the other.

    Relaxed alignment means the same organisation (RFC 7489 3.1.1). Domains here sign for themselves and for those below
    them, so that no list of public suffixes is asked.
    """
    if one == author:
        return True
    shorter, longer = sorted((one, author), key=len)
    return not strict and "." in shorter and longer.endswith("." + shorter)


def check(standing: Standing) -> Unaligned | None:
    """Why the message will fail, None when it will not as far as can be seen from here."""
    author, policy = standing.author, standing.policy
    why = []
    if standing.signing is None:
        why.append(f"no DKIM key signs for {author} (mailstack dkim list)")
    elif not aligned(standing.signing, author, strict=policy.strict_dkim):
        why.append(f"the signature is {standing.signing}'s, and {author} asks for its own (adkim=s)")
    elif standing.published is False:
        why.append(f"the DKIM record of {standing.signing} is not in the DNS (mailstack dkim list {standing.signing})")
    else:
        return None
    if not aligned(standing.envelope, author, strict=policy.strict_spf):
        why.append(f"the envelope's sender is of {standing.envelope}")
    elif standing.spf is False:
        why.append(f"{standing.envelope} has no SPF record")
    else:
        return None
    obeyed = policy.policy in ("quarantine", "reject")
    consequence = f"; {author} asks receivers to {policy.policy} it" if obeyed else ""
    return Unaligned(f"this will fail DMARC, because {' and '.join(why)}{consequence}", obeyed)
