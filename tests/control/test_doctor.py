"""The doctor: each look finds what is wrong, says what follows and what mends it, and is content where all is well."""

import datetime
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mailstack.config import Acme, Config, Dns, Listen, MtaSts, Relay, Tls
from mailstack.control.doctor import certificates, disk, keys, machine, names, outgoing, ports, settings, work
from mailstack.control.doctor.finding import Finding, Patient
from mailstack.control.doctor.rounds import CHECKS, examine
from mailstack.net import looking
from mailstack.net.dns import Resolver
from mailstack.net.trial_ca import make_trial
from tests.support.dnsserver import DnsServer
from tests.support.server import free_ports
from tests.support.sink import CountingSink

HERE = Path("/data")
NOW = 1.8e9
GOOD = Config(hostname="mail.a.test", postmaster="p@a.test")
DAY = 86400.0


def key(selector: str, state: str, seen: str, since: float = NOW) -> dict[str, Any]:
    return {"domain": "a.test", "selector": selector, "state": state, "dns": seen, "since": since}


def mail(age: float, held: bool = False) -> dict[str, Any]:
    return {"received": NOW - age, "held": held}


def backup(last: dict[str, Any] | None, proven: float | None) -> dict[str, Any]:
    return {"last": last, "proven": None if proven is None else {"proven": NOW - proven}}


def said(*findings: Finding | None) -> list[str]:
    """The states; what is warn or bad says what follows and what to do."""
    for one in findings:
        assert one is None or one.state in ("ok", "info") or (one.effect and one.fix), one
    return [one.state if one is not None else "ok" for one in findings]


WELL_AND_ILL: list[tuple[Callable[[], list[str]], list[str]]] = [
    (lambda: said(settings.judge(GOOD)), ["ok"]),
    (lambda: said(settings.judge(Config(hostname="localhost"))), ["info"]),
    (lambda: said(settings.judge(Config(hostname="192.0.2.1"))), ["info"]),
    (lambda: said(settings.judge(Config(hostname="mail.a.test"))), ["warn"]),
    (lambda: said(settings.judge(Config("mail.a.test", postmaster="p@a.test", listen=Listen(smtp=[])))), ["warn"]),
    (
        lambda: said(settings.judge(Config("m.a.test", postmaster="p@a.test", listen=Listen(submission=[], submissions=[])))),
        ["warn"],
    ),
    (
        lambda: said(disk.judge_space(HERE, 2 << 30), disk.judge_space(HERE, 500 << 20), disk.judge_space(HERE, 5 << 20)),
        ["ok", "warn", "bad"],
    ),
    (lambda: said(*disk.judge_nodes(HERE, 90, 100)), ["ok"]),
    (lambda: said(*disk.judge_nodes(HERE, 0, 0)), []),
    (lambda: said(*disk.judge_nodes(HERE, 4000, 100_000)), ["warn"]),
    (lambda: said(*disk.judge_nodes(HERE, 40, 100_000)), ["bad"]),
    (
        lambda: said(disk.judge_flush(HERE, 0.002), disk.judge_flush(HERE, 0.1), disk.judge_flush(HERE, 1.0)),
        ["ok", "warn", "bad"],
    ),
    (lambda: said(machine.judge_files(20_000, 10_000), machine.judge_files(1024, 10_000)), ["ok", "warn"]),
    (lambda: said(machine.judge_memory(1 << 30, 2 << 30), machine.judge_memory(50 << 20, 1 << 30)), ["ok", "warn"]),
    (lambda: said(machine.judge_clock(NOW, NOW + 3600), machine.judge_clock(NOW, None)), ["ok", "ok"]),
    (lambda: said(machine.judge_clock(NOW, NOW - 400), machine.judge_clock(1000.0, None)), ["warn", "bad"]),
    (lambda: said(machine.judge_difference("x", 3.0), machine.judge_difference("x", -300.0)), ["ok", "bad"]),
    (
        lambda: said(outgoing.judge_direct({"a": None, "b": "no answer"}), outgoing.judge_direct({"a": "no answer"})),
        ["ok", "bad"],
    ),
    (lambda: said(outgoing.judge_smarthost("r", None), outgoing.judge_smarthost("r", "no answer")), ["ok", "bad"]),
    (lambda: said(names.judge_listing("192.0.2.1", "zen.spamhaus.org", [])), ["ok"]),
    (lambda: said(names.judge_listing("192.0.2.1", "zen.spamhaus.org", ["127.0.0.2"])), ["bad"]),
    (lambda: said(names.judge_listing("192.0.2.1", "zen.spamhaus.org", ["127.255.255.254"])), ["warn"]),
    (lambda: said(*keys.judge([key("r", "signing", "right")], NOW)), ["ok"]),
    (lambda: said(*keys.judge([key("r", "signing", "missing"), key("e", "signing", "right")], NOW)), ["ok"]),
    (lambda: said(*keys.judge([key("r", "signing", "missing"), key("e", "signing", "other")], NOW)), ["bad"]),
    (lambda: said(*keys.judge([key("r", "signing", "unknown")], NOW)), ["ok"]),
    (lambda: said(*keys.judge([key("r", "signing", "right", 1.0)], NOW)), ["warn"]),
    (lambda: said(*keys.judge([key("r", "retired", "right"), key("e", "waiting", "missing")], NOW)), ["bad", "warn"]),
    (lambda: said(*keys.judge([], NOW)), []),
    (lambda: said(work.judge_queue([], NOW), work.judge_queue([mail(60)], NOW)), ["ok", "ok"]),
    (lambda: said(work.judge_queue([mail(DAY)], NOW), work.judge_queue([mail(60, True)], NOW)), ["warn", "warn"]),
    (lambda: said(work.judge_backup(backup(None, None), NOW, configured=False)), ["warn"]),
    (lambda: said(work.judge_backup(backup({"problems": ["x"]}, 60), NOW, configured=True)), ["bad"]),
    (lambda: said(work.judge_backup(backup({"problems": []}, None), NOW, configured=True)), ["warn"]),
    (lambda: said(work.judge_backup(backup({"problems": []}, 60), NOW, configured=True)), ["ok"]),
    (lambda: said(work.judge_backup(backup({"problems": []}, 4 * DAY), NOW, configured=True)), ["warn"]),
    (lambda: said(work.judge_backup(backup({"problems": []}, 40 * DAY), NOW, configured=True)), ["bad"]),
    (lambda: said(work.judge_selftest({"time": NOW - 60, "problem": None}, NOW)), ["ok"]),
    (lambda: said(work.judge_selftest({"time": NOW - 60, "problem": "IMAP login"}, NOW)), ["bad"]),
    (lambda: said(work.judge_selftest({"time": NOW - 9 * DAY, "problem": None}, NOW)), ["warn"]),
]


