"""Settings for Thunderbird and many others: config-v1.1.xml (draft-ietf-mailmaint-autoconfig)."""

from xml.etree import ElementTree

from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

_SOCKETS = {Security.TLS: "SSL", Security.STARTTLS: "STARTTLS", Security.NONE: "plain"}
USER = "%EMAILADDRESS%"  # the program puts in what was typed


def write(settings: ClientSettings, domain: str) -> bytes:
    """For mail of a domain (A-labels)."""
    root = ElementTree.Element("clientConfig", version="1.1")
    provider = ElementTree.SubElement(root, "emailProvider", id=domain)
    for name, text in (("domain", domain), ("displayName", f"{domain} Mail"), ("displayShortName", domain)):
        ElementTree.SubElement(provider, name).text = text
    for one in settings.of(Kind.IMAP, Kind.POP3):
        _server(provider, "incomingServer", one)
    for one in settings.of(Kind.SMTP):
        _server(provider, "outgoingServer", one)
    if settings.web is not None:
        page = ElementTree.SubElement(provider, "documentation", url=f"{settings.web}/setup")
        ElementTree.SubElement(page, "descr", lang="en").text = "Settings for mail programs"
    ElementTree.indent(root)
    octets: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return octets + b"\n"


def _server(provider: ElementTree.Element, name: str, one: Service) -> None:
    server = ElementTree.SubElement(provider, name, type=one.kind.value.lower())
    values = {
        "hostname": one.host,
        "port": str(one.port),
        "socketType": _SOCKETS[one.security],
        "authentication": "password-cleartext",  # inside TLS
        "username": USER,
    }
    for key, text in values.items():
        ElementTree.SubElement(server, key).text = text
