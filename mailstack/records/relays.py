"""Services that send mail on for others, where port 25 is closed: what each needs, by its own pages (November 2026)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relay:
    """`include`: what the SPF record of a domain needs; empty where the service has its own domain in the envelope."""

    name: str
    title: str
    host: str  # with {region} where it has one
    port: int
    include: str
    note: str


RELAYS = (
    # docs.aws.amazon.com/ses/latest/dg: smtp-connect.html (25, 587, 2587 with STARTTLS; 465, 2465 TLS), smtp-credentials.html,
    # send-email-authentication-spf.html (its own sender domain is in the envelope, so SPF passes without a record of ours).
    Relay(
        "ses", "Amazon SES", "email-smtp.{region}.amazonaws.com", 587, "",
        "the user is an SMTP credential of the region, no access key; verify the domain, and ask to leave the sandbox, which "
        "sends to verified addresses alone; --region eu-central-1; where 587 is closed: --port 2587",
    ),
    # documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/send-smtp (25, 587, 2525 with STARTTLS; 465 TLS; users
    # belong to a domain); the envelope's sender is in the domain that is verified there, whose SPF record counts.
    Relay(
        "mailgun", "Mailgun", "smtp.mailgun.org", 587, "include:mailgun.org",
        "the user belongs to the domain that is verified there, like postmaster@example.org; the password is no API key; "
        "for domains in the EU: --host smtp.eu.mailgun.org; where 587 is closed: --port 2525",
    ),
    # postmarkapp.com/developer/user-guide/send-email-with-smtp and /support/article/811 (25, 587, 2525 with STARTTLS, no port
    # with TLS from the start); the envelope's sender is in pm.mtasv.net, or in a name of the domain that leads there.
    Relay(
        "postmark", "Postmark", "smtp.postmarkapp.com", 587, "",
        "user and password are both the server's API token; mail to many: --host smtp-broadcasts.postmarkapp.com; "
        "where 587 is closed: --port 2525",
    ),
    # developers.brevo.com/docs/smtp-integration (587, 2525; 465 TLS; an SMTP key); the envelope's sender is Brevo's own.
    Relay(
        "brevo", "Brevo", "smtp-relay.brevo.com", 587, "",
        "the user is the login that its page SMTP & API shows, the password an SMTP key, no API key; authenticate the domain "
        "there, or From is replaced; where 587 is closed: --port 2525",
    ),
    # developers.smtp2go.com/docs/smtp-relay (25, 80, 587, 2525, 8025 with STARTTLS; 443, 465, 8465 TLS);
    # support.smtp2go.com, SPF, DKIM and DMARC: three CNAME records at the domain instead of a change of its SPF record.
    Relay(
        "smtp2go", "SMTP2GO", "mail.smtp2go.com", 587, "",
        "the user is one of Sending > SMTP Users; verify the domain there, by CNAME records; where 587 is closed: --port 2525",
    ),
    Relay(
        "isp", "your provider's mail server", "", 587, "",
        "--host as your provider names it; ask it which SPF term it wants",
    ),
)  # fmt: skip


def by_name(name: str) -> Relay | None:
    return next((one for one in RELAYS if one.name == name.lower()), None)


def of_host(host: str) -> Relay | None:
    """The service that a smarthost belongs to."""
    low = host.lower()
    for one in RELAYS:
        fixed = one.host.rpartition("}.")[2] if "{" in one.host else one.host
        domain = ".".join(fixed.split(".")[-2:])
        if domain and (low == domain or low.endswith("." + domain)):
            return one
    return None
