"""Whatever comes as a script is one or a SieveProblem, and whatever runs ends with a decision."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.sieve.actions import Outcome
from mailstack.sieve.limits import Limits
from mailstack.sieve.message import Message
from mailstack.sieve.problem import SieveProblem
from mailstack.sieve.run import answered, run
from mailstack.sieve.script import compile
from mailstack.sieve.table import EXTENSIONS
from tests.support.sieve import ENVIRONMENT, MESSAGE

REQUIRE = "require [" + ", ".join(f'"{name}"' for name in EXTENSIONS) + "];\n"
COMMANDS = sorted({name for one in EXTENSIONS.values() for name in one.commands})
TESTS = sorted({name for one in EXTENSIONS.values() for name in one.tests})
TAGS = sorted(
    {tag.name for one in EXTENSIONS.values() for spec in (*one.commands.values(), *one.tests.values()) for tag in spec.tags}
    | {tag.name for one in EXTENSIONS.values() for tags in one.tags.values() for tag in tags}
    | {name for one in EXTENSIONS.values() for name in (*one.matches, *one.parts, *one.modifiers)}
    | {"comparator"}
)
STRINGS = [
    "", "a", "subject", "date", "from", "to", "*", "?*a*", "${a}", "${1}", "${global.x}", "[a-z]+", "(a|b)*", "ge", "i;octet",
    "i;ascii-numeric", "17", "-0800", "year", "iso8601", "a@x.test", "mailto:a@x.test", "\\Seen b", "${hex:41}", "x" * 300,
    "INBOX", "A: b\r\n\r\nc", "ü", "received",
]  # fmt: skip


class Writer:
    """Scripts at random, most of them nearly right."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def string(self) -> str:
        text = self.random.choice(STRINGS).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'

    def argument(self) -> str:
        kind = self.random.random()
        if kind < 0.6:
            return self.string()
        if kind < 0.85:
            return "[" + ", ".join(self.string() for _ in range(self.random.randint(1, 3))) + "]"
        return str(self.random.choice([0, 1, 2, 60, "1K", "9G"]))

    def words(self, name: str, kinds: tuple[object, ...], tags: list[str]) -> str:
        words = [name]
        for tag in self.random.sample(tags, min(len(tags), self.random.choice([0, 0, 1, 2]))):
            words.append(f":{tag}")
            if self.random.random() < 0.5:
                words.append(self.argument())
        count = len(kinds) if self.random.random() < 0.9 else self.random.randint(0, 4)
        return " ".join([*words, *(self.argument() for _ in range(count))])

    def test(self, depth: int = 0) -> str:
        name = self.random.choice(TESTS)
        if name == "not":
            return f"not {self.test(depth + 1)}" if depth < 4 else "true"
        if name in ("anyof", "allof"):
            return f"{name} ({self.test(depth + 1)}, {self.test(depth + 1)})" if depth < 4 else "false"
        spec = next(one.tests[name] for one in EXTENSIONS.values() if name in one.tests)
        return self.words(name, spec.positional, self.tags(name, spec.tags, spec.matches, spec.parts))

    def tags(self, name: str, own: tuple[object, ...], matches: bool, parts: bool) -> list[str]:
        if self.random.random() < 0.05:
            return TAGS
        found = [tag.name for tag in own]  # type: ignore[attr-defined]
        found += [tag.name for one in EXTENSIONS.values() for tag in one.tags.get(name, ())]
        found += [match for one in EXTENSIONS.values() for match in one.matches] if matches else []
        return found + ([part for one in EXTENSIONS.values() for part in one.parts] if parts else [])

    def command(self, depth: int = 0) -> str:
        if depth < 4 and self.random.random() < 0.4:
            text = f"if {self.test()} {{ {self.block(depth + 1)} }}"
            if self.random.random() < 0.3:
                text += f" elsif {self.test()} {{ {self.block(depth + 1)} }}"
            return text + (f" else {{ {self.block(depth + 1)} }}" if self.random.random() < 0.3 else "")
        name = self.random.choice(COMMANDS)
        spec = next(one.commands[name] for one in EXTENSIONS.values() if name in one.commands)
        modifiers = [one for each in EXTENSIONS.values() for one in each.modifiers] if spec.modifiers else []
        words = self.words(name, spec.positional, self.tags(name, spec.tags, spec.matches, spec.parts) + modifiers)
        return words + (f" {{ {self.block(depth + 1)} }}" if spec.block else ";")

    def block(self, depth: int) -> str:
        return "\n".join(self.command(depth) for _ in range(self.random.randint(0, 2)))


