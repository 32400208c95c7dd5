"""queue, trace, repair, health, check, selftest, quickstart."""

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dns.zone
import pytest

from mailstack.cli.invocation import Invocation, show
from mailstack.cli.reaching import has_ipv6, hosts
from mailstack.cli.selfcheck import StepFailed, run_selftest
from mailstack.config import Config, Listen, Tls, load
from mailstack.net.dns_update import quoted
from tests.support.console import Console
from tests.support.dnsserver import DnsServer
from tests.support.server import Server, free_ports
from tests.support.sink import CountingSink


@pytest.fixture(scope="module")
def stuck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose smarthost does not answer: what leaves stays in the queue."""
    (port,) = free_ports(1)
    one = Server(tmp_path_factory.mktemp("stuck"), users=("alice", "bob"), smarthost=port)
    one.configuration.write_text(one.configuration.read_text().replace('retry = ["1s"]', 'retry = ["1h"]'))
    one.provision()
    one.start()
    yield one
    one.stop()


def send(server: Server, subject: str, to: str = "x@far.test") -> str:
    """Submit a message; its id."""
    with server.submission("alice") as client:
        client.mail("alice@a.test")
        client.rcpt(to)
        answer = client.data(
            f"From: alice@a.test\r\nSubject: {subject}\r\nMessage-ID: <{subject}@a.test>\r\n\r\nHello.\r\n".encode()
        )
    assert answer[0] == 250, answer
    return answer[1].decode().rpartition(" ")[2]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for a condition; what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        threading.Event().wait(0.02)
    return found


def test_the_queue_is_seen_and_steered(stuck: Server) -> None:
    console = Console(stuck)

    def row() -> dict[str, Any]:
        return next(row for row in json.loads(console.run("queue", "list", "--json").stdout) if row["id"] == id)

    id = send(stuck, "steered")
    assert len(id) == 16
    until(lambda: row()["attempts"] == 1)
    listed = console.run("queue", "list").stdout
    assert re.search(rf"^{id} +alice@a\.test +x@far\.test +\d+ +1 +20\d\d-.* no +4", listed, re.MULTILINE), listed
    shown = console.run("queue", "show", id).stdout
    assert "x@far.test: 4" in shown
    assert "Subject: steered" in shown
    assert "Hello." not in shown
    assert json.loads(console.run("queue", "show", id, "--json").stdout)["id"] == id

    console.run("queue", "hold", id)
    assert row()["held"]
    said = console.run("queue", "retry", id, check=False)
    assert (said.returncode, f"mailstack queue release {id}" in said.stderr) == (1, True)
    assert console.run("queue", "retry").stdout.startswith("0 messages")
    console.run("queue", "release", id)
    until(lambda: row()["attempts"] == 2)
    assert not row()["held"]
    assert console.run("queue", "retry", id).stdout == "1 message will be tried now.\n"
    until(lambda: row()["attempts"] == 3)
    until(lambda: console.run("queue", "drop", id, check=False).returncode == 0)
    assert id not in console.run("queue", "list").stdout
    assert list((stuck.data / "queue").iterdir()) == []
    for command in ("show", "retry", "hold", "release", "drop"):
        said = console.run("queue", command, id, check=False)
        assert (said.returncode, said.stderr) == (1, f"mailstack: there is no message {id} in the queue\n")
    events = [event["event"] for event in json.loads(console.run("trace", id, "--json").stdout)]
    assert events == ["arrived", "accepted", "queued", "deferred", "held", "released", "deferred", "deferred", "dropped"]


def test_the_queue_without_a_server(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    one = Server(tmp_path, users=("alice",), smarthost=port)
    one.provision()
    one.start()
    console = Console(one)
    try:
        held, gone = send(one, "held"), send(one, "gone")
    finally:
        one.stop()
    console.run("queue", "hold", held)
    console.run("queue", "drop", gone)
    assert [(row["id"], row["held"]) for row in json.loads(console.run("queue", "list", "--json").stdout)] == [(held, True)]
    with CountingSink() as sink:
        one.configuration.write_text(one.configuration.read_text().replace(f":{port}", f":{sink.port}"))
        one.start()
        try:
            assert [row["held"] for row in json.loads(console.run("queue", "list", "--json").stdout)] == [True]
            console.run("queue", "release", held)
            assert sink.wait_for({"held"}, 20) == {"held"}
        finally:
            one.stop()


def test_one_id_from_accept_to_fetch(server: Server, account: str) -> None:
    """The id is in the answer, in Received, in the file's name, in the trace and in the log."""
    console = Console(server)
    with server.smtp() as client:
        client.ehlo()
        client.mail("s@far.test")
        client.rcpt(f"{account}@a.test")
        answer = client.data(b"From: s@far.test\r\nMessage-ID: <followed@far.test>\r\nSubject: x\r\n\r\nHello.\r\n")[1].decode()
    id = answer.rpartition(" ")[2]
    assert answer == f"2.0.0 Ok: queued as {id}"
    imap = server.imap(account)
    imap.select("INBOX")
    # A look at the header is not yet a fetch.
    header = imap.fetch("1", "(BODY.PEEK[HEADER])")[1][0][1]
    assert f"id {id}".encode() in header
    events = json.loads(console.run("trace", id, "--json").stdout)
    assert [event["event"] for event in events] == ["arrived", "accepted", "judged", "delivered"]
    for _ in range(2):
        imap.fetch("1", "(BODY.PEEK[])")
    imap.fetch("1", "(BODY[])")
    imap.logout()
    for text in (id, "followed@far.test", "<followed@far.test>", f"{account}@a.test"):
        events = json.loads(console.run("trace", text, "--json").stdout)
        assert [event["event"] for event in events] == ["arrived", "accepted", "judged", "delivered", "fetched"], text
        assert {event["id"] for event in events} == {id}
    assert events[-1]["account"] == f"{account}@a.test"
    shown = console.run("trace", id).stdout
    assert shown.splitlines()[0] == id
    assert "message_id=<followed@far.test>" in shown
    assert [event["event"] for event in server.events("message.") if event.get("id") == id] == [
        "message.accepted",
        "message.fetched",
    ]
    assert list(server.data.glob(f"mail/a.test/{account}/Maildir/*/*.{id}.0.*"))


