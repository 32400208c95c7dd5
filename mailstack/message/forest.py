"""Threads (RFC 5256 3): who answers whom, and who shares a subject. Nothing recurses: a thread may be as deep as it likes.

Each algorithm is a generator that yields now and then, so that its caller can look at other things; its value is the forest.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

STEPS = 1000  # messages between two yields
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Messages:
    """What is known of those that were found, in the order of the mailbox; all sequences are as long as the mailbox part."""

    dates: Sequence[int]  # the sent date's place among all of them: smaller is earlier, each is there once
    subjects: Sequence[int]  # equal for equal base subjects, 0 for none
    replies: Sequence[int]  # whether the subject says that it is a reply or a forward
    ids: Sequence[int]  # digests of the Message-ID, 0 where there is none
    references: Callable[[int], Sequence[int]]  # digests of the message's references, oldest first


@dataclass(slots=True)
class Forest:
    """Numbers of messages from 0 on, and higher ones for dummies, which are roots with several children."""

    count: int  # of messages
    roots: list[int] = field(default_factory=list)
    children: dict[int, list[int]] = field(default_factory=dict)


Steps = Generator[None, None, Forest]


def ordered_subject(messages: Messages) -> Steps:
    """THREAD=ORDEREDSUBJECT: messages of one subject, the first of them above the others."""
    count = len(messages.dates)
    forest = Forest(count)
    threads: dict[int, list[int]] = {}
    for number in range(count):
        threads.setdefault(messages.subjects[number], []).append(number)
        if number % STEPS == 0:
            yield
    for done, members in enumerate(threads.values()):
        members.sort(key=messages.dates.__getitem__)
        forest.roots.append(members[0])
        if len(members) > 1:
            forest.children[members[0]] = members[1:]
        if done % STEPS == 0:
            yield
    yield from _sort_roots(forest, messages.dates)
    return forest


def references(messages: Messages) -> Steps:
    """THREAD=REFERENCES: by references, then threads of one subject are made one."""
    forest = yield from _linked(messages)
    keys = yield from _sorted_children(messages, forest)
    yield from _sort_roots(forest, keys)
    yield from _merge_subjects(messages, forest, keys)
    yield from _sort_roots(forest, keys)
    return forest


def refs(messages: Messages) -> Steps:
    """THREAD=REFS, as Dovecot has it: by references alone, and the thread with the newest message last."""
    forest = yield from _linked(messages)
    yield from _sorted_children(messages, forest)
    newest: dict[int, int] = {}
    for done, root in enumerate(forest.roots):
        latest, todo = NOBODY, [root]
        while todo:
            node = todo.pop()
            if node < forest.count:
                latest = max(latest, messages.dates[node])
            todo += forest.children.get(node, ())
        newest[root] = latest
        if done % STEPS == 0:
            yield
    yield from _sort_roots(forest, newest)
    return forest


def write(forest: Forest, shown: Callable[[int], int]) -> Iterator[bytes]:
    """The threads as THREAD sends them (RFC 5256 4), in pieces; `shown` gives a message's number for the client."""
    pieces: list[bytes] = []
    for root in forest.roots:
        todo = [root]  # NOBODY closes a parenthesis
        while todo:
            node = todo.pop()
            if node == NOBODY:
                pieces.append(b")")
                continue
            before = b"("
            while True:
                if node < forest.count:
                    pieces.append(before + b"%d" % shown(node))
                    before = b" "
                children = forest.children.get(node, ())
                if len(pieces) > STEPS:
                    yield b"".join(pieces)
                    pieces = []
                if len(children) != 1:
                    break
                node = children[0]
            if children or before == b"(":
                pieces.append(before)
            todo.append(NOBODY)
            todo += reversed(children)
    yield b"".join(pieces)


def _sort_roots(forest: Forest, keys: Mapping[int, int] | Sequence[int]) -> Generator[None, None, None]:
    """By keys of which each is there once, and which are below the number of messages: each root has its slot."""
    slots = [NOBODY] * forest.count
    for done, root in enumerate(forest.roots):
        slots[keys[root]] = root
        if done % STEPS == 0:
            yield
    forest.roots = [root for root in slots if root != NOBODY]
    yield


