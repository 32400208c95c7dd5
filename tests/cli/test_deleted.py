"""user deleted: what a client expunged is listed, brought back, and removed for good."""

import json

from tests.support.server import Server


def test_deleted_mail_is_listed_brought_back_and_purged(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    with server.imap(account) as client:
        client.create("Old")
        for name in ("INBOX", "Old"):
            client.append(
                name, "(\\Seen)", None, f"From: carol@far.test\r\nSubject: =?utf-8?q?{name}=C3=A9?=\r\n\r\nx\r\n".encode()
            )
        client.select("INBOX")
        client.store("1", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.delete("Old")
    rows = json.loads(server.run("user", "deleted", "list", address, "--json").stdout)
    assert {(row["mailbox"], row["subject"], row["from"]) for row in rows} == {
        ("INBOX", "INBOXé", "carol@far.test"), ("Old", "Oldé", "carol@far.test"),
    }  # fmt: skip
    inbox = next(row["id"] for row in rows if row["mailbox"] == "INBOX")
    assert server.run("user", "deleted", "restore", address, inbox).stdout == "INBOX: 1 back\n"
    assert server.run("user", "deleted", "restore", address, inbox, check=False).returncode == 1
    assert server.run("user", "deleted", "restore", address, check=False).returncode == 1, "all only where all is asked for"
    with server.imap(account) as client:
        client.select("INBOX")
        assert client.fetch("1", "(FLAGS)")[1][0] in (b"1 (FLAGS (\\Seen))", b"1 (FLAGS (\\Seen \\Recent))")
    assert server.run("user", "deleted", "purge", address, "--all").stdout == "1 gone for good.\n"
    assert "INBOX" not in server.run("user", "deleted", "list", address).stdout


def test_a_removed_account_comes_back_with_its_mail(server: Server, account: str) -> None:
    address = f"{account}@a.test"
    with server.imap(account) as client:
        client.append("INBOX", None, None, b"Subject: kept\r\n\r\n")  # type: ignore[arg-type]
    server.run("user", "remove", address)
    server.run("user", "add", address, "--password-stdin", stdin="other\n")
    assert "there already" in server.run("user", "undelete", address, check=False).stderr
    server.run("user", "remove", address)
    twice = server.run("user", "undelete", address, "--password-stdin", stdin="x\n", check=False)
    assert f"--folder a.test/{account} or a.test/{account}=2" in twice.stderr
    back = server.run("user", "undelete", address, "--folder", f"a.test/{account}", "--password-stdin", stdin="x\n")
    assert "with 1 messages" in back.stdout
    assert "no account" in server.run("user", "undelete", "never@a.test", "--password-stdin", stdin="x\n", check=False).stderr
