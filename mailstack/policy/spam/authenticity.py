"""Rules about who stands for a message: what SPF, DKIM and DMARC came to. A DMARC failure is weighed once, not thrice."""

from mailstack.mailauth.results import Result
from mailstack.policy.spam.facts import Facts


def spf_fail(facts: Facts) -> str | None:
    return _spf(facts, Result.FAIL, "does not send from {peer}")


def spf_softfail(facts: Facts) -> str | None:
    return _spf(facts, Result.SOFTFAIL, "hardly sends from {peer}")


def _spf(facts: Facts, result: Result, words: str) -> str | None:
    known = facts.authentication
    if facts.here or known is None or known.spf.result is not result or known.dmarc.result is Result.PASS:
        return None
    return f"{known.spf.domain[:80]} says that it " + words.format(peer=facts.peer)


def dkim_broken(facts: Facts) -> str | None:
    known = facts.authentication
    if known is None or any(one.result is Result.PASS for one in known.dkim):
        return None
    broken = next((one for one in known.dkim if one.result is Result.FAIL), None)
    return f"the signature of {broken.domain[:80]} does not hold" if broken is not None else None


def dmarc_fail(facts: Facts) -> str | None:
    """What the domain's owner wants done about it is obeyed elsewhere (policy/dmarc.py); this is for those who want nothing."""
    known = facts.authentication
    if known is None or known.dmarc.result is not Result.FAIL:
        return None
    return f"nothing shows that it is from {known.dmarc.domain[:80]}"


def dmarc_pass(facts: Facts) -> str | None:
    known = facts.authentication
    if known is None or known.dmarc.result is not Result.PASS:
        return None
    return f"is from {known.dmarc.domain[:80]}"


def nobody_answers(facts: Facts) -> str | None:
    """Neither SPF nor a signature: no domain stands for it."""
    known = facts.authentication
    if facts.here or known is None or known.spf.result in (Result.PASS, Result.TEMPERROR) or facts.verified:
        return None
    if any(one.result in (Result.PASS, Result.TEMPERROR) for one in known.dkim):
        return None
    return "no domain stands for it"
