"""The session: EHLO, HELO, NOOP, RSET, QUIT, VRFY, EXPN, HELP, STARTTLS."""

from mailstack.log import get_logger
from mailstack.smtp.protocol import SmtpConnection
from mailstack.wire.smtp import Reply

log = get_logger()


def keywords(connection: SmtpConnection) -> list[str]:
    """EHLO's lines, as far as they hold now: what MAIL, RCPT and replies are like, then what the table of commands says."""
    size = f"SIZE {connection.services.message_size}"
    found = ["PIPELINING", size, "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"]
    if connection.tls_name() is not None:
        found.append("REQUIRETLS")  # RFC 8689 2: never in the clear
    for handler in connection.handlers.values():
        if handler.keyword is not None and handler.possible(connection):
            found.append(handler.keyword if isinstance(handler.keyword, str) else handler.keyword(connection))
    return found


async def ehlo(connection: SmtpConnection, argument: str) -> None:
    if not argument:
        connection.complain(Reply(501, "5.5.4", "EHLO needs a name"))
        return
    connection.forget()
    connection.helo, connection.extended = argument[:255], True
    lines = [connection.services.hostname, *keywords(connection)]
    text = "".join(f"250-{line}\r\n" for line in lines[:-1]) + f"250 {lines[-1]}\r\n"
    connection.write(text.encode())


async def helo(connection: SmtpConnection, argument: str) -> None:
    if not argument:
        connection.complain(Reply(501, "5.5.4", "HELO needs a name"))
        return
    connection.forget()
    connection.helo, connection.extended = argument[:255], False
    connection.write(f"250 {connection.services.hostname}\r\n".encode())


async def noop(connection: SmtpConnection, _: str) -> None:
    connection.say(Reply(250, "2.0.0", "Ok"))


async def reset(connection: SmtpConnection, _: str) -> None:
    connection.forget()
    connection.say(Reply(250, "2.0.0", "Ok"))


async def quit_(connection: SmtpConnection, _: str) -> None:
    connection.say(Reply(221, "2.0.0", "Bye"))
    connection.leaving = True


async def verify(connection: SmtpConnection, _: str) -> None:
    connection.say(Reply(252, "2.0.0", "Send some mail, and see"))


async def expand(connection: SmtpConnection, _: str) -> None:
    connection.say(Reply(502, "5.5.1", "Not done here"))


async def help_(connection: SmtpConnection, _: str) -> None:
    connection.say(Reply(214, "2.0.0", "Commands: " + " ".join(connection.handlers)))


def may_start_tls(connection: SmtpConnection) -> bool:
    return connection.services.tls is not None and not connection.secure


async def start_tls(connection: SmtpConnection, argument: str) -> None:
    context = connection.services.tls
    if argument:
        connection.complain(Reply(501, "5.5.4", "STARTTLS takes no argument"))
        return
    if context is None or not may_start_tls(connection):
        connection.complain(Reply(503, "5.5.1", "STARTTLS is not possible now"))
        return
    connection.say(Reply(220, "2.0.0", "Begin TLS now"))
    await connection.encrypt(context)
    connection.helo, connection.extended, connection.account = None, False, None
    connection.forget()
