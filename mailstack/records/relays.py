"""Services that send mail on for others, where port 25 is closed: what each needs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relay:
    """`include`: what the SPF record of a domain needs; empty where the service has its own sender domain or says it itself."""

    name: str
    title: str
    host: str  # with {region} where it has one
    port: int
    include: str
    note: str


RELAYS = (
    Relay(
        "ses", "Amazon SES", "email-smtp.{region}.amazonaws.com", 587, "include:amazonses.com",
        "verify the domain, ask to leave the sandbox; the user is an SMTP credential, no access key; --region eu-central-1",
    ),
    Relay(
        "mailgun", "Mailgun", "smtp.mailgun.org", 587, "include:mailgun.org",
        "for domains in the EU: --host smtp.eu.mailgun.org",
    ),
    Relay(
        "postmark", "Postmark", "smtp.postmarkapp.com", 587, "include:spf.mtasv.net",
        "user and password are both the server's API token; bulk mail needs a stream of its own",
    ),
    Relay(
        "brevo", "Brevo", "smtp-relay.brevo.com", 587, "include:spf.brevo.com",
        "the password is an SMTP key, not that of the login",
    ),
    Relay(
        "smtp2go", "SMTP2GO", "mail.smtp2go.com", 587, "include:spf.smtp2go.com",
        "also on port 2525, where 587 is closed: --port 2525",
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
