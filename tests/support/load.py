"""Clients that write down what was acknowledged while a server is killed under them, and the check afterwards.

Tokens in Subject name messages; each is used for one attempt only, since an attempt without an answer may have succeeded.
"""

import contextlib
import imaplib
import itertools
import random
import re
import smtplib
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.support.server import DOMAIN, NETWORK_PROBLEMS, PASSWORD, Server

USERS = ("alice", "bob", "carol", "dave", "erin", "frank")
Tree = tuple[frozenset[str], str | None]  # mailboxes that there are, and the one that holds the message


@dataclass
class Ledger:
    """What clients were told, and so must find. What had no answer may be so or so, but never half."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    there: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # token -> (user, mailbox) that must hold it once
    doubtful: dict[str, set[tuple[str, str]]] = field(default_factory=dict)  # ... and that may hold it once
    flags: dict[str, list[frozenset[str]]] = field(default_factory=dict)  # token -> what its flags may be
    groups: list[tuple[str, ...]] = field(default_factory=list)  # tokens of one MULTIAPPEND: all or none
    pairs: list[tuple[str, str]] = field(default_factory=list)  # of a REPLACE: one of them, never both, never none
    trees: dict[int, list[Tree]] = field(default_factory=dict)
    passwords: dict[str, list[str]] = field(default_factory=dict)  # user -> passwords of which one is right
    relayed: set[str] = field(default_factory=set)
    uids: dict[tuple[str, str, int, int], str] = field(default_factory=dict)
    modseqs: dict[tuple[str, str, int], int] = field(default_factory=dict)  # the highest MODSEQ of a mailbox
    modseqs_of: dict[tuple[str, str, int, int], int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(1 for places in self.there.values() if places)

    def try_(self, token: str, *places: tuple[str, str]) -> None:
        with self.lock:
            self.doubtful.setdefault(token, set()).update(places)

    def leave(self, token: str, place: tuple[str, str]) -> None:
        """It is being removed from there: it may be there or not."""
        with self.lock:
            self.there.get(token, set()).discard(place)

    def done(self, token: str, *places: tuple[str, str]) -> None:
        """These and no others."""
        with self.lock:
            self.there[token] = set(places)
            self.doubtful[token] = set(places)

    def saw_uid(self, user: str, mailbox: str, uid_validity: int, uid: int, token: str) -> None:
        """A UID names one message for ever."""
        with self.lock:
            known = self.uids.setdefault((user, mailbox, uid_validity, uid), token)
            if known != token:
                self.problems.append(f"UID {uid} of {user}/{mailbox} was {known}, is now {token}")

    def saw_modseq(self, user: str, mailbox: str, uid_validity: int, modseq: int, of: dict[int, int] | None = None) -> None:
        """They never go back, neither a mailbox's nor a message's."""
        with self.lock:
            key = (user, mailbox, uid_validity)
            if modseq < self.modseqs.get(key, 0):
                self.problems.append(f"HIGHESTMODSEQ of {user}/{mailbox} was {self.modseqs[key]}, is now {modseq}")
            self.modseqs[key] = max(modseq, self.modseqs.get(key, 0))
            for uid, value in (of or {}).items():
                if value < self.modseqs_of.get((*key, uid), 0):
                    self.problems.append(f"MODSEQ of {user}/{mailbox}/{uid} was {self.modseqs_of[(*key, uid)]}, is now {value}")
                self.modseqs_of[(*key, uid)] = value


def mail(token: str, size: int = 2000) -> bytes:
    body = ("x" * 70 + "\r\n") * (size // 72)
    return (
        f"From: sender@far.test\r\nTo: alice@{DOMAIN}\r\nSubject: {token}\r\nMessage-ID: <{token}@far.test>\r\n\r\n{body}"
    ).encode()


def select(connection: imaplib.IMAP4, mailbox: str, user: str, ledger: Ledger, readonly: bool = False) -> int:
    """The mailbox's UIDVALIDITY; its HIGHESTMODSEQ goes into the ledger."""
    answer, said = connection.select(f'"{mailbox}"', readonly=readonly)
    if answer != "OK":
        raise imaplib.IMAP4.error(f"{mailbox} can't be selected: {said}")
    uid_validity = int((connection.response("UIDVALIDITY")[1][0] or b"0").decode())
    highest = connection.response("HIGHESTMODSEQ")[1][0]
    if highest:
        ledger.saw_modseq(user, mailbox, uid_validity, int(highest))
    return uid_validity


