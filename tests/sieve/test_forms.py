"""Rules made by forms: the script says what the form says, and gives the form back until a hand changes it."""

import datetime
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.sieve.forms.checking import problems
from mailstack.sieve.forms.model import STATES, Action, Condition, Does, Forms, Forwarding, How, Rule, Vacation, What
from mailstack.sieve.forms.reading import of_data, read, to_data
from mailstack.sieve.forms.writing import FORM, SEAL, TITLE, seal, write
from mailstack.sieve.questions import Question, ScriptNamed
from mailstack.sieve.script import compile
from tests.support.sieve import ENVIRONMENT, MESSAGE, PARTS, actions

PERSONAL = MESSAGE.replace(b"List-Id: Acme <acme.example.com>\r\n", b"")
TO = Action(Does.MOVE, "Found")


def one(condition: Condition, **more: object) -> Forms:
    return Forms(rules=(Rule("one", (condition,), (TO,), **more),))  # type: ignore[arg-type]


TRUE = [
    Condition(What.FROM, How.CONTAINS, "wile e."),
    Condition(What.FROM, How.IS, "coyote@DESERT.example.org"),
    Condition(What.FROM, How.ENDS, "@desert.example.org"),
    Condition(What.TO, How.IS, "bob@other.example.net"),
    Condition(What.TO, How.STARTS, "jorg@"),
    Condition(What.SUBJECT, How.CONTAINS, "für"),
    Condition(What.SUBJECT, How.STARTS, "[acme]"),
    Condition(What.LIST_ID, How.IS, "acme.example.com"),
    Condition(What.LIST_ID, How.IS, "<acme.example.com>"),
    Condition(What.LIST_ID, How.CONTAINS, "acme"),
    Condition(What.HEADER, How.IS, "17", "X-Score"),
    Condition(What.SIZE, How.OVER, "100"),
    Condition(What.SIZE, How.UNDER, "1M"),
]
FALSE = [
    Condition(What.FROM, How.STARTS, "*"),
    Condition(What.FROM, How.IS, "wile e. coyote"),
    Condition(What.SUBJECT, How.ENDS, "?"),
    Condition(What.LIST_ID, How.IS, "me.example.com"),
    Condition(What.HEADER, How.CONTAINS, "17", "X-None"),
    Condition(What.ATTACHMENT, How.IS),
    Condition(What.SPAM, How.IS),
]


@pytest.mark.parametrize("condition", TRUE)
def test_a_condition_that_holds(condition: Condition) -> None:
    assert not problems(one(condition))
    assert actions(write(one(condition))) == ["file Found"]
    assert actions(write(one(replace(condition, negated=True)))) == ["keep"]


@pytest.mark.parametrize("condition", FALSE)
def test_a_condition_that_does_not_hold(condition: Condition) -> None:
    assert not problems(one(condition))
    assert actions(write(one(condition))) == ["keep"]
    assert actions(write(one(replace(condition, negated=True)))) == ["file Found"]


def test_an_attachment_is_found_in_any_part() -> None:
    assert actions(write(one(Condition(What.ATTACHMENT, How.IS))), message=PARTS) == ["file Found"]


def test_what_is_done() -> None:
    copied = (Action(Does.COPY, "Copies/All"), Action(Does.FORWARD, "bob@x.test"))
    done = (Action(Does.FLAG), *copied, Action(Does.KEEP), Action(Does.READ))
    script = write(Forms(rules=(Rule("all", (), done),)))
    assert actions(script) == [r"file Copies/All with \Flagged \Seen", "send bob@x.test", r"keep with \Flagged \Seen"]
    assert actions(write(Forms(rules=(Rule("none", (), (Action(Does.DISCARD),)),)))) == ["discard"]


