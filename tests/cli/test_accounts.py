"""domain, user, alias: with a server and without, the same words; what changes is seen at once."""

import imaplib
import json
import os
import pty
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from mailstack.control.client import ask
from tests.support.console import Console
from tests.support.server import PASSWORD, Server


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Data that no server holds."""
    one = Server(tmp_path_factory.mktemp("offline"), users=("alice", "bob"))
    one.provision()
    return one


@pytest.fixture(params=["running", "offline"])
def either(request: pytest.FixtureRequest, server: Server, offline: Server) -> Console:
    return Console(server if request.param == "running" else offline)


def said_no(server: Console, *arguments: str, stdin: str = "") -> str:
    """What a command says that ends with 1."""
    ended = server.run(*arguments, check=False, stdin=stdin)
    assert (ended.returncode, ended.stdout) == (1, ""), ended
    assert ended.stderr.startswith("mailstack: ")
    assert "Traceback" not in ended.stderr
    return ended.stderr


def logs_in(server: Server, user: str, password: str) -> bool:
    connection = imaplib.IMAP4("127.0.0.1", server.ports["imap"], timeout=20)
    try:
        return connection.login(f"{user}@a.test", password)[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        connection.shutdown()


def test_domains(either: Console) -> None:
    added = either.run("domain", "add", "Bücher.test").stdout
    assert "xn--bcher-kva.test added" in added
    listed = either.run("domain", "list", "--json").stdout
    assert {"domain": "xn--bcher-kva.test"} in json.loads(listed)
    shown = either.run("domain", "records", "xn--bcher-kva.test").stdout
    assert [line.strip() for line in added.splitlines()[1:]] == [line.strip() for line in shown.splitlines()]
    assert "is there already" in said_no(either, "domain", "add", "bücher.test")
    either.run("user", "add", "x@bücher.test", "--password-stdin", stdin="sesame\n")
    assert "has accounts" in said_no(either, "domain", "remove", "bücher.test")
    either.run("user", "remove", "x@bücher.test")
    either.run("domain", "remove", "bücher.test")
    assert "there is no domain" in said_no(either, "domain", "remove", "bücher.test")
    assert "is not a domain" in said_no(either, "domain", "add", "a b")


def test_accounts(either: Console) -> None:
    made = either.run("user", "add", "New.User@a.test", "--quota", "5GiB").stdout
    password = re.search(r"^Password, shown this once: (\S+)$", made, re.MULTILINE)
    assert password
    assert "new.user@a.test added" in made
    assert re.search(r"^new\.user@a\.test +5GiB +no +no$", either.run("user", "list").stdout, re.MULTILINE)
    (row,) = [row for row in json.loads(either.run("user", "list", "--json").stdout) if row["address"] == "new.user@a.test"]
    assert (row["quota"], row["disabled"]) == (5 << 30, False)
    assert password[1] not in json.dumps(row)
    assert "is there already" in said_no(either, "user", "add", "new.user@a.test")
    assert "domain far.test is not here" in said_no(either, "user", "add", "x@far.test")
    assert "is not an address" in said_no(either, "user", "add", "nobody")
    assert "is not a size" in said_no(either, "user", "add", "y@a.test", "--quota", "much")
    assert either.run("user", "passwd", "new.user@a.test").stdout.startswith("Password, shown this once: ")
    either.run("user", "quota", "new.user@a.test", "none")
    either.run("user", "disable", "new.user@a.test")
    assert re.search(r"^new\.user@a\.test +- +yes +no$", either.run("user", "list").stdout, re.MULTILINE)
    either.run("user", "enable", "new.user@a.test")
    assert "Its mail is still in" in either.run("user", "remove", "new.user@a.test").stdout
    for command in (["remove"], ["disable"], ["enable"], ["quota", "1GiB"]):
        assert "there is no account" in said_no(either, "user", command[0], "new.user@a.test", *command[1:])
    assert "there is no account" in said_no(either, "user", "passwd", "new.user@a.test", "--password-stdin", stdin="x\n")


def test_aliases(either: Console) -> None:
    either.run("alias", "add", "Info@a.test", "Alice@a.test", "Some.One@Far.test")
    assert json.loads(either.run("alias", "list", "--json").stdout) == [
        {"source": "info@a.test", "target": "Some.One@far.test"},
        {"source": "info@a.test", "target": "alice@a.test"},
    ]
    either.run("alias", "remove", "info@a.test", "ALICE@a.test")
    assert "there is no alias" in said_no(either, "alias", "remove", "info@a.test", "alice@a.test")
    either.run("alias", "remove", "info@a.test")
    either.run("alias", "add", "@a.test", "bob@a.test")
    assert "@a.test" in either.run("alias", "list").stdout
    either.run("alias", "remove", "@a.test")
    assert "is an account" in said_no(either, "alias", "add", "bob@a.test", "alice@a.test")
    assert "is not an address" in said_no(either, "alias", "add", "info@a.test", "nobody")


def test_app_passwords(server: Server, account: str) -> None:
    console = Console(server)
    address = f"{account}@a.test"
    password = console.run("user", "app-password", "add", address, "phone").stdout.strip()
    assert logs_in(server, account, password)
    assert logs_in(server, account, PASSWORD)
    (row,) = json.loads(console.run("user", "app-password", "list", address, "--json").stdout)
    assert (row["label"], row["scope"], row["expires"], row["expired"]) == ("phone", "all", None, False)
    assert (row["last_peer"], row["last_client"]) == ("127.0.0.1", "imap")
    assert "phone" in console.run("user", "app-password", "list", address).stdout
    assert "has an app password" in said_no(console, "user", "app-password", "add", address, "phone")
    console.run("user", "app-password", "remove", address, "phone")
    assert not logs_in(server, account, password)
    assert "has no app password" in said_no(console, "user", "app-password", "remove", address, "phone")
    made = json.loads(console.run("user", "app-password", "add", address, "x", "--expires", "1ms", "--json").stdout)[0]
    assert not logs_in(server, account, made["password"])
    assert "(over)" in console.run("user", "app-password", "list", address).stdout
    for option, bad, words in (
        ("--scope", "most", "is not one of all, send, read"),
        ("--expires", "soon", "is not a duration like 90d"),
        ("--expires", "2020-01-01", "is over"),
    ):
        assert words in said_no(console, "user", "app-password", "add", address, "y", option, bad)
    assert "1 to 100 printable" in said_no(console, "user", "app-password", "add", address, "")
    assert "there is no account" in said_no(console, "user", "app-password", "list", "nobody@a.test")


def test_sending_limits(either: Console) -> None:
    rows = json.loads(
        either.run("user", "limit", "alice@a.test", "--messages-per-hour", "7", "--recipients", "none", "--json").stdout
    )
    assert {row["what"]: (row["limit"], row["exception"]) for row in rows if row["exception"]} == {
        "messages_per_hour": (7, True), "recipients": (None, True),
    }  # fmt: skip
    shown = either.run("user", "show", "alice@a.test").stdout
    assert "alice@a.test: active" in shown
    assert re.search(r"messages per hour +\d+ +7 +yes", shown)
    either.run("user", "limit", "alice@a.test", "--messages-per-hour", "default")
    rows = json.loads(either.run("user", "show", "alice@a.test", "--json").stdout)["sending"]
    assert [row["what"] for row in rows if row["exception"]] == ["recipients"]
    assert "yes" not in either.run("user", "limit", "alice@a.test", "--reset").stdout
    either.run("domain", "limit", "a.test", "--messages-per-day", "9")
    assert re.search(r"messages per day +\d+ +9 +yes", either.run("user", "show", "alice@a.test").stdout)
    either.run("domain", "limit", "a.test", "--reset")
    assert "is not a number" in said_no(either, "user", "limit", "alice@a.test", "--messages-per-hour", "many")
    for command in (("show",), ("limit",), ("stop",), ("release",), ("send-as", "list")):
        assert "there is no account nobody@a.test" in said_no(either, "user", *command, "nobody@a.test")
    assert "there is no domain" in said_no(either, "domain", "limit", "elsewhere.test")


def test_grants(either: Console) -> None:
    either.run("user", "send-as", "add", "alice@a.test", "Team@A.test")
    either.run("user", "send-as", "add", "alice@a.test", "@far.test")
    assert json.loads(either.run("user", "send-as", "list", "alice@a.test", "--json").stdout) == [
        {"address": "alice@a.test", "sender": "@far.test"}, {"address": "alice@a.test", "sender": "team@a.test"},
    ]  # fmt: skip
    assert "May send as: @far.test, team@a.test" in either.run("user", "show", "alice@a.test").stdout
    for sender in ("@far.test", "team@a.test"):
        either.run("user", "send-as", "remove", "alice@a.test", sender)
    assert "was not granted" in said_no(either, "user", "send-as", "remove", "alice@a.test", "team@a.test")
    assert "is not an address" in said_no(either, "user", "send-as", "add", "alice@a.test", "team")


def test_bans(either: Console) -> None:
    assert "192.0.2.0/24 is banned until it is lifted" in either.run("ban", "add", "192.0.2.0/24", "--reason", "enough").stdout
    assert "is banned until 2" in either.run("ban", "add", "2001:db8:1:2::9", "--for", "1d").stdout
    rows = json.loads(either.run("ban", "list", "--json").stdout)
    assert {row["network"]: row["reason"] for row in rows} == {"192.0.2.0/24": "enough", "2001:db8:1:2::/64": "by hand"}
    assert "lifted" in either.run("ban", "list").stdout
    assert "192.0.2.0/24 is banned no more" in either.run("ban", "remove", "192.0.2.77").stdout
    assert "is not banned" in said_no(either, "ban", "remove", "192.0.2.77")
    either.run("ban", "remove", "2001:db8::/32")
    assert json.loads(either.run("ban", "list", "--json").stdout) == []
    assert "this machine itself" in said_no(either, "ban", "add", "127.0.0.1")
    assert "neither an address nor a network" in said_no(either, "ban", "add", "x")
    assert "is not a duration" in said_no(either, "ban", "add", "192.0.2.1", "--for", "ever")


def test_capabilities_of_one_account(server: Server, account: str) -> None:
    console, address = Console(server), f"{account}@a.test"

    def announced() -> set[str]:
        connection = server.imap(account)
        try:
            return set(connection.capability()[1][0].decode().split())
        finally:
            connection.logout()

    everything = announced()
    console.run("user", "capability", address, "--hide", "move", "--hide", "COMPRESS=DEFLATE", "--hide", "APPENDLIMIT")
    (limit,) = {name for name in everything if name.startswith("APPENDLIMIT=")}
    assert announced() == everything - {"MOVE", "COMPRESS=DEFLATE", limit}
    rows = json.loads(console.run("user", "capability", address, "--show", "COMPRESS=DEFLATE", "--json").stdout)
    assert {row["capability"] for row in rows if not row["announced"]} >= {"MOVE", "APPENDLIMIT"}
    assert announced() == everything - {"MOVE", limit}
    console.run("user", "capability", address, "--reset")
    assert announced() == everything
    assert "hide it or show it" in said_no(console, "user", "capability", address, "--hide", "IDLE", "--show", "idle")
    assert "nothing that can be hidden" in said_no(console, "user", "capability", address, "--hide", "IMAP4rev1")
    assert "there is no account" in said_no(console, "user", "capability", "nobody@a.test")


def test_a_running_server_sees_changes_at_once(server: Server, account: str) -> None:
    console = Console(server)
    address = f"{account}@a.test"
    assert logs_in(server, account, PASSWORD)
    console.run("user", "passwd", address, "--password-stdin", stdin="another one\n")
    assert not logs_in(server, account, PASSWORD)
    assert logs_in(server, account, "another one")
    with server.smtp() as client:
        client.ehlo()
        client.mail("s@far.test")
        assert client.rcpt("fresh@a.test")[0] == 550
        console.run("alias", "add", "fresh@a.test", address)
        assert client.rcpt("fresh@a.test")[0] == 250
        console.run("user", "disable", address)
        assert client.rcpt("fresh@a.test")[0] == 550
        assert not logs_in(server, account, "another one")
        console.run("user", "enable", address)
        assert client.rcpt("fresh@a.test")[0] == 250
        console.run("alias", "remove", "fresh@a.test")
        assert client.rcpt("fresh@a.test")[0] == 550


@pytest.mark.parametrize("stdin", ["", "\n", "a\0b\n", "x" * 1001 + "\n"])
def test_passwords_that_nobody_could_use_are_refused(offline: Server, stdin: str) -> None:
    ended = Console(offline).run("user", "add", "z@a.test", "--password-stdin", stdin=stdin, check=False)
    assert ended.returncode in (1, 2)
    assert "z@a.test" not in Console(offline).run("user", "list").stdout


def test_bytes_that_are_not_utf8_are_bad_usage(offline: Server) -> None:
    command = [*offline.command, "user", "add", "z@a.test", "--password-stdin"]
    ended = subprocess.run(command, env=offline.environment, input=b"\xff\xfe\n", capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("sesame\nsesame\n", 0, "added."), ("sesame\nsesam\n", 2, "differ"), ("\n", 0, "Password, shown this once")],
)
def test_a_terminal_is_asked(offline: Server, typed: str, code: int, said: str) -> None:
    """The password is typed twice and not shown; an empty one is made."""
    ours, theirs = pty.openpty()
    command = [*offline.command, "user", "add", "typed@a.test"]
    process = subprocess.Popen(command, env=offline.environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    lines = typed.encode().splitlines(keepends=True)
    # The last space comes once the terminal no longer shows what is typed.
    questions = [b"make one): ", b"Once more: "]
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
        if lines and questions[0] in shown:
            os.write(ours, lines.pop(0))
            questions.pop(0)
    os.close(ours)
    assert process.wait(20) == code
    assert said.encode() in shown
    assert b"sesam" not in shown
    if code == 0:
        Console(offline).run("user", "remove", "typed@a.test")


# Imports ------------------------------------------------------------------------------------------------------------


def test_import_is_all_or_nothing_and_names_each_bad_line(either: Console, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text(
        "address,password,hash,quota\n"
        "one@a.test,secret one,,1GiB\n"
        "two@a.test,,,\n"
        "three@a.test,x,,much\n"
        "\n"
        "nobody,x,,\n"
        "one@a.test,x,,\n"
        "four@a.test,,{ROT13}x,\n"
        "five@far.test,x,,\n"
        "alice@a.test,x,,\n"
        "six@a.test,with,commas,in,it\n"
    )
    said = said_no(either, "user", "import", str(file))
    lines = re.findall(r"line (\d+):", said)
    assert lines == ["3", "4", "6", "7", "8", "9", "10", "11"], said
    assert "nothing was imported" in said
    assert "secret one" not in said
    assert "one@a.test" not in either.run("user", "list").stdout


def test_imported_hashes_and_passwords_log_in(server: Server, tmp_path: Path) -> None:
    from passlib.hash import sha512_crypt

    hashed = "{SHA512-CRYPT}" + sha512_crypt.using(rounds=5000, salt="saltsalt").hash("from dovecot")
    file = tmp_path / "users.csv"
    file.write_text(f'address,hash,password,quota\nhashed@a.test,{hashed},,\ntyped@a.test,,"with, comma",2GiB\n')
    assert Console(server).run("user", "import", str(file)).stdout == "2 accounts added.\n"
    assert logs_in(server, "hashed", "from dovecot")
    assert logs_in(server, "typed", "with, comma")
    Console(server).run("user", "remove", "hashed@a.test")
    Console(server).run("user", "remove", "typed@a.test")


def test_a_passwd_file_comes_over_with_its_passwords(server: Server, tmp_path: Path) -> None:
    from passlib.hash import sha512_crypt

    hashed = "{SHA512-CRYPT}" + sha512_crypt.using(rounds=5000, salt="saltsalt").hash("from dovecot")
    file = tmp_path / "users"
    file.write_text(f"moved:{hashed}:5000:5000::/srv/moved::userdb_quota_rule=*:storage=1G\nlocked:!::\n")
    said = Console(server).run("user", "import", str(file), "--domain", "a.test", "--add-domains").stdout
    assert said == "1 accounts added.\nLeft out, as they have no password there: locked\n"
    assert logs_in(server, "moved", "from dovecot")
    Console(server).run("user", "remove", "moved@a.test")


@pytest.mark.parametrize("text", ["", "a@a.test,x,,\n", "address,passwort\nx@a.test,y\n", 'address,password\n"x@a.test,y\n'])
def test_a_file_that_is_no_list_of_accounts(offline: Server, tmp_path: Path, text: str) -> None:
    (tmp_path / "users.csv").write_text(text)
    ended = Console(offline).run("user", "import", str(tmp_path / "users.csv"), check=False)
    assert ended.returncode == 2
    assert f"{tmp_path}/users.csv: " in ended.stderr
    assert Console(offline).run("user", "import", "/nowhere.csv", check=False).returncode == 2


def test_others_are_answered_while_an_import_hashes(server: Server) -> None:
    """The hashes of an import are made in threads: mail and other commands go on."""
    path = server.data / "control.sock"
    rows = [{"line": line, "address": f"import{line}@a.test", "password": f"p{line}"} for line in range(150)]
    answers: list[dict[str, object] | None] = []
    importing = threading.Thread(target=lambda: answers.append(ask(path, "user.import", {"rows": rows})))
    importing.start()
    try:
        rounds = 0
        while not answers:
            assert ask(path, "domain.list", {}) is not None
            with socket.create_connection(("127.0.0.1", server.ports["smtp"]), timeout=20) as connection:
                assert connection.recv(64).startswith(b"220")
            rounds += 1
            if rounds == 10:
                # 150 hashes cost more than a second; ten rounds of the above cost some tens of milliseconds.
                assert not answers
                break
        # Another hash gets its turn too, long before the import is done.
        assert ask(path, "user.add", {"address": "between@a.test", "password": "x"}) is not None
        assert not answers
    finally:
        importing.join(60)
    assert answers == [{"ok": {"imported": 150}}]


def test_an_answer_is_given_to_a_command_that_went_away(server: Server) -> None:
    """Hanging up does not stop half-way what was begun."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.data / "control.sock"))
        connection.sendall(b'{"do": "user.add", "address": "hangup@a.test", "password": "x"}\n')
    with server.smtp() as client:
        client.ehlo()
        for _ in range(200):
            client.mail("s@far.test")
            code = client.rcpt("hangup@a.test")[0]
            client.rset()
            if code == 250:
                return
            threading.Event().wait(0.05)
    raise AssertionError("the account was not made")


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"do": "user.add"}', b'{"do": "fly"}', b"\xff", b'{"do": 5}'])
def test_odd_requests_get_an_answer(server: Server, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(server.data / "control.sock"))
        connection.sendall(line + b'\n{"do": "domain.list"}\n')
        stream = connection.makefile("rb")
        assert json.loads(stream.readline())["code"] == 2
        assert "ok" in json.loads(stream.readline())


def test_the_control_socket_is_the_owners(server: Server) -> None:
    assert (server.data / "control.sock").stat().st_mode & 0o777 == 0o600
    modes = {path: path.stat().st_mode & 0o077 for path in server.data.rglob("*")}
    assert not any(modes.values()), [path for path, mode in modes.items() if mode]
