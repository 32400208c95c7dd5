"""Evolution's mail engine (Camel) at work, for Debian's own python3 with gi. It prints what it saw as JSON."""

import json
import sys

import gi

gi.require_version("Camel", "1.2")
from gi.repository import Camel, Gio, GLib  # type: ignore[import-not-found]  # noqa: E402


class Session(Camel.Session):  # type: ignore[misc]
    """An account whose password is known, and which trusts the server's certificate."""

    def do_authenticate_sync(self, service, mechanism, cancellable=None):  # type: ignore[no-untyped-def]
        return service.authenticate_sync(mechanism, cancellable)

    def do_trust_prompt(self, *_):  # type: ignore[no-untyped-def]
        return Camel.CertTrust.TEMPORARY


def message(subject: str) -> "Camel.MimeMessage":
    one = Camel.MimeMessage.new()
    text = f"From: Alice <alice@a.test>\nTo: bob@a.test\nSubject: {subject}\nMessage-ID: <{subject}@a.test>\n\nHello\n"
    stream = Gio.MemoryInputStream.new_from_bytes(GLib.Bytes.new(text.encode()))
    assert one.construct_from_input_stream_sync(stream, None)
    return one


def text_of(one: "Camel.MimeMessage") -> str:
    stream = Gio.MemoryOutputStream.new_resizable()
    one.get_content().decode_to_output_stream_sync(stream, None)
    stream.close(None)
    return str(stream.steal_as_bytes().get_data().decode())


def subjects(folder: "Camel.Folder") -> list[str]:
    folder.refresh_info_sync(None)
    return sorted(folder.get_message_info(uid).get_subject() for uid in folder.get_uids())


def main(home: str, port: int, security: str, user: str, password: str) -> None:
    Camel.init(home, False)
    Camel.Provider.init()
    session = Session(user_data_dir=f"{home}/data", user_cache_dir=f"{home}/cache")
    session.set_online(True)
    store = session.add_service("account", "imapx", Camel.ProviderType.STORE)
    settings = store.ref_settings()
    for name, value in (("host", "localhost"), ("port", port), ("user", user), ("use-idle", True)):
        settings.set_property(name, value)
    settings.set_property("security-method", getattr(Camel.NetworkSecurityMethod, security))
    store.set_password(password)
    store.set_online_sync(True, None)
    assert store.connect_sync(None)
    seen: dict[str, object] = {}
    assert store.create_folder_sync("", "Projects", None) is not None
    inbox = store.get_folder_sync("INBOX", Camel.StoreGetFolderFlags.NONE, None)
    projects = store.get_folder_sync("Projects", Camel.StoreGetFolderFlags.NONE, None)
    for subject in ("first", "second", "third"):
        assert inbox.append_message_sync(message(subject), Camel.MessageInfo.new(None), None)[0]
    seen["inbox"] = subjects(inbox)
    uids = {inbox.get_message_info(uid).get_subject(): uid for uid in inbox.get_uids()}
    found = inbox.get_message_sync(uids["first"], None)
    seen["text"] = text_of(found)
    inbox.set_message_flags(uids["first"], Camel.MessageFlags.SEEN | Camel.MessageFlags.FLAGGED, 0xFFFF)
    inbox.set_message_user_flag(uids["first"], "$work", True)
    assert inbox.synchronize_sync(False, None)
    assert inbox.transfer_messages_to_sync([uids["second"]], projects, True, None)[0]
    seen["projects"] = subjects(projects)
    inbox.set_message_flags(uids["third"], Camel.MessageFlags.DELETED, Camel.MessageFlags.DELETED)
    assert inbox.expunge_sync(None)
    seen["left"] = subjects(inbox)
    seen["found"] = [
        inbox.get_message_info(uid).get_subject()
        for uid in inbox.search_by_expression('(match-all (header-contains "subject" "first"))', None)
    ]
    assert store.rename_folder_sync("Projects", "Done", None)
    store.disconnect_sync(True, None)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
