"""DMARC: records, the tree walk, alignment; authheaders beside where both know the same rules."""

import itertools
from collections.abc import Mapping
from functools import cache

import authheaders
import authres
import pytest

from mailstack.mailauth.dmarc import evaluate, walk, worst
from mailstack.mailauth.dmarc_record import Psd, Record, parse_record
from mailstack.mailauth.questions import Answer, Question
from mailstack.mailauth.results import Dkim, Dmarc, Request, Result, Spf
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.suffixes import Suffixes
from tests.support.judging import drive

REJECT = "v=DMARC1; p=reject"


def dmarc(
    domain: str,
    records: Mapping[str, str | None],
    spf: str | Spf = "",
    *dkim: str | Dkim,
    suffixes: frozenset[str] = frozenset(),
) -> Dmarc:
    """`spf`, `dkim`: domains that passed, or results."""
    table = {f"_dmarc.{name}": text for name, text in records.items()}
    passed = Spf(Result.PASS, spf) if isinstance(spf, str) and spf else spf if isinstance(spf, Spf) else Spf()
    signed = [Dkim(Result.PASS, one) if isinstance(one, str) else one for one in dkim]
    found = drive(walk(domain), table)
    return drive(evaluate(found, passed, signed, suffixes.__contains__), table)


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ("v=DMARC1", Record()),
        ("v=DMARC1;p=reject", Record(Request.REJECT)),
        (" v = DMARC1 ; P = Reject ; ", Record(Request.REJECT)),
        ("v=DMARC1; p=quarantine; sp=none; np=reject", Record(Request.QUARANTINE, Request.NONE, Request.REJECT)),
        ("v=DMARC1; p=none; adkim=s; aspf=s; psd=y; t=y", Record(strict_dkim=True, strict_spf=True, psd=Psd.YES, testing=True)),
        ("v=DMARC1; p=none; adkim=x; psd=z; t=x; unknown=1; ; =; x", Record()),
        ("v=DMARC1; p=reject; pct=0", Record(Request.REJECT, testing=True)),
        ("v=DMARC1; p=reject; pct=50", Record(Request.REJECT)),
        (
            "v=DMARC1; p=bad; rua=mailto:a@b.test, https://x.test/, nonsense; ruf=mailto:c@b.test",
            Record(aggregate_reports=("mailto:a@b.test", "https://x.test/"), failure_reports=("mailto:c@b.test",)),
        ),
        ("v=DMARC1; p=reject; p=none", Record(Request.REJECT)),
        ("v=dmarc1; p=reject", None),
        ("v=DMARC10; p=reject", None),
        ("p=reject; v=DMARC1", None),
        ("v=spf1 -all", None),
        ("", None),
    ],
)
def test_records(text: str, record: Record | None) -> None:
    assert parse_record(text) == record


@pytest.mark.parametrize("text", ["v=DMARC1; p=bad", "v=DMARC1; p=none; sp=bad", "v=DMARC1; np=; rua=nonsense"])
def test_a_record_that_asks_for_nothing_known(text: str) -> None:
    with pytest.raises(SyntaxProblem):
        parse_record(text)
    assert dmarc("far.test", {"far.test": text}).result == "permerror"


def test_the_walk_asks_eight_questions_at_most() -> None:
    assert next(walk("a.mail.example.com")) == tuple(
        Question(f"_dmarc.{name}") for name in ("a.mail.example.com", "mail.example.com", "example.com", "com")
    )
    # RFC 9989 4.10: a long name goes on with seven labels.
    long = [question.name for question in next(walk("a.b.c.d.e.f.g.h.i.j.mail.example.com"))]
    assert len(long) == 8
    assert long[0] == "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.example.com"
    assert long[1] == "_dmarc.g.h.i.j.mail.example.com"
    assert len([question.name for question in next(walk("a.b.c.d.e.f.g.example"))]) == 8
    assert len(next(walk("com"))) == 1


@pytest.mark.parametrize(
    ("domain", "records", "organisation"),
    [
        ("a.mail.example.com", {"mail.example.com": REJECT, "example.com": REJECT}, "example.com"),
        ("a.mail.example.com", {"com": "v=DMARC1; psd=y"}, "example.com"),
        ("a.mail.example.com", {"mail.example.com": "v=DMARC1; psd=n", "example.com": REJECT}, "mail.example.com"),
        ("a.mail.example.com", {"a.mail.example.com": REJECT}, "a.mail.example.com"),
        ("a.mail.example.com", {}, "a.mail.example.com"),
        ("com", {"com": "v=DMARC1; psd=y"}, "com"),
        ("example.com", {"com": "v=DMARC1; psd=y", "example.com": REJECT}, "example.com"),
        ("user.hoster.test", {"hoster.test": REJECT}, "user.hoster.test"),  # a public suffix that does not say so
        ("hoster.test", {"hoster.test": REJECT}, "hoster.test"),
    ],
)
def test_organisations(domain: str, records: Mapping[str, str], organisation: str) -> None:
    found = drive(walk(domain), {f"_dmarc.{name}": text for name, text in records.items()})
    assert found.organisation({"hoster.test", "com"}.__contains__) == organisation


def test_two_records_are_none() -> None:
    asked = walk("far.test")
    questions = next(asked)
    with pytest.raises(StopIteration) as end:
        asked.send(tuple(Answer((REJECT, "v=DMARC1; p=none")) for _ in questions))
    assert end.value.value.records == ()


