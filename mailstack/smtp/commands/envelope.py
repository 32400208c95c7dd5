"""MAIL and RCPT: who sends, and to whom."""

from mailstack.message.address import Address
from mailstack.message.envelope import Recipient, new_id
from mailstack.message.errors import SyntaxProblem
from mailstack.policy.transaction import Transaction
from mailstack.policy.verdict import Accept
from mailstack.smtp.protocol import SmtpConnection
from mailstack.wire.smtp import MailParameters, Reply, UnknownParameter, parse_mail_from, parse_rcpt_to


async def mail(connection: SmtpConnection, argument: str) -> None:
    services = connection.services
    if connection.helo is None:
        connection.complain(Reply(503, "5.5.1", "Say EHLO first"))
        return
    if services.logins is not None and connection.account is None:
        connection.complain(Reply(530, "5.7.0", "Log in first"))
        return
    if connection.transaction is not None:
        connection.complain(Reply(503, "5.5.1", "A message is under way already"))
        return
    if argument[:5].upper() != "FROM:":
        connection.complain(Reply(501, "5.5.4", "Syntax: MAIL FROM:<address>"))
        return
    try:
        sender, parameters = parse_mail_from(argument[5:].lstrip())
    except UnknownParameter as problem:
        connection.complain(Reply(555, "5.5.4", problem.reason))
        return
    except SyntaxProblem as problem:
        connection.complain(Reply(501, "5.1.7", problem.reason))
        return
    if parameters.require_tls and connection.tls_name() is None:
        connection.complain(Reply(530, "5.7.10", "REQUIRETLS needs TLS here, too"))
        return
    if parameters.size is not None and parameters.size > services.message_size:
        too_large = Reply(552, "5.3.4", f"Messages may have up to {services.message_size} octets")
        connection.refuse(_transaction(connection, connection.helo, sender, parameters), too_large, "size")
        return
    if services.logins is None:
        services.limits.nat.seen(connection.peer, connection.helo, sender.domain if sender is not None else None)
    transaction = _transaction(connection, connection.helo, sender, parameters)
    verdict = await services.policy.sender(transaction)
    if not isinstance(verdict, Accept):
        connection.refuse(transaction, verdict.reply, verdict.reason)
        return
    connection.transaction = transaction
    connection.say(Reply(250, "2.1.0", "Ok"))


def _transaction(connection: SmtpConnection, helo: str, sender: Address | None, parameters: MailParameters) -> Transaction:
    services = connection.services
    now = services.clock()
    return Transaction(
        id=new_id(now, services.randomness),
        peer=connection.peer,
        helo=helo,
        protocol=_protocol(connection, smtputf8=parameters.smtputf8),
        tls=connection.tls_name(),
        account=connection.account,
        mechanism=connection.mechanism if connection.account is not None else None,
        received=now,
        sender=sender,
        parameters=parameters,
        peer_known=not services.limits.nat.hides(connection.peer),
    )


def _protocol(connection: SmtpConnection, *, smtputf8: bool) -> str:
    """RFC 3848."""
    if not connection.extended:
        return "SMTP"
    kind = "UTF8SMTP" if smtputf8 else "ESMTP"
    return kind + ("S" if connection.secure else "") + ("A" if connection.account else "")


async def rcpt(connection: SmtpConnection, argument: str) -> None:
    transaction = connection.transaction
    if transaction is None or connection.receiver is not None:
        connection.complain(Reply(503, "5.5.1", "Say MAIL first"))
        return
    if argument[:3].upper() != "TO:":
        connection.complain(Reply(501, "5.5.4", "Syntax: RCPT TO:<address>"))
        return
    try:
        address, parameters = parse_rcpt_to(argument[3:].lstrip(), smtputf8=transaction.parameters.smtputf8)
    except UnknownParameter as problem:
        connection.complain(Reply(555, "5.5.4", problem.reason))
        return
    except SyntaxProblem as problem:
        connection.complain(Reply(501, "5.1.3", problem.reason))
        return
    verdict, routes = await connection.services.policy.recipient(transaction, address)
    if not isinstance(verdict, Accept):
        connection.refuse(transaction, verdict.reply, verdict.reason, str(address))
        return
    transaction.recipients.append((Recipient(address, parameters.notify, parameters.original), routes))
    connection.say(Reply(250, "2.1.5", "Ok"))