def carry_out(source: str | bytes, message: bytes, seed: int) -> Outcome | None:
    """The outcome, None where it is no script."""
    chance = random.Random(seed)
    limits = Limits(work=2_000_000)
    try:
        script = compile(source, limits)
    except SieveProblem as problem:
        return None if problem.line >= 1 and problem.reason else pytest.fail(str(problem))
    answers = [True, False, None, "a", ("a@x.test",), script]
    found = answered(run(script, Message(message), ENVIRONMENT, limits, trace=True), lambda question: chance.choice(answers))
    assert found.actions
    return found


def check_seed(seed: int) -> bool:
    writer = Writer(seed)
    return carry_out(REQUIRE + "\n".join(writer.command() for _ in range(3)), MESSAGE, seed) is not None


def test_scripts_at_random() -> None:
    assert sum(check_seed(seed) for seed in range(300)) > 5


@pytest.mark.fuzz
def test_scripts_at_random_for_long() -> None:
    for seed in range(int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "2000"))):
        check_seed(seed)


TOKENS = st.sampled_from(
    [*COMMANDS, *TESTS, *(f":{tag}" for tag in TAGS), *'{}()[],;"', "text:\n", "\n.\n", "/*", "*/", "#", "5K", '"a"']
)


@given(st.lists(TOKENS, max_size=30))
@settings(max_examples=60, deadline=None)
def test_tokens_in_any_order(tokens: list[str]) -> None:
    carry_out(REQUIRE + " ".join(tokens), MESSAGE, 1)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=60)))
@settings(max_examples=60, deadline=None)
def test_octets_in_any_order(source: bytes | str) -> None:
    carry_out(source, MESSAGE, 1)


SCRIPT = (
    REQUIRE
    + """
if header :matches "subject" "*" { set "a" "${1}"; }
if address :domain :regex ["from", "to", "cc"] "(.*)" { addflag "a"; }
if body :content "text" :contains "a" { addflag "b"; }
if date :value "ge" "date" "year" "1" { addheader "x" "${a}"; }
if not exists "message-id" { vacation :addresses "roadrunner@acme.example.com" "${a}"; }
if envelope :detail "to" "birds" { fileinto :copy :flags "${a}" "${a}x"; }
"""
)


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_messages_of_any_octets(message: bytes) -> None:
    assert carry_out(SCRIPT, message, 1) is not None
    assert carry_out(SCRIPT, b"Subject: " + message + b"\r\nFrom: " + message + b"\r\nDate: " + message, 1) is not None


def long_scripts(size: int) -> None:
    """Scripts as long as they may be, right ones and wrong ones."""
    limits = Limits(script=size)
    line = 'if header :contains ["a", "b"] "c" { discard; }\n'
    source = line * (size // len(line))
    compile(source, limits)
    pieces = (
        "[" * size,
        '"' + "\\" * size,
        "/*" * (size // 2),
        "text:\n" + "..\n" * (size // 3),
        "not " * (size // 4),
        "{" * size,
    )
    for wrong in (source + line, *("if " + piece[: size - 3] for piece in pieces)):
        with pytest.raises(SieveProblem):
            compile(wrong, limits)


def test_long_scripts() -> None:
    long_scripts(1 << 16)


@pytest.mark.fuzz
def test_scripts_of_a_megabyte() -> None:
    long_scripts(1 << 20)
