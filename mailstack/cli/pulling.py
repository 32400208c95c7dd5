"""import-imap: mail from any IMAP server, again and again until the last day there."""

import asyncio
import hashlib
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.progress import Progress

from mailstack.cli.accounts import JSON, invocation
from mailstack.cli.following import bars
from mailstack.cli.imap_source import Folder, ImapSource, Listed, Login, SourceProblem
from mailstack.cli.invocation import Invocation, Refused, amount, fail, opened, read_password, show
from mailstack.control.client import ask
from mailstack.control.story import clean
from mailstack.store.lock import become_owner

Call = Callable[..., Any]
TOGETHER, OCTETS = 64, 8 << 20  # messages, and octets of them, that are fetched by one command
SAMPLE = 5  # messages a folder that are fetched once more at the end
TRIES = 5  # connections that may be lost in one folder
ARCHIVE = "\\Archive"
STDIN = typer.Option(False, "--password-stdin", help="read the password of the other server from standard input")
TOKEN = typer.Option(False, "--xoauth2-token-stdin", help="read an OAuth token from standard input, and log in by XOAUTH2")


def add_to(app: typer.Typer) -> None:
    app.command("import-imap")(import_imap)


@dataclass(slots=True)
class Row:
    """What became of a folder. `wrong` is why it is not what it should be."""

    folder: str
    mailbox: str
    messages: int = 0
    octets: int = 0
    came: int = 0
    known: int = 0
    flags: int = 0
    compared: int = 0
    wrong: list[str] = field(default_factory=list)


class CallProblem(Exception):
    """What an operation refused."""


def import_imap(
    context: typer.Context,
    address: str,
    source: str = typer.Option(..., "--from", help="whom, and where: user@imap.host; the user may be an address"),
    password_stdin: bool = STDIN,
    xoauth2_token_stdin: bool = TOKEN,
    port: int = typer.Option(0, "--port", help="else 993, with --starttls or --plain 143"),
    starttls: bool = typer.Option(False, "--starttls", help="TLS by STARTTLS; else from the first octet on"),
    plain: bool = typer.Option(False, "--plain", help="no TLS: only on this machine"),
    ca: str = typer.Option("", "--ca", help="a file of certificates that are trusted instead of the system's"),
    check: bool = typer.Option(False, "--check", help="only say what is there"),
    json: bool = JSON,
) -> None:
    """Pull mail from any IMAP server: folders, flags, keywords, dates. Run it again: only what is new comes.

    Nothing is changed there. Folders for sent mail, drafts and so on go into the account's own. At the end counts and sizes of
    all folders are compared, and some messages whole. Ctrl-C or a lost connection: run it again, it goes on.

    Example: mailstack import-imap alice@example.org --from alice@old.example@imap.old.example --password-stdin
    """
    login = _login(source, port, password_stdin, xoauth2_token_stdin, starttls, plain, ca)
    one = invocation(context)
    try:
        rows = _through(one, lambda call, spool: _Pull(call, login, address, spool, check=check).run())
    except (SourceProblem, CallProblem) as problem:
        fail(str(problem))
    except OSError as problem:
        fail(f"{login.host}: {problem.strerror or problem}; run it again to go on")
    except KeyboardInterrupt:
        fail("stopped; run it again to go on")
    if json:
        show([asdict(row) for row in rows], True, [])
    else:
        _tell(rows, check=check)
    if any(row.wrong for row in rows):
        raise typer.Exit(1)


def _login(source: str, port: int, password: bool, token: bool, starttls: bool, plain: bool, ca: str) -> Login:
    user, at, host = source.rpartition("@")
    if not at or not user or not host:
        fail("--from: user@imap.host, like alice@old.example@imap.old.example", 2)
    if plain and host not in ("localhost", "127.0.0.1", "::1"):
        fail("--plain: only from this machine: a password would go over the network as it is", 2)
    security = "none" if plain else "starttls" if starttls else "tls"
    port = port or (993 if security == "tls" else 143)
    if token:
        if not (found := sys.stdin.readline().strip()):
            fail("standard input holds no token", 2)
        return Login(host, port, user, None, found, security, ca or None)
    secret = read_password(password, f"Password of {user} at {host}")
    return Login(host, port, user, secret, None, security, ca or None)