def test_rules_go_in_their_order_until_one_says_stop() -> None:
    rules = (
        Rule("off", (), (Action(Does.DISCARD),), enabled=False),
        Rule("any", (FALSE[0], TRUE[0]), (Action(Does.MOVE, "A"), Action(Does.STOP)), every=False),
        Rule("never", (), (Action(Does.MOVE, "B"),)),
    )
    assert actions(write(Forms(rules=rules))) == ["file A"]
    every = (replace(rules[1], every=True), rules[2])
    assert actions(write(Forms(rules=every))) == ["file B"]


def test_a_rule_about_spam_leaves_junk_to_itself() -> None:
    """The script is asked about junk then, and all else in it is as silent about it as before."""
    forms = Forms(
        Vacation(True, "away", addresses=("roadrunner@acme.example.com",)),
        Forwarding(("bob@x.test",)),
        (Rule("spam", (Condition(What.SPAM, How.IS),), (Action(Does.MOVE, "Spam"),)), Rule("all", (), (Action(Does.FLAG),))),
    )
    junk, good = replace(ENVIRONMENT, spam=80.0), replace(ENVIRONMENT, spam=20.0)
    assert actions(write(forms), message=PERSONAL, environment=junk) == ["file Spam"]
    assert actions(write(forms), message=PERSONAL, environment=good) == [
        "answer coyote@desert.example.org",
        "send bob@x.test",
        r"keep with \Flagged",
    ]


def test_forwarding_with_and_without_a_copy() -> None:
    assert actions(write(Forms(forwarding=Forwarding(("a@x.test", "b@x.test"))))) == ["send a@x.test", "send b@x.test", "keep"]
    assert actions(write(Forms(forwarding=Forwarding(("a@x.test",), keep=False)))) == ["send a@x.test"]


@pytest.mark.parametrize(
    ("first", "last", "answers"),
    [(None, None, True), ("2026-03-04", "2026-03-04", True), ("2026-03-05", None, False), (None, "2026-03-03", False)],
)
def test_the_answer_has_its_days(first: str | None, last: str | None, *, answers: bool) -> None:
    days = [datetime.date.fromisoformat(day) if day else None for day in (first, last)]
    script = write(Forms(Vacation(True, 'I am "away"\n#: rule {}\n.\n', "Über", days[0], days[1])))
    assert actions(script, message=PERSONAL) == (["answer coyote@desert.example.org"] if answers else []) + ["keep"]


def test_a_script_by_hand_goes_on_after_the_rules() -> None:
    other = compile('require "fileinto"; fileinto "ByHand";')
    asked: list[Question] = []

    def answer(question: Question) -> object:
        asked.append(question)
        return other

    assert actions(write(Forms(then='my "own"')), answer=answer) == ["file ByHand"]
    assert asked == [ScriptNamed('my "own"', False)]
    assert actions(write(Forms(then="gone"))) == ["keep"]


# Back again -----------------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=20)
addresses = st.sampled_from(["a@x.test", "b@x.test", '"q u"@x.test'])
compared = st.builds(
    Condition,
    st.sampled_from([What.FROM, What.TO, What.SUBJECT, What.LIST_ID, What.HEADER]),
    st.sampled_from([How.CONTAINS, How.IS, How.STARTS, How.ENDS]),
    words,
    st.just("X-Field"),
    st.booleans(),
)
states = st.builds(Condition, st.sampled_from(sorted(STATES, key=str)), st.just(How.IS), negated=st.booleans())
plain = st.builds(Action, st.sampled_from([Does.FLAG, Does.READ, Does.KEEP, Does.DISCARD, Does.STOP]))
placed = st.builds(
    Action, st.sampled_from([Does.MOVE, Does.COPY]), words.map(lambda name: name.replace("/", "-")).filter(lambda n: n.strip())
)
rules = st.builds(
    Rule,
    words,
    st.lists(compared | states, max_size=3).map(tuple),
    st.lists(plain | placed, min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
)
vacations = st.builds(
    Vacation,
    st.booleans(),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from('"\\\n#:.'), min_size=1).filter(
        lambda text: text.strip()
    ),
    words | st.just(""),
    st.none(),
    st.dates(),
    st.integers(1, 365),
    st.lists(addresses, max_size=2).map(tuple),
)
everything = st.builds(
    Forms,
    vacations,
    st.builds(Forwarding, st.lists(addresses, max_size=3).map(tuple), st.booleans()),
    st.lists(rules, max_size=3).map(tuple),
    words.filter(lambda name: "/" not in name) | st.just(""),
)