@pytest.mark.parametrize(
    ("spf", "dkim", "record", "result"),
    [
        ("far.test", (), REJECT, "pass"),
        ("bounce.far.test", (), REJECT, "pass"),
        ("bounce.far.test", (), REJECT + "; aspf=s", "fail"),
        ("notfar.test", (), REJECT, "fail"),
        ("test", (), REJECT, "fail"),
        ("", ("far.test",), REJECT, "pass"),
        ("", ("mail.far.test",), REJECT, "pass"),
        ("", ("mail.far.test",), REJECT + "; adkim=s", "fail"),
        ("", ("list.test", "far.test"), REJECT, "pass"),
        (Spf(Result.FAIL, "far.test"), (), REJECT, "fail"),
        (Spf(Result.SOFTFAIL, "far.test"), (), REJECT, "fail"),
        (Spf(Result.TEMPERROR, "far.test"), (), REJECT, "temperror"),
        (Spf(Result.TEMPERROR, "other.test"), (), REJECT, "fail"),
        ("", (Dkim(Result.TEMPERROR, "far.test"),), REJECT, "temperror"),
        ("", (Dkim(Result.POLICY, "far.test"),), REJECT, "fail"),
        ("far.test", (Dkim(Result.TEMPERROR, "far.test"),), REJECT, "pass"),
        ("", (), None, "temperror"),
        ("far.test", (), None, "temperror"),
    ],
    ids=str,
)
def test_alignment(spf: str | Spf, dkim: tuple[str | Dkim, ...], record: str | None, result: str) -> None:
    assert dmarc("far.test", {"far.test": record}, spf, *dkim).result == result


def test_subdomains() -> None:
    records = {"far.test": "v=DMARC1; p=reject; sp=quarantine"}
    found = dmarc("news.far.test", records)
    assert (found.result, found.request, found.policy_domain) == ("fail", Request.QUARANTINE, "far.test")
    assert dmarc("news.far.test", records, "far.test").result == "pass"
    assert dmarc("news.far.test", records, "shop.far.test").result == "pass"
    # Nothing of this name is in the DNS.
    assert dmarc("news.far.test", {"far.test": "v=DMARC1; p=none; np=reject"}).request is Request.REJECT
    # An organisation of its own below is none of ours.
    own = {**records, "shop.far.test": "v=DMARC1; p=none; psd=n"}
    assert dmarc("news.far.test", own, "shop.far.test").result == "fail"
    # The suffix asks for those below it that ask for nothing.
    suffix = dmarc("shop.gov.test", {"gov.test": "v=DMARC1; p=reject; psd=y"})
    assert (suffix.result, suffix.request, suffix.policy_domain) == ("fail", Request.REJECT, "gov.test")
    assert dmarc("a.gov.test", {"gov.test": "v=DMARC1; p=reject; psd=y"}, "b.gov.test").result == "fail"


def test_neighbours_at_a_hoster_are_strangers() -> None:
    records = {"hoster.test": REJECT}
    assert dmarc("a.hoster.test", records, "b.hoster.test").result == "pass"
    assert dmarc("a.hoster.test", records, "b.hoster.test", suffixes=frozenset({"hoster.test"})).result == "fail"
    assert dmarc("a.hoster.test", records, "a.hoster.test", suffixes=frozenset({"hoster.test"})).result == "pass"


async def test_the_list_knows_suffixes() -> None:
    suffixes = Suffixes()
    await suffixes.ready()
    assert suffixes.is_public("co.uk")
    assert not suffixes.is_public("example.co.uk")


def test_the_worst_of_several_authors_counts() -> None:
    good = Dmarc(Result.PASS, "good.test")
    bad = Dmarc(Result.FAIL, "bank.test", request=Request.REJECT)
    assert worst([good, bad, Dmarc(Result.FAIL, "x.test"), Dmarc(Result.TEMPERROR)]) == bad
    assert worst([good, Dmarc(Result.NONE, "y.test")]).domain == "y.test"
    assert worst([]).result == "none"


def test_many_signers_cost_few_questions() -> None:
    asked = 0
    found = drive(walk("far.test"), {"_dmarc.far.test": REJECT})
    evaluation = evaluate(found, Spf(), [Dkim(Result.PASS, f"d{number}.x.far.test") for number in range(50)], lambda _: False)
    questions = next(evaluation)
    with pytest.raises(StopIteration) as end:
        while True:
            asked += len(questions)
            questions = evaluation.send(tuple(Answer(("v=DMARC1; psd=n",)) for _ in questions))
    assert end.value.value.result == "fail"
    assert asked <= 32


def test_authheaders_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where list and tree walk come to the same: a record at the organisation, or at the domain itself."""
    # It reads its list anew each time.
    organisation = cache(authheaders.dmarc_lookup.get_org_domain)
    monkeypatch.setattr(authheaders, "get_org_domain", organisation)
    monkeypatch.setattr(authheaders.dmarc_lookup, "get_org_domain", organisation)
    policies = ["p=reject", "p=quarantine; sp=none", "p=none", "p=reject; aspf=s", "p=reject; adkim=s"]
    domains = ["example.com", "mail.example.com", "example.org"]
    for policy, author, spf, signer in itertools.product(policies, domains[:2], domains, domains):
        for words in (("pass", "fail"), ("fail", "pass"), ("fail", "fail")):
            records = {"example.com": f"v=DMARC1; {policy}", "example.org": "v=DMARC1; p=none"}
            theirs = authheaders.dmarc_per_from(
                author,
                authres.SPFAuthenticationResult(result=words[0], smtp_mailfrom=f"x@{spf}"),
                authres.DKIMAuthenticationResult(result=words[1], header_d=signer),
                dnsfunc=lambda name, records=records: records.get(name.removeprefix("_dmarc.")),
            )
            ours = dmarc(author, records, Spf(Result(words[0]), spf), Dkim(Result(words[1]), signer))
            assert ours.result == theirs[0], (policy, author, spf, signer, words)
            if author != "example.com":  # there it takes sp= for the organisation's own mail
                assert ours.request == theirs[3], (policy, author)
