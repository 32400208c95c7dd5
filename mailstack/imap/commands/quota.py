"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). Every account has one root, named by the empty string."""

from mailstack.imap.answers import no
from mailstack.imap.places import find
from mailstack.imap.session import Session
from mailstack.policy.rights import Rights
from mailstack.wire.imap import commands as c
from mailstack.wire.imap.responses import mailbox as shown_name


async def _tell(session: Session) -> None:
    account = session.mail
    limit = account.quota
    if limit is None:
        session.write(b'* QUOTA "" ()\r\n')
        return
    used = (await account.usage()).octets
    session.write(b'* QUOTA "" (STORAGE %d %d)\r\n' % (-(-used // 1024), limit // 1024))


async def get_quota(session: Session, command: c.GetQuota) -> str:
    if command.root:
        raise no("There is no such quota root", "NONEXISTENT")
    await _tell(session)
    return "GETQUOTA done"


async def get_quota_root(session: Session, command: c.GetQuotaRoot) -> str:
    place = await find(session, command.mailbox)
    place.require(Rights.READ)
    if place.shared:
        # How full the owner's account is, is the owner's own affair.
        session.write(b"* QUOTAROOT %b\r\n" % shown_name(command.mailbox, utf8=session.utf8))
        return "GETQUOTAROOT done"
    session.write(b'* QUOTAROOT %b ""\r\n' % shown_name(command.mailbox, utf8=session.utf8))
    await _tell(session)
    return "GETQUOTAROOT done"


async def set_quota(session: Session, _: c.SetQuota) -> str:
    raise no("Only the administrator sets quotas", "NOPERM")
