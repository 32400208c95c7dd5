"""DATA and BDAT: a message's octets, up to its end."""

from mailstack.smtp.data import OVERRUN, DataReader, Receiver
from mailstack.smtp.handover import finish
from mailstack.smtp.protocol import SmtpConnection
from mailstack.store.content import BLOCK, Content
from mailstack.wire.smtp import Reply


def _new_receiver(connection: SmtpConnection) -> Receiver:
    services = connection.services
    mend = services.logins is not None
    return Receiver(Content(services.spool), services.message_size, mend=mend)


async def data(connection: SmtpConnection, argument: str) -> None:
    if argument:
        connection.complain(Reply(501, "5.5.4", "DATA takes no argument"))
        return
    transaction = connection.transaction
    if transaction is None or not transaction.recipients or connection.receiver is not None:
        connection.complain(Reply(503, "5.5.1", "No recipients"))
        return
    connection.say(Reply(354, None, "End with a dot on a line of its own"))
    await connection.flush()
    receiver = _new_receiver(connection)
    reader = DataReader()
    try:
        while not reader.finished:
            receiver.take(reader.feed(await connection.read_block(BLOCK)))
            if receiver.endless:
                connection.note_refused(transaction, receiver.too_large, "size")
                await connection.cut_off(receiver.too_large)
                return
    except BaseException:
        receiver.content.close()
        raise
    if reader.rest:
        connection.put_back(reader.rest)
    connection.transaction = None
    await finish(connection, transaction, receiver)


async def bdat(connection: SmtpConnection, argument: str) -> None:
    """RFC 3030 2."""
    size, _, last = argument.partition(" ")
    if not (size.isascii() and size.isdigit() and len(size) < 16) or last.upper() not in ("", "LAST"):
        connection.complain(Reply(501, "5.5.4", "Syntax: BDAT size [LAST]"))
        # Without a size the stream can't be followed any further.
        connection.leaving = True
        return
    transaction = connection.transaction
    usable = transaction is not None and bool(transaction.recipients)
    if usable and connection.receiver is None:
        connection.receiver = _new_receiver(connection)
    receiver = connection.receiver
    left = int(size)
    if receiver is None and left > OVERRUN:
        # Nobody has asked for it: it is not read to its end for the sake of an answer.
        await connection.cut_off(Reply(503, "5.5.1", "No recipients"))
        return
    await connection.flush()
    while left:
        block = await connection.read_block(min(BLOCK, left))
        left -= len(block)
        if receiver is None:
            continue
        receiver.take(block)
        if receiver.endless and transaction is not None:
            connection.note_refused(transaction, receiver.too_large, "size")
            await connection.cut_off(receiver.too_large)
            return
    if transaction is None or receiver is None:
        connection.complain(Reply(503, "5.5.1", "No recipients"))
        return
    if last:
        connection.transaction = connection.receiver = None
        await finish(connection, transaction, receiver)
    elif receiver.full:
        connection.refuse(transaction, receiver.too_large, "size")
        connection.forget()
    else:
        connection.say(Reply(250, "2.0.0", f"{size} octets received"))
