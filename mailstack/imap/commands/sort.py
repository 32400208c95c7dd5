"""SORT (RFC 5256 3, RFC 5957, ESORT of RFC 5267 3), from the orders that the mailbox keeps."""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from mailstack.imap.commands import results
from mailstack.imap.session import Session
from mailstack.store.mailbox.mailbox import Mailbox
from mailstack.store.mailbox.orders import Order
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.sort import Criterion, SortKey

ORDERS: Final = MappingProxyType({key: Order[key.name] for key in SortKey})


async def sort(session: Session, command: c.Sort) -> str:
    key, returns = command.key, command.returns
    found = await results.found(session, key, returns)
    ordered = await in_order(session.box.mailbox, found, command.criteria)
    if returns is None:
        await results.plain(session, b"SORT", ordered, uid=command.uid, key=key)
    else:
        await results.extended(session, ordered, returns, uid=command.uid, key=key)
    return "SORT done"


async def in_order(mailbox: Mailbox, found: Sequence[int], criteria: Sequence[Criterion]) -> list[int]:
    """Ascending UIDs as the criteria order them. What is sorted by already is not looked at again."""
    program: dict[Order, bool] = {}
    for one in criteria:
        program.setdefault(ORDERS[one.key], one.reverse)
    return await mailbox.orders.in_order(mailbox, found, tuple(program.items()))
