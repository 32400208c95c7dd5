"""Whether a message that leaves will pass DMARC where it arrives (RFC 7489 3.1): judged by what its receiver will find."""

from collections.abc import Callable
from dataclasses import dataclass

from mailstack.mailauth.dmarc import Found, applicable
from mailstack.mailauth.results import Request
from mailstack.policy.dmarc import wanted


@dataclass(frozen=True, slots=True)
class AuthorPolicy:
    """What the author's domain asks of receivers; without a record nobody asks."""

    request: Request = Request.NONE
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


def author_policy(found: Found, is_public_suffix: Callable[[str], bool]) -> AuthorPolicy:
    """What counts here of the records that a walk from the author's domain found."""
    policy = applicable(found, is_public_suffix)
    if found.trouble or policy is None:
        return AuthorPolicy()
    place, record, _ = policy
    request = record.policy if place == found.domain else record.for_subdomain(exists=True)
    return AuthorPolicy(wanted(request, testing=record.testing), record.strict_dkim, record.strict_spf)


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
    obeyed = policy.request is not Request.NONE
    consequence = f"; {author} asks receivers to {policy.request} it" if obeyed else ""
    return Unaligned(f"this will fail DMARC, because {' and '.join(why)}{consequence}", obeyed)
