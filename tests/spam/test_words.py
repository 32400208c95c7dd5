"""Tokens, what they come to, and how much of a labelled corpus is caught."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message.likelihood import Learned, combine, token_probability
from mailstack.message.tokens import TOKEN_LIMIT, key, tokens
from mailstack.policy.spam.bayes import ENOUGH, FEW, finding, likelihood
from mailstack.store.learned.file import Counts, LearnedFile
from tests.spam.generator import Generator
from tests.spam.measuring import learn, rates


def test_words_links_and_people() -> None:
    found = set(
        tokens(
            b"From: Carol <carol@far.example>\r\nSubject: Lunch =?utf-8?q?=C3=BCber?=\r\nContent-Type: text/html\r\n\r\n"
            b'<p>Good m<b>orn</b>ing</p> <a href="https://shop.far.example:8080/x">here</a>'
        )
    )
    assert {"subject:lunch", "subject:\u00fcber", "lunch", "good", "morning"} <= found
    assert {"from:carol@far.example", "from:@far.example", "from-name:carol"} <= found
    assert {"link:shop.far.example", "link:far.example", "link:port", "part:text/html", "without:date"} <= found


def test_scripts_without_blanks_are_cut_in_pairs() -> None:
    found = tokens(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "\u8fd9\u662f\u5783\u573e\u90ae\u4ef6".encode() * 5)
    assert "\u5783\u573e" in found


@settings(max_examples=50)
@given(st.binary(max_size=2000))
def test_any_octets_have_tokens(data: bytes) -> None:
    found = tokens(data)
    assert len(found) == len(set(found)) <= TOKEN_LIMIT


def test_hostile_messages_are_bounded() -> None:
    many = b"Subject: x\r\n\r\n" + b" ".join(b"w%d" % number for number in range(100_000))
    assert len(tokens(many)) == TOKEN_LIMIT
    assert len(tokens(b"X-Y: " + b"z " * 5_000_000)) <= TOKEN_LIMIT
    assert len(tokens(b"a" * 1_000_000)) <= TOKEN_LIMIT


def test_keys_fit_into_a_database() -> None:
    assert all(-(1 << 63) <= key(word) < 1 << 63 for word in ("", "a", "\udcff", "w" * 10000))


@pytest.mark.parametrize(("value", "expected"), [([0.99] * 20, 1.0), ([0.01] * 20, 0.0), ([], 0.5), ([0.55] * 9, 0.5)])
def test_fisher(value: list[float], expected: float) -> None:
    assert combine(value).value == pytest.approx(expected, abs=0.01)


def test_as_much_for_as_against_is_the_middle() -> None:
    assert combine([0.99] * 30 + [0.01] * 30).value == pytest.approx(0.5, abs=0.01)


def test_one_sighting_is_not_believed() -> None:
    learned = Learned(100, 100)
    assert token_probability(1, 0, learned) == pytest.approx(0.845, abs=0.01)
    assert token_probability(20, 0, learned) > 0.98
    assert token_probability(0, 0, learned) == 0.5


@pytest.mark.parametrize(("learned", "weight"), [(20, 4.0), (50, 5.0), (100, 6.0)])
def test_a_young_classifier_says_less(learned: int, weight: float) -> None:
    seen = tuple((learned, 0, number) for number in range(50))
    found = finding(Counts(seen, learned, learned))
    assert found is not None
    assert found.weight == weight
    assert finding(Counts(seen, learned, learned), 0) is None


def test_too_little_says_nothing() -> None:
    seen = tuple((ENOUGH, 0, number) for number in range(50))
    assert likelihood(Counts(seen, ENOUGH, ENOUGH - 1)) is None
    assert finding(Counts((), 0, 0)) is None


def test_one_word_puts_nothing_into_junk() -> None:
    found = finding(Counts(((400, 0, 1),), 500, 500))
    assert found is not None
    assert found.weight == FEW


def test_the_generator_repeats_itself() -> None:
    one, other = (next(Generator(7).messages(True)).data for _ in range(2))
    assert one == other
    assert next(Generator(8).messages(True)).data != one


def test_a_labelled_corpus_is_told_apart(tmp_path: Path) -> None:
    """In short; `python -m tests.spam.measuring` measures it whole."""
    file = LearnedFile(tmp_path / "bayes.sqlite3")
    learn(file, Generator(11, 1), 200)
    caught, wrong = rates(file, Generator(11, 2), 150)
    file.close()
    assert wrong == 0
    assert caught > 0.7


def test_order_does_not_matter(tmp_path: Path) -> None:
    messages = [("a", [1, 2], True), ("b", [2, 3], False), ("c", [3], True)]
    found = []
    for number in range(2):
        random.Random(number).shuffle(messages)
        file = LearnedFile(tmp_path / f"{number}.sqlite3")
        for id, keys, junk in messages:
            file.learn(id, keys, junk, 1)
        found.append(sorted(file.counts([1, 2, 3]).tokens))
        file.close()
    assert found[0] == found[1] == [(1, 0, 1), (1, 1, 2), (1, 1, 3)]