@settings(max_examples=25, deadline=None)
@given(everything)
def test_every_form_makes_a_script_that_gives_it_back(forms: Forms) -> None:
    assert not problems(forms)
    script = write(forms)
    compile(script)
    assert read(script) == forms
    assert read(script.replace("\n", "\r\n")) == forms  # as ManageSieve clients send it
    assert of_data(to_data(forms)) == forms


def test_what_a_hand_changed_is_text() -> None:
    script = write(one(TRUE[0]))
    assert read(script.replace("Found", "Lost")) is None
    assert read(script + "keep;\n") is None
    assert read("keep;") is None


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.sampled_from(["rule", "then", "vacation", "x", ""]).flatmap(lambda kind: st.tuples(st.just(kind), st.text())),
        max_size=3,
    )
)
def test_any_comment_is_forms_or_nothing(pieces: list[tuple[str, str]]) -> None:
    body = "\n".join(f"{FORM}{kind} {value}" for kind, value in pieces)
    found = read(f"{TITLE}\n{SEAL}{seal(body)}\n{body}")
    assert found is None or isinstance(found, Forms)


FAULTS = [
    (Forms(Vacation(True)), "vacation.text"),
    (Forms(Vacation(True, "x", "two\nlines")), "vacation.subject"),
    (Forms(Vacation(True, "x", "", datetime.date(2026, 2, 2), datetime.date(2026, 2, 1))), "vacation.last"),
    (Forms(Vacation(days=0)), "vacation.days"),
    (Forms(Vacation(addresses=("nobody",))), "vacation.addresses"),
    (Forms(forwarding=Forwarding(("a@x", "b"))), "forwarding.addresses"),
    (Forms(forwarding=Forwarding(tuple(f"{n}@x.test" for n in range(5)))), "forwarding.addresses"),
    (Forms(rules=(Rule("", (), (TO,)),)), "rules.0.name"),
    (Forms(rules=(Rule("none"),)), "rules.0.actions"),
    (one(Condition(What.SUBJECT)), "rules.0.conditions.0"),
    (one(Condition(What.SUBJECT, How.OVER, "5M")), "rules.0.conditions.0"),
    (one(Condition(What.SIZE, How.OVER, "five")), "rules.0.conditions.0"),
    (one(Condition(What.SIZE, How.IS, "5")), "rules.0.conditions.0"),
    (one(Condition(What.HEADER, How.IS, "x", "No: field")), "rules.0.conditions.0"),
    (one(Condition(What.SPAM, How.CONTAINS, "x")), "rules.0.conditions.0"),
    (Forms(rules=(Rule("x", (), (Action(Does.MOVE, ""),)),)), "rules.0.actions.0"),
    (Forms(rules=(Rule("x", (), (Action(Does.MOVE, "/a"),)),)), "rules.0.actions.0"),
    (Forms(rules=(Rule("x", (), (Action(Does.FORWARD, "a"),)),)), "rules.0.actions.0"),
    (Forms(rules=(Rule("x", (), (Action(Does.KEEP, "a"),)),)), "rules.0.actions.0"),
    (Forms(then="a\nb"), "then"),
]


@pytest.mark.parametrize(("forms", "where"), FAULTS)
def test_a_fault_is_told_at_its_place(forms: Forms, where: str) -> None:
    assert [fault.where for fault in problems(forms)] == [where]


@pytest.mark.parametrize(
    "data",
    [{"rules": [{"name": 1}]}, {"vacation": {"days": "x"}}, [], {"rules": [{"name": "x", "actions": [{"does": "fly"}]}]}],
)
def test_data_that_is_no_form(data: object) -> None:
    with pytest.raises(ValueError, match=r"\$|object"):
        of_data(data)
