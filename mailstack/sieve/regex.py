"""POSIX extended regular expressions (draft-ietf-sieve-regex), in time that grows with the text and no faster.

A pattern becomes states with character tests between them. Whether it is found is asked of sets of states, which are
remembered, one look-up a character; which stretches its groups matched is worked out only where a script can ask for it.
Leftmost, then longest, as POSIX has it; of groups, as glibc has them: repeats take what they can, the first of `|` that fits.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mailstack.sieve.regex_parser import Characters, Node, parse_regex

STATE, MARKED = 20, 200  # what a state costs, without and with its groups (Limits.work)
KNOWN_SETS = 256  # of states, before they are forgotten
KNOWN = 20_000  # states in them, and ways between them

Around = tuple[str, str]  # the characters before and behind a place
Marks = tuple[int, ...]  # where groups begin and end, -1 where they do not
Thread = tuple[int, Marks]  # a state, and how it was reached
Spans = list[tuple[int, int]]
Spend = Callable[[int], None]


@dataclass(slots=True)
class _State:
    """One state: characters to the next one, or a way on without any."""

    characters: Characters | None = None
    ways: tuple[int, ...] = ()
    mark: int = -1  # of a group: 2n its beginning, 2n+1 its end
    anchor: str = ""
    accepts: bool = False


class _Set:
    """A set of states in which one is between two characters."""

    __slots__ = ("accepts", "anchored", "before", "next", "states")

    def __init__(self, states: frozenset[int], accepts: bool, before: str, anchored: bool) -> None:
        self.states = states  # that wait for a character, or for what an anchor looks at
        self.accepts = accepts
        self.before = before
        self.anchored = anchored
        self.next: dict[str, _Set] = {}


class Regex:
    """One compiled pattern. Raises SyntaxProblem when it is none, or needs more than `limit` states."""

    def __init__(self, pattern: str, limit: int, fold: Callable[[str], tuple[str, ...]]) -> None:
        tree, self.groups = parse_regex(pattern, limit)
        self._states: list[_State] = []
        self._fold = fold
        self._end = self._new(_State(accepts=True))
        self._start = self._add(tree, self._end)
        self._known = 0
        self._sets: dict[tuple[frozenset[int], bool, str], _Set] = {}
        self._first = self._set([self._start], "")

    @property
    def size(self) -> int:
        """In states."""
        return len(self._states)

    # --- from a tree to states, built from the end

    def _new(self, state: _State) -> int:
        self._states.append(state)
        return len(self._states) - 1

    def _add(self, node: Node, then: int) -> int:
        """The state from which `node` leads to `then`."""
        kind = node.kind
        if kind == "characters":
            return self._new(_State(characters=node.characters, ways=(then,)))
        if kind == "anchor":
            return self._new(_State(anchor=node.anchor, ways=(then,)))
        if kind == "group":
            end = self._new(_State(mark=2 * node.number + 1, ways=(then,)))
            return self._new(_State(mark=2 * node.number, ways=(self._add(node.inner[0], end),)))
        if kind == "either":
            return self._new(_State(ways=tuple([self._add(one, then) for one in node.inner])))
        if kind == "repeat":
            return self._repeat(node, then)
        for one in reversed(node.inner):
            then = self._add(one, then)
        return then

    def _repeat(self, node: Node, then: int) -> int:
        inner = node.inner[0]
        if node.most is None:
            loop = self._new(_State())
            self._states[loop].ways = (self._add(inner, loop), then)
            start = loop
        else:
            start = then
            for _ in range(node.most - node.least):
                start = self._new(_State(ways=(self._add(inner, start), then)))
        for _ in range(node.least):
            start = self._add(inner, start)
        return start

    # --- whether it is found

    def _closure(self, states: Iterable[int], around: Around | None) -> tuple[frozenset[int], bool]:
        """What can be reached without a character: the states that wait, and whether it accepts. Anchors wait, too, as long
        as it is not known what stands around the place.
        """
        seen: set[int] = set()
        waiting: set[int] = set()
        accepts = False
        stack = list(states)
        while stack:
            number = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            accepts = accepts or state.accepts
            if state.characters is not None or (state.anchor and around is None):
                waiting.add(number)
            elif around is None or not state.anchor or holds(state.anchor, around):
                stack += state.ways
        return frozenset(waiting), accepts

    def _set(self, states: Iterable[int], before: str) -> _Set:
        """The set behind a character; `before` is one that stands for its kind: "" for the start, " ", "a"."""
        waiting, accepts = self._closure(states, None)
        known = self._sets.get((waiting, accepts, before))
        if known is None:
            anchored = any(self._states[number].anchor for number in waiting)
            known = _Set(waiting, accepts, before, anchored)
            if len(self._sets) >= KNOWN_SETS or self._known >= KNOWN:
                self._forget()
            self._sets[waiting, accepts, before] = known
            self._known += len(waiting)
        return known

    def _forget(self) -> None:
        """Sets know those behind them: without that they would stay as long as the first one."""
        # Others may be at work on the same pattern.
        for one in (self._first, *list(self._sets.values())):
            one.next = {}
        self._sets.clear()
        self._known = 0

    def _step(self, current: _Set, character: str, spend: Spend) -> _Set:
        variants = self._fold(character)
        spend(STATE * len(current.states) + 1)
        states, accepts = current.states, False
        if current.anchored:
            states, accepts = self._closure(states, (current.before, character))
        onward = [
            self._states[number].ways[0]
            for number in states
            if (wanted := self._states[number].characters) is not None and wanted.hold(variants)
        ]
        if accepts:
            onward.append(self._end)
        found = self._set([*onward, self._start], "a" if is_word(character) else " ")
        if len(current.next) < KNOWN_SETS:
            current.next[character] = found
            self._known += 1
        return found

    def found(self, text: str, spend: Spend) -> bool:
        """Whether it matches a part of the text. `spend` is told of the work."""
        spend(len(text))
        current = self._first
        for character in text:
            if current.accepts:
                return True
            current = current.next.get(character) or self._step(current, character, spend)
        return current.accepts or (current.anchored and self._closure(current.states, (current.before, ""))[1])

    # --- where

    def spans(self, text: str, spend: Spend) -> Spans | None:
        """The stretches of the whole match and of its groups; (0, 0) for a group that is not in it."""
        if not self.found(text, spend):
            return None
        best: Marks = ()
        threads: list[Thread] = []
        for place in range(len(text) + 1):
            if not best:
                threads.append((self._start, (place, -1) + (-1, -1) * self.groups))
            around = (text[place - 1 : place], text[place : place + 1])
            waiting, accepted = self._follow(threads, place, around, spend)
            if accepted and (not best or accepted[0] <= best[0]):
                best = (accepted[0], place, *accepted[2:])
            if place == len(text) or not (waiting or not best):
                break
            threads = self._onward(waiting, self._fold(text[place]), best)
        pairs = [(best[at], best[at + 1]) for at in range(0, len(best), 2)]
        return [pair if pair[1] >= 0 else (0, 0) for pair in pairs]

    def _onward(self, waiting: list[Thread], variants: tuple[str, ...], best: Marks) -> list[Thread]:
        """The threads that a character lets go on; when something was found, only those that began as early."""
        threads = []
        for number, marks in waiting:
            wanted = self._states[number].characters
            if wanted is not None and wanted.hold(variants) and (not best or marks[0] <= best[0]):
                threads.append((self._states[number].ways[0], marks))
        return threads

    def _follow(self, threads: list[Thread], place: int, around: Around, spend: Spend) -> tuple[list[Thread], Marks]:
        """The threads that wait for a character, the best first, and the marks of the best one that accepts."""
        seen: set[int] = set()
        waiting: list[Thread] = []
        accepted: Marks = ()
        stack = threads[::-1]
        while stack:
            number, marks = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self._states[number]
            if state.accepts and not accepted:
                accepted = marks
            if state.characters is not None:
                waiting.append((number, marks))
                continue
            if state.anchor and not holds(state.anchor, around):
                continue
            if state.mark >= 0:
                marks = _marked(marks, state.mark, place)
            stack += [(way, marks) for way in reversed(state.ways)]
        spend(MARKED * len(seen))
        return waiting, accepted


def is_word(character: str) -> bool:
    return character == "_" or character.isalnum()


def holds(anchor: str, around: Around) -> bool:
    """Whether an anchor's place is between these two characters, "" for the ends of the text."""
    before, behind = around
    if anchor == "^":
        return not before
    if anchor == "$":
        return not behind
    left, right = is_word(before), is_word(behind)
    return {"<": right and not left, ">": left and not right, "b": left is not right, "B": left is right}[anchor]


def _marked(marks: Marks, mark: int, place: int) -> Marks:
    """The beginning or end of a group; a group that begins again has no end yet."""
    if mark % 2:
        return (*marks[:mark], place, *marks[mark + 1 :])
    return (*marks[:mark], place, -1, *marks[mark + 2 :])
