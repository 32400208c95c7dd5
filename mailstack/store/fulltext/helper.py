"""The helper process: `python -m mailstack.store.fulltext.helper NICENESS`. It answers what comes in on its standard input.

It holds nothing of a client's; it ends when its input does. Questions take turns, so that a long one stops no other.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import sqlite3
import sys
import zlib
from array import array
from collections import OrderedDict, deque
from collections.abc import Generator, Iterable
from pathlib import Path

from mailstack.store.errors import MessageGone
from mailstack.store.fulltext import attachments, matching, questions
from mailstack.store.fulltext.database import Database, Kept, Unusable, put_aside, unpack
from mailstack.store.fulltext.finding import Found, find
from mailstack.store.fulltext.framing import framed, frames
from mailstack.store.fulltext.questions import Add, Answer, Compare, Drop, Find, Make, Question, Remove, Scan
from mailstack.store.mailbox.answers import compute
from mailstack.store.mailbox.files import MailFiles

OPEN_DATABASES = 8
MEMORY_LIMIT = 1 << 30  # octets
Work = Generator[None, None, Answer]


def broken(problem: Exception) -> bool:
    """Whether the file is at fault, or what is in it; and not the disk, a lock or the memory."""
    if isinstance(problem, sqlite3.OperationalError):
        return any(sign in str(problem) for sign in ("no such table", "no such column", "Could not decode"))
    return isinstance(problem, Unusable | sqlite3.DatabaseError | zlib.error | ValueError | LookupError | TypeError)


class Databases:
    """Those that were used last are open."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, bool], Database] = OrderedDict()

    def get(self, path: str, *, writes: bool) -> Database:
        """Raises FileNotFoundError, Unusable, sqlite3.Error."""
        key = (path, writes)
        found = self._open.pop(key, None)
        if found is not None and not found.is_there():
            found.close()
            found = None
        if found is None:
            found = Database(path, writes=writes)
        self._open[key] = found
        while len(self._open) > OPEN_DATABASES:
            self._open.popitem(last=False)[1].close()
        return found

    def drop(self, path: str) -> None:
        for key in [key for key in self._open if key[0] == path]:
            self._open.pop(key).close()


class Helper:
    """What each question leads to. A failure is an answer, too."""

    def __init__(self) -> None:
        self._databases = Databases()

    def work(self, number: int, question: Question, *, again: bool = False) -> Work:
        try:
            return (yield from self._work(number, question))
        except (FileNotFoundError, NotADirectoryError):
            return self._nothing_known(number, question, damaged=False)
        except Exception as problem:  # noqa: BLE001 - whatever a broken file leads to
            if isinstance(question, Scan | Make) or not broken(problem):
                return Answer(number, problem=f"{type(problem).__name__}: {problem}")
        self._make_anew(question)
        if isinstance(question, Add) and not again:
            return (yield from self.work(number, question, again=True))
        return self._nothing_known(number, question, damaged=True)

    def _nothing_known(self, number: int, question: Question, *, damaged: bool) -> Answer:
        """There is no index, or it can't be used."""
        match question:
            case Compare(uids=uids):
                return Answer(number, uids)
            case Find(among=among):
                return Answer(number, unknown=among, damaged=damaged)
            case _:
                return Answer(number)

    def _make_anew(self, question: Question) -> None:
        """Only the one that writes removes what is broken."""
        if isinstance(question, Scan | Make):
            return
        self._databases.drop(question.database)
        if not isinstance(question, Find | Compare):
            put_aside(question.database)

    def _work(self, number: int, question: Question) -> Work:
        match question:
            case Compare(database, mailbox, uids, sizes, dates):
                columns = unpack(uids), array("Q", sizes), array("q", dates)
                lacking, others = self._databases.get(database, writes=False).compare(mailbox, *columns)
                return Answer(number, _packed(lacking), _packed(others))
            case Remove(database, mailbox, gone):
                Path(database).stat()  # nothing is made to remove something from it
                some = None if gone is None else unpack(gone)
                self._databases.get(database, writes=True).remove(mailbox, some)
                return Answer(number)
            case Add():
                return self._add(number, question)
            case Drop(database):
                self._make_anew(question)
                return Answer(number)
            case Find(database, mailbox, criterion, among):
                found = Found()
                yield from find(self._databases.get(database, writes=False), mailbox, criterion, unpack(among), found)
                return Answer(number, _packed(found.uids), _packed(found.unknown))
            case Make(root, files, kind):
                return Answer(number, made=compute(MailFiles(Path(root)), kind, files))
            case Scan():
                return (yield from self._scan(number, question))

    def _add(self, number: int, question: Add) -> Answer:
        database = self._databases.get(question.database, writes=True)
        known = set(database.uids(question.mailbox))
        maildir = MailFiles(Path(question.root))
        ask = attachments.reader(question.attachments) if question.attachments else None
        texts: dict[int, Kept] = {}
        for file, size, date in question.messages:
            if file.uid in known:
                continue
            try:
                texts[file.uid] = Kept(matching.read(maildir, file, ask), size, date)
            except (MessageGone, FileNotFoundError):
                continue
        if texts:
            database.add(question.mailbox, texts)
        return Answer(number, _packed(list(texts)))

    def _scan(self, number: int, question: Scan) -> Work:
        maildir = MailFiles(Path(question.root))
        found = Found()
        for file in question.files:
            result = matching.look(maildir, file, question.criterion)
            if result is None:
                found.unknown.append(file.uid)
            elif result:
                found.uids.append(file.uid)
            yield
        return Answer(number, _packed(found.uids), _packed(found.unknown))


def _packed(uids: Iterable[int]) -> bytes:
    return array("I", sorted(uids)).tobytes()


def serve(helper: Helper, reader: int, writer: int) -> None:
    """Until the reader is at its end."""
    waiting: deque[tuple[int, Work]] = deque()
    received = bytearray()
    while True:
        if select.select([reader], [], [], 0 if waiting else None)[0]:
            data = os.read(reader, 1 << 20)
            if not data:
                return
            received += data
            for frame in frames(received):
                numbered = questions.to_question.decode(frame)
                waiting.append((numbered.id, helper.work(numbered.id, numbered.question)))
        if waiting:
            number, work = waiting.popleft()
            try:
                next(work)
                waiting.append((number, work))
            except StopIteration as done:
                _send(writer, done.value)


def _send(writer: int, answer: Answer) -> None:
    data = memoryview(framed(answer))
    while data:
        data = data[os.write(writer, data) :]


def _be_modest(niceness: int) -> None:
    """Others come first; and where memory runs out, it is this process that ends, and not the server."""
    with contextlib.suppress(OSError):
        os.nice(niceness)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT, hard))


if __name__ == "__main__":
    _be_modest(int(sys.argv[1]))
    answers = os.dup(1)
    os.dup2(2, 1)  # what anything else writes is no answer
    serve(Helper(), 0, answers)
