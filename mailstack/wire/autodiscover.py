"""Settings for Outlook: Autodiscover's plain old XML ([MS-OXDSCLI] 2.2) and the JSON that leads there."""

import datetime
import xml.parsers.expat
from dataclasses import dataclass, field
from xml.etree import ElementTree

from mailstack.message.errors import SyntaxProblem
from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

ENVELOPE = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
LIMIT = 65536  # octets of a request
DEPTH = 10
ELEMENTS = 100
TEXT_LIMIT = 2000
INVALID, NO_PROVIDER = 600, 601  # [MS-OXDSCLI] 2.2.4.1.1.2.2.1: error codes
PROTOCOL = "AutodiscoverV1"  # all that the JSON leads to: there is no ActiveSync here
_ENCRYPTION = {Security.TLS: "SSL", Security.STARTTLS: "TLS", Security.NONE: "None"}


@dataclass(frozen=True, slots=True)
class Asked:
    """`address` as it was sent; `schema`: in which form the answer is wanted."""

    address: str
    schema: str


@dataclass(slots=True)
class _Reader:
    """Any declaration of a document type is refused, and with it every entity."""

    depth: int = 0
    elements: int = 0
    length: int = 0
    text: list[str] = field(default_factory=list)
    found: dict[str, str] = field(default_factory=dict)

    def start(self, name: str, _: object) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > DEPTH or self.elements > ELEMENTS:
            raise SyntaxProblem("the request is too deep or too long")
        self.text.clear()

    def data(self, text: str) -> None:
        self.length += len(text)
        if self.length > TEXT_LIMIT:
            raise SyntaxProblem("the request is too long")
        self.text.append(text)

    def end(self, name: str) -> None:
        self.depth -= 1
        self.found.setdefault(name.rpartition(" ")[2].lower(), "".join(self.text).strip())
        self.text.clear()

    def refuse(self, *_: object) -> None:
        raise SyntaxProblem("the request declares a document type")


def read(body: bytes) -> Asked:
    """What a program asks. Raises SyntaxProblem."""
    if len(body) > LIMIT:
        raise SyntaxProblem("the request is too long")
    reader = _Reader()
    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.CharacterDataHandler = reader.data
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(body, True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as problem:
        raise SyntaxProblem("the request is not XML") from problem
    return Asked(reader.found.get("emailaddress", ""), reader.found.get("acceptableresponseschema", ""))


def write(settings: ClientSettings, address: str) -> bytes:
    """The best of each kind comes first; Outlook takes what it can."""
    root, response = _root(OUTLOOK)
    user = ElementTree.SubElement(response, "User")
    ElementTree.SubElement(user, "DisplayName").text = address
    ElementTree.SubElement(user, "AutoDiscoverSMTPAddress").text = address
    account = ElementTree.SubElement(response, "Account")
    ElementTree.SubElement(account, "AccountType").text = "email"
    ElementTree.SubElement(account, "Action").text = "settings"
    for one in settings.of(Kind.IMAP, Kind.POP3, Kind.SMTP):
        _protocol(account, one, address)
    return _octets(root)


def _protocol(account: ElementTree.Element, one: Service, address: str) -> None:
    values = {
        "Type": one.kind.value,
        "Server": one.host,
        "Port": str(one.port),
        "DomainRequired": "off",
        "LoginName": address,
        "SPA": "off",
        # Encryption says more, and Outlook takes it before SSL; older ones know SSL alone.
        "SSL": "on" if one.security is Security.TLS else "off",
        "Encryption": _ENCRYPTION[one.security],
        "AuthRequired": "on",
    }
    if one.kind is Kind.SMTP:
        values |= {"UsePOPAuth": "off", "SMTPLast": "off"}
    protocol = ElementTree.SubElement(account, "Protocol")
    for name, text in values.items():
        ElementTree.SubElement(protocol, name).text = text


def refuse(code: int, message: str, now: float) -> bytes:
    """An answer that says no; its form is the envelope's own."""
    root, response = _root(ENVELOPE)
    time = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%H:%M:%S.%f")
    problem = ElementTree.SubElement(response, "Error", Time=time, Id="0")
    for name, text in (("ErrorCode", str(code)), ("Message", message), ("DebugData", "")):
        ElementTree.SubElement(problem, name).text = text
    return _octets(root)


def _root(schema: str) -> tuple[ElementTree.Element, ElementTree.Element]:
    root = ElementTree.Element("Autodiscover", xmlns=ENVELOPE)
    return root, ElementTree.SubElement(root, "Response", xmlns=schema)


def _octets(root: ElementTree.Element) -> bytes:
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def lead(settings: ClientSettings, address: str, protocol: str) -> tuple[int, dict[str, str]]:
    """Autodiscover v2: HTTP's status and the JSON object of its answer."""
    for name, value in (("Email", address), ("Protocol", protocol)):
        if not value:
            return 400, _no("MandatoryParameterMissing", f"A valid value must be provided for the query parameter '{name}'")
    if protocol.lower() != PROTOCOL.lower() or settings.web is None or not settings.web.startswith("https:"):
        return 404, _no("ProtocolNotSupported", f"Supported here is {PROTOCOL}, over HTTPS; there is no Exchange server.")
    return 200, {"Protocol": PROTOCOL, "Url": f"{settings.web}/autodiscover/autodiscover.xml"}


def _no(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}
