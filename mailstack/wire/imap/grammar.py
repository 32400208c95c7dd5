"""From a command's text to its value (RFC 9051 9)."""

import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import sequence
from mailstack.wire.imap.acl_grammar import ACL_COMMANDS
from mailstack.wire.imap.append_grammar import APPEND_COMMANDS, flag_list
from mailstack.wire.imap.fetch_grammar import fetch_items
from mailstack.wire.imap.framing import CommandLine
from mailstack.wire.imap.metadata_grammar import METADATA_COMMANDS, entries
from mailstack.wire.imap.multisearch_grammar import MULTISEARCH_COMMANDS
from mailstack.wire.imap.notify_grammar import COMMANDS as NOTIFY_COMMANDS
from mailstack.wire.imap.resync_grammar import Modifiers, fetch_modifiers, select_parameters
from mailstack.wire.imap.scanner import CommandProblem, Scanner
from mailstack.wire.imap.search_grammar import search
from mailstack.wire.imap.sort_grammar import SORT_COMMANDS
from mailstack.wire.imap.urlauth_grammar import URLAUTH_COMMANDS

_TAG = re.compile(rb'[^\x00-\x20(){%*"\\+\x7f-\xff]+')


def parse(line: CommandLine, *, utf8: bool = False) -> tuple[bytes, c.Command]:
    """Tag and command. Raises CommandProblem, with the tag when there is one."""
    tag: bytes | None = None
    try:
        scanner = Scanner(line, utf8=utf8)
        tag = scanner.take(_TAG, "tag")[0]
        scanner.space()
        name = scanner.word()
        if name == "UID":
            scanner.space()
            name = "UID " + scanner.word()
        reader = COMMANDS.get(name)
        if reader is None:
            raise SyntaxProblem("unknown command")
        command = reader(scanner)
        scanner.end()
        return tag, command
    except CommandProblem:
        raise
    except SyntaxProblem as problem:
        raise CommandProblem(problem.reason, tag, problem) from None


def words(scanner: Scanner) -> tuple[str, ...]:
    """A list of atoms in parentheses, in upper case."""
    scanner.expect(b"(")
    found: list[str] = []
    while not scanner.skip(b")"):
        scanner.skip(b" ")
        if scanner.skip(b")"):
            break
        found.append(scanner.word())
    return tuple(found)


def _mailbox(make: Callable[[str], c.Command]) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        return make(scanner.mailbox())

    return read


def _nothing(command: c.Command) -> Callable[[Scanner], c.Command]:
    return lambda _: command


def _id(scanner: Scanner) -> c.Command:
    scanner.space()
    if scanner.text[scanner.position : scanner.position + 3].upper() == b"NIL":
        scanner.position += 3
        return c.Id(())
    scanner.expect(b"(")
    fields: list[tuple[str, str | None]] = []
    while not scanner.skip(b")"):
        scanner.skip(b" ")
        if scanner.skip(b")"):
            break
        name = scanner.string().decode("utf-8", "replace")
        scanner.space()
        fields.append((name, scanner.nstring_text()))
        if len(fields) > 30:
            raise SyntaxProblem("too many ID fields")
    return c.Id(tuple(fields))


def _authenticate(scanner: Scanner) -> c.Command:
    scanner.space()
    mechanism = scanner.word()
    initial = None
    if scanner.skip(b" "):
        initial = scanner.text[scanner.position :]
        scanner.position = len(scanner.text)
    return c.Authenticate(mechanism, initial)


def _login(scanner: Scanner) -> c.Command:
    scanner.space()
    user = scanner.astring_text()
    scanner.space()
    return c.Login(user, scanner.astring_text())


def _enable(scanner: Scanner) -> c.Command:
    names = []
    while scanner.skip(b" "):
        names.append(scanner.word())
    if not names:
        raise SyntaxProblem("ENABLE needs a capability")
    return c.Enable(tuple(names))


