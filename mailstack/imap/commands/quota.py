"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account that has limits has one root, named by the empty string."""

from mailstack.imap.answers import no
from mailstack.imap.places import find
from mailstack.imap.session import Session
from mailstack.policy.rights import Rights
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name


def _limited(session: Session) -> bool:
    return session.mail.quota is not None or session.mail.message_quota is not None


async def _tell(session: Session) -> None:
    """At least one resource: an empty list is no syntax, and Thunderbird says so."""
    account = session.mail
    used = await account.usage()
    resources = []
    if account.quota is not None:
        resources.append(b"STORAGE %d %d" % (-(-used.octets // 1024), account.quota // 1024))
    if account.message_quota is not None:
        resources.append(b"MESSAGE %d %d" % (used.messages, account.message_quota))
    session.write(b'* QUOTA "" (%b)\r\n' % b" ".join(resources))


async def warn(session: Session) -> None:
    """Deliveries are let in over quota: then nothing else is (RFC 9208 4.3.1)."""
    account = session.mail
    if not _limited(session):
        return
    used = await account.usage()
    if account.quota is not None and used.octets > account.quota:
        session.write(b"* NO [OVERQUOTA] The account holds more than its quota allows\r\n")
    elif account.message_quota is not None and used.messages > account.message_quota:
        session.write(b"* NO [OVERQUOTA] The account holds more messages than its quota allows\r\n")


async def get_quota(session: Session, command: c.GetQuota) -> str:
    if command.root or not _limited(session):
        raise no("There is no such quota root", "NONEXISTENT")
    await _tell(session)
    return "GETQUOTA done"


async def get_quota_root(session: Session, command: c.GetQuotaRoot) -> str:
    place = await find(session, command.mailbox)
    place.require(Rights.READ)
    # How full another's account is, is its owner's own affair.
    if place.shared or not _limited(session):
        session.write(b"* QUOTAROOT %b\r\n" % shown_name(command.mailbox, utf8=session.utf8))
        return "GETQUOTAROOT done"
    session.write(b'* QUOTAROOT %b ""\r\n' % shown_name(command.mailbox, utf8=session.utf8))
    await _tell(session)
    return "GETQUOTAROOT done"


async def set_quota(session: Session, _: c.SetQuota) -> str:
    raise no("Only the administrator sets quotas", "NOPERM")