def test_a_refusal_is_traced(server: Server) -> None:
    with server.smtp() as client:
        client.ehlo()
        client.mail("refused@far.test")
        assert client.rcpt("nobody-at-all@a.test")[0] == 550
    (event,) = json.loads(Console(server).run("trace", "nobody-at-all@a.test", "--json").stdout)
    assert (event["event"], event["reason"], event["sender"]) == ("refused", "unknown", "refused@far.test")
    said = Console(server).run("trace", "never-heard@of.test", check=False)
    assert said.returncode == 1
    assert "nothing is known of never-heard@of.test" in said.stderr


def test_repair_takes_in_what_was_put_there(server: Server, account: str) -> None:
    console = Console(server)
    imap = server.imap(account)
    imap.append("INBOX", None, None, b"Subject: first\r\n\r\n")
    folder = server.data / "mail" / "a.test" / account / "Maildir"
    (folder / "cur" / "1600000000.x.elsewhere:2,S").write_bytes(b"Subject: restored\n\n")
    report = console.run("repair", f"{account.upper()}@a.test").stdout
    assert report.startswith(f"{account}@a.test\n")
    assert "INBOX: 2 messages" in report
    assert json.loads(console.run("repair", f"{account}@a.test", "--json").stdout) == {
        f"{account}@a.test": [line.strip() for line in console.run("repair", f"{account}@a.test").stdout.splitlines()[1:]]
    }
    imap.select("INBOX")
    assert imap.search(None, "SUBJECT", "restored")[1] != [b""]
    imap.logout()
    said = console.run("repair", "nobody@a.test", check=False)
    assert (said.returncode, said.stderr) == (1, "mailstack: there is no account nobody@a.test\n")


# Health, check ------------------------------------------------------------------------------------------------------


