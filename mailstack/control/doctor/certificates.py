"""The certificate: what its file says, and what is really served."""

import asyncio
import datetime
from pathlib import Path

from cryptography import x509

from mailstack.config import Config
from mailstack.control.doctor.finding import Finding, Patient
from mailstack.net.tls import TlsProblem, try_pair
from mailstack.net.trial_ca import TrialFiles

DAYS_WANTED = 14
WHAT = "certificate"
ENDS = "mail programs refuse to connect, and hosts that want proof (MTA-STS, DANE) keep their mail"
RENEW = {
    "acme": "why it is not renewed: mailstack tls status; now: mailstack tls renew",
    "files": "renew it where it comes from (certbot renew); the server takes the new file by itself",
    "self-signed": "restart the server: it makes a new one",
}


async def certificates(patient: Patient) -> list[Finding]:
    found = await asyncio.to_thread(_file, patient.config, patient.now)
    served = await patient.ask("tls.served", kept=True) if patient.running else None
    wrong = [row for row in served or () if row["state"] != "right"]
    found += [
        Finding(
            f"served {row['listener']}", "bad", f"{row['name'] or 'without a name'}: {row['problem']}", ENDS,
            "mailstack tls served; a restart takes what is in the files: systemctl restart mailstack",
        )
        for row in wrong
    ]  # fmt: skip
    if served and not wrong:
        found.append(Finding("served certificates", "ok", f"{len(served)} handshakes with ourselves were right"))
    return found


def _file(config: Config, now: float) -> list[Finding]:
    if config.tls.mode == "off":
        return [Finding(WHAT, "warn", "TLS is off", "passwords and mails go over the wire as they are", 'tls.mode = "acme"')]
    path, key = pair(config)
    found = []
    if config.tls.mode == "self-signed":
        text = "its own authority signed it: clients will ask"
        found.append(Finding(WHAT, "warn", text, "mail programs warn, and some refuse", 'tls.mode = "acme"'))
    if config.tls.mode == "acme" and not path.exists():
        return [Finding(WHAT, "bad", "there is none yet", ENDS, "why: mailstack tls status")]
    if config.tls.mode != "files" and not path.exists():
        return found
    try:
        try_pair(path, key)
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (TlsProblem, OSError, ValueError) as problem:
        return [*found, Finding(WHAT, "bad", str(problem), "TLS can't begin with it", RENEW[config.tls.mode])]
    return [*found, *judge(config, path, certificate, now)]


def judge(config: Config, path: Path, certificate: x509.Certificate, now: float) -> list[Finding]:
    left = certificate.not_valid_after_utc - datetime.datetime.fromtimestamp(now, datetime.UTC)
    text = f"{path} is good for {left.days} days" if left.days >= 0 else f"{path} is over"
    if left.days > DAYS_WANTED:
        found = [Finding(WHAT, "ok", text)]
    else:
        found = [Finding(WHAT, "bad", text, ENDS, RENEW[config.tls.mode])]
    if not _covers(certificate, config.hostname):
        fix = "get one for this name, or set hostname to one that it has"
        found.append(Finding(WHAT, "warn", f"{path} does not name {config.hostname}", "mail programs refuse it", fix))
    return found


def pair(config: Config) -> tuple[Path, Path]:
    """Where the host's certificate and its key are."""
    if config.tls.mode == "files":
        if config.tls.certificate.endswith(".json"):
            copy = config.data / "tls" / "traefik-0.pem"
            return copy, copy
        return Path(config.tls.certificate), Path(config.tls.key)
    if config.tls.mode == "acme":
        path = config.data / "tls" / "acme" / f"{config.hostname.lower()}.pem"
        return path, path
    trial = TrialFiles(config.data / "tls")
    return trial.certificate, trial.key


def _covers(certificate: x509.Certificate, hostname: str) -> bool:
    wanted = hostname.lower()
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    found = names.get_values_for_type(x509.DNSName)
    return any(name.lower() in (wanted, f"*.{wanted.partition('.')[2]}") for name in found)
