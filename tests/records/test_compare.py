"""The DNS as a diff: each record right, wrong and missing, at a name server of ours."""

import socket
from collections.abc import Iterator
from dataclasses import replace

import dns.zone
import pytest

from mailstack.config import Config, Listen
from mailstack.mailauth.dkim import dns_record, generate, load
from mailstack.net.authority import Fresh
from mailstack.net.dns import Resolver
from mailstack.net.dns_update import Change, quoted
from mailstack.policy.clients import client_settings
from mailstack.records import wanted, zonefile
from mailstack.records.compare import compare_domain, compare_host
from mailstack.records.publisher import Key, Publisher
from mailstack.records.record import Row, State
from mailstack.wire.mta_sts import own_policy, parse_record
from tests.support.dnsserver import DnsServer

HOST, ADDRESS = "mail.a.test", "198.51.100.1"
CONFIG = Config(hostname=HOST, listen=Listen(pop3s=["[::]:995"]))
CLIENTS = client_settings(CONFIG)
KEYS = [Key(f"{kind}._domainkey.a.test", dns_record(load(generate(kind), "a.test", kind))) for kind in ("ed25519", "rsa")]
POLICY = own_policy("testing", HOST, 86400)
ME = Publisher(HOST, (ADDRESS,), CLIENTS, POLICY, ("3 1 1 " + "ab" * 32,), "letsencrypt.org")
Records = dict[str, dict[str, list[str]]]


def right() -> Records:
    """Everything as it should be."""
    found: Records = {"1.100.51.198.in-addr.arpa": {"PTR": [f"{HOST}."]}}
    for record in (*wanted.records("a.test", ME, KEYS), *wanted.host_records(ME)):
        value = quoted(record.value) if record.kind == "TXT" else record.value
        found.setdefault(record.name, {}).setdefault(record.kind, []).append(value)
    found[HOST]["CAA"] = ['0 issue "letsencrypt.org"']
    return found


@pytest.fixture(scope="module")
def dns_server() -> Iterator[DnsServer]:
    with DnsServer({}) as one:
        yield one


async def rows(server: DnsServer, records: Records, me: Publisher = ME, keys: list[Key] = KEYS) -> list[Row]:
    server.records.clear()
    for name, kinds in records.items():
        server.add(name, **kinds)
    resolver = Resolver([f"127.0.0.1:{server.port}"])
    return [*await compare_host(me, resolver, resolver), *await compare_domain("a.test", me, keys, resolver)]


async def one(server: DnsServer, records: Records, what: str, me: Publisher = ME) -> Row:
    (found,) = [row for row in await rows(server, records, me) if row.what == what]
    return found


async def test_all_is_right(dns_server: DnsServer) -> None:
    found = await rows(dns_server, right())
    assert {row.state for row in found} == {State.OK}
    assert all(not row.effect and not row.fix and not row.add for row in found)
    assert {row.what.partition(" ")[0] for row in found} == {
        "A", "PTR", "TLSA", "CAA", "MX", "SPF", "DKIM", "DMARC", "MTA-STS", "TLSRPT", "SRV", "mta-sts",
        "autoconfig", "autodiscover",
    }  # fmt: skip
    assert not zonefile.changes(found, replace=True)
    assert all(line.startswith(";") for line in zonefile.lines(found))
    assert {row.ttl for row in found} == {5}


async def test_nothing_is_there(dns_server: DnsServer) -> None:
    found = await rows(dns_server, {})
    assert all(row.effect and row.fix for row in found)
    assert {row.what for row in found if row.state is State.BAD} == {"A", "MX"}
    assert {row.what for row in found if row.state is State.WARN} == {
        "PTR 198.51.100.1", "SPF", "DKIM", "DMARC", "MTA-STS", "mta-sts"
    }  # fmt: skip
    # What is printed is a zone file, and it has all that is wanted.
    text = "\n".join(zonefile.lines(found))
    zone = dns.zone.from_text(text, origin="a.test", relativize=False, check_origin=False)
    there = {(str(name).rstrip("."), data.rdtype.name) for name, _, data in zone.iterate_rdatas()}
    assert there == {(name, kind) for name, kinds in right().items() for kind in kinds if kind not in ("PTR", "TLSA")}


