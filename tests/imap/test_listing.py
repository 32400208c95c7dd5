"""LIST patterns: what they mean, and that none of them takes long."""

import os
import re
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.imap.commands.listing import matcher
from tests.support.imap import Client
from tests.support.server import PASSWORD, Server


def matches(pattern: str, name: str) -> bool:
    """RFC 9051 6.3.9.2, word by word: all places of the name that the pattern so far can have reached."""
    reached = {0}
    for character in pattern:
        if character == "*":
            reached = {place for start in reached for place in range(start, len(name) + 1)}
        elif character == "%":
            reached = {place for start in reached for place in range(start, len(name) + 1) if "/" not in name[start:place]}
        else:
            reached = {place + 1 for place in reached if name[place : place + 1] == character}
    return len(name) in reached


NAME = st.text(alphabet="ab/", max_size=10)
PATTERN = st.text(alphabet="ab/*%", max_size=10)


@settings(max_examples=2000, deadline=None)
@given(PATTERN, NAME)
def test_a_pattern_matches_what_the_standard_says(pattern: str, name: str) -> None:
    compiled = matcher("", pattern)
    assert compiled is not None
    assert bool(compiled.fullmatch(name)) is matches(pattern, name)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
@settings(max_examples=int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "5000")), deadline=None)
@given(st.text(alphabet="ab/*%.(\\[", max_size=20), st.text(alphabet="ab/.(\\[", max_size=20))
def test_a_pattern_matches_what_the_standard_says_for_long(pattern: str, name: str) -> None:
    compiled = matcher("", pattern)
    assert compiled is not None
    assert bool(compiled.fullmatch(name)) is matches(pattern, name)


@pytest.mark.parametrize(
    ("reference", "pattern", "name"),
    [("", "inbox", "INBOX"), ("", "inbox/%", "INBOX/a"), ("in", "box*", "INBOX/a"), ("a/", "%", "a/b"), ("", "*", "INBOX"),
     ("", "I%X", "INBOX")],
)  # fmt: skip
def test_inbox_in_any_case_and_references(reference: str, pattern: str, name: str) -> None:
    compiled = matcher(reference, pattern)
    assert compiled is not None
    assert compiled.fullmatch(name)


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 90, "%a" * 90, "*a%a" * 45, "%" + "a%/" * 80, "*" + "a%" * 90 + "b", "*" * 900, "%" * 900, "*%" * 400, "*a*%/" * 9],
)  # fmt: skip
def test_no_pattern_takes_long(pattern: str) -> None:
    begun = time.process_time()
    compiled = matcher("", pattern)
    assert compiled is not None
    for name in ("a" * 250, "a/" * 125, "a" * 124 + "/" + "a" * 125):
        compiled.fullmatch(name)
        compiled.fullmatch(name + "c")
    assert time.process_time() - begun < 0.5


def test_a_pattern_longer_than_any_name_is_passed_over() -> None:
    for pattern in ("a" * 2000, "*a" * 200):
        assert matcher("", pattern) is None


def test_1500_mailboxes_do_not_stall_the_others(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    with Client(server.ports["imap"]) as one, Client(server.ports["imap"]) as other:
        one.login(address, PASSWORD)
        maildir = server.data / "mail" / "a.test" / account / "Maildir"
        for number in range(1500):
            for part in ("tmp", "new", "cur"):
                (maildir / f".n{number // 100}.m{number}" / part).mkdir(parents=True)
        one.ok('LIST "" INBOX')  # takes the folders over
        other.login(address, PASSWORD)
        done = threading.Event()
        took: list[float] = []
        found: list[int] = []

        def ask() -> None:
            try:
                for command in (
                    'LIST "" *', 'LIST (RECURSIVEMATCH SUBSCRIBED) "" *', 'LSUB "" *', 'LIST "" "*a*a*a*a*a*a*a*a*a*a*a*b"',
                    'LIST "" (' + " ".join(["*a" * 45] * 20) + ")", 'LIST (SPECIAL-USE) "" "*"',
                ):  # fmt: skip
                    begun = server.spent()
                    found.append(len(one.ok(command)))
                    took.append(server.spent() - begun)
            finally:
                done.set()

        asking = threading.Thread(target=ask)
        asking.start()
        heard = [server.spent()]
        while not done.is_set():
            other.ok("NOOP")
            heard.append(server.spent())
            done.wait(0.005)
        asking.join()
    assert found[0] == 1500 + 15 + 6
    assert max(took) < 3, took
    assert max(after - before for before, after in pairwise(heard)) < 3


def test_list_extended(server: Server, account: str) -> None:
    """RFC 5258: what is subscribed, what is below, and names that are not there."""
    with Client(server.ports["imap"]) as one:
        one.login(f"{account}@a.test", PASSWORD)
        for name in ("Foo/Bar/Baz", "Fruit/Apple", "Vegetable"):
            one.ok(f"CREATE {name}")
        for name in ("Fruit/Peach", "Fruit/Apple", "Vegetable", "Foo/Bar/Baz"):
            one.ok(f"SUBSCRIBE {name}")

        def names(command: str) -> dict[str, list[str]]:
            return {
                str(response.value, "ascii"): [str(word) for word in response.items["attributes"] or []]  # type: ignore[union-attr]
                + (["childinfo"] if "childinfo" in response.items else [])
                for response in one.ok(command)
            }

        assert set(names('LIST (SUBSCRIBED) "" "F*"')) == {"Foo/Bar/Baz", "Fruit/Apple", "Fruit/Peach"}
        assert "\\NonExistent" in names('LIST (SUBSCRIBED) "" "F*"')["Fruit/Peach"]
        assert "\\Subscribed" in names('LIST (SUBSCRIBED) "" "F*"')["Fruit/Apple"]
        assert set(names('LIST (SUBSCRIBED) "" "%"')) >= {"Vegetable"}
        assert "Foo" not in names('LIST (SUBSCRIBED) "" "%"')
        recursive = names('LIST (SUBSCRIBED RECURSIVEMATCH) "" "%"')
        assert "childinfo" in recursive["Foo"]
        assert "childinfo" in recursive["Fruit"]
        assert "childinfo" not in recursive["Vegetable"]
        assert "\\HasChildren" in recursive["Foo"]
        assert one.run('LIST (RECURSIVEMATCH) "" "%"').kind == "BAD"
        special = names('LIST (SPECIAL-USE) "" "*"')
        assert {word for words in special.values() for word in words} >= {
            "\\Sent",
            "\\Drafts",
            "\\Junk",
            "\\Trash",
            "\\Archive",
        }
        plain = names('LIST "" "*"')
        assert all(re.search(r"\\Has(No)?Children", " ".join(words)) for words in plain.values())
        assert "\\Noselect" in plain["Foo"]
        assert "\\Sent" in plain["Sent"]
