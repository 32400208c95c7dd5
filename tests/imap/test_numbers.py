"""Sequence numbers (RFC 9051 5.5, 7.5.1): several sessions change one mailbox; what each was told agrees with what is there."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.support.imap import Client
from tests.support.responses import Response
from tests.support.server import PASSWORD, Server

SESSIONS = 3
FLAGS = ("\\Seen", "\\Flagged", "\\Deleted", "\\Answered", "red", "blue")
names = itertools.count()
BY_NUMBER = ("store", "store silent", "fetch", "fetch all", "search", "move", "copy", "move here", "delete", "fetch body")
KINDS = (*BY_NUMBER, "append", "append", "expunge", "uid expunge", "uid store", "uid fetch", "uid move", "uid copy")
Draft = tuple[str, list[int], set[str], str]
# What is drawn does not depend on what the sessions were told: that differs from run to run.
DRAFT = st.tuples(
    st.sampled_from(KINDS),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
    st.sets(st.sampled_from(FLAGS), max_size=3),
    st.sampled_from(["", "+", "-"]),
)


@dataclass
class Message:
    uid: int | None = None
    flags: frozenset[str] | None = None


class Told:
    """One session, and all that it was told."""

    def __init__(self, server: Server, account: str, mailbox: str) -> None:
        self.client = Client(server.ports["imap"])
        self.client.login(f"{account}@a.test", PASSWORD)
        self.mailbox = mailbox
        self.view: list[Message] = []
        self.numbers_in_use = False
        self.select()

    def select(self, command: str = "SELECT") -> None:
        for response in self.client.ok(f"{command} {self.mailbox}"):
            self.hear(response)

    def hear(self, response: Response) -> None:
        number = response.number or 0
        if response.code == "CLOSED":
            self.view = []
        elif response.kind == "EXISTS":
            assert number >= len(self.view), "messages vanished without EXPUNGE"
            self.view += [Message() for _ in range(number - len(self.view))]
        elif response.kind == "EXPUNGE":
            assert not self.numbers_in_use, "EXPUNGE while numbers are in use"
            assert 1 <= number <= len(self.view), "EXPUNGE of what the client never had"
            del self.view[number - 1]
        elif response.kind == "VANISHED":
            self.vanish(numbers_of(response.data), earlier=response.code == "EARLIER")
        elif response.kind == "FETCH":
            assert 1 <= number <= len(self.view), "FETCH of what the client never had"
            message = self.view[number - 1]
            uid, flags = response.items.get("UID"), response.items.get("FLAGS")
            if isinstance(uid, int):
                assert message.uid in (None, uid), "a number means another message"
                message.uid = uid
            if isinstance(flags, list):
                message.flags = frozenset(str(flag) for flag in flags) - {"\\Recent"}
        elif response.kind == "SEARCH":
            assert isinstance(response.value, list)

    def vanish(self, uids: list[int], *, earlier: bool) -> None:
        raise AssertionError("VANISHED to a client that did not ask for it")

    def send(self, command: str) -> str:
        """Without waiting for the answer."""
        tag = self.client.tag()
        self.numbers_in_use = command.startswith(("FETCH", "STORE", "SEARCH"))
        self.client.send(f"{tag} {command}\r\n".encode())
        return tag

    def answer(self, tag: str) -> Response:
        answer = self.client.answer(tag)
        for response in self.client.heard:
            self.hear(response)
        self.numbers_in_use = False
        return answer

    def run(self, command: str) -> Response:
        return self.answer(self.send(command))


def numbers_of(data: str) -> list[int]:
    found: list[int] = []
    for piece in data.split(","):
        first, _, last = piece.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class Resyncing(Told):
    """A session that speaks QRESYNC, goes away, comes back with what it knew, and asks for nothing that it knows."""

    def __init__(self, server: Server, account: str, mailbox: str) -> None:
        self.server, self.account = server, account
        self.validity = ""
        self.modseq = self.highest = self.heard_modseq = 0
        self.exists = 0
        self.selecting = False
        super().__init__(server, account, mailbox)

    def select(self, command: str = "SELECT") -> None:
        self.client.socket.close()
        self.client = Client(self.server.ports["imap"])
        self.client.login(f"{self.account}@a.test", PASSWORD)
        self.client.ok("ENABLE QRESYNC")
        self.view = [message for message in self.view if message.uid is not None]
        self.selecting = True
        known = f" (QRESYNC ({self.validity} {self.modseq}))" if self.modseq else ""
        answer = self.client.run(f"{command} {self.mailbox}{known}")
        assert answer.kind == "OK"
        for response in self.client.heard:
            if response.code == "UIDVALIDITY":
                self.validity = response.data
            self.hear(response)
        self._complete()
        self.settle(answer)

    def _complete(self) -> None:
        """After SELECT: what it did not know is behind what it knew."""
        if self.selecting:
            self.selecting = False
            assert self.exists >= len(self.view), "what vanished was not told"
            self.view += [Message() for _ in range(self.exists - len(self.view))]

    def hear(self, response: Response) -> None:
        if response.kind == "EXISTS":
            self.exists = response.number or 0
            if self.selecting:
                return
        elif response.kind == "FETCH":
            self._complete()
            modseq = response.items.get("MODSEQ")
            if isinstance(modseq, int):
                self.heard_modseq = max(self.heard_modseq, modseq)
        elif response.code == "HIGHESTMODSEQ":
            self.highest = int(response.data)
        assert response.kind != "EXPUNGE"
        super().hear(response)

    def vanish(self, uids: list[int], *, earlier: bool) -> None:
        assert earlier is self.selecting
        assert not self.numbers_in_use, "VANISHED while numbers are in use"
        for uid in uids:
            place = next((place for place, message in enumerate(self.view) if message.uid == uid), None)
            if place is None and not earlier:
                # Told of, and gone before its UID was asked for.
                place = next(place for place, message in enumerate(self.view) if message.uid is None)
            if place is not None:
                del self.view[place]

    def settle(self, answer: Response) -> None:
        """RFC 7162 6: what the client then knows of."""
        if answer.code == "HIGHESTMODSEQ":
            self.highest = int(answer.data)
        self.modseq = self.highest or max(self.modseq, self.heard_modseq)
        self.highest = self.heard_modseq = 0

    def answer(self, tag: str) -> Response:
        answer = super().answer(tag)
        self.settle(answer)
        if any(message.uid is None or message.flags is None for message in self.view):
            # Before it says that it knows the mailbox up to a MODSEQ, it asks for what it does not know.
            first = next(place for place, one in enumerate(self.view) if one.uid is None or one.flags is None) + 1
            self.settle(super().answer(self.send(f"FETCH {first}:* (UID FLAGS)")))
        return answer


class Sessions(RuleBasedStateMachine):
    server: Server
    account: str

    def __init__(self) -> None:
        super().__init__()
        self.sessions: list[Told] = []

    @initialize()
    def begin(self) -> None:
        mailbox = f"box{next(names)}"
        with Client(self.server.ports["imap"]) as one:
            one.login(f"{self.account}@a.test", PASSWORD)
            one.ok(f"CREATE {mailbox}")
            one.append(mailbox, b"Subject: first\r\n\r\n")
        self.mailbox = mailbox
        kinds = (Told, Resyncing, Told)
        self.sessions = [kind(self.server, self.account, mailbox) for kind in kinds]
        self.watcher = Client(self.server.ports["imap"])
        self.watcher.login(f"{self.account}@a.test", PASSWORD)

    def teardown(self) -> None:
        for session in self.sessions:
            session.client.socket.close()
        if self.sessions:
            self.watcher.socket.close()

    def command(self, told: Told, draft: Draft) -> tuple[str, list[int]]:
        """A command that changes or reads, and the places whose flags the client then has to guess."""
        kind, places, flag_set, sign = draft
        count = len(told.view)
        known = [message.uid for message in told.view if message.uid is not None] or [1]
        numbers = sorted({place % count + 1 for place in places}) if count else []
        chosen = ",".join(map(str, numbers))
        by_uid = ",".join(str(known[place % len(known)]) for place in places)
        flags = " ".join(sorted(flag_set))
        if not count and kind in BY_NUMBER:
            kind = "append"
        match kind:
            case "append":
                return f"APPEND {self.mailbox} ({flags}) {{3+}}\r\nabc", []
            case "expunge":
                return "EXPUNGE", []
            case "uid expunge":
                return f"UID EXPUNGE {by_uid}", []
            case "store":
                return f"STORE {chosen} {sign}FLAGS ({flags})", []
            case "delete":
                return f"STORE {chosen} +FLAGS (\\Deleted)", []
            case "store silent":
                return f"STORE {chosen} {sign}FLAGS.SILENT ({flags})", [number - 1 for number in numbers]
            case "uid store":
                return f"UID STORE {by_uid} {sign}FLAGS ({flags})", []
            case "fetch":
                return f"FETCH {chosen} (UID FLAGS)", []
            case "fetch all":
                return "FETCH 1:* (UID FLAGS)", []
            case "fetch body":
                return f"FETCH {chosen} BODY[TEXT]", []
            case "uid fetch":
                return "UID FETCH 1:* FLAGS", []
            case "search":
                return f"SEARCH {chosen}", []
            case "move":
                return f"MOVE {chosen} Trash", []
            case "move here":
                return f"MOVE {chosen} {self.mailbox}", []
            case "copy":
                return f"COPY {chosen} {self.mailbox}", []
            case "uid move":
                return f"UID MOVE {by_uid} Trash", []
            case _:
                return f"UID COPY {by_uid} {self.mailbox}", []

    @rule(draft=DRAFT, who=st.integers(0, SESSIONS - 1))
    def one(self, draft: Draft, who: int) -> None:
        told = self.sessions[who]
        command, guessed = self.command(told, draft)
        for place in guessed:
            told.view[place].flags = None
        answer = told.run(command)
        assert answer.kind in ("OK", "NO"), (command, answer)

    @rule(drafts=st.lists(DRAFT, min_size=SESSIONS, max_size=SESSIONS))
    def at_once(self, drafts: list[Draft]) -> None:
        """All sessions send before any of them reads."""
        sent: list[tuple[Told, str, str]] = []
        for told, draft in zip(self.sessions, drafts, strict=True):
            command, guessed = self.command(told, draft)
            for place in guessed:
                told.view[place].flags = None
            sent.append((told, command, told.send(command)))
        for told, command, tag in sent:
            assert told.answer(tag).kind in ("OK", "NO"), command

    @rule(who=st.integers(0, SESSIONS - 1))
    def again(self, who: int) -> None:
        self.sessions[who].select()

    @rule(who=st.integers(0, SESSIONS - 1))
    def idle(self, who: int) -> None:
        told = self.sessions[who]
        tag = told.send("IDLE")
        while (response := told.client.next()).kind != "+":
            told.hear(response)
        told.client.send(b"DONE\r\n")
        told.answer(tag)

    @rule(who=st.integers(0, SESSIONS - 1), what=st.sampled_from(["NOOP", "CHECK"]))
    def agree(self, who: int, what: str) -> None:
        told = self.sessions[who]
        told.run(what)
        self.watcher.ok(f"EXAMINE {self.mailbox}")
        there = [
            (response.items["UID"], frozenset(map(str, response.items["FLAGS"] or [])) - {"\\Recent"})  # type: ignore[arg-type]
            for response in self.watcher.ok("UID FETCH 1:* FLAGS")
            if response.kind == "FETCH"
        ]
        assert len(told.view) == len(there)
        for mine, (uid, flags) in zip(told.view, there, strict=True):
            assert mine.uid in (None, uid)
            assert mine.flags in (None, flags)


@contextmanager
def machine(server: Server, account: str) -> Iterator[type[Sessions]]:
    yield type("Machine", (Sessions,), {"server": server, "account": account})


def run(server: Server, account: str, examples: int) -> None:
    with machine(server, account) as made:
        run_state_machine_as_test(
            made,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                database=None,
                phases=[Phase.generate],  # what sessions do at once has no order that could be had again
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_what_sessions_were_told_agrees_with_what_is_there(server: Server, account: str) -> None:
    run(server, account, 30)


@pytest.mark.fuzz
@pytest.mark.timeout(0)
def test_what_sessions_were_told_agrees_with_what_is_there_for_long(server: Server, account: str) -> None:
    run(server, account, max(50, int(os.environ.get("MAILSTACK_FUZZ_EXAMPLES", "2000")) // 40))
