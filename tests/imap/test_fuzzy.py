"""What FUZZY finds, and how well, against counting words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap.commands.fuzzy import EXACT, relevancy, scores
from mailstack.imap.selected import Selected
from mailstack.message.collation import casemap
from mailstack.wire.imap import search as s

WORDS = ("garden", "gardens", "Meeting", "meetings", "tuesday", "grün", "grun", "a")


class Texts:
    """Messages that are nothing but their texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = dict(enumerate(texts, 1))

    async def evaluate(self, _: Selected, key: s.Key, uids: Sequence[int]) -> Sequence[int]:
        match key:
            case s.Text(text):
                return [uid for uid in uids if casemap(text) in casemap(self.texts[uid])]
            case s.Not(child):
                found = await self.evaluate(_, child, uids)
                return [uid for uid in uids if uid not in found]
            case _:
                return list(uids)

    def scores(self, key: s.Key) -> dict[int, int]:
        return asyncio.run(scores(self.evaluate, cast(Selected, self), key, list(self.texts)))

    def relevancy(self, key: s.Key) -> dict[int, int]:
        return asyncio.run(relevancy(self.evaluate, cast(Selected, self), key, list(self.texts)))


@pytest.mark.parametrize(
    ("needle", "text", "score"),
    [
        ("garden meeting", "the garden meeting", 100),
        ("garden meeting", "meeting in the garden", 90),
        ("meetings garden", "Meeting in the GARDEN", 65),
        ("gardens meetings", "meeting garden", 40),
        ("grün", "grun", 40),
        ("garden tuesday", "garden", None),
        ("", "anything", 100),
    ],
)
def test_scores(needle: str, text: str, score: int | None) -> None:
    assert Texts([text]).scores(s.Text(needle)).get(1) == score


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=4), max_size=5), st.lists(st.sampled_from(WORDS), max_size=3))
def test_nothing_that_holds_all_words_is_missed(texts: list[list[str]], words: list[str]) -> None:
    box = Texts([" ".join(text) for text in texts])
    found = box.scores(s.Text(" ".join(words)))
    for uid, text in box.texts.items():
        if all(casemap(word) in casemap(text) for word in words):
            assert found[uid] >= 90
        assert uid not in found or 1 <= found[uid] <= EXACT


def test_keys_together() -> None:
    box = Texts(["garden meeting", "meeting garden", "garden"])
    both = s.And((s.Text("garden meeting"), s.Text("garden")))
    assert box.scores(both) == {1: 100, 2: 95}
    assert box.scores(s.Or(s.Text("garden meeting"), s.Text("garden"))) == {1: 100, 2: 100, 3: 100}
    assert box.scores(s.Not(s.Text("meeting"))) == {3: 100}
    assert box.relevancy(s.And((s.Fuzzy(s.Text("garden meeting")), s.Text("garden")))) == {1: 100, 2: 90, 3: 1}
