"""Whose the other records are: names that large services use."""

SERVICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Google Workspace", ("google.com", "googlemail.com", "_spf.google.com")),
    ("Microsoft 365", ("mail.protection.outlook.com", "mx.microsoft", "spf.protection.outlook.com", "onmicrosoft.com")),
    ("Zoho", ("zoho.com", "zoho.eu", "zohomail.com", "zohomail.eu", "zohocloud.ca")),
    ("Proton", ("protonmail.ch", "proton.ch")),
    ("Fastmail", ("messagingengine.com",)),
    ("iCloud", ("mail.icloud.com", "icloud.com")),
    ("Migadu", ("migadu.com",)),
    ("mailbox.org", ("mailbox.org",)),
    ("Yandex", ("yandex.net", "yandex.ru")),
    ("MXroute", ("mxrouting.net", "mxroute.com", "mxlogin.com")),
    ("Amazon SES", ("amazonses.com", "amazonaws.com")),
    ("Mailgun", ("mailgun.org",)),
    ("SendGrid", ("sendgrid.net",)),
    ("Postmark", ("spf.mtasv.net", "mtasv.net", "postmarkapp.com")),
    ("Brevo", ("spf.brevo.com", "spf.sendinblue.com", "sendinblue.com")),
    ("SMTP2GO", ("spf.smtp2go.com", "smtp2go.com")),
    ("Mailjet", ("spf.mailjet.com", "mailjet.com")),
    ("Mailchimp", ("servers.mcsv.net", "mcsv.net", "spf.mandrillapp.com", "mandrillapp.com")),
    ("HubSpot", ("hubspotemail.net", "hubspot.com")),
    ("Salesforce", ("_spf.salesforce.com", "salesforce.com", "exacttarget.com")),
    ("Zendesk", ("mail.zendesk.com", "zendesk.com")),
    ("Cloudflare", ("mx.cloudflare.net", "cloudflare.net")),
    ("OVH", ("ovh.net", "ovh.ca")),
    ("IONOS", ("kundenserver.de", "ionos.com", "1and1.com", "ui-dns.com")),
    ("Gandi", ("gandi.net",)),
    ("GoDaddy", ("secureserver.net",)),
    ("Hostinger", ("hostinger.com",)),
    ("Infomaniak", ("infomaniak.ch",)),
    ("Mimecast", ("mimecast.com",)),
    ("Proofpoint", ("pphosted.com", "ppe-hosted.com")),
    ("ImprovMX", ("improvmx.com",)),
)
# Selectors by which the large ones sign; RFC 6376 gives no way to list those of a domain.
SELECTORS: tuple[tuple[str, str], ...] = (
    ("google", "Google Workspace"),
    ("selector1", "Microsoft 365"),
    ("selector2", "Microsoft 365"),
    ("k1", "Mailchimp"),
    ("k2", "Mailchimp"),
    ("s1", "SendGrid"),
    ("s2", "SendGrid"),
    ("pm", "Postmark"),
    ("mailjet", "Mailjet"),
    ("zmail", "Zoho"),
    ("protonmail", "Proton"),
    ("fm1", "Fastmail"),
    ("sig1", "iCloud"),
    ("mail", "another mail server"),
    ("default", "another mail server"),
    ("dkim", "another mail server"),
)


def whose(name: str) -> str | None:
    """The service that a host name, or the domain in an SPF term, belongs to."""
    low = name.lower().rstrip(".")
    for service, suffixes in SERVICES:
        if any(low == suffix or low.endswith("." + suffix) for suffix in suffixes):
            return service
    return None