def _tell(rows: list[Row], *, check: bool) -> None:
    shown = [
        {**asdict(row), "folder": clean(row.folder), "mailbox": clean(row.mailbox), "size": amount(row.octets)} for row in rows
    ]
    show(shown, False, ["folder", "mailbox", "messages", "size", *(() if check else ("came", "known"))])
    for row in rows:
        for reason in row.wrong:
            print(f"! {clean(row.folder)}: {reason}")
    messages, came = sum(row.messages for row in rows), sum(row.came for row in rows)
    if check:
        print(f"{messages} messages are there. Nothing was fetched.")
        return
    print(f"{came} messages came; {sum(row.known for row in rows)} had come before.")
    if any(row.flags for row in rows):
        print(f"{sum(row.flags for row in rows)} of those have other flags there now, and here too.")
    wrong = "something differs" if any(row.wrong for row in rows) else "equal"
    print(f"Compared: counts and sizes of {messages} messages, {sum(row.compared for row in rows)} of them whole: {wrong}.")


def _through(one: Invocation, work: Callable[[Call, Path], list[Row]]) -> list[Row]:
    """With a way to call operations of the running server, or on the data when none runs."""
    config = one.config()
    become_owner(config.data)
    socket = config.data / "control.sock"

    def asked(name: str, **arguments: Any) -> Any:
        answer = ask(socket, name, arguments)
        if answer is None:
            raise ConnectionError("the mail server stopped")
        return _unwrapped(answer)

    if ask(socket, "domain.list", {}) is not None:
        return work(asked, config.data / "spool")

    async def directly() -> list[Row]:
        from mailstack.control.operations import run

        async with opened(config) as table:
            if isinstance(table, Refused):
                fail(table.reason, table.code)
            loop, operations = asyncio.get_running_loop(), table

            def call(name: str, **arguments: Any) -> Any:
                return _unwrapped(asyncio.run_coroutine_threadsafe(run(operations, name, arguments), loop).result())

            return await asyncio.to_thread(work, call, config.data / "spool")

    return asyncio.run(directly())