def appended(data: list[bytes]) -> tuple[int, list[int]]:
    """UIDVALIDITY and UIDs of an APPENDUID."""
    found = re.search(rb"APPENDUID (\d+) ([0-9,:]+)", data[0])
    assert found, data
    uids: list[int] = []
    for part in found[2].split(b","):
        first, _, last = part.partition(b":")
        uids += range(int(first), int(last or first) + 1)
    return int(found[1]), uids


class Load:
    """Clients in threads until the end of the `with`; what is answered goes into the ledger."""

    def __init__(self, server: Server, ledger: Ledger, seed: int, *, relay: bool = False, users: bool = False) -> None:
        self.server = server
        self.ledger = ledger
        self.random = random.Random(seed)
        self.seed = seed
        self.stop = threading.Event()
        self.numbers = itertools.count(1)
        jobs = [self.deliver, self.deliver_to_many, self.append, self.append_many, self.move_and_expunge]
        jobs += [self.copy_and_store, self.folders, self.replace]
        if relay:
            jobs.append(self.submit)
        if users:
            jobs.append(self.change_users)
        self.threads = [threading.Thread(target=self.forever, args=(job,), daemon=True) for job in jobs]

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive(), "a client goes on after the end"

    def forever(self, job: Callable[[], Iterator[None]]) -> None:
        while not self.stop.is_set():
            with contextlib.suppress(*NETWORK_PROBLEMS):
                for _ in job():
                    if self.stop.is_set():
                        return
            self.stop.wait(0.01)

    def token(self, kind: str) -> str:
        return f"{kind}{self.seed}-{next(self.numbers)}"

    def deliver(self) -> Iterator[None]:
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=10) as client:
            while True:
                token = self.token("d")
                self.ledger.try_(token, ("alice", "INBOX"))
                client.sendmail("sender@far.test", [f"alice@{DOMAIN}"], mail(token))
                self.ledger.done(token, ("alice", "INBOX"))
                yield

    def deliver_to_many(self) -> Iterator[None]:
        with smtplib.SMTP("127.0.0.1", self.server.ports["smtp"], timeout=10) as client:
            while True:
                token = self.token("e")
                places = [(user, "INBOX") for user in ("alice", "erin", "frank")]
                self.ledger.try_(token, *places)
                if not client.sendmail("sender@far.test", [f"{user}@{DOMAIN}" for user, _ in places], mail(token, 500)):
                    self.ledger.done(token, *places)
                yield

    def submit(self) -> Iterator[None]:
        """To a host far away and to one here."""
        with smtplib.SMTP("127.0.0.1", self.server.ports["submission"], timeout=10) as client:
            client.ehlo()
            client.login(f"bob@{DOMAIN}", PASSWORD)
            while True:
                token = self.token("r")
                data = mail(token).replace(b"From: sender@far.test", f"From: bob@{DOMAIN}".encode())
                self.ledger.try_(token, ("frank", "INBOX"))
                if not client.sendmail(f"bob@{DOMAIN}", ["someone@far.test", f"frank@{DOMAIN}"], data):
                    self.ledger.done(token, ("frank", "INBOX"))
                    with self.ledger.lock:
                        self.ledger.relayed.add(token)
                yield

    def imap(self, user: str) -> contextlib.AbstractContextManager[imaplib.IMAP4]:
        @contextlib.contextmanager
        def opened() -> Iterator[imaplib.IMAP4]:
            connection = self.server.imap(user)
            try:
                yield connection
            finally:
                with contextlib.suppress(OSError):
                    connection.shutdown()

        return opened()

    def append_one(self, connection: imaplib.IMAP4, user: str, mailbox: str, token: str, size: int = 300) -> int:
        """Its UID."""
        self.ledger.try_(token, (user, mailbox))
        answer, data = connection.append(f'"{mailbox}"', None, None, mail(token, size))  # type: ignore[arg-type]
        if answer != "OK":
            raise imaplib.IMAP4.error("refused")
        uid_validity, (uid,) = appended(data)
        self.ledger.saw_uid(user, mailbox, uid_validity, uid, token)
        self.ledger.done(token, (user, mailbox))
        return uid

    def append(self) -> Iterator[None]:
        with self.imap("bob") as connection:
            while True:
                self.append_one(connection, "bob", "Archive", self.token("a"), 2000)
                yield

    def append_many(self) -> Iterator[None]:
        """RFC 3502, which imaplib does not know."""
        with self.imap("carol") as connection:
            while True:
                tokens = tuple(self.token("n") for _ in range(4))
                for token in tokens:
                    self.ledger.try_(token, ("carol", "Archive"))
                with self.ledger.lock:
                    self.ledger.groups.append(tokens)
                tag = f"m{next(self.numbers)}".encode()
                pieces = [b" {%d+}\r\n%b" % (len(mail(token, 200)), mail(token, 200)) for token in tokens]
                connection.send(tag + b" APPEND Archive" + b"".join(pieces) + b"\r\n")
                while not (line := connection.readline()).startswith(tag):
                    if not line:
                        raise EOFError
                if b" OK " in line:
                    uid_validity, uids = appended([line])
                    for token, uid in zip(tokens, uids, strict=True):
                        self.ledger.saw_uid("carol", "Archive", uid_validity, uid, token)
                        self.ledger.done(token, ("carol", "Archive"))
                yield

    def move_and_expunge(self) -> Iterator[None]:
        with self.imap("bob") as connection:
            while True:
                token = self.token("m")
                uid = str(self.append_one(connection, "bob", "INBOX", token))
                select(connection, "INBOX", "bob", self.ledger)
                self.ledger.leave(token, ("bob", "INBOX"))
                if self.random.random() < 0.5:
                    self.ledger.try_(token, ("bob", "Trash"))
                    answer, _ = connection.uid("MOVE", uid, "Trash")
                    if answer == "OK":
                        self.ledger.done(token, ("bob", "Trash"))
                else:
                    answer, _ = connection.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
                    if answer != "OK":
                        raise imaplib.IMAP4.error("refused")
                    answer, _ = connection.expunge()
                    if answer == "OK":
                        self.ledger.done(token)
                yield

    def replace(self) -> Iterator[None]:
        """RFC 8508, which imaplib does not know: a draft that is saved again and again."""
        with self.imap("erin") as connection:
            select(connection, "Drafts", "erin", self.ledger)
            while True:
                token = self.token("p")
                uid = self.append_one(connection, "erin", "Drafts", token)
                for _ in range(3):
                    new = self.token("p")
                    self.ledger.leave(token, ("erin", "Drafts"))
                    self.ledger.try_(new, ("erin", "Drafts"))
                    with self.ledger.lock:
                        self.ledger.pairs.append((token, new))
                    tag = f"x{next(self.numbers)}".encode()
                    data = mail(new, 300)
                    connection.send(tag + b" UID REPLACE %d Drafts (\\Draft) {%d+}\r\n%b\r\n" % (uid, len(data), data))
                    lines = [connection.readline()]
                    while not lines[-1].startswith(tag):
                        if not lines[-1]:
                            raise EOFError
                        lines.append(connection.readline())
                    if b" OK " not in lines[-1]:
                        raise imaplib.IMAP4.error("refused")
                    uid_validity, (uid,) = appended([line for line in lines if b"APPENDUID" in line])
                    self.ledger.saw_uid("erin", "Drafts", uid_validity, uid, new)
                    with self.ledger.lock:
                        self.ledger.pairs.pop()
                    self.ledger.done(token)
                    self.ledger.done(new, ("erin", "Drafts"))
                    token = new
                yield

    def copy_and_store(self) -> Iterator[None]:
        with self.imap("carol") as connection:
            while True:
                token = self.token("c")
                uid = str(self.append_one(connection, "carol", "INBOX", token))
                select(connection, "INBOX", "carol", self.ledger)
                flags = frozenset(self.random.sample(["\\Seen", "\\Flagged", "$Kw", "other"], 2))
                with self.ledger.lock:
                    self.ledger.flags[token] = [frozenset(), flags]
                answer, _ = connection.uid("STORE", uid, "+FLAGS", f"({' '.join(sorted(flags))})")
                if answer == "OK":
                    with self.ledger.lock:
                        self.ledger.flags[token] = [flags]
                self.ledger.try_(token, ("carol", "Junk"))
                answer, _ = connection.uid("COPY", uid, "Junk")
                if answer == "OK":
                    self.ledger.done(token, ("carol", "INBOX"), ("carol", "Junk"))
                yield

    def folders(self) -> Iterator[None]:
        """CREATE, RENAME of a tree, DELETE."""
        with self.imap("dave") as connection:
            while True:
                number = next(self.numbers) + self.seed * 100_000
                token = self.token("t")
                old, new = f"t{number}", f"r{number}"
                state: Tree = (frozenset(), None)
                for words, after in (
                    (("CREATE", old), (frozenset({old}), None)),
                    (("CREATE", f"{old}/sub"), (frozenset({old, f"{old}/sub"}), None)),
                    (None, (frozenset({old, f"{old}/sub"}), f"{old}/sub")),
                    (("RENAME", old, new), (frozenset({new, f"{new}/sub"}), f"{new}/sub")),
                    (("DELETE", f"{new}/sub"), (frozenset({new}), None)),
                ):
                    with self.ledger.lock:
                        self.ledger.trees[number] = [state, after]
                    if words is None:
                        answer, data = connection.append(f'"{old}/sub"', None, None, mail(token, 200))  # type: ignore[arg-type]
                        if answer == "OK":
                            uid_validity, (uid,) = appended(data)
                            # By UIDVALIDITY: the mailbox changes its name.
                            self.ledger.saw_uid("dave", "", uid_validity, uid, token)
                    else:
                        answer, _ = connection._simple_command(*words)  # type: ignore[attr-defined]
                    if answer != "OK":
                        yield
                        break
                    state = after
                    with self.ledger.lock:
                        self.ledger.trees[number] = [state]
                    yield
                    if words is not None and words[0] == "RENAME" and number % 2:
                        break

    def change_users(self) -> Iterator[None]:
        """Accounts are made and get other passwords."""
        while True:
            user = f"u{self.seed}-{next(self.numbers)}"
            for verb, password in (("add", "first"), ("passwd", "second")):
                with self.ledger.lock:
                    known = self.ledger.passwords.setdefault(user, [""])
                    known.append(password)
                try:
                    self.server.run("user", verb, f"{user}@{DOMAIN}", "--password-stdin", stdin=f"{password}\n")
                except subprocess.CalledProcessError:
                    yield
                    break
                with self.ledger.lock:
                    self.ledger.passwords[user] = [password]
                yield
            self.stop.wait(0.1)


