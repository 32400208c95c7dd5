"""CAPABILITY, read from the table of handlers and the session's state: nothing is announced that has no handler."""

from mailstack.imap.session import Handler, Session, State


def capabilities(session: Session, handlers: dict[type, Handler]) -> list[str]:
    """What this session can do now."""
    found = ["IMAP4rev1", "IMAP4rev2"]
    logged_in = session.state is not State.NOT_AUTHENTICATED
    for handler in handlers.values():
        found += handler.capabilities if logged_in else handler.before_login
    if not logged_in:
        if not session.connection.secure and session.services.tls is not None:
            found.append("STARTTLS")
        if session.plaintext_allowed:
            found += ["AUTH=PLAIN", "AUTH=LOGIN"]
        else:
            found.append("LOGINDISABLED")
    else:
        found.append(f"APPENDLIMIT={session.services.message_size}")
        if session.compressing:
            found.remove("COMPRESS=DEFLATE")
    return list(dict.fromkeys(found))
