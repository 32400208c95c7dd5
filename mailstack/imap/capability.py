"""CAPABILITY, read from the table of handlers and the session's state: nothing is announced that has no handler."""

from mailstack.imap.session import Handler, Session, State


def capabilities(session: Session, handlers: dict[type, Handler]) -> list[str]:
    """What this session can do now, less what the account hides."""
    found = ["IMAP4rev1", "IMAP4rev2"]
    logged_in = session.state is not State.NOT_AUTHENTICATED
    for handler in handlers.values():
        found += handler.capabilities if logged_in else handler.before_login
        if logged_in and session.services.urlauth:
            found += handler.by_setting
    if not logged_in:
        if not session.connection.secure and session.services.tls is not None:
            found.append("STARTTLS")
        mechanisms = session.services.logins.mechanisms(session.connection.channel())
        found += [f"AUTH={name}" for name in mechanisms] or ["LOGINDISABLED"]
    else:
        found.append(f"APPENDLIMIT={session.services.message_size}")
        if session.services.message_limit is not None:
            found.append(f"MESSAGELIMIT={session.services.message_limit}")
        elif session.services.copy_limit is not None:
            found.append(f"SAVELIMIT={session.services.copy_limit}")
        if session.services.events is not None and session.services.sieve_url is not None:
            found.append(f"IMAPSIEVE={session.services.sieve_url}")
        if session.compressing:
            found.remove("COMPRESS=DEFLATE")
        found = _chosen(session, handlers, found)
    return list(dict.fromkeys(found))


def _chosen(session: Session, handlers: dict[type, Handler], found: list[str]) -> list[str]:
    """With what the account asked for, and without what it hides. What is hidden still works: it is a matter of words."""
    if session.record is None or not session.record.capabilities:
        return found
    asked, hidden = session.asked, session.record.hidden
    found += [name for handler in handlers.values() for name in handler.on_request if name.upper() in asked]
    return [name for name in found if _name(name) not in hidden]


def _name(capability: str) -> str:
    """As an account chooses it: without the number, or the address."""
    name = capability.partition("=")[0].upper()
    return name if name in ("APPENDLIMIT", "IMAPSIEVE") else capability.upper()


def hideable(handlers: dict[type, Handler]) -> list[str]:
    """What an account may hide. IMAP4rev1 stays: without it old clients find nothing."""
    found = [
        "IMAP4rev2",
        "APPENDLIMIT",
        "IMAPSIEVE",
        *(name for handler in handlers.values() for name in (*handler.capabilities, *handler.by_setting)),
    ]
    return list(dict.fromkeys(found))


def on_request(handlers: dict[type, Handler]) -> list[str]:
    """What is announced only to an account that asks for it."""
    return [name for handler in handlers.values() for name in handler.on_request]
