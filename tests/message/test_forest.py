"""Threads, against a slow model that follows the words of RFC 5256 3 one by one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.message import forest as threads


@dataclass(eq=False)
class Node:
    """Of the model: `number` is None for a dummy."""

    number: int | None = None
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)

    def is_below(self, other: Node) -> bool:
        node: Node | None = self
        while node is not None:
            if node is other:
                return True
            node = node.parent
        return False

    def free(self) -> None:
        if self.parent is not None:
            self.parent.children.remove(self)
            self.parent = None

    def take(self, child: Node) -> None:
        child.free()
        child.parent = self
        self.children.append(child)


@dataclass
class Mail:
    """Dates are places; subject 0 is none."""

    id: int
    references: list[int]
    date: int
    subject: int = 0
    reply: bool = False


def linked(mails: list[Mail]) -> Node:
    nodes: dict[object, Node] = {}
    own: list[Node] = []
    for number, mail in enumerate(mails):
        key: object = mail.id if mail.id and mail.id not in nodes else ("unique", number)
        nodes[key] = Node(number)
        own.append(nodes[key])
    for number, mail in enumerate(mails):
        chain = [nodes.setdefault(reference, Node()) for reference in mail.references]
        for parent, child in itertools.pairwise(chain):
            if child.parent is None and not parent.is_below(child):
                parent.take(child)
        own[number].free()
        if chain and not chain[-1].is_below(own[number]):
            chain[-1].take(own[number])
    root = Node()
    for node in list(nodes.values()):
        if node.parent is None:
            root.take(node)
    changed = True
    while changed:
        changed = False
        todo = [root]
        while todo:
            node = todo.pop()
            for child in list(node.children):
                if child.number is None and (not child.children or node is not root or len(child.children) == 1):
                    for grandchild in list(child.children):
                        node.take(grandchild)
                    child.free()
                    changed = True
            todo += node.children
    return root


def first(mails: list[Mail], node: Node) -> Mail:
    if node.number is not None:
        return mails[node.number]
    return min((mails[child.number] for child in node.children if child.number is not None), key=lambda mail: mail.date)


def merged(mails: list[Mail], root: Node) -> None:
    root.children.sort(key=lambda node: first(mails, node).date)
    table: dict[int, Node] = {}
    for node in root.children:
        mail = first(mails, node)
        if not mail.subject:
            continue
        held = table.get(mail.subject)
        if held is None or (
            held.number is not None and (node.number is None or (mails[held.number].reply and not mails[node.number].reply))
        ):
            table[mail.subject] = node
    for node in list(root.children):
        subject = first(mails, node).subject
        if not subject or table[subject] is node:
            continue
        held = table[subject]
        if node.number is None and held.number is None:
            for child in list(node.children):
                held.take(child)
            node.free()
        elif held.number is None or (node.number is not None and mails[node.number].reply and not mails[held.number].reply):
            held.take(node)
        else:
            dummy = table[subject] = Node()
            root.take(dummy)
            dummy.take(held)
            dummy.take(node)


def shown(mails: list[Mail], node: Node) -> str:
    children = sorted(node.children, key=lambda child: first(mails, child).date)
    own = "" if node.number is None else str(node.number + 1)
    if len(children) == 1:
        return (own + " " + shown(mails, children[0])).strip()
    return own + (" " if own and children else "") + "".join(f"({shown(mails, child)})" for child in children)


def by_references(mails: list[Mail]) -> str:
    root = linked(mails)
    merged(mails, root)
    return "".join(f"({shown(mails, node)})" for node in sorted(root.children, key=lambda node: first(mails, node).date))


def by_refs(mails: list[Mail]) -> str:
    def newest(node: Node) -> int:
        own = [] if node.number is None else [mails[node.number].date]
        return max(own + [newest(child) for child in node.children])

    return "".join(f"({shown(mails, node)})" for node in sorted(linked(mails).children, key=newest))


def by_subject(mails: list[Mail]) -> str:
    groups: dict[int, list[int]] = {}
    for number in sorted(range(len(mails)), key=lambda number: mails[number].date):
        groups.setdefault(mails[number].subject, []).append(number + 1)
    text = ""
    for head, *rest in sorted(groups.values(), key=lambda group: mails[group[0] - 1].date):
        text += f"({head}" + (f" {rest[0]}" if len(rest) == 1 else " " * bool(rest) + "".join(f"({one})" for one in rest)) + ")"
    return text


def run(algorithm: Callable[[threads.Messages], threads.Steps], mails: list[Mail]) -> str:
    steps = algorithm(
        threads.Messages(
            dates=[mail.date for mail in mails],
            subjects=[mail.subject for mail in mails],
            replies=[mail.reply for mail in mails],
            ids=[mail.id for mail in mails],
            references=lambda number: mails[number].references,
        )
    )
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return b"".join(threads.write(done.value, lambda number: number + 1)).decode()


@st.composite
def mailboxes(draw: st.DrawFn) -> list[Mail]:
    count = draw(st.integers(1, 9))
    ids = st.integers(0, 9)
    dates = draw(st.permutations(range(count)))
    return [
        Mail(draw(ids), draw(st.lists(st.integers(1, 12), max_size=4)), date, draw(st.integers(0, 3)), draw(st.booleans()))
        for date in dates
    ]


@settings(max_examples=1500, deadline=None)
@given(mailboxes())
def test_as_the_words_say(mails: list[Mail]) -> None:
    assert run(threads.references, mails) == by_references(mails)
    assert run(threads.refs, mails) == by_refs(mails)
    assert run(threads.ordered_subject, mails) == by_subject(mails)


def test_the_example() -> None:
    mails = [Mail(1, [], 0), Mail(2, [1], 1), Mail(3, [1], 2), Mail(4, [1, 2], 3)]
    assert run(threads.references, mails) == "(1 (2 4)(3))"


DEEP = 100_000


@pytest.mark.parametrize("order", ["rising", "falling", "forks"])
def test_one_deep_thread(order: str) -> None:
    mails = [Mail(number + 1, [number] if number else [], number) for number in range(DEEP)]
    if order == "forks":
        mails = [Mail(number + 1, [(number + 1) // 2 * 2 - 1] if number else [], number) for number in range(DEEP)]
    if order == "falling":
        mails.reverse()
    for algorithm in (threads.references, threads.refs):
        found = run(algorithm, mails)
        assert found.count("(") == found.count(")")
        assert len(found.replace("(", " ").replace(")", " ").split()) == DEEP
