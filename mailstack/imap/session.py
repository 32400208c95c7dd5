"""One client: its state, and how a command is run and answered."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailstack.delivery.events import Events
from mailstack.door.services import DoorServices
from mailstack.imap.annotation_news import AnnotationNews
from mailstack.imap.answers import Refused, answer_to, bad, no
from mailstack.imap.progress import Progress
from mailstack.imap.selected import Selected
from mailstack.imap.uidonly import names_numbers
from mailstack.imap.watching import Watch
from mailstack.log import get_logger
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.login import Login
from mailstack.policy.rights import Rights
from mailstack.policy.sharing import Sharing
from mailstack.policy.spam.learning import Learner
from mailstack.store.content import Content
from mailstack.store.errors import StoreProblem
from mailstack.store.mailbox.account import Account
from mailstack.store.users.directory import AccountRecord
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import text

if TYPE_CHECKING:
    from mailstack.imap.connection import Connection
    from mailstack.imap.places import Place

log = get_logger()


class State(enum.Flag):
    NOT_AUTHENTICATED = enum.auto()
    AUTHENTICATED = enum.auto()
    SELECTED = enum.auto()
    LOGOUT = enum.auto()


ANY = State.NOT_AUTHENTICATED | State.AUTHENTICATED | State.SELECTED
LOGGED_IN = State.AUTHENTICATED | State.SELECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapServices(DoorServices):
    """What the door needs from the floors below, beside what every door does."""

    sharing: Sharing
    spool: Path
    message_size: int
    message_limit: int | None  # RFC 9738
    copy_limit: int | None
    progress_seconds: float  # RFC 9585
    postmaster: str  # an address, empty when there is none
    urlauth: bool
    learner: Learner | None = None  # who is taught by moves and marks
    events: Events | None = None  # who runs scripts on what happens to messages
    sieve_url: str | None = None  # where those scripts are put (RFC 6785 2.1); None: no such door


@dataclass(frozen=True, slots=True)
class Handler:
    """What a command may do is data."""

    run: Callable[[Session, Any], Awaitable[str | None]]
    states: State
    may_expunge: bool = True
    changes: bool = False  # not for a login that may only read
    capabilities: tuple[str, ...] = field(default=())
    before_login: tuple[str, ...] = field(default=())
    by_setting: tuple[str, ...] = field(default=())  # announced where the settings switch it on
    on_request: tuple[str, ...] = field(default=())  # known to break a client: announced only where the account asks for it


class Session:
    """The commands of one connection, one after another."""

    __slots__ = ("account", "annotation_news", "bad_commands", "client", "compressing", "connection", "contents", "enabled",
                 "id", "idling", "login", "progress", "record", "selected", "services", "state", "utf8", "watch")  # fmt: skip

    def __init__(self, services: ImapServices, connection: Connection) -> None:
        self.services = services
        self.connection = connection
        self.id = f"{services.randomness.getrandbits(40):010x}"
        self.state = State.NOT_AUTHENTICATED
        self.record: AccountRecord | None = None
        self.login: Login | None = None
        self.account: Account | None = None
        self.selected: Selected | None = None
        self.enabled: frozenset[str] = frozenset()
        self.utf8 = False
        self.contents: list[Content] = []
        self.idling: bytes | None = None
        self.compressing = False
        self.bad_commands = 0
        self.client = ""  # what the program says of itself (ID)
        self.watch: Watch | None = None  # after NOTIFY
        self.progress = Progress(connection, services.progress_seconds)
        self.annotation_news: AnnotationNews | None = None  # after ENABLE METADATA

    @property
    def rev1(self) -> bool:
        """Whether the client speaks IMAP4rev1 (RECENT and its like are sent)."""
        return "IMAP4REV2" not in self.enabled

    @property
    def asked(self) -> frozenset[str]:
        """Capabilities that the account asked for although they are not announced to everybody, in upper case."""
        return self.record.asked if self.record is not None else frozenset()

    @property
    def read_only(self) -> bool:
        """Whether what was proved is good for reading alone: an app password may be."""
        return self.login is not None and self.login.read_only

    @property
    def mail(self) -> Account:
        assert self.account is not None
        return self.account

    @property
    def known(self) -> AccountRecord:
        assert self.record is not None
        return self.record

    @property
    def box(self) -> Selected:
        assert self.selected is not None
        return self.selected

    def write(self, data: bytes) -> None:
        self.connection.write(data)

    def tagged(self, tag: bytes, kind: bytes, words: str, code: str | None = None) -> None:
        shown = f"[{code}] {words}" if code else words
        self.write(tag + b" " + kind + b" " + text(shown) + b"\r\n")

    async def run(self, tag: bytes, command: c.Command, handlers: dict[type, Handler]) -> None:
        """Run a command and answer it."""
        handler = handlers[type(command)]
        name = type(command).__name__
        try:
            if not self.state & handler.states:
                raise bad(f"{name} is not possible now")
            if self.closed_to():
                return
            if handler.changes and self.read_only:
                raise no("That app password is for reading alone", "NOPERM")
            if "UIDONLY" in self.enabled and names_numbers(command):
                raise bad("Only UIDs are possible after ENABLE UIDONLY", "UIDREQUIRED")
            if self.selected is not None and self.hears_selected:
                # Told of new messages first, so that the command can name them.
                for line in self.selected.flag_news() + self.selected.new_messages(rev1=self.rev1):
                    self.write(line)
            if self.state is not State.NOT_AUTHENTICATED:
                self.progress.begin(tag)
            words = await handler.run(self, command)
        except Refused as refused:
            if refused.kind == b"BAD":
                self.bad_commands += 1
            self.flush_updates(handler.may_expunge, command)
            self.tagged(tag, refused.kind, refused.text, refused.code)
        except SyntaxProblem as problem:
            self.flush_updates(handler.may_expunge, command)
            self.tagged(tag, b"BAD", problem.reason)
        except StoreProblem as problem:
            answer = answer_to(problem)
            if answer.code == "SERVERBUG":
                log.error("imap.store_failed", session=self.id, command=name, problem=problem.detail)
            self.flush_updates(handler.may_expunge, command)
            self.tagged(tag, answer.kind, answer.text, answer.code)
        except ConnectionError:
            raise
        except Exception:
            log.exception("imap.command_failed", session=self.id, command=name)
            self.tagged(tag, b"NO", "Something went wrong on the server", "SERVERBUG")
        else:
            if self.state is not State.NOT_AUTHENTICATED:
                self.bad_commands = 0  # a client that works may ask for what is not here, again and again
            if words is not None:
                self.flush_updates(handler.may_expunge, command)
                await self.tell_contexts()
                self.write(tag + b" OK " + text(words) + b"\r\n")
        finally:
            self.progress.end()
            self.forget_contents()

    @property
    def hears_selected(self) -> bool:
        """RFC 5465 3.1: without SELECTED in a NOTIFY the selected mailbox stays as it was seen."""
        return self.watch is None or self.watch.of_selected is not None

    def did_itself(self, place: Place, uids: tuple[int, ...]) -> None:
        """RFC 5465 5.2: of a message that came by this connection, no FETCH response tells."""
        selected = self.selected
        if selected is not None and selected.fetches_new and place.names(selected.mailbox):
            selected.did_itself(uids)

    def flush_updates(self, may_expunge: bool, command: object = None) -> None:
        """Tell what happened to the selected mailbox, and to annotations."""
        if self.closed_to():
            return
        if self.annotation_news is not None:
            self.annotation_news.tell()
        if self.selected is not None and self.selected.has_news:
            if self.selected.deleted:
                self.write(b"* BYE The mailbox was deleted\r\n")
                self.connection.bye()
                return
            if not self.hears_selected:
                return
            uid = bool(getattr(command, "uid", False)) or self.watch is not None  # RFC 5465 5.1
            self.write(b"".join(self.selected.updates(may_expunge=may_expunge, uid=uid, rev1=self.rev1)))

    @property
    def has_more_news(self) -> bool:
        """Whether there is something to tell that takes a while, to a client that hears things unasked."""
        if self.watch is not None and self.watch.has_news:
            return True
        selected = self.selected
        hears = self.watch is not None or self.idling is not None
        return hears and selected is not None and selected.contexts is not None and selected.contexts.has_news

    async def tell_contexts(self) -> None:
        """What changed in the results of searches that go on (RFC 5267 4.3)."""
        selected = self.selected
        if selected is None or selected.contexts is None or not selected.contexts.has_news or self.closed_to():
            return
        try:
            for line in await selected.contexts.settle(selected):
                self.write(line)
        except StoreProblem as problem:
            # It stays to be told; the command that was run is no part of it.
            log.warning("imap.context_failed", session=self.id, problem=problem.detail)

    def closed_to(self) -> bool:
        """Whether the session may not read any more what it selected: it is ended then (RFC 4314 5.1.1)."""
        if self.selected is None or self.selected.own or Rights.READ in self.selected.rights:
            return False
        if not self.connection.closing:
            self.write(b"* BYE The mailbox is no longer open to you\r\n")
            self.connection.bye()
        return True

    def on_change(self) -> None:
        """The selected mailbox changed: a client that waits in IDLE hears of it at once."""
        if self.watch is not None:
            self.connection.work_soon()
        elif self.idling is not None and not self.connection.deaf:
            self.flush_updates(may_expunge=True)
            self.connection.flush()
            if self.has_more_news:
                self.connection.work_soon()

    def enable_condstore(self) -> None:
        """A command that needs MODSEQs came: from now on they are in all that is told (RFC 7162 3.1)."""
        if "CONDSTORE" not in self.enabled:
            self.enabled |= {"CONDSTORE"}
            if self.selected is not None:
                self.selected.suit(self.enabled)
                self.write(b"* OK [HIGHESTMODSEQ %d] The highest change\r\n" % self.selected.mailbox.highest_modseq)

    def forget_contents(self) -> None:
        for content in self.contents:
            content.close()
        self.contents = []

    def deselect(self) -> None:
        if self.selected is not None:
            self.selected.close()
            self.selected = None
        if self.state is State.SELECTED:
            self.state = State.AUTHENTICATED

    async def log_in(self, login: Login) -> None:
        """After the password was proved."""
        directory, record = self.services.directory, login.account
        revocations = directory.revocations(record.address)
        account = await self.services.mailboxes.account(directory.folder(record))
        if self.state is State.LOGOUT or directory.revocations(record.address) != revocations:
            # The password was changed while the account was being opened: end_sessions() did not know this session yet.
            raise no("Log in again", "AUTHENTICATIONFAILED")
        account.hold()
        self.account = account
        self.record = record
        self.login = login
        self.state = State.AUTHENTICATED
        self.connection.logged_in(record.address)
        log.info(
            "imap.login", session=self.id, account=record.address, peer=self.connection.peer, tls=self.connection.secure,
            device=login.device.label if login.device is not None else None,
        )  # fmt: skip

    def log_out(self) -> None:
        """Nothing of the account stays: what was enabled, saved or asked to be told goes with it (RFC 8437 4.1)."""
        log.info("imap.logged_out", session=self.id, account=self.known.address)
        self._forget_account()
        self.record = self.login = None
        self.enabled = frozenset()
        self.utf8 = self.compressing = False
        self.state = State.NOT_AUTHENTICATED
        self.connection.logged_out()

    def _forget_account(self) -> None:
        self.deselect()
        self.forget_contents()
        if self.watch is not None:
            self.watch.close()
            self.watch = None
        if self.annotation_news is not None:
            self.annotation_news.close()
            self.annotation_news = None
        if self.account is not None and self.state is not State.LOGOUT:
            self.account.let_go()
            self.account = None

    def close(self) -> None:
        """The connection is gone."""
        self._forget_account()
        self.state = State.LOGOUT
        self.idling = None
