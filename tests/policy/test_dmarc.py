"""What follows from DMARC: obeyed, observed, or overridden by those who are trusted."""

import pytest

from mailstack.mailauth.results import Arc, ArcSet, Authentication, Dmarc, Request, Result
from mailstack.message.address import parse_address
from mailstack.message.envelope import Recipient
from mailstack.policy.dmarc import AuthenticationSettings, Decision, Pass, Quarantine, decide, vouched
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Defer, Reject

SETTINGS = AuthenticationSettings(trusted_sealers=frozenset({"list.test"}))


def decision(
    dmarc: Dmarc,
    arc: Arc | None = None,
    *,
    settings: AuthenticationSettings = SETTINGS,
    to: tuple[str, ...] = ("alice@a.test",),
    peer_known: bool = True,
) -> Decision:
    one = Transaction("1", "192.0.2.1", "mx.far.test", "ESMTP", None, None, 0.0, peer_known=peer_known)
    one.recipients = [(Recipient(parse_address(text)), ()) for text in to]
    return decide(one, Authentication(dmarc=dmarc, arc=arc or Arc()), settings)


def failed(request: Request, *, testing: bool = False) -> Dmarc:
    return Dmarc(Result.FAIL, "far.test", "far.test", request, testing)


REJECT = failed(Request.REJECT)


@pytest.mark.parametrize(
    ("dmarc", "kind"),
    [
        (Dmarc(), Pass),
        (Dmarc(Result.PASS, "far.test", "far.test", Request.REJECT), Pass),
        (failed(Request.NONE), Pass),
        (failed(Request.QUARANTINE), Quarantine),
        (REJECT, Reject),
        (failed(Request.QUARANTINE, testing=True), Pass),
        (failed(Request.REJECT, testing=True), Quarantine),
        (Dmarc(Result.TEMPERROR, "far.test"), Pass),
        (Dmarc(Result.TEMPERROR, "far.test", "far.test", Request.QUARANTINE), Pass),
        (Dmarc(Result.TEMPERROR, "far.test", "far.test", Request.REJECT), Defer),
        (Dmarc(Result.PERMERROR, "far.test"), Pass),
    ],
)
def test_what_owners_ask_for(dmarc: Dmarc, kind: type[Decision]) -> None:
    assert isinstance(decision(dmarc), kind)
    assert isinstance(decision(dmarc, settings=AuthenticationSettings(obey_dmarc=False)), Pass)
    assert isinstance(decision(dmarc, peer_known=False), Pass)


def test_a_refusal_says_why_and_whom_to_ask() -> None:
    found = decision(REJECT)
    assert isinstance(found, Reject)
    assert (found.reply.code, found.reply.enhanced, found.reason) == (550, "5.7.1", "dmarc-policy")
    assert "far.test" in found.reply.text
    assert "postmaster@a.test" in found.reply.text
    later = decision(Dmarc(Result.TEMPERROR, "far.test", "far.test", Request.REJECT))
    assert isinstance(later, Defer)
    assert (later.reply.code, later.reply.enhanced) == (451, "4.7.1")


def test_everybody_can_ask_the_postmaster() -> None:
    assert isinstance(decision(REJECT, to=("Postmaster@a.test", "abuse@a.test")), Quarantine)
    assert isinstance(decision(REJECT, to=("postmaster@a.test", "alice@a.test")), Reject)


def chain(*hops: tuple[str, str], result: Result = Result.PASS) -> Arc:
    """(sealer, what he says he saw), oldest first."""
    sets = tuple(
        ArcSet(number, name, "s", f"i={number}; mx.{name}; {said}".encode()) for number, (name, said) in enumerate(hops, 1)
    )
    return Arc(result, sets)


SAW = "dmarc=pass (p=reject) header.from=far.test"


@pytest.mark.parametrize(
    ("arc", "sealer"),
    [
        (chain(("list.test", SAW)), "list.test"),
        (chain(("sub.list.test", SAW)), "sub.list.test"),
        (chain(("evil.test", SAW)), None),
        (chain(("notlist.test", SAW)), None),
        (chain(("list.test", SAW), result=Result.FAIL), None),
        (chain(("list.test", SAW), result=Result.TEMPERROR), None),
        (chain(("list.test", SAW), ("list.test", "dmarc=fail header.from=far.test")), "list.test"),
        # Who handled it last could have made it all up.
        (chain(("list.test", SAW), ("evil.test", SAW)), None),
        (chain(("evil.test", SAW), ("list.test", "dmarc=fail header.from=far.test")), None),
        (chain(("list.test", "dmarc=pass header.from=other.test")), None),
        (chain(("list.test", "dmarc=fail header.from=far.test")), None),
        (chain(("list.test", "dmarc=pass")), None),
        (chain(("list.test", "spf=pass smtp.mailfrom=x@y; broken (")), None),
        (Arc(), None),
    ],
)
def test_a_trusted_forwarder_vouches(arc: Arc, sealer: str | None) -> None:
    assert vouched(arc, "far.test", SETTINGS.trusted_sealers) == sealer
    found = decision(REJECT, arc)
    assert isinstance(found, Reject if sealer is None else Pass)
    assert vouched(arc, "far.test", ()) is None
