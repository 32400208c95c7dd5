"""Settings for mail programs, read back as the programs read them."""

import json
import plistlib
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.errors import SyntaxProblem
from mailstack.wire import apple_profile, autoconfig, autodiscover, thunderbird_mobile
from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

HOST = "mail.a.test"
SETTINGS = ClientSettings(
    HOST,
    (
        Service(Kind.IMAP, HOST, 993, Security.TLS),
        Service(Kind.IMAP, HOST, 143, Security.STARTTLS),
        Service(Kind.SMTP, HOST, 465, Security.TLS),
        Service(Kind.SMTP, HOST, 587, Security.STARTTLS),
        Service(Kind.SIEVE, HOST, 4190, Security.STARTTLS),
    ),
    ("PLAIN",),
    f"https://{HOST}",
)
STARTTLS_ONLY = ClientSettings(HOST, (SETTINGS.services[1], SETTINGS.services[3]), ("PLAIN",))
RESPONSE = "{" + autodiscover.OUTLOOK + "}"


def test_autoconfig_is_what_thunderbird_reads() -> None:
    """Its rules: emailProvider with an id, then servers, each with all of what it needs, none of it unknown to it."""
    root = ElementTree.fromstring(autoconfig.write(SETTINGS, "xn--bcher-kva.test"))
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    (provider,) = root
    assert provider.get("id") == provider.findtext("domain") == "xn--bcher-kva.test"
    assert [one.tag for one in provider] == [
        "domain", "displayName", "displayShortName", "incomingServer", "incomingServer", "outgoingServer", "outgoingServer",
        "documentation",
    ]  # fmt: skip
    servers = [(one.get("type"), {value.tag: value.text for value in one}) for one in provider if one.tag.endswith("Server")]
    assert [(kind, one["port"], one["socketType"]) for kind, one in servers] == [
        ("imap", "993", "SSL"), ("imap", "143", "STARTTLS"), ("smtp", "465", "SSL"), ("smtp", "587", "STARTTLS"),
    ]  # fmt: skip
    for _, one in servers:
        assert one["username"] == "%EMAILADDRESS%"
        assert one["authentication"] == "password-cleartext"
        assert one["hostname"] == HOST


def request(address: str = "alice@a.test", schema: str = autodiscover.OUTLOOK) -> bytes:
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>'
        f"<EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>{schema}</AcceptableResponseSchema>"
        "</Request></Autodiscover>"
    ).encode()


def test_autodiscover_reads_what_outlook_sends() -> None:
    assert autodiscover.read(request()) == autodiscover.Asked("alice@a.test", autodiscover.OUTLOOK)
    assert autodiscover.read(b"\xef\xbb\xbf" + request(" a@b.test \n")).address == "a@b.test"
    assert autodiscover.read("<R><EMailAddress>a@b</EMailAddress></R>".encode("utf-16")).address == "a@b"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not XML",
        b"<a><b></a>",
        b'<!DOCTYPE a [<!ENTITY x "y">]><a><EMailAddress>&x;</EMailAddress></a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b"<a><EMailAddress>&undeclared;</EMailAddress></a>",
        b"<a>" * 11 + b"</a>" * 11,
        b"<a>" + b"<b/>" * 101 + b"</a>",
        b"<a>" + b"x" * 3000 + b"</a>",
        b"<a>" + b" " * autodiscover.LIMIT + b"</a>",
        b'<?xml version="1.0" encoding="no-such"?><a/>',
    ],
    ids=["empty", "text", "unclosed", "entity", "outside", "undeclared", "deep", "many", "text-limit", "long", "encoding"],
)
def test_autodiscover_refuses_hostile_and_broken_requests(body: bytes) -> None:
    with pytest.raises(SyntaxProblem):
        autodiscover.read(body)


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: request(text)))
def test_autodiscover_is_a_value_or_a_syntax_problem(body: bytes) -> None:
    try:
        assert isinstance(autodiscover.read(body), autodiscover.Asked)
    except SyntaxProblem:
        pass