def _unwrapped(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise CallProblem(answer["error"])
    return answer["ok"]


class _Pull:
    """One run."""

    def __init__(self, call: Call, login: Login, address: str, spool: Path, *, check: bool) -> None:
        self._call = call
        self._login = login
        self._address = address
        self._spool = spool
        self._check = check
        self._imap = ImapSource(login)
        self._seen: set[int] = set()  # Gmail's numbers of messages that some folder has

    def run(self) -> list[Row]:
        """Raises SourceProblem, CallProblem, OSError."""
        for leftover in self._spool.glob(f"pull-{self._address}-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a run that was killed
        place = Path(tempfile.mkdtemp(prefix=f"pull-{self._address}-", dir=self._spool))
        try:
            with bars() as progress:
                return [self._patiently(folder, progress, place) for folder in self._imap.folders()]
        finally:
            shutil.rmtree(place, ignore_errors=True)
            self._imap.close()

    def _patiently(self, folder: Folder, progress: Progress, place: Path) -> Row:
        """A connection may be lost: what came so far is known, and it goes on."""
        row = Row(folder.wire.decode("utf-8", "replace"), folder.name)
        for attempt in range(TRIES):
            try:
                self._pull(folder, row, progress, place)
            except (ConnectionError, TimeoutError) as problem:
                if attempt + 1 == TRIES:
                    raise
                progress.console.print(f"{self._login.host}: {problem}; trying again")
                time.sleep(2**attempt)
                self._imap = ImapSource(self._login)
            else:
                break
        return row

    def _pull(self, folder: Folder, row: Row, progress: Progress, place: Path) -> None:
        name, use = folder.name, folder.use
        if folder.view is not None and not (folder.view == "\\All" and self._imap.gmail):
            row.mailbox = "(not fetched: it shows messages of the other folders)"
            return
        validity = self._imap.examine(folder)
        listed = self._imap.listing()
        if folder.view is not None:
            # Gmail's archive is what only All Mail has.
            name, use = "Archive", ARCHIVE
            listed = [one for one in listed if one.gmail not in self._seen]
        self._seen |= {one.gmail for one in listed if one.gmail is not None}
        row.mailbox, row.messages, row.octets = name, len(listed), sum(one.size for one in listed)
        if self._check:
            return
        origin = {
            "address": self._address, "source": self._login.source, "mailbox": row.folder, "uid_validity": validity,
        }  # fmt: skip
        had = self._call("pull.known", **origin)
        known = set(had["uids"])
        self._flags(listed, origin, row, dict(zip(had["uids"], had["flags"], strict=True)))
        row.known = max(row.known, sum(one.uid in known for one in listed) - row.came)
        task = progress.add_task(name, total=len(listed), completed=len(listed) - sum(one.uid not in known for one in listed))
        for some in _batches([one for one in listed if one.uid not in known]):
            answer = self._take(some, origin, name, use, place)
            row.mailbox = answer["place"]
            row.came += answer["came"]
            row.known += answer["there"]
            progress.update(task, advance=len(some))
        self._compare(listed, origin, row)
        progress.remove_task(task)

    def _take(self, some: Sequence[Listed], origin: dict[str, Any], name: str, use: str | None, place: Path) -> Any:
        letters: list[dict[str, Any]] = []
        for one in self._imap.fetch([listed.uid for listed in some]):
            file = place / str(one.uid)
            file.write_bytes(one.octets)
            letters.append({"uid": one.uid, "file": str(file), "flags": list(one.flags), "date": one.date})
        try:
            return self._call("pull.take", **origin, folder=name, use=use, letters=letters)
        finally:
            for letter in letters:
                Path(letter["file"]).unlink(missing_ok=True)

    def _flags(self, listed: list[Listed], origin: dict[str, Any], row: Row, before: dict[int, str]) -> None:
        """What changed there since the last run."""
        from mailstack.control.pulling import flag_text

        changed = {str(one.uid): list(one.flags) for one in listed if before.get(one.uid, "") != flag_text(list(one.flags))}
        changed = {uid: flags for uid, flags in changed.items() if int(uid) in before}
        if changed:
            row.flags += self._call("pull.flags", **origin, flags=changed)["changed"]

    def _compare(self, listed: list[Listed], origin: dict[str, Any], row: Row) -> None:
        """Counts and sizes of all, and some whole, fetched once more."""
        found = self._call("pull.known", **origin)
        sizes = dict(zip(found["uids"], found["sizes"], strict=True))
        missing = [one.uid for one in listed if one.uid not in sizes]
        if missing:
            row.wrong.append(f"{len(missing)} messages did not come (UID {missing[0]}); run it again")
        other = [one.uid for one in listed if sizes.get(one.uid, one.size) != one.size]
        if other:
            row.wrong.append(f"{len(other)} messages have another size than the server said (UID {other[0]})")
        there = [one.uid for one in listed if one.uid in sizes]
        chosen = sorted(random.SystemRandom().sample(there, min(SAMPLE, len(there))))
        if not chosen:
            return
        here = self._call("pull.sample", **origin, uids=chosen)
        for one in self._imap.fetch(chosen):
            digest = here.get(str(one.uid))
            row.compared += digest is not None
            if digest is not None and digest != hashlib.sha256(one.octets).hexdigest():
                row.wrong.append(f"the message with UID {one.uid} is not the same")


def _batches(listed: list[Listed]) -> Iterator[list[Listed]]:
    some: list[Listed] = []
    octets = 0
    for one in listed:
        some.append(one)
        octets += one.size
        if len(some) >= TOGETHER or octets >= OCTETS:
            yield some
            some, octets = [], 0
    if some:
        yield some
