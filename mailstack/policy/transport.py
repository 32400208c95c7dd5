"""How safe a connection to another host must be: MTA-STS, DANE, what the domain did before, and what the message says."""

import enum
from dataclasses import dataclass

from mailstack.mailauth.dane import Tlsa
from mailstack.message.envelope import TlsWish
from mailstack.wire.mta_sts import Mode, StsPolicy


class Level(enum.IntEnum):
    """How safe a connection is."""

    CLEAR = 0
    ENCRYPTED = 1  # to whom, nobody knows
    NAMED = 2  # the host's name was proved by a public authority
    DANE = 3  # by the DNS


LEVEL_NAMES = {Level.CLEAR: "none", Level.ENCRYPTED: "encrypted", Level.NAMED: "verified", Level.DANE: "dane"}


class PolicyKind(enum.StrEnum):
    """As reports name them (RFC 8460 4.4)."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


class ResultType(enum.StrEnum):
    """What failed, as reports name it (RFC 8460 4.3)."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    DANE_REQUIRED = "dane-required"
    STS_FETCH = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class TlsaFound:
    """`records`: those that a validating resolver vouches for; `failed`: it gave no answer that can be trusted."""

    records: tuple[Tlsa, ...] = ()
    failed: bool = False
    names: tuple[str, ...] = ()  # that a certificate may be for


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a host is not used."""

    kind: ResultType | None
    text: str


@dataclass(frozen=True, slots=True)
class TlsPolicy:
    """What is tried with a host (`wanted`), and the least that must come of it."""

    kind: PolicyKind = PolicyKind.NONE
    wanted: Level = Level.ENCRYPTED
    least: Level = Level.CLEAR
    why: str = ""  # what asks for it
    records: tuple[Tlsa, ...] = ()
    names: tuple[str, ...] = ()
    refusal: Refusal | None = None
    noted: Refusal | None = None  # what is wrong, and tolerated


OPPORTUNISTIC = TlsPolicy()


def decide(
    host: str,
    *,
    sts: StsPolicy | None = None,
    tlsa: TlsaFound | None = None,
    wish: TlsWish = TlsWish.POLICY,
    best: Level = Level.CLEAR,
    keeps: bool = False,
    secure_mx: bool = False,
) -> TlsPolicy:
    """What must hold for one host of a domain. `best`: the level that the domain had; `keeps`: no less than that is taken.
    `secure_mx`: the DNS vouches for the domain's list of hosts.

    DANE goes first: MTA-STS never makes up for it (RFC 8461 2).
    """
    if wish is TlsWish.OPTIONAL:
        return OPPORTUNISTIC  # RFC 8689 4.1
    required = wish is TlsWish.REQUIRED
    if tlsa is not None and tlsa.failed:
        return _refused(PolicyKind.TLSA, ResultType.DNSSEC_INVALID, f"the TLSA records of {host} can't be had from the DNS")
    if tlsa is not None and tlsa.records:
        if any(record.usable for record in tlsa.records):
            return TlsPolicy(PolicyKind.TLSA, Level.DANE, Level.DANE, "DANE", tlsa.records, tlsa.names or (host,))
        if not required and (sts is None or sts.mode is not Mode.ENFORCE):
            # RFC 7672 2.2: nothing to verify with, and still never in the clear.
            return TlsPolicy(PolicyKind.TLSA, Level.ENCRYPTED, Level.ENCRYPTED, "DANE, with no usable record", tlsa.records)
    if sts is not None and sts.mode is not Mode.NONE:
        return _by_sts(host, sts, required=required)
    if required and not secure_mx:
        # RFC 8689 4.2.1: not only the host must be proved, but that it is one of the domain's.
        text = f"nobody vouches that {host} is a host of its domain: neither DNSSEC nor MTA-STS"
        return TlsPolicy(PolicyKind.NONE, Level.NAMED, Level.NAMED, "REQUIRETLS", refusal=Refusal(None, text))
    if required:
        return TlsPolicy(PolicyKind.NONE, Level.NAMED, Level.NAMED, "REQUIRETLS")
    if keeps and best > Level.CLEAR:
        least = Level.ENCRYPTED
        return TlsPolicy(PolicyKind.NONE, Level.ENCRYPTED, least, "TLS, which the domain offered before")
    return OPPORTUNISTIC


def _by_sts(host: str, sts: StsPolicy, *, required: bool) -> TlsPolicy:
    enforced = sts.mode is Mode.ENFORCE or required
    why = "REQUIRETLS" if required else f"MTA-STS ({sts.mode})"
    wrong = None if sts.fits(host) else Refusal(ResultType.VALIDATION, f"the MTA-STS policy of its domain does not name {host}")
    if wrong is not None and enforced:
        return TlsPolicy(PolicyKind.STS, Level.NAMED, Level.NAMED, why, refusal=wrong)
    return TlsPolicy(PolicyKind.STS, Level.NAMED, Level.NAMED if enforced else Level.CLEAR, why, noted=wrong)


def _refused(kind: PolicyKind, result: ResultType, text: str) -> TlsPolicy:
    return TlsPolicy(kind, Level.DANE, Level.DANE, "DANE", refusal=Refusal(result, text))
