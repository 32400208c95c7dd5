"""What the settings say of this server's own certificates, with the files that they name."""

from dataclasses import dataclass
from pathlib import Path

from mailstack.app.surroundings import StartProblem
from mailstack.certificates.controls import available
from mailstack.certificates.settings import AcmeSettings, Control
from mailstack.certificates.sources import read_traefik
from mailstack.config import Config, duration
from mailstack.net.acme_values import Binding
from mailstack.net.dns_update import TsigKey, UpdateProblem, Updater, parse_key
from mailstack.net.tls import TlsProblem, client_context, try_pair


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`pair`: certificate and key, where the admin gives them; an acme.json stands for both."""

    mode: str
    pair: tuple[Path, Path] | None
    acme: AcmeSettings | None
    hsts: int | None  # seconds

    @classmethod
    def of(cls, config: Config) -> "TlsSettings":
        """Raises StartProblem with key and reason."""
        pair = given_pair(config)
        if pair is not None:
            try:
                if pair[0].suffix == ".json":
                    read_traefik(pair[0], config.hostname, frozenset())
                else:
                    try_pair(*pair)
            except TlsProblem as problem:
                raise StartProblem(f"tls.{'key' if problem.is_key else 'certificate'}: {problem}") from problem
        hsts = int(duration(config.tls.hsts)) if config.tls.hsts else None
        return cls(config.tls.mode, pair, _acme(config) if config.tls.mode == "acme" else None, hsts)


def given_pair(config: Config) -> tuple[Path, Path] | None:
    """Where certificate and key are, if the admin has them."""
    if config.tls.mode != "files":
        return None
    certificate = Path(config.tls.certificate)
    return certificate, certificate if certificate.suffix == ".json" else Path(config.tls.key)


def _acme(config: Config) -> AcmeSettings:
    acme = config.acme
    context = client_context(verify=True)
    if acme.ca_file:
        try:
            context.load_verify_locations(cadata=_text("acme.ca_file", acme.ca_file))
        except (ValueError, OSError) as problem:
            raise StartProblem(f"acme.ca_file: {acme.ca_file}: no certificates in PEM form") from problem
    binding = None
    if acme.eab_kid:
        try:
            binding = Binding.of(acme.eab_kid, _text("acme.eab_hmac_file", acme.eab_hmac_file))
        except ValueError as problem:
            raise StartProblem(f"acme.eab_hmac_file: {acme.eab_hmac_file}: no key in base64url") from problem
    settings = AcmeSettings(
        directory=acme.directory,
        contact=tuple(acme.contact),
        names=tuple(acme.names),
        controls=tuple(Control) if acme.challenge == "auto" else (Control(acme.challenge),),
        context=context,
        binding=binding,
        updater=updater(config),
        hook=tuple(acme.dns_hook),
        reuse_key=acme.reuse_key,
        addresses=tuple(config.dns.addresses),
    )
    controls = available(settings, http=bool(config.listen.http), https=bool(config.listen.https))
    if not controls:
        raise StartProblem("acme.challenge: needs listen.http, listen.https, dns.update_server or acme.dns_hook")
    return AcmeSettings(**{name: getattr(settings, name) for name in AcmeSettings.__slots__} | {"controls": controls})


def updater(config: Config) -> Updater | None:
    """None where no server takes changes of our zones. Raises StartProblem."""
    if not config.dns.update_server:
        return None
    key: TsigKey | None = None
    if config.dns.update_key_file:
        try:
            key = parse_key(_text("dns.update_key_file", config.dns.update_key_file))
        except UpdateProblem as problem:
            raise StartProblem(f"dns.update_key_file: {config.dns.update_key_file}: {problem}") from problem
    return Updater(config.dns.update_server, key)


def _text(key: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8"
        raise StartProblem(f"{key}: {path}: can't be read: {reason}") from problem
