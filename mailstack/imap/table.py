"""Every command with its states and what it adds to CAPABILITY."""

from mailstack.imap.commands import (
    acl,
    any,
    append,
    context,
    copy,
    expunge,
    fetch,
    idle,
    listing,
    login,
    mailbox,
    metadata,
    multisearch,
    notify,
    quota,
    search,
    sort,
    store,
    thread,
    uidbatches,
    unauthenticate,
    urlauth,
)
from mailstack.imap.session import ANY, LOGGED_IN, Handler, State
from mailstack.wire.imap import commands as c

SELECTED = State.SELECTED
BEFORE = State.NOT_AUTHENTICATED

HANDLERS: dict[type, Handler] = {
    c.Capability: Handler(any.capability, ANY),
    c.Noop: Handler(any.noop, ANY),
    c.Logout: Handler(any.logout, ANY),
    c.Id: Handler(any.identify, ANY, capabilities=("ID",), before_login=("ID",)),
    c.Compress: Handler(any.compress, LOGGED_IN, capabilities=("COMPRESS=DEFLATE",)),
    c.Authenticate: Handler(login.authenticate, BEFORE, before_login=("SASL-IR", "LITERAL+")),
    c.Login: Handler(login.login, BEFORE),
    c.Unauthenticate: Handler(unauthenticate.unauthenticate, LOGGED_IN, capabilities=("UNAUTHENTICATE",)),
    c.Enable: Handler(
        any.enable, LOGGED_IN, capabilities=("ENABLE", "UTF8=ACCEPT"), before_login=("ENABLE",), on_request=("UIDONLY",)
    ),
    c.Select: Handler(mailbox.select, LOGGED_IN, capabilities=("CONDSTORE", "QRESYNC")),
    c.Create: Handler(mailbox.create, LOGGED_IN, changes=True, capabilities=("CREATE-SPECIAL-USE",)),
    c.Delete: Handler(mailbox.delete, LOGGED_IN, changes=True),
    c.Rename: Handler(mailbox.rename, LOGGED_IN, changes=True),
    c.Subscribe: Handler(mailbox.subscribe, LOGGED_IN, changes=True),
    c.Unsubscribe: Handler(mailbox.unsubscribe, LOGGED_IN, changes=True),
    c.ListMailboxes: Handler(
        listing.list_mailboxes,
        LOGGED_IN,
        capabilities=("CHILDREN", "LIST-EXTENDED", "LIST-METADATA", "LIST-STATUS", "LIST-MYRIGHTS", "SPECIAL-USE"),
    ),
    c.Lsub: Handler(listing.lsub, LOGGED_IN),
    c.Xlist: Handler(listing.xlist, LOGGED_IN, capabilities=("XLIST",)),
    c.Namespace: Handler(mailbox.namespace, LOGGED_IN, capabilities=("NAMESPACE",)),
    c.Status: Handler(mailbox.status, LOGGED_IN, capabilities=("STATUS=SIZE",)),
    c.Append: Handler(
        append.append, LOGGED_IN, changes=True, capabilities=("LITERAL+", "MULTIAPPEND", "CATENATE", "URL-PARTIAL")
    ),
    c.Replace: Handler(append.replace, SELECTED, changes=True, capabilities=("REPLACE",)),
    c.Idle: Handler(idle.idle, LOGGED_IN, capabilities=("IDLE",), before_login=("IDLE",)),
    c.Notify: Handler(notify.notify, LOGGED_IN, capabilities=("NOTIFY",)),
    c.Check: Handler(any.check, SELECTED),
    c.Close: Handler(mailbox.close, SELECTED),
    c.Unselect: Handler(mailbox.unselect, SELECTED, capabilities=("UNSELECT",)),
    c.Expunge: Handler(expunge.expunge, SELECTED, changes=True, capabilities=("UIDPLUS",)),
    c.UidBatches: Handler(uidbatches.uid_batches, SELECTED, capabilities=("UIDBATCHES",)),
    c.Search: Handler(
        search.search,
        SELECTED,
        may_expunge=False,
        capabilities=("ESEARCH", "SEARCHRES", "WITHIN", "SEARCH=FUZZY", "I18NLEVEL=1", "FILTERS"),
    ),
    c.SearchMailboxes: Handler(multisearch.esearch, LOGGED_IN, may_expunge=False, capabilities=("MULTISEARCH",)),
    c.CancelUpdate: Handler(context.cancel_update, SELECTED, capabilities=("CONTEXT=SEARCH", "CONTEXT=SORT")),
    c.Sort: Handler(sort.sort, SELECTED, may_expunge=False, capabilities=("SORT", "SORT=DISPLAY", "ESORT")),
    c.Thread: Handler(
        thread.thread,
        SELECTED,
        may_expunge=False,
        capabilities=("THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS"),
    ),
    c.Fetch: Handler(
        fetch.fetch, SELECTED, may_expunge=False, capabilities=("BINARY", "OBJECTID", "SAVEDATE", "PREVIEW", "PARTIAL")
    ),
    c.Store: Handler(store.store, SELECTED, changes=True, may_expunge=False),
    c.Copy: Handler(copy.copy, SELECTED, changes=True),
    c.Move: Handler(copy.move, SELECTED, changes=True, capabilities=("MOVE", "INPROGRESS")),
    c.SetAcl: Handler(acl.set_acl, LOGGED_IN, changes=True, capabilities=("ACL", "RIGHTS=texk")),
    c.DeleteAcl: Handler(acl.delete_acl, LOGGED_IN, changes=True),
    c.GetAcl: Handler(acl.get_acl, LOGGED_IN),
    c.ListRights: Handler(acl.list_rights, LOGGED_IN),
    c.MyRights: Handler(acl.my_rights, LOGGED_IN),
    c.GetQuota: Handler(quota.get_quota, LOGGED_IN, capabilities=("QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE")),
    c.GetQuotaRoot: Handler(quota.get_quota_root, LOGGED_IN),
    c.SetQuota: Handler(quota.set_quota, LOGGED_IN, changes=True),
    c.GetMetadata: Handler(metadata.get_metadata, LOGGED_IN, capabilities=("METADATA", "METADATA-SERVER")),
    c.SetMetadata: Handler(metadata.set_metadata, LOGGED_IN, changes=True),
    c.GenUrlAuth: Handler(urlauth.generate, LOGGED_IN, changes=True, by_setting=("URLAUTH",)),
    c.ResetKey: Handler(urlauth.reset, LOGGED_IN, changes=True),
    c.UrlFetch: Handler(urlauth.fetch, LOGGED_IN),
}
