"""Every command with what EHLO says of it."""

from mailstack.smtp.commands import envelope, login, message, session
from mailstack.smtp.protocol import Handler

HANDLERS: dict[str, Handler] = {
    "EHLO": Handler(session.ehlo),
    "HELO": Handler(session.helo),
    "MAIL": Handler(envelope.mail),
    "RCPT": Handler(envelope.rcpt),
    "DATA": Handler(message.data),
    "BDAT": Handler(message.bdat, keyword="CHUNKING"),
    "RSET": Handler(session.reset),
    "NOOP": Handler(session.noop),
    "QUIT": Handler(session.quit_),
    "VRFY": Handler(session.verify),
    "EXPN": Handler(session.expand),
    "HELP": Handler(session.help_),
    "STARTTLS": Handler(session.start_tls, keyword="STARTTLS", possible=session.may_start_tls),
    "AUTH": Handler(login.auth, keyword=login.mechanisms, possible=login.may_log_in),
}
