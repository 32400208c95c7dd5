"""Settings that are allowed, and hardly meant."""

from mailstack.config import Config
from mailstack.control.doctor.finding import Finding, Patient
from mailstack.message.address import is_ip


async def settings(patient: Patient) -> list[Finding]:
    found = judge(patient.config)
    server = Finding("server", "ok", "runs")
    if not patient.running:
        server = Finding("server", "warn", "does not run", "no mail comes, and none leaves", "mailstack serve")
    return [found or Finding("configuration", "ok", "every setting is known and makes sense"), server]


def judge(config: Config) -> Finding | None:
    """None where nothing is to be said."""
    if "." not in config.hostname or is_ip(config.hostname):
        effect = "other hosts refuse a HELO that is no full name, and can't find this server"
        return Finding(
            "configuration", "info", f"hostname is {config.hostname}: a trial", effect, "mailstack go-public example.org"
        )
    if not config.postmaster:
        effect = "nobody reads what other hosts complain about"
        return Finding(
            "configuration", "warn", "postmaster is not set", effect, 'set postmaster = "you@example.org" in the configuration'
        )
    if not config.listen.smtp:
        return Finding("configuration", "warn", "listen.smtp is off", "no mail from other hosts comes", "set listen.smtp")
    if not (config.listen.submission or config.listen.submissions):
        return Finding("configuration", "warn", "no listener for submission", "users can't send", "set listen.submissions")
    return None
