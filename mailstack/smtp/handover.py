"""What follows the final dot."""

from mailstack.door.handing import DISK_FULL, hand_over
from mailstack.log import get_logger
from mailstack.policy.transaction import Transaction
from mailstack.smtp.data import Receiver
from mailstack.smtp.protocol import SmtpConnection
from mailstack.wire.smtp import Reply

log = get_logger()


async def finish(connection: SmtpConnection, transaction: Transaction, receiver: Receiver) -> None:
    """A whole message is here: judge it, take it over, answer."""
    content = receiver.content
    try:
        receiver.finish()
        if receiver.full:
            connection.refuse(transaction, receiver.too_large, "size")
        elif receiver.problem is not None:
            log.error("smtp.spool_failed", problem=str(receiver.problem))
            connection.say(DISK_FULL)
        elif receiver.bare:
            connection.refuse(transaction, Reply(550, "5.6.11", "Bare CR, bare LF or NUL in the message"), "bare")
        else:
            connection.say(await hand_over(connection.services, transaction, content))
    finally:
        content.close()