class _Links:
    """Parents, which never make a ring. Sets of nodes that were ever linked tell quickly that two have nothing in common."""

    def __init__(self, count: int) -> None:
        self.parents = [NOBODY] * count
        self._sets = list(range(count))
        self.walked = 0

    def add(self) -> int:
        self.parents.append(NOBODY)
        self._sets.append(len(self._sets))
        return len(self.parents) - 1

    def _set(self, node: int) -> int:
        sets = self._sets
        while sets[node] != node:
            sets[node] = sets[sets[node]]
            node = sets[node]
        return node

    def link(self, parent: int, child: int) -> None:
        """Unless the parent descends from the child."""
        one, other = self._set(parent), self._set(child)
        if one == other:
            node = parent
            while node != NOBODY:
                if node == child:
                    return
                node = self.parents[node]
                self.walked += 1
        self._sets[other] = one
        self.parents[child] = parent


def _linked(messages: Messages) -> Steps:
    """Steps 1 to 3: links by references, without dummies but those that hold several threads together."""
    count = len(messages.dates)
    links = _Links(count)
    nodes: dict[int, int] = {}
    for number, id in enumerate(messages.ids):
        if id:
            nodes.setdefault(id, number)
        if number % STEPS == 0:
            yield
    for number in range(count):
        previous = NOBODY
        for reference in messages.references(number):
            node = nodes.get(reference)
            if node is None:
                node = nodes[reference] = links.add()
            if previous not in (NOBODY, node) and links.parents[node] == NOBODY:
                links.link(previous, node)
            previous = node
        links.parents[number] = NOBODY
        if previous not in (NOBODY, number):
            links.link(previous, number)
        if number % STEPS == 0 or links.walked > 20 * STEPS:
            links.walked = 0
            yield
    return (yield from _pruned(count, links.parents))


def _pruned(count: int, parents: list[int]) -> Steps:
    """Each message below the nearest message above it, else below the highest dummy, if that holds more than this one."""
    forest = Forest(count)
    above: dict[int, int] = {}  # of dummies: the message above them, or the highest dummy
    held: dict[int, list[int]] = {}
    for number in range(count):
        path = []
        node = parents[number]
        while node >= count and node not in above and parents[node] != NOBODY:
            path.append(node)
            node = parents[node]
        node = above.get(node, node)
        above.update(dict.fromkeys(path, node))
        if node == NOBODY:
            forest.roots.append(number)
        else:
            (forest.children if node < count else held).setdefault(node, []).append(number)
        if number % STEPS == 0:
            yield
    for done, (dummy, children) in enumerate(held.items()):
        if len(children) == 1:
            forest.roots.append(children[0])
        else:
            forest.roots.append(dummy)
            forest.children[dummy] = children
        if done % STEPS == 0:
            yield
    return forest


def _sorted_children(messages: Messages, forest: Forest) -> Generator[None, None, dict[int, int]]:
    """Siblings by date. What each root is sorted by: its date, or that of a dummy's first child."""
    date = messages.dates.__getitem__
    for done, children in enumerate(forest.children.values()):
        if len(children) > 1:
            children.sort(key=date)
        if done % STEPS == 0:
            yield
    keys: dict[int, int] = {}
    for done, root in enumerate(forest.roots):
        keys[root] = date(root if root < forest.count else forest.children[root][0])
        if done % STEPS == 0:
            yield
    return keys


def _merge_subjects(messages: Messages, forest: Forest, keys: dict[int, int]) -> Generator[None, None, None]:
    """Step 5. `keys` is kept true; children that were added are in order at the end."""
    count, children = forest.count, forest.children
    table: dict[int, int] = {}
    subjects: dict[int, int] = {}
    for done, root in enumerate(forest.roots):
        if done % STEPS == 0:
            yield
        first = root if root < count else children[root][0]
        subject = subjects[root] = messages.subjects[first]
        if subject:
            held = table.setdefault(subject, root)
            if held < count and (root >= count or (messages.replies[held] and not messages.replies[root])):
                table[subject] = root
    gone: set[int] = set()
    grown: set[int] = set()
    new: list[int] = []
    dummy = max(count, max(children, default=0) + 1)
    for done, root in enumerate(forest.roots):
        if done % STEPS == 0:
            yield
        subject = subjects[root]
        held = table.get(subject, root) if subject else root
        if held == root:
            continue
        if root >= count:
            children[held] += children.pop(root)
        elif held >= count or (messages.replies[root] and not messages.replies[held]):
            children.setdefault(held, []).append(root)
        else:
            children[dummy] = [held, root]
            gone.add(held)
            new.append(dummy)
            held = table[subject] = dummy
            dummy += 1
        gone.add(root)
        grown.add(held)
    yield
    for node in grown:
        children[node].sort(key=messages.dates.__getitem__)
    forest.roots = [root for root in forest.roots + new if root not in gone]
    for root in grown:
        if root >= count:
            keys[root] = messages.dates[children[root][0]]
