"""What is known of where a message comes from: one frozen value a method, with the result words of RFC 8601 2.7."""

from dataclasses import dataclass
from enum import StrEnum


class Result(StrEnum):
    """RFC 8601 2.7. No method uses all of them."""

    PASS = "pass"  # noqa: S105 - a word of the protocol
    FAIL = "fail"
    NONE = "none"
    NEUTRAL = "neutral"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"
    POLICY = "policy"


class Request(StrEnum):
    """What a domain's owner asks to be done with mail that fails DMARC (RFC 7489 6.3, RFC 9989 4.7)."""

    NONE = "none"
    QUARANTINE = "quarantine"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Iprev:
    """Whether the peer's address has a name that leads back to it (RFC 8601 3)."""

    result: Result = Result.NONE
    address: str = ""
    name: str | None = None  # the confirmed one
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spf:
    """RFC 7208, of one identity. NONE with no domain: nothing was there to be asked about."""

    result: Result = Result.NONE
    domain: str = ""  # whose record was asked
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dkim:
    """One signature (RFC 6376). POLICY: it holds, but is not accepted here (an outgrown algorithm, an unsigned rest)."""

    result: Result
    domain: str = ""  # d=
    selector: str = ""  # s=
    algorithm: str = ""  # a=
    identity: str = ""  # i=
    signature: str = ""  # the first octets of b= (RFC 6008 4)
    testing: bool = False  # t=y in the key record
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Dmarc:
    """RFC 9989 (and RFC 7489 before it). `request` is what the record asks for where it fails; NONE where it has none."""

    result: Result = Result.NONE
    domain: str = ""  # of From
    policy_domain: str = ""  # where the record was found
    request: Request = Request.NONE
    testing: bool = False  # t=y: the owner wants one step less (RFC 9989 4.7)
    spf_aligned: bool = False  # passed, and in the name of From's organisation
    dkim_aligned: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ArcSet:
    """One hop of a chain: who sealed it, and what he said he saw (ARC-Authentication-Results, unparsed)."""

    instance: int
    domain: str  # of the seal
    selector: str
    results: bytes


@dataclass(frozen=True, slots=True)
class Arc:
    """A chain (RFC 8617): NONE without sets, PASS when every seal and the newest message signature hold, else FAIL."""

    result: Result = Result.NONE
    sets: tuple[ArcSet, ...] = ()  # by instance, oldest first
    oldest_pass: int = 0  # the lowest instance whose message signature still holds; 0: all do (RFC 8617 5.2)
    reason: str = ""

    @property
    def instances(self) -> int:
        """How many sets there are; a sealer writes the next one."""
        return len(self.sets)


@dataclass(frozen=True, slots=True)
class Authentication:
    """All that was found out about one message."""

    iprev: Iprev = Iprev()
    spf: Spf = Spf()  # MAIL FROM; for the null sender of postmaster@<HELO> (RFC 7208 2.4)
    helo: Spf = Spf()
    dkim: tuple[Dkim, ...] = ()
    dmarc: Dmarc = Dmarc()
    arc: Arc = Arc()