WRONG: list[tuple[str, Records, State, str]] = [
    ("MX", {"a.test": {"MX": ["1 aspmx.l.google.com.", "5 aspmx2.google.com."]}}, State.BAD, "still goes to Google Workspace"),
    ("MX", {"a.test": {"MX": ["0 mx.b.test.", f"10 {HOST}."]}}, State.BAD, "goes to mx.b.test. first"),
    ("MX", {"a.test": {"MX": [f"10 {HOST}.", "20 mx.b.test."]}}, State.OK, ""),
    ("MX", {"a.test": {"MX": ["0 ."]}}, State.BAD, "does not come here"),
    ("A", {HOST: {"A": ["203.0.113.9"]}}, State.BAD, "led to 203.0.113.9"),
    ("A", {HOST: {"A": [ADDRESS, "203.0.113.9"]}}, State.WARN, "led to 203.0.113.9"),
    ("AAAA", {HOST: {"A": [ADDRESS], "AAAA": ["2001:db8::9"]}}, State.WARN, "in vain"),
    ("PTR 198.51.100.1", {"1.100.51.198.in-addr.arpa": {"PTR": ["x.b.test."]}}, State.WARN, "does not lead back"),
    (
        "PTR 198.51.100.1",
        {"1.100.51.198.in-addr.arpa": {"PTR": ["x.b.test."]}, "x.b.test": {"A": [ADDRESS]}}, State.WARN, "see x.b.test",
    ),
    ("SPF", {"a.test": {"TXT": ['"v=spf1 ip4:203.0.113.9 ~all"']}}, State.WARN, "does not let 198.51.100.1"),
    ("SPF", {"a.test": {"TXT": [f'"v=spf1 ip4:{ADDRESS} -all"']}}, State.OK, ""),
    ("SPF", {"a.test": {"TXT": ['"v=spf1 mx -all"', '"v=spf1 a -all"']}}, State.WARN, "more than one"),
    ("SPF", {"a.test": {"TXT": ['"v=spf1 mx +all"']}}, State.WARN, "everybody"),
    ("SPF", {"a.test": {"TXT": ['"v=spf1 nonsense -all"']}}, State.WARN, "can't be worked out"),
    ("DMARC", {"_dmarc.a.test": {"TXT": ['"v=DMARC1; p=none"']}}, State.OK, ""),
    ("DMARC", {"_dmarc.a.test": {"TXT": ['"v=DMARC1; p=nonsense"']}}, State.WARN, "none of none"),
    ("DMARC", {"_dmarc.a.test": {"TXT": ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"']}}, State.WARN, "more than one"),
    ("MTA-STS", {"_mta-sts.a.test": {"TXT": ['"v=STSv1; id=old"']}}, State.WARN, "do not hear of its change"),
    ("TLSRPT", {"_smtp._tls.a.test": {"TXT": ['"v=TLSRPTv1; rua=https://x.test/"']}}, State.OK, ""),
    ("SRV _imaps", {"_imaps._tcp.a.test": {"SRV": ["0 1 993 imap.b.test."]}}, State.WARN, "led elsewhere"),
    ("SRV _pop3", {"_pop3._tcp.a.test": {"SRV": ["0 1 110 old.b.test."]}}, State.WARN, "led elsewhere"),
    ("SRV _pop3", {"_pop3._tcp.a.test": {"SRV": ["0 0 0 ."]}}, State.OK, ""),
    ("SRV _imaps", {"_imaps._tcp.a.test": {"SRV": [f"5 7 993 {HOST.upper()}."]}}, State.OK, ""),
    ("autoconfig", {"autoconfig.a.test": {"A": [ADDRESS]}}, State.OK, ""),
    ("autoconfig", {"autoconfig.a.test": {"CNAME": ["b.test."]}}, State.WARN, "Thunderbird"),
    ("mta-sts", {"mta-sts.a.test": {"A": ["203.0.113.9"]}}, State.WARN, "policy"),
    ("TLSA", {f"_25._tcp.{HOST}": {"TLSA": ["3 1 1 " + "cd" * 32]}}, State.BAD, "refuse"),
    ("CAA", {HOST: {"CAA": ['0 issue "other.test"']}}, State.BAD, "only other.test"),
    ("CAA", {"a.test": {"CAA": ['0 issue ";"']}, HOST: {"A": [ADDRESS]}}, State.BAD, "only nobody"),
    ("CAA", {"a.test": {"CAA": ['0 issue "other.test"', '0 issue "letsencrypt.org; x=y"']}, HOST: {}}, State.OK, ""),
    ("CAA", {HOST: {"CAA": ['0 iodef "mailto:x@a.test"']}}, State.OK, ""),
]  # fmt: skip


@pytest.mark.parametrize(("what", "records", "state", "words"), WRONG)
async def test_what_is_wrong(dns_server: DnsServer, what: str, records: Records, state: State, words: str) -> None:
    row = await one(dns_server, right() | records, what)
    assert (row.state, words in row.effect) == (state, True), row
    assert bool(row.effect) is bool(words)


async def test_a_key_that_is_another(dns_server: DnsServer) -> None:
    name = KEYS[0].name
    found = await rows(dns_server, right() | {name: {"TXT": [quoted("v=DKIM1; k=ed25519; p=AAAA")]}})
    assert {row.name: row.state for row in found if row.what == "DKIM"} == {name: State.WARN, KEYS[1].name: State.OK}
    spaced = KEYS[1].value.replace("; ", ";").replace("p=", "t=s;p= ")
    found = await rows(dns_server, right() | {KEYS[1].name: {"TXT": [quoted(spaced)]}})
    assert {row.state for row in found if row.what == "DKIM"} == {State.OK}


async def test_keys_that_wait_and_that_are_retired(dns_server: DnsServer) -> None:
    keys = [Key(KEYS[0].name, KEYS[0].value, "retired", 86400.0), Key(KEYS[1].name, KEYS[1].value, "waiting")]
    found = {row.name: row for row in await rows(dns_server, right(), keys=keys) if row.what == "DKIM"}
    assert "may go after 1970-01-02" in found[KEYS[0].name].text
    assert found[KEYS[1].name].state is State.OK
    found = {row.name: row for row in await rows(dns_server, {}, keys=keys) if row.what == "DKIM"}
    assert (found[KEYS[0].name].state, found[KEYS[0].name].add) == (State.INFO, ())
    assert "old ones sign" in found[KEYS[1].name].effect


async def test_an_update_keeps_what_others_want(dns_server: DnsServer) -> None:
    records = {
        "a.test": {"MX": ["1 aspmx.l.google.com."], "TXT": ['"v=spf1 include:_spf.google.com ~all"', '"site=1"']},
        "autoconfig.a.test": {"A": ["203.0.113.9"]},
        "google._domainkey.a.test": {"TXT": ['"v=DKIM1; p=AAAA"']},
        "selector1._domainkey.a.test": {"CNAME": ["s.onmicrosoft.test."]},
    }
    found = await rows(dns_server, right() | records)
    changes = {(one.name, one.kind): one for one in zonefile.changes(found)}
    assert ("a.test", "MX") not in changes
    spf = changes["a.test", "TXT"]
    assert (spf.add, spf.remove) == (("v=spf1 mx include:_spf.google.com ~all",), ("v=spf1 include:_spf.google.com ~all",))
    assert changes["autoconfig.a.test", "A"] == Change("autoconfig.a.test", "A", (), None)
    replaced = {(one.name, one.kind): one for one in zonefile.changes(found, replace=True)}
    assert replaced["a.test", "MX"].remove == ("1 aspmx.l.google.com.",)
    told = [row.text for row in found if row.what.startswith("also")]
    assert len(told) == 2
    assert all("Google Workspace" in text for text in told)
    assert not any(change.name.startswith("google.") for change in replaced.values())


async def test_a_relay_is_in_the_record(dns_server: DnsServer) -> None:
    me = Publisher(HOST, (ADDRESS,), CLIENTS, sends_by=("include:amazonses.com",))
    row = await one(dns_server, right() | {"amazonses.com": {"TXT": ['"v=spf1 ip4:203.0.113.0/24 -all"']}}, "SPF", me)
    assert (row.state, row.add) == (State.WARN, ("v=spf1 mx include:amazonses.com -all",))


async def test_without_known_addresses_any_will_do(dns_server: DnsServer) -> None:
    me = Publisher(HOST)
    found = await rows(dns_server, right(), me)
    assert {row.what: row.state for row in found if row.name == HOST} == {"A": State.OK, "CAA": State.OK}
    assert [row.what for row in found if row.what.startswith("PTR")] == [f"PTR {ADDRESS}"]
    assert [(row.what, row.state) for row in found if row.kind in ("SRV", "CNAME")] == []
    (left,) = [row for row in found if row.what == "MTA-STS"]
    assert "mta_sts.mode" in left.fix
    nothing = await rows(dns_server, {}, me)
    assert [(row.what, row.state) for row in nothing if row.name == HOST] == [("A", State.BAD), ("CAA", State.INFO)]


async def test_who_does_not_answer_is_told(dns_server: DnsServer) -> None:
    dns_server.broken.add("_dmarc.a.test")
    try:
        row = await one(dns_server, right(), "DMARC")
    finally:
        dns_server.broken.clear()
    assert (row.state, "no answer" in row.text) == (State.WARN, True)


async def test_a_resolver_that_is_silent_costs_one_wait() -> None:
    """All questions together, each row names what is not known, and nothing is taken for missing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        resolver = Resolver([f"127.0.0.1:{nobody.getsockname()[1]}"])
        for asked in (resolver, Fresh(resolver)):
            found = [
                *await compare_host(ME, asked, resolver, seconds=0.1),
                *await compare_domain("a.test", ME, KEYS, asked, seconds=0.1),
            ]
            assert {row.state for row in found} == {State.WARN}
            assert all("no answer from the" in row.text and row.effect and row.fix for row in found)
            assert [row.what for row in found][:5] == ["A", "PTR", "TLSA", "CAA", "MX"]
            assert not zonefile.changes(found)


def test_reports_of_tls_come_by_mail_and_where_the_door_is_open_by_https() -> None:
    web = "v=TLSRPTv1; rua=mailto:postmaster@a.test,https://mail.a.test/tlsrpt"
    assert wanted.tls_reports("a.test", ME) == web
    mail = "v=TLSRPTv1; rua=mailto:postmaster@a.test"
    assert {wanted.tls_reports("a.test", one) for one in (Publisher(HOST), replace(ME, takes_reports=False))} == {mail}


async def test_one_way_for_reports_of_tls_is_enough(dns_server: DnsServer) -> None:
    for text in ("v=TLSRPTv1; rua=mailto:a@a.test", "v=TLSRPTv1; rua=https://reports.b.test/"):
        records = right() | {"_smtp._tls.a.test": {"TXT": [quoted(text)]}}
        assert (await one(dns_server, records, "TLSRPT")).state is State.OK


def test_policies_have_ids_of_their_own() -> None:
    names = {}
    for mode, age in (("testing", 1), ("enforce", 1), ("enforce", 2)):
        found = wanted.records("a.test", Publisher(HOST, policy=own_policy(mode, HOST, age)), [])
        names |= {parse_record([record.value]): record for record in found if record.name == "_mta-sts.a.test"}
    assert None not in names
    assert len(names) == 3