def _select(read_only: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        mailbox = scanner.mailbox()
        condstore, known = select_parameters(scanner) if scanner.skip(b" ") else (False, None)
        return c.Select(mailbox, read_only, condstore, known)

    return read


def _create(scanner: Scanner) -> c.Command:
    scanner.space()
    mailbox = scanner.mailbox()
    uses: tuple[str, ...] = ()
    if scanner.skip(b" "):
        scanner.expect(b"(")
        if scanner.word() != "USE":
            raise SyntaxProblem("unknown CREATE parameter")
        scanner.space()
        uses = flag_list(scanner)
        scanner.expect(b")")
    return c.Create(mailbox, uses)


def _rename(scanner: Scanner) -> c.Command:
    scanner.space()
    old = scanner.mailbox()
    scanner.space()
    return c.Rename(old, scanner.mailbox())


_SELECT_OPTIONS = frozenset({"SUBSCRIBED", "REMOTE", "RECURSIVEMATCH", "SPECIAL-USE"})
_RETURN_OPTIONS = frozenset({"SUBSCRIBED", "CHILDREN", "SPECIAL-USE", "MYRIGHTS"})
STATUS_ITEMS: Final = frozenset(
    {
        "MESSAGES",
        "RECENT",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
        "DELETED",
        "SIZE",
        "HIGHESTMODSEQ",
        "APPENDLIMIT",
        "DELETED-STORAGE",
        "MAILBOXID",
    }
)


def _status_items(scanner: Scanner) -> tuple[str, ...]:
    items = words(scanner)
    if not items or set(items) - STATUS_ITEMS:
        raise SyntaxProblem("unknown STATUS item")
    return items


def _list(scanner: Scanner) -> c.Command:
    scanner.space()
    extended = False
    select: frozenset[str] = frozenset()
    if scanner.peek() == b"(":
        extended = True
        select = frozenset(words(scanner))
        if select - _SELECT_OPTIONS:
            raise SyntaxProblem("unknown LIST selection option")
        if "RECURSIVEMATCH" in select and not select - {"RECURSIVEMATCH", "REMOTE"}:
            raise SyntaxProblem("RECURSIVEMATCH needs another selection option")
        scanner.space()
    reference = scanner.mailbox()
    scanner.space()
    if scanner.skip(b"("):
        extended = True
        patterns: list[str] = []
        while not scanner.skip(b")"):
            scanner.skip(b" ")
            patterns.append(scanner.pattern())
            if len(patterns) > 100:
                raise SyntaxProblem("too many patterns")
    else:
        patterns = [scanner.pattern()]
    returns: set[str] = set()
    status: tuple[str, ...] = ()
    metadata: tuple[str, ...] = ()
    if scanner.skip(b" "):
        extended = True
        if scanner.word() != "RETURN":
            raise SyntaxProblem("RETURN expected")
        scanner.space()
        scanner.expect(b"(")
        while not scanner.skip(b")"):
            scanner.skip(b" ")
            if scanner.skip(b")"):
                break
            option = scanner.word()
            if option == "STATUS":
                scanner.space()
                status = _status_items(scanner)
            elif option == "METADATA":
                scanner.space()
                metadata = entries(scanner)
            elif option in _RETURN_OPTIONS:
                returns.add(option)
            else:
                raise SyntaxProblem("unknown LIST return option")
    return c.ListMailboxes(reference, tuple(patterns), select, frozenset(returns), status, extended, metadata)


def _plain_list(make: Callable[[str, str], c.Command]) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        scanner.space()
        reference = scanner.mailbox()
        scanner.space()
        return make(reference, scanner.pattern())

    return read


def _status(scanner: Scanner) -> c.Command:
    scanner.space()
    mailbox = scanner.mailbox()
    scanner.space()
    return c.Status(mailbox, _status_items(scanner))


def _set(scanner: Scanner) -> sequence.SequenceSet:
    scanner.space()
    return sequence.parse(scanner.sequence_set())


def _fetch(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        numbers = _set(scanner)
        scanner.space()
        items = fetch_items(scanner)
        found = fetch_modifiers(scanner, uid=uid) if scanner.skip(b" ") else Modifiers()
        return c.Fetch(uid, numbers, items, found.changed_since, found.vanished, found.partial)

    return read


_STORE_ITEM = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)


def _store(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        numbers = _set(scanner)
        scanner.space()
        unchanged_since = None
        if scanner.skip(b"("):
            if scanner.word() != "UNCHANGEDSINCE":
                raise SyntaxProblem("unknown STORE modifier")
            scanner.space()
            unchanged_since = scanner.number()
            scanner.expect(b")")
            scanner.space()
        found = scanner.take(_STORE_ITEM, "FLAGS")
        scanner.space()
        return c.Store(uid, numbers, found[1].decode(), bool(found[2]), flag_list(scanner), unchanged_since)

    return read


def _copy(uid: bool, make: Callable[[bool, sequence.SequenceSet, str], c.Command]) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        numbers = _set(scanner)
        scanner.space()
        return make(uid, numbers, scanner.mailbox())

    return read


_BATCHES = re.compile(rb"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})")


def _uid_batches(scanner: Scanner) -> c.Command:
    """RFC 10022 4."""
    scanner.space()
    size = scanner.number(sequence.HIGHEST)
    if size == 0:
        raise SyntaxProblem("a batch of no messages")
    if not scanner.skip(b" "):
        return c.UidBatches(size)
    found = scanner.take(_BATCHES, "range of batches")
    return c.UidBatches(size, int(found[1]), int(found[2]))


def _search(uid: bool) -> Callable[[Scanner], c.Command]:
    def read(scanner: Scanner) -> c.Command:
        returns, key = search(scanner)
        return c.Search(uid, key, returns)

    return read


def _compress(scanner: Scanner) -> c.Command:
    scanner.space()
    if scanner.word() != "DEFLATE":
        raise SyntaxProblem("unknown compression")
    return c.Compress()


def _get_quota(scanner: Scanner) -> c.Command:
    scanner.space()
    return c.GetQuota(scanner.astring_text())


def _set_quota(scanner: Scanner) -> c.Command:
    scanner.space()
    root = scanner.astring_text()
    scanner.space()
    scanner.expect(b"(")
    while not scanner.skip(b")"):
        scanner.skip(b" ")
        scanner.word()
        scanner.space()
        scanner.number()
    return c.SetQuota(root)


COMMANDS: Final = MappingProxyType[str, Callable[[Scanner], c.Command]](
    {
        "CAPABILITY": _nothing(c.Capability()),
        "NOOP": _nothing(c.Noop()),
        "LOGOUT": _nothing(c.Logout()),
        "ID": _id,
        "STARTTLS": _nothing(c.StartTls()),
        "COMPRESS": _compress,
        "AUTHENTICATE": _authenticate,
        "LOGIN": _login,
        "UNAUTHENTICATE": _nothing(c.Unauthenticate()),
        "ENABLE": _enable,
        "SELECT": _select(read_only=False),
        "EXAMINE": _select(read_only=True),
        "CREATE": _create,
        "DELETE": _mailbox(c.Delete),
        "RENAME": _rename,
        "SUBSCRIBE": _mailbox(c.Subscribe),
        "UNSUBSCRIBE": _mailbox(c.Unsubscribe),
        "LIST": _list,
        "LSUB": _plain_list(c.Lsub),
        "XLIST": _plain_list(c.Xlist),
        "NAMESPACE": _nothing(c.Namespace()),
        "STATUS": _status,
        **APPEND_COMMANDS,
        "IDLE": _nothing(c.Idle()),
        **NOTIFY_COMMANDS,
        "CHECK": _nothing(c.Check()),
        "CLOSE": _nothing(c.Close()),
        "UNSELECT": _nothing(c.Unselect()),
        "EXPUNGE": _nothing(c.Expunge()),
        "UIDBATCHES": _uid_batches,
        "UID EXPUNGE": lambda scanner: c.Expunge(_set(scanner)),
        "SEARCH": _search(uid=False),
        "UID SEARCH": _search(uid=True),
        **SORT_COMMANDS,
        **MULTISEARCH_COMMANDS,
        "FETCH": _fetch(uid=False),
        "UID FETCH": _fetch(uid=True),
        "STORE": _store(uid=False),
        "UID STORE": _store(uid=True),
        "COPY": _copy(False, c.Copy),
        "UID COPY": _copy(True, c.Copy),
        "MOVE": _copy(False, c.Move),
        "UID MOVE": _copy(True, c.Move),
        **ACL_COMMANDS,
        "GETQUOTA": _get_quota,
        "GETQUOTAROOT": _mailbox(c.GetQuotaRoot),
        "SETQUOTA": _set_quota,
        **METADATA_COMMANDS,
        **URLAUTH_COMMANDS,
    }
)
