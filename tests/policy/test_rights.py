"""Rights as values: letters both ways, and grants that add up."""

from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.message.flag import KEYWORDS, Flags
from mailstack.policy.rights import ALL, LETTERS, NONE, Rights, changeable, parse_rights, show_rights, sum_of
from mailstack.store.mailbox.grants import Grant

LETTER = st.sampled_from("lrswipkxtea")
GRANT = st.builds(
    Grant, st.sampled_from([None, "a.test/bob", "a.test/carol"]), st.just("x"), st.text(LETTER, max_size=11), st.booleans()
)


@given(st.text(st.sampled_from("lrswipkxteacd"), max_size=13))
def test_letters_come_back(letters: str) -> None:
    rights = parse_rights(letters)
    assert parse_rights(show_rights(rights)) & ~(LETTERS["c"] | LETTERS["d"]) == rights & ~(LETTERS["c"] | LETTERS["d"])
    # RFC 4314 2.1.1: the old rights are shown when any of theirs is there.
    assert ("d" in show_rights(rights)) == bool(set(letters) & set("etd"))
    assert ("c" in show_rights(rights)) == bool(set(letters) & set("kxc"))


@given(st.text(max_size=5))
def test_anything_is_rights_or_a_problem(letters: str) -> None:
    try:
        parse_rights(letters)
    except SyntaxProblem:
        assert set(letters) - set(LETTERS)
    else:
        assert set(letters) <= set(LETTERS)


def test_all() -> None:
    assert show_rights(ALL) == "lrswipkxtecda"
    assert show_rights(NONE) == ""


@given(st.lists(GRANT, max_size=6), st.booleans())
def test_nobody_has_a_right_that_no_grant_gives_or_that_one_takes(grants: list[Grant], anyone: bool) -> None:
    rights = sum_of(grants, "a.test/bob", anyone=anyone)
    for letter in "lrswipkxtea":
        given = any(
            letter in one.rights and not one.negative and (one.account == "a.test/bob" or (anyone and one.account is None))
            for one in grants
        )
        denied = any(letter in one.rights and one.negative and one.account in (None, "a.test/bob") for one in grants)
        assert (LETTERS[letter] in rights) == (given and not denied)


@given(st.lists(GRANT, max_size=6), st.booleans())
def test_a_stranger_has_what_everybody_has(grants: list[Grant], anyone: bool) -> None:
    everybody = [one for one in grants if one.account is None]
    assert sum_of(grants, "a.test/bob=2", anyone=anyone) == sum_of(everybody, "a.test/bob=2", anyone=anyone)
    assert anyone or not sum_of(grants, "a.test/bob=2", anyone=False)


def test_flags_by_right() -> None:
    assert changeable(NONE) == 0
    assert changeable(Rights.SEEN) == Flags.SEEN
    assert changeable(Rights.MARK) == Flags.DELETED
    writing = changeable(Rights.WRITE)
    assert not writing & (Flags.SEEN | Flags.DELETED)
    for flag in (Flags.ANSWERED, Flags.FLAGGED, Flags.DRAFT, Flags.PASSED, KEYWORDS):
        assert writing & flag == flag
    assert changeable(ALL) == -1