def contents(server: Server, user: str, ledger: Ledger) -> Iterator[tuple[str, str, frozenset[str]]]:
    """(token, mailbox, flags) of all that a user has; UIDs and MODSEQs go into the ledger on the way."""
    connection = server.imap(user)
    try:
        names = [re.findall(rb'"?([^" ]+)"?$', line)[0].decode() for line in connection.list()[1] if b"\\Noselect" not in line]
        for mailbox in names:
            uid_validity = select(connection, mailbox, user, ledger, readonly=True)
            _, data = connection.uid("FETCH", "1:*", "(FLAGS MODSEQ BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
            found: dict[int, int] = {}
            for piece in data:
                if not isinstance(piece, tuple):
                    continue
                token = piece[1].decode().partition("Subject: ")[2].strip()
                uid = int(re.findall(rb"UID (\d+)", piece[0])[0])
                found[uid] = int(re.findall(rb"MODSEQ \((\d+)\)", piece[0])[0])
                flags = re.findall(rb"FLAGS \(([^)]*)\)", piece[0])[0].decode().split()
                ledger.saw_uid(user, "" if user == "dave" else mailbox, uid_validity, uid, token)
                yield token, mailbox, frozenset(flags) - {"\\Recent"}
            ledger.saw_modseq(
                user, mailbox, uid_validity, max([0, ledger.modseqs.get((user, mailbox, uid_validity), 0)]), found
            )
            if user == "dave" and not found:
                yield "", mailbox, frozenset()
    finally:
        connection.logout()


def verify(server: Server, ledger: Ledger, *, promises_kept: bool = True) -> None:
    """Hold what IMAP shows against what was promised.

    Without `promises_kept` the index was lost while changes of many files trailed behind their answers: then no message may be
    missing, and no number may come again, but a message may be where it was before.
    """
    found: dict[str, Counter[tuple[str, str]]] = {}
    flags: dict[str, frozenset[str]] = {}
    trees: dict[int, tuple[set[str], str | None]] = {}
    for user in USERS:
        for token, mailbox, its in contents(server, user, ledger):
            if user == "dave":
                number = re.match(r"[rt](\d+)", mailbox)
                if number:
                    names, where = trees.setdefault(int(number[1]), (set(), None))
                    names.add(mailbox)
                    trees[int(number[1])] = (names, mailbox if token else where)
                continue
            found.setdefault(token, Counter())[(user, mailbox)] += 1
            if (user, mailbox) == ("carol", "INBOX"):
                flags[token] = its
    for token in ledger.there.keys() | found.keys():
        places, must = found.get(token, Counter()), ledger.there.get(token, set())
        assert max(places.values(), default=1) == 1, f"{token} is there twice: {places}"
        if not promises_kept:
            # A MULTIAPPEND's files have their names in the index alone until they are where they belong.
            assert places or not must or token[:1] == "n", f"{token} was acknowledged and is nowhere"
            continue
        assert must <= places.keys(), f"acknowledged and lost: {token} is in {set(places)}, not in {must - places.keys()}"
        more = places.keys() - must - ledger.doubtful.get(token, set())
        assert not more, f"{token} is where it should not be: {more}"
        # A MOVE that was not answered is done or not done.
        if token[:1] == "m" and not must and ledger.doubtful.get(token, set()) == {("bob", "INBOX"), ("bob", "Trash")}:
            assert len(places) == 1, f"{token} was being moved and is in {set(places)}"
    if promises_kept:
        for group in ledger.groups:
            assert sum(1 for token in group if found.get(token)) in (0, len(group)), f"half of a MULTIAPPEND: {group}"
        for pair in ledger.pairs:
            assert sum(1 for token in pair if found.get(token)) == 1, f"a REPLACE left {[found.get(token) for token in pair]}"
        for token, allowed in ledger.flags.items():
            assert token not in flags or flags[token] in allowed, f"{token} has {flags[token]}, not one of {allowed}"
        for number, allowed_trees in ledger.trees.items():
            names, where = trees.get(number, (set(), None))
            assert (frozenset(names), where) in allowed_trees, f"{sorted(names)} with mail in {where}, not {allowed_trees}"
    for user, passwords in ledger.passwords.items():
        right = [password for password in passwords if password and logs_in(server, user, password)]
        assert len(right) == 1 or "" in passwords, f"{user}: {right} of {passwords}"
    assert not ledger.problems, ledger.problems[:5]


def logs_in(server: Server, user: str, password: str) -> bool:
    connection = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20)
    try:
        connection.login(f"{user}@{DOMAIN}", password)
        return True
    except imaplib.IMAP4.error:
        return False
    finally:
        connection.shutdown()
