"""Settings for Apple's Mail: a configuration profile with one com.apple.mail.managed payload."""

import plistlib
import uuid

from mailstack.wire.client_settings import ClientSettings, Kind, Security, Service

MEDIA_TYPE = "application/x-apple-aspen-config"
_SPACE = uuid.NAMESPACE_URL
_TYPES = {Kind.IMAP: "EmailTypeIMAP", Kind.POP3: "EmailTypePOP"}


def write(settings: ClientSettings, address: str, label: str, password: str | None = None) -> bytes:
    """For one device: the same address and label replace what was installed. Without a password the device asks for it.

    Raises ValueError where mail can't be both read and sent.
    """
    incoming = settings.best(Kind.IMAP) or settings.best(Kind.POP3)
    outgoing = settings.best(Kind.SMTP)
    if incoming is None or outgoing is None:
        raise ValueError("no door to read mail, or none to send it")
    domain = address.rpartition("@")[2]
    name = ".".join(reversed(settings.host.split("."))) + ".mail." + _id(settings.host, address, label)
    account = {
        **_head("com.apple.mail.managed", f"{name}.account", address, _id(name, "account")),
        "EmailAccountDescription": address,
        "EmailAccountName": address.rpartition("@")[0],
        "EmailAccountType": _TYPES[incoming.kind],
        "EmailAddress": address,
        **_server("Incoming", incoming, address),
        **_server("Outgoing", outgoing, address),
        "OutgoingPasswordSameAsIncomingPassword": True,
        "PreventAppSheet": False,
        "PreventMove": False,
        "SMIMEEnabled": False,
        "disableMailRecentsSyncing": False,
    }
    if password is not None:
        account["IncomingPassword"] = account["OutgoingPassword"] = password
    return plistlib.dumps(
        {
            **_head("Configuration", name, f"Mail for {address}", _id(name)),
            "PayloadContent": [account],
            "PayloadDescription": f"Sets up mail of {address} on this device ({label})." if label else f"Mail of {address}.",
            "PayloadOrganization": domain,
            "PayloadRemovalDisallowed": False,
        }
    )


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_SPACE, "\0".join(parts))).upper()


def _head(kind: str, identifier: str, name: str, number: str) -> dict[str, object]:
    return {
        "PayloadType": kind,
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": number,
        "PayloadDisplayName": name,
    }


def _server(side: str, one: Service, address: str) -> dict[str, object]:
    return {
        f"{side}MailServerAuthentication": "EmailAuthPassword",
        f"{side}MailServerHostName": one.host,
        f"{side}MailServerPortNumber": one.port,
        # With an ordinary port it is STARTTLS.
        f"{side}MailServerUseSSL": one.security is not Security.NONE,
        f"{side}MailServerUsername": address,
    }