def test_autodiscover_answers_in_the_order_of_preference() -> None:
    root = ElementTree.fromstring(autodiscover.write(SETTINGS, "alice&bob@a.test"))
    assert root.tag == "{" + autodiscover.ENVELOPE + "}Autodiscover"
    account = root.find(f"{RESPONSE}Response/{RESPONSE}Account")
    assert account is not None
    assert [account.findtext(f"{RESPONSE}{name}") for name in ("AccountType", "Action")] == ["email", "settings"]
    found = [{one.tag.removeprefix(RESPONSE): one.text for one in each} for each in account.iter(f"{RESPONSE}Protocol")]
    assert [(one["Type"], one["Port"], one["SSL"], one["Encryption"]) for one in found] == [
        ("IMAP", "993", "on", "SSL"), ("IMAP", "143", "off", "TLS"),
        ("SMTP", "465", "on", "SSL"), ("SMTP", "587", "off", "TLS"),
    ]  # fmt: skip
    assert {one["LoginName"] for one in found} == {"alice&bob@a.test"}
    assert {(one["SPA"], one["AuthRequired"]) for one in found} == {("off", "on")}
    refusal = ElementTree.fromstring(autodiscover.refuse(autodiscover.NO_PROVIDER, "no", 0.0))
    assert refusal.findtext(".//{" + autodiscover.ENVELOPE + "}ErrorCode") == "601"


@pytest.mark.parametrize(
    ("email", "protocol", "status", "word"),
    [
        ("a@a.test", "AutodiscoverV1", 200, "https://mail.a.test/autodiscover/autodiscover.xml"),
        ("a@a.test", "autodiscoverv1", 200, "https://mail.a.test/autodiscover/autodiscover.xml"),
        ("a@a.test", "ActiveSync", 404, "ProtocolNotSupported"),
        ("a@a.test", "EWS", 404, "ProtocolNotSupported"),
        ("a@a.test", "", 400, "MandatoryParameterMissing"),
        ("", "AutodiscoverV1", 400, "MandatoryParameterMissing"),
    ],
)
def test_autodiscover_in_json_leads_to_the_xml_and_nowhere_else(email: str, protocol: str, status: int, word: str) -> None:
    found, answer = autodiscover.lead(SETTINGS, email, protocol)
    assert found == status
    assert word in answer.values()


def test_a_profile_has_both_ways_and_the_password_of_its_device_alone() -> None:
    profile = plistlib.loads(apple_profile.write(SETTINGS, "alice@a.test", "phone", "secret"))
    (account,) = profile["PayloadContent"]
    assert profile["PayloadType"] == "Configuration"
    assert account["PayloadType"] == "com.apple.mail.managed"
    assert account["EmailAccountType"] == "EmailTypeIMAP"
    assert account["IncomingPassword"] == account["OutgoingPassword"] == "secret"
    sides = [tuple(account[f"{side}MailServer{name}"] for name in ("HostName", "PortNumber", "UseSSL", "Username"))
             for side in ("Incoming", "Outgoing")]  # fmt: skip
    assert sides == [(HOST, 993, True, "alice@a.test"), (HOST, 465, True, "alice@a.test")]
    again = plistlib.loads(apple_profile.write(SETTINGS, "alice@a.test", "phone", "other"))
    tablet = plistlib.loads(apple_profile.write(SETTINGS, "alice@a.test", "tablet"))
    assert again["PayloadUUID"] == profile["PayloadUUID"] != tablet["PayloadUUID"]
    assert "IncomingPassword" not in tablet["PayloadContent"][0]
    starttls = plistlib.loads(apple_profile.write(STARTTLS_ONLY, "alice@a.test", "phone"))["PayloadContent"][0]
    assert (starttls["IncomingMailServerPortNumber"], starttls["IncomingMailServerUseSSL"]) == (143, True)
    with pytest.raises(ValueError, match="no door"):
        apple_profile.write(ClientSettings(HOST, SETTINGS.services[:1], ()), "alice@a.test", "phone")


def test_the_code_for_thunderbird_on_android() -> None:
    text = thunderbird_mobile.write(SETTINGS, "alice@a.test", "Alice", "secret")
    assert text is not None
    user = "alice@a.test"
    assert json.loads(text) == [
        1, [1, 1], [0, HOST, 993, 3, 1, user, "", "secret"], [[[0, HOST, 465, 3, 1, user, "secret"], [user, "Alice"]]],
    ]  # fmt: skip
    starttls = thunderbird_mobile.write(STARTTLS_ONLY, "alice@a.test", "Alice", "secret")
    assert starttls is not None
    assert json.loads(starttls)[2][2:4] == [143, 2]
    assert thunderbird_mobile.write(SETTINGS, "älice@a.test", "Alice", "secret") is None


def test_srv_records_deny_what_does_not_listen() -> None:
    assert {one.label: one.value for one in SETTINGS.srv()} == {
        "_imaps._tcp": "0 1 993 mail.a.test.",
        "_imap._tcp": "10 1 143 mail.a.test.",
        "_pop3s._tcp": "0 0 0 .",
        "_pop3._tcp": "0 0 0 .",
        "_submissions._tcp": "0 1 465 mail.a.test.",
        "_submission._tcp": "10 1 587 mail.a.test.",
        "_sieve._tcp": "10 1 4190 mail.a.test.",
    }
