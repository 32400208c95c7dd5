"""The names of another server's folders, and what they are for."""

import re
from collections.abc import Iterable

from mailstack.message.errors import SyntaxProblem
from mailstack.store.mailbox.foldername import INBOX, SEPARATOR
from mailstack.store.mailbox.values import SpecialUse
from mailstack.wire.imap.mutf7 import decode

_ESCAPED = re.compile(r"\\([0-9a-fA-F]{2})")  # Dovecot's listescape

# What mail programs and servers call them, the surest first. A folder below INBOX counts, too.
USUAL = {
    SpecialUse.SENT: (
        "sent", "sent items", "sent messages", "sent-mail", "sent mail", "gesendet", "gesendete objekte", "gesendete elemente",
        "envoyés", "éléments envoyés", "messages envoyés", "enviados", "elementos enviados", "posta inviata", "inviata",
        "verzonden", "verzonden items", "skickat", "sendt", "wysłane", "отправленные",
    ),
    SpecialUse.DRAFTS: (
        "drafts", "draft", "entwürfe", "brouillons", "borradores", "bozze", "rascunhos", "concepten", "utkast", "kladder",
        "szkice", "wersje robocze", "черновики",
    ),
    SpecialUse.JUNK: (
        "junk", "spam", "junk e-mail", "junk email", "junk mail", "bulk mail", "spamverdacht", "unerwünscht",
        "courrier indésirable", "pourriel", "indésirables", "correo no deseado", "posta indesiderata", "ongewenst", "skräp",
        "lixo eletrônico", "спам",
    ),
    SpecialUse.TRASH: (
        "trash", "deleted items", "deleted messages", "deleted", "bin", "papierkorb", "gelöscht", "gelöschte objekte",
        "gelöschte elemente", "corbeille", "éléments supprimés", "papelera", "cestino", "lixeira", "prullenbak",
        "verwijderde items", "papperskorg", "papirkurv", "kosz", "корзина",
    ),
    SpecialUse.ARCHIVE: (
        "archive", "archives", "archiv", "all mail", "archivo", "archivio", "arquivo", "archief", "arkiv", "archiwum", "архив",
    ),
}  # fmt: skip


def of_folder(parts: Iterable[bytes]) -> str:
    """A mailbox name of a folder's parts, in modified UTF-7 or, with Dovecot's UTF-8 setting, UTF-8. What a name here can't
    have is replaced.
    """
    return SEPARATOR.join(_part(part) for part in parts)


def _part(part: bytes) -> str:
    try:
        name = decode(part)
    except SyntaxProblem:
        name = part.decode("utf-8", "replace")
    name = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)
    name = "".join("_" if character == SEPARATOR or not character.isprintable() else character for character in name)
    return name if name.strip(".") else f"_{name}"


def roles(names: Iterable[str]) -> dict[str, SpecialUse]:
    """What mailboxes are for, by their names; each use once."""
    last: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (name.count(SEPARATOR), name)):
        place = name.removeprefix(f"{INBOX}{SEPARATOR}")
        if SEPARATOR not in place:
            last.setdefault(place.casefold(), name)
    found: dict[str, SpecialUse] = {}
    for use, usual in USUAL.items():
        chosen = next((last[name] for name in usual if name in last), None)
        if chosen is not None:
            found[chosen] = use
    return found
