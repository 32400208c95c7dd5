"""What the settings mean for the DNS."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from mailstack.config import Config, duration
from mailstack.net.own_addresses import public_addresses
from mailstack.records.publisher import Publisher
from mailstack.records.relays import of_host
from mailstack.wire.client_settings import ClientSettings
from mailstack.wire.mta_sts import own_policy

# By which names authorities know themselves in CAA records, by the domains of their directories.
AUTHORITIES = {
    "letsencrypt.org": "letsencrypt.org",
    "pki.goog": "pki.goog",
    "zerossl.com": "sectigo.com",
    "buypass.com": "buypass.com",
    "ssl.com": "ssl.com",
}


def publisher(config: Config, clients: ClientSettings, tlsa: Sequence[str] = ()) -> Publisher:
    """`tlsa`: records of the keys in use. Looks at the routes of this machine."""
    return Publisher(
        hostname=config.hostname.lower(),
        addresses=tuple(_addresses(config)),
        clients=clients,
        policy=own_policy(config.mta_sts.mode, config.hostname, duration(config.mta_sts.max_age)),
        tlsa=tuple(tlsa),
        authority=_authority(config),
        takes_reports=config.reports.take,
        sends_by=_sends_by(config),
    )


def _authority(config: Config) -> str | None:
    if config.tls.mode != "acme":
        return None
    host = urlsplit(config.acme.directory).hostname or ""
    return next((name for domain, name in AUTHORITIES.items() if host == domain or host.endswith("." + domain)), None)


def _addresses(config: Config) -> list[str]:
    """Those that are set; else those to send from; else those by which packets leave, where they are public."""
    if config.dns.addresses:
        return [str(ipaddress.ip_address(one)) for one in config.dns.addresses]
    return [one for one in config.relay.source if ipaddress.ip_address(one).is_global] or public_addresses()


def _sends_by(config: Config) -> tuple[str, ...]:
    """What SPF has to allow where a smarthost sends for us."""
    host = urlsplit(config.relay.smarthost).hostname if config.relay.smarthost else None
    relay = of_host(host) if host else None
    return (relay.include,) if relay is not None and relay.include else ()