@pytest.mark.parametrize(("look", "states"), WELL_AND_ILL)
def test_what_is_well_and_what_is_not(look: Callable[[], list[str]], states: list[str]) -> None:
    assert look() == states


def patient(config: Config, resolver: Resolver | None = None, running: bool = False, **answers: Any) -> Patient:
    async def ask(name: str, **_: Any) -> Any:
        return answers.get(name.replace(".", "_"))

    return Patient(config, running, resolver or Resolver(["127.0.0.1:9"]), ask, NOW)


def test_certificates(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    path, file_key = make_trial(tmp_path, "mail.a.test", now)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    config = Config(hostname="mail.a.test", tls=Tls("files", str(path), str(file_key)))
    ends = certificate.not_valid_after_utc.timestamp()
    assert said(*certificates.judge(config, path, certificate, now.timestamp())) == ["ok"]
    assert said(*certificates.judge(config, path, certificate, ends - DAY)) == ["bad"]
    assert said(*certificates.judge(config, path, certificate, ends + DAY)) == ["bad"]
    other = Config(hostname="other.test", tls=config.tls)
    assert said(*certificates.judge(other, path, certificate, now.timestamp())) == ["ok", "warn"]


async def test_certificates_that_are_served(tmp_path: Path) -> None:
    row = {"listener": "imaps", "name": "mail.a.test", "state": "right", "problem": None}
    none = Config(hostname="mail.a.test", data_dir=str(tmp_path), tls=Tls("acme"))
    off = Config(hostname="mail.a.test", tls=Tls("off"))
    assert said(*await certificates.certificates(patient(off))) == ["warn"]
    assert said(*await certificates.certificates(patient(none, running=True, tls_served=[row]))) == ["bad", "ok"]
    wrong = {**row, "state": "wrong", "problem": "another one"}
    assert said(*await certificates.certificates(patient(none, running=True, tls_served=[row, wrong]))) == ["bad", "bad"]
    files = Config(hostname="mail.a.test", tls=Tls("files", "/none", "/none"))
    assert said(*await certificates.certificates(patient(files))) == ["bad"]


async def test_ports() -> None:
    (port,) = free_ports(1)
    listen = {name: [] for name in Listen.__struct_fields__} | {"smtp": [f"127.0.0.1:{port}"]}
    config = Config(hostname="mail.a.test", listen=Listen(**listen))
    assert said(*await ports.ports(patient(config))) == ["ok"]
    assert said(*await ports.ports(patient(config, running=True))) == ["bad"]
    with CountingSink() as sink:
        taken = Config(hostname="mail.a.test", listen=Listen(**listen | {"smtp": [f"127.0.0.1:{sink.port}"]}))
        assert said(*await ports.ports(patient(taken))) == ["bad"]
        assert said(*await ports.ports(patient(taken, running=True))) == ["ok"]


async def test_a_smarthost_and_hosts_elsewhere() -> None:
    with CountingSink() as sink, DnsServer({}) as dns:
        good = Config(relay=Relay(smarthost=f"smtp://u:secret@127.0.0.1:{sink.port}"))
        (found,) = await outgoing.outgoing(patient(good))
        assert (found.state, "secret" in found.text) == ("ok", False)
        resolver = Resolver([f"127.0.0.1:{dns.port}"])
        (untried,) = await outgoing.outgoing(patient(Config(), resolver))
        assert (untried.state, "--outside" in untried.fix) == ("info", True)

        async def nothing(*_: Any, **__: Any) -> None:
            return None

        outside = Config(relay=Relay(mx_port=sink.port), acme=Acme("http://127.0.0.1:9/"))
        everybody = Patient(outside, True, resolver, nothing, NOW, outside=True)
        assert said(*await outgoing.outgoing(everybody)) == ["bad"]
        dns.add("gmail.com", MX=["5 mx.gmail.com."])
        dns.add("mx.gmail.com", A=["127.0.0.1"])
        assert said(
            *await outgoing.outgoing(Patient(outside, True, Resolver([f"127.0.0.1:{dns.port}"]), nothing, NOW, True))
        ) == ["ok"]
        assert [one.state for one in await machine.machine(everybody) if one.what == "clock of others"] == ["info"]
    (gone,) = await outgoing.outgoing(patient(good))
    assert gone.state == "bad"


async def test_dnssec_and_the_policy() -> None:
    with DnsServer({"iana.org": {"A": ["192.0.2.1"]}, "mta-sts.a.test": {"A": ["127.0.0.1"]}}) as dns:
        server = [f"127.0.0.1:{dns.port}"]
        config = Config(hostname="mail.a.test", dns=Dns(server, True), mta_sts=MtaSts("testing"))
        assert said(*await names.dnssec(patient(config, Resolver(["192.0.2.1"], dnssec=True)))) == ["bad"]
        assert said(*await names.dnssec(patient(config, Resolver(server, dnssec=True)))) == ["bad"]
        dns.signed.add("iana.org")
        assert said(*await names.dnssec(patient(config, Resolver(server, dnssec=True)))) == ["ok"]
        assert said(*await names.dnssec(patient(Config(), Resolver(server)))) == []
        dns.add("mta-sts.a.test")
        domains = [{"domain": "a.test"}]
        assert said(*await keys.policies(patient(config, Resolver(server), domain_list=domains))) == ["bad"]
        assert said(*await keys.policies(patient(Config(), Resolver(server), domain_list=domains))) == []


async def test_dns_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "SECONDS", 0.1)
    monkeypatch.setattr(looking, "MOMENT", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{nobody.getsockname()[1]}"
        config = Config(hostname="mail.a.test", dns=Dns([server], True, ["8.8.8.8"]), mta_sts=MtaSts("testing"))
        silent = patient(config, Resolver([server], dnssec=True), domain_list=[{"domain": f"{one}.test"} for one in range(20)])
        assert said(*await names.blocklists(silent)) == ["warn"] * 3
        assert said(*await names.dnssec(silent)) == ["warn"]
        found = await keys.policies(silent)
        assert said(*found) == ["warn"] * 20
        assert "no answer from the resolver (127.0.0.1)" in found[0].text


async def test_what_the_operations_know() -> None:
    row = {"what": "MX", "name": "a.test", "state": "bad", "text": "t", "effect": "e", "fix": "f"}
    assert [one.what for one in await names.records(patient(GOOD, dns_compare=[row]))] == ["MX a.test"]
    assert said(*await work.nat(patient(GOOD, nat=[{"text": "many come from 10.0.0.1"}]))) == ["warn"]
    assert said(*await work.selftest(patient(GOOD, running=True))) == []
    assert said(*await settings.settings(patient(GOOD))) == ["ok", "warn"]


async def test_a_look_that_fails_spoils_no_other() -> None:
    async def fails(_: Patient) -> list[Finding]:
        raise RuntimeError("oh")

    found = await examine(patient(GOOD), (("x", fails), ("nat", work.nat), ("server", settings.settings)))
    assert [(row["what"], row["state"]) for row in found] == [("x", "warn"), ("configuration", "ok"), ("server", "warn")]
    assert len({name for name, _ in CHECKS}) == len(CHECKS)
