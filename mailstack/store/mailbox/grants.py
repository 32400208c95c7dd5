"""`.mailstack-acl`: to whom else a mailbox is open (RFC 4314). It lies beside `.mailstack` and goes where the mailbox goes.

A grant is bound to an account's folder, which no other account ever gets: one that is made again with the same address
inherits nothing. The file is bound to the mailbox's id: a folder that is copied by hand is open to nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from mailstack.log import get_logger
from mailstack.store.disk import Disk

log = get_logger()
FILE = ".mailstack-acl"


@dataclass(frozen=True, slots=True)
class Grant:
    """`rights` are letters. A negative grant takes rights away."""

    account: str | None  # its folder; None is everybody
    address: str  # the account's when it was given
    rights: str
    negative: bool = False


Grants = tuple[Grant, ...]
NOBODY: Grants = ()


def read(folder: Path, mailbox: str) -> Grants:
    """The grants of the mailbox with that id. What can't be read is nobody's."""
    try:
        value = orjson.loads((folder / FILE).read_bytes())
        if value["mailbox"] != mailbox:
            log.warning("store.grants_of_another_mailbox", folder=str(folder))
            return NOBODY
        return tuple(_grant(one) for one in value["grants"])
    except FileNotFoundError:
        return NOBODY
    except (OSError, ValueError, KeyError, TypeError) as problem:
        log.error("store.grants_unreadable", folder=str(folder), problem=str(problem))
        return NOBODY


def _grant(value: dict[str, object]) -> Grant:
    account, negative = value["account"], value["negative"]
    if not isinstance(negative, bool) or not (account is None or isinstance(account, str)):
        raise ValueError("not a grant")
    rights = str(value["rights"])
    if not set(rights) <= set("lrswipkxtea"):
        raise ValueError("unknown right")
    return Grant(account, str(value["address"]), rights, negative)


def write(disk: Disk, folder: Path, mailbox: str, grants: Iterable[Grant]) -> None:
    """Durable when it returns."""
    rows = [{"account": one.account, "address": one.address, "rights": one.rights, "negative": one.negative} for one in grants]
    disk.replace_file(folder / FILE, orjson.dumps({"mailbox": mailbox, "grants": rows}) + b"\n")
