"""SEARCH=FUZZY (RFC 6203): all words of a text in any order, and how well they are met.

A text key under FUZZY matches where each of its words does: as it is, without its accents, or, from six letters on, without
its last two. Other keys are exact. The score is 100 where the text stands as it was written, else 40 to 90, by how many of the
words are met whole.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Awaitable, Callable, Sequence

from mailstack.imap.selected import Selected
from mailstack.wire.imap import search as s

Evaluate = Callable[[Selected, s.Key, Sequence[int]], Awaitable[Sequence[int]]]
LONG = 6  # letters of a word whose end may differ
WORDS_LIMIT = 20
EXACT, WHOLE, PARTLY = 100, 90, 40


async def scores(evaluate: Evaluate, selected: Selected, key: s.Key, uids: Sequence[int]) -> dict[int, int]:
    """Of those that match, by UID; `key` stands inside FUZZY."""
    match key:
        case s.And(keys):
            sums = dict.fromkeys(uids, 0)
            for child in keys:
                found = await scores(evaluate, selected, child, list(sums))
                sums = {uid: sums[uid] + score for uid, score in found.items()}
            return {uid: total // max(1, len(keys)) for uid, total in sums.items()}
        case s.Or(left, right):
            first = await scores(evaluate, selected, left, uids)
            second = await scores(evaluate, selected, right, uids)
            return {uid: max(first.get(uid, 0), second.get(uid, 0)) for uid in sorted({*first, *second})}
        case s.Text() | s.Body() | s.Header():
            return await _of_text(evaluate, selected, key, uids)
        case s.Fuzzy(child):
            return await scores(evaluate, selected, child, uids)
        case _:
            return dict.fromkeys(await evaluate(selected, key, uids), EXACT)


async def relevancy(evaluate: Evaluate, selected: Selected, key: s.Key, uids: Sequence[int]) -> dict[int, int]:
    """Of those that were found: by the keys that are fuzzy, the mean of those that match."""
    sums: dict[int, list[int]] = {uid: [] for uid in uids}
    for one in s.every(key):
        if isinstance(one, s.Fuzzy):
            for uid, score in (await scores(evaluate, selected, one.key, uids)).items():
                sums[uid].append(score)
    return {uid: sum(found) // len(found) if found else 1 for uid, found in sums.items()}


async def _of_text(
    evaluate: Evaluate, selected: Selected, key: s.Text | s.Body | s.Header, uids: Sequence[int]
) -> dict[int, int]:
    words = key.text.split()[:WORDS_LIMIT]
    exact = dict.fromkeys(await evaluate(selected, key, uids), EXACT)
    if not words:
        return exact
    left = list(uids)
    whole = dict.fromkeys(uids, 0)
    for word in words:
        met = set(await evaluate(selected, dataclasses.replace(key, text=word), left))
        for uid in met:
            whole[uid] += 1
        others = [uid for uid in left if uid not in met]
        for form in _forms(word):
            near = set(await evaluate(selected, dataclasses.replace(key, text=form), others))
            met |= near
            others = [uid for uid in others if uid not in near]
        left = [uid for uid in left if uid in met]
    return {uid: exact.get(uid) or PARTLY + (WHOLE - PARTLY) * whole[uid] // len(words) for uid in left}


def _forms(word: str) -> list[str]:
    """Other forms of a word that are near enough."""
    decomposed = unicodedata.normalize("NFD", word)
    plain = "".join([character for character in decomposed if not unicodedata.combining(character)])
    forms = [plain] if plain != decomposed else []
    if len(plain) >= LONG and plain.isalpha():
        forms.append(plain[:-2])
    return forms