def test_health_names_each_listener_that_does_not_answer(stuck: Server) -> None:
    console = Console(stuck)
    assert console.run("health").stdout == "all 10 listeners answer\n"
    good = stuck.configuration.read_text()
    (other,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_port = silent.getsockname()[1]
        threading.Thread(target=lambda: silent.accept()[0].sendall(b"500 go away\r\n"), daemon=True).start()
        try:
            stuck.configuration.write_text(
                good.replace(f":{stuck.ports['imaps']}", f":{other}").replace(f":{stuck.ports['smtp']}", f":{silent_port}")
            )
            said = console.run("health", check=False)
        finally:
            stuck.configuration.write_text(good)
    assert said.returncode == 1
    assert said.stderr.splitlines() == [
        f"mailstack: smtp 127.0.0.1 port {silent_port}: said b'500 go away\\r\\n'",
        f"imaps 127.0.0.1 port {other}: [Errno 111] Connection refused",
    ]


def test_both_families_are_asked() -> None:
    both = [("127.0.0.1", 25), ("::1", 25)] if has_ipv6() else [("127.0.0.1", 25)]
    assert hosts("[::]:25") == both
    assert hosts("0.0.0.0:25") == [("127.0.0.1", 25)]
    assert hosts("[::1]:25") == [("::1", 25)]


def reloaded(server: Server, settings: str) -> None:
    """Other settings, read again."""
    seen = len(server.events("reloaded"))
    server.configuration.write_text(settings)
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_event("reloaded", seen)


def checked(console: Console) -> dict[str, tuple[str, str]]:
    ended = console.run("check", "--json", check=False)
    rows = json.loads(ended.stdout)
    assert ended.returncode == (1 if any(row["state"] == "bad" for row in rows) else 0)
    return {f"{row['what']}": (row["state"], row["text"]) for row in rows}


def test_check_compares_what_is_with_what_should_be(stuck: Server) -> None:
    console = Console(stuck)
    dkim = [
        (row["name"], row["value"])
        for row in json.loads(console.run("domain", "records", "a.test", "--json").stdout)
        if "_domainkey" in row["name"]
    ]
    zone: dict[str, dict[str, list[str]]] = {
        "mail.a.test": {"A": ["198.51.100.1", "8.8.4.4"]},
        "1.100.51.198.in-addr.arpa": {"PTR": ["mail.a.test."]},
        "a.test": {"MX": ["10 mail.a.test."], "TXT": ['"v=spf1 mx ~all"', '"other"']},
        dkim[0][0]: {"TXT": [quoted(dkim[0][1])]},
        dkim[1][0]: {"TXT": ['"v=DKIM1; k=ed25519; p=AAAA"']},
        "_imaps._tcp.a.test": {"SRV": [f"0 1 {stuck.ports['imaps']} Mail.A.test."]},
        "4.4.8.8.zen.spamhaus.org": {"A": ["127.0.0.2"]},
        "4.4.8.8.bl.spamcop.net": {"A": ["127.255.255.254"]},
    }
    good = stuck.configuration.read_text()
    with DnsServer(zone) as server:
        server.broken.add("_dmarc.a.test")
        try:
            reloaded(stuck, f'{good}[dns]\nnameservers = ["127.0.0.1:{server.port}"]\n')
            found = checked(console)
            text = console.run("check", check=False).stdout
        finally:
            reloaded(stuck, good)
    assert found["server"][0] == "ok"
    assert found["port imaps"] == ("ok", f"127.0.0.1 port {stuck.ports['imaps']} answers")
    assert found["MX a.test"] == ("ok", "is 10 mail.a.test.")
    assert found["SPF a.test"] == ("ok", "is v=spf1 mx ~all")
    states = {found[f"DKIM {name}"][0] for name, _ in dkim}
    assert states == {"ok", "warn"}
    assert found["DMARC _dmarc.a.test"][0] == "warn"
    assert "no answer" in found["DMARC _dmarc.a.test"][1]
    assert found["SRV _imaps"][0] == "ok"
    assert found["SRV _submission"] == ("info", f"want 10 1 {stuck.ports['submission']} mail.a.test.; have none")
    assert found["PTR 198.51.100.1"] == ("ok", "want mail.a.test; have mail.a.test")
    assert found["PTR 8.8.4.4"][0] == "warn"
    assert found["blocklist zen.spamhaus.org"][0] == "bad"
    assert found["blocklist bl.spamcop.net"][0] == "warn"
    assert found["blocklist b.barracudacentral.org"][0] == "ok"
    assert "blocklist zen.spamhaus.org" in text


def test_check_without_a_server_looks_at_ports_and_certificates(tmp_path: Path) -> None:
    one = Server(tmp_path)
    silent = 'mode = "self-signed"'
    with DnsServer({}) as server, socket.create_server(("127.0.0.1", one.ports["imap"])):
        text = one.configuration.read_text() + f'[dns]\nnameservers = ["127.0.0.1:{server.port}"]\n'
        one.configuration.write_text(text)
        found = checked(Console(one))
        assert found["server"][0] == "warn"
        assert found["port imap"][0] == "bad"
        assert found["port imap"][1].endswith("Address already in use")
        assert found["port smtp"][0] == "ok"
        assert found["disk"] == ("warn", f"{one.data} is not there yet; the first start makes it")
        assert found["A mail.a.test"] == ("bad", "want an A or AAAA record for mail.a.test; have none")
        assert found["certificate"][0] == "warn"
        one.configuration.write_text(text.replace(silent, 'mode = "files"\ncertificate = "/none"\nkey = "/none"'))
        assert checked(Console(one))["certificate"] == ("bad", "/none: can't be read: No such file or directory")
    assert not one.data.exists()


# Self-test ----------------------------------------------------------------------------------------------------------


def test_the_selftest_times_each_step_and_leaves_nothing(server: Server) -> None:
    console = Console(server)
    shown = console.run("selftest").stdout
    steps = re.findall(r"^  (.+?)(?: \(\w{16}\))? +[\d.]+ ms$", shown, re.MULTILINE)
    assert steps == [
        "IMAP login",
        "IMAP SELECT and IDLE",
        "submission: 250",
        "IMAP IDLE told of it",
        "IMAP FETCH: the same message",
        "POP3 RETR: the same message",
    ]
    assert "selftest" not in console.run("user", "list").stdout
    assert not list(server.data.glob("mail/*/mailstack-selftest*"))


def test_the_selftest_without_a_server(tmp_path: Path) -> None:
    one = Server(tmp_path)
    said = Console(one).run("selftest", check=False)
    assert said.returncode == 1
    assert said.stderr == f"mailstack: self-test: server: none runs on {one.data}; start it: mailstack serve\n"
    assert not one.data.exists()


class FakeSubmission(CountingSink):
    """Takes every login and every message; `instead` gets what was sent."""

    def __init__(self, instead: Callable[[bytes], None], reply: bytes = b"250 2.0.0 Ok: queued as 0\r\n") -> None:
        super().__init__()
        self.instead = instead
        self.hello = b"250-sink.test\r\n250 AUTH PLAIN\r\n"
        self.reply = reply

    def take(self, data: bytes) -> None:
        self.instead(data)


@pytest.mark.parametrize(
    ("broken", "wanted"),
    [
        ("imap", "IMAP login: .*Errno 111"),
        ("greeting", "IMAP login: "),
        ("password", "IMAP login: the server said NO .*AUTHENTICATIONFAILED"),
        ("submission", "submission: 250: .*refused"),
        ("refusal", "submission: 250: 452 4.3.1 full"),
        ("nothing comes", "IMAP IDLE told of it: no answer within 4 s"),
        ("another comes", "IMAP FETCH: the same message: the message is not the one that was sent"),
        ("no listener", "submission: 250: no listener among submissions, submission is configured"),
    ],
)
def test_the_selftest_names_the_step_that_fails(server: Server, broken: str, wanted: str) -> None:
    one = Invocation(str(server.configuration))
    (closed,) = free_ports(1)
    ports = dict(server.ports)
    run: Callable[..., Any] = one.run
    added: list[str] = []

    def another(_: bytes) -> None:
        with server.smtp() as client:
            client.sendmail("s@far.test", added[0], b"From: s@far.test\r\nSubject: another\r\n\r\n")

    def watch(name: str, **arguments: Any) -> Any:
        answer = one.run(name, **arguments)
        if name == "user.add":
            added.append(arguments["address"])
            if broken == "password":
                answer["password"] = "wrong"
        return answer

    run = watch
    sink = FakeSubmission(another if broken == "another comes" else lambda _: None)
    if broken == "refusal":
        sink.reply = b"452 4.3.1 full\r\n"
    with sink, socket.create_server(("127.0.0.1", 0)) as silent:
        match broken:
            case "imap":
                ports["imap"] = closed
            case "greeting":
                ports["imap"] = silent.getsockname()[1]
            case "submission":
                ports["submission"] = closed
            case "refusal" | "nothing comes" | "another comes":
                ports["submission"] = sink.port
        names = ("imap", "submission") if broken != "no listener" else ("imap",)
        listen = Listen(**{name: ([f"127.0.0.1:{ports[name]}"] if name in names else []) for name in Listen.__struct_fields__})
        config = Config(data_dir=str(server.data), listen=listen, tls=Tls(mode="off"))
        with pytest.raises(StepFailed, match=f"^{wanted}"):
            run_selftest(config, run, patience={"greeting": 1.0, "nothing comes": 4.0}.get(broken, 30.0))
    # Its account is gone, whatever failed.
    assert added[0] not in Console(server).run("user", "list").stdout


def test_the_selftest_needs_a_domain(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="account: there is no domain"):
        run_selftest(Config(), lambda name, **_: [])


# From trial to domain -----------------------------------------------------------------------------------------------


def test_quickstart_writes_all_that_a_domain_needs(tmp_path: Path) -> None:
    one = Server(tmp_path)
    console = Console(one)
    arguments = ("quickstart", "Alice@Bücher.test", "--dir", str(tmp_path / "etc"), "--data", str(tmp_path / "mail"))
    shown = console.run(*arguments).stdout
    path = tmp_path / "etc" / "mailstack.toml"
    config = load(path, {})
    assert (config.hostname, config.data_dir) == ("mail.xn--bcher-kva.test", str(tmp_path / "mail"))
    assert config.postmaster == "Alice@xn--bcher-kva.test"
    assert re.search(r"Password, shown this once: \S+", shown)
    lines = [line.strip() for line in shown.splitlines() if re.match(r" +\S+\. [A-Z]+ ", line)]
    text = [line.replace(" ", " 60 IN ", 1).replace("ADDRESS", "192.0.2.1") for line in lines]
    zone = dns.zone.from_text("\n".join(["@ 60 IN SOA ns. host. 1 1 1 1 1", "@ 60 IN NS ns.", *text]), "xn--bcher-kva.test.")
    assert zone.get_rdataset("@", "MX") is not None
    for name in ("_submissions._tcp", "_submission._tcp", "_imaps._tcp", "_imap._tcp"):
        assert zone.get_rdataset(name, "SRV") is not None, name
    assert zone.get_rdataset("autoconfig", "CNAME") is not None
    assert "p=quarantine" in zone.get_rdataset("_dmarc", "TXT").to_text()
    assert "v=spf1" in zone.get_rdataset("@", "TXT").to_text()
    keys = [name for name in zone.nodes if name.to_text().endswith("._domainkey")]
    assert len(keys) == 2
    for name in keys:
        for record in zone.get_rdataset(name, "TXT"):
            assert all(len(piece) <= 255 for piece in record.strings)
            assert b"".join(record.strings).startswith(b"v=DKIM1; k=")
    assert len(list((tmp_path / "mail" / "dkim" / "xn--bcher-kva.test").glob("*.pem"))) == 2
    # A second time changes nothing.
    before = path.read_text()
    said = console.run(*arguments, check=False)
    assert said.returncode == 2
    assert "is there already" in said.stderr
    assert path.read_text() == before
    # With the data there already, the configuration is taken back.
    said = console.run(
        "quickstart", "x@bücher.test", "--dir", str(tmp_path / "two"), "--data", str(tmp_path / "mail"), check=False
    )
    assert said.returncode == 1
    assert "is there already" in said.stderr
    assert not (tmp_path / "two" / "mailstack.toml").exists()


@pytest.mark.parametrize("address", ["nobody", "a@b@c", "@x.test", ""])
def test_quickstart_wants_an_address(tmp_path: Path, address: str) -> None:
    console = Console(Server(tmp_path))
    said = console.run("quickstart", address, "--dir", str(tmp_path / "etc"), "--data", str(tmp_path / "mail"), check=False)
    assert (said.returncode, "is not an address" in said.stderr) == (2, True)
    assert not (tmp_path / "etc").exists()


def test_a_listing_shows_words_of_strangers_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show([{"user": "a\x1b]0;b\x07\nc\u202e\udcff"}], False, ["user"])
    assert capsys.readouterr().out == "USER\na?]0;b??c??\n"
