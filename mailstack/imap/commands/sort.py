"""SORT (RFC 5256 3, RFC 5957, ESORT of RFC 5267 3), from the orders that the mailbox keeps."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from mailstack.imap.commands import context, results
from mailstack.imap.commands.criteria import evaluate
from mailstack.imap.commands.fuzzy import relevancy
from mailstack.imap.session import Session
from mailstack.store.mailbox.orders import Order, Program
from mailstack.wire.imap import commands as c
from mailstack.wire.imap import search as s
from mailstack.wire.imap.search import needs_modseq, resolved
from mailstack.wire.imap.sort import Criterion, SortKey

ORDERS: Final = MappingProxyType[SortKey, Order]({key: Order[key.name] for key in SortKey if key is not SortKey.RELEVANCY})


async def sort(session: Session, command: c.Sort) -> str:
    going = await context.begin(session, command.key, command.returns)
    key, returns = going.key, command.returns
    found = await results.found(session, key, returns)
    ranked = any(one.key is SortKey.RELEVANCY for one in command.criteria)
    if returns is None and not ranked:
        await _plain(session, command, key, array("I", found))
        return "SORT done"
    selected = session.box
    if ranked:
        ordered = await _by_relevancy(session, command, key, found)
    else:
        ordered = await selected.mailbox.orders.in_order(selected.mailbox, found, _program(command.criteria))
    if returns is None:
        session.write(await results.plain(session, b"SORT", ordered, uid=command.uid, key=key))
    else:
        await results.extended(session, ordered, returns, uid=command.uid, key=key)
        going.keep(ordered, uid=command.uid, program=_program([one for one in command.criteria if one.key in ORDERS]))
    return "SORT done"


async def _by_relevancy(session: Session, command: c.Sort, searched: s.Key, found: Sequence[int]) -> list[int]:
    """RFC 6203 6: the highest score first. One criterion after the other, the last of them first."""
    selected = session.box
    key = resolved(searched, session.services.clock())
    scores = await relevancy(evaluate, selected, key, found)
    ordered = list(found)
    for one in reversed(command.criteria):
        if one.key is SortKey.RELEVANCY:
            ordered.sort(key=scores.__getitem__, reverse=not one.reverse)
        else:
            orders = selected.mailbox.orders
            (column,) = await orders.columns(selected.mailbox, [ORDERS[one.key]])
            places = dict(zip(orders.uids, column, strict=True))
            ordered.sort(key=places.__getitem__, reverse=one.reverse)
    return ordered


async def _plain(session: Session, command: c.Sort, searched: s.Key, found: array[int]) -> None:
    """Clients ask again and again: as long as the same messages are found the line is the same."""
    selected, program = session.box, _program(command.criteria)
    orders = selected.mailbox.orders
    key, seen = ("SORT", program, command.uid), None if command.uid else selected.uids
    await orders.columns(selected.mailbox, [order for order, _ in program])
    remembered = orders.recall(key)
    if remembered is not None and remembered[:2] == (found, seen) and not needs_modseq(searched):
        session.write(remembered[2])
        return
    uids = orders.uids
    ordered = await orders.in_order(selected.mailbox, found, program)
    line = await results.plain(session, b"SORT", ordered, uid=command.uid, key=searched)
    if uids is orders.uids and not needs_modseq(searched):
        orders.remember(key, (found, seen, line))
    session.write(line)


def _program(criteria: Sequence[Criterion]) -> Program:
    """What is sorted by already is not looked at again."""
    program: dict[Order, bool] = {}
    for one in criteria:
        program.setdefault(ORDERS[one.key], one.reverse)
    return tuple(program.items())
